"""How a batch is written to somebody else's store: whole, whatever it can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from langgraph.store.base import GetOp, PutOp, SearchOp

from threadloom.errors import CorruptRecord, SchemaTooNew, UnsupportedByStore
from threadloom.stores.langgraph import layout
from threadloom.stores.langgraph.reading import Inner, Place
from threadloom.stores.spaces import Entry

FORMAT = 1
"""Version of the layout; a store with a higher one is refused."""
WRITER: Final = "writer"
BATCH: Final = "batch"
OWN_GETS = (
    GetOp(layout.OWN, WRITER, refresh_ttl=False),
    GetOp(layout.OWN, BATCH, refresh_ttl=False),
)
"""Asked with every batch: who writes to the store, and what was left half done."""

MOST_AT_ONCE = 2000
"""Items that one batch of the store within is given; SQL engines count their parameters."""
_PART = 200
_AHEAD = 60_000_000

Change = tuple[Place, Entry | None]


class Writer(NamedTuple):
    """The record of who writes to a store.

    `below` is above every version that was given out, as far as it is known there.
    """

    token: str
    below: int


def writer_in(item: Any) -> Writer | None:
    """Who writes to a store, by its record.

    Raises:
        SchemaTooNew: a newer Threadloom wrote it.
        CorruptRecord: it is damaged.
    """
    if item is None:
        return None
    value = item.value
    number = value.get("format") if isinstance(value, Mapping) else None
    if type(number) is not int:
        raise CorruptRecord(f"the item {layout.OWN!r}/{WRITER!r} is not Threadloom's")
    if number > FORMAT:
        raise SchemaTooNew(
            f"a newer Threadloom wrote to this store (format {number}, this one knows {FORMAT}): "
            "install the newer version"
        )
    token, below = value.get("writer"), value.get("versions_below")
    if not isinstance(token, str) or type(below) is not int:
        raise CorruptRecord(f"the item {layout.OWN!r}/{WRITER!r} is damaged")
    return Writer(token, below)


def _put_writer(writer: Writer) -> PutOp:
    value = {"format": FORMAT, "writer": writer.token, "versions_below": writer.below}
    return PutOp(layout.OWN, WRITER, value, index=False)


class Claim:
    """That one store object of one process writes, and which versions it gives out.

    Nothing in LangGraph's interface can make a write depend on what is stored. So whoever
    writes first says who it is; whoever finds another name there has been replaced, and stops.

    Attributes:
        version: the greatest version that was given out.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self.version = 0
        self._below = 0
        self._is_ours = False
        self._is_lost = False

    def holds(self, found: Writer | None) -> bool:
        """Whether it is this object that writes."""
        return self._is_ours and found is not None and found.token == self.token

    def check(self, found: Writer | None) -> bool:
        """Whether this object may write now; if not, it has to `take` the store first.

        Raises:
            UnsupportedByStore: somebody else began to write after it.
        """
        if self._is_ours and not self.holds(found):
            self._is_lost = True
        if self._is_lost:
            raise UnsupportedByStore(
                "another process, or another store object, has written to this store since: a "
                "LangGraph store has no conditional writes, so only one may write at a time, and "
                "it was taken over. Use one object in one process, or a store of Threadloom's own "
                "(sqlite:///…) for several"
            )
        return self._is_ours

    def take(self, found: Writer | None) -> Inner:
        """Put this object's name into the store, and sweep what older writers left behind."""
        self.version = max(self.version, system_micros(), found.below if found else 0)
        self._below = self.version + _AHEAD
        (items,) = yield [SearchOp(layout.OWN, limit=MOST_AT_ONCE, refresh_ttl=False)]
        keys = {item.key for item in items if tuple(item.namespace) == layout.OWN}
        parts = set() if BATCH in keys else {key for key in keys if key.startswith(BATCH)}
        sweep = [PutOp(layout.OWN, key, None) for key in sorted(parts)]
        yield [*sweep, _put_writer(Writer(self.token, self._below))]
        self._is_ours = True

    def renew(self, version: int) -> list[PutOp]:
        """What has to be written before versions up to this one are."""
        if not self._is_ours or version < self._below:
            return []
        self._below = version + _AHEAD
        return [_put_writer(Writer(self.token, self._below))]


_last = 0
_last_lock = threading.Lock()


def system_micros() -> int:
    """The system's time in microseconds, later than each time that it was asked for before."""
    global _last
    with _last_lock:
        _last = max(_last + 1, time.time_ns() // 1000)
        return _last


def items(changes: Iterable[Change]) -> list[PutOp]:
    """The writes that changes to records are."""
    return [
        PutOp(
            layout.place(*place),
            place[1],
            None if entry is None else layout.encode(entry),
            index=False,
        )
        for place, entry in changes
    ]


def write_journaled(puts: Sequence[PutOp]) -> Inner:
    """Write items of which a store may lose any: by way of a copy of all of them.

    Once the copy is there, the batch has happened: whoever finds it does what it says.
    """
    lines = [[list(put.namespace), put.key, put.value] for put in puts]
    parts = list(layout.chunks(lines, _PART))
    for number, part in enumerate(parts[:-1]):
        yield [PutOp(layout.OWN, f"{BATCH}:{number}", {"changes": part}, index=False)]
    head = {"parts": len(parts) - 1, "changes": parts[-1]}
    yield [PutOp(layout.OWN, BATCH, head, index=False)]
    yield from _finish(puts, len(parts) - 1)


def _finish(puts: Sequence[PutOp], parts: int) -> Inner:
    yield from layout.chunks(list(puts), MOST_AT_ONCE)
    yield [PutOp(layout.OWN, BATCH, None)]
    if parts:
        yield [PutOp(layout.OWN, f"{BATCH}:{number}", None) for number in range(parts)]


def left_behind(item: Any) -> Inner:
    """The writes of a batch that was left half done, by the copy of it."""
    value = item.value
    parts = value.get("parts") if isinstance(value, Mapping) else None
    if type(parts) is not int:
        raise CorruptRecord(f"the item {layout.OWN!r}/{BATCH!r} is damaged")
    found = []
    if parts:
        found = yield [
            GetOp(layout.OWN, f"{BATCH}:{number}", refresh_ttl=False) for number in range(parts)
        ]
    puts: list[PutOp] = []
    for one in [*found, item]:
        lines = one.value.get("changes") if one is not None else None
        if not isinstance(lines, list):
            raise CorruptRecord(f"a part of the item {layout.OWN!r}/{BATCH!r} is missing")
        puts += [PutOp(tuple(there), key, value, index=False) for there, key, value in lines]
    return puts


def finish(item: Any) -> Inner:
    """Do what a batch that was left half done says."""
    puts = yield from left_behind(item)
    yield from _finish(puts, item.value["parts"])


def as_changes(puts: Iterable[PutOp]) -> list[Change]:
    """The changes to records that writes are."""
    return [
        (
            (layout.namespace_at(put.namespace, put.key), put.key),
            None if put.value is None else layout.decode(put.value, put.namespace, put.key),
        )
        for put in puts
    ]
