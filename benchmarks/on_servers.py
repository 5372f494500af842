"""Savers on PostgreSQL and Redis. Each measuring process starts servers of its own, on loopback.

Both sides have the same server, which has each write on disk before it answers (Redis: its log of
appends), and pools of ten connections.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from benchmarks.counting import Counter
from benchmarks.opening import threadloom, threadloom_async
from benchmarks.saver import Parts, Saver

POOL = 10
_ROOT = Path(__file__).resolve().parent.parent
_counters: list[Counter] = []


@contextmanager
def counted(server: str) -> Iterator[Counter]:
    """Have all that is opened inside reach the server through a counter of round trips."""
    url = _postgres() if server == "PostgreSQL" else _redis()
    port = urlsplit(url).port
    assert port is not None
    with Counter(port) as counter:
        _counters.append(counter)
        try:
            yield counter
        finally:
            _counters.pop()


def _here(url: str) -> str:
    """A server's URL, or that of the counter in front of it."""
    if not _counters:
        return url
    parts = urlsplit(url)
    place = (parts.netloc.rpartition(":")[0], str(_counters[-1].port))
    return urlunsplit(parts._replace(netloc=":".join(place)))


@cache
def _postgres() -> str:
    sys.path.append(str(_ROOT / "tests"))
    from servers.postgres import Postgres

    # As it comes, but for the place: what the tests make quick would favour who stores little.
    defaults = {"shared_buffers": "128MB", "max_wal_size": "1GB", "autovacuum_naptime": "1min"}
    return str(Postgres(durable=True, **defaults).url())


@cache
def _redis() -> str:
    sys.path.append(str(_ROOT / "tests"))
    from servers.redis import RedisServer

    return RedisServer(append_only=True).url


def _name(folder: Path) -> str:
    return f"bench_{sha256(str(folder).encode()).hexdigest()[:16]}"


def postgres_url(folder: Path) -> str:
    """Where Threadloom keeps what belongs to a folder, on PostgreSQL."""
    return f"{_here(_postgres())}?schema={_name(folder)}&max_size={POOL}"


def redis_url(folder: Path) -> str:
    """Where Threadloom keeps what belongs to a folder, on Redis."""
    return f"{_here(_redis())}?prefix={_name(folder)}&max_connections={POOL}"


def _langgraph_url(folder: Path) -> str:
    """The same for LangGraph's own: their tables are where the search path leads to."""
    import psycopg

    with psycopg.connect(_postgres(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_name(folder)}".encode())
    return f"{_here(_postgres())}?options={quote(f'-csearch_path={_name(folder)}')}"


def postgres_bytes(saver: Any, folder: Path) -> int:
    """The size of all tables and indexes that belong to a folder."""
    import psycopg

    with psycopg.connect(_postgres()) as connection:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relkind = 'r'",
            [_name(folder)],
        ).fetchone()
    return int(row[0] or 0) if row else 0


def redis_bytes(saver: Any, folder: Path) -> int:
    """The memory that the server's data takes up, a few turns of warming up included."""
    import redis

    with redis.Redis.from_url(_redis()) as client:
        found: Any = client.info("memory")
    return int(found["used_memory_dataset"])


_KWARGS = {"autocommit": True, "prepare_threshold": 0}


@contextmanager
def _postgres_saver(folder: Path) -> Iterator[Parts]:
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool

    kwargs = {**_KWARGS, "row_factory": dict_row}
    with ConnectionPool(_langgraph_url(folder), max_size=POOL, kwargs=kwargs) as pool:
        saver = PostgresSaver(pool)  # type: ignore[arg-type]  (as its documentation has it)
        saver.setup()
        yield Parts(saver)


@asynccontextmanager
async def _async_postgres_saver(folder: Path) -> AsyncIterator[Parts]:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    kwargs = {**_KWARGS, "row_factory": dict_row}
    pool = AsyncConnectionPool(_langgraph_url(folder), max_size=POOL, kwargs=kwargs, open=False)
    async with pool:
        saver = AsyncPostgresSaver(pool)  # type: ignore[arg-type]  (as its documentation has it)
        await saver.setup()
        yield Parts(saver)


@contextmanager
def _over_postgres_store(folder: Path) -> Iterator[Parts]:
    from langgraph.store.postgres import PostgresStore

    from threadloom import SessionManager

    with PostgresStore.from_conn_string(_langgraph_url(folder)) as store:
        store.setup()
        sessions = SessionManager(store)
        yield Parts(sessions.checkpointer(), sessions.delete_session)


@contextmanager
def _postgres_store(folder: Path) -> Iterator[Parts]:
    from langgraph.store.postgres import PostgresStore

    pool: Any = {"min_size": 1, "max_size": POOL}
    with PostgresStore.from_conn_string(_langgraph_url(folder), pool_config=pool) as store:
        store.setup()
        yield Parts(store)


_PEER = ("langgraph.checkpoint.postgres", "psycopg_pool")

ON_SERVERS = {
    saver.name: saver
    for saver in (
        Saver(
            "postgres-saver",
            "PostgresSaver",
            _postgres_saver,
            postgres_bytes,
            needs=_PEER,
            server="PostgreSQL",
        ),
        Saver(
            "async-postgres-saver",
            "AsyncPostgresSaver",
            _async_postgres_saver,
            postgres_bytes,
            twin="postgres-saver",
            needs=_PEER,
            server="PostgreSQL",
        ),
        Saver(
            "threadloom-postgres-store",
            "Threadloom on PostgresStore",
            _over_postgres_store,
            postgres_bytes,
            needs=("langgraph.store.postgres",),
            server="PostgreSQL",
        ),
        Saver(
            "threadloom-postgres",
            "Threadloom PostgreSQL",
            threadloom(postgres_url),
            postgres_bytes,
            needs=("threadloom_postgres",),
            server="PostgreSQL",
            url=postgres_url,
        ),
        Saver(
            "threadloom-postgres-async",
            "Threadloom PostgreSQL, async",
            threadloom_async(postgres_url),
            postgres_bytes,
            twin="threadloom-postgres",
            needs=("threadloom_postgres",),
            server="PostgreSQL",
        ),
        Saver(
            "threadloom-redis",
            "Threadloom Redis",
            threadloom(redis_url),
            redis_bytes,
            needs=("threadloom_redis",),
            server="Redis",
            url=redis_url,
        ),
        Saver(
            "threadloom-redis-async",
            "Threadloom Redis, async",
            threadloom_async(redis_url),
            redis_bytes,
            twin="threadloom-redis",
            needs=("threadloom_redis",),
            server="Redis",
        ),
    )
}

STORES = {
    saver.name: saver
    for saver in (
        Saver(
            "postgres-store",
            "LangGraph's PostgresStore",
            _postgres_store,
            postgres_bytes,
            needs=("langgraph.store.postgres",),
            server="PostgreSQL",
        ),
    )
}
"""Stores of LangGraph's, which save no checkpoints: only `listing` has them."""
