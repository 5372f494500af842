"""`PostgresStore` keeps the contract: by its URL, and in part in each other way to reach a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import postgres
from threadloom.store import Store
from threadloom.testing import FrozenClock, StoreContract
from threadloom_postgres import PostgresStore


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock, tmp_path: Path) -> Iterator[Store]:
        self.url = postgres.place(str(tmp_path))
        with PostgresStore(self.url, clock=clock) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        return PostgresStore(self.url, clock=store.clock)
