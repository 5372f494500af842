"""Connections to one SQLite file: opened when needed, shared, and closed before a fork.

SQLite keeps file locks by process, so a connection must not cross `os.fork`, not even
unused. `before_fork` therefore waits for the batches under way and closes everything; both
sides open anew at their next operation.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from threadloom.errors import StoreClosed, StoreUnavailable
from threadloom.stores import forking
from threadloom.stores.sqlite import schema

T = TypeVar("T")

OLDEST_SQLITE = (3, 38, 0)
_IDLE_READERS = 4
_LOG_PAGES = 2_000
"""So many pages of 4 KiB gather in the write-ahead log before they go into the file: 8 MB."""
_never_closed: list[sqlite3.Connection] = []
"""A writer that a fork caught at work: closed in the child it would spoil the parent's file."""


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
        self._gate = threading.Lock()
        self._write_lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._users: set[int] = set()
        self._resting = False
        self._gate_thread = 0
        self._writing_thread = 0
        self._blocked = False
        self._hurried = False

    # Work is handed in rather than connections handed out: between a context manager's last
    # line and the first of its caller an interrupt would leave the lock locked.

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` with a connection for reading, which is its alone."""
        connection: sqlite3.Connection | None = None
        whole = False
        try:
            self._enter()
            connection = self._idle_reader() or self.open()
            result = work(connection)
            whole = True
            return result
        finally:
            if connection is not None:
                self._give_back(connection, reuse=whole)
            self._leave()

    def write(self, work: Callable[[sqlite3.Connection], T], since: float) -> T:
        """Run `work` with the connection for writing; one thread at a time has it.

        A transaction that is still open at the end, for whatever reason, is rolled back.

        Args:
            work: what to do; begins and commits by itself.
            since: when the caller began to wait (`time.monotonic`). Where another process
                keeps the file locked, nobody waits longer than `busy_seconds` from there on.
        """
        if self._writing_thread == threading.get_ident() and self._write_lock.locked():
            raise StoreUnavailable(
                f"{self.path} is being written by this very thread: a signal handler cannot use "
                "a store that it has interrupted"
            )
        try:
            self._enter()
            with self._write_lock:
                self._writing_thread = threading.get_ident()
                try:
                    result = work(self._fresh_writer(since))
                    self._blocked = False
                    return result
                except sqlite3.Error as error:
                    # Whatever state it is in, the next writer starts afresh.
                    self._blocked = "BUSY" in (getattr(error, "sqlite_errorname", None) or "")
                    self._drop_writer()
                    raise
                finally:
                    self._writing_thread = 0
                    if self._writer is not None and self._writer.in_transaction:
                        self._writer.rollback()
                    if self._hurried:
                        self._hurried = False
                        self._drop_writer()
        finally:
            self._leave()

    def _fresh_writer(self, since: float) -> sqlite3.Connection:
        if self._closed:
            raise StoreClosed(f"the store of {self.path} was closed")
        self._check_identity()
        if self._writer is None:
            patience = self._patience(since)
            self._hurried = patience < self._busy_seconds
            self._writer = self.open(patience)
        elif self._writer.in_transaction:
            self._writer.rollback()
        return self._writer

    def _patience(self, since: float) -> float:
        """Seconds left to wait. Only after a wait in vain does time in the queue count."""
        if not self._blocked:
            return self._busy_seconds
        return max(0.0, self._busy_seconds - (time.monotonic() - since))

    def _check_identity(self) -> None:
        """The file is still the one that was opened first."""
        if self._identity is not None and self._identity != _identity(self.path):
            raise StoreUnavailable(
                f"{self.path} was deleted or replaced while it was open; close this store and "
                "open it again"
            )

    def close(self) -> None:
        """Wait for what is under way, then close every connection for good."""
        self._refuse_reentry()
        with self._gate:
            self._gate_thread = threading.get_ident()
            try:
                self._closed = True
                self._rest()
                self._close_all()
            finally:
                self._gate_thread = 0

    @property
    def closed(self) -> bool:
        """Whether it was closed for good."""
        return self._closed

    def __del__(self) -> None:
        # Forgotten rather than closed: nothing is under way any more.
        self._close_all()

    def before_fork(self) -> None:
        self._refuse_reentry()
        self._gate.acquire()
        try:
            self._gate_thread = threading.get_ident()
            self._resting = True
            self._rest()
            self._close_all()
        except BaseException:
            self.after_fork_in_parent()  # whoever asked is not going to
            raise

    def _refuse_reentry(self) -> None:
        if self._gate_thread == threading.get_ident() and self._gate.locked():
            raise StoreUnavailable(
                f"{self.path} is being closed, or prepared for a fork, by this very thread: a "
                "signal handler cannot use a store that it has interrupted"
            )

    def _rest(self) -> None:
        """Wait until nobody uses a connection; what is in use for too long is left alone.

        This thread cannot be at work: if it is among the users, an interrupt kept it from
        leaving.
        """
        deadline = time.monotonic() + self._busy_seconds + 5
        self._users.discard(threading.get_ident())
        while self._users and time.monotonic() < deadline:
            time.sleep(0.001)
            self._users.intersection_update(sys._current_frames())  # threads that are alive

    def after_fork_in_parent(self) -> None:
        self._resting = False
        self._gate_thread = 0
        self._gate.release()

    def after_fork_in_child(self) -> None:
        if self._writer is not None:
            _never_closed.append(self._writer)
        self._renew()

    def open(self, busy_seconds: float | None = None) -> sqlite3.Connection:
        """A new connection, its file prepared.

        Args:
            busy_seconds: how long it waits for other processes, instead of the usual.

        Raises:
            StoreUnavailable: no folder, no permission, no database, or not ours.
            SchemaTooNew: a newer Threadloom wrote the file.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreUnavailable(
                f"SQLite {sqlite3.sqlite_version} is too old, 3.38 or newer is needed"
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
                timeout=self._busy_seconds if busy_seconds is None else busy_seconds,
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
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
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

    # What counts users in and out must stand an interrupt between any two lines: locks of C
    # in with-statements, single operations on sets and lists, and users known by their thread,
    # so that whoever did not get to leave is not waited for for ever.

    def _enter(self) -> None:
        self._refuse_reentry()
        with self._gate:
            if self._closed:
                raise StoreClosed(f"the store of {self.path} was closed")
            self._users.add(threading.get_ident())

    def _leave(self) -> None:
        self._users.discard(threading.get_ident())

    def _idle_reader(self) -> sqlite3.Connection | None:
        try:
            return self._readers.pop()
        except IndexError:
            return None

    def _give_back(self, connection: sqlite3.Connection, *, reuse: bool) -> None:
        rests = self._resting or self._closed
        if reuse and not rests and len(self._readers) < _IDLE_READERS:
            self._readers.append(connection)
        else:
            connection.close()

    def _close_all(self) -> None:
        while connection := self._idle_reader():
            connection.close()
        if not self._write_lock.locked():
            self._drop_writer()

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
