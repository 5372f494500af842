"""A line of a journal: one batch as JSON, with a checksum.

The first line names the format. Each further line is what one batch wrote and removed::

    {"n":2,"version":7,"time":"2026-01-01T12:00:00.000000Z",
     "put":[{"in":"memory.trip","key":"0000000000","doc":{…},"text":"Hi","blob":"gqR0…"}],
     "removed":[{"in":"memory.trip","key":"summary"}],
     "sum":"1c291ca3"}

`n` is the number of the line, so a line that is missing or stands twice is noticed. A record has
the `version`, `created` and `updated` of its line (times in microseconds since the epoch) unless
it says otherwise, as it does after a compaction; `expires` is left out for ever. `blob` is
base64. `sum` is the CRC-32 of everything in front of it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from threadloom.clock import from_micros, to_micros
from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import CorruptRecord, SerializationError
from threadloom.keys import decode_namespace, encode_namespace
from threadloom.ops import Namespace
from threadloom.stores.spaces import Entry

FORMAT = 1
HEADER = orjson.dumps({"threadloom": "journal", "format": FORMAT})

Where = tuple[Namespace, str]
Changes = Mapping[Where, Entry | None]
"""What a batch leaves behind, by place; None where it removed a record."""

_SUM = 18
"""The length of ``,"sum":"00000000"}``."""


class BadLine(ValueError):
    """A line that cannot be what was written; says why."""


class NewerLine(BadLine):
    """The first line of a journal whose format is newer."""


class Line(NamedTuple):
    """What a line says."""

    n: int
    version: int
    changes: list[tuple[Where, Entry | None]]


def encode(n: int, version: int, now: int, changes: Changes) -> bytes:
    """A line, without its end.

    Raises:
        SerializationError: a text holds what is no Unicode.
    """
    line: dict[str, Any] = {"n": n, "version": version, "time": _said(now)}
    put = [_put(at, entry, version, now) for at, entry in changes.items() if entry is not None]
    removed = [
        {"in": encode_namespace(at[0]), "key": at[1]}
        for at, entry in changes.items()
        if entry is None
    ]
    if put or not removed:
        line["put"] = put
    if removed:
        line["removed"] = removed
    try:
        body = orjson.dumps(line)[:-1]
    except TypeError as error:
        raise SerializationError(f"a record cannot be written as JSON: {error}") from error
    return b'%b,"sum":"%08x"}' % (body, crc32(body))


def decode(raw: bytes) -> Line:
    """What a line says that `encode` wrote.

    Raises:
        BadLine: it did not.
    """
    body, end = raw[:-_SUM], raw[-_SUM:]
    if end != b',"sum":"%08x"}' % crc32(body):
        raise BadLine("its checksum is wrong")
    try:
        line = decode_doc(raw)
        version, now = line["version"], to_micros(datetime.fromisoformat(line["time"]))
        changes: list[tuple[Where, Entry | None]] = [
            ((decode_namespace(put["in"]), put["key"]), _entry(put, version, now))
            for put in line.get("put", ())
        ]
        changes += [
            ((decode_namespace(place["in"]), place["key"]), None)
            for place in line.get("removed", ())
        ]
        return Line(line["n"], version, changes)
    except (CorruptRecord, KeyError, TypeError, ValueError) as error:
        raise BadLine(f"it says nothing that makes sense ({error!r})") from error


def check_header(raw: bytes) -> None:
    """Refuse a first line that is not of a journal, or of a newer format.

    Raises:
        BadLine: says which it is.
    """
    if raw == HEADER:
        return
    try:
        header = orjson.loads(raw)
        newer = header["threadloom"] == "journal" and header["format"] > FORMAT
    except (KeyError, TypeError, ValueError):
        newer = False
    if newer:
        raise NewerLine(
            f"it has format {header['format']}, this version of Threadloom knows up to {FORMAT}"
        )
    raise BadLine("it is not the first line of a journal")


def weight(at: Where, entry: Entry) -> int:
    """About how many bytes a record takes up in a line."""
    blob = 0 if entry.blob is None else len(entry.blob) * 4 // 3 + 10
    text = 0 if entry.text is None else len(entry.text) + 10
    return 120 + sum(map(len, at[0])) + len(at[1]) + len(entry.doc or b"") + blob + text


def parts(records: Iterable[tuple[Where, Entry]], most: int) -> Iterable[dict[Where, Entry]]:
    """Records in portions of about so many bytes, one a line; at least one portion."""
    part: dict[Where, Entry] = {}
    size = 0
    for at, entry in records:
        part[at] = entry
        size += weight(at, entry)
        if size >= most:
            yield part
            part, size = {}, 0
    yield part


def _put(at: Where, entry: Entry, version: int, now: int) -> dict[str, Any]:
    said: dict[str, Any] = {"in": encode_namespace(at[0]), "key": at[1]}
    if entry.doc is not None:
        said["doc"] = orjson.Fragment(entry.doc)
    if entry.text is not None:
        said["text"] = entry.text
    if entry.blob is not None:
        said["blob"] = b64encode(entry.blob).decode()
    if entry.version != version:
        said["version"] = entry.version
    if entry.created_at != now:
        said["created"] = entry.created_at
    if entry.updated_at != now:
        said["updated"] = entry.updated_at
    if entry.expires_at is not None:
        said["expires"] = entry.expires_at
    return said


def _entry(put: Mapping[str, Any], version: int, now: int) -> Entry:
    get = put.get
    doc, blob = get("doc"), get("blob")
    return Entry(
        None if doc is None else encode_doc(doc),
        None if blob is None else b64decode(blob, validate=True),
        get("text"),
        get("version", version),
        get("created", now),
        get("updated", now),
        get("expires"),
    )


def _said(micros: int) -> str:
    return from_micros(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
