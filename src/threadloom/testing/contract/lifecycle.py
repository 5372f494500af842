"""Opening, closing, coming back, and what a store says about itself."""

from __future__ import annotations

import copy

import pytest

from threadloom.errors import StoreClosed, UnsupportedByStore
from threadloom.ops import (
    Count,
    Delete,
    ExpectationFailed,
    Get,
    ListNamespaces,
    Match,
    Op,
    Patch,
    Put,
    Query,
    Reclaim,
    Scan,
)
from threadloom.store import Capabilities, Store
from threadloom.testing.contract.base import ContractBase
from threadloom.testing.driver import Driver

NS = ("notes",)
SESSIONS = ("sessions",)


def _fill(db: Driver) -> None:
    """Something of everything, some of it expired."""
    now = db.clock.micros
    db(
        Put(NS, "1", doc={"a": [1, 2**70]}, blob=b"\x00\xff", text="alpha words"),
        Put(NS, "", doc={}, blob=b"", text=""),
        Put((*NS, "🧵"), "é", expires_at=now + 10**9),
        Put(NS, "gone", text="lost words", expires_at=now),
    )
    for number in range(5):
        doc = {"owner": "ana", "tags": ["t"], "created_at": number, "updated_at": 9 - number}
        db.one(Put(SESSIONS, f"s{number}", doc=doc))
    db.one(Patch(SESSIONS, "s4", set={"owner": "bo"}))


def _seen(db: Driver) -> list[object]:
    listing = Query(SESSIONS, filter={"owner": "ana"}, order_by="updated_at")
    return [
        db.everything(),
        db.keys(listing),
        db.keys(listing._replace(filter={"tags": {"$contains": ["t"]}})),
        db.found("words"),
        db.one(ListNamespaces()),
        db.one(Count((), deep=True)),
    ]


class LifecycleContract(ContractBase):
    """A store opens by itself, closes for good, and says truly what it can do."""

    def test_a_new_store_is_empty(self, db: Driver) -> None:
        assert db.everything() == []
        assert db.one(Match((), "anything")) == []
        assert db.one(Query(SESSIONS, order_by="created_at")) == []

    def test_reclaiming_changes_nothing_that_is_read(self, db: Driver) -> None:
        db(Put(NS, "k", doc={"n": 1}, text="kept words"), Put(NS, "gone", text="other words"))
        assert len(db.one(Match((), "words"))) == 2
        db(Delete(NS, "gone"), Put(NS, "k", doc={"n": 2}, text="new words"))
        before = db.everything()
        assert db.one(Reclaim()) is None
        assert db.one(Reclaim()) is None
        assert db.everything() == before
        assert [hit.record.key for hit in db.one(Match((), "words"))] == ["k"]
        assert db.one(Match((), "kept other")) == []

    def test_setup_may_be_called_at_any_time(self, db: Driver) -> None:
        db.store.setup()
        db.one(Put(NS, "k", doc={"n": 1}))
        db.store.setup()
        db.run(db.store.asetup())
        assert db.get(NS, "k").doc == {"n": 1}

    def test_it_tells_the_time_by_its_clock(self, db: Driver) -> None:
        db.clock.advance(12_345)
        assert db.store.now() == db.clock.micros

    def test_a_closed_store_says_so(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={}))
        if db.mode == "sync":
            db.store.close()
        else:
            db.run(db.store.aclose())
        batches: list[list[Op]] = [
            [Get(NS, "k")],
            [Scan(NS)],
            [Query((), deep=True)],
            [Count(NS)],
            [Match((), "word")],
            [ListNamespaces()],
            [Put(NS, "k")],
            [Patch(NS, "k")],
            [Delete(NS, "k"), Get(NS, "k")],
        ]
        for batch in batches:
            with pytest.raises(StoreClosed):
                db(*batch)
        for name, arguments in (
            ("get", (NS, "k")),
            ("put", (NS, "k", {})),
            ("search", (NS,)),
            ("list_namespaces", ()),
        ):
            with pytest.raises(StoreClosed):
                db.call(name, *arguments)

    def test_closing_twice_is_harmless(self, db: Driver) -> None:
        db.one(Put(NS, "k"))
        db.store.close()
        db.store.close()
        db.run(db.store.aclose())

    def test_closing_what_was_never_used(self, db: Driver) -> None:
        db.run(db.store.aclose())
        with pytest.raises(StoreClosed):
            db.one(Get(NS, "k"))

    def test_a_with_block_closes(self, db: Driver) -> None:
        if db.mode == "sync":
            with db.store as same:
                assert same is db.store
                db.one(Put(NS, "k"))
        else:

            async def scenario() -> None:
                async with db.store as same:
                    assert same is db.store
                    await db.store.aexecute([Put(NS, "k")])

            db.run(scenario())
        with pytest.raises(StoreClosed):
            db.one(Get(NS, "k"))

    def test_it_is_not_copied(self, db: Driver) -> None:
        for copier in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="pickled"):
                copier(db.store)

    # Capabilities

    def test_capabilities_are_declared(self, db: Driver) -> None:
        assert isinstance(db.store.capabilities, Capabilities)

    def test_sync_calls_work_unless_declared(self, db: Driver) -> None:
        if db.store.capabilities.async_only:
            with pytest.raises(UnsupportedByStore):
                db.store.execute([Get(NS, "k")])
        else:
            assert db.store.execute([Get(NS, "k")]) == [None]
        assert db.run(db.store.aexecute([Get(NS, "k")])) == [None]

    def test_what_is_durable_comes_back(self, db: Driver) -> None:
        """A store that is not durable forgets instead, and does not pretend otherwise."""
        _fill(db)
        before = _seen(db)
        highest = max(record.version for record in db.everything())
        db.store.close()
        if not db.store.capabilities.durable:
            with pytest.raises(StoreClosed):
                db.one(Get(NS, "1"))
            return
        with _driver(self.reopen(db.store), db) as again:
            assert _seen(again) == before
            assert again.one(Put(NS, "1", text="beta")) > highest
            assert again.found("alpha") == []
            assert again.found("beta") == ["1"]
            again.one(Delete(SESSIONS, "s0"))
            after = _seen(again)
            again.store.close()
        with _driver(self.reopen(db.store), db) as third:
            assert _seen(third) == after
            third.store.close()

    def test_what_was_deleted_does_not_come_back(self, db: Driver) -> None:
        version = db.one(Put(NS, "k", doc={}, text="word"))
        db.one(Delete(NS, "k"))
        store = db.store
        if store.capabilities.durable:
            store.close()
            store = self.reopen(store)
        with _driver(store, db) as again:
            assert again.everything() == []
            assert again.found("word") == []
            assert again.one(Put(NS, "k", doc={})) > version
            store.close()

    def test_what_is_shared_is_seen_at_once(self, db: Driver) -> None:
        """A store that is not shared is used by two threads of one process instead."""
        store = self.reopen(db.store) if db.store.capabilities.shared else db.store
        with _driver(store, db) as other:
            for number in range(3):
                db.one(Put(NS, "k", doc={"n": number}, text=f"word{number}"))
                assert other.get(NS, "k").doc == {"n": number}
                assert other.found(f"word{number}") == ["k"]
                other.one(Patch(NS, "k", increment={"m": 1}))
                assert db.get(NS, "k").doc == {"n": number, "m": 1}
                other.one(Put(SESSIONS, f"s{number}", doc={"created_at": number}))
                assert len(db.keys(Query(SESSIONS, order_by="created_at"))) == number + 1
                other.one(Delete(NS, "k"))
                assert db.one(Get(NS, "k")) is None
                assert db.found(f"word{number}") == []
            if db.store.capabilities.compare_and_set:
                version = db.one(Put(NS, "k"))
                assert other.one(Put(NS, "k", expect=version)) > version
                with pytest.raises(ExpectationFailed):
                    db.one(Put(NS, "k", expect=version))
            other.close()
            store.close()


def _driver(store: Store, like: Driver) -> Driver:
    return Driver(store, like.mode, like.clock)
