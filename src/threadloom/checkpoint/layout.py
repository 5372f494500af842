"""How checkpoints lie in the store: keys, documents, and what a record of each kind holds.

Everything of one session's graph state is in its partition (`threadloom.keys` has the
table). Within a checkpoint namespace:

* the **head** record is where writers meet: which checkpoint is the newest by put order, how
  many puts there were, the tips of branches, and marks of interrupts and errors that a
  checkpoint's pending writes carry. Every put changes it and expects the version it read, so
  two puts never miss each other.
* a **checkpoint** record sorts by its id, and right behind it come its **pending writes**, so
  one range holds both. Its document has what is asked of many checkpoints at once; the rest
  is in the blob.
* a **value** record is the value of a channel at a version, shared by checkpoints. A second put
  with the same channel and version writes it again, so a cache keys by the record's version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from langgraph.checkpoint.base import CheckpointMetadata
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from threadloom.errors import CorruptRecord, SchemaTooNew
from threadloom.keys import (
    AFTER_PARTS,
    PART_SEPARATOR,
    SessionPaths,
    decode_id,
    encode_id,
    is_plain,
)
from threadloom.ops import Doc, Get, Record, Scan
from threadloom.serde import Codec
from threadloom.values import Values

_PLAIN = Codec(strict=True)
_FORMAT = 1
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

    def head(self) -> Get:
        return Get(self.paths.checkpoints, self.label)

    def records(self) -> tuple[str, ...]:
        """The namespace of checkpoints and pending writes."""
        return self.paths.checkpoint_ns(self.label)

    def values(self) -> tuple[str, ...]:
        """The namespace of channel values."""
        return self.paths.values(self.label)

    def scan(self, checkpoint_id: str) -> Scan:
        """A checkpoint and its pending writes."""
        key = encode_id(checkpoint_id)
        return Scan(self.records(), start=key, end=key + AFTER_PARTS)


class Head(NamedTuple):
    """The head record of a checkpoint namespace."""

    id: str | None = None
    puts: int = 0
    greatest: str | None = None
    ordered: bool = True
    tips: tuple[str, ...] = ()
    marks: Mapping[str, str] = {}
    growth: tuple[tuple[int, int], ...] = ()

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
            tuple((int(upto), int(at)) for upto, at in doc.get("growth") or ()),
        )

    def doc(self) -> Doc:
        return {
            "head": self.id,
            "puts": self.puts,
            "greatest": self.greatest,
            "ordered": self.ordered,
            "tips": list(self.tips),
            "marks": dict(self.marks),
            "growth": [list(pair) for pair in self.growth],
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
        in_order = is_plain(id) and (self.greatest is None or id > self.greatest)
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
            growth.append((messages, now))
        if len(growth) > _GROWTH:
            # Old times get coarser; recent ones stay.
            growth = [*growth[: -_GROWTH // 2 : 2], *growth[-_GROWTH // 2 :]]
        return self._replace(growth=tuple(growth))


class Header(NamedTuple):
    """What a checkpoint's record holds besides the values of its channels.

    `absent` are the channels that have a version but no value at this checkpoint.
    """

    checkpoint: dict[str, Any]
    absent: frozenset[str]
    metadata: bytes

    @property
    def versions(self) -> dict[str, Any]:
        versions = self.checkpoint["channel_versions"]
        assert isinstance(versions, dict)
        return versions

    def stored(self) -> list[tuple[str, Any]]:
        """The channels that have a value at this checkpoint, with their versions."""
        return [pair for pair in self.versions.items() if pair[0] not in self.absent]


def encode_header(
    checkpoint: Mapping[str, Any],
    absent: Iterable[str],
    metadata: CheckpointMetadata,
    values: Values,
) -> bytes:
    """The blob of a checkpoint's record; `metadata` goes the way of the values."""
    body = {name: item for name, item in checkpoint.items() if name != "channel_values"}
    return _PLAIN.dumps(
        (
            _FORMAT,
            body,
            sorted(absent),
            values.dumps(metadata, where=f"the metadata of checkpoint {checkpoint['id']}"),
        ),
        where=f"checkpoint {checkpoint['id']}",
    )


def decode_header(record: Record) -> Header:
    """What `encode_header` wrote.

    Raises:
        CorruptRecord: the record is damaged.
    """
    try:
        if record.blob is None:
            raise CorruptRecord("it has no content")
        form, body, absent, metadata = _PLAIN.loads(record.blob)
        if isinstance(form, int) and form > _FORMAT:
            raise SchemaTooNew(
                f"checkpoint {record.namespace}/{record.key!r} was written by a newer Threadloom: "
                "pip install --upgrade threadloom"
            )
        if form != _FORMAT:
            raise CorruptRecord(f"unknown form {form!r}")
        if not isinstance(body["channel_versions"], dict) or not isinstance(metadata, bytes):
            raise CorruptRecord("its parts have the wrong types")
        return Header(body, frozenset(absent), metadata)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRecord(
            f"checkpoint {record.namespace}/{record.key!r} is damaged: {error}"
        ) from error


def checkpoint_key(checkpoint_id: str) -> str:
    return encode_id(checkpoint_id)


def write_key(checkpoint_id: str, task_id: str, index: int) -> str:
    """The key of a pending write; special writes have negative indexes."""
    number = f"{index + _LOWEST_INDEX:05d}"
    return PART_SEPARATOR.join((encode_id(checkpoint_id), encode_id(task_id), number))


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


class Stored(NamedTuple):
    """One stored checkpoint with its pending writes, in their order."""

    id: str
    record: Record
    writes: list[PendingWrite]

    @property
    def seq(self) -> int:
        return int(self.record.body().get("seq") or 0)

    @property
    def status(self) -> str:
        """What the pending writes say of the run: error, interrupted or idle."""
        channels = {write.channel for write in self.writes}
        if ERROR in channels:
            return "error"
        return "interrupted" if INTERRUPT in channels else "idle"

    @property
    def parent(self) -> str | None:
        return self.record.body().get("parent")


def group(records: Iterable[Record]) -> dict[str, Stored]:
    """Checkpoints by id, from records of one checkpoint namespace in any order.

    Pending writes of checkpoints that are not among the records are left out.
    """
    found: dict[str, Stored] = {}
    loose: list[Record] = []
    for record in records:
        if PART_SEPARATOR in record.key:
            loose.append(record)
        else:
            id = decode_id(record.key)
            found[id] = Stored(id, record, [])
    for record in loose:
        owner = found.get(decode_id(record.key.split(PART_SEPARATOR, 1)[0]))
        if owner is not None:
            owner.writes.append(pending_write(record))
    for stored in found.values():
        stored.writes.sort(key=lambda write: write.order)
    return found


def pending_write(record: Record) -> PendingWrite:
    """A pending write's record, read."""
    doc = record.doc
    try:
        _, task, number = record.key.split(PART_SEPARATOR)
        if doc is None:
            raise KeyError("document")
        return PendingWrite(
            decode_id(task),
            int(number) - _LOWEST_INDEX,
            doc["channel"],
            doc.get("path") or "",
            record.blob or b"",
        )
    except (ValueError, KeyError) as error:
        raise CorruptRecord(
            f"pending write {record.namespace}/{record.key!r} is damaged: {error!r}"
        ) from error
