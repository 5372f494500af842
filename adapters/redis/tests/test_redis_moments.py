"""Reads as of one moment, and updates that are not lost, while others write to the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from servers import redis as servers
from threadloom import StoreUnavailable
from threadloom.ops import CopyTree, Count, Get, Match, Measure, Op, Patch, Put, Query, Scan
from threadloom_redis import RedisStore, loading
from threadloom_redis.scripts import BATCH, PAGE, PICK, Script

SPACE, COPY = ("users", "u"), ("users", "v")
HARD = Patch(SPACE, "a", increment={"n": 1}, maximum={"m": 2**60})
"""A script cannot do it: Lua's numbers end before."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisStore]:
    with RedisStore(servers.place(tmp_path), timeout=2, retry_for=0) as store:
        yield store


@pytest.fixture
def other(store: RedisStore) -> Iterator[RedisStore]:
    with RedisStore(servers.server(), prefix=store.prefix) as other:
        yield other


def _before_each(store: RedisStore, script: Script, work: Callable[[], object]) -> None:
    """Do something before each call of a script."""
    original = store._client.call

    def call(calls: Any) -> Any:
        if any(one.script is script for one in calls):
            work()
        return original(calls)

    store._client.call = call  # type: ignore[method-assign]


def _filled(store: RedisStore, other: RedisStore, many: int) -> Callable[[], object]:
    """Write many records; what changes the first and the last of them together is returned."""
    doc = {"n": 0, "m": 0.5}
    middle = [Put(SPACE, f"k{number:05}", doc={}, text="word") for number in range(many)]
    store.execute([Put(SPACE, "a", doc=doc), *middle, Put(SPACE, "z", doc=doc)])
    numbers = count(1)

    def change() -> object:
        number = next(numbers)
        step = {"n": 1}
        return other.execute(
            [
                *(Patch(SPACE, key, increment=step) for key in "az"),
                Put(SPACE, f"z{number:05}", doc={}, text="word"),
            ]
        )

    return change


def _read(store: RedisStore, ops: list[Op]) -> tuple[Any, Any]:
    """The `n` of the first record and of the last."""
    [found] = store.execute(ops)
    docs = {record.key: record.doc for record in found}
    return docs["a"]["n"], docs["z"]["n"]


def test_a_copy_is_of_one_moment(store: RedisStore, other: RedisStore) -> None:
    _before_each(store, PAGE, _filled(store, other, 2_500))
    store.execute([CopyTree(SPACE, COPY)])
    a, z = _read(other, [Scan(COPY)])
    assert a == z > 1


def test_what_cannot_be_read_as_of_one_moment_is_not_read(
    store: RedisStore, other: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_MOST", 400)
    _before_each(store, PAGE, _filled(store, other, 500))
    with pytest.raises(StoreUnavailable, match="without rest"):
        store.execute([CopyTree(SPACE, COPY)])
    assert other.execute([Scan(COPY)]) == [[]]
    with pytest.raises(StoreUnavailable, match="one moment"):
        store.execute([Query(SPACE)])


@pytest.mark.parametrize("deep", [False, True])
def test_queries_are_of_one_moment(store: RedisStore, other: RedisStore, deep: bool) -> None:
    _before_each(store, PAGE, _filled(store, other, 1_100))
    a, z = _read(store, [Query(SPACE, deep=deep)])
    assert a == z > 1


@pytest.mark.parametrize("op", [Count(SPACE), Match(SPACE, "word", limit=9_999), Measure(SPACE)])
def test_what_is_counted_is_of_one_moment(store: RedisStore, other: RedisStore, op: Op) -> None:
    """Every change adds a record: none is counted twice where it is begun anew."""

    def size(store: RedisStore) -> int:
        [found] = store.execute([op])
        if isinstance(op, Measure):
            return int(found[0].records)
        return found if isinstance(found, int) else len(found)

    change = _filled(store, other, 1_100)
    rest = count()
    _before_each(store, PAGE, lambda: next(rest) < 3 and change())
    assert size(store) == size(other)


def test_hard_updates_beside_others_are_not_lost(store: RedisStore, other: RedisStore) -> None:
    """They read what they name, and only who writes to that is in their way."""
    change = _filled(store, other, 2_500)
    _before_each(store, PICK, change)
    _before_each(store, BATCH, lambda: other.execute([Put(SPACE, "b", doc={})]))
    found = store.execute(
        [HARD, Patch(SPACE, "z", increment={"n": 1}), Put(SPACE, "new"), Get(SPACE, "new")]
    )
    a, z, new = other.execute([Get(SPACE, key) for key in ("a", "z", "new")])
    assert a.doc == {"n": z.doc["n"], "m": 2**60}
    assert found == [a.version, z.version, new.version, new]
    assert len({*found[:3]}) == 3


def test_hard_updates_of_what_others_write_end(store: RedisStore, other: RedisStore) -> None:
    """Beset for ever they are given up in time; a moment's rest is enough."""
    change = _filled(store, other, 10)
    limit = count()
    _before_each(store, BATCH, lambda: next(limit) < 5 and change())
    store.execute([HARD])
    a, z = other.execute([Get(SPACE, key) for key in "az"])
    assert a.doc["n"] == z.doc["n"] + 1 > 4
    with RedisStore(servers.server(), prefix=store.prefix, timeout=0.1, retry_for=0) as hasty:
        _before_each(hasty, BATCH, change)
        with pytest.raises(StoreUnavailable, match="nothing was written"):
            hasty.execute([HARD])
    assert other.execute([Get(SPACE, "a")])[0].doc["n"] > a.doc["n"]
