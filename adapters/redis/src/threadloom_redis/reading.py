"""Reads over many partitions: listings of sessions, queries over trees, search.

What is looked at comes in portions, a few hundred records of some partitions at a time, so no read
keeps Redis from others for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import nlargest
from itertools import islice
from typing import Any

from threadloom import keys
from threadloom.errors import UnsupportedByStore
from threadloom.filters import check_filter, matches
from threadloom.ops import (
    Count,
    Get,
    Hit,
    ListNamespaces,
    Match,
    Measure,
    Measured,
    Namespace,
    Op,
    Query,
    Record,
    Scan,
)
from threadloom.records import arranged
from threadloom.stores import listing
from threadloom.stores.working import Work
from threadloom.text import tokens
from threadloom_redis import batches
from threadloom_redis.attempts import Patience, Talk
from threadloom_redis.index import START, Index, Position, Span
from threadloom_redis.loading import UNREAD, Place, pages, size_of, spaces
from threadloom_redis.names import Names, tree_ranges

_PARTITIONS = 64
"""Partitions that are looked at together."""
_LISTED = 500
_EXACT = 2**53

Visit = Callable[[Work], bool]
"""Looks at a page of records; whether it has seen enough."""
Mark = Callable[[], Callable[[], None]]
"""Remembers what was found so far; what it returns goes back to that."""


class Reading:
    """Answers operations that are about more than one partition, at one moment of the clock.

    Args:
        names: the keys of the store.
        index: its index.
        now: microseconds since the epoch.
        patience: how long what others write to is read again.
    """

    def __init__(self, names: Names, index: Index, now: int, patience: Patience) -> None:
        self._patience = patience
        self._names = names
        self._index = index
        self._now = now

    def answer(self, op: Op) -> Talk[Any]:
        """The result of one operation; the index is up to date."""
        match op:
            case Scan():
                return (yield from self._scan(op))
            case Query():
                return (yield from self._query(op))
            case Count():
                return (yield from self._count(op))
            case Match():
                return (yield from self._match(op))
            case ListNamespaces():
                return (yield from self._namespaces(op))
            case Measure():
                return (yield from self._measure(op))
        raise UnsupportedByStore(f"unknown operation {op!r}")

    def partitions(self, namespace: Namespace, *, user_only: bool = False) -> Talk[list[str]]:
        """The partitions that may hold records at or below a namespace."""
        found: list[str] = []
        for exact, prefix in _branches(namespace, user_only=user_only):
            if exact is not None:
                found.append(exact)
            position: Position = (b"0", prefix.encode()) if prefix else START
            while True:
                page = yield from self._index.page(self._index.of_partitions(), position, _LISTED)
                names = [member.decode() for member, _ in page]
                inside = [name for name in names if name.startswith(prefix)]
                found += inside
                if len(page) < _LISTED or len(inside) < len(names):
                    break
                position = (b"0", page[-1][0])
        return found

    # Sessions

    def _scan(self, op: Scan) -> Talk[list[Record]]:
        """Session records by id."""
        start, end = op.start or "", op.end
        query = Query(op.namespace, descending=op.reverse, limit=op.limit, blobs=op.blobs)
        found: list[Record] = []
        if op.limit is not None and op.limit <= 0:
            return found
        if start and not op.reverse and (end is None or start < end):
            found += yield from self._records(query, [start.encode()])
        first = end if op.reverse else start
        position = START if not first else (b"0", first.encode())
        if op.reverse and end == "":
            return found
        span = self._index.by_id(op.namespace, descending=op.reverse)
        while op.limit is None or len(found) < op.limit:
            step = self._step(op.limit, found)
            page = yield from self._index.page(span, position, step)
            ids = [id for id, _ in page]
            inside = [
                id
                for id in ids
                if (id.decode() >= start if op.reverse else end is None or id.decode() < end)
            ]
            found += yield from self._records(query, inside)
            if len(page) < step or len(inside) < len(ids):
                break
            position = (b"0", ids[-1])
        return found[: op.limit]

    def _sessions(self, op: Query, span: Span) -> Talk[list[Record]]:
        """Session records along a part of the index, in its order, with a query's page cut out."""
        end = None if op.limit is None else op.offset + op.limit
        position: Position = START
        if op.after is not None:
            position = (b"%d" % op.after[0], op.after[1].encode())
        found: list[Record] = []
        while end is None or len(found) < end:
            step = self._step(end, found)
            page = yield from self._index.page(span, position, step)
            found += yield from self._records(op, [id for id, _ in page])
            if len(page) < step:
                break
            position = (page[-1][1], page[-1][0])
        return found[op.offset : end]

    def _step(self, end: int | None, found: list[Record]) -> int:
        return _LISTED if end is None else max(20, min(_LISTED, end - len(found)))

    def _records(self, op: Query, ids: list[bytes]) -> Talk[list[Record]]:
        """The records of sessions that are as a query wants them, in the order of ids."""
        if not ids:
            return []
        asked: list[Op] = [
            Get(op.namespace, id.decode(), blob=op.blobs, expired=True) for id in ids
        ]
        homes = [self._names.of(op.namespace, id.decode()) for id in ids]
        replies = yield [
            batches.call(home, [get], self._now) for home, get in zip(homes, asked, strict=True)
        ]
        found: list[Record] = []
        gone: list[str] = []
        for home, get, reply in zip(homes, asked, replies, strict=True):
            [record] = batches.results(reply, [get], home)
            if record is None:
                gone.append(home.name)
            elif self._is_shown(record, op):
                found.append(record)
        if gone:
            yield from self._index.settle(gone)
        return found

    def _is_shown(self, record: Record, op: Query | Count) -> bool:
        expired = record.expires_at is not None and record.expires_at <= self._now
        return expired == op.expired and matches(record.doc, op.filter)

    # Queries

    def _query(self, op: Query) -> Talk[list[Record]]:
        check_filter(op.filter)
        if op.limit is not None and op.limit <= 0:
            return []
        if keys.is_sessions(op.namespace) and not op.deep:
            if op.order_by in listing.ORDERS:
                span, _ = self._index.by_time(
                    op.namespace, op.filter or {}, op.order_by, op.descending
                )
                found = yield from self._sessions(op, span)
                if all(_is_exact(record, op.order_by) for record in found) and (
                    op.after is None or abs(op.after[0]) < _EXACT
                ):
                    return found
            elif op.order_by is None and op.after is None and not listing.helps(op.filter or {}):
                span = self._index.by_id(op.namespace, descending=op.descending)
                return (yield from self._sessions(op, span))
            every = yield from self._all_sessions(op)
            return arranged(every, op)
        return (yield from self._query_tree(op))

    def _all_sessions(self, op: Query | Count) -> Talk[list[Record]]:
        span, _ = self._index.by_time(op.namespace, op.filter or {}, listing.ORDERED, False)
        wanted = Query(
            op.namespace,
            filter=op.filter,
            expired=op.expired,
            blobs=isinstance(op, Query) and op.blobs,
        )
        return (yield from self._sessions(wanted, span))

    def _query_tree(self, op: Query) -> Talk[list[Record]]:
        found: list[Record] = []
        end = None if op.limit is None else op.offset + op.limit
        plain = Query(
            op.namespace,
            op.deep,
            op.filter,
            expired=op.expired,
            user_only=op.user_only,
            blobs=op.blobs,
        )
        in_order = not any(
            exact is None and prefix != "="
            for exact, prefix in _branches(op.namespace, user_only=op.user_only)
        )
        may_stop = in_order and not (op.order_by or op.after or op.descending)

        def visit(work: Work) -> bool:
            found.extend(work.apply(plain))
            return may_stop and end is not None and len(found) >= end

        def mark() -> Callable[[], None]:
            many = len(found)
            return lambda: found.__delitem__(slice(many, None))

        yield from self._walk(
            *(op.namespace, visit, mark), deep=op.deep, user_only=op.user_only, blobs=op.blobs
        )
        return arranged(found, op)

    def _count(self, op: Count) -> Talk[int]:
        check_filter(op.filter)
        if keys.is_sessions(op.namespace) and not op.deep:
            if not op.filter:
                every, expired = yield from self._index.count(op.namespace, self._now)
                return expired if op.expired else every - expired
            return len((yield from self._all_sessions(op)))
        total = 0

        def visit(work: Work) -> bool:
            nonlocal total
            total += work.apply(op)
            return False

        def mark() -> Callable[[], None]:
            before = total

            def undo() -> None:
                nonlocal total
                total = before

            return undo

        yield from self._walk(op.namespace, visit, mark, deep=op.deep)
        return total

    def _match(self, op: Match) -> Talk[list[Hit]]:
        hits: list[Hit] = []
        if not tokens(op.words) or op.limit <= 0:
            return hits

        def visit(work: Work) -> bool:
            nonlocal hits
            hits += work.apply(op)
            if len(hits) > 2 * op.limit:
                hits = nlargest(op.limit, hits, key=_rank)
            return False

        def mark() -> Callable[[], None]:
            before = list(hits)

            def undo() -> None:
                nonlocal hits
                hits = list(before)

            return undo

        yield from self._walk(op.namespace, visit, mark, texts=True)
        return nlargest(op.limit, hits, key=_rank)

    def _measure(self, op: Measure) -> Talk[list[Measured]]:
        sizes: dict[Namespace, tuple[int, int]] = {}

        def visit(work: Work) -> bool:
            for namespace, records, size in work.apply(op):
                before = sizes.get(namespace, (0, 0))
                sizes[namespace] = before[0] + records, before[1] + size
            return False

        def mark() -> Callable[[], None]:
            before = dict(sizes)

            def undo() -> None:
                nonlocal sizes
                sizes = dict(before)

            return undo

        yield from self._walk(op.namespace, visit, mark, blobs=True)
        return sorted(Measured(namespace, *size) for namespace, size in sizes.items())

    def _namespaces(self, op: ListNamespaces) -> Talk[list[Namespace]]:
        found: set[Namespace] = set()

        def visit(work: Work) -> bool:
            found.update(work.apply(op))
            return False

        def mark() -> Callable[[], None]:
            before = set(found)
            return lambda: found.intersection_update(before)

        yield from self._walk(op.namespace, visit, mark, user_only=op.user_only)
        return sorted(found)

    # Walking

    def _walk(
        self,
        namespace: Namespace,
        visit: Visit,
        mark: Mark,
        *,
        deep: bool = True,
        user_only: bool = False,
        blobs: bool = False,
        texts: bool = False,
    ) -> Talk[None]:
        """Show all records at or below a namespace, page by page.

        Where all of them are the user's, that is in the order of their places. What is seen of one
        partition is as of one moment: where others write to it between two pages, it is begun anew.

        Raises:
            StoreUnavailable: others write without rest.
        """
        ranges = tuple(tree_ranges(namespace, deep=deep))
        if deep:
            names = yield from self.partitions(namespace, user_only=user_only)
        else:
            names = [keys.partition(namespace, "")]
        waiting = iter(sorted(names, key=_order))
        width = 1  # more at a time once it shows that there are many
        due: list[Place] = []
        begun = b""  # the version of the partition in the middle of which it goes on
        undo: Callable[[], None] | None = None
        tries = 0
        while True:
            more = islice(waiting, max(0, width - len(due)))
            due += [Place(self._names.partition(name), ranges) for name in more]
            if not due:
                return
            together = due[:1] if tries or undo is not None else due
            found = yield from pages(together, blobs=blobs, texts=texts, size=size_of(tries))
            if undo is not None and found[0].guard != begun:
                undo()
                undo = None
                due[0] = Place(due[0].partition, ranges)
                tries += 1
                self._patience.check(UNREAD)
                continue
            further = due[len(together) :]
            for at, (rest, records, guard) in enumerate(found):
                if rest is not None and undo is None:
                    begun, undo = guard, mark()
                if records and visit(Work(spaces(records), self._now, 0)):
                    return
                if rest is not None:
                    further = [rest, *due[at + 1 :]]
                    break
                undo, tries = None, 0
            due = further
            width = min(_PARTITIONS, 2 * width)


def _order(name: str) -> tuple[str, ...]:
    """Partitions of the user's namespaces in the order of these, behind those of sessions."""
    return ("=", *keys.decode_namespace(name[1:])) if name.startswith("=") else ("", name)


def _branches(namespace: Namespace, *, user_only: bool) -> Iterator[tuple[str | None, str]]:
    """The partitions at or below a namespace: one by its name, and all that begin alike."""
    root = namespace[0] if namespace and namespace[0].startswith(keys.TENANT_MARK) else ""
    rest = namespace[1:] if root else namespace
    if (not rest and not user_only) or (len(rest) == 1 and rest[0] in keys.RESERVED):
        yield None, f"{root}/"
        if not namespace:
            yield None, keys.TENANT_MARK
    if not namespace:
        yield None, "="
    else:
        name = "=" + keys.encode_namespace(namespace)
        yield name, name + "."


def _is_exact(record: Record, order_by: str | None) -> bool:
    value = (record.doc or {}).get(order_by or "") or 0
    return isinstance(value, int) and abs(value) < _EXACT


def _rank(hit: Hit) -> tuple[float, int]:
    return hit.score, hit.record.updated_at
