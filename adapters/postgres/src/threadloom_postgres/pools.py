"""Pools of connections: one for threads always, one for an event loop inside its `async with`.

A connection is looked at before it is used, without a round trip. One that the server ended is
replaced, and what is known not to have been done is done on a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg
from psycopg import pq
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout

from threadloom.errors import InvalidKey, StoreClosed, StoreUnavailable
from threadloom_postgres import failures
from threadloom_postgres.driving import Failed, Work, adrive, drive
from threadloom_postgres.options import Options, shown, without_jit
from threadloom_postgres.schema import prepare
from threadloom_postgres.wire import Statement, is_quiet

logger = logging.getLogger("threadloom.postgres")

Make = Callable[[], Work]
Pool: TypeAlias = "ConnectionPool[psycopg.Connection[Any]]"
AsyncPool: TypeAlias = "AsyncConnectionPool[psycopg.AsyncConnection[Any]]"

_TRIES = 40
_FRESH = 2
"""Times that what was not done is tried again on a fresh connection, or with another look at the
schema."""
_forked: list[object] = []
"""Pools that a fork brought along: their connections are the parent's."""


class Pools:
    """Runs work on connections of a server.

    Args:
        dsn: a connection string of libpq's, or None where a pool is given.
        pool: somebody's pool, which stays theirs.
        options: see there.
    """

    def __init__(self, dsn: str | None, pool: Pool | None, options: Options) -> None:
        self._dsn = dsn
        self._options = options
        self._given = pool
        self._given_to = os.getpid()
        self._closed = False
        self.place = (
            f"{shown(dsn) if dsn is not None else 'a pool of PostgreSQL'}, "
            f"schema {options.schema!r}"
        )
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._native: tuple[asyncio.AbstractEventLoop, AsyncPool] | None = None
        self._ready = False

    @property
    def size(self) -> int:
        """How many connections there are at most."""
        return self._options.max_size if self._given is None else self._given.max_size

    @property
    def closed(self) -> bool:
        return self._closed

    def is_native(self) -> bool:
        """Whether the running event loop has a pool of its own."""
        return self._native is not None and self._native[0] is asyncio.get_running_loop()

    # On threads

    def run(self, make: Make) -> Any:
        """Do work on a connection, again where that is safe.

        Raises:
            StoreUnavailable: it could not be done, or its outcome is not known.
        """
        attempt = _Attempts(self)
        while True:
            connection = self._take()
            try:
                return self._on(connection.pgconn, make)
            except Failed as error:
                attempt.failed(error)
            except psycopg.Error as error:
                pause = attempt.refused(error)
                if pause:
                    time.sleep(pause)
            finally:
                self._give_back(connection)

    def _on(self, connection: pq.abc.PGconn, make: Make) -> Any:
        seconds = self._options.timeout
        encoding = connection.parameter_status(b"client_encoding") or b"UTF8"
        if encoding != b"UTF8":
            drive(connection, _setting("UTF8"), seconds)
        if not self._ready:
            drive(connection, self._prepare(), seconds)
            self._ready = True
        try:
            return drive(connection, make(), seconds)
        finally:
            if encoding != b"UTF8" and connection.status == pq.ConnStatus.OK:
                try:
                    drive(connection, _setting(encoding.decode()), seconds)
                except (
                    Failed,
                    psycopg.Error,
                ):  # the work has its outcome all the same
                    connection.finish()

    def _prepare(self) -> Work:
        return prepare(self._options.schema, self.place, create=self._options.create)

    def _take(self) -> psycopg.Connection[Any]:
        pool = self._opened()
        deadline = time.monotonic() + self._options.pool_timeout
        while True:
            try:
                connection = pool.getconn(max(0.0, deadline - time.monotonic()))
            except (PoolTimeout, PoolClosed) as error:
                raise self._unavailable(error) from error
            if is_quiet(connection.pgconn):
                return connection
            connection.close()
            pool.putconn(connection)

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        pool = self._given or self._pool
        if pool is not None:
            pool.putconn(connection)

    def _unavailable(self, error: psycopg.OperationalError) -> StoreUnavailable:
        if isinstance(error, PoolClosed):
            if self._given is None:
                return StoreClosed(f"the store of {self.place} was closed")
            return StoreUnavailable(f"{self.place}: the pool is not open; its owner opens it")
        seconds = self._options.pool_timeout
        return StoreUnavailable(
            f"{self.place}: no connection was to be had within {seconds:g} seconds; the server is "
            "down, or all connections are in use"
        )

    def _opened(self) -> Pool:
        if self._closed:
            raise StoreClosed(f"the store of {self.place} was closed")
        if self._given is not None:
            if self._given_to != os.getpid():
                raise StoreUnavailable(
                    f"{self.place}: the pool belongs to the process that this one was forked from; "
                    "make a pool and a store here, or open the store by its URL"
                )
            return self._given
        if self._pool is not None:
            return self._pool
        with self._lock:
            if self._closed:
                raise StoreClosed(f"the store of {self.place} was closed")
            if self._pool is None:
                self._pool = self._open()
            return self._pool

    def _open(self) -> Pool:
        pool: Pool = ConnectionPool(
            self._probed(),
            kwargs=_KWARGS,
            min_size=self._options.min_size,
            max_size=self._options.max_size,
            timeout=self._options.pool_timeout,
            open=False,
            name="threadloom",
            num_workers=2,
        )
        pool.open()
        return pool

    def _probed(self) -> str:
        """The connection string to use, once it has been seen to work.

        Tells at once what is wrong, where a pool would wait. Queries are not worth compiling (JIT);
        a pooler between does not let us say so when a connection begins.
        """
        assert self._dsn is not None
        error: psycopg.Error | None = None
        for dsn in (without_jit(self._dsn), self._dsn):
            try:
                psycopg.connect(dsn, autocommit=True).close()
                return dsn
            except psycopg.Error as refused:
                error = refused
                if "startup parameter" not in str(refused):
                    break
        raise failures.unreachable(self.place, error) from error

    # On an event loop

    def _may_be_native(self) -> bool:
        return self._given is None and not self._closed and self._native is None

    async def open_native(self) -> None:
        """Give the running event loop a pool of its own."""
        if not self._may_be_native():
            return
        pool: AsyncPool = AsyncConnectionPool(
            await asyncio.to_thread(self._probed),
            kwargs=_KWARGS,
            min_size=self._options.min_size,
            max_size=self._options.max_size,
            timeout=self._options.pool_timeout,
            open=False,
            name="threadloom-async",
            num_workers=2,
        )
        await pool.open()
        if not self._may_be_native():  # somebody else was faster
            await pool.close()
            return
        self._native = (asyncio.get_running_loop(), pool)

    async def arun(self, make: Make) -> Any:
        """`run`, on the loop that has a pool of its own.

        Raises:
            StoreClosed: it has none any more.
        """
        if self._native is None:
            raise StoreClosed(f"the store of {self.place} was closed")
        pool = self._native[1]
        attempt = _Attempts(self)
        while True:
            connection = await self._atake(pool)
            try:
                return await self._aon(connection.pgconn, make)
            except Failed as error:
                attempt.failed(error)
            except psycopg.Error as error:
                pause = attempt.refused(error)
                if pause:
                    await asyncio.sleep(pause)
            finally:
                await pool.putconn(connection)

    async def _aon(self, connection: pq.abc.PGconn, make: Make) -> Any:
        seconds = self._options.timeout
        if not self._ready:
            await adrive(connection, self._prepare(), seconds)
            self._ready = True
        return await adrive(connection, make(), seconds)

    async def _atake(self, pool: AsyncPool) -> psycopg.AsyncConnection[Any]:
        deadline = time.monotonic() + self._options.pool_timeout
        while True:
            try:
                connection = await pool.getconn(max(0.0, deadline - time.monotonic()))
            except (PoolTimeout, PoolClosed) as error:
                raise self._unavailable(error) from error
            if is_quiet(connection.pgconn):
                return connection
            await connection.close()
            await pool.putconn(connection)

    # The end

    def close(self) -> None:
        """Close what was opened here; what is under way is finished by whoever does it."""
        with self._lock:
            self._closed = True
            pool = self._pool
            native, self._native = self._native, None
        if pool is not None:
            pool.close()
        if native is not None and not native[0].is_closed():
            loop, theirs = native
            with contextlib.suppress(RuntimeError):  # it ends just now, and its pool with it
                loop.call_soon_threadsafe(lambda: loop.create_task(theirs.close()))

    async def close_native(self) -> None:
        """Close the pool of the running event loop, if it has one."""
        if self._native is not None and self.is_native():
            native, self._native = self._native, None
            await native[1].close()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        _forked.extend(held for held in (self._pool, self._native) if held is not None)
        self._renew()

    def look_anew(self) -> None:
        """Look at the schema before anything else is done: it is not as it was."""
        self._ready = False


_KWARGS: dict[str, Any] = {
    "autocommit": True,
    "client_encoding": "UTF8",
    "prepare_threshold": None,
}


class _Attempts:
    """What has been tried of one piece of work."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._fresh = 0
        self._refused = 0
        self._missed = 0

    def failed(self, error: Failed) -> None:
        """A connection failed: return where the work is to be tried on a fresh one."""
        if not error.unknown and not error.slow and self._fresh < _FRESH:
            self._fresh += 1
            return
        place, seconds = self._pools.place, self._pools._options.timeout
        raise failures.unanswered(
            place, seconds if error.slow else None, writes=error.unknown
        ) from (error.__cause__ or error)

    def refused(self, error: psycopg.Error) -> float:
        """The server refused it: how many seconds to wait before it is tried again."""
        self._refused += 1
        if self._refused < _TRIES and failures.is_transient(error):
            return random.uniform(0, min(0.02, 0.001 * 2**self._refused))  # noqa: S311
        if isinstance(error, failures.MISSING) and self._missed < _FRESH:
            self._missed += 1
            self._pools.look_anew()
            return 0.0
        raise failures.translated(error, self._pools.place) from error


def _setting(encoding: str) -> Work:
    statement = Statement()
    statement.sql = f"SELECT set_config('client_encoding', {statement.text(encoding)}, false)"
    yield statement


def check_pool(pool: object) -> Pool:
    """Return what is given if it is a pool that can be used.

    Raises:
        InvalidKey: it is something else; says what to give.
    """
    if isinstance(pool, ConnectionPool):
        return pool
    if isinstance(pool, AsyncConnectionPool):
        raise InvalidKey(
            "an AsyncConnectionPool belongs to one event loop, and a store is used from any: give "
            "PostgresStore the URL (inside `async with store` the loop gets a pool of its own), or "
            "a ConnectionPool"
        )
    raise InvalidKey(
        "PostgresStore takes a URL, postgresql://…, or a psycopg_pool.ConnectionPool, got "
        f"{type(pool).__name__}"
    )
