"""`PostgresStore`: batches on pools, and the asynchronous side."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from langgraph.store.base import IndexConfig, TTLConfig
from psycopg_pool import ConnectionPool

from threadloom.clock import Clock
from threadloom.errors import StoreClosed
from threadloom.plans import Batch as Ops
from threadloom.plans import Results
from threadloom.store import Capabilities, Store
from threadloom.stores import forking
from threadloom.stores.shielding import Shield
from threadloom.stores.waiting import settled
from threadloom_postgres import writes
from threadloom_postgres.batches import Batch
from threadloom_postgres.driving import Work
from threadloom_postgres.options import Options, parse
from threadloom_postgres.places import Schema
from threadloom_postgres.pools import Pools, check_pool
from threadloom_postgres.rows import integer
from threadloom_postgres.wire import Statement


class PostgresStore(Store):
    """Keeps everything in one schema of a PostgreSQL database: many machines.

    Connects at first use, and makes schema and tables then. Needs no set-up call and no event
    loop. A batch is one transaction, nearly always one round trip. Inside ``async with`` the
    running event loop gets a pool of its own; elsewhere asynchronous calls go over threads.

    Args:
        url_or_pool: ``postgresql://…``, with libpq's options and those below behind ``?``; or a
            `psycopg_pool.ConnectionPool`, however it is set up, which stays its owner's.
        schema: the schema to keep the tables in; stores of different schemas share nothing.
        min_size: connections that are kept open.
        max_size: connections that there are at most.
        connect_timeout: seconds to wait for a connection to be made.
        pool_timeout: seconds to wait for a connection that others use.
        timeout: seconds to wait for the answer to one statement; then the connection is given up.
        create: whether to make schema and tables where they are missing.
        clock: tells the time for times of records and their expiry; the system's by default.
        index: for semantic search, see `Store`.
        ttl: how long items live, see `Store`.

    Raises:
        InvalidKey: the URL, an option, `index` or `ttl` makes no sense.
    """

    capabilities = Capabilities(durable=True, shared=True)

    def __init__(
        self,
        url_or_pool: str | ConnectionPool[Any],
        *,
        schema: str = Options().schema,
        min_size: int = Options().min_size,
        max_size: int = Options().max_size,
        connect_timeout: float = Options().connect_timeout,
        pool_timeout: float = Options().pool_timeout,
        timeout: float = Options().timeout,
        create: bool = True,
        clock: Clock | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__(clock=clock, index=index, ttl=ttl)
        given: dict[str, Any] = {
            **{"schema": schema, "min_size": min_size, "max_size": max_size},
            **{"connect_timeout": connect_timeout, "pool_timeout": pool_timeout},
            **{"timeout": timeout, "create": create},
        }
        if isinstance(url_or_pool, str):
            dsn, options = parse(url_or_pool, given)
            self._pools = Pools(dsn, None, options)
        else:
            options = Options(**given).checked()
            self._pools = Pools(None, check_pool(url_or_pool), options)
        # Less than the answer is waited for: nothing is done that has been given up.
        self._schema = Schema(options.schema, 0.8 * options.timeout)
        self._begins = False
        self._threads: ThreadPoolExecutor | None = None
        self._threads_of = 0
        self._threads_lock = threading.Lock()
        self._shield = Shield(self._pools.place)
        forking.register(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pools.place})"

    def execute(self, ops: Ops, /) -> Results:
        """Apply a batch in one transaction. See `Store.execute`."""
        return self._shield.run(lambda: self._pools.run(self._work(ops)))

    async def aexecute(self, ops: Ops, /) -> Results:
        """`execute`, on this loop's own pool inside ``async with``, otherwise on a thread."""
        if self._pools.is_native():
            task = asyncio.ensure_future(self._pools.arun(self._work(ops)))
            return await settled(task)
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor(), self.execute, ops)
        except RuntimeError as error:  # closed by somebody else just now
            raise StoreClosed(f"the store of {self._pools.place} was closed") from error
        return await settled(future)

    def file_bytes(self) -> int:
        """The size of the tables and their indexes."""

        def look() -> Work:
            statement = Statement()
            name = statement.text(self._schema.name)
            statement.sql = (
                "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 FROM pg_class c "
                f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {name} "
                "AND c.relkind IN ('r', 'S')"
            )
            result = yield statement
            return integer(result, 0, 0)

        return int(self._pools.run(look))

    def close(self) -> None:
        """Wait for asynchronous calls under way, then close what was opened here."""
        self._shield.close()
        self._pools.close()
        with self._threads_lock:
            threads, self._threads = self._threads, None
        if threads is not None and self._threads_of == os.getpid():
            threads.shutdown(wait=True)

    async def aopen(self) -> None:
        """Give the running event loop a pool of its own."""
        await self._pools.open_native()

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        await self._pools.close_native()
        await asyncio.to_thread(self.close)

    def before_fork(self) -> None:
        self._threads_lock.acquire()
        self._pools.before_fork()

    def after_fork_in_parent(self) -> None:
        self._pools.after_fork_in_parent()
        self._threads_lock.release()

    def after_fork_in_child(self) -> None:
        self._threads_lock = threading.Lock()
        self._pools.after_fork_in_child()

    def _work(self, ops: Ops) -> Any:
        def make() -> Work:
            begins = self._begins
            batch = Batch(self._schema, ops, self.now(), begins=begins)
            try:
                return (yield from batch.work())
            except psycopg.Error as error:
                if error.sqlstate != writes.ISOLATION or begins:
                    raise
                self._begins = True
            batch = Batch(self._schema, ops, self.now(), begins=True)
            return (yield from batch.work())

        return make

    def _executor(self) -> ThreadPoolExecutor:
        """Threads for asynchronous calls of loops that have no pool of their own."""
        with self._threads_lock:
            if self._pools.closed:
                raise StoreClosed(f"the store of {self._pools.place} was closed")
            if self._threads is None or self._threads_of != os.getpid():
                self._threads = ThreadPoolExecutor(self._pools.size, "threadloom-postgres")
                self._threads_of = os.getpid()
            return self._threads


def open_url(url: str, *, clock: Clock | None = None, create: bool = True) -> PostgresStore:
    """Open the store that a URL names, for `threadloom.open_store`."""
    return PostgresStore(url, clock=clock, create=create)
