"""Several operations at once: in order, and all or nothing."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import pytest

from threadloom.errors import SerializationError, UnsupportedByStore
from threadloom.ops import (
    Check,
    Count,
    Delete,
    DropTree,
    ExpectationFailed,
    Get,
    ListNamespaces,
    Match,
    Op,
    Patch,
    Put,
    Query,
    Scan,
)
from threadloom.testing.contract.base import ContractBase, needs
from threadloom.testing.driver import Driver

NS = ("notes",)
SESSIONS, MEMORY, STATE = ("sessions",), ("memory", "s1"), ("checkpoints", "s1", "%")


class Unknown(NamedTuple):
    """An operation that no store knows."""

    namespace: tuple[str, ...] = NS
    key: str = "k"


UNKNOWN = cast(Op, Unknown())
FAILS = Check(SESSIONS, "s1", "absent")


def _session(db: Driver) -> None:
    """A session with some of everything."""
    now = db.clock.micros
    db(
        Put(SESSIONS, "s1", doc={"owner": "ana", "tags": ["old"], "created_at": now, "n": 1}),
        Put(MEMORY, "1", doc={"a": 1}, blob=b"1", text="early words"),
        Put(MEMORY, "2", doc={"a": 2}, blob=b"2", text="late words"),
        Put((*MEMORY, "index"), "next", doc={"n": 2}),
        Put(STATE, "c1", doc={"step": 1}, blob=b"c1"),
        Put(STATE, "gone", doc={}, text="vanished", expires_at=now),
    )


def _writes() -> list[Op]:
    """Writes of every kind, all of one session."""
    return [
        Put(MEMORY, "3", doc={"a": 3}, text="fresh words"),
        Put(MEMORY, "1", doc={"a": 9}, text="changed words"),
        Delete(MEMORY, "2"),
        Patch(SESSIONS, "s1", set={"owner": "bo", "tags": ["new"]}, increment={"n": 1}),
        Put(STATE, "gone", doc={"again": True}, text="risen"),
        DropTree(STATE),
        Put(STATE, "c2", doc={"step": 2}),
        Put(MEMORY, "4", doc={}, keep=True),
    ]


def _seen(db: Driver) -> list[Any]:
    """Everything of the store, by way of records, listings and search."""
    by_owner = Query(SESSIONS, filter={"owner": "bo"}, order_by="created_at")
    by_tag = Query(SESSIONS, filter={"tags": {"$contains": ["old"]}}, order_by="updated_at")
    return [
        db.everything(),
        db.keys(Query(SESSIONS, filter={"owner": "ana"}, order_by="created_at")),
        db.keys(by_owner),
        db.keys(by_tag),
        db.found("words"),
        db.found("early"),
        db.found("fresh changed risen"),
        db.one(ListNamespaces()),
        db.one(Count((), deep=True)),
    ]


class BatchContract(ContractBase):
    """A batch is applied in order, whole or not at all."""

    def test_results_come_one_an_operation_in_order(self, db: Driver) -> None:
        results = db(
            Get(NS, "k"),
            Put(NS, "k", doc={"n": 1}),
            Get(NS, "k"),
            Check(NS, "k", None),
            Count(NS),
            Delete(NS, "k"),
            Get(NS, "k"),
        )
        assert len(results) == 7
        assert results[0] is None
        assert results[2].doc == {"n": 1}
        assert results[2].version == results[1]
        assert results[3:] == [None, 1, True, None]

    def test_an_empty_batch(self, db: Driver) -> None:
        assert db() == []

    def test_a_batch_may_be_any_sequence(self, db: Driver) -> None:
        assert type(db.run(db.store.aexecute([Put(NS, "k")]))[0]) is int
        assert type(db.run(db.store.aexecute((Put(NS, "k"),)))[0]) is int

    def test_later_operations_see_earlier_ones(self, db: Driver) -> None:
        db.one(Put(("notes", "old"), "k", text="ancient"))
        results = db(
            Put(NS, "b", doc={"n": 1}, text="alpha"),
            Put(NS, "a", doc={"n": 2}, text="beta"),
            Scan(NS),
            Query(NS, order_by="n"),
            Count(NS, deep=True),
            Match(NS, "alpha"),
            ListNamespaces(),
            DropTree(("notes", "old")),
            ListNamespaces(),
            Match(NS, "ancient"),
            Patch(NS, "a", increment={"n": 5}),
            Get(NS, "a"),
            Put(NS, "b", text="gamma"),
            Match(NS, "alpha"),
            Match(NS, "gamma"),
        )
        assert [record.key for record in results[2]] == ["a", "b"]
        assert [record.key for record in results[3]] == ["b", "a"]
        assert results[4] == 3
        assert [hit.record.key for hit in results[5]] == ["b"]
        assert results[6:10] == [[NS, ("notes", "old")], 1, [NS], []]
        assert results[11].doc == {"n": 7}
        assert results[13] == []
        assert [hit.record.key for hit in results[14]] == ["b"]

    def test_a_record_written_twice_in_a_batch(self, db: Driver) -> None:
        db(
            Put(NS, "k", doc={"n": 1}, blob=b"1", text="one"),
            Put(NS, "k", doc={"n": 2}, text="two"),
            Patch(NS, "k", increment={"n": 1}),
        )
        record = db.get(NS, "k")
        assert (record.doc, record.blob, record.text) == ({"n": 3}, None, "two")
        assert (db.found("one"), db.found("two")) == ([], ["k"])
        db(Delete(NS, "k"), Put(NS, "k", text="three"), Delete(NS, "k"))
        assert (db.everything(), db.found("three")) == ([], [])

    def test_a_namespace_emptied_and_filled_in_one_batch(self, db: Driver) -> None:
        db(Put(SESSIONS, "s1", doc={"created_at": 1}), Put(NS, "k", doc={"n": 1}))
        db(
            Delete(NS, "k"),
            Put(NS, "k", doc={"n": 2}),
            DropTree(NS),
            Put(NS, "k", doc={"n": 3}),
        )
        db(Delete(SESSIONS, "s1"), Put(SESSIONS, "s1", doc={"created_at": 2}))
        assert db.get(NS, "k").doc == {"n": 3}
        assert db.keys(Query(SESSIONS, order_by="created_at")) == ["s1"]
        assert db.one(ListNamespaces()) == [NS, SESSIONS]

    def test_a_large_batch(self, db: Driver) -> None:
        names = [f"{number:05}" for number in range(3_000)]
        versions = db(*(Put(NS, name, doc={"name": name}, blob=name.encode()) for name in names))
        assert len(versions) == len(names)
        assert [(r.key, r.blob) for r in db.one(Scan(NS))] == [(n, n.encode()) for n in names]
        assert db.one(DropTree(NS)) == len(names)

    # All or nothing

    @needs("compare_and_set")
    @needs("atomic_batch")
    def test_a_failed_expectation_changes_nothing(self, db: Driver) -> None:
        _session(db)
        before = _seen(db)
        writes = _writes()
        for position in range(len(writes) + 1):
            with pytest.raises(ExpectationFailed) as caught:
                db(*writes[:position], FAILS, *writes[position:])
            assert caught.value.op == FAILS
            assert _seen(db) == before, f"position {position}"

    @needs("compare_and_set")
    @needs("atomic_batch")
    def test_a_write_that_fails_takes_the_batch_with_it(self, db: Driver) -> None:
        _session(db)
        before = _seen(db)
        for failing in (
            Put(MEMORY, "1", expect="absent"),
            Put(MEMORY, "5", expect="present"),
            Patch(SESSIONS, "s1", set={"owner": "eve"}, expect=0),
            Delete(MEMORY, "5", expect="present"),
        ):
            with pytest.raises(ExpectationFailed):
                db(*_writes()[:3], failing)
            assert _seen(db) == before, failing

    @needs("compare_and_set")
    @needs("atomic_batch")
    def test_what_failed_can_be_done_again(self, db: Driver) -> None:
        _session(db)
        with pytest.raises(ExpectationFailed):
            db(*_writes(), FAILS)
        db(*_writes(), Check(SESSIONS, "s1", "present"))
        assert db.found("words") == ["1", "3"]
        assert db.found("fresh changed risen") == ["1", "3"]
        assert db.keys(Query(SESSIONS, filter={"owner": "bo"}, order_by="created_at")) == ["s1"]
        assert db.keys(Scan(MEMORY)) == ["1", "3", "4"]
        assert db.keys(Scan(STATE)) == ["c2"]

    def test_an_unknown_operation_changes_nothing(self, db: Driver) -> None:
        _session(db)
        before = _seen(db)
        for batch in ((UNKNOWN,), (*_writes(), UNKNOWN), (UNKNOWN, *_writes())):
            with pytest.raises(UnsupportedByStore):
                db(*batch)
            assert _seen(db) == before

    def test_a_document_that_is_no_json_changes_nothing(self, db: Driver) -> None:
        _session(db)
        before = _seen(db)
        others = _writes() if db.store.capabilities.atomic_batch else []
        for bad in (
            Put(MEMORY, "5", doc={"a": object()}),
            Patch(SESSIONS, "s1", set={"a": object()}),
        ):
            with pytest.raises(SerializationError):
                db(*others, bad)
            assert _seen(db) == before

    @needs("compare_and_set")
    @needs("atomic_batch")
    def test_over_several_partitions_each_is_all_or_nothing(self, db: Driver) -> None:
        places = [(("memory", label), key) for label in ("s1", "s2") for key in ("1", "2")]
        with pytest.raises(ExpectationFailed):
            db(*(Put(*place) for place in places), Check(("memory", "s2"), "3", "present"))
        there = [db.one(Get(*place)) is not None for place in places]
        if db.store.capabilities.atomic_everywhere:
            assert there == [False] * 4
        else:
            assert there in ([False] * 4, [True, True, False, False])
