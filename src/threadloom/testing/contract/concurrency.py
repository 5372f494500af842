"""Many at once: threads, event loops, and both on one store."""

from __future__ import annotations

import asyncio
import threading

from threadloom.ops import Check, Count, ExpectationFailed, Get, Match, Patch, Put, Query, Scan
from threadloom.testing.contract.base import ContractBase, needs
from threadloom.testing.driver import Driver

NS = ("notes",)
THREADS = 8


class ConcurrencyContract(ContractBase):
    """One object, any thread, any event loop, at any time."""

    def test_increments_lose_nothing(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={"n": 0, "top": 0}))

        def work(own: Driver, number: int) -> list[int]:
            return [
                own.one(Patch(NS, "k", increment={"n": 1}, maximum={"top": 100 * number + turn}))
                for turn in range(20)
            ]

        versions = [version for own in db.threads(THREADS, work) for version in own]
        record = db.get(NS, "k")
        assert record.doc == {"n": THREADS * 20, "top": 100 * (THREADS - 1) + 19}
        assert len(set(versions)) == len(versions)
        assert record.version == max(versions)

    @needs("compare_and_set")
    def test_compare_and_set_loses_nothing(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={"n": 0}, expect="absent"))

        def work(own: Driver, number: int) -> int:
            failures = 0
            for _ in range(5):
                while True:
                    record = own.get(NS, "k")
                    doc = {"n": (record.doc or {})["n"] + 1}
                    try:
                        own.one(Put(NS, "k", doc=doc, expect=record.version))
                    except ExpectationFailed:
                        failures += 1
                    else:
                        break
            return failures

        db.threads(THREADS, work)
        assert db.get(NS, "k").doc == {"n": THREADS * 5}

    @needs("compare_and_set")
    def test_only_one_makes_a_record(self, db: Driver) -> None:
        db.one(Check(NS, "0", "absent"))

        def work(own: Driver, number: int) -> int:
            made = 0
            for turn in range(10):
                try:
                    own.one(Put(NS, str(turn), doc={"by": number}, expect="absent"))
                    made += 1
                except ExpectationFailed:
                    pass
            return made

        assert sum(db.threads(THREADS, work)) == 10

    def test_only_one_keeps(self, db: Driver) -> None:
        def work(own: Driver, number: int) -> int:
            puts = [Put(NS, str(turn), doc={"by": number}, keep=True) for turn in range(10)]
            return sum(own.one(put) is not None for put in puts)

        assert sum(db.threads(THREADS, work)) == 10

    def test_nobody_sees_half_a_batch(self, db: Driver) -> None:
        """Where batches are not atomic, every record by itself is whole all the same."""
        whole = db.store.capabilities.atomic_batch
        stop = threading.Event()
        db(Put(NS, "a", doc={"n": 0}), Put(NS, "b", doc={"n": 0}))

        def work(own: Driver, number: int) -> int:
            seen = 0
            if number < 2:
                try:
                    for turn in range(30):
                        doc = {"n": 100 * number + turn}
                        own(Put(NS, "a", doc=doc), Put(NS, "b", doc=doc))
                finally:
                    if number == 0:
                        stop.set()
                return 0
            while not (stop.is_set() and seen):
                one, other, both = own(Get(NS, "a"), Get(NS, "b"), Scan(NS))
                assert [record.key for record in both] == ["a", "b"]
                assert one.doc == other.doc == both[0].doc == both[1].doc or not whole
                seen += 1
            return seen

        assert all(db.threads(4, work)[2:])

    def test_search_finds_what_is_being_rewritten(self, db: Driver) -> None:
        stop = threading.Event()
        db.one(Put(NS, "k", text="word"))

        def work(own: Driver, number: int) -> None:
            if number == 0:
                try:
                    for turn in range(100):
                        own.one(Put(NS, "k", text=f"word w{turn}"))
                finally:
                    stop.set()
            while not stop.is_set():
                assert own.found("word") == ["k"]

        db.threads(3, work)

    def test_writers_of_different_records_do_not_meet(self, db: Driver) -> None:
        def work(own: Driver, number: int) -> None:
            for turn in range(10):
                session = {"owner": f"o{number}", "created_at": turn, "updated_at": turn}
                own(
                    Put(("sessions",), f"{number}-{turn}", doc=session),
                    Put(("memory", f"{number}-{turn}"), "1", text=f"word w{number}"),
                )
                assert len(own.one(Match((), f"w{number}", limit=99))) == turn + 1

        db.threads(THREADS, work)
        assert db.one(Count(("sessions",))) == THREADS * 10
        for number in range(THREADS):
            listing = Query(
                ("sessions",), filter={"owner": f"o{number}"}, order_by="created_at", limit=99
            )
            assert db.keys(listing) == [f"{number}-{turn}" for turn in range(10)]
        assert len(db.one(Match((), "word", limit=999))) == THREADS * 10

    def test_two_event_loops_in_two_threads(self, db: Driver) -> None:
        db.one(Put(NS, "k", doc={"n": 0}))

        async def many(number: int) -> list[int]:
            async def one(turn: int) -> int:
                [version, record] = await db.store.aexecute(
                    [Patch(NS, "k", increment={"n": 1}), Get(NS, "k")]
                )
                assert record.version == version
                await db.store.aexecute([Put((*NS, str(number)), str(turn), doc={})])
                return int(version)

            return await asyncio.gather(*(one(turn) for turn in range(25)))

        versions = db.threads(2, lambda own, number: own.run(many(number)))
        assert len(set(versions[0]) | set(versions[1])) == 50
        assert db.get(NS, "k").doc == {"n": 50}
        assert db.one(Count(NS, deep=True)) == 51

    def test_a_loop_that_has_closed_leaves_nothing_behind(self, db: Driver) -> None:
        for number in range(3):
            with Driver(db.store, db.mode, db.clock) as own:
                own.one(Put(NS, "k", doc={"n": number}))
                assert own.get(NS, "k").doc == {"n": number}
        assert db.get(NS, "k").doc == {"n": 2}

    def test_a_cancelled_write_is_whole_and_over(self, db: Driver) -> None:
        async def scenario() -> None:
            for turn in range(20):
                pair = [Put(NS, key, doc={"n": turn}) for key in ("a", "b")]
                task = asyncio.ensure_future(db.store.aexecute(pair))
                for _ in range(turn % 4):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                first = await db.store.aexecute([Get(NS, "a"), Get(NS, "b")])
                if db.store.capabilities.atomic_batch:
                    assert (first[0] and first[0].doc) == (first[1] and first[1].doc)
                if not task.cancelled():
                    assert first[0].doc == {"n": turn}
                second = await db.store.aexecute([Get(NS, "a"), Get(NS, "b")])
                assert second == first

        db.run(scenario())
        db.one(Put(NS, "a", doc={"n": "after"}))
        assert db.get(NS, "a").doc == {"n": "after"}
