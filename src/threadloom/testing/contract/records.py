"""Records and trees of them: `Put`, `Get`, `Patch`, `Delete`, `DropTree`, `CopyTree`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from threadloom.errors import InvalidKey, SerializationError
from threadloom.ops import (
    ABSENT,
    Check,
    CopyTree,
    Delete,
    DropTree,
    ExpectationFailed,
    Get,
    Match,
    Patch,
    Put,
    Query,
    Record,
    Scan,
)
from threadloom.testing.contract.base import ContractBase, needs, same_json
from threadloom.testing.driver import Driver

NS = ("notes",)

JSON: dict[str, Any] = {
    "text": "zwölf 十二 🧵 \x00 \\ \" ' \n",
    "": "an empty name",
    "a.b": {"$gt": 1, "c": {"d": [[], {}, [None]]}},
    "truth": [True, False, None],
    "alike": [1, 1.0, True, "1", 0, 0.0, False, ""],
    "numbers": [0.1, -0.5, 1e300, 5e-324, 2**53 + 1, -(2**63), 2**63, 2**64, 10**40, -(10**40)],
    "digits": "12345678901234567890123",
}


class RecordContract(ContractBase):
    """What one operation does to one record."""

    def test_what_is_not_there_is_none(self, db: Driver) -> None:
        assert db.one(Get(NS, "nothing")) is None
        db.one(Put(NS, "something", doc={}))
        assert db.one(Get(NS, "nothing")) is None
        assert db.one(Get(("nowhere",), "something")) is None

    def test_a_record_comes_back_as_it_was_written(self, db: Driver) -> None:
        now = db.clock.micros
        version = db.one(
            Put(NS, "k", doc={"a": 1}, blob=b"\x00\xff", text="Hi", expires_at=now + 1)
        )
        assert type(version) is int
        record = db.one(Get(NS, "k"))
        assert type(record) is Record
        assert record == Record(
            NS, "k", {"a": 1}, b"\x00\xff", "Hi", version, now, now, expires_at=now + 1
        )
        assert type(record.namespace) is tuple

    def test_documents_keep_every_json_value_and_its_type(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc=JSON))
        for record in (db.get(NS, "k"), db.one(Scan(NS))[0], db.one(Query(NS))[0]):
            assert same_json(record.doc, JSON), record.doc

    def test_documents_may_be_any_mapping_and_hold_tuples(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc=MappingProxyType({"a": (1, (2,)), "b": MappingProxyType({})})))
        assert same_json(db.get(NS, "k").doc, {"a": [1, [2]], "b": {}})

    def test_what_is_no_json_is_refused(self, db: Driver) -> None:
        for bad in (object(), {1: 2}, "\ud800", b"bytes", {1, 2}):
            with pytest.raises(SerializationError):
                db.one(Put(NS, "k", doc={"a": bad}))
        assert db.everything() == []

    def test_empty_is_not_none(self, db: Driver) -> None:
        db(Put(NS, "empty", doc={}, blob=b"", text=""), Put(NS, "none"))
        for record in (db.get(NS, "empty"), db.one(Scan(NS))[0]):
            assert (record.doc, record.blob, record.text) == ({}, b"", "")
        for record in (db.get(NS, "none"), db.one(Scan(NS))[1], db.one(Query(NS))[1]):
            assert (record.doc, record.blob, record.text) == (None, None, None)

    def test_blobs_hold_any_bytes(self, db: Driver) -> None:
        for blob in (bytes(range(256)), b"\x00", b"\xff" * 3_000_000):
            db.one(Put(NS, "k", blob=blob))
            assert db.get(NS, "k").blob == blob

    def test_long_documents_and_texts_stay_whole(self, db: Driver) -> None:
        long = "Wörter und mehr 🧵 " * 20_000
        db.one(Put(NS, "k", doc={"long": long}, text=long))
        record = db.get(NS, "k")
        assert record.doc == {"long": long}
        assert record.text == long

    def test_get_without_blob(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={"a": 1}, blob=b"x", text="t"))
        assert db.one(Get(NS, "k", blob=False)) == db.get(NS, "k")._replace(blob=None)

    def test_overwriting_replaces_the_whole_record(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={"a": 1}, blob=b"x", text="t", expires_at=db.clock.micros + 9))
        db.one(Put(NS, "k", doc={"b": 2}))
        record = db.get(NS, "k")
        assert (record.doc, record.blob, record.text) == ({"b": 2}, None, None)
        assert record.expires_at is None

    def test_created_stays_and_updated_moves(self, db: Driver) -> None:
        created = db.clock.micros
        db.one(Put(NS, "k", doc={"n": 1}))
        for write in (Put(NS, "k", doc={"n": 2}), Patch(NS, "k", set={"n": 3})):
            db.clock.advance(60)
            db.one(write)
            record = db.get(NS, "k")
            assert (record.created_at, record.updated_at) == (created, db.clock.micros)
        db(Delete(NS, "k"), Put(NS, "k"))
        assert db.get(NS, "k").created_at == db.clock.micros

    def test_a_clock_that_steps_back_does_no_harm(self, db: Driver) -> None:
        first = db.one(Put(NS, "k", doc={"n": 1}))
        db.clock.advance(-3600)
        assert db.one(Put(NS, "k", doc={"n": 2})) > first
        assert db.get(NS, "k").doc == {"n": 2}

    def test_keep_writes_only_where_nothing_is(self, db: Driver) -> None:
        first = db.one(Put(NS, "k", doc={"n": 1}, keep=True))
        assert type(first) is int
        before = db.everything()
        db.clock.advance(1)
        assert db.one(Put(NS, "k", doc={"n": 2}, blob=b"x", text="new", keep=True)) is None
        assert db.everything() == before
        assert db.found("new") == []

    @needs("compare_and_set")
    def test_keep_does_not_look_at_expect(self, db: Driver) -> None:
        assert db.one(Put(NS, "k", doc={"n": 1}, keep=True, expect="present")) is not None
        assert db.one(Put(NS, "k", doc={"n": 2}, keep=True, expect="absent")) is None
        assert db.get(NS, "k").doc == {"n": 1}

    def test_delete_says_whether_it_was_there(self, db: Driver) -> None:
        db(Put(NS, "a"), Put(NS, "b"), Put(("other",), "a"))
        assert db.one(Delete(NS, "a")) is True
        assert db.one(Delete(NS, "a")) is False
        assert db.one(Delete(("nowhere",), "a")) is False
        assert [(r.namespace, r.key) for r in db.everything()] == [(NS, "b"), (("other",), "a")]

    def test_drop_tree_removes_a_namespace_and_all_below(self, db: Driver) -> None:
        inside = [("a",), ("a", "b"), ("a", "b", "c")]
        outside = [("ab",), ("b", "a"), ("A",), ("a-",), ("a/",)]
        for namespace in (*inside, *outside):
            db(Put(namespace, "1", doc={}, text="word"), Put(namespace, "2"))
        assert db.one(DropTree(("a",))) == 6
        assert {record.namespace for record in db.everything()} == set(outside)
        assert len(db.one(Match((), "word"))) == len(outside)
        assert db.one(DropTree(("a",))) == 0

    def test_drop_tree_needs_no_record_at_its_root(self, db: Driver) -> None:
        db(Put(("a", "b", "c"), "1"), Put(("a", "d"), "1"))
        assert db.one(DropTree(("a", "b"))) == 1
        assert db.one(DropTree(("a",))) == 1
        assert db.everything() == []

    # CopyTree

    @needs("copies_trees")
    def test_copy_tree_copies_a_namespace_and_all_below(self, db: Driver) -> None:
        inside = [("a",), ("a", "b"), ("a", "b", "c")]
        for namespace in (*inside, ("ab",), ("b",), ("b", "x")):
            db(Put(namespace, "1", doc={"n": 1}, blob=b"x", text="word"), Put(namespace, "2"))
        (old,) = db(Get(("a", "b"), "1"))
        assert db.one(CopyTree(("a",), ("b",))) == 6
        copied = [("b",), ("b", "b"), ("b", "b", "c")]
        assert {record.namespace for record in db.everything()} == {*inside, *copied, ("ab",)}
        (new, same) = db(Get(("b", "b"), "1"), Get(("a", "b"), "1"))
        assert same == old
        assert (new.doc, new.blob, new.text) == (old.doc, old.blob, old.text)
        assert new.version > old.version
        assert len(db.one(Match((), "word"))) == 7
        assert len(db.one(Match(("b",), "word"))) == 3
        assert db.one(CopyTree(("nowhere",), ("b",))) == 0
        assert len(db.one(Match((), "word"))) == 4

    @needs("copies_trees")
    def test_copies_and_originals_share_nothing(self, db: Driver) -> None:
        db(Put(("a", "b"), "1", doc={"n": 1}, text="old"))
        db.one(CopyTree(("a",), ("c",)))
        db(Put(("a", "b"), "1", doc={"n": 2}, text="new"), Put(("c", "b"), "2", text="more"))
        assert [record.doc for record in db(Get(("c", "b"), "1"), Get(("a", "b"), "1"))] == [
            {"n": 1},
            {"n": 2},
        ]
        assert [hit.record.namespace for hit in db.one(Match((), "old"))] == [("c", "b")]
        db.one(DropTree(("a",)))
        assert db.one(Match((), "new")) == []
        assert len(db.one(Scan(("c", "b")))) == 2

    @needs("copies_trees")
    @needs("compare_and_set")
    @needs("atomic_batch")
    def test_a_copy_is_of_its_batch(self, db: Driver) -> None:
        db(Put(("a",), "1", doc={"n": 1}), Put(("b",), "old"))
        with pytest.raises(ExpectationFailed):
            db(CopyTree(("a",), ("b",)), Check(("a",), "1", ABSENT))
        assert [record.key for record in db.one(Scan(("b",)))] == ["old"]
        results = db(
            Put(("a",), "2"),
            CopyTree(("a",), ("b",)),
            Put(("b",), "1", doc={"n": 2}),
            Scan(("b",)),
        )
        assert results[1] == 2
        assert [(record.key, record.doc) for record in results[3]] == [("1", {"n": 2}), ("2", None)]

    @needs("copies_trees")
    def test_expired_records_are_not_copied(self, db: Driver) -> None:
        now = db.clock.micros
        db(Put(("a",), "gone", expires_at=now), Put(("a",), "soon", expires_at=now + 1))
        assert db.one(CopyTree(("a",), ("b",))) == 1
        assert [record.expires_at for record in db.one(Scan(("b",)))] == [now + 1]

    @needs("copies_trees")
    def test_copies_that_cannot_be(self, db: Driver) -> None:
        db(Put(("a",), "1"), Put(("a", "b"), "1"))
        for source, target in (
            (("a",), ("a",)),
            (("a",), ("a", "b")),
            (("a", "b"), ("a",)),
            (("sessions",), ("a",)),
            (("a",), ("~t", "sessions")),
            (("~t",), ("a",)),
        ):
            with pytest.raises(InvalidKey):
                db(CopyTree(source, target))
        assert len(db.everything()) == 2

    # Patch

    def test_patch_sets_raises_and_adds(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={"a": 1, "b": {"c": 1}, "m": 5, "n": 5}, blob=b"x", text="t"))
        before = db.get(NS, "k")
        db.clock.advance(1)
        version = db.one(
            Patch(
                NS,
                "k",
                set={"b": {"d": None}, "new": [1]},
                maximum={"m": 7, "fresh": 3},
                increment={"n": 2, "more": 4},
            )
        )
        doc = {"a": 1, "b": {"d": None}, "new": [1], "m": 7, "fresh": 3, "n": 7, "more": 4}
        assert db.get(NS, "k") == before._replace(
            doc=doc, version=version, updated_at=db.clock.micros
        )

    def test_patch_maximum_never_lowers(self, db: Driver) -> None:
        for stored, value, wanted in (
            (5, 3, 5),
            (5, 5, 5),
            (0, -5, 0),
            (-5, -3, -3),
            (-5, 0, 0),
            (None, -5, -5),
            (2**63, 1, 2**63),
        ):
            db.one(Put(NS, "k", doc={"m": stored}))
            db.one(Patch(NS, "k", maximum={"m": value}))
            assert same_json(db.get(NS, "k").doc, {"m": wanted}), (stored, value)

    def test_patch_increment_is_exact(self, db: Driver) -> None:
        for stored, value, wanted in (
            (None, 3, 3),
            (0, -3, -3),
            (2**53, 1, 2**53 + 1),
            (2**63 - 1, 1, 2**63),
        ):
            db.one(Put(NS, "k", doc={"n": stored}))
            db.one(Patch(NS, "k", increment={"n": value}))
            assert same_json(db.get(NS, "k").doc, {"n": wanted}), (stored, value)

    def test_patch_of_nothing_changes_nothing(self, db: Driver) -> None:
        assert db.one(Patch(NS, "k", set={"a": 1}, increment={"n": 1})) is None
        assert db.everything() == []

    def test_patch_makes_a_document_where_there_was_none(self, db: Driver) -> None:
        db.one(Put(NS, "k", blob=b"x"))
        db.one(Patch(NS, "k", set={"a": 1}))
        assert (db.get(NS, "k").doc, db.get(NS, "k").blob) == ({"a": 1}, b"x")

    # Nothing is shared

    def test_what_was_handed_in_may_be_changed_afterwards(self, db: Driver) -> None:
        doc: dict[str, Any] = {"list": [1], "dict": {"a": 1}}
        more: dict[str, Any] = {"list": [1]}
        db.one(Put(NS, "k", doc=doc))
        db.one(Patch(NS, "k", set={"more": more}))
        doc["list"].append(2)
        doc["dict"]["a"] = 2
        doc["new"] = 1
        more["list"].append(2)
        assert db.get(NS, "k").doc == {"list": [1], "dict": {"a": 1}, "more": {"list": [1]}}

    def test_what_was_handed_out_may_be_changed(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={"list": [1], "dict": {"a": 1}}, text="word"))
        reads = (
            lambda: db.get(NS, "k"),
            lambda: db.one(Scan(NS))[0],
            lambda: db.one(Query(NS))[0],
            lambda: db.one(Match(NS, "word"))[0].record,
        )
        for read in reads:
            spoilt = read().doc
            assert spoilt is not None
            spoilt["list"].append(2)
            spoilt["dict"]["a"] = 2
            spoilt["new"] = 1
            for again in reads:
                assert again().doc == {"list": [1], "dict": {"a": 1}}
        one, other = db(Get(NS, "k"), Get(NS, "k"))
        one.doc["list"].append(2)
        assert other.doc["list"] == [1]
