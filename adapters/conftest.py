"""What the tests of every adapter get: stores by their URLs, one of each engine, and managers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from threadloom import SessionManager


def _url(kind: str, folder: Path) -> str:
    places = {"sqlite": "sessions.db", "file": "sessions"}
    return f"{kind}:///{folder / places[kind]}" if kind in places else f"{kind}://"


@pytest.fixture(params=["memory", "sqlite", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty store of each engine."""
    return _url(request.param, tmp_path)


@pytest.fixture(params=["sqlite", "file"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty store that several processes may use at once."""
    return _url(request.param, tmp_path)


@pytest.fixture
def sessions(url: str) -> Iterator[SessionManager]:
    """A manager on each engine."""
    with SessionManager(url) as manager:
        yield manager
