"""What a batch needs to see, fetched from somebody else's store."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from langgraph.store.base import GetOp, ListNamespacesOp, MatchCondition, SearchOp
from langgraph.store.base import Op as InnerOp

from threadloom import keys
from threadloom.errors import CorruptRecord, StoreUnavailable
from threadloom.ops import (
    WRITES,
    Check,
    CopyTree,
    Count,
    Delete,
    DropTree,
    Get,
    ListNamespaces,
    Match,
    Measure,
    Namespace,
    Op,
    Patch,
    Put,
    Query,
    Renew,
    Scan,
)
from threadloom.stores.langgraph import layout
from threadloom.stores.spaces import Entry, Spaces

Inner = Generator[Sequence[InnerOp], list[Any], Any]
"""A plan over the store within: yields batches of LangGraph's operations."""
Place = tuple[Namespace, str]

_PAGE = 512
_WIDER = 8


class Reading:
    """Finds out what a batch touches, and fetches it.

    A search is repeated from its beginning with a wider limit until it gives fewer items than it
    may, so that each answer is of one moment: pages by offset would shift when somebody else
    writes to the store meanwhile.

    Args:
        ops: the batch.
        now: its time, in microseconds.
        whole: fetch ranges with a limit whole.
    """

    def __init__(self, ops: Sequence[Op], now: int, *, whole: bool = False) -> None:
        self._now = now
        self._places: dict[Place, None] = {}
        self._trees: dict[Namespace, None] = {}
        self._steps: list[Scan] = []
        self._lists: list[Query | ListNamespaces] = []
        self._found: dict[Place, Entry] = {}
        whole = whole or any(isinstance(op, WRITES) for op in ops)
        for op in ops:
            self._want(op, whole)

    def _want(self, op: Op, whole: bool) -> None:
        match op:
            case Get() | Put() | Patch() | Delete() | Renew() | Check():
                self._places[op.namespace, op.key] = None
            case Scan():
                self._want_range(op, whole)
            case Query(user_only=True, deep=True) if not whole:
                self._lists.append(op)
            case ListNamespaces() if not whole:
                self._lists.append(op)
            case Query() | Count():
                begin = layout.tree if op.deep else layout.level
                self._trees[begin(op.namespace)] = None
            case DropTree() | Match() | Measure() | ListNamespaces():
                self._trees[layout.tree(op.namespace)] = None
            case CopyTree():
                self._trees[layout.tree(op.source)] = None
                self._trees[layout.tree(op.target)] = None
            case _:
                pass  # nothing is read for it

    def _want_range(self, op: Scan, whole: bool) -> None:
        cut = layout.rule(op.namespace)
        names = None if cut is None else layout.buckets_between(cut, op.start, op.end)
        if names is not None:
            for name in names:
                self._trees[layout.bucket_place(op.namespace, name)] = None
        elif cut is None or whole or op.limit is None:
            self._trees[layout.level(op.namespace)] = None
        else:
            self._steps.append(op)

    def fetch(self, first: Sequence[InnerOp], seen: Callable[[list[Any]], bool]) -> Inner:
        """Read everything; returns it, or None where `seen` said to stop.

        Args:
            first: asked along with the first operations.
            seen: is shown the answers to `first`.
        """
        places = list(self._places)
        asked: list[InnerOp] = [*first]
        asked += [_get(layout.place(*place), place[1]) for place in places]
        searches = {begin: _PAGE for begin in self._trees}
        asked += [_search(begin, limit) for begin, limit in searches.items()]
        answers = yield asked
        if not seen(answers[: len(first)]):
            return None
        for place, item in zip(places, answers[len(first) :], strict=False):
            if item is not None:
                self._keep(place, layout.place(*place), item)
        yield from self._search_on(searches, answers[len(first) + len(places) :])
        for op in self._steps:
            yield from self._step(op)
        for listing in self._lists:
            yield from self._list(listing)
        return self._spaces()

    def lay_over(self, changes: Iterable[tuple[Place, Entry | None]]) -> Spaces:
        """What was fetched, as it is after further changes."""
        for place, entry in changes:
            if entry is None:
                self._found.pop(place, None)
            else:
                self._found[place] = entry
        return self._spaces()

    def entry(self, place: Place) -> Entry | None:
        """A record as it was fetched."""
        return self._found.get(place)

    def _spaces(self) -> Spaces:
        spaces = Spaces()
        for namespace, key in sorted(self._found):
            spaces.make(namespace).set(key, self._found[namespace, key])
        return spaces

    def _search_on(self, limits: dict[Namespace, int], answers: Sequence[Any]) -> Inner:
        """Take in what searches gave; widen those that may have more."""
        while True:
            wider: dict[Namespace, int] = {}
            for (begin, limit), items in zip(limits.items(), answers, strict=True):
                if len(_listed(items)) >= limit:
                    wider[begin] = limit * _WIDER
                else:
                    self._take_in(begin, items)
            if not wider:
                return
            limits = wider
            answers = yield [_search(begin, limit) for begin, limit in limits.items()]

    def _take_in(self, begin: Namespace, items: Iterable[Any]) -> None:
        for item in items:
            there = tuple(item.namespace)
            if there[: len(begin)] == begin and there != layout.OWN:
                namespace = layout.namespace_at(there, item.key)
                self._keep((namespace, item.key), there, item)

    def _keep(self, place: Place, there: Namespace, item: Any) -> None:
        if item.key != place[1]:
            raise CorruptRecord(f"asked for {place!r}, the store gave {item.key!r:.80}")
        self._found[place] = layout.decode(item.value, there, item.key)

    def _step(self, op: Scan) -> Inner:
        """Fetch the beginning of a range, bucket by bucket, until there is enough of it."""
        waiting = yield from self._buckets(op)
        yield from self._search_all(op.namespace, [name for name in waiting if not name])
        waiting = sorted(filter(None, waiting), reverse=op.reverse)
        assert op.limit is not None
        count = 1 + op.limit // layout.ROOM
        while waiting and not self._is_enough(op, waiting):
            some, waiting = waiting[:count], waiting[count:]
            yield from self._search_all(op.namespace, some)
            count *= 2

    def _search_all(self, namespace: Namespace, names: Iterable[str]) -> Inner:
        limits = {layout.bucket_place(namespace, name): _PAGE for name in names}
        if limits:
            answers = yield [_search(begin, limit) for begin, limit in limits.items()]
            yield from self._search_on(limits, answers)

    def _is_enough(self, op: Scan, waiting: Sequence[str]) -> bool:
        """Whether nothing in the buckets that wait comes before the last that is asked for."""
        assert op.limit is not None
        if op.limit <= 0:
            return True
        alive = sorted(
            (
                key
                for (namespace, key), entry in self._found.items()
                if namespace == op.namespace
                and (op.start is None or key >= op.start)
                and (op.end is None or key < op.end)
                and (entry.expires_at is None or entry.expires_at > self._now)
            ),
            reverse=op.reverse,
        )
        if len(alive) < op.limit:
            return False
        last = alive[op.limit - 1]
        if not op.reverse:
            return last < waiting[0]
        return not any(last < name or last.startswith(name) for name in waiting)

    def _buckets(self, op: Scan) -> Inner:
        """The buckets of a namespace that may hold something of a range."""
        places = yield from self._names(layout.level(op.namespace))
        names = (layout.bucket_at(op.namespace, there) for there in places)
        return [name for name in names if name is not None and _may_hold(name, op)]

    def _names(self, begin: Namespace) -> Inner:
        """The places below one that hold, or have held, items."""
        limit = _PAGE
        condition = MatchCondition("prefix", begin)
        while True:
            (listed,) = yield [
                ListNamespacesOp(match_conditions=(condition,), limit=limit, offset=0)
            ]
            if len(_listed(listed)) < limit:
                places = (tuple(there) for there in listed)
                return [there for there in places if there[: len(begin)] == begin]
            limit *= _WIDER

    def _list(self, op: Query | ListNamespaces) -> Inner:
        """Fetch what is in the namespaces that are asked for, or something of each."""
        places = yield from self._names(layout.tree(op.namespace))
        levels = {
            begin: _PAGE
            for begin, namespace in map(layout.level_at, places)
            if not op.user_only or keys.is_users(namespace, op.namespace)
        }
        levels.pop(layout.OWN, None)
        if not levels:
            return
        if isinstance(op, ListNamespaces):
            answers = yield [_search(begin, 1) for begin in levels]
            for begin, items in zip(list(levels), answers, strict=True):
                self._take_in(begin, items)
                if any(self._is_alive(item, begin) for item in items):
                    del levels[begin]
        answers = yield [_search(begin, limit) for begin, limit in levels.items()]
        yield from self._search_on(levels, answers)

    def _is_alive(self, item: Any, begin: Namespace) -> bool:
        there = tuple(item.namespace)
        if there[: len(begin)] != begin:
            return False
        entry = self._found[layout.namespace_at(there, item.key), item.key]
        return entry.expires_at is None or entry.expires_at > self._now


def damaged(most: int) -> Inner:
    """What of all that is below our label is no record, up to so many findings."""
    limit, found = _PAGE, []
    while True:
        (items,) = yield [_search((layout.LABEL,), limit)]
        if len(_listed(items)) < limit:
            break
        limit *= _WIDER
    for item in items:
        there = tuple(item.namespace)
        if there[:1] == (layout.LABEL,) and there != layout.OWN:
            try:
                layout.namespace_at(there, item.key)
                layout.decode(item.value, there, item.key)
            except CorruptRecord as error:
                found.append(str(error))
    return sorted(found)[:most]


def _may_hold(name: str, op: Scan) -> bool:
    """Whether a key that begins with the name of a bucket may be in a range."""
    if op.end is not None and name >= op.end:
        return False
    return op.start is None or name >= op.start or op.start.startswith(name)


def _get(there: Namespace, key: str) -> GetOp:
    return GetOp(there, key, refresh_ttl=False)


def _search(begin: Namespace, limit: int) -> SearchOp:
    return SearchOp(begin, limit=limit, offset=0, refresh_ttl=False)


def _listed(answer: Any) -> Any:
    if not isinstance(answer, list):
        raise StoreUnavailable(f"a search gave a {type(answer).__name__}, not a list")
    return answer
