"""Closing in use: what is under way ends as it should, and no connection is left."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from servers import redis as servers
from threadloom import StoreClosed
from threadloom.ops import Get, Put
from threadloom_redis import RedisStore
from threadloom_redis.care import Care

SPACE = ("closing",)
PAUSE = 0.4


@pytest.fixture
def store(tmp_path: Path) -> RedisStore:
    return RedisStore(servers.place(tmp_path))


@pytest.fixture
def raw() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(servers.server()) as client:
        yield client


def _connections(raw: redis.Redis) -> int:
    return len(raw.client_list())


def _are_gone(raw: redis.Redis, before: int) -> bool:
    """Whether Redis, which is a moment behind, sees no more connections than before."""
    deadline = time.monotonic() + 2
    while _connections(raw) != before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _pause(raw: redis.Redis) -> None:
    """Let writes wait for a while."""
    raw.execute_command("CLIENT", "PAUSE", int(PAUSE * 1000), "WRITE")


def _stored(store: RedisStore) -> int:
    with RedisStore(servers.server(), prefix=store.prefix) as other:
        return sum(one is not None for one in other.execute([Get(SPACE, str(n)) for n in range(9)]))


def test_closing_waits_for_writes(store: RedisStore, raw: redis.Redis) -> None:
    before = _connections(raw)
    store.execute([Put(SPACE, "0")])
    begun = threading.Barrier(4)
    results: list[Any] = []

    def write(number: int) -> None:
        begun.wait()
        results.extend(store.execute([Put(SPACE, str(number))]))

    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2, 3)]
    _pause(raw)
    for writer in writers:
        writer.start()
    begun.wait()
    time.sleep(PAUSE / 4)
    store.close()
    assert len(results) == 3, "closed before they had ended"
    for writer in writers:
        writer.join()
    assert _stored(store) == 4
    with pytest.raises(StoreClosed):
        store.execute([Get(SPACE, "0")])
    with pytest.raises(StoreClosed):
        Care(store._client, store._names, store._index).damage()
    assert _are_gone(raw, before)


def test_closing_on_a_loop_waits_for_writes(store: RedisStore, raw: redis.Redis) -> None:
    before = _connections(raw)

    async def work() -> list[Any]:
        await store.aopen()
        await store.aexecute([Put(SPACE, "0")])
        _pause(raw)
        tasks = [asyncio.create_task(store.aexecute([Put(SPACE, str(n))])) for n in range(1, 9)]
        await asyncio.sleep(PAUSE / 4)
        await store.aclose()
        assert all(task.done() for task in tasks), "closed before they had ended"
        with pytest.raises(StoreClosed):
            await store.aexecute([Get(SPACE, "0")])
        return [await task for task in tasks]

    assert all(asyncio.run(work()))
    assert _stored(store) == 9
    assert _are_gone(raw, before)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_closed_by_others_a_loops_connections_go(
    store: RedisStore, raw: redis.Redis, elsewhere: bool
) -> None:
    before = _connections(raw)

    async def work() -> Any:
        await store.aopen()
        await store.aexecute([Put(SPACE, "0")])
        task = asyncio.create_task(store.aexecute([Put(SPACE, "1")]))
        await asyncio.sleep(0)
        if elsewhere:
            await asyncio.to_thread(store.close)
        else:
            store.close()
        await task
        await asyncio.sleep(0.1)
        return _connections(raw)

    assert asyncio.run(work()) == before
    assert _stored(store) == 2


def test_closed_while_its_loop_stands_still_a_loops_connections_go_later(
    store: RedisStore, raw: redis.Redis
) -> None:
    before = _connections(raw)
    with asyncio.Runner() as runner:
        runner.run(store.aopen())
        runner.run(store.aexecute([Put(SPACE, "0")]))
        store.close()
        with pytest.raises(StoreClosed):
            runner.run(store.aexecute([Get(SPACE, "0")]))
        runner.run(store.aclose())
    assert _are_gone(raw, before)
