"""The port: what an engine must do, and the LangGraph store that follows from it.

An engine subclasses `Store` and implements `execute` and `aexecute`. It may assume that the
batches it gets are well formed (their namespaces and keys passed `threadloom.keys`), and it
keeps these promises, which `threadloom.testing.StoreContract` checks:

* a batch within one partition is applied all or nothing, in order, and is on its way to
  surviving as the engine documents when the call returns;
* a failed expectation raises `ExpectationFailed` and changes nothing;
* within a partition versions grow and are never used twice;
* namespaces, keys and documents may be of any length: an engine whose indexes are limited
  hashes what is too long for them;
* records come back as they were written, ordered by code points, and never shared;
* expired records are not seen by any read that does not ask for `expired` ones;
* a driver's error becomes one of `threadloom.errors`, with the driver's as its cause;
* any thread and any event loop may call either method, at any time, on one object.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from langgraph.store.base import BaseStore
from langgraph.store.base import Op as LangGraphOp
from langgraph.store.base import Result as LangGraphResult

from threadloom.basestore import batch_plan
from threadloom.clock import Clock, now_micros
from threadloom.closing import Closing
from threadloom.errors import InvalidKey
from threadloom.plans import Batch, Results, arun, run

OnOperation = Callable[[str, float, int, BaseException | None], object]
"""A hook that is told of every batch: ``hook(name, seconds, bytes, error)``. See `TracedStore`."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. Declared, never guessed.

    Attributes:
        atomic_batch: a batch within one partition is all or nothing.
        atomic_everywhere: a batch over several partitions is, too.
        compare_and_set: `expect` and `Check` are honoured.
        ordered_scan: `Scan` costs what it returns.
        indexed_filters: session listings by indexed fields cost what they return.
        full_text: `Match` uses an index.
        copies_trees: `CopyTree` works, and is faster than reading and writing the records.
        async_only: only `aexecute` works.
        durable: what was written survives the process.
        shared: several processes may use the same data at once.
    """

    atomic_batch: bool = True
    atomic_everywhere: bool = True
    compare_and_set: bool = True
    ordered_scan: bool = True
    indexed_filters: bool = True
    full_text: bool = True
    copies_trees: bool = True
    async_only: bool = False
    durable: bool = False
    shared: bool = False


class Store(Closing, BaseStore):
    """A namespaced record store: one batch of operations in, one list of results out.

    It is a LangGraph `BaseStore` as well (`put`, `get`, `search`, `delete`,
    `list_namespaces`, sync and async), so it can be passed to `compile(store=…)`. Through
    that interface the three reserved namespaces can be read where they are named, and never
    written.

    Args:
        clock: tells the time for times of records and their expiry; the system's by default.
    """

    capabilities: Capabilities = Capabilities()

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = clock

    @abstractmethod
    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch; one result an operation, in order.

        Raises:
            ExpectationFailed: an `expect` did not hold; nothing was changed.
            StoreUnavailable: the engine could not be reached or written.
            StoreClosed: the store was closed.
            CorruptRecord: a record that was to be read is damaged.
            UnsupportedByStore: the engine cannot do one of the operations.
        """

    @abstractmethod
    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute` for callers on an event loop; never blocks it for long.

        A cancelled write waits until its outcome is known, then raises `CancelledError`.
        """

    def now(self) -> int:
        """The store's time, in microseconds since the epoch."""
        return now_micros(self.clock)

    def file_bytes(self) -> int | None:
        """The size of the store's files; None where it has none that it knows of."""
        return None

    def damage(self) -> list[str]:
        """What the engine itself finds damaged in its files; it may have to read all of them."""
        return []

    def setup(self) -> None:
        """Do nothing: stores set themselves up. Here for code that calls it."""

    async def asetup(self) -> None:
        """Do nothing: stores set themselves up. Here for code that calls it."""

    def batch(self, ops: Iterable[LangGraphOp]) -> list[LangGraphResult]:
        """LangGraph's batch: all reads see the state before the batch's writes."""
        return run(batch_plan(ops), self)

    async def abatch(self, ops: Iterable[LangGraphOp]) -> list[LangGraphResult]:
        """`batch`, from an event loop."""
        return await arun(batch_plan(ops), self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} holds open resources and cannot be pickled")


def check_store(store: object) -> Store:
    """Return a Threadloom store.

    Raises:
        InvalidKey: it is something else, such as a URL; says what to do.
    """
    if isinstance(store, Store):
        return store
    raise InvalidKey(
        f"a Threadloom store is needed here, got {store!r:.80}; open_store(url) opens one"
    )
