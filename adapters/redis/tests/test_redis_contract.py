"""Redis keeps the contract: one server, a Cluster, a client of the user's, inside `async with`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from hypothesis import settings

from servers import redis as servers
from servers.cluster import cluster
from threadloom.store import Store
from threadloom.testing import Driver, FrozenClock, StoreContract, store_state_machine
from threadloom_redis import RedisStore

SOAK = os.environ.get("THREADLOOM_SOAK") == "1"


class OnRedis(StoreContract):
    """Every store has a prefix of its own in one server."""

    def make(self, folder: Path, clock: FrozenClock) -> RedisStore:
        return RedisStore(servers.place(folder), clock=clock)

    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        self._folder, self._opened = tmp_path, []
        with self.make(tmp_path, clock) as store:
            yield store
        for other in self._opened:
            other.close()

    def reopen(self, store: Store) -> Store:
        assert isinstance(store.clock, FrozenClock)
        self._opened.append(self.make(self._folder, store.clock))
        return self._opened[-1]


class TestRedisStore(OnRedis):
    pass


@pytest.mark.grid(every=8)
class TestOnACluster(OnRedis):
    def make(self, folder: Path, clock: FrozenClock) -> RedisStore:
        return RedisStore(servers.place(folder, url=cluster().url), clock=clock)


@pytest.mark.grid(every=10)
class TestWithAClientOfTheUsers(OnRedis):
    """One that decodes replies as text and speaks the newer protocol."""

    def make(self, folder: Path, clock: FrozenClock) -> RedisStore:
        parts = urlsplit(servers.place(folder))
        [prefix] = parse_qs(parts.query)["prefix"]
        self.client = redis.Redis(
            host=parts.hostname or "", port=parts.port or 0, decode_responses=True, protocol=3
        )
        return RedisStore(self.client, prefix=prefix, clock=clock)

    @pytest.fixture(autouse=True)
    def closed(self, store: Store) -> Iterator[None]:
        yield
        self.client.close()


@pytest.mark.grid(every=3)
class TestInsideAsyncWith(OnRedis):
    """On the loop of the block everything goes over native connections."""

    @pytest.fixture
    def db(self, store: Store, clock: FrozenClock) -> Iterator[Driver]:
        with Driver(store, "async", clock) as driver:
            driver.run(store.aopen())
            yield driver
            driver.run(store.aclose())


_numbers = count()
TestAtRandom = store_state_machine(
    lambda clock: RedisStore(servers.place("random", str(next(_numbers))), clock=clock)
).TestCase
TestAtRandom.settings = settings(max_examples=200 if SOAK else 20, stateful_step_count=40)
