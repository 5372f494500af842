"""How checkpoints lie in the store: keys, documents, and what a record of each kind holds.

Everything of one session's graph state is in its partition (`threadloom.keys` has the
table). Within a checkpoint namespace:

* the **head** record is where writers meet: which checkpoint is the newest by put order, how
  many puts there were, the tips of branches, and marks of interrupts and errors that a
  checkpoint's pending writes carry. Every put changes it and expects the version that it read
  or remembers, so two puts never miss each other.
* a **checkpoint** record sorts by its id, and right behind it come its **pending writes**, so
  one range holds both. Its document has what is asked of many checkpoints at once; the rest
  is in the blob.
* a **value** record is the value of a channel at a version, shared by checkpoints. A second put
  with the same channel and version writes it again, so nothing remembers it.
* an **element** record is one element of a list or one entry of a dict, at a position of a log;
  checkpoints refer to spans of logs (`threadloom.checkpoint.spans`). It never changes, but for
  what search sees of it. Elements and texts lie with the graph itself, for all its subgraphs:
  one that is handed the conversation refers to it.
* a **text** record is a long text or bytes, wherever it appears in elements, values and pending
  writes. Search sees the texts of the conversation at the root's head, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import ormsgpack
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from threadloom.checkpoint.header import Header, Parts, decode_header, open_header
from threadloom.clock import to_micros
from threadloom.errors import CorruptRecord, InvalidKey
from threadloom.keys import (
    AFTER_PARTS,
    PART_SEPARATOR,
    SessionPaths,
    compact_id,
    encode_id,
    expand_id,
    sort_alike,
)
from threadloom.ops import Doc, Get, Record, Scan

_ROOT = encode_id("")
_LOWEST_INDEX = 100
_TIPS = 128
_MARKS = 16
_GROWTH = 64


class Place(NamedTuple):
    """One checkpoint namespace of one session."""

    paths: SessionPaths
    ns: str

    @property
    def label(self) -> str:
        return encode_id(self.ns)

    @property
    def is_root(self) -> bool:
        return self.ns == ""

    @property
    def remembers(self) -> bool:
        """Whether it is that of a subgraph which goes on from run to run.

        LangGraph names those of the others after the task that runs them, behind a colon.
        """
        return not self.is_root and ":" not in self.ns

    def head(self) -> Get:
        return Get(self.paths.checkpoints, self.label)

    def records(self) -> tuple[str, ...]:
        """The namespace of checkpoints and pending writes."""
        return self.paths.checkpoint_ns(self.label)

    def values(self) -> tuple[str, ...]:
        """The namespace of channel values."""
        return self.paths.values(self.label)

    def logs(self) -> tuple[str, ...]:
        """The namespace of elements of lists and dicts: one for the whole session."""
        return self.paths.logs(_ROOT)

    def texts(self) -> tuple[str, ...]:
        """The namespace of long texts: one for the whole session."""
        return self.paths.texts(_ROOT)

    def scan(self, checkpoint_id: str) -> Scan:
        """A checkpoint and its pending writes."""
        key = checkpoint_key(checkpoint_id)
        return Scan(self.records(), start=key, end=key + AFTER_PARTS)


class Logs(NamedTuple):
    """Where elements of one channel go next.

    What is added at the end of a list goes to `main`, whatever is new before it to `side`, so
    that edits do not tear the main log apart.
    """

    main: str
    main_next: int
    side: str
    side_next: int


class Head(NamedTuple):
    """The head record of a checkpoint namespace."""

    id: str | None = None
    puts: int = 0
    greatest: str | None = None
    ordered: bool = True
    tips: tuple[str, ...] = ()
    marks: Mapping[str, str] = {}
    growth: tuple[Sequence[int], ...] = ()
    logs: Mapping[str, Logs] = {}

    @classmethod
    def read(cls, record: Record | None) -> Head:
        if record is None:
            return cls()
        doc = record.body()
        if not doc.keys() >= {"head", "puts", "tips"}:
            raise CorruptRecord(f"the head record {record.namespace}/{record.key!r} is damaged")
        return cls(
            doc["head"],
            int(doc["puts"]),
            doc.get("greatest"),
            bool(doc.get("ordered", True)),
            tuple(doc.get("tips") or ()),
            doc.get("marks") or {},
            tuple(doc.get("growth") or ()),
            {channel: Logs(*logs) for channel, logs in (doc.get("logs") or {}).items()},
        )

    def doc(self) -> Doc:
        return {
            "head": self.id,
            "puts": self.puts,
            "greatest": self.greatest,
            "ordered": self.ordered,
            "tips": list(self.tips),
            "marks": dict(self.marks),
            "growth": list(self.growth),
            "logs": {channel: list(logs) for channel, logs in self.logs.items()},
        }

    def with_put(self, id: str, parent: str | None, *, on_purpose: bool) -> Head:
        """The head after a put of a new checkpoint.

        A branch that was made on purpose takes the old head out of the tips: whoever goes on
        from there was overtaken.
        """
        left = (id, parent, self.id) if on_purpose else (id, parent)
        tips = [tip for tip in self.tips if tip not in left]
        marks = {
            marked: status
            for marked, status in self.marks.items()
            if marked == id or marked not in (self.id, parent)
        }
        in_order = self.greatest is None or (id > self.greatest and sort_alike(id, self.greatest))
        return self._replace(
            id=id,
            puts=self.puts + 1,
            greatest=max(id, self.greatest or id),
            ordered=self.ordered and in_order,
            tips=(*tips[-_TIPS:], id),
            marks=marks,
        )

    def with_mark(self, id: str, status: str) -> Head:
        """The head after a pending write that says how a checkpoint's run went."""
        if self.marks.get(id) == "error":
            return self
        marks = dict(self.marks)
        marks.pop(id, None)
        marks[id] = status
        while len(marks) > _MARKS:
            del marks[next(iter(marks))]
        return self._replace(marks=marks)

    def with_growth(self, messages: int, now: int) -> Head:
        """The head after the conversation in its messages channel has this length."""
        growth = [pair for pair in self.growth if pair[0] <= messages]
        if messages and (not growth or growth[-1][0] < messages):
            # Where it has become shorter, what is left came when it was longer.
            at = next((at for length, at in self.growth if length >= messages), now)
            growth.append((messages, at))
        if len(growth) > _GROWTH:
            # Old times get coarser; recent ones stay.
            growth = [*growth[: -_GROWTH // 2 : 2], *growth[-_GROWTH // 2 :]]
        return self._replace(growth=tuple(growth))


def checkpoint_key(checkpoint_id: str) -> str:
    return compact_id(checkpoint_id)


def write_key(checkpoint_id: str, task_id: str, index: int) -> str:
    """The key of a pending write; special writes have negative indexes."""
    number = f"{index + _LOWEST_INDEX:05d}"
    return PART_SEPARATOR.join((compact_id(checkpoint_id), compact_id(task_id), number))


def value_key(channel: str, version: Any) -> str:
    """The key of a channel's value. Versions of different types are different versions."""
    kind = {str: "s", int: "i", float: "f"}.get(type(version))
    if kind is None:
        raise CorruptRecord(f"channel {channel!r} has the version {version!r}")
    return PART_SEPARATOR.join((encode_id(channel), kind + encode_id(str(version))))


class PendingWrite(NamedTuple):
    """One stored pending write, its value still encoded."""

    task_id: str
    number: int
    channel: str
    task_path: str
    blob: bytes

    @property
    def order(self) -> tuple[str, str, int]:
        return (self.task_path, self.task_id, self.number)


class Stored:
    """One stored checkpoint with its pending writes.

    Args:
        id: its id.
        record: its record.
        written: the records of its pending writes, in any order.
    """

    __slots__ = ("_header", "_opened", "_writes", "id", "record", "written")

    def __init__(self, id: str, record: Record, written: list[Record]) -> None:
        self.id = id
        self.record = record
        self.written = written
        self._header: Header | None = None
        self._opened: Parts | None = None
        self._writes: list[PendingWrite] | None = None

    @property
    def writes(self) -> list[PendingWrite]:
        """Its pending writes, in their order.

        Raises:
            CorruptRecord: one of their records is damaged.
        """
        if self._writes is None:
            writes = [pending_write(record) for record in self.written]
            self._writes = sorted(writes, key=lambda write: write.order)
        return self._writes

    @property
    def header(self) -> Header:
        """What its record holds.

        Raises:
            CorruptRecord: the record is damaged.
        """
        if self._header is None:
            self._header = decode_header(self.record, self._opened)
        return self._header

    @property
    def _parts(self) -> Parts:
        if self._opened is None:
            self._opened = open_header(self.record)
        return self._opened

    @property
    def seq(self) -> int:
        """Which put of its namespace made it, counted from 1."""
        return self._parts.seq

    @property
    def parent(self) -> str | None:
        """Its parent's id, or None."""
        return self._parts.parent

    @property
    def counts(self) -> tuple[int, int] | None:
        """Messages and tokens of its conversation, if there is one."""
        return self._parts.counts

    @property
    def made_at(self) -> int | None:
        """When it was made, in microseconds since the epoch, as far as it says."""
        try:
            return to_micros(datetime.fromisoformat(self.header.checkpoint["ts"]))
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def status(self) -> str:
        """What the pending writes say of the run: error, interrupted or idle."""
        channels = {write.channel for write in self.writes}
        if ERROR in channels:
            return "error"
        return "interrupted" if INTERRUPT in channels else "idle"


def group(records: Iterable[Record]) -> dict[str, Stored]:
    """Checkpoints by id, from records of one checkpoint namespace in any order.

    Pending writes of checkpoints that are not among the records are left out.
    """
    found: dict[str, Stored] = {}
    written: list[Record] = []
    for record in records:
        if PART_SEPARATOR in record.key:
            written.append(record)
        else:
            found[record.key] = Stored(expand_id(record.key), record, [])
    for record in written:
        owner = found.get(record.key.split(PART_SEPARATOR, 1)[0])
        if owner is not None:
            owner.written.append(record)
    return {stored.id: stored for stored in found.values()}


def written_for(record: Record) -> str:
    """The checkpoint that a pending write's record belongs to."""
    return expand_id(record.key.split(PART_SEPARATOR, 1)[0])


def encode_write(channel: str, task_path: str, data: bytes) -> bytes:
    """The blob of a pending write's record.

    Raises:
        InvalidKey: a name contains a lone surrogate.
    """
    try:
        return ormsgpack.packb([channel, task_path, data])
    except ormsgpack.MsgpackEncodeError as error:
        raise InvalidKey(f"a name contains a lone surrogate: {channel!r}, {task_path!r}") from error


def pending_write(record: Record) -> PendingWrite:
    """A pending write's record, read.

    Raises:
        CorruptRecord: it is damaged.
    """
    try:
        _, task, number = record.key.split(PART_SEPARATOR)
        channel, path, data = ormsgpack.unpackb(record.blob or b"")
        if type(channel) is not str or type(path) is not str or type(data) is not bytes:
            raise ValueError("its parts have the wrong types")
        return PendingWrite(expand_id(task), int(number) - _LOWEST_INDEX, channel, path, data)
    except (ValueError, TypeError) as error:
        raise CorruptRecord(
            f"pending write {record.namespace}/{record.key!r} is damaged: {error!r}"
        ) from error
