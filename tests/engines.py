"""The stores that tests run on, by kind.

`KINDS` are engines that keep every promise (`kinds`); suites take them as parameters. `WRAPPED` are
stores around those, and `GUESTS` stores of LangGraph's and of a third party with ours on top:
suites that are long choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guests import open_guest
from kinds import KINDS, SHARED, url_of
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

GUESTS = ("langgraph-memory", "langgraph-sqlite", "langgraph-aio", "langgraph-plain")
WRAPPED = ("encrypted-memory", "encrypted-sqlite", "traced-memory", "reading-memory")

__all__ = [
    "GUESTS",
    "KEYS",
    "KINDS",
    "SHARED",
    "WRAPPED",
    "ReadsReadOnly",
    "manager_of",
    "open_kind",
    "url_of",
]

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
