"""Engines, stores on them, and how often tests of faults repeat themselves."""

from __future__ import annotations

import os
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


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a test marked ``@pytest.mark.soak(full=…)`` is to repeat itself."""
    full: int = request.node.get_closest_marker("soak").kwargs["full"]
    return full if os.environ.get("THREADLOOM_SOAK") == "1" else max(1, full // 10)
