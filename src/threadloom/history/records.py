"""Messages of a chat history as records: what can be told of them without reading them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from threadloom.errors import CorruptRecord
from threadloom.keys import NEXT_POSITION, SessionPaths, message_key
from threadloom.ops import Delete, Op, Record, Scan
from threadloom.plans import Plan

FIRST, LAST = "0", ":"
"""Keys of messages are digits: the range ``["0", ":")``."""


class Entry(NamedTuple):
    """A message of a history, not read.

    Attributes:
        record: the message.
        known: what the index of message ids has of it; None where that is missing.
    """

    record: Record
    known: Record | None

    @property
    def at(self) -> int:
        """When it was added, in microseconds since the epoch."""
        return time_of(self.record)

    @property
    def key(self) -> str:
        """The key of its id (`message_key`)."""
        if self.known is not None:
            return self.known.key
        return message_key(self.record.body().get("id") or "")

    @property
    def tokens(self) -> int:
        """The tokens of the message."""
        return 0 if self.known is None else int(self.known.body().get("tokens") or 0)

    def records(self) -> list[Record]:
        """The message and what the index has of it."""
        return [self.record] if self.known is None else [self.record, self.known]

    def removal(self) -> list[Op]:
        """What takes the message away."""
        return [Delete(record.namespace, record.key) for record in self.records()]


def read_entries(paths: SessionPaths) -> Plan[list[Entry]]:
    """All messages of a history, oldest first."""
    records, index = yield [Scan(paths.memory, FIRST, LAST), Scan(paths.memory_index)]
    return entries_of(records, index)


def entries_of(memory: Iterable[Record], index: Iterable[Record]) -> list[Entry]:
    """The messages among the records of a history, oldest first."""
    records = [record for record in memory if FIRST <= record.key < LAST]
    known = {record.body().get("at"): record for record in index if record.key != NEXT_POSITION}
    return [Entry(record, known.get(record.key)) for record in records]


def counts(entries: Sequence[Entry]) -> dict[str, int]:
    """What the session's record says of messages."""
    return {
        "history_messages": len(entries),
        "history_tokens": sum(entry.tokens for entry in entries),
    }


def time_of(record: Record) -> int:
    """When a message was added, in microseconds since the epoch.

    Raises:
        CorruptRecord: the record does not say.
    """
    at = record.body().get("at")
    if not isinstance(at, int):
        raise CorruptRecord(f"message {record.namespace}/{record.key} lost its time")
    return at
