"""A database of LangGraph's `SqliteSaver` or `AsyncSqliteSaver`, opened for reading only."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from threadloom.errors import CorruptRecord, StoreUnavailable
from threadloom.migrate.base import (
    Outline,
    Source,
    StoredCheckpoint,
    StoredWrite,
    ThreadSummary,
)
from threadloom.migrate.ordering import put_order

_CHECKPOINTS = frozenset(
    {
        "thread_id",
        "checkpoint_ns",
        "checkpoint_id",
        "parent_checkpoint_id",
        "type",
        "checkpoint",
        "metadata",
    }
)
_WRITES = frozenset(
    {"thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "type", "value"}
)


class LangGraphFile(Source):
    """Reads a database that LangGraph's SQLite savers have written; never changes it.

    A log that a live process is writing is read along. Without one the file is opened as
    immutable, because SQLite would leave files of its own beside it otherwise.

    Args:
        path: the file.

    Raises:
        StoreUnavailable: there is no such file, it cannot be read, or it is something else.
    """

    kind = "langgraph-sqlite"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(self.path)
        check_file(self.path)
        self._seen = _state(self.path)
        self._immutable = not _has_log(self.path)
        self._connection = _connect(self.path, immutable=self._immutable)
        try:
            with self._reporting():
                found = self._columns()
                if not is_langgraph(found):
                    raise StoreUnavailable(
                        f"{self.path} holds no checkpoints of LangGraph's SqliteSaver"
                    )
                self._path_column = "task_path" if "task_path" in found["writes"] else "''"
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    async def aclose(self) -> None:
        """`close`, from an event loop."""
        self.close()

    @property
    def bytes(self) -> int:
        """The size of the file and of its log."""
        log = self.path.with_name(self.path.name + "-wal")
        return sum(file.stat().st_size for file in (self.path, log) if file.is_file())

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Read what is inside as it is at one moment, whatever others write meanwhile."""
        with self._reporting():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")
        if self._immutable and (_has_log(self.path) or _state(self.path) != self._seen):
            raise StoreUnavailable(
                f"{self.path} was changed by another program while it was read. Run it again"
            )

    def tables(self) -> dict[str, tuple[int, int]]:
        """Rows and bytes of content of the two tables."""
        with self._reporting():
            (checkpoints,) = self._connection.execute(
                "SELECT count(*), total(length(checkpoint) + coalesce(length(metadata), 0)) "
                "FROM checkpoints"
            )
            (writes,) = self._connection.execute(
                "SELECT count(*), total(length(value)) FROM writes"
            )
        return {
            "checkpoints": (checkpoints[0], int(checkpoints[1])),
            "writes": (writes[0], int(writes[1])),
        }

    def threads(self) -> list[ThreadSummary]:
        """All threads that have a checkpoint, by id."""
        with self._reporting():
            writes = {
                row[0]: row[1:]
                for row in self._connection.execute(
                    "SELECT thread_id, count(*), total(length(value)) FROM writes GROUP BY 1"
                )
            }
            found = self._connection.execute(
                "SELECT thread_id, count(DISTINCT checkpoint_ns), count(*), "
                "total(length(checkpoint) + coalesce(length(metadata), 0)), min(checkpoint_id), "
                "coalesce(max(CASE WHEN checkpoint_ns = '' THEN checkpoint_id END), "
                "max(checkpoint_id)) FROM checkpoints GROUP BY 1 ORDER BY 1"
            ).fetchall()
            return [
                ThreadSummary(
                    id=id,
                    namespaces=namespaces,
                    checkpoints=count,
                    writes=writes.get(id, (0, 0))[0],
                    bytes=int(size) + int(writes.get(id, (0, 0))[1]),
                    first_id=first,
                    last_id=last,
                    last_step=self._step(id, last),
                )
                for id, namespaces, count, size, first, last in found
            ]

    def outline(self, thread: str) -> Outline:
        """What there is of a thread: ids, links, sizes."""
        digest = hashlib.sha256()
        links: dict[str, dict[str, str | None]] = {"": {}}
        sizes: dict[tuple[str, str], int] = {}
        writes = loose = 0
        with self._reporting():
            for ns, id, parent, kind, size, more in self._connection.execute(
                "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, "
                "length(checkpoint), length(metadata) FROM checkpoints WHERE thread_id = ? "
                "ORDER BY checkpoint_ns, checkpoint_id",
                (thread,),
            ):
                links.setdefault(ns, {})[id] = parent or None
                sizes[ns, id] = (size or 0) + (more or 0)
                digest.update(repr((ns, id, parent, kind, size, more)).encode())
            for row in self._connection.execute(
                "SELECT checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value, "  # noqa: S608
                f"{self._path_column} FROM writes WHERE thread_id = ? ORDER BY 1, 2, 3, 4",
                (thread,),
            ):
                if (row[0], row[1]) in sizes:
                    writes += 1
                else:
                    loose += 1
                digest.update(repr((*row[:6], row[7])).encode())
                digest.update(row[6] if isinstance(row[6], bytes) else repr(row[6]).encode())
        orders = {ns: put_order(found) for ns, found in links.items() if found}
        return Outline(orders, sizes, writes, loose, digest.hexdigest()[:32])

    def checkpoint(self, thread: str, ns: str, id: str) -> StoredCheckpoint:
        """One checkpoint."""
        with self._reporting():
            row = self._connection.execute(
                "SELECT type, checkpoint, metadata FROM checkpoints "
                "WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?",
                (thread, ns, id),
            ).fetchone()
        kind, blob, metadata = row
        try:
            known = {} if metadata is None else json.loads(metadata)
        except ValueError as error:
            raise CorruptRecord(f"the metadata of checkpoint {id} are damaged: {error}") from error
        if not isinstance(known, dict) or not isinstance(blob, bytes):
            raise CorruptRecord(f"checkpoint {id} is damaged")
        return StoredCheckpoint(kind or "", blob, known)

    def writes(self, thread: str, ns: str, id: str) -> list[StoredWrite]:
        """The pending writes of a checkpoint, in the order in which they are read."""
        with self._reporting():
            rows = self._connection.execute(
                f"SELECT task_id, {self._path_column}, idx, channel, type, value "  # noqa: S608
                "FROM writes WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?",
                (thread, ns, id),
            ).fetchall()
        found = [
            StoredWrite(task, path or "", number, channel, kind or "null", blob or b"")
            for task, path, number, channel, kind, blob in rows
        ]
        return sorted(found, key=lambda write: (write.task_path, write.task_id, write.number))

    def _step(self, thread: str, id: str) -> int | None:
        row = self._connection.execute(
            "SELECT metadata FROM checkpoints "
            "WHERE thread_id = ? AND checkpoint_id = ? ORDER BY checkpoint_ns LIMIT 1",
            (thread, id),
        ).fetchone()
        try:
            step = json.loads(row[0])["step"]
        except (TypeError, ValueError, KeyError):
            return None
        return step if isinstance(step, int) else None

    def _columns(self) -> dict[str, set[str]]:
        return _columns(self._connection)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise unreadable(self.path, error) from error


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


def holds_checkpoints(path: Path) -> bool:
    """Whether a file is a database of LangGraph's SQLite savers.

    Raises:
        StoreUnavailable: there is no such file, it is empty, or it is no database.
    """
    check_file(path)
    try:
        with closing(_connect(path, immutable=not _has_log(path))) as connection:
            found = _columns(connection)
            if not found:
                raise StoreUnavailable(f"{path} is empty: nothing was stored there yet")
            return is_langgraph(found)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def is_langgraph(tables: dict[str, set[str]]) -> bool:
    """Whether tables and their columns are those of LangGraph's SQLite savers."""
    return tables.get("checkpoints", set()) >= _CHECKPOINTS and (
        tables.get("writes", set()) >= _WRITES
    )


def unreadable(path: Path, error: sqlite3.Error) -> StoreUnavailable | CorruptRecord:
    """The error for a file that SQLite cannot read."""
    if "malformed" in str(error) or isinstance(error, sqlite3.DataError):
        return CorruptRecord(f"{path} is damaged: {error}")
    if "not a database" in str(error):
        return StoreUnavailable(f"{path} is not an SQLite database: check the path")
    hint = "" if os.access(path, os.R_OK) else " (no permission: run it as somebody who may)"
    return StoreUnavailable(f"{path} cannot be read: {error}{hint}")


def _connect(path: Path, *, immutable: bool) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    try:
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30.0)
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def _has_log(path: Path) -> bool:
    real = path.resolve()
    return any(real.with_name(real.name + end).exists() for end in ("-wal", "-journal"))


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    names = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    ]
    columns = "SELECT name FROM pragma_table_info(?)"
    return {name: {row[0] for row in connection.execute(columns, (name,))} for name in names}


__all__ = [
    "LangGraphFile",
    "check_file",
    "holds_checkpoints",
]
