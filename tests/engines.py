"""The engines that tests run on, by kind. A new engine is named here once.

`KINDS` are those that keep every promise; suites take them as parameters. `SHARED` are those of
them that several processes may use at once. `WRAPPED` are stores around those, and `GUESTS`
stores of LangGraph's and of a third party with ours on top: suites that are long choose.

``THREADLOOM_TEST_ENGINES=postgres,redis`` puts other engines in the place of `KINDS`: then every
suite runs its tests of kinds on these, and nothing else (`tests/conftest.py` leaves the rest out).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import servers
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

OTHERS = tuple(filter(None, os.environ.get("THREADLOOM_TEST_ENGINES", "").split(",")))
"""Engines on servers that are to be tested instead of those that need none."""
KINDS = OTHERS or ("memory", "sqlite", "file")
SHARED = OTHERS or ("sqlite", "file")
GUESTS = ("langgraph-memory", "langgraph-sqlite", "langgraph-aio", "langgraph-plain")
WRAPPED = ("encrypted-memory", "encrypted-sqlite", "traced-memory", "reading-memory")

SERVERS = {
    "postgres": lambda place: f"{servers.postgres()}?schema={place}&partitions=1",
    "redis": lambda place: f"{servers.redis()}?prefix={place}",
    "redis-cluster": lambda place: f"{servers.redis_cluster().url}?prefix={place}",
}
"""Engines on servers, each with the URL of a place of its own there."""

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
    if kind in SERVERS:
        place = blake2b(f"{folder}/{name}".encode(), digest_size=8).hexdigest()
        return SERVERS[kind](f"t{place}")
    return f"sqlite:///{folder}/{name}.db"


def open_kind(
    kind: str, folder: Path, name: str = "sessions", *, clock: Clock | None = None, **options: Any
) -> Store:
    """Open a store of a kind in a folder, with options of `open_store`."""
    if kind in GUESTS:
        return open_guest(kind, folder, name, clock=clock)
    wrapper, inner = _parts(kind)
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
        wrapper, inner = _parts(kind)
        keys = KEYS if wrapper == "encrypted" else None
        with SessionManager(url_of(inner, folder, name), encryption=keys) as manager:
            yield manager


def _parts(kind: str) -> tuple[str, str]:
    """The wrapper, if there is one, and the engine inside."""
    if kind in SERVERS:
        return "", kind
    wrapper, _, inner = kind.rpartition("-")
    return wrapper, inner
