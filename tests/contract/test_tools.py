"""The tools of `threadloom.testing` by themselves: the clock, the faults, the driver."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from threadloom.clock import to_micros
from threadloom.errors import StoreClosed, StoreUnavailable
from threadloom.ops import ExpectationFailed, Get, Put
from threadloom.stores.memory import MemoryStore
from threadloom.testing import MODES, Driver, FaultyStore, FrozenClock, Mode

NS = ("notes",)


class TestFrozenClock:
    def test_it_stands_still(self) -> None:
        clock = FrozenClock()
        assert clock() == clock()
        assert clock().tzinfo is UTC
        assert clock.micros == to_micros(clock())

    def test_it_moves_when_told(self) -> None:
        clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))
        assert clock.advance(1.5) == datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
        assert clock.advance(timedelta(days=1)) == clock()
        assert clock() == datetime(2026, 1, 2, 0, 0, 1, 500_000, tzinfo=UTC)
        clock.advance(-0.5)
        clock.advance(timedelta(microseconds=-1))
        assert clock() == datetime(2026, 1, 2, 0, 0, 0, 999_999, tzinfo=UTC)
        assert "2026-01-02T00:00:00.999999" in repr(clock)

    def test_it_is_set_to_another_time(self) -> None:
        clock = FrozenClock()
        clock.set(datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
        assert clock() == datetime(2020, 1, 1, tzinfo=UTC)
        assert clock().tzinfo is UTC
        with pytest.raises(ValueError, match="time zone"):
            clock.set(datetime(2020, 1, 1))  # noqa: DTZ001
        with pytest.raises(ValueError, match="time zone"):
            FrozenClock(datetime(2020, 1, 1))  # noqa: DTZ001

    def test_threads_move_it_together(self) -> None:
        clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))

        def work() -> None:
            for _ in range(500):
                clock.advance(timedelta(microseconds=1))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clock() == datetime(2026, 1, 1, 0, 0, 0, 2_000, tzinfo=UTC)


def faulty(mode: Mode) -> tuple[FaultyStore, Driver]:
    store = FaultyStore(MemoryStore(clock=FrozenClock()))
    return store, Driver(store, mode, FrozenClock())


@pytest.mark.parametrize("mode", MODES)
class TestFaultyStore:
    def test_it_counts_batches_and_operations(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            db(Put(NS, "a"), Put(NS, "b"))
            db(Get(NS, "a"))
            with pytest.raises(ExpectationFailed):
                db(Put(NS, "a", expect="absent"))
            db.call("put", NS, "c", {})
        assert (store.batches, store.ops) == (4, 5)

    def test_it_fails_before_the_batch_is_applied(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            store.fail_next()
            assert store.armed == 1
            with pytest.raises(StoreUnavailable, match="before"):
                db(Put(NS, "k"))
            assert store.armed == 0
            assert db.one(Get(NS, "k")) is None
            assert store.batches == 2

    def test_it_fails_after_the_batch_is_applied(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            store.fail_next(after=True)
            with pytest.raises(StoreUnavailable, match="after"):
                db(Put(NS, "k"))
            assert db.one(Get(NS, "k")) is not None

    def test_it_fails_at_the_nth_batch_from_now(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            db(Put(NS, "0"))
            store.fail_next(2)
            store.fail_next(4, after=True)
            failed = []
            for number in range(1, 6):
                try:
                    db(Put(NS, str(number)))
                except StoreUnavailable:
                    failed.append(number)
            assert failed == [2, 4]
            assert [r.key for r in db.everything()] == ["0", "1", "3", "4", "5"]

    def test_it_can_be_disarmed(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            store.fail_next()
            store.fail_next(2)
            store.disarm()
            db(Put(NS, "k"))
            db(Put(NS, "k"))
        with pytest.raises(ValueError, match="counted from 1"):
            store.fail_next(0)

    def test_the_error_of_the_store_inside_comes_through(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            store.fail_next(after=True)
            with pytest.raises(ExpectationFailed):
                db(Put(NS, "k", expect="present"))

    def test_it_dawdles(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            for latency in (0.05, timedelta(milliseconds=50)):
                store.latency = latency
                start = time.monotonic()
                db(Put(NS, "k"))
                assert time.monotonic() - start >= 0.049

    def test_it_closes_the_store_inside(self, mode: Mode) -> None:
        store, db = faulty(mode)
        with db:
            store.close()
            for each in (store, store.inner):
                with pytest.raises(StoreClosed):
                    each.execute([Get(NS, "k")])


async def test_latency_does_not_block_the_loop() -> None:
    store = FaultyStore(MemoryStore(), latency=0.2)
    start = time.monotonic()
    await asyncio.gather(*(store.aexecute([Put(NS, str(number))]) for number in range(20)))
    assert time.monotonic() - start < 2.0
    assert len(store.inner.execute([Get(NS, str(number)) for number in range(20)])) == 20


class TestDriver:
    def test_across_writes_sync_and_reads_async(self) -> None:
        calls: list[str] = []

        class Noted(MemoryStore):
            def execute(self, ops: object, /) -> list[object]:  # type: ignore[override]
                calls.append("sync")
                return super().execute(ops)  # type: ignore[arg-type]

            async def aexecute(self, ops: object, /) -> list[object]:  # type: ignore[override]
                calls.append("async")
                return MemoryStore.execute(self, ops)  # type: ignore[arg-type]

        for mode, wanted in (
            ("sync", ["sync"] * 4),
            ("async", ["async"] * 4),
            ("across", ["sync", "async", "sync", "async"]),
        ):
            calls.clear()
            with Noted() as store, Driver(store, mode, FrozenClock()) as db:  # type: ignore[arg-type]
                db(Put(NS, "k", doc={}), Get(NS, "k"))
                db.get(NS, "k")
                db.call("put", NS, "k", {})
                db.call("get", NS, "k")
            assert calls == wanted

    def test_an_error_in_a_thread_is_raised(self) -> None:
        def work(db: Driver, number: int) -> int:
            if number == 2:
                raise LookupError("of a thread")
            return number

        with MemoryStore() as store, Driver(store, "sync", FrozenClock()) as db:
            with pytest.raises(LookupError, match="of a thread"):
                db.threads(3, work)
            assert db.threads(2, work) == [0, 1]
