"""Redis keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from servers import redis as servers
from threadloom.store import Store
from threadloom.testing import FrozenClock, StoreContract
from threadloom_redis import RedisStore


class TestRedisStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        with RedisStore(servers.place(tmp_path), clock=clock) as store:
            store.url = servers.place(tmp_path)
            yield store

    def reopen(self, store: Store) -> Store:
        return RedisStore(cast(RedisStore, store).url, clock=store.clock)
