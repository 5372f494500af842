"""`MemoryStore`: the whole port in this process's memory."""

from __future__ import annotations

import threading

from langgraph.store.base import IndexConfig, TTLConfig

from threadloom.clock import Clock
from threadloom.errors import StoreClosed, StoreUnavailable
from threadloom.plans import Batch, Results
from threadloom.store import Capabilities, Store
from threadloom.stores import forking
from threadloom.stores.spaces import Spaces
from threadloom.stores.working import Work


class MemoryStore(Store):
    """Keeps everything in memory: for tests and notebooks.

    Atomic over any batch, safe from any thread and any event loop, copied by `os.fork` like
    any other object. Nothing survives the process.

    Args:
        clock: tells the time for times of records and their expiry; the system's by default.
        index: for semantic search, see `Store`.
        ttl: how long items live, see `Store`.

    Raises:
        InvalidKey: `index` or `ttl` makes no sense.
    """

    capabilities = Capabilities(indexed_filters=False, full_text=False)

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__(clock=clock, index=index, ttl=ttl)
        self._spaces = Spaces()
        self._version = 0
        self._closed = False
        self._working_thread = 0
        self._work: Work | None = None
        self._lock = threading.Lock()
        forking.register(self)

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch, all or nothing. See `Store.execute`."""
        if self._working_thread == threading.get_ident() and self._lock.locked():
            raise StoreUnavailable(
                "this MemoryStore is at work in this very thread: a signal handler cannot use a "
                "store that it has interrupted"
            )
        with self._lock:
            if self._closed:
                raise StoreClosed("this MemoryStore was closed")
            self._working_thread = threading.get_ident()
            try:
                return self._apply(ops)
            finally:
                self._working_thread = 0

    def _apply(self, ops: Batch) -> Results:
        self._finish_undoing()
        self._work = work = Work(self._spaces, self.now(), self._version)
        try:
            results = [work.apply(op) for op in ops]
            self._version = work.version
            self._work = None
            return results
        except BaseException:
            self._finish_undoing()
            raise

    def _finish_undoing(self) -> None:
        """Take back a batch that failed; an interrupted undoing is begun again next time."""
        if self._work is not None:
            self._version = max(self._version, self._work.version)
            self._work.undo()
            self._work = None

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute`; memory needs no thread."""
        return self.execute(ops)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._work = None
            self._spaces = Spaces()

    def before_fork(self) -> None:
        # A fork in a signal handler that interrupted this store: the child finishes undoing.
        self._rests = self._working_thread != threading.get_ident() or not self._lock.locked()
        if self._rests:
            self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        if self._rests:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._working_thread = 0
