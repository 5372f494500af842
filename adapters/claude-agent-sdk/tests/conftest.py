"""The SDK's stores, on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from threadloom import SessionManager
from threadloom_claude_agent_sdk import ThreadloomSessionStore


@pytest.fixture
async def store(url: str) -> AsyncIterator[ThreadloomSessionStore]:
    async with ThreadloomSessionStore(url, agent_name="helper", owner="ana") as made:
        yield made


@pytest.fixture
def sessions(store: ThreadloomSessionStore) -> SessionManager:
    return store.sessions
