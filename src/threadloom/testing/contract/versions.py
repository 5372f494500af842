"""Versions and expectations: what compare-and-set stands on."""

from __future__ import annotations

import pytest

from threadloom.errors import SessionConflict
from threadloom.ops import Check, Delete, Expect, ExpectationFailed, Get, Op, Patch, Put, Scan
from threadloom.testing.contract.base import ContractBase, needs
from threadloom.testing.driver import Driver

NS = ("notes",)


class VersionContract(ContractBase):
    """Versions grow, and expectations are kept."""

    def test_a_write_returns_the_version_that_reads_show(self, db: Driver) -> None:
        for write in (Put(NS, "k", doc={}), Put(NS, "k"), Patch(NS, "k", increment={"n": 1})):
            version = db.one(write)
            assert db.get(NS, "k").version == version
            assert db.one(Get(NS, "k", blob=False)).version == version
            assert db.one(Scan(NS))[0].version == version

    def test_versions_grow_with_every_write(self, db: Driver) -> None:
        versions = []
        for number in range(5):
            versions.append(db.one(Put(NS, "a", doc={"n": number})))
            versions.append(db.one(Put(NS, "b")))
            versions.append(db.one(Patch(NS, "a", increment={"n": 1})))
        assert versions == sorted(set(versions))

    def test_writing_the_same_again_makes_a_new_version(self, db: Driver) -> None:
        first = db.one(Put(NS, "k", doc={"a": 1}, text="t"))
        second = db.one(Put(NS, "k", doc={"a": 1}, text="t"))
        third = db.one(Patch(NS, "k"))
        assert first < second < third

    def test_versions_are_not_used_again_after_a_delete(self, db: Driver) -> None:
        seen = [db.one(Put(NS, "k", doc={}))]
        for _ in range(3):
            db.one(Delete(NS, "k"))
            seen.append(db.one(Put(NS, "k", doc={})))
        assert seen == sorted(set(seen))
        db(Delete(NS, "k"), Put(NS, "k"))
        assert db.get(NS, "k").version > seen[-1]

    def test_a_read_makes_no_new_version(self, db: Driver) -> None:
        version = db.one(Put(NS, "k", doc={}, text="word"))
        db(Get(NS, "k"), Scan(NS))
        db.found("word")
        db.one(Put(NS, "k", keep=True))
        assert db.get(NS, "k").version == version

    # Expectations

    @needs("compare_and_set")
    def test_expectations_that_hold(self, db: Driver) -> None:
        version = db.one(Put(NS, "k", doc={"n": 1}, expect="absent"))
        assert db.one(Check(NS, "k", version)) is None
        assert db.one(Check(NS, "k", "present")) is None
        assert db.one(Check(NS, "k", None)) is None
        assert db.one(Check(NS, "other", "absent")) is None
        assert db.one(Check(NS, "other", None)) is None
        version = db.one(Put(NS, "k", doc={"n": 2}, expect=version))
        version = db.one(Patch(NS, "k", set={"n": 3}, expect=version))
        version = db.one(Patch(NS, "k", set={"n": 4}, expect="present"))
        version = db.one(Put(NS, "k", doc={"n": 5}, expect="present"))
        assert db.get(NS, "k").doc == {"n": 5}
        assert db.one(Patch(NS, "other", set={"n": 1}, expect="absent")) is None
        assert db.one(Delete(NS, "other", expect="absent")) is False
        assert db.one(Delete(NS, "k", expect=version)) is True
        db.one(Put(NS, "k"))
        assert db.one(Delete(NS, "k", expect="present")) is True

    @needs("compare_and_set")
    def test_expectations_that_fail(self, db: Driver) -> None:
        old = db.one(Put(NS, "k", doc={"n": 1}))
        version = db.one(Put(NS, "k", doc={"n": 2}))
        before = db.everything()
        wrong: list[Op] = []
        expects: list[Expect] = ["absent", old, version + 1_000_000, 0]
        for expect in expects:
            wrong += [
                Put(NS, "k", doc={"n": 3}, expect=expect),
                Patch(NS, "k", set={"n": 3}, expect=expect),
                Delete(NS, "k", expect=expect),
                Check(NS, "k", expect),
            ]
        expects = ["present", version, 0]
        for expect in expects:
            wrong += [
                Put(NS, "none", doc={"n": 3}, expect=expect),
                Patch(NS, "none", set={"n": 3}, expect=expect),
                Delete(NS, "none", expect=expect),
                Check(NS, "none", expect),
                Check(("nowhere",), "none", expect),
            ]
        for op in wrong:
            with pytest.raises(ExpectationFailed) as caught:
                db.one(op)
            assert caught.value.op == op
            assert isinstance(caught.value, SessionConflict)
            assert db.everything() == before, op

    @needs("compare_and_set")
    def test_a_record_made_again_is_not_the_same(self, db: Driver) -> None:
        version = db.one(Put(NS, "k", doc={"n": 1}))
        db.one(Delete(NS, "k"))
        db.one(Put(NS, "k", doc={"n": 1}))
        for op in (Put(NS, "k", expect=version), Delete(NS, "k", expect=version)):
            with pytest.raises(ExpectationFailed):
                db.one(op)

    @needs("compare_and_set")
    def test_a_version_is_of_one_record_only(self, db: Driver) -> None:
        first = db.one(Put(NS, "a", doc={}))
        db.one(Put(NS, "b", doc={}))
        with pytest.raises(ExpectationFailed):
            db.one(Check(NS, "b", first))

    @needs("compare_and_set")
    @needs("atomic_batch")
    def test_expectations_are_looked_at_in_turn(self, db: Driver) -> None:
        db(
            Check(NS, "k", "absent"),
            Put(NS, "k", doc={"n": 1}, expect="absent"),
            Check(NS, "k", "present"),
            Delete(NS, "k", expect="present"),
            Put(NS, "k", doc={"n": 2}, expect="absent"),
        )
        assert db.get(NS, "k").doc == {"n": 2}
        with pytest.raises(ExpectationFailed):
            db(Delete(NS, "k"), Check(NS, "k", "present"))
        with pytest.raises(ExpectationFailed):
            db(Check(NS, "other", "present"), Put(NS, "other"))
