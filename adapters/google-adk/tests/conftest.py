"""Services on every engine, and what is heard from ADK itself."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from threadloom import SessionManager
from threadloom_google_adk import ThreadloomSessionService

with warnings.catch_warnings():
    # Older versions of ADK warn of themselves where agents are imported.
    warnings.filterwarnings("ignore", "BaseAgentConfig is deprecated", DeprecationWarning)
    from google.adk.agents import LlmAgent  # noqa: F401

# What ADK and the libraries below it warn of by themselves, whatever is done with them.
_THEIRS = (
    "ignore:.*[Ee]xperimental.*:UserWarning",
    "ignore::DeprecationWarning:google.*",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for rule in _THEIRS:
                item.add_marker(pytest.mark.filterwarnings(rule))


@pytest.fixture
def service(sessions: SessionManager) -> ThreadloomSessionService:
    return ThreadloomSessionService(sessions)
