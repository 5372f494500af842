"""The engines that tests run on, by kind. A new engine is named here once.

`KINDS` are those that keep every promise; suites take them as parameters. `WRAPPED` are stores
around those, for suites that have the time.
"""

from __future__ import annotations

from pathlib import Path

from threadloom import EncryptedStore, Keyring, ReadOnlyStore, TracedStore, open_store
from threadloom.clock import Clock
from threadloom.ops import WRITES
from threadloom.plans import Batch, Results
from threadloom.store import Store
from threadloom.wrappers.base import Wrapper

KINDS = ("memory", "sqlite")
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
    return f"sqlite:///{folder}/{name}.db"


def open_kind(
    kind: str, folder: Path, name: str = "sessions", *, clock: Clock | None = None
) -> Store:
    """Open a store of a kind in a folder."""
    wrapper, _, inner = kind.rpartition("-")
    store = open_store(url_of(inner, folder, name), clock=clock)
    if wrapper == "encrypted":
        return EncryptedStore(store, KEYS)
    if wrapper == "traced":
        return TracedStore(store, lambda name, seconds, bytes, error: None)
    if wrapper == "reading":
        return ReadsReadOnly(store)
    return store
