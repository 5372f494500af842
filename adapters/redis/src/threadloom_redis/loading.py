"""Records of partitions brought here whole, in pages, to be worked on by `Work`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from threadloom.ops import Namespace
from threadloom.stores.spaces import Entry, Spaces
from threadloom_redis import packing
from threadloom_redis.attempts import Talk
from threadloom_redis.batches import check
from threadloom_redis.names import EVERYTHING, Partition, Range, split
from threadloom_redis.scripts import PAGE, Call

PAGE_SIZE = 500
_WHOLE = 2_000
_TRIES = 20

Found = list[tuple[Namespace, str, Entry]]


class Loaded(NamedTuple):
    """One partition as of one moment.

    Attributes:
        records: what was asked for.
        base: a version above which all new ones have to be.
        guard: the version that it is at, as scripts compare it.
    """

    records: Found
    base: int
    guard: bytes


class Place(NamedTuple):
    """Where a walk through a partition goes on.

    Attributes:
        partition: which.
        ranges: what is left of it.
    """

    partition: Partition
    ranges: tuple[Range, ...]


def pages(
    places: Sequence[Place], *, blobs: bool, texts: bool = False, size: int = PAGE_SIZE
) -> Talk[list[tuple[Place | None, Found]]]:
    """The next page of each of several partitions, and where it goes on; None at its end.

    Args:
        places: where to begin.
        blobs: whether records come with their blobs.
        texts: whether only records come that have a text.
        size: records of a page.

    Raises:
        CorruptRecord: a partition is damaged.
    """
    replies = yield [_call(place, blobs=blobs, texts=texts, size=size) for place in places]
    result: list[tuple[Place | None, Found]] = []
    for place, reply in zip(places, replies, strict=True):
        check(reply, (), place.partition)
        _, _, more, found, _ = reply
        result.append((_further(place, more), _entries(found)))
    return result


def whole(partition: Partition, ranges: tuple[Range, ...] = (EVERYTHING,)) -> Talk[Loaded]:
    """A part of one partition, as of one moment where nobody writes without rest.

    Raises:
        CorruptRecord: the partition is damaged.
    """
    for last in range(_TRIES):
        records: Found = []
        place: Place | None = Place(partition, ranges)
        guard = base = b""
        while place is not None:
            [reply] = yield [_call(place, blobs=True, texts=False, size=_WHOLE)]
            check(reply, (), partition)
            _, base, more, found, now_at = reply
            if guard and now_at != guard and last < _TRIES - 1:
                break  # somebody wrote in between: begin anew
            guard = now_at
            records += _entries(found)
            place = _further(place, more)
        else:
            break
    return Loaded(records, int(base), guard)


def spaces(found: Iterable[tuple[Namespace, str, Entry]]) -> Spaces:
    """Records as `Work` takes them."""
    result = Spaces()
    for namespace, key, entry in found:
        result.make(namespace).set(key, entry)
    return result


def _call(place: Place, *, blobs: bool, texts: bool, size: int) -> Call:
    args = [b"%d" % size, b"1" if blobs else b"0", b"1" if texts else b"0"]
    for bounds in place.ranges:
        args += bounds
    return Call(PAGE, (place.partition.records, place.partition.order), args)


def _further(place: Place, more: tuple[int, bytes] | None) -> Place | None:
    if more is None:
        return None
    done, last = more
    (_, high), *rest = place.ranges[done:]
    return Place(place.partition, ((b"(" + last, high), *rest))


def _entries(found: Sequence[bytes]) -> Found:
    return [(*split(found[at]), packing.entry(found[at + 1])) for at in range(0, len(found), 2)]
