"""Records of partitions brought here whole, in pages, to be worked on by `Work`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from threadloom.ops import Namespace
from threadloom.stores.spaces import Entry, Spaces
from threadloom_redis import packing
from threadloom_redis.attempts import Patience, Talk, beset
from threadloom_redis.batches import check
from threadloom_redis.names import EVERYTHING, Partition, Range, split
from threadloom_redis.scripts import PAGE, PICK, Call

PAGE_SIZE = 500
_WHOLE = 2_000
_MOST = 64_000
"""Records of the largest page: what keeps Redis busy for some tenths of a second."""
_TRIES = 20
UNREAD = "what is there could not be read as of one moment"

Found = list[tuple[Namespace, str, Entry]]


class Loaded(NamedTuple):
    """One partition as of one moment.

    Attributes:
        records: what was asked for.
        base: a version above which all new ones have to be.
        guard: the version that it is at, as scripts compare it; empty where only some records
            were asked for.
        seen: how those are stored, by their places; None where there is nothing.
    """

    records: Found
    base: int
    guard: bytes
    seen: Mapping[bytes, bytes | None] | None = None


class Place(NamedTuple):
    """Where a walk through a partition goes on.

    Attributes:
        partition: which.
        ranges: what is left of it.
    """

    partition: Partition
    ranges: tuple[Range, ...]


class Page(NamedTuple):
    """Some records of one partition.

    Attributes:
        rest: where it goes on; None at the end.
        records: the records.
        guard: the version that the partition is at.
    """

    rest: Place | None
    records: Found
    guard: bytes


def pages(
    places: Sequence[Place], *, blobs: bool, texts: bool = False, size: int = PAGE_SIZE
) -> Talk[list[Page]]:
    """The next page of each of several partitions.

    Args:
        places: where to begin.
        blobs: whether records come with their blobs.
        texts: whether only records come that have a text.
        size: records of a page.

    Raises:
        CorruptRecord: a partition is damaged.
    """
    replies = yield [_call(place, blobs=blobs, texts=texts, size=size) for place in places]
    result: list[Page] = []
    for place, reply in zip(places, replies, strict=True):
        check(reply, (), place.partition)
        _, _, more, found, guard = reply
        result.append(Page(_further(place, more), _entries(found), guard))
    return result


def size_of(tries: int, size: int = PAGE_SIZE) -> int:
    """Records of a page, the more the oftener others have written between two of them.

    Raises:
        StoreUnavailable: so often that it is given up.
    """
    if tries >= _TRIES:
        raise beset(UNREAD)
    return min(_MOST, size << tries)


def whole(
    partition: Partition, patience: Patience, ranges: tuple[Range, ...] = (EVERYTHING,)
) -> Talk[Loaded]:
    """A part of one partition, as of one moment: all pages are of one version.

    Raises:
        CorruptRecord: the partition is damaged.
        StoreUnavailable: others write without rest.
    """
    tries = 0
    while True:
        size = size_of(tries, _WHOLE)
        records: Found = []
        place: Place | None = Place(partition, ranges)
        guard = base = b""
        while place is not None:
            [reply] = yield [_call(place, blobs=True, texts=False, size=size)]
            check(reply, (), partition)
            _, base, more, found, now_at = reply
            if guard and now_at != guard:
                break  # somebody wrote in between: begin anew
            guard = now_at
            records += _entries(found)
            place = _further(place, more)
        else:
            return Loaded(records, int(base), guard)
        tries += 1
        patience.check()


def picked(partition: Partition, places: Iterable[bytes]) -> Talk[Loaded]:
    """Some records of one partition, as of one moment.

    Raises:
        CorruptRecord: the partition is damaged.
    """
    wanted = list(dict.fromkeys(places))
    [reply] = yield [Call(PICK, (partition.records, partition.order), wanted)]
    check(reply, (), partition)
    _, base, _, found, _ = reply
    seen: dict[bytes, bytes | None] = dict.fromkeys(wanted)
    seen.update(zip(found[::2], found[1::2], strict=True))
    return Loaded(_entries(found), int(base), b"", seen)


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
