"""The engines that tests run on, by kind. A new engine is named here once.

`KINDS` are those that keep every promise; suites take them as parameters. `GUESTS` are stores
of LangGraph's and of a third party with ours on top: suites that are long choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guests import open_guest
from threadloom import SessionManager, open_store
from threadloom.clock import Clock
from threadloom.store import Store

KINDS = ("memory", "sqlite")
GUESTS = ("langgraph-memory", "langgraph-sqlite", "langgraph-aio", "langgraph-plain")


def url_of(kind: str, folder: Path, name: str = "sessions") -> str:
    """The URL of a store in a folder; in memory it is a new one each time."""
    if kind == "memory":
        return "memory://"
    return f"sqlite:///{folder}/{name}.db"


def open_kind(
    kind: str, folder: Path, name: str = "sessions", *, clock: Clock | None = None
) -> Store:
    """Open a store of a kind in a folder."""
    if kind in GUESTS:
        return open_guest(kind, folder, name, clock=clock)
    return open_store(url_of(kind, folder, name), clock=clock)


@contextmanager
def manager_of(kind: str, folder: Path, name: str = "sessions") -> Iterator[SessionManager]:
    """A manager of a store of a kind, opened as an application does and closed afterwards."""
    if kind in GUESTS:
        with open_guest(kind, folder, name) as guest:
            yield SessionManager(guest)
    else:
        with SessionManager(url_of(kind, folder, name)) as manager:
            yield manager
