"""Every test gets a store by URL and calls it by one of two doors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import KINDS, SHARED, url_of
from threadloom import SessionManager, open_store
from threadloom.store import Store

from .helpers import Door


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty store."""
    return url_of(request.param, tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where `file_url` keeps its data."""
    return tmp_path / "sessions.db"


@pytest.fixture
def file_url(file: Path) -> str:
    """An SQLite store, for tests that look into its file."""
    return f"sqlite:///{file}"


@pytest.fixture(params=SHARED)
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that several processes share, of each kind that can be."""
    return url_of(request.param, tmp_path)


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Door:
    """`do(thing, "name", …)` calls `thing.name(…)` or, in a loop of its own, `thing.aname(…)`."""
    return Door(request.param)


@pytest.fixture
def sessions(url: str) -> Iterator[SessionManager]:
    with SessionManager(url) as manager:
        yield manager


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened
