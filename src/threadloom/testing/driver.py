"""`Driver`: one store, used sync, async or across, by the same test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, get_args

import pytest
from langgraph.store.base import BaseStore

from threadloom.errors import UnsupportedByStore
from threadloom.ops import WRITES, Get, ListNamespaces, Match, Namespace, Op, Query, Record, Scan
from threadloom.plans import Results
from threadloom.store import Store
from threadloom.testing.clock import FrozenClock

T = TypeVar("T")
Mode = Literal["sync", "async", "across"]
"""How a store is used: `across` writes on the calling thread and reads on an event loop."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)


class Driver:
    """Applies batches to one store in one of the three ways.

    Where the store declares `async_only`, everything that would be called sync is first
    shown to be refused, and is then called async.

    Args:
        store: the store; it stays its owner's to close.
        mode: how to call it.
        clock: the clock that the store was opened with.
    """

    def __init__(self, store: Store, mode: Mode, clock: FrozenClock) -> None:
        self.store = store
        self.mode = mode
        self.clock = clock
        self._runner: asyncio.Runner | None = None

    def __call__(self, *ops: Op) -> Results:
        """Apply one batch."""
        if not self._is_async(writes=any(isinstance(op, WRITES) for op in ops)):
            if not self.store.capabilities.async_only:
                return self.store.execute(ops)
            with pytest.raises(UnsupportedByStore):
                self.store.execute(ops)
        return self.run(self.store.aexecute(ops))

    def one(self, op: Op) -> Any:
        """Apply a batch of one operation and return its result."""
        [result] = self(op)
        return result

    def get(self, namespace: Namespace, key: str) -> Record:
        """A record that must be there."""
        record = self.one(Get(namespace, key))
        assert isinstance(record, Record), f"{namespace}/{key!r} is not there"
        return record

    def keys(self, op: Scan | Query) -> list[str]:
        """The keys of what a `Scan` or a `Query` finds, in its order."""
        return [record.key for record in self.one(op)]

    def found(self, words: str, namespace: Namespace = (), limit: int = 50) -> list[str]:
        """The keys of what a `Match` finds, in alphabetical order."""
        return sorted(hit.record.key for hit in self.one(Match(namespace, words, limit)))

    def everything(self) -> list[Record]:
        """Every record of the store, live ones with their blobs, then the expired."""
        records: list[Record] = []
        for namespace in self.one(ListNamespaces()):
            records += self.one(Scan(namespace))
        return records + list(self.one(Query((), deep=True, expired=True)))

    def call(self, name: str, *args: Any, on: BaseStore | None = None, **options: Any) -> Any:
        """Call a method of LangGraph's interface, or its async twin; `on` a view of the store."""
        called = self.store if on is None else on
        if not self._is_async(writes=name in {"put", "delete"}):
            method = getattr(called, name)
            if not self.store.capabilities.async_only:
                return method(*args, **options)
            with pytest.raises(UnsupportedByStore):
                method(*args, **options)
        return self.run(getattr(called, "a" + name)(*args, **options))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on this driver's own event loop."""
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        return self._runner.run(coroutine)

    def threads(self, count: int, work: Callable[[Driver, int], T]) -> list[T]:
        """Run `work(driver, number)` in several threads at once, each with its own loop.

        Returns what they returned, in order; the first error is raised when all are done.
        """
        results: list[Any] = [None] * count
        errors: list[BaseException] = []
        start = threading.Barrier(count)

        def target(number: int) -> None:
            try:
                with Driver(self.store, self.mode, self.clock) as driver:
                    start.wait()
                    results[number] = work(driver, number)
            except BaseException as error:
                errors.append(error)

        workers = [threading.Thread(target=target, args=(number,)) for number in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if errors:
            raise errors[0]
        return results

    def close(self) -> None:
        """Close the event loop, if one was needed."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _is_async(self, *, writes: bool) -> bool:
        return self.mode == "async" or (self.mode == "across" and not writes)
