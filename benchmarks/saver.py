"""What a saver that takes part is, and how its bytes are counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing
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
        server: what it needs a server of; only scenarios that name it have it.
        url: the URL of a store of Threadloom's in a folder; None for savers of others.
    """

    name: str
    label: str
    open: Callable[[Path], AbstractContextManager[Parts] | AbstractAsyncContextManager[Parts]]
    stored: Callable[[Any, Path], int | None] = folder_bytes
    durable: bool = False
    twin: str = ""
    needs: tuple[str, ...] = ()
    is_experiment: bool = False
    server: str = ""
    url: Callable[[Path], str] | None = None

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
