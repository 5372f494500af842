"""Tables of LangChain's `SQLChatMessageHistory` in an SQLite file, opened for reading only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from threadloom.errors import CorruptRecord
from threadloom.migrate.conversations import (
    COLUMNS,
    HistorySource,
    HistorySummary,
    Rows,
    StoredMessage,
)
from threadloom.migrate.files import DatabaseFile

_PAGE = 500
"""Rows that are asked for at a time."""


class HistoryFile(DatabaseFile, HistorySource):
    """Reads the chat histories in an SQLite file; never changes it.

    Rows have no times, unless somebody has added a column ``created_at``; the file was changed
    last at the time of the last one.

    Args:
        path: the file.

    Raises:
        StoreUnavailable: there is no such file, or it cannot be read.
    """

    kind = "langchain-sqlite"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.tables = tables_among(self.columns)
        self._rows = Rows(())

    def sessions(self) -> list[HistorySummary]:
        """All histories; the one that was written to last comes last."""
        with self.reporting():
            self._rows = Rows(
                (_text(session), id, size or 0)
                for session, id, size in self.connection.execute(
                    "SELECT CAST(session_id AS BLOB), id, length(CAST(message AS BLOB)) "  # noqa: S608
                    f"FROM {_quoted(self.table)} ORDER BY id"
                )
            )
        return self._rows.summaries(datetime.fromtimestamp(self.changed_at, UTC))

    def messages(self, session: str) -> list[StoredMessage]:
        """The messages of one of the histories that `sessions` gave, oldest first."""
        ids = self._rows[session]
        timed = "created_at" in self.columns[self.table or ""]
        found: list[StoredMessage] = []
        with self.reporting():
            for start in range(0, len(ids), _PAGE):
                page = ids[start : start + _PAGE]
                found += [
                    StoredMessage(f"row {id}", f"{self.table}-{id}", text, _time(at))
                    for owner, id, text, at in self.connection.execute(
                        "SELECT CAST(session_id AS BLOB), id, CAST(message AS BLOB), "  # noqa: S608
                        f"{'created_at' if timed else 'NULL'} FROM {_quoted(self.table)} "
                        f"WHERE id IN ({', '.join('?' * len(page))}) ORDER BY id",
                        page,
                    )
                    if _text(owner) == session  # SQLite gives ids of removed rows to new ones
                ]
        if len(found) != len(ids):
            raise CorruptRecord("rows of it went away while they were read. Run it again")
        return found


def tables_among(columns: dict[str, set[str]]) -> tuple[str, ...]:
    """The tables that have the columns of a history."""
    return tuple(sorted(table for table, found in columns.items() if found >= COLUMNS))


def _quoted(name: str | None) -> str:
    return '"' + (name or "").replace('"', '""') + '"'


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")


def _time(value: Any) -> datetime | None:
    """A time as SQLAlchemy writes it; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):  # no time, or none that UTC has
        return None


__all__ = ["HistoryFile", "tables_among"]
