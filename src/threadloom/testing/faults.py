"""`FaultyStore`: a store that fails and dawdles on demand."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

from threadloom.errors import StoreUnavailable
from threadloom.plans import Batch, Results
from threadloom.store import Store
from threadloom.wrappers.base import Wrapper


class FaultyStore(Wrapper):
    """Passes every batch on to another store, unless it was told to fail.

    While no fault is armed it behaves as the store inside, and passes `StoreContract`.

    Args:
        inner: the store that does the work; closing this one closes it.
        latency: how long every batch takes longer; an event loop is not blocked by it.

    Attributes:
        inner: the store inside.
        latency: may be changed at any time.
        batches: how many batches were asked for, failed ones included.
        ops: how many operations they had.
    """

    def __init__(self, inner: Store, *, latency: timedelta | float = 0.0) -> None:
        super().__init__(inner)
        self.latency = latency
        self.batches = 0
        self.ops = 0
        self._armed: dict[int, bool] = {}
        self._lock = threading.Lock()

    def fail_next(self, n: int = 1, *, after: bool = False) -> None:
        """Make the `n`-th batch from now raise `StoreUnavailable`; 1 is the very next.

        Can be called several times to make several batches fail.

        Args:
            n: which batch, counted from here.
            after: let the store inside apply the batch first, so that only the answer is
                lost, as when a connection breaks between commit and reply.
        """
        if n < 1:
            raise ValueError(f"batches are counted from 1, not {n}")
        with self._lock:
            self._armed[self.batches + n] = after

    def disarm(self) -> None:
        """Forget every fault that has not happened yet."""
        with self._lock:
            self._armed.clear()

    @property
    def armed(self) -> int:
        """How many faults have not happened yet."""
        with self._lock:
            return len(self._armed)

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch with the store inside, or fail. See `Store.execute`."""
        number, after = self._begin(ops)
        if self._seconds():
            time.sleep(self._seconds())
        if after is False:
            raise _lost(number, "before")
        results = self.inner.execute(ops)
        if after:
            raise _lost(number, "after")
        return results

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute`, from an event loop."""
        number, after = self._begin(ops)
        if self._seconds():
            await asyncio.sleep(self._seconds())
        if after is False:
            raise _lost(number, "before")
        results = await self.inner.aexecute(ops)
        if after:
            raise _lost(number, "after")
        return results

    def _begin(self, ops: Batch) -> tuple[int, bool | None]:
        with self._lock:
            self.batches += 1
            self.ops += len(ops)
            return self.batches, self._armed.pop(self.batches, None)

    def _seconds(self) -> float:
        latency = self.latency
        return latency.total_seconds() if isinstance(latency, timedelta) else latency


def _lost(number: int, when: str) -> StoreUnavailable:
    return StoreUnavailable(f"batch {number} fails {when} it is applied, as FaultyStore was told")
