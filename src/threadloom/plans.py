"""Plans: logic that yields batches of operations and never does I/O itself.

A plan is a generator. It yields a batch, is sent the batch's results, and returns its own
result at the end; an error of the store is raised inside it, where it may be handled. So
every operation of Threadloom is written once and driven by `run` or by `arun`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from threadloom.errors import SessionConflict
from threadloom.keys import FENCE
from threadloom.ops import Check, ExpectationFailed, Op

T = TypeVar("T")
Batch = Sequence[Op]
Results = list[Any]


class Pause(NamedTuple):
    """Yielded by a plan that wants to wait; the result is an empty list."""

    seconds: float


class Outside(NamedTuple):
    """Yielded by a plan for work that is no store's, done outside of it: called, or awaited.

    What it returns is what the plan is sent; an error of it is raised inside the plan.
    """

    call: Callable[[], Results]
    acall: Callable[[], Awaitable[Results]]


Plan = Generator[Batch | Pause | Outside, Results, T]


class Executor(Protocol):
    """What a plan is driven over: the two methods of a store."""

    def execute(self, ops: Batch, /) -> Results: ...

    async def aexecute(self, ops: Batch, /) -> Results: ...


def run(plan: Plan[T], store: Executor) -> T:
    """Drive a plan on the calling thread."""
    try:
        step = next(plan)
        while True:
            try:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    results: Results = []
                elif isinstance(step, Outside):
                    results = step.call()
                else:
                    results = store.execute(step)
            except Exception as error:
                step = plan.throw(error)
            else:
                step = plan.send(results)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        plan.close()


async def arun(plan: Plan[T], store: Executor) -> T:
    """Drive a plan on the running event loop."""
    try:
        step = next(plan)
        while True:
            try:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    results: Results = []
                elif isinstance(step, Outside):
                    results = await step.acall()
                else:
                    results = await store.aexecute(step)
            except Exception as error:
                step = plan.throw(error)
            else:
                step = plan.send(results)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        plan.close()


def check_fence(error: ExpectationFailed) -> None:
    """Tell a failed expectation about a turn from others, which looking again may mend.

    Raises:
        SessionConflict: the turn is over that the write belongs to.
    """
    if isinstance(error.op, Check) and error.op.key == FENCE:
        raise SessionConflict(
            "the turn that this write belongs to has ended or was taken over; nothing was written"
        ) from None


_TRIES = 400
_LONGEST_PAUSE = 0.02


def retrying(attempt: Callable[[], Plan[T]]) -> Plan[T]:
    """A plan that starts `attempt` afresh whenever somebody else was faster.

    `attempt` reads what it needs and writes with expectations; a `ExpectationFailed` that it
    lets through means that what it read is stale. Waits a random while, growing up to 20 ms,
    between tries.

    Raises:
        SessionConflict: after 400 tries, or at once where a turn is over that the write
            belongs to.
    """
    for number in range(_TRIES):
        try:
            return (yield from attempt())
        except ExpectationFailed as error:
            check_fence(error)
            if number == _TRIES - 1:
                raise
            if number:
                bound = min(_LONGEST_PAUSE, 0.0005 * 2 ** min(number, 6))
                yield Pause(random.uniform(0, bound))  # noqa: S311
    raise AssertionError("unreachable")
