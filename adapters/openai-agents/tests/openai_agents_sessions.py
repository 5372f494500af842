"""Sessions in memory, one for each question that is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from hypothesis import HealthCheck, settings
from langchain_core.messages import (
    BaseMessage,
)

from threadloom import SessionManager
from threadloom_openai_agents import ThreadloomSession

MEMORY = SessionManager("memory://")
quick = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def new(sessions: SessionManager = MEMORY) -> ThreadloomSession:
    return ThreadloomSession(str(uuid4()), sessions)


def without_ids(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    return [message.model_copy(update={"id": None}) for message in messages]
