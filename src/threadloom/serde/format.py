"""The byte layout that every other module of this package agrees on.

A record is ``version (1 byte) · MessagePack body · CRC-32 of both (4 bytes, little-endian)``.
Whatever MessagePack cannot say exactly is an extension: a tag from the list below and a body,
which mostly is MessagePack again. Tags are part of the stored format: never reuse one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from zlib import crc32

import ormsgpack

from threadloom.errors import CorruptRecord, SchemaTooNew

WHOLE: Final = 1
PARTED: Final = 2
"""The format versions this build writes and reads: a value by itself, and one whose long texts
and bytes are kept elsewhere; its body is a list of the value and of the keys of its parts."""

LONG: Final = 64
"""From this length on a text (in characters) or bytes may be kept apart from a value."""

MAX_DEPTH: Final = 200
"""The deepest nesting of containers and objects that can be stored."""

BIG_INT, TEXT, BYTEARRAY, TUPLE, PAIRS, SET, FROZENSET, DEQUE = range(1, 9)
ORDERED_DICT, DEFAULT_DICT, COUNTER, COMPLEX, DECIMAL, FRACTION = range(9, 15)
DATETIME, DATE, TIME, TIMEDELTA, TIMEZONE, ZONE, UUID_, PATH = range(15, 23)
PATTERN, IP, RANGE, SLICE, SECRET, URL = range(23, 29)
ARRAY, ARRAY_SCALAR = 29, 30
PART, SPLICE = 31, 32
ENUM, FLAG, NAMED_TUPLE, DATACLASS, MODEL, BUILTIN, SLOTTED = range(40, 47)

KIND_NAMES: Final = {
    ENUM: "an enum",
    FLAG: "a flag enum",
    NAMED_TUPLE: "a named tuple",
    DATACLASS: "a dataclass",
    MODEL: "a pydantic model",
    BUILTIN: "a subclass of a built-in type",
    SLOTTED: "a library object",
}

SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})
"""The types that MessagePack keeps exactly (integers beyond 64 bits by the hook below)."""

JUST_STR: Final = frozenset({str})

LISTS: Final[set[type]] = {list}
"""Classes whose objects are stored as the plain lists that they are: `list`, and our own."""

_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


def _beyond_64_bits(value: Any) -> ormsgpack.Ext:
    if type(value) is not int:
        raise TypeError(f"{type(value)!r} reached the encoder")
    return ormsgpack.Ext(BIG_INT, int_bytes(value))


def int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def pack(value: Any) -> bytes:
    """Encode what a ``Writer`` has made plain."""
    return ormsgpack.packb(value, _beyond_64_bits, _OPTIONS)


def ext(tag: int, value: Any) -> ormsgpack.Ext:
    """An extension whose body is MessagePack of ``value``."""
    return ormsgpack.Ext(tag, ormsgpack.packb(value, _beyond_64_bits, _OPTIONS))


def frame(body: bytes, version: int = WHOLE) -> bytes:
    """Add the version in front and the checksum behind."""
    data = bytes((version,)) + body
    return data + crc32(data).to_bytes(4, "little")


def unframe(data: bytes) -> tuple[int, bytes]:
    """Check version and checksum; the version and the body.

    Raises:
        CorruptRecord: either is wrong.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    if len(data) < 6:
        raise CorruptRecord(f"a stored value of {len(data)} bytes is too short")
    if crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise CorruptRecord("a stored value does not match its checksum: truncated or damaged")
    if data[0] > PARTED:
        raise SchemaTooNew(
            f"a stored value has format version {data[0]}, this Threadloom reads {PARTED}. "
            "Install a newer one: pip install --upgrade threadloom"
        )
    if data[0] < WHOLE:
        raise CorruptRecord(f"a stored value has the unknown format version {data[0]}")
    return data[0], data[1:-4]


def hook_was_interrupted(error: BaseException) -> bool:
    """Whether ormsgpack's hook failed that raised nothing: Ctrl-C came before its first line."""
    return isinstance(error, ValueError) and str(error) == "ext_hook failed"


_CONTAINER_MARKS: Final = bytes([*range(0x80, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])
_WIDTHS: Final = {  # fixed width payloads that follow a mark
    **dict.fromkeys((0xCC, 0xD0), 1),
    **dict.fromkeys((0xCD, 0xD1), 2),
    **dict.fromkeys((0xCA, 0xCE, 0xD2), 4),
    **dict.fromkeys((0xCB, 0xCF, 0xD3), 8),
    **{0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17},
}
_LENGTHS: Final = {  # mark: (bytes that hold the length, bytes to skip besides it)
    **{0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0)},
    **{0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)},
    **{0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)},
}
_COUNTS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def nesting_at_most(body: bytes) -> int:
    """An upper bound of how deeply containers nest in ``body``; it costs next to nothing."""
    return len(body) - len(body.translate(None, _CONTAINER_MARKS))


def nesting(body: bytes) -> int:
    """How deeply containers nest in ``body``; extensions are not looked into."""
    deepest, at, end = 0, 0, len(body)
    open_: list[int] = []  # values still to come, one entry a container
    while at < end:
        while open_ and not open_[-1]:
            open_.pop()
        if open_:
            open_[-1] -= 1
        mark = body[at]
        at += 1
        count = -1
        if 0x80 <= mark <= 0x8F:
            count = 2 * (mark & 15)
        elif mark <= 0x9F and mark >= 0x90:
            count = mark & 15
        elif 0xA0 <= mark <= 0xBF:
            at += mark & 31
        elif mark in _WIDTHS:
            at += _WIDTHS[mark]
        elif mark in _LENGTHS:
            width, more = _LENGTHS[mark]
            at += int.from_bytes(body[at : at + width], "big") + width + more
        elif mark in _COUNTS:
            width, each = _COUNTS[mark]
            count = each * int.from_bytes(body[at : at + width], "big")
            at += width
        if count >= 0:
            open_.append(count)
            deepest = max(deepest, len(open_))
    return deepest


class Refused(Exception):
    """A value cannot be stored; the path to it grows while this travels outwards."""

    def __init__(self, kind: type | None, why: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.path: list[str] = []

    def describe(self, where: str) -> str:
        place = where + "".join(reversed(self.path))
        if self.kind is None:
            return f"cannot store {place}: {self.why}"
        name = f"{self.kind.__module__}.{self.kind.__qualname__}"
        return f"cannot store {place}, type {name}: {self.why}"


def trim(parts: list[Any]) -> list[Any]:
    """Drop the ``None`` at the end: they are what a reader assumes."""
    while parts[-1] is None:
        parts.pop()
    return parts


def all_str(names: Iterable[Any]) -> bool:
    return JUST_STR.issuperset(map(type, names))
