"""The savers that are compared. One more is one more entry of `SAVERS` and a way to open it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path

from benchmarks.on_servers import ON_SERVERS, STORES
from benchmarks.opening import threadloom, threadloom_async
from benchmarks.saver import Parts, Saver, held_bytes, no_bytes


@contextmanager
def _floor(folder: Path) -> Iterator[Parts]:
    from benchmarks.floor import ReferenceSaver

    yield Parts(ReferenceSaver())


@asynccontextmanager
async def _floor_async(folder: Path) -> AsyncIterator[Parts]:
    from benchmarks.floor import ReferenceSaver

    yield Parts(ReferenceSaver())


@contextmanager
def _in_memory_saver(folder: Path) -> Iterator[Parts]:
    from langgraph.checkpoint.memory import InMemorySaver

    yield Parts(InMemorySaver())


@contextmanager
def _sqlite_saver(folder: Path) -> Iterator[Parts]:
    from langgraph.checkpoint.sqlite import SqliteSaver

    with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        yield Parts(saver)


@asynccontextmanager
async def _async_sqlite_saver(folder: Path) -> AsyncIterator[Parts]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        yield Parts(saver)


@contextmanager
def _over_sqlite_store(folder: Path) -> Iterator[Parts]:
    from langgraph.store.sqlite import SqliteStore

    from threadloom import SessionManager

    with SqliteStore.from_conn_string(str(folder / "store.db")) as store:
        sessions = SessionManager(store)
        yield Parts(sessions.checkpointer(), sessions.delete_session)


@asynccontextmanager
async def _over_async_sqlite_store(folder: Path) -> AsyncIterator[Parts]:
    from langgraph.store.sqlite import AsyncSqliteStore

    from threadloom import SessionManager

    async with AsyncSqliteStore.from_conn_string(str(folder / "store.db")) as store:
        sessions = SessionManager(store)
        yield Parts(sessions.checkpointer(), sessions.adelete_session)


def _unsafe(url: Callable[[Path], str]) -> Callable[[Path], AbstractContextManager[Parts]]:
    @contextmanager
    def opened(folder: Path) -> Iterator[Parts]:
        from benchmarks.unsafe import without_copies

        with without_copies(), threadloom(url)(folder) as parts:
            yield parts

    return opened


def _memory_url(folder: Path) -> str:
    return "memory://"


def _sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'sessions.db'}"


def _file_url(folder: Path) -> str:
    return f"file:///{folder / 'sessions'}"


_SQLITE_PEER = ("langgraph.checkpoint.sqlite",)
_SQLITE_HOST = ("langgraph.store.sqlite",)

EMBEDDED = {
    saver.name: saver
    for saver in (
        Saver("floor", "floor", _floor, no_bytes),
        Saver("floor-async", "floor, async", _floor_async, no_bytes, twin="floor"),
        Saver("in-memory-saver", "InMemorySaver", _in_memory_saver, held_bytes),
        Saver("sqlite-saver", "SqliteSaver", _sqlite_saver, durable=True, needs=_SQLITE_PEER),
        Saver(
            "async-sqlite-saver",
            "AsyncSqliteSaver",
            _async_sqlite_saver,
            twin="sqlite-saver",
            durable=True,
            needs=_SQLITE_PEER,
        ),
        Saver("threadloom-memory", "Threadloom memory", threadloom(_memory_url), no_bytes),
        Saver(
            "threadloom-memory-async",
            "Threadloom memory, async",
            threadloom_async(_memory_url),
            no_bytes,
            twin="threadloom-memory",
        ),
        Saver(
            "threadloom-sqlite",
            "Threadloom SQLite",
            threadloom(_sqlite_url),
            durable=True,
            url=_sqlite_url,
        ),
        Saver(
            "threadloom-sqlite-async",
            "Threadloom SQLite, async",
            threadloom_async(_sqlite_url),
            twin="threadloom-sqlite",
            durable=True,
        ),
        Saver("threadloom-file", "Threadloom files", threadloom(_file_url), durable=True),
        Saver(
            "threadloom-file-async",
            "Threadloom files, async",
            threadloom_async(_file_url),
            twin="threadloom-file",
            durable=True,
        ),
        Saver(
            "threadloom-sqlite-store",
            "Threadloom on SqliteStore",
            _over_sqlite_store,
            durable=True,
            needs=_SQLITE_HOST,
        ),
        Saver(
            "threadloom-async-sqlite-store",
            "Threadloom on AsyncSqliteStore",
            _over_async_sqlite_store,
            twin="threadloom-sqlite-store",
            durable=True,
            needs=_SQLITE_HOST,
        ),
        Saver(
            "unsafe-memory",
            "(unsafe, memory)",
            _unsafe(_memory_url),
            no_bytes,
            is_experiment=True,
        ),
        Saver("unsafe-sqlite", "(unsafe, SQLite)", _unsafe(_sqlite_url), is_experiment=True),
    )
}

SAVERS = EMBEDDED | STORES | ON_SERVERS
SYNCHRONOUS = tuple(
    name for name, saver in EMBEDDED.items() if not saver.asynchronous and not saver.is_experiment
)
DURABLE = tuple(name for name, saver in EMBEDDED.items() if saver.durable)
