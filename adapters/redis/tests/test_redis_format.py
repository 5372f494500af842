"""The format that a newer version would change, and prefixes that nothing was written to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from servers import redis as servers
from threadloom import SchemaTooNew, SessionManager, StoreUnavailable, open_store
from threadloom.ops import (
    CopyTree,
    Count,
    Delete,
    DropTree,
    Get,
    Match,
    Measure,
    Patch,
    Put,
    Query,
    Reclaim,
    Scan,
)
from threadloom_redis import RedisStore
from threadloom_redis.names import Names
from threadloom_redis.store import open_url

SESSIONS = ("sessions",)
BATCHES: list[Any] = [
    [Get(("n",), "k")],
    [Scan(("n",))],
    [Query(SESSIONS)],
    [Count((), deep=True)],
    [Match((), "word")],
    [Measure()],
    [Put(("n",), "k", doc={"n": 2})],
    [Put(SESSIONS, "t", doc={}, expect="absent")],
    [Put(("n",), "k"), Put(("m",), "k")],
    [Patch(("n",), "k", set={"n": 0.5}, increment={"n": 1})],
    [Delete(("n",), "k")],
    [DropTree(())],
    [CopyTree(("n",), ("m",))],
    [Reclaim()],
]
CALLS: list[Callable[[RedisStore], Any]] = [
    *(lambda store, batch=batch: store.execute(batch) for batch in BATCHES),
    RedisStore.damage,
    RedisStore.mend,
]
READS = (*BATCHES[:6], [Reclaim()])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return servers.place(tmp_path)


@pytest.fixture
def raw() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(servers.server()) as client:
        yield client


def _stored(url: str, raw: redis.Redis) -> dict[bytes, bytes | None]:
    pattern = Names(url.rpartition("=")[2]).pattern
    return {key: raw.dump(key) for key in raw.scan_iter(match=pattern, count=1_000)}


def _format(url: str) -> bytes:
    return Names(url.rpartition("=")[2]).format


async def _natively(store: RedisStore, batch: Any) -> Any:
    async with store:
        return await store.aexecute(batch)


def test_data_of_a_newer_format_are_refused(url: str, raw: redis.Redis) -> None:
    with RedisStore(url) as store:
        store.execute([Put(("n",), "k", doc={"n": 1}), Put(SESSIONS, "s", doc={})])
        assert raw.get(_format(url)) == b"1", "written with the first write"
        store.execute([Count(SESSIONS)])
        raw.set(_format(url), "2")
        before = _stored(url, raw)
        for call in CALLS:
            with RedisStore(url) as fresh:
                for _ in range(2):
                    with pytest.raises(SchemaTooNew, match=r"has format 2.*knows up to 1"):
                        call(fresh)
        for batch in BATCHES:
            with pytest.raises(SchemaTooNew):
                asyncio.run(_natively(RedisStore(url), batch))
        # One that is open already sees it when it looks at the index.
        for batch in ([Count(SESSIONS)], [Put(SESSIONS, "t", doc={}, expect="absent")]):
            with pytest.raises(SchemaTooNew):
                store.execute(batch)
        assert _stored(url, raw) == before


def test_a_partition_of_a_newer_format_is_refused(url: str, raw: redis.Redis) -> None:
    home = Names(url.rpartition("=")[2]).of(("n",), "k")
    with RedisStore(url) as store:
        store.execute([Put(("n",), "k", doc={"n": 1})])
        header: Any = raw.hget(home.records, "h")
        assert header.endswith(b" 1")
        raw.hset(home.records, "h", header[:-1] + b"2")
        before = _stored(url, raw)
        for batch in (BATCHES[0], BATCHES[1], BATCHES[6], BATCHES[9]):
            with pytest.raises(SchemaTooNew, match="has format 2"):
                store.execute(batch)
        assert _stored(url, raw) == before


def test_a_store_that_only_reads_leaves_nothing(url: str, raw: redis.Redis) -> None:
    with SessionManager(url) as sessions:
        assert sessions.list_sessions() == []
        assert sessions.get_session("s") is None
        assert sessions.search_sessions("word") == []
        assert sessions.check().problems == ()
    with RedisStore(url) as store:
        for batch in READS:
            assert store.execute(batch) in ([None], [[]], [0])
            assert asyncio.run(_natively(RedisStore(url), batch)) in ([None], [[]], [0])
        assert (store.damage(), store.mend()) == ([], [])
        assert _stored(url, raw) == {}
        with RedisStore(url) as writer:
            writer.execute([Put(SESSIONS, "s", doc={})])
        assert store.execute([Count(SESSIONS)]) == [1]


def test_a_prefix_without_keys_is_not_there(url: str, raw: redis.Redis) -> None:
    with open_url(url, create=False) as store:
        refused = pytest.raises(StoreUnavailable, match="nothing of Threadloom under the prefix")
        for call in CALLS:
            with refused:
                call(store)
        with refused:
            asyncio.run(_natively(RedisStore(url, create=False), BATCHES[2]))
        assert _stored(url, raw) == {}
        with RedisStore(url) as writer:
            writer.execute([Put(SESSIONS, "s", doc={})])
        assert store.execute([Count(SESSIONS)]) == [1]
        raw.delete(_format(url))
    with open_store(url, create=False) as store:
        assert store.execute([Count(SESSIONS)]) == [1], "only the index was lost"
