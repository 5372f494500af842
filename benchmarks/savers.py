"""The savers that are compared. One more is one more entry of `SAVERS` and a way to open it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Parts:
    """What opening a saver gives: the saver, and how a whole session is deleted if it can."""

    saver: Any
    delete_session: Callable[[str], Any] | None = None


def folder_bytes(saver: Any, folder: Path) -> int:
    """The size of all files in a folder; of a database that is open, as it would be closed."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    logs = {path for path in files if path.name.endswith(("-wal", "-shm"))}
    return sum(
        _database_bytes(path) if path.with_name(f"{path.name}-wal") in logs else path.stat().st_size
        for path in files
        if path not in logs
    )


def _database_bytes(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(size)


def no_bytes(saver: Any, folder: Path) -> None:
    """For savers that store nothing, or nothing that can be counted from outside."""
    return None


def held_bytes(saver: Any, folder: Path) -> int:
    """The encoded bytes that an `InMemorySaver` holds."""
    total = sum(len(value) for _, value in saver.blobs.values())
    for namespaces in saver.storage.values():
        for checkpoints in namespaces.values():
            for checkpoint, metadata, _ in checkpoints.values():
                total += len(checkpoint[1]) + len(metadata[1])
    for writes in saver.writes.values():
        total += sum(len(write[2][1]) for write in writes.values())
    return total


@dataclass(frozen=True, slots=True)
class Saver:
    """A saver that takes part.

    Attributes:
        name: what `--only` calls it.
        label: what tables call it.
        open: opens it on an empty folder, or on one that it has filled. An asynchronous saver
            has an asynchronous context manager, and is driven through `ainvoke`.
        stored: counts the stored bytes, from the saver and its folder, open or closed.
        durable: whether another process finds what it stored in a copy of the folder.
        twin: the name of the synchronous saver that an asynchronous one is drawn like.
        needs: the packages without which it is left out.
        is_experiment: whether nobody should use it, and only `growth` has it.
    """

    name: str
    label: str
    open: Callable[[Path], AbstractContextManager[Parts] | AbstractAsyncContextManager[Parts]]
    stored: Callable[[Any, Path], int | None] = folder_bytes
    durable: bool = False
    twin: str = ""
    needs: tuple[str, ...] = ()
    is_experiment: bool = False

    @property
    def asynchronous(self) -> bool:
        """Whether it is driven through `ainvoke`."""
        return bool(self.twin)

    @property
    def floor(self) -> str:
        """The name of the floor that is driven in the same way."""
        return "floor-async" if self.asynchronous else "floor"

    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        return [name for name in self.needs if not _installed(name)]


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


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


def _threadloom(url: Callable[[Path], str]) -> Callable[[Path], AbstractContextManager[Parts]]:
    @contextmanager
    def opened(folder: Path) -> Iterator[Parts]:
        from threadloom import SessionManager

        with SessionManager(url(folder)) as sessions:
            yield Parts(sessions.checkpointer(), sessions.delete_session)

    return opened


def _threadloom_async(
    url: Callable[[Path], str],
) -> Callable[[Path], AbstractAsyncContextManager[Parts]]:
    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[Parts]:
        from threadloom import SessionManager

        async with SessionManager(url(folder)) as sessions:
            yield Parts(sessions.checkpointer(), sessions.adelete_session)

    return opened


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

        with without_copies(), _threadloom(url)(folder) as parts:
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

SAVERS = {
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
        Saver("threadloom-memory", "Threadloom memory", _threadloom(_memory_url), no_bytes),
        Saver(
            "threadloom-memory-async",
            "Threadloom memory, async",
            _threadloom_async(_memory_url),
            no_bytes,
            twin="threadloom-memory",
        ),
        Saver("threadloom-sqlite", "Threadloom SQLite", _threadloom(_sqlite_url), durable=True),
        Saver(
            "threadloom-sqlite-async",
            "Threadloom SQLite, async",
            _threadloom_async(_sqlite_url),
            twin="threadloom-sqlite",
            durable=True,
        ),
        Saver("threadloom-file", "Threadloom files", _threadloom(_file_url), durable=True),
        Saver(
            "threadloom-file-async",
            "Threadloom files, async",
            _threadloom_async(_file_url),
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

SYNCHRONOUS = tuple(
    name for name, saver in SAVERS.items() if not saver.asynchronous and not saver.is_experiment
)
DURABLE = tuple(name for name, saver in SAVERS.items() if saver.durable)
