"""What an item of long-term memory has beside its value: how long it lives, and its vectors.

Both lie in the record's blob, so that they are written with the value, by the same operation,
and are encrypted with it where a wrapper does that. A blob that does not begin with `_MARK` is
somebody else's and left alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from threadloom import keys, vectors
from threadloom.errors import CorruptRecord, InvalidKey
from threadloom.ops import Record

_MARK: Final = b"\x93itm"
_HEAD: Final = struct.Struct("<4sqII")
_FOR_EVER: Final = -1
_MICROS: Final = 60_000_000
_LONGEST: Final = 2**61
"""Microseconds: some seventy thousand years."""


class Extras(NamedTuple):
    """What an item has beside its value.

    Attributes:
        life: microseconds that it lives after it was last read or written; None for ever.
        dims: numbers of each of its vectors.
        vectors: its vectors, packed one after the other.
    """

    life: int | None = None
    dims: int = 0
    vectors: bytes = b""


NOTHING: Final = Extras()


def encode(life: int | None, dims: int, packed: Sequence[bytes]) -> bytes | None:
    """What an item has beside its value, as a blob; None where that is nothing."""
    if life is None and not packed:
        return None
    head = _HEAD.pack(_MARK, _FOR_EVER if life is None else life, dims, len(packed))
    return head + b"".join(packed)


def decode(record: Record) -> Extras:
    """What the item of a record, read with its blob, has beside its value.

    Raises:
        CorruptRecord: the blob is damaged.
    """
    blob = record.blob
    if blob is None or not blob.startswith(_MARK) or keys.is_reserved(record.namespace):
        return NOTHING
    if len(blob) >= _HEAD.size:
        _, life, dims, count = _HEAD.unpack_from(blob)
        rest = blob[_HEAD.size :]
        if len(rest) == dims * count * vectors.WIDTH and life >= _FOR_EVER:
            return Extras(None if life == _FOR_EVER else life, dims, rest)
    raise CorruptRecord(f"the item {record.namespace}/{record.key!r} is damaged")


def life_of(minutes: object, what: str = "a time to live") -> int:
    """A time to live, in microseconds.

    Args:
        minutes: more than none, as `int` or `float`.
        what: what it is, for the error.

    Raises:
        InvalidKey: it is no such number.
    """
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)):
        raise InvalidKey(f"{what} is a number of minutes, got {minutes!r:.80}")
    if math.isfinite(minutes) and 0 < minutes * _MICROS <= _LONGEST:
        return max(1, round(minutes * _MICROS))
    raise InvalidKey(f"{what} is more than no minutes, and not more than any clock: {minutes!r}")
