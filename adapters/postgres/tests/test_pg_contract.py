"""`PostgresStore` keeps the contract: by its URL, and in part in each other way to a server."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import settings
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from servers import pgbouncer, postgres
from threadloom.plans import Batch, Results
from threadloom.store import Store
from threadloom.stores.waiting import settled
from threadloom.testing import FrozenClock, StoreContract, store_state_machine
from threadloom.wrappers.base import Wrapper
from threadloom_postgres import PostgresStore

SOAK = os.environ.get("THREADLOOM_SOAK") == "1"


_SCHEMA = "contract"


def _emptied() -> str:
    """A schema that all of these tests share, without a record: to make one takes longer."""
    with psycopg.connect(postgres.database_url(), autocommit=True) as connection:
        found = connection.execute("SELECT to_regclass('contract.records')").fetchone()
        if found != (None,):
            for table in ("records", "listed", "spaces"):
                connection.execute(f"DELETE FROM {_SCHEMA}.{table}".encode())
    return _SCHEMA


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock) -> Iterator[Store]:
        self.url = f"{postgres.database_url()}?schema={_emptied()}"
        with PostgresStore(self.url, clock=clock) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        return PostgresStore(self.url, clock=store.clock)


class TestOverAPool(StoreContract):
    """Somebody's pool, set up as LangGraph's page says, and worse: transactions by themselves."""

    @pytest.fixture
    def store(self, clock: FrozenClock) -> Iterator[Store]:
        schema = _emptied()
        with ConnectionPool(
            postgres.database_url(),
            kwargs={"row_factory": dict_row, "options": "-c client_encoding=LATIN1"},
            min_size=1,
            max_size=10,
        ) as pool:
            self.pool, self.schema = pool, schema
            with PostgresStore(pool, schema=schema, clock=clock) as store:
                yield store
            with pool.connection() as connection:  # as it was
                assert connection.info.encoding == "iso8859-1"
                assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}

    def reopen(self, store: Store) -> Store:
        return PostgresStore(self.pool, schema=self.schema, clock=store.clock)


class TestThroughPgBouncer(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock) -> Iterator[Store]:
        self.url = pgbouncer.pooler().url(_emptied())
        with PostgresStore(self.url, clock=clock) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        return PostgresStore(self.url, clock=store.clock)


class TestWhereTransactionsAreStricter(StoreContract):
    """The database's default isolation is another one than the store needs."""

    @pytest.fixture
    def store(self, clock: FrozenClock) -> Iterator[Store]:
        url = f"{postgres.database_url()}?schema={_emptied()}"
        self.url = f"{url}&options=-c%20default_transaction_isolation%3Dserializable"
        with PostgresStore(self.url, clock=clock) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        return PostgresStore(self.url, clock=store.clock)


class InsideAsyncWith(Wrapper):
    """A store whose event loop has a pool of its own, for as long as the store is open."""

    def __init__(self, inner: PostgresStore) -> None:
        super().__init__(inner)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(inner.aopen(), self._loop).result()

    def execute(self, ops: Batch, /) -> Results:
        return asyncio.run_coroutine_threadsafe(self.inner.aexecute(ops), self._loop).result()

    async def aexecute(self, ops: Batch, /) -> Results:
        future = asyncio.run_coroutine_threadsafe(self.inner.aexecute(ops), self._loop)
        return await settled(asyncio.wrap_future(future))

    def close(self) -> None:
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self.inner.aclose(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class TestInsideAsyncWith(StoreContract):
    @pytest.fixture
    def store(self, clock: FrozenClock) -> Iterator[Store]:
        self.url = f"{postgres.database_url()}?schema={_emptied()}"
        with InsideAsyncWith(PostgresStore(self.url, clock=clock)) as store:
            yield store

    def reopen(self, store: Store) -> Store:
        return PostgresStore(self.url, clock=store.clock)


def _at_random(clock: FrozenClock) -> Store:
    return PostgresStore(postgres.database_url(), schema=_emptied(), clock=clock)


TestAtRandom = store_state_machine(_at_random).TestCase
TestAtRandom.settings = settings(max_examples=200 if SOAK else 10, stateful_step_count=40)
