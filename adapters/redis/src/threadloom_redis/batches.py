"""Operations as a script is given them, and its answers as their results."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from typing import Any

from threadloom import keys
from threadloom.documents import encode_doc
from threadloom.errors import CorruptRecord, StoreUnavailable
from threadloom.ops import (
    ABSENT,
    KEEP_EXPIRY,
    PRESENT,
    WRITES,
    Check,
    Delete,
    DropTree,
    Expect,
    ExpectationFailed,
    Get,
    Op,
    Patch,
    Put,
    Renew,
    Scan,
)
from threadloom.plans import Results
from threadloom_redis import packing
from threadloom_redis.names import Partition, key_range, place, split, tree_ranges
from threadloom_redis.scripts import BATCH, Call

Simple = Get | Put | Patch | Delete | Renew | Check | Scan | DropTree
"""What a script does by itself, where it is about one partition."""
SIMPLE = (Get, Put, Patch, Delete, Renew, Check, Scan, DropTree)

_RETENTION = b"%d" % (90 * 24 * 3600 * 1000)
"""Milliseconds for which an emptied partition remembers its last version; as long as a script's
clock is not set back further, versions are not given out again after that either."""
_GRACE = b"%d" % (24 * 3600 * 1000)
"""Milliseconds that Redis keeps what has expired, for sweeps to find and for clocks to differ."""
RETENTION = _RETENTION

_AGE = 5
_YES, _NO = b"1", b"0"


class Hard(Exception):
    """A script cannot do an operation exactly: records have to be read and worked on here."""


class Untold(Exception):
    """The index has to be told first.

    Attributes:
        above: the number that its answer has to exceed.
    """

    def __init__(self, above: int) -> None:
        super().__init__(above)
        self.above = above


class Stale(Exception):
    """The partition has another version by now."""


def new_request() -> bytes:
    """What a write is known by where it is sent twice."""
    return secrets.token_bytes(9)


def call(
    partition: Partition,
    ops: Iterable[Op],
    now: int,
    *,
    mode: str = "r",
    told: int = 0,
    request: bytes = b"",
) -> Call:
    """The call of a script for a batch in one partition.

    Args:
        partition: where.
        ops: the operations, each of `SIMPLE`.
        now: microseconds since the epoch.
        mode: ``r`` for reads, ``c`` only looks whether expectations hold, ``w`` writes.
        told: the number under which the index knows that something changes here; 0 for none.
        request: names the batch where it writes.

    Raises:
        SerializationError: a document is no JSON.
    """
    args = _front(partition, now, mode, told, b"", request)
    for op in ops:
        _add(args, op)
    return _made(partition, args, mode)


def commit(
    partition: Partition,
    changes: Iterable[tuple[bytes, bytes | None]],
    now: int,
    *,
    guard: bytes,
    seen: Mapping[bytes, bytes | None] | None = None,
    base: int,
    version: int,
    told: int,
    request: bytes,
) -> Call:
    """The call that writes records as they are, if those that they follow from still stand.

    Args:
        partition: where.
        changes: places, and records or None where they go.
        now: microseconds since the epoch.
        guard: the version that the partition must have; empty for any.
        seen: what must stand at some places; None where there must be nothing.
        base: the version that the new ones were counted from; where the partition has a greater
            one by now, all of them move up.
        version: the greatest of the new ones.
        told: as in `call`.
        request: as in `call`.
    """
    args = _front(partition, now, "w", told, guard, request)
    for where, raw in (seen or {}).items():
        sum = b"" if raw is None else sha1(raw, usedforsecurity=False).hexdigest().encode()
        args += (b"o", where, sum)
    args += (b"b", b"%d" % version, b"%d" % base)
    for where, raw in changes:
        args += (b"x", where) if raw is None else (b"w", where, raw)
    return _made(partition, args, "w")


def results(reply: Sequence[Any], ops: Sequence[Op], partition: Partition) -> Results:
    """The results of a batch.

    Raises:
        ExpectationFailed: one did not hold.
        CorruptRecord: keys of the partition are missing, or a record is damaged.
        StoreUnavailable: whether it was written cannot be told.
        Hard, Untold, Stale: nothing was done.
    """
    check(reply, ops, partition)
    version = int(reply[1])
    values: list[Any] = list(reply[2])
    if len(reply) > 3:  # it had been written before, and this is what was said then
        told = reply[3].split(b",")
        for at, op in enumerate(ops):
            if isinstance(op, WRITES):
                values[at] = None if told[at] == b"-" else told[at]
    return [_result(op, value, version) for op, value in zip(ops, values, strict=True)]


def check(reply: Sequence[Any], ops: Sequence[Op], partition: Partition) -> None:
    """Raise what a script has refused; see `results`."""
    match reply[0]:
        case b"OK":
            return
        case b"EXPECT":
            raise ExpectationFailed(ops[reply[1]])
        case b"HARD":
            raise Hard
        case b"MARK":
            raise Untold(int(reply[1]))
        case b"GUARD":
            raise Stale
        case b"UNKNOWN":
            raise StoreUnavailable(
                "the connection to Redis was lost while this was written, and so much has been "
                "written there since that it cannot be told whether it was; read again"
            )
    raise CorruptRecord(
        f"a part of {partition.name!r:.200} is missing in Redis (a key was evicted or removed by "
        "somebody else): records are not what their header counts"
    )


def _front(
    partition: Partition, now: int, mode: str, told: int, guard: bytes, request: bytes
) -> list[bytes]:
    return [
        *(b"%d" % now, b"%d" % told, mode.encode(), guard, request, b"0"),
        *(partition.session, _RETENTION, _GRACE),
    ]


def _made(partition: Partition, args: list[bytes], mode: str) -> Call:
    keys_ = (partition.records, partition.order)
    return Call(BATCH, keys_, args, mode == "w", mode == "w", _AGE if mode == "w" else None)


def _add(args: list[bytes], op: Op) -> None:
    match op:
        case Put():
            lengths, body = packing.body(op)
            expect = b"k" if op.keep else _expect(op.expect)
            args += (b"p", place(op.namespace, op.key), expect)
            args += (packing.number(op.expires_at), lengths, body)
        case Get():
            args += (b"g", place(op.namespace, op.key), _flag(op.blob), _flag(op.expired))
        case Check():
            args += (b"k", place(op.namespace, op.key), _expect(op.expect))
        case Patch():
            args += (b"h", place(op.namespace, op.key), _expect(op.expect))
            args += (encode_doc(op.set), encode_doc(op.maximum), encode_doc(op.increment))
            args += (b"" if op.text is None else b"+" + op.text.encode(), _expiry(op))
        case Delete():
            args += (b"d", place(op.namespace, op.key), _expect(op.expect))
        case Renew():
            args += (b"n", place(op.namespace, op.key), b"%d" % op.version, b"%d" % op.expires_at)
        case DropTree():
            ranges = tree_ranges(op.namespace)
            args += (b"t", b"%d" % len(ranges))
            for bounds in ranges:
                args += bounds
        case Scan():
            limit = b"" if op.limit is None else b"%d" % max(0, op.limit)
            args += (b"s", *key_range(op.namespace, op.start, op.end))
            args += (_flag(op.reverse), limit, _flag(op.blobs))


def _expiry(op: Patch) -> bytes:
    if op.life is not None:
        return b"l" + encode_doc({op.life: 0})[1:-3]
    return b"k" if op.expires_at == KEEP_EXPIRY else packing.number(op.expires_at)


def _result(op: Op, value: Any, version: int) -> Any:
    match op:
        case Put() | Patch():
            return None if value is None else version
        case Get():
            return None if value is None else packing.record(op.namespace, op.key, value)
        case Delete() | Renew():
            return int(value) > 0
        case DropTree():
            return int(value)
        case Scan():
            return [
                packing.record(op.namespace, split(value[at])[1], value[at + 1])
                for at in range(0, len(value), 2)
            ]
    return None


def _expect(expect: Expect) -> bytes:
    if expect is None:
        return b""
    if expect == ABSENT:
        return b"a"
    return b"p" if expect == PRESENT else b"%d" % expect


def _flag(value: bool) -> bytes:
    return _YES if value else _NO


def home(op: Op) -> str | None:
    """The partition that an operation is about; None where it may be about several."""
    match op:
        case Get() | Put() | Patch() | Delete() | Renew() | Check():
            return keys.partition(op.namespace, op.key)
        case Scan():
            return flat(op.namespace)
    return keys.tree_partition(op.namespace)  # type: ignore[union-attr]


def flat(namespace: keys.Namespace) -> str | None:
    """The partition of all records of a namespace; None for session records."""
    return None if keys.is_sessions(namespace) else keys.partition(namespace, "")
