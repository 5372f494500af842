"""A database of LangGraph's `SqliteSaver` or `AsyncSqliteSaver`, opened for reading only."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from threadloom.errors import CorruptRecord
from threadloom.migrate.base import (
    HoldsNothing,
    Outline,
    Source,
    StoredCheckpoint,
    StoredWrite,
    ThreadSummary,
)
from threadloom.migrate.files import DatabaseFile, columns_of
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


class LangGraphFile(DatabaseFile, Source):
    """Reads a database that LangGraph's SQLite savers have written; never changes it.

    Args:
        path: the file.

    Raises:
        StoreUnavailable: there is no such file, it cannot be read, or it is something else.
    """

    kind = "langgraph-sqlite"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        if not is_langgraph(self.columns):
            self.close()
            raise HoldsNothing(f"{self.path} holds no checkpoints of LangGraph's SqliteSaver")
        self._path_column = "task_path" if "task_path" in self.columns["writes"] else "''"

    def tables(self) -> dict[str, tuple[int, int]]:
        """Rows and bytes of content of the two tables."""
        with self.reporting():
            (checkpoints,) = self.connection.execute(
                "SELECT count(*), total(length(checkpoint) + coalesce(length(metadata), 0)) "
                "FROM checkpoints"
            )
            (writes,) = self.connection.execute("SELECT count(*), total(length(value)) FROM writes")
        return {
            "checkpoints": (checkpoints[0], int(checkpoints[1])),
            "writes": (writes[0], int(writes[1])),
        }

    def threads(self) -> list[ThreadSummary]:
        """All threads that have a checkpoint, by id."""
        with self.reporting():
            writes = {
                row[0]: row[1:]
                for row in self.connection.execute(
                    "SELECT thread_id, count(*), total(length(value)) FROM writes GROUP BY 1"
                )
            }
            found = self.connection.execute(
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
        with self.reporting():
            for ns, id, parent, kind, size, more in self.connection.execute(
                "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, "
                "length(checkpoint), length(metadata) FROM checkpoints WHERE thread_id = ? "
                "ORDER BY checkpoint_ns, checkpoint_id",
                (thread,),
            ):
                links.setdefault(ns, {})[id] = parent or None
                sizes[ns, id] = (size or 0) + (more or 0)
                digest.update(repr((ns, id, parent, kind, size, more)).encode())
            for row in self.connection.execute(
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
        with self.reporting():
            row = self.connection.execute(
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
        with self.reporting():
            rows = self.connection.execute(
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
        row = self.connection.execute(
            "SELECT metadata FROM checkpoints "
            "WHERE thread_id = ? AND checkpoint_id = ? ORDER BY checkpoint_ns LIMIT 1",
            (thread, id),
        ).fetchone()
        try:
            step = json.loads(row[0])["step"]
        except (TypeError, ValueError, KeyError):
            return None
        return step if isinstance(step, int) else None


def holds_checkpoints(path: Path) -> bool:
    """Whether a file is a database of LangGraph's SQLite savers.

    Raises:
        StoreUnavailable: there is no such file, it is empty, or it is no database.
    """
    return is_langgraph(columns_of(path))


def is_langgraph(tables: dict[str, set[str]]) -> bool:
    """Whether tables and their columns are those of LangGraph's SQLite savers."""
    return tables.get("checkpoints", set()) >= _CHECKPOINTS and (
        tables.get("writes", set()) >= _WRITES
    )


__all__ = ["LangGraphFile", "holds_checkpoints", "is_langgraph"]
