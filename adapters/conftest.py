"""What the tests of every adapter get: stores by their URLs, one of each engine, and managers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kinds import KINDS, SHARED, url_of
from threadloom import SessionManager


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty store of each engine."""
    return url_of(request.param, tmp_path)


@pytest.fixture(params=SHARED)
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty store that several processes may use at once."""
    return url_of(request.param, tmp_path)


@pytest.fixture
def sessions(url: str) -> Iterator[SessionManager]:
    """A manager on each engine."""
    with SessionManager(url) as manager:
        yield manager
