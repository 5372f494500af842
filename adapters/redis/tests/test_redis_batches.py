"""Batches over several partitions: each is written once, and what is returned is what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import redis as servers
from threadloom import MemoryStore
from threadloom.ops import Delete, DropTree, Get, Op, Patch, Put, Query, Record, Scan
from threadloom.store import Store
from threadloom.testing import FrozenClock
from threadloom_redis import RedisStore
from threadloom_redis.names import Names

A, B, C = ("a",), ("b",), ("c",)
PARTS: dict[str, Any] = {"x": 0.5}
HALF = Patch(B, "k", increment=PARTS)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def store(tmp_path: Path, clock: FrozenClock) -> Iterator[RedisStore]:
    with RedisStore(servers.place(tmp_path), clock=clock) as store:
        yield store


@pytest.fixture
def other(store: RedisStore, clock: FrozenClock) -> Iterator[RedisStore]:
    with RedisStore(servers.server(), prefix=store.prefix, clock=clock) as other:
        yield other


def _plain(value: Any) -> Any:
    """A result without versions, which every engine gives out as it likes."""
    if isinstance(value, Record):
        return value._replace(version=0)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return "version" if type(value) is int and value > 10 else value


def _outcome(store: Store, ops: list[Op]) -> Any:
    store.execute([Put(space, "k", doc={"n": 1, "x": 1, "t": "x"}) for space in (A, B, C)])
    try:
        results: Any = [
            "version" if isinstance(op, (Put, Patch)) and found is not None else _plain(found)
            for op, found in zip(ops, store.execute(ops), strict=True)
        ]
    except TypeError:
        results = "refused"
    return results, [_plain(found) for found in store.execute([Query((), deep=True)])]


def _before(store: RedisStore, wanted: Callable[[Any], bool], work: Callable[[], object]) -> None:
    """Do something once, just before a call of a script that is wanted."""
    original, waiting = store._client.call, [work]

    def call(calls: Any) -> Any:
        if waiting and any(wanted(one) for one in calls):
            waiting.pop()()
        return original(calls)

    store._client.call = call  # type: ignore[method-assign]


def _writes(store: RedisStore, space: tuple[str, ...]) -> Callable[[Any], bool]:
    home = Names(store.prefix).of(space, "")
    return lambda call: call.writes and call.keys[0] == home.records


@pytest.mark.parametrize(
    "ops",
    [
        [Patch(A, "k", increment={"n": 1}), HALF],
        [HALF, Patch(A, "k", increment={"n": 1}), Delete(C, "k")],
        [Delete(A, "k"), HALF, Put(C, "k", keep=True), Put(C, "new", doc={}, keep=True)],
        [Put(A, "new", doc={}, keep=True), HALF, Get(B, "k"), Delete(B, "k"), DropTree(C)],
        [Patch(A, "k", increment={"n": 1}), Patch(B, "k", increment={"t": 1})],
        [Patch(A, "k", increment={"n": 1}), Patch(B, "k", maximum={"x": 1.5}, increment={"n": 1})],
    ],
)
def test_what_is_nothing_for_a_script_happens_once(store: RedisStore, ops: list[Op]) -> None:
    with MemoryStore(clock=store.clock) as memory:
        assert _outcome(store, ops) == _outcome(memory, ops)


def test_a_partition_that_becomes_one_for_no_script_meanwhile(
    store: RedisStore, other: RedisStore
) -> None:
    """The other one is written already, and not written again."""
    store.execute([Put(A, "k", doc={"n": 0}), Put(B, "k", doc={"x": 1})])
    _before(store, _writes(store, B), lambda: other.execute([HALF]))
    found = store.execute([Patch(A, "k", increment={"n": 1}), Patch(B, "k", increment={"x": 1})])
    a, b = store.execute([Get(A, "k"), Get(B, "k")])
    assert (a.doc, b.doc) == ({"n": 1}, {"x": 2.5})
    assert found == [a.version, b.version]


def test_versions_are_those_that_are_stored_when_others_write_in_between(
    store: RedisStore, other: RedisStore
) -> None:
    store.execute([Put(space, "k", doc={"n": 0}) for space in (A, B)])
    once = Patch(B, "k", increment={"n": 10})
    _before(store, _writes(store, B), lambda: other.execute([once, once, once]))
    # A scan of what is written is nothing for scripts: all is worked out in the store.
    found = store.execute(
        [
            Patch(A, "k", increment={"n": 1}),
            Patch(B, "k", increment={"n": 1}),
            Scan(A),
            Scan(B),
            Query((), deep=True),
            Put(B, "new", doc={}),
        ]
    )
    a, b, new = store.execute([Get(A, "k"), Get(B, "k"), Get(B, "new")])
    assert (a.doc, b.doc) == ({"n": 1}, {"n": 31})
    assert found == [a.version, b.version, [a], [b], [a, b], new.version]
    store.execute([Put(A, "k", expect=found[0]), Delete(B, "k", expect=found[1])])


def test_a_tree_that_is_dropped_counts_what_goes(store: RedisStore, other: RedisStore) -> None:
    spaces = [("t", name) for name in "abc"]
    store.execute([Put(space, "k") for space in spaces])
    _before(
        store,
        _writes(store, spaces[2]),
        lambda: other.execute([Put(spaces[2], str(number)) for number in range(3)]),
    )
    assert store.execute([DropTree(("t",)), Put(A, "k")])[0] == 6
    assert store.execute([Query(("t",), deep=True)]) == [[]]
