"""The store within: how it may be called, and what the wrappers of one object share."""

from __future__ import annotations

import asyncio
import threading
import uuid
import weakref
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from langgraph.store.base import BaseStore, PutOp
from langgraph.store.base import Op as InnerOp
from langgraph.store.base.batch import AsyncBatchedBaseStore

from threadloom.errors import StoreUnavailable, ThreadloomError, UnsupportedByStore
from threadloom.plans import Batch, Results
from threadloom.stores import forking
from threadloom.stores.langgraph import layout
from threadloom.stores.langgraph.batches import Batches
from threadloom.stores.langgraph.reading import Inner, damaged
from threadloom.stores.langgraph.turnstile import Turnstile
from threadloom.stores.langgraph.writing import Claim
from threadloom.stores.waiting import settled

T = TypeVar("T")

MEMORY: Final = "langgraph.store.memory.InMemoryStore"
"""It does no I/O, and nobody but this process has its data."""
AT_ONCE: Final = frozenset(
    {
        MEMORY,
        "langgraph.store.sqlite.base.SqliteStore",
        "langgraph.store.sqlite.aio.AsyncSqliteStore",
    }
)
"""Stores that commit a batch as a whole. Of a class derived from one nothing is known."""
DURABLE: Final = (AT_ONCE - {MEMORY}) | {
    "langgraph.store.postgres.base.PostgresStore",
    "langgraph.store.postgres.aio.AsyncPostgresStore",
}

_MOST_READS = 1000
_LOOK = 0.5
"""Seconds after which a caller looks whether the loop that it waits for still runs."""
_TRIES = 100
_MOST_DAMAGE = 10

Work = Callable[[], Inner]


class AsyncOnly(Exception):
    """The store within has no synchronous side."""


class Shared:
    """What all wrappers of one store object have in common.

    Args:
        inner: the store within.

    Attributes:
        is_memory: whether it is LangGraph's store in memory.
    """

    def __init__(self, inner: BaseStore) -> None:
        kind = type(inner)
        name = f"{kind.__module__}.{kind.__qualname__}"
        self.inner = inner
        self.is_memory = name == MEMORY
        self.is_durable = name in DURABLE
        self.loop: asyncio.AbstractEventLoop | None = (
            inner._loop if isinstance(inner, AsyncBatchedBaseStore) else None
        )
        self.wrapper: weakref.ref[Any] | None = None
        self._at_once = name in AT_ONCE
        self._is_async_only = False
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()
        self._rests = False
        self._begin()
        forking.register(self)

    def _begin(self) -> None:
        claim = None if self.is_memory else Claim(uuid.uuid4().hex)
        self._batches = Batches(claim, self._at_once)
        self._turnstile = Turnstile()

    # Sync

    def execute(self, ops: Batch, now: int) -> Results:
        """Apply a batch from any thread, except the one of a store's own event loop."""
        return self._sync(partial(self._apply, ops, now))  # type: ignore[no-any-return]

    def damage(self) -> list[str]:
        """What is no record where only records should be; unknown where sync calls fail."""
        try:
            return self._sync(partial(damaged, _MOST_DAMAGE))  # type: ignore[no-any-return]
        except UnsupportedByStore:
            if self._is_async_only:
                return []
            raise

    def _apply(self, ops: Batch, now: int) -> Inner:
        return self._batches.apply(ops, now)

    def _sync(self, work: Work) -> Any:
        if self.loop is not None:
            return self._waited_for(self._on_its_loop(work))
        if self._is_async_only:
            raise self._no_sync()
        try:
            return self._run(work)
        except AsyncOnly as error:
            raise self._no_sync() from error.__cause__

    def _waited_for(self, future: Future[Any]) -> Any:
        """What comes of work on the store's own loop, as long as that runs."""
        assert self.loop is not None
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:
                if future.done():
                    raise
                if not self.loop.is_running():
                    raise StoreUnavailable(
                        f"the event loop of this {type(self.inner).__name__} has stopped in the "
                        "middle of a call; whether it was done is not known"
                    ) from None

    def _run(self, work: Work) -> Any:
        with self._turnstile.pass_through():
            return self._drive(work())

    def _drive(self, plan: Inner) -> Any:
        try:
            step = next(plan)
            while True:
                try:
                    answers = self._ask(step)
                except BaseException as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answers)
        except StopIteration as stop:
            return stop.value

    def _ask(self, ops: Sequence[InnerOp]) -> list[Any]:
        answers: list[Any] = []
        for some in _portions(ops):
            answers += self._checked(some, self._call(some))
        return answers

    def _call(self, ops: Sequence[InnerOp]) -> Any:
        for left in reversed(range(_TRIES)):
            try:
                return self.inner.batch(ops)
            except NotImplementedError as error:
                self._is_async_only = True
                raise AsyncOnly from error
            except RuntimeError as error:
                # Its owner adds a namespace on another thread, while a search goes through them.
                again = self.is_memory and not any(isinstance(op, PutOp) for op in ops)
                if not again or not left:
                    raise self._failed(error) from error
            except Exception as error:
                raise self._failed(error) from error
        raise AssertionError("unreachable")

    # Async

    async def aexecute(self, ops: Batch, now: int) -> Results:
        """Apply a batch from any event loop, which goes on meanwhile."""
        work = partial(self._apply, ops, now)
        running = asyncio.get_running_loop()
        if self.is_memory:
            return self._run(work)  # type: ignore[no-any-return]
        if self.loop is not None:
            if running is self.loop:
                return await settled(asyncio.ensure_future(self._arun(work)))
            return await settled(asyncio.wrap_future(self._on_its_loop(work)))
        if not self._is_async_only:
            try:
                return await settled(running.run_in_executor(self._threads(), self._run, work))
            except AsyncOnly:
                pass
        return await settled(asyncio.ensure_future(self._arun(work)))

    def _on_its_loop(self, work: Work) -> Future[Any]:
        assert self.loop is not None
        name = type(self.inner).__name__
        if _running_loop() is self.loop:
            raise UnsupportedByStore(
                f"a sync call on the event loop's own thread would wait for itself: this {name} "
                "belongs to that loop. Use the async methods there (ainvoke, aget_session, …), or "
                "call from another thread (asyncio.to_thread)"
            )
        if not self.loop.is_running():
            raise StoreUnavailable(
                f"the event loop that this {name} was made on does not run; make it on the loop "
                "that uses it, and keep that one running"
            )
        return _submit(self._arun(work), self.loop)

    async def _arun(self, work: Work) -> Any:
        async with self._turnstile.apass_through():
            return await self._adrive(work())

    async def _adrive(self, plan: Inner) -> Any:
        try:
            step = next(plan)
            while True:
                try:
                    answers = await self._aask(step)
                except BaseException as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answers)
        except StopIteration as stop:
            return stop.value

    async def _aask(self, ops: Sequence[InnerOp]) -> list[Any]:
        answers: list[Any] = []
        for some in _portions(ops):
            try:
                found = await self.inner.abatch(some)
            except Exception as error:
                raise self._failed(error) from error
            answers += self._checked(some, found)
        return answers

    def _threads(self) -> ThreadPoolExecutor:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "threadloom-langgraph")
            return self._pool

    # Errors

    def _checked(self, ops: Sequence[InnerOp], answers: Any) -> list[Any]:
        if not isinstance(answers, list) or len(answers) != len(ops):
            raise StoreUnavailable(
                f"{type(self.inner).__name__} did not answer each of {len(ops)} operations"
            )
        return answers

    def _failed(self, error: Exception) -> Exception:
        if isinstance(error, ThreadloomError):
            return error
        return StoreUnavailable(f"{type(self.inner).__name__}: {type(error).__name__}: {error}")

    def _no_sync(self) -> UnsupportedByStore:
        return UnsupportedByStore(
            f"{type(self.inner).__name__} works from an event loop only: use the async methods "
            "(ainvoke, aget_session, …)"
        )

    # Forks

    def before_fork(self) -> None:
        self._pool_lock.acquire()
        # Only memory is copied by a fork; what holds a connection is not to be used in a child.
        self._rests = self.is_memory and not self._turnstile.is_mine()
        if self._rests:
            self._resting = self._turnstile.pass_through()
            self._resting.__enter__()

    def after_fork_in_parent(self) -> None:
        if self._rests:
            self._resting.__exit__(None, None, None)
        self._pool_lock.release()

    def after_fork_in_child(self) -> None:
        self._pool_lock = threading.Lock()
        self._pool = None
        self._begin()


def _portions(ops: Sequence[InnerOp]) -> Any:
    """Reads in portions that every store can take; writes as they are."""
    if len(ops) <= _MOST_READS or any(isinstance(op, PutOp) for op in ops):
        return [ops]
    return layout.chunks(list(ops), _MOST_READS)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _submit(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> Future[T]:
    try:
        return asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError as error:
        work.close()
        raise StoreUnavailable(f"the event loop of the store has ended: {error}") from error


_shared: weakref.WeakValueDictionary[int, Shared] = weakref.WeakValueDictionary()
_shared_lock = threading.Lock()


def shared(inner: BaseStore) -> Shared:
    """What the wrappers of a store object share, for as long as there are any."""
    with _shared_lock:
        found = _shared.get(id(inner))
        if found is None:
            found = _shared[id(inner)] = Shared(inner)
        return found
