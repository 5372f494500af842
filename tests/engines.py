"""The engines that tests run on, by kind. A new engine is named here once.

`KINDS` are those that keep every promise; suites take them as parameters. `WRAPPED` are stores
around those, for suites that have the time.
"""

from __future__ import annotations

from pathlib import Path

from threadloom import EncryptedStore, Keyring, TracedStore, open_store
from threadloom.clock import Clock
from threadloom.store import Store

KINDS = ("memory", "sqlite")
WRAPPED = ("encrypted-memory", "encrypted-sqlite", "traced-memory")

KEYS = Keyring({"old": b"\x01" * 32, "new": b"\x02" * 32}, current="new")


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
    return store
