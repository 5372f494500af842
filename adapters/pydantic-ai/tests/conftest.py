"""What the tests of this adapter share."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_ai import models

from threadloom import SessionManager
from threadloom_pydantic_ai import ThreadloomConversationStore

models.ALLOW_MODEL_REQUESTS = False  # no test reaches a real model by mistake


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An engine that several processes may use at once."""
    return f"sqlite:///{tmp_path}/shared.db"


@pytest.fixture
def store(sessions: SessionManager) -> ThreadloomConversationStore:
    return ThreadloomConversationStore(sessions, agent_name="guide")
