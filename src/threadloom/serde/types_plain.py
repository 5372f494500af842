"""The standard library's value types: how each is written and read.

Readers call constructors of the standard library only, named here, never by the data.
"""

from __future__ import annotations

import ipaddress
import pathlib
import re
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import ormsgpack
from pydantic_core import TzInfo

from threadloom.errors import CorruptRecord
from threadloom.serde import format as f
from threadloom.serde.format import Refused, ext
from threadloom.serde.opaque import Opaque

if TYPE_CHECKING:
    from threadloom.serde.reader import Reader
    from threadloom.serde.writer import Writer

FACTORIES: Final[dict[str, type]] = {
    kind.__name__: kind for kind in (list, dict, set, int, str, float, tuple)
}
"""The factories a stored ``defaultdict`` may have."""

_PATHS: Final = (
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
    pathlib.PosixPath,
    pathlib.WindowsPath,
)
_ADDRESSES: Final = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)
_ZONE_KEY: Final = re.compile(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*")
_SAFETY: Final = (uuid.SafeUUID.safe, uuid.SafeUUID.unsafe)


def _need(ok: bool, what: str) -> None:
    if not ok:
        raise CorruptRecord(f"a stored {what} has the wrong content")


def load_text(reader: Reader, data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def load_big_int(reader: Reader, data: bytes) -> int:
    _need(len(data) > 0, "integer")
    return int.from_bytes(data, "big", signed=True)


def load_bytearray(reader: Reader, data: bytes) -> bytearray:
    return bytearray(data)


# --- containers ---------------------------------------------------------------------------


def dump_deque(writer: Writer, value: Any) -> Any:
    return ext(f.DEQUE, [value.maxlen, writer.items(value)])


def dump_ordered(writer: Writer, value: Any) -> Any:
    return ext(f.ORDERED_DICT, writer.pairs(value.items()))


def dump_defaultdict(writer: Writer, value: Any) -> Any:
    return ext(f.DEFAULT_DICT, [factory_name(value), writer.pairs(value.items())])


def factory_name(value: Any) -> str | None:
    """The name under which a ``defaultdict``'s factory is stored."""
    factory = defaultdict.__dict__["default_factory"].__get__(value)
    if factory is None:
        return None
    if isinstance(factory, type) and FACTORIES.get(factory.__name__) is factory:
        return factory.__name__
    raise Refused(type(value), f"its factory is not one of {', '.join(FACTORIES)} or None")


def factory_of(name: Any) -> type | None:
    if name is None:
        return None
    _need(type(name) is str and name in FACTORIES, "defaultdict")
    return FACTORIES[name]


def pairs_of(content: Any) -> list[tuple[Any, Any]]:
    _need(type(content) is list and len(content) % 2 == 0, "dict")
    return list(zip(content[::2], content[1::2], strict=True))


def load_pairs(reader: Reader, data: bytes) -> dict[Any, Any]:
    pairs = pairs_of(reader.unpack(data))
    result = dict(pairs)
    _need(len(result) == len(pairs), "dict")
    return result


def load_set(reader: Reader, data: bytes) -> set[Any]:
    return set(reader.sequence(data))


def load_deque(reader: Reader, data: bytes) -> deque[Any]:
    maxlen, items = reader.parts(data, 2, 2)
    return deque(deque_items(maxlen, items), maxlen)


def deque_items(maxlen: Any, items: Any) -> list[Any]:
    _need(type(items) is list, "deque")
    _need(maxlen is None or (type(maxlen) is int and maxlen >= len(items)), "deque")
    result: list[Any] = items
    return result


def load_ordered(reader: Reader, data: bytes) -> OrderedDict[Any, Any]:
    return OrderedDict(pairs_of(reader.unpack(data)))


def load_defaultdict(reader: Reader, data: bytes) -> defaultdict[Any, Any]:
    name, content = reader.parts(data, 2, 2)
    return defaultdict(factory_of(name), pairs_of(content))


def load_counter(reader: Reader, data: bytes) -> Counter[Any]:
    result: Counter[Any] = Counter()
    for key, count in pairs_of(reader.unpack(data)):
        dict.__setitem__(result, key, count)
    return result


# --- numbers ------------------------------------------------------------------------------


def load_complex(reader: Reader, data: bytes) -> complex:
    real, imag = reader.parts(data, 2, 2)
    _need(type(real) is float and type(imag) is float, "complex number")
    return complex(real, imag)


def load_decimal(reader: Reader, data: bytes) -> Decimal:
    text = data.decode("ascii")
    result = Decimal(text)
    _need(str(result) == text, "Decimal")
    return result


def load_fraction(reader: Reader, data: bytes) -> Fraction:
    return Fraction(*_ints(reader.parts(data, 2, 2)))


def load_range(reader: Reader, data: bytes) -> range:
    return range(*_ints(reader.parts(data, 3, 3)))


def load_slice(reader: Reader, data: bytes) -> slice:
    return slice(*reader.parts(data, 3, 3))


def _ints(values: list[Any]) -> list[int]:
    _need(all(type(value) is int for value in values), "list of integers")
    return values


# --- time ---------------------------------------------------------------------------------


def _zone(kind: type, zone: Any) -> Any:
    """A time zone in its short form, see ``_zone_of``."""
    if zone is None:
        return None
    if zone is UTC:
        return 0
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [*_delta(offset), *name]
    if type(zone) is ZoneInfo:
        if not zone.key or not _ZONE_KEY.fullmatch(zone.key):
            raise Refused(kind, "its ZoneInfo has no key")
        return zone.key
    if type(zone) is TzInfo:
        delta = zone.utcoffset(None)
        return float(delta.total_seconds()) if delta is not None else 0.0
    raise Refused(kind, f"its time zone is a {type(zone).__module__}.{type(zone).__qualname__}")


def _zone_of(reader: Reader, stored: Any) -> Any:
    if stored is None:
        return None
    if type(stored) is int and stored == 0:
        return UTC
    if type(stored) is float:
        return TzInfo(stored)
    if type(stored) is str:
        _need(_ZONE_KEY.fullmatch(stored) is not None, "time zone")
        try:
            return ZoneInfo(stored)
        except (ZoneInfoNotFoundError, OSError, ValueError):
            why = f"this machine does not know the time zone {stored!r} (install tzdata)"
            return reader.refuse("zoneinfo:ZoneInfo", why, stored)
    _need(type(stored) is list and 3 <= len(stored) <= 4, "time zone")
    name = stored[3:]
    _need(all(type(part) is str for part in name), "time zone")
    return timezone(timedelta(*_ints(stored[:3])), *name)


def _delta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def dump_datetime(writer: Writer, value: datetime) -> Any:
    parts = [value.year, value.month, value.day, value.hour, value.minute, value.second]
    parts += [value.microsecond, value.fold]
    return ext(f.DATETIME, [*parts, _stored_zone(writer, datetime, value.tzinfo)])


def dump_time(writer: Writer, value: time) -> Any:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return ext(f.TIME, [*parts, _stored_zone(writer, time, value.tzinfo)])


def _stored_zone(writer: Writer, kind: type, zone: Any) -> Any:
    stored = _zone(kind, zone)
    if type(stored) is list and len(stored) == 4:
        stored[3] = writer.encode(stored[3])
    return stored


def dump_zone(writer: Writer, value: Any) -> Any:
    return ext(f.ZONE, _stored_zone(writer, type(value), value))


def load_datetime(reader: Reader, data: bytes) -> Any:
    *numbers, fold, zone = reader.parts(data, 9, 9)
    tzinfo = _zone_of(reader, zone)
    if type(tzinfo) is Opaque:
        return Opaque("datetime:datetime", [*numbers, fold, zone])
    _need(type(fold) is int, "datetime")
    return datetime(*_ints(numbers), fold=fold, tzinfo=tzinfo)  # type: ignore[arg-type, misc]


def load_time(reader: Reader, data: bytes) -> Any:
    *numbers, fold, zone = reader.parts(data, 6, 6)
    tzinfo = _zone_of(reader, zone)
    if type(tzinfo) is Opaque:
        return Opaque("datetime:time", [*numbers, fold, zone])
    _need(type(fold) is int, "time")
    return time(*_ints(numbers), fold=fold, tzinfo=tzinfo)  # type: ignore[arg-type, misc]


def load_date(reader: Reader, data: bytes) -> date:
    return date(*_ints(reader.parts(data, 3, 3)))


def load_timedelta(reader: Reader, data: bytes) -> timedelta:
    return timedelta(*_ints(reader.parts(data, 3, 3)))


def load_zone(reader: Reader, data: bytes) -> Any:
    stored = reader.unpack(data)
    _need(stored is not None, "time zone")
    return _zone_of(reader, stored)


# --- names --------------------------------------------------------------------------------


def dump_uuid(writer: Writer, value: uuid.UUID) -> Any:
    safety = value.is_safe
    mark = b"" if safety not in _SAFETY else bytes([_SAFETY.index(safety)])
    return ormsgpack.Ext(f.UUID_, value.bytes + mark)


def load_uuid(reader: Reader, data: bytes) -> uuid.UUID:
    if len(data) == 16:
        return uuid.UUID(bytes=data)
    _need(len(data) == 17 and data[16] < 2, "UUID")
    return uuid.UUID(bytes=data[:16], is_safe=_SAFETY[data[16]])


def dump_path(writer: Writer, value: pathlib.PurePath) -> Any:
    text = str(value).encode("utf-8", "surrogatepass")
    return ormsgpack.Ext(f.PATH, bytes([_PATHS.index(type(value))]) + text)


def load_path(reader: Reader, data: bytes) -> Any:
    _need(data[0] < len(_PATHS), "path")
    kind: type = _PATHS[data[0]]
    text = data[1:].decode("utf-8", "surrogatepass")
    if issubclass(kind, pathlib.Path) and kind is not type(pathlib.Path()):
        return reader.refuse(f"pathlib:{kind.__name__}", "it is another system's path", text)
    return kind(text)


def dump_pattern(writer: Writer, value: re.Pattern[Any]) -> Any:
    return ext(f.PATTERN, [writer.encode(value.pattern), value.flags & ~int(re.DEBUG)])


def load_pattern(reader: Reader, data: bytes) -> re.Pattern[Any]:
    pattern, flags = reader.parts(data, 2, 2)
    _need(type(pattern) in (str, bytes) and type(flags) is int, "pattern")
    _need(not flags & re.DEBUG, "pattern")
    return re.compile(pattern, flags)


def dump_address(writer: Writer, value: Any) -> Any:
    return ormsgpack.Ext(f.IP, bytes([_ADDRESSES.index(type(value))]) + str(value).encode())


def load_address(reader: Reader, data: bytes) -> Any:
    _need(data[0] < len(_ADDRESSES), "address")
    return _ADDRESSES[data[0]](data[1:].decode())


Dumper = Callable[["Writer", Any], Any]

DUMPERS: Final[dict[type, Dumper]] = {
    tuple: lambda writer, value: ext(f.TUPLE, writer.items(value)),
    set: lambda writer, value: ext(f.SET, writer.items(value)),
    frozenset: lambda writer, value: ext(f.FROZENSET, writer.items(value)),
    bytearray: lambda writer, value: ormsgpack.Ext(f.BYTEARRAY, bytes(value)),
    deque: dump_deque,
    OrderedDict: dump_ordered,
    defaultdict: dump_defaultdict,
    Counter: lambda writer, value: ext(f.COUNTER, writer.pairs(value.items())),
    complex: lambda writer, value: ext(f.COMPLEX, [value.real, value.imag]),
    Decimal: lambda writer, value: ormsgpack.Ext(f.DECIMAL, str(value).encode()),
    Fraction: lambda writer, value: ext(f.FRACTION, [value.numerator, value.denominator]),
    range: lambda writer, value: ext(f.RANGE, [value.start, value.stop, value.step]),
    slice: lambda writer, value: ext(f.SLICE, writer.items([value.start, value.stop, value.step])),
    datetime: dump_datetime,
    date: lambda writer, value: ext(f.DATE, [value.year, value.month, value.day]),
    time: dump_time,
    timedelta: lambda writer, value: ext(f.TIMEDELTA, _delta(value)),
    timezone: dump_zone,
    ZoneInfo: dump_zone,
    TzInfo: dump_zone,
    uuid.UUID: dump_uuid,
    re.Pattern: dump_pattern,
    **dict.fromkeys(_PATHS, dump_path),
    **dict.fromkeys(_ADDRESSES, dump_address),
}
"""How to write a value of exactly this type."""

LOADERS: Final[dict[int, Callable[[Reader, bytes], Any]]] = {
    f.BIG_INT: load_big_int,
    f.TEXT: load_text,
    f.BYTEARRAY: load_bytearray,
    f.TUPLE: lambda reader, data: tuple(reader.sequence(data)),
    f.PAIRS: load_pairs,
    f.SET: load_set,
    f.FROZENSET: lambda reader, data: frozenset(reader.sequence(data)),
    f.DEQUE: load_deque,
    f.ORDERED_DICT: load_ordered,
    f.DEFAULT_DICT: load_defaultdict,
    f.COUNTER: load_counter,
    f.COMPLEX: load_complex,
    f.DECIMAL: load_decimal,
    f.FRACTION: load_fraction,
    f.DATETIME: load_datetime,
    f.DATE: load_date,
    f.TIME: load_time,
    f.TIMEDELTA: load_timedelta,
    f.ZONE: load_zone,
    f.UUID_: load_uuid,
    f.PATH: load_path,
    f.PATTERN: load_pattern,
    f.IP: load_address,
    f.RANGE: load_range,
    f.SLICE: load_slice,
}
