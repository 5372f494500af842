"""What a checkpoint's record holds: everything of a checkpoint but the values of its channels.

Names and versions of channels stand once in a record, versions and ids in as few bytes as they
have content. For every channel with a value there is a reference: the value itself where it is
small, spans of logs where it is a list or a dict, or that it has a record of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

import ormsgpack
from langgraph.checkpoint.base import CheckpointMetadata

from threadloom.checkpoint.spans import Spans, flat, unflat
from threadloom.errors import CorruptRecord, SchemaTooNew
from threadloom.keys import expand_id, is_compact, uuid_text
from threadloom.ops import Record
from threadloom.serde import Codec
from threadloom.serde.format import frame, pack
from threadloom.values import Values

_PLAIN = Codec(strict=True)
_FORMAT = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OUR_VERSION = re.compile(r"[0-9]{8}\.[0-9a-f]{12}")
_OURS = 6
_USUAL_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?\+00:00"
)
_UPDATED = {"updated_channels": None}
_KNOWN = (
    "v",
    "ts",
    "id",
    "channel_values",
    "channel_versions",
    "versions_seen",
    "updated_channels",
)


class ListRef(NamedTuple):
    """A list: the elements of spans."""

    spans: Spans


class DictRef(NamedTuple):
    """A dict: entries that are set or deleted, in the order of the spans."""

    spans: Spans


class Inline(NamedTuple):
    """A small value, here."""

    data: bytes


class Apart(Enum):
    """A value with a record of its own, under its channel and version."""

    APART = True


APART: Final = Apart.APART
Ref = ListRef | DictRef | Inline | Apart


class Header(NamedTuple):
    """A checkpoint without the values of its channels.

    Attributes:
        seq: which put of its namespace made it, counted from 1.
        parent: its parent's id, or None.
        checkpoint: the checkpoint as LangGraph has it, without `channel_values`.
        refs: where the value of each channel that has one is.
        counts: messages and tokens of the conversation, if there is one.
        delta: channels that only its ancestors can rebuild.
        metadata: encoded by the values' codec.
    """

    seq: int
    parent: str | None
    checkpoint: dict[str, Any]
    refs: Mapping[str, Ref]
    counts: tuple[int, int] | None
    delta: tuple[str, ...]
    metadata: bytes

    @property
    def versions(self) -> dict[str, Any]:
        versions = self.checkpoint["channel_versions"]
        assert isinstance(versions, dict)
        return versions

    @property
    def absent(self) -> set[str]:
        """The channels that have a version but no value here."""
        return self.versions.keys() - self.refs.keys()


def new_header(
    *,
    seq: int,
    parent: str | None,
    checkpoint: Mapping[str, Any],
    refs: Mapping[str, Ref],
    counts: tuple[int, int] | None,
    metadata: CheckpointMetadata,
    values: Values,
) -> Header:
    """The header of a checkpoint that is put now."""
    delta = metadata.get("counters_since_delta_snapshot") or ()
    body = {name: item for name, item in checkpoint.items() if name != "channel_values"}
    where = f"the metadata of checkpoint {checkpoint['id']}"
    return Header(
        seq, parent, body, refs, counts, tuple(sorted(delta)), values.dumps(metadata, where=where)
    )


def as_parent(header: Header) -> Header:
    """What is asked of a parent, sharing nothing that LangGraph may change."""
    body = {"id": header.checkpoint["id"], "channel_versions": dict(header.versions)}
    return header._replace(checkpoint=body)


def encode_header(header: Header) -> bytes:
    """The blob of a checkpoint's record; its id is the record's key."""
    body = header.checkpoint
    refs = header.refs
    names: dict[str, int] = {}
    numbers: dict[Any, int] = {}

    def name(text: str) -> int:
        return names.setdefault(text, len(names))

    def number(version: Any) -> int:
        # Versions of different types are different versions, equal or not.
        key = version if type(version) is str else (type(version), version)
        return numbers.setdefault(key, len(numbers))

    channels: list[Any] = []
    for channel, version in body["channel_versions"].items():
        channels += (name(channel), number(version), _encode_ref(refs.get(channel)))
    seen = []
    for node, versions in (body.get("versions_seen") or {}).items():
        row = [name(node)]
        for channel, version in versions.items():
            row += (name(channel), number(version))
        seen.append(row)
    updated = body.get("updated_channels")
    rest = {name: item for name, item in body.items() if name not in _KNOWN}
    if "updated_channels" in body:
        rest["updated_channels"] = None  # it is there
    parts: list[Any] = [
        _FORMAT,
        header.seq,
        _encode_id(header.parent),
        body.get("v"),
        _encode_time(body.get("ts")),
        channels,
        seen,
        None if updated is None else [name(text) for text in updated],
        None if header.counts is None else list(header.counts),
        [name(text) for text in header.delta],
        rest,
        header.metadata,
        list(names),
        [_encode_version(key if type(key) is str else key[1]) for key in numbers],
    ]
    if not rest or rest == _UPDATED:
        try:
            return frame(pack(parts))  # nothing in it that the codec would write otherwise
        except ormsgpack.MsgpackEncodeError:
            pass  # a lone surrogate
    return _PLAIN.dumps(parts, where=f"checkpoint {body['id']}")


class Parts(NamedTuple):
    """A checkpoint's record, opened: what is asked of many checkpoints, and the rest unread."""

    seq: int
    parent: str | None
    counts: tuple[int, int] | None
    rest: list[Any]


def open_header(record: Record) -> Parts:
    """Open what `encode_header` wrote.

    Raises:
        CorruptRecord: the record is damaged.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    try:
        if record.blob is None:
            raise CorruptRecord("it has no content")
        form, *parts = _PLAIN.loads(record.blob)
        if isinstance(form, int) and form > _FORMAT:
            raise SchemaTooNew(
                f"checkpoint {record.namespace}/{record.key!r} was written by a newer Threadloom: "
                "pip install --upgrade threadloom"
            )
        if form != _FORMAT:
            raise CorruptRecord(f"unknown form {form!r}")
        seq, parent, counts = parts[0], _decode_id(parts[1]), parts[7]
        if not isinstance(seq, int):
            raise CorruptRecord("its parts have the wrong types")
        found = None if counts is None else (int(counts[0]), int(counts[1]))
        return Parts(seq, parent, found, parts)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise _damaged(record, error) from error


def decode_header(record: Record, opened: Parts | None = None) -> Header:
    """What `encode_header` wrote.

    Raises:
        CorruptRecord: the record is damaged.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    parts = opened or open_header(record)
    try:
        return _from_parts(expand_id(record.key), parts)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise _damaged(record, error) from error


def _damaged(record: Record, error: Exception) -> CorruptRecord:
    return CorruptRecord(f"checkpoint {record.namespace}/{record.key!r} is damaged: {error}")


def _from_parts(id: str, opened: Parts) -> Header:
    _, _, v, ts, channels, seen, updated, _, delta, rest, metadata, names, found = opened.rest
    versions = [_decode_version(version) for version in found]
    if not isinstance(metadata, bytes):
        raise CorruptRecord("its parts have the wrong types")
    body: dict[str, Any] = {
        "v": v,
        "ts": _decode_time(ts),
        "id": id,
        "channel_versions": {},
        "versions_seen": {
            names[node]: {
                names[pairs[at]]: versions[pairs[at + 1]] for at in range(0, len(pairs), 2)
            }
            for node, *pairs in seen
        },
    }
    refs: dict[str, Ref] = {}
    for at in range(0, len(channels), 3):
        channel = names[channels[at]]
        body["channel_versions"][channel] = versions[channels[at + 1]]
        ref = _decode_ref(channels[at + 2])
        if ref is not None:
            refs[channel] = ref
    body.update(rest)
    if "updated_channels" in rest:
        body["updated_channels"] = None if updated is None else [names[n] for n in updated]
    return Header(
        opened.seq,
        opened.parent,
        body,
        refs,
        opened.counts,
        tuple(names[n] for n in delta),
        metadata,
    )


def _encode_version(version: Any) -> Any:
    return _encode_ours(version) if type(version) is str else version


@lru_cache(maxsize=8192)
def _encode_ours(version: str) -> bytes | str:
    """A version that our checkpointers made, as its counter and its noise."""
    if _OUR_VERSION.fullmatch(version) is None:
        return version
    count = int(version[:8])
    size = (count.bit_length() + 7) // 8
    return bytes.fromhex(version[9:]) + count.to_bytes(size, "big")


def _decode_version(stored: Any) -> Any:
    if type(stored) is not bytes:
        return stored
    return f"{int.from_bytes(stored[_OURS:], 'big'):08d}.{stored[:_OURS].hex()}"


def _encode_id(id: str | None) -> Any:
    return bytes.fromhex(id.replace("-", "")) if id is not None and is_compact(id) else id


def _decode_id(stored: Any) -> str | None:
    return uuid_text(stored) if isinstance(stored, bytes) else stored


def _encode_time(text: Any) -> Any:
    """A time in ISO format as microseconds, where it reads the same again."""
    if type(text) is not str:
        return [text]
    if _USUAL_TIME.fullmatch(text) is None:
        return text
    try:
        number = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except ValueError:
        return text
    # It reads the same again, with a fraction where there is one.
    return number if bool(number % 1_000_000) == ("." in text) else text


def _decode_time(stored: Any) -> Any:
    if type(stored) is list:
        return stored[0]
    if type(stored) is not int:
        return stored
    return (_EPOCH + stored * _MICROSECOND).isoformat()


def _encode_ref(ref: Ref | None) -> Any:
    match ref:
        case None:
            return None
        case Inline(data):
            return data
        case ListRef(spans):
            return [1, *flat(spans)]
        case DictRef(spans):
            return [2, *flat(spans)]
        case Apart():
            return True


def _decode_ref(stored: Any) -> Ref | None:
    match stored:
        case None:
            return None
        case bytes():
            return Inline(stored)
        case True:
            return APART
        case [1, *parts]:
            return ListRef(unflat(parts))
        case [2, *parts]:
            return DictRef(unflat(parts))
    raise CorruptRecord(f"unknown reference {stored!r}")
