"""Databases in files, opened for reading only: they stay as they are, with nothing beside them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from threadloom.closing import Closing
from threadloom.errors import CorruptRecord, StoreUnavailable


class DatabaseFile(Closing):
    """Reads an SQLite database that others have written; never changes it.

    A log that a live process is writing is read along. A file that would have one, and has none, is
    opened as immutable, because SQLite would leave files of its own beside it otherwise; for the
    same reason a log that nobody has open is read from a copy.

    Args:
        path: the file.

    Attributes:
        path: the file.
        name: how reports name it.
        connection: to it.
        columns: those of each table.
        changed_at: when it was changed last, in seconds since the epoch.

    Raises:
        StoreUnavailable: there is no such file, or it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(self.path)
        check_file(self.path)
        self._seen = _state(self.path)
        logs = (_beside(self.path, "-wal"), self.path)
        self.changed_at = max(file.stat().st_mtime for file in logs if file.exists())
        self._immutable = _makes_files(self.path) and not _has_log(self.path)
        self._copy: TemporaryDirectory[str] | None = None
        try:
            self.connection = _connect(self._read_from(), immutable=self._immutable)
            with self.reporting():
                self.columns = _columns(self.connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "connection"):
            self.connection.close()
        if self._copy is not None:
            self._copy.cleanup()

    @property
    def bytes(self) -> int:
        """The size of the file and of its log."""
        log = _beside(self.path, "-wal")
        return sum(file.stat().st_size for file in (self.path, log) if file.is_file())

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Read what is inside as it is at one moment, whatever others write meanwhile."""
        with self.reporting():
            self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")
        if self._immutable and (_has_log(self.path) or _state(self.path) != self._seen):
            raise StoreUnavailable(
                f"{self.path} was changed by another program while it was read. Run it again"
            )

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Turn errors of SQLite into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise unreadable(self.path, error) from error

    def _read_from(self) -> Path:
        """The file, or a copy where SQLite would have to make an index of the log beside it."""
        log = _beside(self.path, "-wal")
        if not log.exists() or _beside(self.path, "-shm").exists():
            return self.path
        self._copy = TemporaryDirectory(prefix="threadloom-")
        copied = Path(self._copy.name) / "copy.db"
        try:
            before = _state(self.path), _state(log)
            shutil.copyfile(self.path, copied)
            shutil.copyfile(log, _beside(copied, "-wal"))
            unchanged = before == (_state(self.path), _state(log))
        except OSError as error:
            raise StoreUnavailable(f"{self.path} cannot be read: {error}") from error
        if not unchanged:
            raise StoreUnavailable(
                f"{self.path} was changed by another program while it was read. Run it again"
            )
        return copied


def check_file(path: Path) -> None:
    """Make sure that a path leads to a file that has something in it.

    Raises:
        StoreUnavailable: it does not.
    """
    try:
        if not path.exists():
            raise StoreUnavailable(f"{path} does not exist: check the path")
        if path.is_dir():
            raise StoreUnavailable(f"{path} is a folder: name a file in it")
        if not path.stat().st_size:
            raise StoreUnavailable(f"{path} is empty: nothing was stored there yet")
    except (OSError, ValueError) as error:
        if isinstance(error, StoreUnavailable):
            raise
        raise StoreUnavailable(f"{path} cannot be read: {error}") from error


def columns_of(path: Path) -> dict[str, set[str]]:
    """The tables of a database in a file, with their columns.

    Raises:
        StoreUnavailable: there is no such file, it is empty, or it is no database.
    """
    with DatabaseFile(path) as file:
        if not file.columns:
            raise StoreUnavailable(f"{path} is empty: nothing was stored there yet")
        return file.columns


def unreadable(path: Path, error: sqlite3.Error) -> StoreUnavailable | CorruptRecord:
    """The error for a file that SQLite cannot read."""
    if "malformed" in str(error) or isinstance(error, sqlite3.DataError):
        return CorruptRecord(f"{path} is damaged: {error}")
    if "not a database" in str(error):
        return StoreUnavailable(f"{path} is not an SQLite database: check the path")
    return StoreUnavailable(f"{path} cannot be read: {error}{_hint(path)}")


def _connect(path: Path, *, immutable: bool) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30.0)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def _makes_files(path: Path) -> bool:
    """Whether SQLite keeps a log beside a file: bytes 18 and 19 of its header are 2.

    Source: https://www.sqlite.org/fileformat.html, "File format version numbers".
    """
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\2\2"
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error}{_hint(path)}") from error


def _hint(path: Path) -> str:
    return "" if os.access(path, os.R_OK) else " (no permission: run it as somebody who may)"


def _has_log(path: Path) -> bool:
    return any(_beside(path, end).exists() for end in ("-wal", "-journal"))


def _beside(path: Path, end: str) -> Path:
    real = path.resolve()
    return real.with_name(real.name + end)


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    names = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    ]
    columns = "SELECT name FROM pragma_table_info(?)"
    return {name: {row[0] for row in connection.execute(columns, (name,))} for name in names}


__all__ = ["DatabaseFile", "check_file", "columns_of", "unreadable"]
