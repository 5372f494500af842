"""Expiry: what has expired is gone for everybody but who asks for it."""

from __future__ import annotations

import pytest

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
    Renew,
    Scan,
)
from threadloom.testing.contract.base import ContractBase, needs
from threadloom.testing.driver import Driver

NS = ("notes",)
SESSIONS = ("sessions",)


def _expired(db: Driver) -> int:
    """A record `k` that has expired; returns its version."""
    now = db.clock.micros
    version = db.one(Put(NS, "k", doc={"n": 1}, blob=b"x", text="old words", expires_at=now + 10))
    db.clock.advance(1)
    return int(version)


class ExpiryContract(ContractBase):
    """A record lives until its `expires_at`, and not a microsecond longer."""

    def test_a_record_lives_until_it_expires(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={}, expires_at=db.clock.micros + 2_000_000))
        db.clock.advance(1.999_999)
        assert db.one(Get(NS, "k")) is not None
        db.clock.advance(0.000_001)
        assert db.one(Get(NS, "k")) is None

    def test_a_record_may_be_written_with_its_time_over(self, db: Driver) -> None:
        for expires_at in (db.clock.micros, db.clock.micros - 1, 0):
            assert type(db.one(Put(NS, "k", doc={}, expires_at=expires_at))) is int
            assert db.one(Get(NS, "k")) is None
            assert db.keys(Query(NS, expired=True)) == ["k"]
            assert db.one(Get(NS, "k", expired=True)).key == "k"

    def test_no_read_sees_what_has_expired(self, db: Driver) -> None:
        _expired(db)
        db.one(Put(("notes", "below"), "k", text="old words", expires_at=db.clock.micros))
        reads: list[tuple[Op, object]] = [
            (Get(NS, "k"), None),
            (Get(NS, "k", blob=False), None),
            (Scan(NS), []),
            (Scan(NS, reverse=True, limit=5), []),
            (Query(NS), []),
            (Query(NS, deep=True), []),
            (Query((), deep=True, filter={"n": 1}), []),
            (Count(NS), 0),
            (Count((), deep=True), 0),
            (Count(NS, filter={"n": 1}), 0),
            (Match(NS, "words"), []),
            (Match((), "old"), []),
            (ListNamespaces(), []),
            (ListNamespaces(NS), []),
        ]
        for op, nothing in reads:
            assert db.one(op) == nothing, op
        assert db(*(op for op, _ in reads)) == [nothing for _, nothing in reads]

    def test_the_expired_do_not_count_towards_limits(self, db: Driver) -> None:
        now = db.clock.micros
        for number in range(20):
            lives = number % 4 == 0
            db.one(
                Put(
                    NS,
                    f"{number:02}",
                    doc={"n": number},
                    text="word",
                    expires_at=None if lives else now + 1,
                )
            )
        db.clock.advance(1)
        living = ["00", "04", "08", "12", "16"]
        assert db.keys(Scan(NS, limit=3)) == living[:3]
        assert db.keys(Scan(NS, limit=2, reverse=True)) == ["16", "12"]
        assert db.keys(Query(NS, limit=3, offset=1)) == living[1:4]
        assert db.keys(Query(NS, order_by="n", descending=True, limit=2)) == ["16", "12"]
        assert db.found("word", limit=5) == living
        assert db.one(Count(NS)) == 5

    def test_the_expired_are_found_by_who_asks(self, db: Driver) -> None:
        version = _expired(db)
        db(Put(NS, "alive", doc={"n": 1}), Put(("notes", "below"), "b", doc={"n": 2}, expires_at=0))
        [record] = db.one(Query(NS, expired=True))
        assert (record.key, record.doc, record.blob) == ("k", {"n": 1}, None)
        assert (record.text, record.version) == ("old words", version)
        assert db.keys(Query(NS, deep=True, expired=True)) == ["k", "b"]
        assert db.keys(Query((), deep=True, expired=True, filter={"n": 2})) == ["b"]
        assert db.keys(Query((), deep=True, expired=True, order_by="n", descending=True)) == [
            "b",
            "k",
        ]
        assert db.one(Count(NS, expired=True)) == 1
        assert db.one(Count(NS, deep=True, expired=True)) == 2
        assert db.one(Count((), deep=True, expired=True, filter={"n": 2})) == 1
        assert db.one(Query(("nowhere",), deep=True, expired=True)) == []

    @needs("compare_and_set")
    def test_the_expired_are_absent(self, db: Driver) -> None:
        version = _expired(db)
        assert db.one(Check(NS, "k", "absent")) is None
        for expect in ("present", version):
            for op in (
                Check(NS, "k", expect),
                Put(NS, "k", expect=expect),
                Patch(NS, "k", expect=expect),
                Delete(NS, "k", expect=expect),
            ):
                with pytest.raises(ExpectationFailed):
                    db.one(op)
        assert db.keys(Query(NS, expired=True)) == ["k"]
        assert db.one(Put(NS, "k", doc={"n": 2}, expect="absent")) > version

    def test_overwriting_begins_a_new_life(self, db: Driver) -> None:
        version = _expired(db)
        assert db.one(Put(NS, "k", doc={"n": 2}, text="new")) > version
        record = db.get(NS, "k")
        assert record.created_at == record.updated_at == db.clock.micros
        assert (record.doc, record.blob, record.expires_at) == ({"n": 2}, None, None)
        assert (db.found("old"), db.found("new")) == ([], ["k"])
        assert db.one(Query(NS, expired=True)) == []

    def test_the_same_text_in_a_new_life_is_found(self, db: Driver) -> None:
        _expired(db)
        db.one(Put(NS, "k", text="old words"))
        assert db.found("old") == ["k"]

    def test_keep_writes_where_the_old_has_expired(self, db: Driver) -> None:
        _expired(db)
        assert db.one(Put(NS, "k", doc={"n": 2}, keep=True)) is not None
        record = db.get(NS, "k")
        assert (record.doc, record.created_at) == ({"n": 2}, db.clock.micros)

    def test_patch_does_not_revive(self, db: Driver) -> None:
        _expired(db)
        before = db.everything()
        assert db.one(Patch(NS, "k", set={"n": 2})) is None
        assert db.one(Patch(NS, "k", set={"n": 2}, expires_at=None)) is None
        assert db.one(Patch(NS, "k", expires_at=db.clock.micros + 10**9)) is None
        assert db.everything() == before

    def test_delete_removes_the_expired_and_says_false(self, db: Driver) -> None:
        _expired(db)
        assert db.one(Delete(NS, "k")) is False
        assert db.one(Count(NS, expired=True)) == 0

    def test_drop_tree_removes_the_expired_and_counts_the_living(self, db: Driver) -> None:
        _expired(db)
        db(Put(NS, "alive"), Put(("notes", "below"), "b", expires_at=0))
        assert db.one(DropTree(NS)) == 1
        assert db.one(Count((), deep=True, expired=True)) == 0

    def test_patch_leaves_moves_and_lifts_the_expiry(self, db: Driver) -> None:
        end = db.clock.micros + 1_000_000
        db.one(Put(NS, "k", doc={}, expires_at=end))
        db.one(Patch(NS, "k", set={"a": 1}))
        assert db.get(NS, "k").expires_at == end
        db.one(Patch(NS, "k", expires_at=end + 5))
        assert db.get(NS, "k").expires_at == end + 5
        db.one(Patch(NS, "k", expires_at=None))
        assert db.get(NS, "k").expires_at is None
        db.clock.advance(3600)
        assert db.get(NS, "k").doc == {"a": 1}
        db.one(Patch(NS, "k", expires_at=db.clock.micros))
        assert db.one(Get(NS, "k")) is None

    def test_patch_takes_the_life_of_a_record_from_its_document(self, db: Driver) -> None:
        now = db.clock.micros
        db.one(Put(NS, "k", doc={"life": 5_000_000}, expires_at=now + 1_000_000))
        db.one(Patch(NS, "k", set={"n": 1}, life="life"))
        assert db.get(NS, "k").expires_at == now + 5_000_000
        db.clock.advance(4)
        db.one(Patch(NS, "k", increment={"n": 1}, life="life"))
        assert db.get(NS, "k").expires_at == now + 9_000_000
        db.one(Patch(NS, "k", set={"life": 1_000_000}, life="life"))
        assert db.get(NS, "k").expires_at == now + 5_000_000
        db.one(Patch(NS, "k", set={"life": None}, life="life"))
        assert db.get(NS, "k").expires_at is None
        db.one(Patch(NS, "k", expires_at=now + 9_000_000))
        db.one(Patch(NS, "k", life="missing"))
        assert db.get(NS, "k").expires_at is None

    def test_renewing_lets_a_record_live_longer_and_changes_nothing_else(self, db: Driver) -> None:
        end = db.clock.micros + 10_000_000
        version = db.one(Put(NS, "k", doc={"n": 1}, blob=b"x", text="old words", expires_at=end))
        before = db.get(NS, "k")
        db.clock.advance(9)
        assert db.one(Renew(NS, "k", version, end + 5_000_000)) is True
        assert db.get(NS, "k") == before._replace(expires_at=end + 5_000_000)
        assert db.found("old") == ["k"]
        db.clock.advance(5.999_999)
        assert db.get(NS, "k").version == version
        db.clock.advance(0.000_001)
        assert db.one(Get(NS, "k")) is None

    def test_nothing_else_is_renewed(self, db: Driver) -> None:
        end = db.clock.micros + 10_000_000
        old = db.one(Put(NS, "k", doc={"n": 1}, expires_at=end))
        for earlier in (end, end - 1, 0):
            assert db.one(Renew(NS, "k", old, earlier)) is False
        new = db.one(Put(NS, "k", doc={"n": 2}, expires_at=end))
        assert db.one(Renew(NS, "k", old, end + 1)) is False
        assert db.one(Renew(NS, "nobody", new, end + 1)) is False
        assert db.one(Renew(("nowhere",), "k", new, end + 1)) is False
        forever = db.one(Put(NS, "forever", doc={}))
        assert db.one(Renew(NS, "forever", forever, end + 1)) is False
        assert db.get(NS, "forever").expires_at is None
        assert db.get(NS, "k").expires_at == end
        db.clock.advance(10)
        assert db.one(Renew(NS, "k", new, end + 10_000_000)) is False
        assert db.one(Get(NS, "k")) is None
        assert db.keys(Query(NS, expired=True)) == ["k"]

    def test_a_renewal_is_seen_by_the_rest_of_its_batch(self, db: Driver) -> None:
        end = db.clock.micros + 10
        version = db.one(Put(NS, "k", doc={}, expires_at=end))
        renewed = db(
            Renew(NS, "k", version, end + 5), Renew(NS, "k", version, end + 5), Get(NS, "k")
        )
        assert renewed[:2] == [True, False]
        assert renewed[2].expires_at == end + 5

    def test_time_that_steps_back_brings_nothing_half_back(self, db: Driver) -> None:
        _expired(db)
        assert db.found("old") == []
        db.clock.advance(-1)
        assert db.get(NS, "k").doc == {"n": 1}
        assert db.found("old") == ["k"]

    def test_sessions_that_have_expired_are_listed_only_as_such(self, db: Driver) -> None:
        now = db.clock.micros
        for number in range(6):
            doc = {"owner": "ana", "tags": ["t"], "created_at": number, "updated_at": 9 - number}
            expires_at = now + 1 if number % 2 else None
            db.one(Put(SESSIONS, f"s{number}", doc=doc, expires_at=expires_at))
        db.clock.advance(1)
        for order, sign in (("created_at", 1), ("updated_at", -1)):
            for filter in (None, {"owner": "ana"}, {"tags": {"$contains": ["t"]}}):
                live = Query(SESSIONS, filter=filter, order_by=order)
                assert db.keys(live) == ["s0", "s2", "s4"][::sign]
                assert db.keys(live._replace(limit=2)) == ["s0", "s2", "s4"][::sign][:2]
                gone = live._replace(expired=True)
                assert db.keys(gone) == ["s1", "s3", "s5"][::sign]
                assert db.keys(gone._replace(limit=1)) == ["s1", "s3", "s5"][::sign][:1]
        db.one(Put(SESSIONS, "s1", doc={"owner": "bo", "created_at": 7}))
        assert db.keys(Query(SESSIONS, order_by="created_at")) == ["s0", "s2", "s4", "s1"]
        assert db.keys(Query(SESSIONS, order_by="created_at", expired=True)) == ["s3", "s5"]
