"""The engines that tests run on, by kind. A new engine is named here once.

`KINDS` are those that keep every promise; suites take them as parameters. `SHARED` are those of
them that several processes may use at once.
"""

from __future__ import annotations

from pathlib import Path

from threadloom import open_store
from threadloom.clock import Clock
from threadloom.store import Store

KINDS = ("memory", "sqlite", "file")
SHARED = ("sqlite", "file")


def url_of(kind: str, folder: Path, name: str = "sessions") -> str:
    """The URL of a store in a folder; in memory it is a new one each time."""
    if kind == "memory":
        return "memory://"
    if kind == "file":
        return f"file:///{folder}/{name}"
    return f"sqlite:///{folder}/{name}.db"


def open_kind(
    kind: str, folder: Path, name: str = "sessions", *, clock: Clock | None = None
) -> Store:
    """Open a store of a kind in a folder."""
    return open_store(url_of(kind, folder, name), clock=clock)
