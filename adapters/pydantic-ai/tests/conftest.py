"""What the tests of this adapter share: a store of each engine, and counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_ai import models

from threadloom import SessionManager
from threadloom_pydantic_ai import ThreadloomConversationStore

models.ALLOW_MODEL_REQUESTS = False  # no test reaches a real model by mistake


@pytest.fixture(params=["memory", "sqlite", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    kinds = {
        "memory": "memory://",
        "sqlite": f"sqlite:///{tmp_path}/sessions.db",
        "file": f"file:///{tmp_path}/sessions",
    }
    return kinds[request.param]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An engine that several processes may use at once."""
    return f"sqlite:///{tmp_path}/shared.db"


@pytest.fixture
def sessions(url: str) -> Iterator[SessionManager]:
    with SessionManager(url) as manager:
        yield manager


@pytest.fixture
def store(sessions: SessionManager) -> ThreadloomConversationStore:
    return ThreadloomConversationStore(sessions, agent_name="guide")
