"""Items of long-term memory: how long they live, and which are near to a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langgraph.store.base import GetOp, IndexConfig, PutOp, SearchOp, TTLConfig

from threadloom import SessionManager
from threadloom.errors import CorruptRecord, InvalidKey
from threadloom.ops import Get, Put, Query
from threadloom.testing.contract.base import ContractBase, needs
from threadloom.testing.driver import Driver

NS = ("users", "ana")
MINUTE = 60

LETTERS = "abcd"


def embed(texts: Sequence[str]) -> list[list[float]]:
    """How often each letter stands in a text: near is what has the same letters."""
    return [[float(text.count(letter)) for letter in LETTERS] for text in texts]


def _view(db: Driver, *, fields: list[str] | None = None, ttl: TTLConfig | None = None) -> Any:
    index: IndexConfig = {"dims": len(LETTERS), "embed": embed, "fields": fields or ["t"]}
    return SessionManager(db.store, index=index, ttl=ttl).store


class ItemContract(ContractBase):
    """Lives and vectors of what LangGraph's interface stores."""

    # Lives

    def test_an_item_lives_as_long_as_it_was_given(self, db: Driver) -> None:
        assert db.store.supports_ttl
        db.call("put", NS, "k", {"n": 1}, ttl=1.5)
        db.call("put", NS, "forever", {"n": 2}, ttl=None)
        db.clock.advance(1.5 * MINUTE - 0.000_001)
        assert db.call("get", NS, "k", refresh_ttl=False).value == {"n": 1}
        db.clock.advance(0.000_001)
        assert db.call("get", NS, "k") is None
        assert [item.key for item in db.call("search", NS)] == ["forever"]
        db.call("delete", NS, "forever")
        assert db.call("list_namespaces") == []
        assert db.call("search", (), filter={"n": 1}) == []

    def test_reads_renew_an_item_and_change_nothing_else(self, db: Driver) -> None:
        db.call("put", NS, "k", {"n": 1}, ttl=1)
        put = db.get(NS, "k")
        for _ in range(3):
            db.clock.advance(50)
            assert db.call("get", NS, "k").value == {"n": 1}
            db.clock.advance(50)
            [found] = db.call("search", ("users",), filter={"n": 1})
            assert (found.created_at, found.updated_at) == (found.updated_at, found.created_at)
        renewed = db.get(NS, "k")
        assert renewed.expires_at == db.clock.micros + MINUTE * 1_000_000
        assert renewed == put._replace(expires_at=renewed.expires_at)
        db.clock.advance(MINUTE)
        assert db.call("get", NS, "k") is None

    def test_a_reader_may_leave_the_life_as_it_is(self, db: Driver) -> None:
        db.call("put", NS, "k", {"n": 1}, ttl=1)
        db.clock.advance(50)
        assert db.call("get", NS, "k", refresh_ttl=False) is not None
        assert db.call("search", NS, refresh_ttl=False) != []
        db.call("batch", [GetOp(NS, "k", refresh_ttl=False), SearchOp(NS, refresh_ttl=False)])
        assert db.call("search", NS, limit=0) == []
        assert db.call("search", NS, offset=1) == []
        assert db.call("search", NS, filter={"n": 2}) == []
        db.clock.advance(10)
        assert db.call("get", NS, "k") is None

    def test_of_several_readers_one_may_renew(self, db: Driver) -> None:
        db.call("put", NS, "k", {"n": 1}, ttl=1)
        db.clock.advance(50)
        asked = [GetOp(NS, "k", refresh_ttl=False), GetOp(NS, "k"), GetOp(NS, "k", False)]
        assert [item.value for item in db.call("batch", asked)] == [{"n": 1}] * 3
        db.clock.advance(50)
        assert db.call("get", NS, "k") is not None

    def test_what_has_expired_is_not_revived(self, db: Driver) -> None:
        db.call("put", NS, "k", {"n": 1}, ttl=1)
        db.clock.advance(MINUTE)
        for _ in range(2):
            assert db.call("get", NS, "k", refresh_ttl=True) is None
            assert db.call("search", NS, refresh_ttl=True) == []
        db.clock.advance(-1)
        assert db.call("get", NS, "k", refresh_ttl=False) is not None
        db.clock.advance(1)
        assert db.call("get", NS, "k") is None

    def test_a_put_decides_on_the_life_anew(self, db: Driver) -> None:
        created = db.clock()
        db.call("put", NS, "k", {"n": 1}, ttl=1)
        db.clock.advance(30)
        db.call("put", NS, "k", {"n": 2}, ttl=2)
        db.clock.advance(119)
        item = db.call("get", NS, "k", refresh_ttl=False)
        assert (item.value, item.created_at) == ({"n": 2}, created)
        db.call("put", NS, "k", {"n": 3})
        db.clock.advance(10 * MINUTE)
        assert db.call("get", NS, "k").created_at == created
        db.call("put", NS, "k", {"n": 4}, ttl=1)
        db.clock.advance(MINUTE)
        db.call("put", NS, "k", {"n": 5})
        assert db.call("get", NS, "k").created_at == db.clock()

    def test_a_read_beside_a_put_does_not_touch_the_new_life(self, db: Driver) -> None:
        db.call("put", NS, "k", {"n": 1}, ttl=60)
        db.clock.advance(MINUTE)
        results = db.call("batch", [GetOp(NS, "k"), PutOp(NS, "k", {"n": 2}, ttl=1)])
        assert results[0].value == {"n": 1}
        db.clock.advance(MINUTE)
        assert db.call("get", NS, "k") is None

    def test_lives_by_configuration(self, db: Driver) -> None:
        view = _view(db, ttl={"default_ttl": 1, "refresh_on_read": False})
        db.call("put", NS, "k", {"n": 1}, on=view)
        db.call("put", NS, "long", {"n": 2}, ttl=2, on=view)
        db.call("put", NS, "forever", {"n": 3}, ttl=None, on=view)
        db.clock.advance(50)
        assert len(db.call("search", NS, on=view)) == 3
        assert db.call("get", NS, "long", refresh_ttl=True, on=view) is not None
        db.clock.advance(10)
        assert [item.key for item in db.call("search", NS, on=view)] == ["forever", "long"]
        db.clock.advance(100)
        assert [item.key for item in db.call("search", NS, on=view)] == ["forever", "long"]
        db.clock.advance(10)
        assert [item.key for item in db.call("search", NS, on=view)] == ["forever"]

    def test_lives_that_make_no_sense(self, db: Driver) -> None:
        for minutes in (0, -1, float("nan"), float("inf"), 1e18, "1", True):
            with pytest.raises(InvalidKey):
                db.call("put", NS, "k", {}, ttl=minutes)
        assert db.everything() == []
        db.call("put", NS, "k", {}, ttl=1e-12)  # nothing is shorter than a microsecond
        assert db.call("get", NS, "k") is not None
        db.clock.advance(0.000_001)
        assert db.call("get", NS, "k") is None

    @needs("compare_and_set")
    def test_a_sweep_removes_what_has_expired_and_nothing_else(self, db: Driver) -> None:
        for number in range(7):
            place = (*NS, f"{number % 2}")
            db.call("put", place, f"k{number}", {"n": number}, ttl=1 if number < 5 else 2)
        db(
            Put(("sessions",), "s", doc={}, expires_at=db.clock.micros),
            Put(("~t", "notes"), "k", doc={}, expires_at=db.clock.micros),
            Put(("~t", "sessions"), "s", doc={}, expires_at=db.clock.micros),
        )
        db.clock.advance(MINUTE)
        own = SessionManager(db.store).store
        assert db.call("sweep_ttl", on=own) == 5
        assert db.call("sweep_ttl", on=own) == 0
        gone = [(record.namespace, record.key) for record in db.one(Query((), True, expired=True))]
        assert gone == [(("sessions",), "s"), (("~t", "notes"), "k"), (("~t", "sessions"), "s")]
        assert db.call("sweep_ttl") == 1
        assert len(db.one(Query((), True, expired=True))) == 2
        assert [item.key for item in db.call("search", NS)] == ["k6", "k5"]

    # Nearness

    def test_a_search_gives_the_nearest_first(self, db: Driver) -> None:
        view = _view(db)
        texts = {"k1": "a", "k2": "ab", "k3": "bbb", "k4": "c", "k5": "aab"}
        for key, text in texts.items():
            db.call("put", NS, key, {"t": text, "odd": key in ("k1", "k3", "k5")}, on=view)
        db.call("put", (*NS, "deep"), "k1", {"t": "aaa"}, on=view)
        db.call("put", ("users", "anabel"), "k1", {"t": "aaa"}, on=view)
        found = db.call("search", NS, query="aaaa", on=view)
        assert [(item.namespace, item.key, item.score) for item in found] == [
            (NS, "k1", 1.0),
            ((*NS, "deep"), "k1", 1.0),
            (NS, "k5", 0.8944272),
            (NS, "k2", 0.7071068),
            (NS, "k3", 0.0),
            (NS, "k4", 0.0),
        ]
        assert found[2].value == {"t": "aab", "odd": True}
        page = db.call("search", NS, query="aaaa", limit=2, offset=3, on=view)
        assert [item.key for item in page] == ["k2", "k3"]
        odd = db.call("search", NS, query="b", filter={"odd": True}, on=view)
        assert [item.key for item in odd] == ["k3", "k5", "k1"]
        assert db.call("search", ("nowhere",), query="a", on=view) == []
        assert db.call("search", NS, query="a", limit=0, on=view) == []
        plain = db.call("search", NS, query="", on=view)
        assert [(item.key, item.score) for item in plain[:2]] == [("k1", None), ("k2", None)]

    def test_what_has_no_vector_comes_last(self, db: Driver) -> None:
        view = _view(db)
        db.call("put", NS, "a", {"t": "a"}, index=False, on=view)
        db.call("put", NS, "b", {"other": "a"}, on=view)
        db.call("put", NS, "c", {"t": "b"}, on=view)
        db.call("put", NS, "d", {"t": None}, on=view)
        db.call("put", NS, "e", {"t": "a"}, on=view)
        db.one(Put(NS, "f", doc={"t": "a"}, blob=b"of somebody else"))
        found = db.call("search", NS, query="a", on=view)
        scored = [("e", 1.0), ("c", 0.0)]
        rest = [("a", None), ("b", None), ("d", None), ("f", None)]
        assert [(item.key, item.score) for item in found] == scored + rest
        for offset in range(7):
            page = db.call("search", NS, query="a", limit=2, offset=offset, on=view)
            wanted = (scored + rest)[offset : offset + 2]
            assert [(item.key, item.score) for item in page] == wanted

    def test_an_item_is_as_near_as_the_nearest_of_its_texts(self, db: Driver) -> None:
        view = _view(db, fields=["t", "list[*].t"])
        db.call("put", NS, "k1", {"t": "ab", "list": [{"t": "c"}, {"t": "b"}]}, on=view)
        db.call("put", NS, "k2", {"t": "aab"}, on=view)
        db.call("put", NS, "k3", {"t": "d", "x": {"y": "a"}}, index=["x.y"], on=view)
        assert [
            (item.key, item.score) for item in db.call("search", NS, query="b", limit=2, on=view)
        ] == [("k1", 1.0), ("k2", 0.4472136)]
        found = db.call("search", NS, query="a", on=view)
        assert [(item.key, item.score) for item in found[:2]] == [("k3", 1.0), ("k2", 0.8944272)]

    def test_new_values_have_new_vectors(self, db: Driver) -> None:
        view = _view(db)
        db.call("put", NS, "k1", {"t": "a"}, on=view)
        db.call("put", NS, "k2", {"t": "ab"}, on=view)
        db.call("put", NS, "k1", {"t": "b"}, on=view)
        assert db.call("search", NS, query="a", on=view)[0].key == "k2"
        db.call("put", NS, "k2", {"t": "a"}, index=False, on=view)
        assert [item.score for item in db.call("search", NS, query="a", on=view)] == [0.0, None]
        db.call("delete", NS, "k1", on=view)
        assert [item.key for item in db.call("search", NS, query="b", on=view)] == ["k2"]
        puts = [
            PutOp(NS, "k3", {"t": "a"}),
            PutOp(NS, "k3", {"t": "b"}),
            PutOp(NS, "k4", {"t": "b"}),
        ]
        db.call("batch", puts, on=view)
        found = db.call("search", NS, query="b", on=view)
        assert [(item.key, item.score) for item in found] == [
            ("k3", 1.0),
            ("k4", 1.0),
            ("k2", None),
        ]

    def test_lives_and_vectors_go_together(self, db: Driver) -> None:
        view = _view(db, ttl={"default_ttl": 1})
        for key in ("k1", "k2", "k3"):
            db.call("put", NS, key, {"t": "a" if key == "k1" else "b"}, on=view)
        db.clock.advance(50)
        assert [i.key for i in db.call("search", NS, query="a", limit=1, on=view)] == ["k1"]
        db.clock.advance(10)
        found = db.call("search", NS, query="a", on=view)
        assert [(item.key, item.score) for item in found] == [("k1", 1.0)]

    def test_what_is_written_with_an_index_is_read_without(self, db: Driver) -> None:
        view = _view(db)
        db.call("put", NS, "k2", {"t": "b"}, on=view)
        db.call("put", NS, "k1", {"t": "a"}, on=view)
        plain = db.call("search", NS, query="b", on=SessionManager(db.store).store)
        assert [(item.key, item.score) for item in plain] == [("k1", None), ("k2", None)]
        index: IndexConfig = {"dims": 2, "embed": lambda texts: [[1.0, 0.0] for _ in texts]}
        other = SessionManager(db.store, index=index).store
        found = db.call("search", NS, query="b", on=other)
        assert [(item.key, item.score) for item in found] == [("k1", None), ("k2", None)]

    def test_tenants_find_their_own(self, db: Driver) -> None:
        index: IndexConfig = {"dims": 4, "embed": embed, "fields": ["t"]}
        views = [
            SessionManager(db.store, tenant=tenant, index=index).store
            for tenant in (None, "a", "b")
        ]
        for number, view in enumerate(views):
            db.call("put", NS, "k", {"t": "a", "n": number}, on=view)
        for number, view in enumerate(views):
            found = db.call("search", (), query="a", on=view)
            assert [item.value["n"] for item in found] == [number]

    def test_own_records_are_not_ranked(self, db: Driver) -> None:
        view = _view(db)
        db.one(Put(("sessions",), "s1", doc={"t": "a"}, blob=b"x"))
        db.call("put", NS, "k", {"t": "a"}, on=view)
        ops = [SearchOp(("sessions",), query="a"), SearchOp((), query="a")]
        own, every = db.call("batch", ops, on=view)
        assert [(item.key, item.score) for item in own] == [("s1", None)]
        assert [(item.key, item.score) for item in every] == [("k", 1.0)]

    def test_an_embedding_that_fails_writes_nothing(self, db: Driver) -> None:
        def broken(texts: Sequence[str]) -> list[list[float]]:
            raise ZeroDivisionError("no model")

        wrong: list[tuple[Any, type[Exception]]] = [
            (broken, ZeroDivisionError),
            (lambda texts: [[1.0] for _ in texts], InvalidKey),
            (lambda texts: [], InvalidKey),
            (lambda texts: [[1.0, 2.0, 3.0, float("nan")] for _ in texts], InvalidKey),
            (lambda texts: [[1.0, 2.0, 3.0, float("inf")] for _ in texts], InvalidKey),
            (lambda texts: ["abcd" for _ in texts], InvalidKey),
        ]
        for embedding, error in wrong:
            index: IndexConfig = {"dims": 4, "embed": embedding}
            view = SessionManager(db.store, index=index).store
            with pytest.raises(error):
                db.call("put", NS, "k", {"t": "a"}, on=view)
        assert db.everything() == []

    def test_a_damaged_item_is_no_item_without_vectors(self, db: Driver) -> None:
        view = _view(db)
        db.call("put", NS, "k", {"t": "a"}, ttl=1, on=view)
        record = db.get(NS, "k")
        assert record.blob is not None
        for blob in (record.blob[:-1], record.blob[:7], record.blob + b"x"):
            db.one(Put(NS, "k", doc=record.doc, blob=blob, expires_at=record.expires_at))
            with pytest.raises(CorruptRecord):
                db.call("search", NS, query="a", on=view)
        assert db.one(Get(NS, "k")) is not None
