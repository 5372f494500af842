"""Batches of an encrypted store, as batches of the store inside.

Most operations become one of the same kind that names the record by its pseudonym. What looks
into documents (queries, counts with a filter, search, listings of namespaces, measures) reads
all records that it may concern, in the same place of the batch, and is answered by
`stores.working` on a scratch copy. A patch is a record read before the batch and put whole in
it, behind a check that it has not changed meanwhile; if it has, everything begins afresh.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from threadloom.errors import UnsupportedByStore
from threadloom.filters import check_filter
from threadloom.ops import (
    ABSENT,
    WRITES,
    Check,
    Count,
    Delete,
    DropTree,
    ExpectationFailed,
    Get,
    ListNamespaces,
    Match,
    Measure,
    Namespace,
    Op,
    Patch,
    Put,
    Query,
    Reclaim,
    Record,
    Renew,
    Scan,
)
from threadloom.plans import Pause, Plan, Results
from threadloom.stores.spaces import Entry, Spaces
from threadloom.stores.working import Work
from threadloom.wrappers.names import AFTER_HIDDEN, HIDDEN, clear_keys
from threadloom.wrappers.surveying import filled, is_survey, named, survey
from threadloom.wrappers.vault import HEADER, Vault, encoded, shown

Place = tuple[Namespace, str]
Answer = Callable[[Results], Any]
"""Makes the result of an operation of what its operations inside gave."""

_KNOWN = (
    *(Get, Put, Patch, Delete, Renew, DropTree, Check, Scan, Query, Count, Match),
    *(ListNamespaces, Measure, Reclaim),
)
_TRIES = 400
_LONGEST_PAUSE = 0.02
_GUARD = -1


def check_ops(ops: Sequence[Op]) -> None:
    """Refuse what cannot be done, before anything is.

    Raises:
        UnsupportedByStore: an operation is not known, or copies a tree: what is encrypted is
            bound to its place.
        InvalidKey: a filter that is none.
    """
    for op in ops:
        if not isinstance(op, _KNOWN):
            raise UnsupportedByStore(
                f"an encrypted store does not do {type(op).__name__}: {op!r:.200}"
            )
        if isinstance(op, (Query, Count)):
            check_filter(op.filter)


def apply(vault: Vault, ops: Sequence[Op], now: Callable[[], int]) -> Plan[Results]:
    """Apply a batch; its operations have passed `check_ops`.

    Raises:
        ExpectationFailed: an expectation of the batch did not hold, or its patches met those of
            others 400 times.
    """
    if is_survey(ops):
        return (yield from survey(vault, ops, now()))
    patches = [op for op in ops if isinstance(op, Patch)]
    places = list(dict.fromkeys((op.namespace, op.key) for op in patches))
    reads: list[Op] = [Get(*vault.names.place(*place)) for place in places]
    drops_all = any(isinstance(op, DropTree) and not op.namespace for op in ops)
    if drops_all:
        reads += [ListNamespaces(), Query((), deep=True, expired=True)]
    for number in range(_TRIES):
        batch = _Batch(vault, now(), writes=any(isinstance(op, WRITES) for op in ops))
        remembered = [vault.patched.get(place) for place in places]
        if reads and (drops_all or number or None in remembered):
            found = yield reads
            if drops_all:
                expired, listed = found.pop(), found.pop()
                batch.roots = {record.namespace[0] for record in expired}
                batch.roots.update(namespace[0] for namespace in listed)
            for place, record in zip(places, found, strict=True):
                batch.guard(place, None if record is None else vault.open(record)[2])
        else:
            for place, entry in zip(places, remembered, strict=True):
                batch.guard(place, entry)
        for index, op in enumerate(ops):
            batch.add(index, op)
        try:
            results = yield batch.ops
        except ExpectationFailed as error:
            index = batch.source(error.op)
            if index != _GUARD:
                raise ExpectationFailed(ops[index]) from None
        else:
            batch.remember(results)
            listed = batch.listed(results)
            batch.known = yield from named(vault, listed)
            if len(batch.known) == len(listed):
                return batch.answers(results)
            # What was emptied meanwhile has no name any more: look again.
        if number:
            bound = min(_LONGEST_PAUSE, 0.0005 * 2 ** min(number, 6))
            yield Pause(random.uniform(0, bound))  # noqa: S311
    raise ExpectationFailed(patches[0] if patches else ops[0])


class _Batch:
    """A batch inside, growing with the operations of the one outside.

    Args:
        vault: seals and opens.
        now: microseconds since the epoch.
        writes: whether it changes anything: then it cannot be asked twice.

    Attributes:
        ops: the operations inside.
        roots: first labels, inside, of the namespaces that a drop of everything concerns.
        known: what the namespaces are called that its results name.
    """

    def __init__(self, vault: Vault, now: int, *, writes: bool) -> None:
        self.ops: list[Op] = []
        self.roots: set[str] = set()
        self.known: Mapping[Namespace, Namespace] = {}
        self._writes = writes
        self._vault = vault
        self._names = vault.names
        self._now = now
        self._sources: list[int] = []
        self._steps: list[tuple[int, Answer]] = []
        self._patched: set[Place] = set()
        self._outcomes: dict[Place, tuple[int, Entry]] = {}
        # The records that patches change, as they stand while the batch goes on.
        self._scratch = Work(Spaces(), now, 0)

    def guard(self, place: Place, entry: Entry | None) -> None:
        """Take note of a record that is going to be patched, and expect it to stay so."""
        inner = self._names.place(*place)
        self._patched.add(place)
        if entry is not None:
            self._scratch.spaces.make(place[0]).set(place[1], entry)
        self._add(_GUARD, Check(*inner, ABSENT if entry is None else entry.version))

    def add(self, index: int, op: Op) -> None:
        """Translate an operation."""
        before = len(self.ops)
        answer = self._translate(index, op)
        self._steps.append((len(self.ops) - before, answer))

    def source(self, op: Op) -> int:
        """Which operation outside an operation inside belongs to."""
        for index, other in zip(self._sources, self.ops, strict=True):
            if other is op:
                return index
        return self._sources[self.ops.index(op)]

    def answers(self, results: Results) -> Results:
        """The results outside."""
        at = len(self._patched)
        found: Results = []
        for count, answer in self._steps:
            found.append(answer(results[at : at + count]))
            at += count
        return found

    def remember(self, results: Results) -> None:
        """Note how the records stand that the batch has patched.

        Those that expire are left out: their expiry may move without their version.
        """
        for place in self._patched:
            at, entry = self._outcomes.get(place, (0, None))
            if entry is None or entry.expires_at is not None:
                self._vault.patched.forget(place)
            else:
                self._vault.patched.set(place, entry._replace(version=results[at]))

    def listed(self, results: Results) -> list[Namespace]:
        """The namespaces inside whose names the results need."""
        found: list[Namespace] = []
        for op, result in zip(self.ops, results, strict=True):
            if isinstance(op, ListNamespaces):
                found += (namespace for namespace in result if namespace != HEADER[0])
        return list(dict.fromkeys(found))

    def _add(self, index: int, *ops: Op) -> None:
        self.ops += ops
        self._sources += [index] * len(ops)

    def _translate(self, index: int, op: Op) -> Answer:
        match op:
            case Get():
                place = self._names.place(op.namespace, op.key)
                self._add(index, Get(*place, expired=op.expired))
                return lambda found: self._shown(op, found[0])
            case Put():
                self._follow(op)
                doc = None if op.doc is None else encoded(dict(op.doc))
                entry = Entry(doc, op.blob, op.text, 0, 0, 0, op.expires_at)
                self._add(index, self._put(op, entry)._replace(expect=op.expect, keep=op.keep))
                return _first
            case Patch():
                return self._patch(index, op)
            case Delete() | Check() | Renew():
                self._follow(op)
                place = self._names.place(op.namespace, op.key)
                self._add(index, op._replace(namespace=place[0], key=place[1]))
                return _first
            case DropTree():
                self._follow(op)
                return self._drop(index, op)
            case Scan():
                return self._scan(index, op)
            case Count() if not op.filter:
                inner = self._names.namespace(op.namespace)
                self._add(index, op._replace(namespace=inner))
                own = not op.namespace and op.deep and not op.expired
                return lambda found: max(0, found[0] - own)  # the header, if there is one
            case Reclaim():
                self._add(index, op)
                return _first
            case ListNamespaces() if not self._writes:
                inner = self._names.namespace(op.namespace)
                self._add(index, op._replace(namespace=inner))
                return lambda found: sorted(
                    self.known[name] for name in found[0] if name != HEADER[0]
                )
            case Query() | Count() | Match() | ListNamespaces() | Measure():
                return self._look(index, op)
        raise UnsupportedByStore(f"unknown operation {op!r:.200}")

    def _shown(self, op: Get, record: Record | None) -> Record | None:
        if record is None:
            return None
        return shown(*self._vault.open(record), blob=op.blob)

    def _put(self, op: Put | Patch, entry: Entry) -> Put:
        place = self._names.place(op.namespace, op.key)
        blob = self._vault.seal(op.namespace, op.key, place, entry.doc, entry.blob, entry.text)
        return Put(*place, blob=blob, expires_at=entry.expires_at)

    def _follow(self, op: Put | Delete | DropTree | Check | Renew) -> None:
        """Do what an operation does to records that are patched in the same batch."""
        if isinstance(op, Check) or not self._patched:
            return
        if isinstance(op, DropTree):
            self._scratch.apply(op)
            self._outcomes.clear()
        elif isinstance(op, Renew):
            self._scratch.apply(op)  # it writes no record anew
        elif (op.namespace, op.key) in self._patched:
            self._scratch.apply(op._replace(expect=None))  # the store inside looks at that
            self._outcomes.pop((op.namespace, op.key), None)

    def _patch(self, index: int, op: Patch) -> Answer:
        inner = self._names.place(op.namespace, op.key)
        if self._scratch.apply(op._replace(expect=None)) is None:
            if op.expect is not None:
                self._add(index, Check(*inner, op.expect))
            return lambda found: None
        entry = self._scratch.spaces.make(op.namespace).entries[op.key]
        self._outcomes[op.namespace, op.key] = len(self.ops), entry
        self._add(index, self._put(op, entry)._replace(expect=op.expect))
        return _first

    def _drop(self, index: int, op: DropTree) -> Answer:
        if op.namespace:
            self._add(index, DropTree(self._names.namespace(op.namespace)))
            return _first
        written = {other.namespace[0] for other in self.ops if isinstance(other, Put)}
        for root in sorted((self.roots | written) - {HEADER[0][0]}):
            self._add(index, DropTree((root,)))
        return sum

    def _scan(self, index: int, op: Scan) -> Answer:
        inner = self._names.namespace(op.namespace)
        clear = clear_keys(op.namespace)
        if clear is None:
            self._add(index, Scan(inner))
        else:
            end = HIDDEN if op.end is None else min(op.end, HIDDEN)
            self._add(index, op._replace(namespace=inner, end=end, blobs=True))
            self._add(index, Scan(inner, HIDDEN, AFTER_HIDDEN))

        def answer(found: Results) -> list[Record]:
            opened = [self._vault.open(record) for record in chain.from_iterable(found)]
            if len(found) == 1 or found[1]:
                opened = [item for item in opened if _is_between(op, item[1])]
                opened.sort(key=lambda item: item[1], reverse=op.reverse)
            limit = None if op.limit is None else max(0, op.limit)
            return [shown(*item, blob=op.blobs) for item in opened[:limit]]

        return answer

    def _look(self, index: int, op: Query | Count | Match | ListNamespaces | Measure) -> Answer:
        inner = self._names.namespace(op.namespace)
        deep = op.deep if isinstance(op, (Query, Count)) else True
        expired = op.expired if isinstance(op, (Query, Count)) else False
        user_only = op.user_only if isinstance(op, (Query, ListNamespaces)) else False
        self._add(index, Query(inner, deep=deep, expired=expired, user_only=user_only, blobs=True))
        with_blobs = isinstance(op, Measure) or (isinstance(op, Query) and op.blobs)

        def answer(found: Results) -> Any:
            spaces = filled(self._vault, found[0], blobs=with_blobs)
            return Work(spaces, self._now, 0).apply(op)

        return answer


def _first(found: Results) -> Any:
    return found[0]


def _is_between(op: Scan, key: str) -> bool:
    return (op.start is None or key >= op.start) and (op.end is None or key < op.end)
