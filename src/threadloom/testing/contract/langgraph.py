"""LangGraph's own interface to a store: `put`, `get`, `search`, `delete`, `list_namespaces`."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)

from threadloom.clock import from_micros
from threadloom.errors import InvalidKey, SerializationError
from threadloom.ops import Put
from threadloom.testing.contract.base import ContractBase, same_json
from threadloom.testing.driver import Driver

NS = ("users", "ana")


def _own_records(db: Driver) -> None:
    """A session's records, at the root and of a tenant."""
    for root in ((), ("~t",)):
        db(
            Put((*root, "sessions"), "s1", doc={"name": "Oslo"}),
            Put((*root, "memory", "s1"), "0000000000", doc={"type": "human"}, text="Hi"),
            Put((*root, "checkpoints", "s1", "%"), "c1", doc={}),
        )


class LangGraphContract(ContractBase):
    """A store is a LangGraph `BaseStore`, and behaves like `InMemoryStore`."""

    def test_it_is_a_base_store(self, db: Driver) -> None:
        assert isinstance(db.store, BaseStore)

    def test_put_get_delete(self, db: Driver) -> None:
        assert db.call("get", NS, "k") is None
        assert db.call("put", NS, "k", {"a": [1, None], "b": {"c": 2**70}}) is None
        created = db.clock()
        item = db.call("get", NS, "k")
        assert isinstance(item, Item)
        assert (item.namespace, item.key) == (NS, "k")
        assert same_json(item.value, {"a": [1, None], "b": {"c": 2**70}})
        assert (item.created_at, item.updated_at) == (created, created)
        db.clock.advance(60)
        db.call("put", NS, "k", {"a": 2})
        item = db.call("get", NS, "k")
        assert (item.value, item.created_at, item.updated_at) == ({"a": 2}, created, db.clock())
        assert db.call("delete", NS, "k") is None
        assert db.call("get", NS, "k") is None
        assert db.call("delete", NS, "k") is None

    def test_values_are_not_shared(self, db: Driver) -> None:
        value = {"list": [1]}
        db.call("put", NS, "k", value)
        value["list"].append(2)
        db.call("get", NS, "k").value["list"].append(3)
        db.call("search", NS)[0].value["list"].append(4)
        assert db.call("get", NS, "k").value == {"list": [1]}

    def test_search(self, db: Driver) -> None:
        for number in range(15):
            db.call("put", NS, f"k{number:02}", {"n": number, "odd": number % 2 == 1})
        db.call("put", (*NS, "deep"), "k", {"n": 99})
        db.call("put", ("users", "anabel"), "k", {"n": 100})
        found = db.call("search", NS)
        assert all(isinstance(item, SearchItem) for item in found)
        assert [item.key for item in found] == [f"k{number:02}" for number in range(10)]
        assert len(db.call("search", NS, limit=100)) == 16
        assert len(db.call("search", ("users",), limit=100)) == 17
        assert [i.key for i in db.call("search", NS, limit=2, offset=14)] == ["k14", "k"]
        odd = db.call("search", NS, filter={"odd": True, "n": {"$gt": 8}})
        assert [item.key for item in odd] == ["k09", "k11", "k13"]
        assert [i.value["n"] for i in db.call("search", NS, filter={"n": {"$gte": 14}})] == [14, 99]
        assert db.call("search", ("user",)) == []
        assert db.call("search", NS, limit=0) == []

    def test_search_of_the_root_shows_what_is_the_users(self, db: Driver) -> None:
        _own_records(db)
        db.call("put", NS, "k", {"a": 1})
        db.call("put", ("users", "ana", "memory"), "k", {"a": 2})
        assert [item.namespace for item in db.call("search", ())] == [NS, (*NS, "memory")]
        assert db.call("list_namespaces") == [NS, (*NS, "memory")]

    def test_labels_are_reserved_at_the_root_only(self, db: Driver) -> None:
        places = [(*NS, "checkpoints"), (*NS, "memory"), (*NS, "sessions", "x"), (*NS, "~x")]
        for place in places:
            db.call("put", place, "k", {})
        for prefix in (("users",), NS):
            assert [item.namespace for item in db.call("search", prefix)] == places
            assert db.call("list_namespaces", prefix=prefix) == places

    def test_own_records_are_read_where_they_are_named(self, db: Driver) -> None:
        _own_records(db)
        assert db.call("get", ("sessions",), "s1").value == {"name": "Oslo"}
        assert [item.key for item in db.call("search", ("sessions",))] == ["s1"]
        [message] = db.call("search", ("memory", "s1"))
        assert message.value == {"type": "human", "text": "Hi"}
        assert db.call("list_namespaces", prefix=("checkpoints",)) == [("checkpoints", "s1", "%")]
        assert db.call("get", ("~t", "sessions"), "s1").value == {"name": "Oslo"}

    def test_own_records_are_never_written(self, db: Driver) -> None:
        _own_records(db)
        before = db.everything()
        for namespace in (
            ("sessions",),
            ("sessions", "x"),
            ("memory",),
            ("memory", "s1"),
            ("checkpoints", "s1", "%"),
            ("~t", "sessions"),
            ("~t", "memory", "s1"),
        ):
            with pytest.raises(InvalidKey):
                db.call("put", namespace, "s1", {"name": "Rome"})
            with pytest.raises(InvalidKey):
                db.call("delete", namespace, "s1")
            with pytest.raises(InvalidKey):
                db.call("batch", [PutOp(NS, "k", {}), PutOp(namespace, "s1", {})])
        assert db.everything() == before

    def test_what_cannot_be_stored_is_refused(self, db: Driver) -> None:
        for namespace in ((), ("",), ("a", ""), ("a.b",), ("langgraph", "x"), ("a\x00",)):
            with pytest.raises(ValueError, match=r".") as caught:
                db.call("put", namespace, "k", {})
            assert not isinstance(caught.value, UnicodeError)
        for value in ({"a": object()}, {"a": float("nan")}, {1: 2}, {"a": "\ud800"}):
            with pytest.raises(SerializationError):
                db.call("put", NS, "k", value)
        for key in ("a\x00", "\ud800"):
            with pytest.raises(InvalidKey):
                db.call("put", NS, key, {})
        for wrong in ({"limit": -1}, {"offset": -1}, {"limit": None}, {"offset": 1.5}):
            with pytest.raises(InvalidKey):
                db.call("search", NS, **wrong)
            with pytest.raises(InvalidKey):
                db.call("list_namespaces", **wrong)
        with pytest.raises(InvalidKey):
            db.call("list_namespaces", max_depth=-1)
        for index in (True, "t", [1], {"t": 1}):
            with pytest.raises(InvalidKey):
                db.call("put", NS, "k", {}, index=index)
        assert db.everything() == []

    def test_list_namespaces(self, db: Driver) -> None:
        places = [("a", "b", "c"), ("a", "b", "d"), ("a", "x"), ("b", "c"), ("a", "b", "d", "e")]
        for place in places:
            db.call("put", place, "k", {})
        every = sorted(places)
        assert db.call("list_namespaces") == every
        assert db.call("list_namespaces", prefix=("a", "b")) == every[:3]
        assert db.call("list_namespaces", prefix=("a", "*", "d")) == every[1:3]
        assert db.call("list_namespaces", suffix=("c",)) == [("a", "b", "c"), ("b", "c")]
        assert db.call("list_namespaces", prefix=("a",), suffix=("c",)) == [("a", "b", "c")]
        assert db.call("list_namespaces", suffix=("*", "c")) == [("a", "b", "c"), ("b", "c")]
        assert db.call("list_namespaces", max_depth=2) == [("a", "b"), ("a", "x"), ("b", "c")]
        assert db.call("list_namespaces", limit=2, offset=1) == every[1:3]
        assert db.call("list_namespaces", prefix=("nowhere",)) == []

    def test_reads_of_a_batch_see_the_state_before_its_writes(self, db: Driver) -> None:
        db.call("put", NS, "k", {"n": 1})
        results = db.call(
            "batch",
            [
                PutOp(NS, "k", {"n": 2}),
                GetOp(NS, "k"),
                PutOp(NS, "new", {"n": 3}),
                GetOp(NS, "new"),
                SearchOp(NS),
                ListNamespacesOp(),
                PutOp(("other",), "k", {}),
                PutOp(NS, "k", None),
            ],
        )
        assert [results[index] for index in (0, 2, 3, 6, 7)] == [None] * 5
        assert results[1].value == {"n": 1}
        assert [item.value for item in results[4]] == [{"n": 1}]
        assert results[5] == [NS]
        assert db.call("get", NS, "k") is None
        assert db.call("list_namespaces") == [("other",), NS]

    def test_of_several_puts_in_a_batch_the_last_wins(self, db: Driver) -> None:
        db.call("batch", [PutOp(NS, "k", {"n": n}) for n in range(3)])
        assert db.call("get", NS, "k").value == {"n": 2}
        db.call("batch", [PutOp(NS, "k", None), PutOp(NS, "k", {"n": 9})])
        assert db.call("get", NS, "k").value == {"n": 9}
        db.call("batch", [PutOp(NS, "k", {"n": 10}), PutOp(NS, "k", None)])
        assert db.call("get", NS, "k") is None
        assert db.run(db.store.abatch([])) == []

    def test_conditions_of_a_batch_may_be_combined(self, db: Driver) -> None:
        for place in (("a", "b"), ("a", "c"), ("x", "b")):
            db.call("put", place, "k", {})
        op = ListNamespacesOp(
            match_conditions=(MatchCondition("prefix", ("a",)), MatchCondition("suffix", ("b",)))
        )
        assert db.call("batch", [op]) == [[("a", "b")]]

    def test_reads_that_are_the_same_share_nothing(self, db: Driver) -> None:
        db.call("put", NS, "k", {"list": [1], "one": 1})
        asked = [GetOp(NS, "k"), GetOp(NS, "k"), SearchOp(NS), SearchOp(NS)]
        one, two, [three], [four] = db.call("batch", asked)
        for item in (one, two, three, four):
            assert item.value == {"list": [1], "one": 1}
            item.value["list"].append(2)
        filters: list[dict[str, Any]] = [{"one": 1}, {"one": True}, {"one": 1.0}]
        found = db.call("batch", [SearchOp(NS, filter=filter) for filter in filters])
        assert [len(page) for page in found] == [1, 0, 1]

    def test_times_are_aware(self, db: Driver) -> None:
        db.call("put", NS, "k", {})
        assert db.call("get", NS, "k").created_at == from_micros(db.clock.micros)
        assert db.call("search", NS)[0].updated_at.tzinfo is not None
