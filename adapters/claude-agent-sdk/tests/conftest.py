"""Engines, and stores on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from threadloom import SessionManager
from threadloom_claude_agent_sdk import ThreadloomSessionStore


@pytest.fixture(params=["memory", "sqlite", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new store on each engine."""
    return {
        "memory": "memory://",
        "sqlite": f"sqlite:///{tmp_path}/sessions.db",
        "file": f"file:///{tmp_path}/sessions",
    }[request.param]


@pytest.fixture
async def store(url: str) -> AsyncIterator[ThreadloomSessionStore]:
    async with ThreadloomSessionStore(url, agent_name="helper", owner="ana") as made:
        yield made


@pytest.fixture
def sessions(store: ThreadloomSessionStore) -> SessionManager:
    return store.sessions
