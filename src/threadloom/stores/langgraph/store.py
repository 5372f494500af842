"""`LangGraphStore`: whatever LangGraph calls a store, as an engine."""

from __future__ import annotations

import weakref

from langgraph.store.base import BaseStore, IndexConfig, TTLConfig

from threadloom.clock import Clock
from threadloom.errors import InvalidKey, StoreClosed, UnsupportedByStore
from threadloom.itemstore import ItemStore
from threadloom.ops import Reclaim
from threadloom.plans import Batch, Results
from threadloom.store import Capabilities, Store
from threadloom.stores.langgraph.inner import Shared, shared


class LangGraphStore(Store):
    """Keeps everything in another LangGraph store: ``InMemoryStore``, ``PostgresStore``, any.

    Every record is an item of that store, below the label ``threadloom``. Batches of all threads
    and event loops of this process go one after the other, so within the process everything
    holds that holds on other stores. LangGraph's interface has no conditional writes: only one
    store object may write at a time. If another process (or another object on the same data)
    begins to write, the writes of the first raise `UnsupportedByStore` from then on.

    A batch is written all or nothing: by one batch of the store where it is known that it
    commits one as a whole, and by way of a copy of the changes where it is not.

    Args:
        store: the store within; it stays its owner's to close.
        clock: tells the time for times of records and their expiry; the system's by default.
        index: for semantic search, see `Store`; an index of the store within is not used.
        ttl: how long items live, see `Store`.

    Raises:
        InvalidKey: it is no LangGraph store, or one of Threadloom's, which needs no wrapping;
            or `index` or `ttl` makes no sense.
    """

    def __init__(
        self,
        store: BaseStore,
        *,
        clock: Clock | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__(clock=clock, index=index, ttl=ttl)
        if not isinstance(store, BaseStore) or isinstance(store, ItemStore):
            raise InvalidKey(f"a LangGraph store of another kind is needed here, got {store!r:.80}")
        self._shared: Shared = shared(store)
        self._closed = False
        self.capabilities = Capabilities(
            ordered_scan=False,
            indexed_filters=False,
            full_text=False,
            durable=self._shared.is_durable,
        )

    @property
    def inner(self) -> BaseStore:
        """The store within."""
        return self._shared.inner

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch, all or nothing. See `Store.execute`."""
        self._check(ops)
        return self._shared.execute(ops, self.now())

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute`, from an event loop."""
        self._check(ops)
        return await self._shared.aexecute(ops, self.now())

    def damage(self) -> list[str]:
        """What lies below the label ``threadloom`` and is no record; reads all that is there."""
        return self._shared.damage()

    def close(self) -> None:
        """Let go of the store within, which stays open."""
        self._closed = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.inner).__name__})"

    def _check(self, ops: Batch) -> None:
        if self._closed:
            raise StoreClosed(f"this {self!r} was closed")
        if len(ops) > 1 and any(isinstance(op, Reclaim) for op in ops):
            raise UnsupportedByStore("files are reclaimed by a batch of its own")


def wrapped(store: BaseStore, clock: Clock | None = None) -> LangGraphStore:
    """A store object as an engine; without a clock always the same one, as long as it is used."""
    if clock is not None:
        return LangGraphStore(store, clock=clock)
    held = shared(store)
    known = held.wrapper() if held.wrapper is not None else None
    if known is None or known._closed:
        known = LangGraphStore(store)
        held.wrapper = weakref.ref(known)
    return known
