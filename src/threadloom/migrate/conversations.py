"""What a migration of chat histories reads from: messages that LangChain has stored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import NamedTuple

from threadloom.closing import Closing
from threadloom.errors import InvalidKey, StoreUnavailable

HISTORY_ENTRY_POINTS = "threadloom.histories"
"""Group of the entry points by which adapters bring histories: a scheme, and a callable
``open(url) -> HistorySource``."""

COLUMNS = frozenset({"id", "session_id", "message"})
"""What tells a table of messages; one of ``created_at`` may come with them."""


class HistorySummary(NamedTuple):
    """One history, as far as it can be told without reading its messages.

    Attributes:
        id: the session.
        messages, bytes: how many, and what they take up.
        at: the time of messages that come without one.
    """

    id: str
    messages: int
    bytes: int
    at: datetime

    @property
    def counts(self) -> dict[str, int]:
        return {"messages": self.messages}


class StoredMessage(NamedTuple):
    """One message, still encoded.

    Attributes:
        place: how reports name it, such as ``row 12``.
        id: for the message if it has none of its own; the same whenever it is read.
        text: its JSON; None where there is none.
        at: when it was stored, an aware time; None where the source does not say.
    """

    place: str
    id: str
    text: str | bytes | None
    at: datetime | None = None


class HistorySource(Closing):
    """Chat histories that LangChain has written, opened for reading only; never changed.

    All methods raise `StoreUnavailable` where they cannot be read, `CorruptRecord` where what is
    read makes no sense.

    Attributes:
        name: how reports name it; without a password.
        kind: what a session's ``migrated_from`` calls it.
        tables: the tables that have the columns of a history, where there are tables.
        table: the one that is read.
    """

    name: str
    kind: str
    tables: tuple[str, ...] = ()
    table: str | None = None

    def choose(self, table: str | None) -> None:
        """Read a table from now on: the one that is named, or else the only one there is.

        Raises:
            InvalidKey: there are several, or there is no such one, or there are no tables here.
            StoreUnavailable: there is none at all.
        """
        if not self.tables:
            raise StoreUnavailable(
                f"{self.name} holds no chat histories of LangChain: no table has the columns "
                f"{', '.join(sorted(COLUMNS))}"
            )
        if table is None and len(self.tables) > 1:
            raise InvalidKey(
                f"{self.name} holds several tables of chat histories, {', '.join(self.tables)}: "
                "say which by --table NAME"
            )
        if table is not None and table not in self.tables:
            raise InvalidKey(
                f"{self.name} has no table {table!r} of chat histories; there is: "
                f"{', '.join(self.tables)}"
            )
        self.table = self.tables[0] if table is None else table

    @property
    @abstractmethod
    def bytes(self) -> int:
        """How much the histories take up."""

    @abstractmethod
    def at_one_moment(self) -> AbstractContextManager[None]:
        """Read what is inside as it is at one moment, whatever others write meanwhile."""

    @abstractmethod
    def sessions(self) -> list[HistorySummary]:
        """All histories; the one that was written to last comes last."""

    @abstractmethod
    def messages(self, session: str) -> list[StoredMessage]:
        """The messages of one of the histories that `sessions` gave, oldest first."""


class Rows:
    """Which rows of a table belong to which session.

    Args:
        rows: session, id of the row and bytes of each message, in the order of their ids.
    """

    def __init__(self, rows: Iterable[tuple[str, object, int]]) -> None:
        self._ids: dict[str, list[object]] = {}
        self._bytes: dict[str, int] = {}
        for session, id, size in rows:
            # What was written to last goes to the end.
            ids = self._ids.pop(session, [])
            ids.append(id)
            self._ids[session] = ids
            self._bytes[session] = self._bytes.get(session, 0) + size

    def __getitem__(self, session: str) -> list[object]:
        return self._ids[session]

    def summaries(self, latest: datetime) -> list[HistorySummary]:
        """The sessions, the one that was written to last at the end.

        Args:
            latest: when the last of them can have been written at the latest. Where rows have no
                times it stands for them, a microsecond less for each session that comes after, so
                that the order of sessions by their last activity stays.
        """
        return [
            HistorySummary(
                id,
                len(ids),
                self._bytes[id],
                latest - timedelta(microseconds=len(self._ids) - 1 - number),
            )
            for number, (id, ids) in enumerate(self._ids.items())
        ]


__all__ = [
    "COLUMNS",
    "HISTORY_ENTRY_POINTS",
    "HistorySource",
    "HistorySummary",
    "Rows",
    "StoredMessage",
]
