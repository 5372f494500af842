"""Connections to one SQLite file: opened when needed, shared, and closed before a fork.

SQLite keeps file locks by process, so a connection must not cross `os.fork`, not even
unused. `before_fork` therefore waits for the batches under way and closes everything; both
sides open anew at their next operation.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from threadloom.errors import StoreClosed, StoreUnavailable
from threadloom.stores import forking
from threadloom.stores.sqlite import schema

OLDEST_SQLITE = (3, 35, 0)
_IDLE_READERS = 4


class Connections:
    """One writer and some readers on one file.

    Args:
        path: the file; it is made if it is missing, its folder is not.
        synchronous: SQLite's `PRAGMA synchronous`, ``NORMAL`` or ``FULL``.
        busy_seconds: how long to wait for another process that writes.
    """

    def __init__(self, path: Path, *, synchronous: str, busy_seconds: float) -> None:
        self._renew()
        self.path = path
        self._synchronous = synchronous
        self._busy_seconds = busy_seconds
        self._closed = False
        self._identity: tuple[int, int] | None = None
        forking.register(self)

    def _renew(self) -> None:
        self._state = threading.Condition()
        self._write_lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._busy = 0
        self._forking = False
        self._writing_thread = 0

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading, the caller's alone."""
        connection = self._borrow()
        try:
            if connection is None:
                connection = self.open()
            yield connection
        except BaseException:
            self._give_back(connection, reuse=False)
            raise
        self._give_back(connection, reuse=True)

    @contextmanager
    def writer(self) -> Iterator[sqlite3.Connection]:
        """The connection for writing; one thread at a time has it.

        A transaction that is still open at the end, for whatever reason, is rolled back.
        """
        if self._writing_thread == threading.get_ident():
            raise StoreUnavailable(
                f"{self.path} is being written by this very thread: a signal handler cannot use "
                "a store that it has interrupted"
            )
        self._enter()
        try:
            with self._write_lock:
                self._writing_thread = threading.get_ident()
                try:
                    yield self._fresh_writer()
                except sqlite3.Error:
                    # Whatever state it is in, the next writer starts afresh.
                    broken, self._writer = self._writer, None
                    if broken is not None:
                        broken.close()
                    raise
                finally:
                    self._writing_thread = 0
                    if self._writer is not None and self._writer.in_transaction:
                        self._writer.rollback()
        finally:
            self._leave()

    def _fresh_writer(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreClosed(f"the store of {self.path} was closed")
        self._check_identity()
        if self._writer is None:
            self._writer = self.open()
        elif self._writer.in_transaction:
            self._writer.rollback()
        return self._writer

    def _check_identity(self) -> None:
        """The file is still the one that was opened first."""
        if self._identity is not None and self._identity != _identity(self.path):
            raise StoreUnavailable(
                f"{self.path} was deleted or replaced while it was open; close this store and "
                "open it again"
            )

    def close(self) -> None:
        """Wait for what is under way, then close every connection for good."""
        with self._state:
            self._closed = True
            self._rest()
            self._close_all()

    def __del__(self) -> None:
        # Forgotten rather than closed: nothing is under way any more.
        self._close_all()

    def before_fork(self) -> None:
        self._state.acquire()
        self._forking = True
        self._rest()
        self._close_all()

    def _rest(self) -> None:
        # Bounded, for an interrupt may come between counting a user in and counting it out.
        self._state.wait_for(lambda: self._busy == 0, timeout=self._busy_seconds + 5)

    def after_fork_in_parent(self) -> None:
        self._forking = False
        self._state.notify_all()
        self._state.release()

    def after_fork_in_child(self) -> None:
        self._renew()

    def open(self) -> sqlite3.Connection:
        """A new connection, its file prepared.

        Raises:
            StoreUnavailable: no folder, no permission, no database, or not ours.
            SchemaTooNew: a newer Threadloom wrote the file.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreUnavailable(
                f"SQLite {sqlite3.sqlite_version} is too old, 3.35 or newer is needed"
            )
        if not self.path.parent.is_dir():
            raise StoreUnavailable(f"the folder {self.path.parent} does not exist")
        if self.path.is_dir():
            raise StoreUnavailable(f"{self.path} is a folder, not a file")
        self._check_identity()
        try:
            schema.look_first(self.path)
            connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode=rwc",
                uri=True,
                timeout=self._busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            try:
                self._configure(connection)
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(
                f"{self.path} cannot be opened for reading and writing: {error}"
            ) from error
        self._identity = self._identity or _identity(self.path)
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA secure_delete = ON")
        schema.prepare(connection, self.path)  # before there is a log; see look_first
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            self._use_wal(connection)

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait here when several processes open a new file at once.
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            else:
                if mode == "wal":
                    return
                raise StoreUnavailable(
                    f"{self.path} is on a file system without shared memory (mode {mode!r}); "
                    "SQLite's write-ahead log needs a local disk"
                )
            time.sleep(0.01)

    def _enter(self) -> None:
        with self._state:
            self._state.wait_for(lambda: not self._forking)
            if self._closed:
                raise StoreClosed(f"the store of {self.path} was closed")
            self._busy += 1

    def _leave(self) -> None:
        with self._state:
            self._busy -= 1
            self._state.notify_all()

    def _borrow(self) -> sqlite3.Connection | None:
        self._enter()
        with self._state:
            return self._readers.pop() if self._readers else None

    def _give_back(self, connection: sqlite3.Connection | None, *, reuse: bool) -> None:
        with self._state:
            keep = reuse and not self._forking and len(self._readers) < _IDLE_READERS
            if connection is not None and keep:
                self._readers.append(connection)
            elif connection is not None:
                connection.close()
            self._busy -= 1
            self._state.notify_all()

    def _close_all(self) -> None:
        for connection in self._readers:
            connection.close()
        self._readers.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
