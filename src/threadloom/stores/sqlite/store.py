"""`SQLiteStore`: transactions, errors and the asynchronous side."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from langgraph.store.base import IndexConfig, TTLConfig

from threadloom.clock import Clock
from threadloom.errors import (
    CorruptRecord,
    InvalidKey,
    SchemaTooNew,
    StoreClosed,
    StoreUnavailable,
    UnsupportedByStore,
)
from threadloom.ops import WRITES, Match, Namespace, Reclaim, Scan
from threadloom.plans import Batch, Results
from threadloom.store import Capabilities, Store
from threadloom.stores import forking
from threadloom.stores.sqlite import points, schema, search
from threadloom.stores.sqlite.connections import Connections
from threadloom.stores.sqlite.places import Numbers
from threadloom.stores.sqlite.statements import Transaction
from threadloom.stores.waiting import settled

_READ_THREADS = 4
_MOST_NAMESPACES = 4096
_MOST_DAMAGE = 10
"""Findings of SQLite's own check that are told."""
_SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}


class SQLiteStore(Store):
    """Keeps everything in one SQLite file: one machine, any number of threads and processes.

    Needs no set-up call and no event loop. A batch is one transaction. Survives `os.fork`.

    Args:
        path: the file. It is made if it is missing; its folder must exist.
        durability: ``"normal"`` survives a killed process, ``"full"`` a power cut as well
            (each write waits for the disk).
        busy_timeout: seconds to wait for another process that writes.
        clock: tells the time for times of records and their expiry; the system's by default.
        index: for semantic search, see `Store`.
        ttl: how long items live, see `Store`.

    Raises:
        InvalidKey: `durability`, `index` or `ttl` makes no sense.
        StoreUnavailable: the folder is missing, the file cannot be opened, is no SQLite
            database, or belongs to another program.
        SchemaTooNew: a newer Threadloom wrote the file.
    """

    capabilities = Capabilities(durable=True, shared=True)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Literal["normal", "full"] = "normal",
        busy_timeout: float = 30.0,
        clock: Clock | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__(clock=clock, index=index, ttl=ttl)
        if durability not in _SYNCHRONOUS:
            raise InvalidKey(f"durability is 'normal' or 'full', not {durability!r}")
        self.path = Path(path).absolute()
        self._connections = Connections(
            self.path, synchronous=_SYNCHRONOUS[durability], busy_seconds=busy_timeout
        )
        self._threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None
        self._threads_of = 0
        self._threads_lock = threading.Lock()
        self._namespaces: dict[Namespace, int | None] = {}
        self._last_seq = -1
        forking.register(self)
        self._connections.read(lambda connection: None)  # tells at once what is wrong with it

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch in one transaction. See `Store.execute`."""
        return self._execute(ops, time.monotonic())

    def _execute(self, ops: Batch, since: float) -> Results:
        try:
            if any(isinstance(op, WRITES) for op in ops):
                return self._write(ops, since)
            results = self._read(ops)
            # The index was behind: look again where it can be fed, and in one moment.
            return self._write(ops, since) if results is None else results
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute` on one of the store's own threads."""
        try:
            future = asyncio.get_running_loop().run_in_executor(
                self._pool(ops), self._execute, ops, time.monotonic()
            )
        except RuntimeError as error:  # closed by somebody else just now
            raise StoreClosed(f"the store of {self.path} was closed") from error
        return await settled(future)

    def file_bytes(self) -> int:
        """The size of the file and of its write-ahead log."""
        names = (self.path, Path(f"{self.path}-wal"))
        return sum(name.stat().st_size for name in names if name.exists())

    def damage(self) -> list[str]:
        """What SQLite finds damaged in the file, its search index included."""

        def look(connection: sqlite3.Connection) -> list[str]:
            try:
                rows = connection.execute(f"PRAGMA integrity_check({_MOST_DAMAGE})").fetchall()
                return [str(row[0]) for row in rows if row[0] != "ok"]
            except sqlite3.DatabaseError as error:
                return [str(error)]

        def look_at_search(connection: sqlite3.Connection) -> list[str]:
            try:
                connection.execute("INSERT INTO fts (fts) VALUES ('integrity-check')")
            except sqlite3.DatabaseError as error:
                return [f"the search index: {error}"]
            return []

        try:
            found = self._connections.read(look)
            return found or self._connections.write(look_at_search, time.monotonic())
        except (sqlite3.DatabaseError, CorruptRecord) as error:
            return [str(error)]

    def close(self) -> None:
        """Wait for what is under way, bring the search index up to date, close the file."""
        try:
            self._feed_search()
        except (StoreUnavailable, SchemaTooNew, sqlite3.Error):
            pass  # the texts stay in the file and are fed at the next search
        self._connections.close()
        with self._threads_lock:
            threads, self._threads = self._threads, None
        if threads is not None and self._threads_of == os.getpid():
            for pool in threads:
                pool.shutdown(wait=True)

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        await asyncio.to_thread(self.close)

    def before_fork(self) -> None:
        self._threads_lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._threads_lock.release()

    def after_fork_in_child(self) -> None:
        self._threads_lock = threading.Lock()

    def _read(self, ops: Batch) -> Results | None:
        searches = any(isinstance(op, Match) for op in ops)

        if points.are_reads(ops):
            return self._connections.read(
                lambda connection: points.read(connection, ops, self.now())  # type: ignore[arg-type]
            )

        if len(ops) == 1 and isinstance(ops[0], Scan):  # one statement sees one moment
            return self._connections.read(
                lambda connection: Transaction(connection, self.now()).apply_all(ops)
            )

        def work(connection: sqlite3.Connection) -> Results | None:
            connection.execute("BEGIN")
            try:
                if searches and search.waiting(connection):
                    return None
                return Transaction(connection, self.now()).apply_all(ops)
            finally:
                connection.execute("ROLLBACK")

        return self._connections.read(work)

    def _write(self, ops: Batch, since: float) -> Results:
        if any(isinstance(op, Reclaim) for op in ops):
            if len(ops) > 1:
                raise UnsupportedByStore("files are reclaimed by a batch of its own")
            return self._connections.write(search.reclaim, since)
        at_once = points.are_writes(ops)

        def work(connection: sqlite3.Connection) -> Results:
            results = self._write_at_once(connection, ops) if at_once else None
            return self._write_stepwise(connection, ops) if results is None else results

        return self._connections.write(work, since)

    def _write_at_once(self, connection: sqlite3.Connection, ops: Batch) -> Results | None:
        """A usual batch, where nobody wrote since this store did; otherwise None."""
        seq = self._last_seq
        batch = points.AtOnce(connection, self.now(), Numbers(connection, self._namespaces))
        results = batch.apply_all(ops, seq)  # type: ignore[arg-type]
        if results is not None:
            self._last_seq = batch.state.seq
        return results

    def _write_stepwise(self, connection: sqlite3.Connection, ops: Batch) -> Results:
        connection.execute("BEGIN IMMEDIATE")
        state = schema.state(connection, self.path)
        version = state.seq + 1
        # Nobody wrote since this store did: what it knew of namespaces holds.
        known = self._namespaces if state.seq == self._last_seq else {}
        self._namespaces = {}
        transaction = Transaction(connection, self.now(), Numbers(connection, known), state)
        results = transaction.apply_all(ops)
        schema.give_out(connection, version, transaction.tid)
        search.feed(connection, at_least=search.BACKLOG, at_most=search.BACKLOG)
        connection.execute("COMMIT")
        if len(known) <= _MOST_NAMESPACES:
            self._namespaces, self._last_seq = known, version
        return results

    def _feed_search(self) -> None:
        def feed(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            search.feed(connection)
            connection.execute("COMMIT")

        if self._connections.read(search.waiting):
            self._connections.write(feed, time.monotonic())

    def _pool(self, ops: Batch) -> ThreadPoolExecutor:
        """Threads for asynchronous calls: reads never queue behind writes that wait."""
        with self._threads_lock:
            if self._connections.closed:
                raise StoreClosed(f"the store of {self.path} was closed")
            if self._threads is None or self._threads_of != os.getpid():
                self._threads = (
                    ThreadPoolExecutor(_READ_THREADS, "threadloom-sqlite-read"),
                    ThreadPoolExecutor(1, "threadloom-sqlite-write"),
                )
                self._threads_of = os.getpid()
            return self._threads[any(isinstance(op, WRITES) for op in ops)]


def _translated(error: sqlite3.Error, path: Path) -> Exception:
    name = getattr(error, "sqlite_errorname", "") or ""
    # Text that is none has no code of SQLite's: Python finds it.
    is_torn = str(error).startswith("Could not decode to UTF-8")
    if is_torn or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return CorruptRecord(f"{path} is damaged: {error}")
    if name.startswith("SQLITE_READONLY"):
        return StoreUnavailable(f"{path} cannot be written: {error}")
    if name.startswith("SQLITE_FULL"):
        return StoreUnavailable(f"the disk of {path} is full; nothing was written")
    if name.startswith("SQLITE_BUSY"):
        return StoreUnavailable(f"{path} was locked by another process for too long: {error}")
    return StoreUnavailable(f"{path}: {error}")
