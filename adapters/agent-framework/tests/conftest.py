"""What the adapter's tests get beside stores and managers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from threadloom import SessionManager

HERE = Path(__file__).parent
SOAK = os.environ.get("THREADLOOM_SOAK") == "1"

settings.register_profile(
    "agent-framework",
    max_examples=500 if SOAK else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Session stores and the file history are experimental: the framework says so once, at the
    # first use of each.
    experimental = pytest.mark.filterwarnings(
        r"ignore:\[(SESSION_STORE|FILE_HISTORY)\] .* is experimental:FutureWarning"
    )
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(experimental)


@pytest.fixture
def store_of() -> Callable[..., Any]:
    """Makes a `ThreadloomAgentSessionStore`; its class is imported where warnings are sorted."""

    def make(store: SessionManager | str, **options: Any) -> Any:
        from threadloom_agent_framework import ThreadloomAgentSessionStore

        return ThreadloomAgentSessionStore(store, **options)

    return make


@pytest.fixture
def programs() -> dict[str, str]:
    """The environment of programs that the tests start: what is imported here, and helpers."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
