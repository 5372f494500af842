"""A batch on its way: to one script where that can do it, else by reading, working, writing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from threadloom import keys
from threadloom.errors import UnsupportedByStore
from threadloom.ops import (
    ABSENT,
    WRITES,
    Check,
    CopyTree,
    Count,
    Delete,
    DropTree,
    Get,
    Hit,
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
from threadloom.plans import Batch, Results
from threadloom.stores.spaces import Entry, Spaces
from threadloom.stores.working import Work
from threadloom_redis import batches, packing
from threadloom_redis.attempts import Patience, Talk, beset
from threadloom_redis.batches import SIMPLE, Hard, Stale, Untold
from threadloom_redis.index import Index
from threadloom_redis.loading import Loaded, picked, spaces, whole
from threadloom_redis.names import Names, Partition, place
from threadloom_redis.reading import Reading

_KNOWN = (*SIMPLE, Query, Count, Match, ListNamespaces, Measure, CopyTree, Reclaim)
_SURVEYS = (Query, Count, Match, ListNamespaces, Measure)
_NAMED = (Get, Put, Patch, Delete, Renew, Check)
"""Operations on one record, which they name."""
_TRIES = 200
_NOTHING, _PART = "nothing was written", "a part of the batch is not written"
_PERHAPS = "the batch, or a part of it, is not written"

Changed = dict[tuple[Namespace, str], Entry | None]
"""Records as they are to be written; None where they go."""


class Engine:
    """The operations of one store, as talks with Redis.

    Args:
        names: its keys.
        index: its index.
        patience: seconds for which a batch is tried again because others write to the same.
    """

    def __init__(self, names: Names, index: Index, patience: float) -> None:
        self._names = names
        self._patience = patience
        self._index = index

    def apply(self, ops: Batch, now: int) -> Talk[Results]:
        """A batch at one moment of the clock; its results.

        Raises:
            IndexLost: the index has to be made first; nothing was done.
            SchemaTooNew: a newer version of this package wrote the data; nothing was done.
        """
        for op in ops:
            if not isinstance(op, _KNOWN):
                raise UnsupportedByStore(f"unknown operation {op!r}")
        yield from self._index.begin(writes=changes(ops))
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
            reading = Reading(self._names, self._index, now, Patience(self._patience))
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
            loaded = yield from whole(partition, Patience(self._patience))
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
        if len(parts) > 1 and any(_may_fail(op) for op in ops):
            # Not whole over several partitions, but nothing is written if it is known to fail, or
            # to be nothing for a script.
            homes = [self._names.partition(name) for name in parts]
            looks = yield [batches.call(home, parts[home.name], now, mode="c") for home in homes]
            for home, look in zip(homes, looks, strict=True):
                batches.check(look, parts[home.name], home)
        begun = {name: batches.new_request() for name in parts}
        told = yield from self._told_first(parts)
        due = list(parts)
        patience = Patience(self._patience)
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
                    continue
                except Hard:  # this one alone: others may be written by now
                    found = yield from self._work(parts[home.name], now)
                _put_in(results, groups[home.name], found)
            if not untold:
                return results
            removing = [_removes(parts[home.name]) for home in untold]
            numbers = yield from self._index.tell(untold, above, removing)
            due = [home.name for home in untold]
            told = dict(zip(due, numbers, strict=True))
            patience.check(_PERHAPS if len(parts) > 1 else _NOTHING)
        raise beset(_PERHAPS if len(parts) > 1 else _NOTHING)

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
        patience = Patience(self._patience)
        for _ in range(_TRIES):
            names = yield from self._touched(ops, now)
            loaded: dict[str, Loaded] = {}
            for name in names:
                loaded[name] = yield from self._load(ops, name, patience)
            try:
                return (yield from self._work_out(ops, loaded, now, patience))
            except Stale:
                patience.check()
        raise beset()

    def _load(self, ops: Batch, name: str, patience: Patience) -> Talk[Loaded]:
        """What a batch needs of a partition: the records that it names, else all of them."""
        partition = self._names.partition(name)
        if not all(isinstance(op, _NAMED) for op in ops):
            return (yield from whole(partition, patience))
        mine = [op for op in ops if isinstance(op, _NAMED) and batches.home(op) == name]
        return (yield from picked(partition, [place(op.namespace, op.key) for op in mine]))

    def _work_out(
        self, ops: Batch, loaded: dict[str, Loaded], now: int, patience: Patience
    ) -> Talk[Results]:
        """Apply a batch to what was read, and write what changed, partition by partition.

        Where somebody wrote to a partition meanwhile while others are written already, the batch
        is worked out again with the new state of that one. It comes out for the others as before,
        and they are not written again.

        Raises:
            Stale: somebody wrote meanwhile, and nothing is written yet.
        """
        results: Results = []
        written: dict[str, Changed] = {}
        for _ in range(_TRIES):
            work = Work(_together(loaded.values()), now, _base(loaded.values()))
            found = [work.apply(op) for op in ops]
            changed = work.changed()
            if written:
                found = [
                    results[at] if self._home(op) in written else _as_written(one, written, changed)
                    for at, (op, one) in enumerate(zip(ops, found, strict=True))
                ]
            results = found
            try:
                for name, mine in _by_partition(changed).items():
                    if name in written:
                        continue
                    if name not in loaded:
                        loaded[name] = yield from self._load(ops, name, patience)
                    base = _base(loaded.values())
                    version = max(work.version, base + 1)
                    up = yield from self._commit(
                        name, mine, loaded[name], base, version, now, patience
                    )
                    written[name] = mine
                    for at, op in enumerate(ops):
                        if up and self._home(op) == name:
                            results[at] = _moved_up(op, results[at], base, up)
            except Stale:
                if not written:
                    raise
                patience.check(_PART)
                loaded[name] = yield from self._load(ops, name, patience)
                continue
            return results
        raise beset(_PART)

    def _commit(
        self,
        name: str,
        changed: Changed,
        loaded: Loaded,
        base: int,
        version: int,
        now: int,
        patience: Patience,
    ) -> Talk[int]:
        """Write to one partition; by how much versions have moved up."""
        home = self._names.partition(name)
        changes = [
            (place(*where), None if entry is None else packing.packed(entry))
            for where, entry in changed.items()
        ]
        request = batches.new_request()
        removing = any(entry is None for entry in changed.values())
        told = 0
        for _ in range(_TRIES):
            [reply] = yield [
                batches.commit(
                    home,
                    changes,
                    now,
                    guard=loaded.guard,
                    seen=loaded.seen,
                    base=base,
                    version=version,
                    told=told,
                    request=request,
                )
            ]
            try:
                batches.check(reply, (), home)
                return int(reply[1]) - version
            except Untold as error:
                [told] = yield from self._index.tell([home], [error.above], [removing])
            patience.check(_PERHAPS)
        raise beset(_PERHAPS)

    def _touched(self, ops: Batch, now: int) -> Talk[list[str]]:
        """The partitions of a batch, in the order in which they are named."""
        found: dict[str, None] = {}
        if any(_needs_index(op) and self._home(op) is None for op in ops):
            yield from self._index.settle_pending()
        reading = Reading(self._names, self._index, now, Patience(self._patience))
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


def changes(ops: Iterable[Op]) -> bool:
    """Whether a batch changes records."""
    return any(isinstance(op, WRITES) and not isinstance(op, Reclaim) for op in ops)


def _needs_index(op: Op) -> bool:
    """Whether an operation has to find partitions, or the sessions of a tenant."""
    flat = isinstance(op, (Query, Count)) and not op.deep
    return keys.is_sessions(op.namespace) if flat or isinstance(op, Scan) else True  # type: ignore[union-attr]


def _may_fail(op: Op) -> bool:
    """Whether it may be refused, or counts with values that are stored."""
    counts = isinstance(op, Patch) and bool(op.increment or op.maximum)
    return counts or getattr(op, "expect", None) is not None


def _removes(ops: Iterable[Op]) -> bool:
    return any(isinstance(op, (Delete, DropTree)) for op in ops)


def _put_in(results: Results, places: Iterable[int], found: Sequence[Any]) -> None:
    for at, value in zip(places, found, strict=True):
        results[at] = value


def _together(loaded: Iterable[Loaded]) -> Spaces:
    return spaces(record for one in loaded for record in one.records)


def _base(loaded: Iterable[Loaded]) -> int:
    return max((one.base for one in loaded), default=0)


def _by_partition(changed: Changed) -> dict[str, Changed]:
    parts: defaultdict[str, Changed] = defaultdict(dict)
    for where, entry in changed.items():
        parts[keys.partition(*where)][where] = entry
    return parts


def _as_written(found: Any, written: Mapping[str, Changed], changed: Changed) -> Any:
    """What was read of a batch that was worked out again, with the versions that are stored.

    Args:
        found: the result of one operation.
        written: what the partitions got that are written already.
        changed: the same records, and others, as they came out this time.
    """
    if isinstance(found, Record):
        where = found.namespace, found.key
        stored = written.get(keys.partition(*where), {}).get(where)
        again = changed.get(where)
        if stored is not None and again is not None and again.version == found.version:
            return found._replace(version=stored.version)
    elif isinstance(found, Hit):
        return found._replace(record=_as_written(found.record, written, changed))
    elif isinstance(found, list):
        return [_as_written(one, written, changed) for one in found]
    return found


def _moved_up(op: Op, found: Any, base: int, up: int) -> Any:
    """The result of an operation on a record whose version moved up when it was written."""
    if isinstance(op, (Put, Patch)) and found is not None and found > base:
        return found + up
    if isinstance(found, Record) and found.version > base:
        return found._replace(version=found.version + up)
    return found
