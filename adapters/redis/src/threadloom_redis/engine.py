"""A batch on its way: to one script where that can do it, else by reading, working, writing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from threadloom import keys
from threadloom.errors import SessionConflict, UnsupportedByStore
from threadloom.ops import (
    ABSENT,
    WRITES,
    CopyTree,
    Count,
    ListNamespaces,
    Match,
    Measure,
    Op,
    Put,
    Query,
    Reclaim,
    Scan,
)
from threadloom.plans import Batch, Results
from threadloom.stores.spaces import Spaces
from threadloom.stores.working import Work
from threadloom_redis import batches, packing
from threadloom_redis.attempts import Talk
from threadloom_redis.batches import SIMPLE, Hard, Stale, Untold
from threadloom_redis.index import Index
from threadloom_redis.loading import Loaded, spaces, whole
from threadloom_redis.names import Names, Partition, place
from threadloom_redis.reading import Reading

_KNOWN = (*SIMPLE, Query, Count, Match, ListNamespaces, Measure, CopyTree, Reclaim)
_SURVEYS = (Query, Count, Match, ListNamespaces, Measure)
_TRIES = 200


class Engine:
    """The operations of one store, as talks with Redis.

    Args:
        names: its keys.
        index: its index.
    """

    def __init__(self, names: Names, index: Index) -> None:
        self._names = names
        self._index = index

    def apply(self, ops: Batch, now: int) -> Talk[Results]:
        """A batch at one moment of the clock; its results.

        Raises:
            IndexLost: the index has to be made first; nothing was done.
        """
        for op in ops:
            if not isinstance(op, _KNOWN):
                raise UnsupportedByStore(f"unknown operation {op!r}")
        if any(isinstance(op, Reclaim) for op in ops):
            if len(ops) > 1:
                raise UnsupportedByStore("memory is reclaimed by a batch of its own")
            yield from self._index.settle_pending()
            return [None]
        if not any(isinstance(op, WRITES) for op in ops):
            return (yield from self._read(ops, now))
        results: list[Any] = [None] * len(ops)
        # Reads over many records in front of all writes need not be done together with these.
        first = next(at for at, op in enumerate(ops) if isinstance(op, WRITES))
        early = [at for at in range(first) if self._is_survey(ops[at])]
        if early:
            found = yield from self._read([ops[at] for at in early], now)
            _put_in(results, early, found)
        late = [at for at in range(len(ops)) if at not in early]
        found = yield from self._write([ops[at] for at in late], now)
        _put_in(results, late, found)
        return results

    # Reading

    def _read(self, ops: Batch, now: int) -> Talk[Results]:
        results: list[Any] = [None] * len(ops)
        groups: defaultdict[str, list[int]] = defaultdict(list)
        wide: list[int] = []
        for at, op in enumerate(ops):
            name = self._home(op)
            if name is None or (name.startswith("=") and isinstance(op, _SURVEYS)):
                wide.append(at)
            else:
                groups[name].append(at)
        yield from self._read_partitions(ops, groups, results, now)
        if wide:
            if any(_needs_index(ops[at]) for at in wide):
                yield from self._index.settle_pending()
            reading = Reading(self._names, self._index, now)
            for at in wide:
                results[at] = yield from reading.answer(ops[at])
        return results

    def _read_partitions(
        self, ops: Batch, groups: dict[str, list[int]], results: Results, now: int
    ) -> Talk[None]:
        at_once: list[tuple[Partition, list[int], list[Op]]] = []
        for name, places in groups.items():
            partition = self._names.partition(name)
            mine = [ops[at] for at in places]
            if all(isinstance(op, SIMPLE) for op in mine):
                at_once.append((partition, places, mine))
                continue
            loaded = yield from whole(partition)
            work = Work(spaces(loaded.records), now, 0)
            _put_in(results, places, [work.apply(op) for op in mine])
        replies = yield [batches.call(partition, mine, now) for partition, _, mine in at_once]
        for (partition, places, mine), reply in zip(at_once, replies, strict=True):
            _put_in(results, places, batches.results(reply, mine, partition))

    # Writing

    def _write(self, ops: Batch, now: int) -> Talk[Results]:
        groups: defaultdict[str, list[int]] = defaultdict(list)
        written: set[str] = set()
        for at, op in enumerate(ops):
            name = self._home(op)
            if (
                name is None
                or not isinstance(op, SIMPLE)
                or (isinstance(op, Scan) and name in written)
            ):
                return (yield from self._work(ops, now))
            if isinstance(op, WRITES):
                written.add(name)
            groups[name].append(at)
        try:
            return (yield from self._write_partitions(ops, groups, written, now))
        except Hard:
            return (yield from self._work(ops, now))

    def _write_partitions(
        self, ops: Batch, groups: dict[str, list[int]], written: set[str], now: int
    ) -> Talk[Results]:
        results: list[Any] = [None] * len(ops)
        parts = {name: [ops[at] for at in places] for name, places in groups.items()}
        if len(parts) > 1 and any(_expects(op) for op in ops):
            # Not whole over several partitions, but nothing is written if it is known to fail.
            homes = [self._names.partition(name) for name in parts]
            looks = yield [batches.call(home, parts[home.name], now, mode="c") for home in homes]
            for home, look in zip(homes, looks, strict=True):
                batches.check(look, parts[home.name], home)
        begun = {name: batches.new_request() for name in parts}
        told = yield from self._told_first(parts)
        due = list(parts)
        for _ in range(_TRIES):
            homes = [self._names.partition(name) for name in due]
            replies = yield [
                batches.call(
                    home,
                    parts[home.name],
                    now,
                    mode="w" if home.name in written else "r",
                    told=told.get(home.name, 0),
                    request=begun[home.name],
                )
                for home in homes
            ]
            untold: list[Partition] = []
            above: list[int] = []
            for home, reply in zip(homes, replies, strict=True):
                try:
                    found = batches.results(reply, parts[home.name], home)
                except Untold as error:
                    untold.append(home)
                    above.append(error.above)
                else:
                    _put_in(results, groups[home.name], found)
            if not untold:
                return results
            numbers = yield from self._index.tell(untold, above)
            due = [home.name for home in untold]
            told = dict(zip(due, numbers, strict=True))
        raise _beset()

    def _told_first(self, parts: dict[str, list[Op]]) -> Talk[dict[str, int]]:
        """Tell the index of what begins here, which it cannot know yet."""
        new = [
            self._names.partition(name)
            for name, ops in parts.items()
            if any(
                isinstance(op, Put) and op.expect == ABSENT and keys.is_sessions(op.namespace)
                for op in ops
            )
        ]
        if not new:
            return {}
        numbers = yield from self._index.tell(new, [0] * len(new))
        return {home.name: number for home, number in zip(new, numbers, strict=True)}

    # Working on records here

    def _work(self, ops: Batch, now: int) -> Talk[Results]:
        """Read every partition that a batch touches, apply it here, and write what changed."""
        for op in ops:
            if isinstance(op, CopyTree):
                keys.check_copy(op.source, op.target)
        for _ in range(_TRIES):
            names = yield from self._touched(ops, now)
            loaded: dict[str, Loaded] = {}
            for name in names:
                loaded[name] = yield from whole(self._names.partition(name))
            work = Work(_together(loaded.values()), now, _base(loaded.values()))
            results = [work.apply(op) for op in ops]
            changes = _by_partition(work)
            done = 0
            try:
                for name, changed in changes.items():
                    if name not in loaded:
                        loaded[name] = yield from whole(self._names.partition(name))
                    version = max(work.version, loaded[name].base + 1)
                    try:
                        yield from self._commit(name, changed, loaded[name].guard, version, now)
                    except Stale:
                        if not done:
                            raise
                        yield from self._again(name, ops, now)
                    done += 1
            except Stale:
                continue
            return results
        raise _beset()

    def _again(self, name: str, ops: Batch, now: int) -> Talk[None]:
        """A partition's share of a batch whose other partitions have been written."""
        if any(isinstance(op, CopyTree) for op in ops):
            raise SessionConflict("somebody wrote where a tree was being copied; it is half there")
        mine = [op for op in ops if self._home(op) in (name, None)]
        for _ in range(_TRIES):
            loaded = yield from whole(self._names.partition(name))
            work = Work(spaces(loaded.records), now, loaded.base)
            for op in mine:
                work.apply(op)
            changed = _by_partition(work).get(name, {})
            try:
                return (yield from self._commit(name, changed, loaded.guard, work.version, now))
            except Stale:
                continue
        raise _beset()

    def _commit(
        self, name: str, changed: dict[bytes, bytes | None], guard: bytes, version: int, now: int
    ) -> Talk[None]:
        if not changed:
            return
        home = self._names.partition(name)
        request = batches.new_request()
        told = 0
        for _ in range(_TRIES):
            [reply] = yield [
                batches.commit(
                    home,
                    changed.items(),
                    now,
                    guard=guard,
                    version=version,
                    told=told,
                    request=request,
                )
            ]
            try:
                return batches.check(reply, (), home)
            except Untold as error:
                [told] = yield from self._index.tell([home], [error.above])
        raise _beset()

    def _touched(self, ops: Batch, now: int) -> Talk[list[str]]:
        """The partitions of a batch, in the order in which they are named."""
        found: dict[str, None] = {}
        if any(_needs_index(op) and self._home(op) is None for op in ops):
            yield from self._index.settle_pending()
        reading = Reading(self._names, self._index, now)
        for op in ops:
            trees = [op.source, op.target] if isinstance(op, CopyTree) else [op.namespace]  # type: ignore[union-attr]
            for tree in trees:
                home = keys.tree_partition(tree) if isinstance(op, CopyTree) else self._home(op)
                if home is not None:
                    found[home] = None
                else:
                    names = yield from reading.partitions(tree)
                    found.update(dict.fromkeys(names))
        return list(found)

    def _home(self, op: Op) -> str | None:
        if isinstance(op, (Query, Count)) and not op.deep:
            return batches.flat(op.namespace)
        return None if isinstance(op, CopyTree) else batches.home(op)

    def _is_survey(self, op: Op) -> bool:
        return isinstance(op, _SURVEYS) or (isinstance(op, Scan) and self._home(op) is None)


def _needs_index(op: Op) -> bool:
    """Whether an operation has to find partitions, or the sessions of a tenant."""
    flat = isinstance(op, (Query, Count)) and not op.deep
    return keys.is_sessions(op.namespace) if flat or isinstance(op, Scan) else True  # type: ignore[union-attr]


def _expects(op: Op) -> bool:
    return getattr(op, "expect", None) is not None


def _put_in(results: Results, places: Iterable[int], found: Sequence[Any]) -> None:
    for at, value in zip(places, found, strict=True):
        results[at] = value


def _together(loaded: Iterable[Loaded]) -> Spaces:
    return spaces(record for one in loaded for record in one.records)


def _base(loaded: Iterable[Loaded]) -> int:
    return max((one.base for one in loaded), default=0)


def _by_partition(work: Work) -> dict[str, dict[bytes, bytes | None]]:
    """What has changed, as scripts write it, by partition."""
    changes: defaultdict[str, dict[bytes, bytes | None]] = defaultdict(dict)
    for (namespace, key), entry in work.changed().items():
        raw = None if entry is None else packing.packed(entry)
        changes[keys.partition(namespace, key)][place(namespace, key)] = raw
    return changes


def _beset() -> SessionConflict:
    return SessionConflict("others write here without rest; nothing was written, try again")
