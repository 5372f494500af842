"""The engines that tests run on, by kind. A new engine is named here once.

`KINDS` are those that keep every promise; suites take them as parameters. `SHARED` are those of
them that several processes may use at once. `WRAPPED` are stores around those, and `GUESTS`
stores of LangGraph's and of a third party with ours on top: suites that are long choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guests import open_guest
from threadloom import (
    EncryptedStore,
    Keyring,
    ReadOnlyStore,
    SessionManager,
    TracedStore,
    open_store,
)
from threadloom.clock import Clock
from threadloom.ops import WRITES
from threadloom.plans import Batch, Results
from threadloom.store import Store
from threadloom.wrappers.base import Wrapper

KINDS = ("memory", "sqlite", "file")
SHARED = ("sqlite", "file")
GUESTS = ("langgraph-memory", "langgraph-sqlite", "langgraph-aio", "langgraph-plain")
WRAPPED = ("encrypted-memory", "encrypted-sqlite", "traced-memory", "reading-memory")

KEYS = Keyring({"old": b"\x01" * 32, "new": b"\x02" * 32}, current="new")


class ReadsReadOnly(Wrapper):
    """Sends what only reads through a `ReadOnlyStore`, so suites can write what they read."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._reads = ReadOnlyStore(inner)

    def execute(self, ops: Batch, /) -> Results:
        return self._for(ops).execute(ops)

    async def aexecute(self, ops: Batch, /) -> Results:
        return await self._for(ops).aexecute(ops)

    def _for(self, ops: Batch) -> Store:
        return self.inner if any(isinstance(op, WRITES) for op in ops) else self._reads


def url_of(kind: str, folder: Path, name: str = "sessions") -> str:
    """The URL of a store in a folder; in memory it is a new one each time."""
    if kind == "memory":
        return "memory://"
    if kind == "file":
        return f"file:///{folder}/{name}"
    return f"sqlite:///{folder}/{name}.db"


def open_kind(
    kind: str, folder: Path, name: str = "sessions", *, clock: Clock | None = None, **options: Any
) -> Store:
    """Open a store of a kind in a folder, with options of `open_store`."""
    if kind in GUESTS:
        return open_guest(kind, folder, name, clock=clock)
    wrapper, _, inner = kind.rpartition("-")
    store = open_store(url_of(inner, folder, name), clock=clock, **options)
    if wrapper == "encrypted":
        return EncryptedStore(store, KEYS)
    if wrapper == "traced":
        return TracedStore(store, lambda name, seconds, bytes, error: None)
    if wrapper == "reading":
        return ReadsReadOnly(store)
    return store


@contextmanager
def manager_of(kind: str, folder: Path, name: str = "sessions") -> Iterator[SessionManager]:
    """A manager of a store of a kind, opened as an application does and closed afterwards."""
    if kind in GUESTS:
        with open_guest(kind, folder, name) as guest:
            yield SessionManager(guest)
    else:
        wrapper, _, inner = kind.rpartition("-")
        keys = KEYS if wrapper == "encrypted" else None
        with SessionManager(url_of(inner, folder, name), encryption=keys) as manager:
            yield manager
