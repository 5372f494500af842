"""Plans: one generator, driven sync and async, with the errors thrown into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from threadloom import plans
from threadloom.errors import SessionConflict, StoreUnavailable
from threadloom.ops import Check, ExpectationFailed, Get, Op, Put
from threadloom.plans import Batch, Pause, Plan, Results, arun, retrying, run
from threadloom.stores.memory import MemoryStore
from threadloom.testing import FaultyStore

NS = ("notes",)
Drive = Callable[[Plan[Any], Any], Any]


def run_async(plan: Plan[Any], store: Any) -> Any:
    return asyncio.run(arun(plan, store))


drives = pytest.mark.parametrize("drive", [run, run_async], ids=["run", "arun"])


class Noted:
    """An executor that answers from a list and notes what it was asked, and how."""

    def __init__(self, *answers: Results | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[list[Op]] = []
        self.ways: list[str] = []

    def execute(self, ops: Batch, /) -> Results:
        self.ways.append("sync")
        return self._answer(ops)

    async def aexecute(self, ops: Batch, /) -> Results:
        self.ways.append("async")
        await asyncio.sleep(0)
        return self._answer(ops)

    def _answer(self, ops: Batch) -> Results:
        self.asked.append(list(ops))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ask(*keys: str) -> Plan[list[Any]]:
    """Ask for each key in a batch of its own."""
    found = []
    for key in keys:
        [result] = yield [Get(NS, key)]
        found.append(result)
    return found


@drives
def test_batches_go_out_in_order_and_results_come_in(drive: Drive) -> None:
    store = Noted([1], [2], [3])
    assert drive(ask("a", "b", "c"), store) == [1, 2, 3]
    assert store.asked == [[Get(NS, "a")], [Get(NS, "b")], [Get(NS, "c")]]
    assert set(store.ways) == {"sync" if drive is run else "async"}


@drives
def test_a_plan_may_ask_nothing(drive: Drive) -> None:
    store = Noted()
    assert drive(ask(), store) == []
    assert store.asked == []


def write_and_read(key: str) -> Plan[Any]:
    [version] = yield [Put(NS, key, doc={"a": 1}, expect="absent")]
    [record] = yield [Get(NS, key)]
    assert record.version == version
    return record.doc


def test_both_drive_the_same_plan_over_one_store() -> None:
    with MemoryStore() as store:
        assert run(write_and_read("a"), store) == run_async(write_and_read("b"), store)


@drives
def test_an_error_of_the_store_is_raised_inside_the_plan(drive: Drive) -> None:
    seen: list[BaseException] = []

    def plan() -> Plan[str]:
        try:
            yield [Get(NS, "a")]
        except StoreUnavailable as error:
            seen.append(error)
        [result] = yield [Get(NS, "b")]
        return f"went on with {result}"

    error = StoreUnavailable("gone")
    assert drive(plan(), Noted(error, ["b"])) == "went on with b"
    assert seen == [error]


@drives
def test_an_error_that_a_plan_does_not_handle_comes_out(drive: Drive) -> None:
    closed = []

    def plan() -> Plan[None]:
        try:
            yield [Get(NS, "a")]
        finally:
            closed.append(True)

    error = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable) as caught:
        drive(plan(), Noted(error))
    assert caught.value is error
    assert closed == [True]


@drives
def test_a_plan_may_raise_another_error_instead(drive: Drive) -> None:
    def plan() -> Plan[None]:
        try:
            yield [Put(NS, "a", expect="absent")]
        except ExpectationFailed as error:
            raise LookupError("taken") from error

    with MemoryStore() as store:
        store.execute([Put(NS, "a")])
        with pytest.raises(LookupError, match="taken") as caught:
            drive(plan(), store)
    assert isinstance(caught.value.__cause__, ExpectationFailed)


@drives
def test_an_error_of_the_plan_itself_comes_out(drive: Drive) -> None:
    def plan() -> Plan[None]:
        yield [Get(NS, "a")]
        raise ValueError("of the plan")

    with pytest.raises(ValueError, match="of the plan"):
        drive(plan(), Noted([None]))


async def test_a_cancelled_plan_is_closed() -> None:
    closed = []

    def plan() -> Plan[None]:
        try:
            yield [Get(NS, "a")]
        finally:
            closed.append(True)

    task = asyncio.ensure_future(arun(plan(), FaultyStore(MemoryStore(), latency=60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]


@drives
def test_a_pause_waits_and_asks_nothing(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def asleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(plans.time, "sleep", slept.append)
    monkeypatch.setattr(plans.asyncio, "sleep", asleep)

    def plan() -> Plan[Results]:
        return (yield Pause(1.5))

    store = Noted()
    assert drive(plan(), store) == []
    assert slept == [1.5]
    assert store.asked == []


# Trying again


def increment(key: str) -> Plan[int]:
    [record] = yield [Get(NS, key)]
    number = 0 if record is None else record.doc["n"]
    expect = "absent" if record is None else record.version
    yield [Put(NS, key, doc={"n": number + 1}, expect=expect)]
    return number + 1


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are noted, and not made."""
    noted: list[float] = []
    real = asyncio.sleep

    async def asleep(seconds: float) -> None:
        if seconds:
            noted.append(seconds)
        await real(0)

    monkeypatch.setattr(plans.time, "sleep", noted.append)
    monkeypatch.setattr(plans.asyncio, "sleep", asleep)
    return noted


@drives
def test_who_was_overtaken_reads_again(drive: Drive, pauses: list[float]) -> None:
    class Overtaken(MemoryStore):
        """Somebody else writes before each of the first three writes."""

        turns = 3

        def execute(self, ops: Batch, /) -> Results:
            if self.turns and isinstance(ops[0], Put):
                self.turns -= 1
                super().execute([Put(NS, "k", doc={"n": 10 * (3 - self.turns)})])
            return super().execute(ops)

    with Overtaken() as store:
        assert drive(retrying(lambda: increment("k")), store) == 31
    assert len(pauses) <= 2  # the first time it tries again at once
    assert all(0 <= pause <= 0.02 for pause in pauses)


@drives
def test_who_is_always_overtaken_gives_up(drive: Drive, pauses: list[float]) -> None:
    tries = []

    def attempt() -> Plan[None]:
        tries.append(True)
        yield [Check(NS, "k", "present")]

    with MemoryStore() as store, pytest.raises(SessionConflict) as caught:
        drive(retrying(attempt), store)
    assert isinstance(caught.value, ExpectationFailed)
    assert len(tries) == 400
    assert max(pauses) <= 0.02
    assert len(set(pauses)) > 100  # not in step with the others


@drives
def test_other_errors_are_not_tried_again(drive: Drive) -> None:
    store = FaultyStore(MemoryStore())
    for error in (StoreUnavailable, SessionConflict):
        tries: list[bool] = []

        def attempt(error: type[Exception] = error, tries: list[bool] = tries) -> Plan[None]:
            tries.append(True)
            yield [Get(NS, "k")]
            raise error("once")

        with pytest.raises(error, match="once"):
            drive(retrying(attempt), store)
        assert tries == [True]
    store.fail_next()
    with pytest.raises(StoreUnavailable):
        drive(retrying(lambda: increment("k")), store)
