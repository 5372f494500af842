"""What LangChain's chat histories have written to PostgreSQL, for `threadloom migrate`.

Three classes write such tables: `PostgresChatMessageHistory` of `langchain-postgres` (a table of
the application's choice; ids of sessions are UUIDs, rows have a time), that of
`langchain-community` and `SQLChatMessageHistory` (``message_store`` by default, no times).
"""

from __future__ import annotations

from datetime import UTC, datetime

from threadloom.errors import CorruptRecord
from threadloom.migrate.conversations import (
    COLUMNS,
    HistorySource,
    HistorySummary,
    Rows,
    StoredMessage,
)
from threadloom_postgres.options import quoted
from threadloom_postgres.reading import ReadOnlyDatabase

_MESSAGES = {"text", "character varying", "json", "jsonb"}
"""Types that a column of messages may have."""
_TIMES = {"timestamp with time zone", "timestamp without time zone"}
_PAGE = 1_000
"""Rows that are asked for at a time."""

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_table_is_visible(c.oid) AND a.attname IN ('id', 'session_id', 'message', 'created_at')
"""
_ROWS = """
SELECT coalesce(session_id::text, ''), id, coalesce(octet_length(message::text), 0)
FROM {table} ORDER BY id
"""
_PAGE_OF_ROWS = """
SELECT id, message::text, {time} FROM {table} WHERE id = ANY(%s) ORDER BY id
"""
_TIME = """
CASE WHEN created_at BETWEEN '0001-01-02' AND '9999-12-30' THEN created_at::timestamptz END
"""


class HistoryDatabase(ReadOnlyDatabase, HistorySource):
    """Reads the chat histories in a PostgreSQL database; never changes it.

    Args:
        url: of the database; ``schema`` names where the tables are, else the search path does.

    Raises:
        InvalidKey: the URL makes no sense.
        StoreUnavailable: it cannot be reached.
    """

    kind = "langchain-postgres"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._types: dict[str, dict[str, str]] = {}
        self._rows = Rows(())
        try:
            for table, column, kind in self.rows(_COLUMNS):
                self._types.setdefault(table, {})[column] = kind
        except BaseException:
            self.close()
            raise
        self.tables = tuple(
            sorted(
                table
                for table, types in self._types.items()
                if types.keys() >= COLUMNS and types["message"] in _MESSAGES
            )
        )

    @property
    def bytes(self) -> int:
        """The size of the table with its indexes."""
        return self.size_of(self.table or "")

    def sessions(self) -> list[HistorySummary]:
        """All histories; the one that was written to last comes last."""
        self._rows = Rows(self.rows(_ROWS.format(table=quoted(self.table or ""))))
        return self._rows.summaries(datetime.now(UTC))

    def messages(self, session: str) -> list[StoredMessage]:
        """The messages of one of the histories that `sessions` gave, oldest first."""
        ids = self._rows[session]
        table = self.table or ""
        timed = self._types[table].get("created_at") in _TIMES
        name = quoted(table).replace("%", "%%")  # beside parameters, a lone one means something
        statement = _PAGE_OF_ROWS.format(table=name, time=_TIME if timed else "NULL")
        found = [
            StoredMessage(f"row {id}", f"{table}-{id}", text, at)
            for start in range(0, len(ids), _PAGE)
            for id, text, at in self.rows(statement, ids[start : start + _PAGE])
        ]
        if len(found) != len(ids):
            raise CorruptRecord("rows of it went away while they were read. Run it again")
        return found


__all__ = ["HistoryDatabase"]
