"""What a migration reads from: the threads and the items that LangGraph has stored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from threadloom.closing import Closing
from threadloom.errors import StoreUnavailable
from threadloom.migrate.ordering import Order

ENTRY_POINTS = "threadloom.sources"
"""Group of the entry points by which adapters bring sources: a scheme, and a callable
``open(url) -> Source``."""

_GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)
"""Where the time in a version 6 UUID begins, in steps of 100 nanoseconds (RFC 9562)."""


class HoldsNothing(StoreUnavailable):
    """A database can be read, and there is nothing in it that LangGraph has stored."""


class ThreadSummary(NamedTuple):
    """One thread, as far as it can be told without reading its states."""

    id: str
    namespaces: int
    checkpoints: int
    writes: int
    bytes: int
    first_id: str
    last_id: str
    last_step: int | None

    @property
    def counts(self) -> dict[str, int]:
        return {"checkpoints": self.checkpoints, "writes": self.writes}

    @property
    def first_at(self) -> datetime | None:
        return made_at(self.first_id)

    @property
    def last_at(self) -> datetime | None:
        return made_at(self.last_id)


class Outline(NamedTuple):
    """What is to be stored of one thread, without the states themselves.

    Attributes:
        orders: the checkpoints of each namespace, the root's first.
        sizes: bytes of each checkpoint, by namespace and id.
        writes: how many pending writes belong to a checkpoint that is there.
        loose: how many belong to one that is not; no reader ever sees those.
        digest: changes with what is stored.
    """

    orders: dict[str, Order]
    sizes: dict[tuple[str, str], int]
    writes: int
    loose: int
    digest: str

    @property
    def checkpoints(self) -> int:
        return len(self.sizes)


class StoredCheckpoint(NamedTuple):
    """One checkpoint, its state still encoded.

    Attributes:
        kind: how `blob` is encoded.
        blob: the checkpoint with its values, or with those that do not stand `apart`.
        metadata: the checkpoint's metadata.
        apart: channel → kind and encoded value, for values that are kept outside of it.
    """

    kind: str
    blob: bytes
    metadata: dict[str, Any]
    apart: Mapping[str, tuple[str, bytes]] = {}


class StoredWrite(NamedTuple):
    """One pending write, its value still encoded."""

    task_id: str
    task_path: str
    number: int
    channel: str
    kind: str
    blob: bytes


class StoredItem(NamedTuple):
    """An item of LangGraph's long-term memory.

    Attributes:
        namespace, key, value: the item.
        created_at, updated_at: aware times.
        expires_at: when it goes; None for never.
    """

    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


class Source(Closing):
    """A database that LangGraph has written, opened for reading only; it is never changed.

    All methods raise `StoreUnavailable` where it cannot be read, `CorruptRecord` where what is
    read makes no sense.

    Attributes:
        name: how reports name it; without a password.
        kind: what a session's ``migrated_from`` calls it.
        sends_are_writes: whether, in checkpoints of LangGraph's formats before 4, what tasks sent
            is to be read from the pending writes of the checkpoint before.
    """

    name: str
    kind: str
    sends_are_writes: bool = False

    @property
    @abstractmethod
    def bytes(self) -> int:
        """How much the database takes up."""

    @abstractmethod
    def at_one_moment(self) -> AbstractContextManager[None]:
        """Read what is inside as it is at one moment, whatever others write meanwhile."""

    @abstractmethod
    def threads(self) -> list[ThreadSummary]:
        """All threads that have a checkpoint, by id."""

    @abstractmethod
    def outline(self, thread: str) -> Outline:
        """What there is of a thread: ids, links, sizes."""

    @abstractmethod
    def checkpoint(self, thread: str, ns: str, id: str) -> StoredCheckpoint:
        """One checkpoint of the outline."""

    @abstractmethod
    def writes(self, thread: str, ns: str, id: str) -> list[StoredWrite]:
        """The pending writes of a checkpoint, in the order in which they are read."""

    def count_items(self) -> int:
        """How many items of long-term memory there are."""
        return 0

    def items(self) -> Iterator[StoredItem]:
        """The items of long-term memory that have not expired."""
        return iter(())


def made_at(checkpoint_id: str) -> datetime | None:
    """When LangGraph made a checkpoint id, a version 6 UUID; None for an id of another kind."""
    try:
        id = UUID(checkpoint_id)
    except ValueError:
        return None
    if id.version != 6:
        return None
    ticks = (id.time_low << 28) | (id.time_mid << 12) | (id.time_hi_version & 0x0FFF)
    return _GREGORIAN + timedelta(microseconds=ticks // 10)


__all__ = [
    "ENTRY_POINTS",
    "HoldsNothing",
    "Outline",
    "Source",
    "StoredCheckpoint",
    "StoredItem",
    "StoredWrite",
    "ThreadSummary",
    "made_at",
]
