"""Records from rows, as `COLUMNS` selects them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from psycopg import pq

from threadloom.documents import decode_doc
from threadloom.errors import CorruptRecord
from threadloom.garbage import without_collection
from threadloom.ops import Doc, Namespace, Record

_DOC = "coalesce(r.odd_doc, jsonb_send(r.doc))"
_TEXT = "coalesce(r.odd_text, textsend(r.text))"
_TIMES = (
    "int8send(r.ver) || int8send(r.created) || int8send(r.updated) || "
    "coalesce(int8send(r.expires), '')"
)
KEY = "coalesce(r.long_key, r.key)"
"""The whole key of a record."""


def columns(blob: str = "r.blob") -> str:
    """What is selected of a record `r`, with an expression for its blob."""
    return f"{KEY}, {_DOC}, {blob}, {_TEXT}, {_TIMES}"


COLUMNS = columns()
WITHOUT_BLOB = columns("NULL::bytea")
WIDTH = 5
"""How many columns that is."""

_FOREVER = struct.Struct("!qqq").unpack
_UNTIL = struct.Struct("!qqqq").unpack


def record(result: pq.abc.PGresult, row: int, at: int, namespace: Namespace) -> Record:
    """The record of a row, whose first column is `at`.

    Raises:
        CorruptRecord: its document is damaged.
    """
    get = result.get_value
    key, doc, blob, text, times = (get(row, at + column) for column in range(WIDTH))
    assert key is not None
    assert times is not None
    if len(times) == 24:
        (version, created, updated), expires = _FOREVER(times), None
    else:
        version, created, updated, expires = _UNTIL(times)
    return Record(
        namespace,
        key.decode(),
        None if doc is None else _document(doc, namespace, key),
        blob,
        None if text is None else text.decode("utf-8", "surrogatepass"),
        version,
        created,
        updated,
        expires,
    )


def records(
    result: pq.abc.PGresult, namespace: Namespace | None = None, at: int = 0
) -> list[Record]:
    """The records of a result, whose first column is `at`; rows that have none are left out.

    Args:
        result: what a statement gave.
        namespace: of all of them; where it is None, its name is in the column before `at`.
        at: where a record's columns begin.
    """
    with without_collection(result.ntuples):
        return list(_each(result, namespace, at))


def _each(result: pq.abc.PGresult, namespace: Namespace | None, at: int) -> Iterator[Record]:
    known: dict[bytes, Namespace] = {}
    for row in range(result.ntuples):
        if result.get_value(row, at) is None:
            continue
        if namespace is not None:
            yield record(result, row, at, namespace)
            continue
        name = result.get_value(row, at - 1) or b""
        if name not in known:
            known[name] = tuple(name.decode().split(".")) if name else ()
        yield record(result, row, at, known[name])


def integer(result: pq.abc.PGresult, row: int, column: int) -> int:
    """An integer of a row."""
    return int.from_bytes(result.get_value(row, column) or b"", "big", signed=True)


def _document(data: bytes, namespace: Namespace, key: bytes) -> Doc:
    try:
        return decode_doc(data[1:] if data[0] == 1 else data)
    except CorruptRecord as error:
        place = f"{namespace}/{key.decode()!r}"
        raise CorruptRecord(f"the record {place} is damaged: {error}") from error
