"""Plans that have much to compute, driven beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from threadloom.plans import Batch, Executor, Outside, Pause, Plan, Results
from threadloom.stores.waiting import settled

T = TypeVar("T")
U = TypeVar("U")

_MANY = 64
"""So many records are opened on a thread of their own."""


async def arun_apart(plan: Plan[T], store: Executor) -> T:
    """`plans.arun`, with long lists of results handed over on another thread."""
    try:
        step = next(plan)
        while True:
            try:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    results: Results = []
                else:
                    assert not isinstance(step, Outside)  # these plans only ask their store
                    results = await store.aexecute(step)
            except Exception as error:
                step = plan.throw(error)
                continue
            if sum(len(result) for result in results if isinstance(result, list)) < _MANY:
                step = plan.send(results)
                continue
            found = await _finished(asyncio.to_thread(_sent, plan, results))
            if isinstance(found, _Returned):
                return found.value
            step = found
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        plan.close()


class _Returned(Generic[T]):
    """What a plan returned: a `StopIteration` cannot pass through a future."""

    def __init__(self, value: T) -> None:
        self.value = value


def _sent(plan: Plan[T], results: Results) -> Batch | Pause | Outside | _Returned[T]:
    try:
        return plan.send(results)
    except StopIteration as stop:
        return _Returned(stop.value)


async def _finished(work: Coroutine[Any, Any, U]) -> U:
    """Wait for a thread to its end, also when cancelled: a plan cannot be closed at work."""
    future = asyncio.ensure_future(work)
    return await settled(future)
