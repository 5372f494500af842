"""The index over all partitions: which there are, and sessions by what listings ask for.

It lies in one hash slot, the partitions in theirs, so it cannot change together with them. Who
writes to a partition **tells** the index first: the partition's name goes into a list of what is
pending, with a number that grows; and the partition remembers in its header that the index was
told. As long as it does, further writes tell nothing. Who lists **settles** first what is pending:
a script reads the session's record and takes the remark in the header away, and what it read is
**entered** into the index. Both steps can be done again by anybody, whoever dies in between:

* told, and died before the write: settling finds nothing new;
* a writer who told the index and was overtaken by a lister finds its number settled already,
  and tells it again;
* settled, but not entered: it is pending still.

What listings find is looked up in the partition itself, so what is gone is not shown. An index that
was lost is made again from the keys there are (`Store.mend` does so on request).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from threadloom.documents import decode_doc
from threadloom.errors import CorruptRecord
from threadloom.ops import Doc, Namespace
from threadloom.stores import listing
from threadloom.stores.spaces import Entry
from threadloom_redis import packing
from threadloom_redis.attempts import Talk
from threadloom_redis.batches import RETENTION
from threadloom_redis.errors import too_new
from threadloom_redis.names import Names, Partition
from threadloom_redis.scripts import CLEAR, COUNT, ENTER, FORMAT, KNOWN, LIST, MARK, SETTLE, Call

logger = logging.getLogger("threadloom.stores")

_FORMAT = b"1"
"""How the keys of one prefix are laid out. Written with the first write, when there is an index."""
_AT_ONCE = 100
"""Partitions that are settled together."""
_PER_SCRIPT = 25
"""Partitions that one script enters."""
_BACKLOG = 1_000
"""Pending partitions from which on writers help."""
_LARGEST = 2**53


class IndexLost(Exception):
    """The index has to be made from the partitions first."""


class Span(NamedTuple):
    """A part of one ordered set of the index.

    Attributes:
        key: the set.
        low: the least score, as Redis takes it (``-inf``, ``5``, ``(5``).
        high: the greatest.
        descending: the direction.
    """

    key: bytes
    low: bytes = b"-inf"
    high: bytes = b"+inf"
    descending: bool = False


Position = tuple[bytes, bytes]
"""Score and member; both empty at the beginning."""
START: Position = (b"", b"")


class Index:
    """The index of one prefix.

    Args:
        names: its keys.
        must_exist: whether reads, too, want an index to be there.
        may_lack: whether one that is not there reads as empty: it has been made sure that there is
            no partition.
    """

    def __init__(self, names: Names, *, must_exist: bool = False, may_lack: bool = False) -> None:
        self._names = names
        self._must_exist = must_exist
        self._may_lack = may_lack
        self._looked = may_lack
        self._found = False

    # The format

    def begin(self, *, writes: bool) -> Talk[None]:
        """Compare the format before anything is done; once, and for writes until there is one.

        Raises:
            IndexLost: there is no format, and it is needed.
            SchemaTooNew: a newer version of this package wrote the data.
        """
        if self._found or (self._looked and not writes and not self._must_exist):
            return
        found = yield from self.look()
        self._looked = True
        self._found = found
        if not found and (writes or self._must_exist):
            raise IndexLost

    def look(self) -> Talk[bool]:
        """Whether there is a format.

        Raises:
            SchemaTooNew: a newer version of this package wrote the data.
        """
        [found] = yield [Call(FORMAT, (self._names.format,), [])]
        self._compare(found)
        return found is not None

    def count_as_whole(self) -> Talk[None]:
        """Remember that there is an index, and that it knows everything."""
        [found] = yield [Call(FORMAT, (self._names.format,), [_FORMAT])]
        self._compare(found)
        self._found = True

    def _compare(self, found: bytes | None) -> None:
        if found in (None, _FORMAT):
            return
        what = f"what is stored in Redis under the prefix {self._names.prefix!r:.200}"
        if not found.isdigit():
            raise CorruptRecord(f"{what} has a format that is no number: {found!r:.80}")
        raise too_new(what, found.decode())

    # Telling

    def tell(
        self, partitions: Sequence[Partition], above: Sequence[int], removing: Sequence[bool] = ()
    ) -> Talk[list[int]]:
        """Say that partitions are about to change; the numbers under which that is known.

        Args:
            partitions: which.
            above: for each a number that must be exceeded.
            removing: for each whether records go, so that it is said even when Redis's memory is
                full; where it is empty, for none.
        """
        keys = (self._names.sequence, self._names.pending, self._names.format)
        replies = yield [
            Call(
                MARK,
                keys,
                [partition.name.encode(), b"%d" % number, _FORMAT, b"%d" % removes],
                waits=True,
            )
            for partition, number, removes in zip(
                partitions, above, removing or [False] * len(partitions), strict=True
            )
        ]
        for reply in replies:
            self._compare(reply[0])
        if replies and replies[-1][2] > _BACKLOG:
            first = min(int(number) for _, number, _ in replies)
            yield from self.settle_pending(max(_AT_ONCE, 2 * len(partitions)), before=first)
        return [int(number) for _, number, _ in replies]

    def settle_pending(self, most: int | None = None, *, before: int | None = None) -> Talk[None]:
        """Bring in what the index was told, up to now.

        Args:
            most: how many partitions; all if None.
            before: nothing that it was told under this number or later.

        Raises:
            IndexLost: there is no index; not where `most` is given.
            SchemaTooNew: a newer version of this package wrote the data.
        """
        position = b"0"
        done = 0
        while most is None or done < most:
            [reply] = yield [self._known(position)]
            self._compare(reply[0])
            if reply[0] is None and not self._may_lack:
                if most is None:
                    raise IndexLost
                return
            told, sequence = reply[1:]
            if before is None and sequence is not None:
                before = int(sequence) + 1  # what is told from here on is for the next one
            names = [
                told[at].decode()
                for at in range(0, len(told), 2)
                if before is None or int(told[at + 1]) < before
            ]
            yield from self.settle(names, told[1 : 2 * len(names) : 2])
            if not names or 2 * len(names) < len(told):
                return
            done += len(names)
            position = told[-1]

    def settle(self, names: Sequence[str], told: Sequence[bytes] | None = None) -> Talk[None]:
        """Bring in how some partitions stand.

        Args:
            names: of the partitions.
            told: for each up to which number the index was told of it, if it was.
        """
        numbers = [b"0"] * len(names) if told is None else list(told)
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            replies = yield [
                self._settle(self._names.partition(name), number)
                for name, number in zip(part, numbers[start : start + _AT_ONCE], strict=True)
            ]
            entries: list[list[bytes]] = []
            for name, number, reply in zip(part, numbers[start:], replies, strict=False):
                if reply[0] == b"OK":
                    entries.append(_entry(name, number, reply))
                else:
                    logger.warning("a part of %.200r is missing in Redis; it is not listed", name)
            yield [
                self._enter(entries[low : low + _PER_SCRIPT])
                for low in range(0, len(entries), _PER_SCRIPT)
            ]

    # Asking

    def page(self, span: Span, after: Position, count: int) -> Talk[list[tuple[bytes, bytes]]]:
        """Members and scores of an ordered set."""
        args = [span.low, span.high, b"1" if span.descending else b"0", b"%d" % count, *after]
        [found] = yield [Call(LIST, (span.key,), args)]
        return [(found[at], found[at + 1]) for at in range(0, len(found), 2)]

    def count(self, namespace: Namespace, now: int) -> Talk[tuple[int, int]]:
        """How many sessions a namespace has, and how many of them have expired."""
        root = _root(namespace)
        keys = (self._names.index + b"ids:" + root, self._names.index + b"expires:" + root)
        [(every, expired)] = yield [Call(COUNT, keys, [b"%d" % now])]
        return every, expired

    def by_id(self, namespace: Namespace, *, descending: bool = False) -> Span:
        """The ids of a namespace's sessions, in their order."""
        return Span(self._names.index + b"ids:" + _root(namespace), descending=descending)

    def by_time(
        self, namespace: Namespace, filter: Mapping[str, Any], order_by: str, descending: bool
    ) -> tuple[Span, dict[str, Any]]:
        """The part of the index that a listing goes along, and the filter that it leaves open."""
        field, value, bounds, rest = listing.split(filter, order_by)
        low, high = float("-inf"), float("inf")
        low_is_open = high_is_open = False
        for operator, bound in bounds:
            if operator in (">", ">=") and (bound, operator == ">") > (low, low_is_open):
                low, low_is_open = bound, operator == ">"
            if operator in ("<", "<=") and (bound, operator != "<") < (high, not high_is_open):
                high, high_is_open = bound, operator == "<"
        column = listing.ORDERS[order_by].encode()
        key = b"%b%b:%b\x00%b" % (
            *(self._names.index, column, _root(namespace)),
            _named(field, value),
        )
        if any(abs(bound) >= _LARGEST for _, bound in bounds):
            return Span(key, descending=descending), dict(filter)
        return Span(key, _bound(low, low_is_open), _bound(high, high_is_open), descending), rest

    def of_partitions(self) -> Span:
        """The names of all partitions that hold records."""
        return Span(self._names.partitions)

    def places_of(self, partition: Partition, session: Entry) -> Iterator[bytes]:
        """The keys of the index that have an entry for a session's record."""
        root = partition.name.rpartition("/")[0].encode()
        doc: Doc = {} if session.doc is None else decode_doc(session.doc)
        yield self._names.entered
        yield self._names.index + b"ids:" + root
        if session.expires_at is not None:
            yield self._names.index + b"expires:" + root
        for field, value in set(listing.entries_of(doc)):
            for column in listing.ORDERS.values():
                yield b"%b%b:%b\x00%b" % (
                    *(self._names.index, column.encode(), root),
                    _named(field, value),
                )

    def counted(self, key: bytes) -> bool:
        """Whether a key is of the index and can be made again from the partitions."""
        names = self._names
        return key.startswith(names.index) and key not in (
            *(names.sequence, names.pending, names.format),
        )

    def moment(self) -> Talk[bytes | None]:
        """What changes whenever the index is told of something."""
        [found] = yield [Call(FORMAT, (self._names.sequence,), [])]
        return found  # type: ignore[no-any-return]

    def clear(self, there: Iterable[bytes]) -> Talk[None]:
        """Empty the index, which then counts as lost.

        Args:
            there: the keys of the prefix that there are.
        """
        yield [Call(CLEAR, (self._names.format,), [])]
        keys = sorted({key for key in there if self.counted(key)})
        for start in range(0, len(keys), _AT_ONCE):
            yield [Call(CLEAR, tuple(keys[start : start + _AT_ONCE]), [])]

    # Calls

    def _known(self, position: bytes) -> Call:
        keys = (self._names.format, self._names.pending, self._names.sequence)
        return Call(KNOWN, keys, [b"%d" % _AT_ONCE, position])

    def _settle(self, partition: Partition, told: bytes) -> Call:
        keys = (partition.records, partition.order)
        return Call(SETTLE, keys, [told, partition.session, RETENTION])

    def _enter(self, entries: Iterable[list[bytes]]) -> Call:
        args = [self._names.index]
        for entry in entries:
            args += entry
        keys = (self._names.pending, self._names.partitions, self._names.entered)
        return Call(ENTER, keys, args)


def _entry(name: str, told: bytes, reply: Sequence[Any]) -> list[bytes]:
    """What a settled partition adds to the arguments of the script that enters it."""
    _, version, records, session = reply
    front = [name.encode(), told, version, records]
    if session is None:
        return [*front, b"0"]
    id, raw = session
    stored = packing.entry(raw)
    doc: Doc = {} if stored.doc is None else decode_doc(stored.doc)
    times = [b"%d" % int(doc.get(field) or 0) for field in listing.ORDERS]
    entries = [_named(field, value) for field, value in sorted(set(listing.entries_of(doc)))]
    root = name.rpartition("/")[0].encode()
    expires = packing.number(stored.expires_at)
    return [*front, b"1", root, id, *times, expires, b"%d" % len(entries), *entries]


def _named(field: str, value: str) -> bytes:
    return f"{field}\0{value}".encode("utf-8", "surrogatepass")


def _root(namespace: Namespace) -> bytes:
    return ".".join(namespace[:-1]).encode()


def _bound(value: float, is_open: bool) -> bytes:
    if value in (float("inf"), float("-inf")):
        return b"+inf" if value > 0 else b"-inf"
    return (b"(%d" if is_open else b"%d") % int(value)
