"""Stores to run on, services, and what is heard from ADK itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from threadloom import SessionManager
from threadloom_google_adk import ThreadloomSessionService

with warnings.catch_warnings():
    # Older versions of ADK warn of themselves where agents are imported.
    warnings.filterwarnings("ignore", "BaseAgentConfig is deprecated", DeprecationWarning)
    from google.adk.agents import LlmAgent  # noqa: F401

KINDS = ("memory", "sqlite", "file")
SHARED = ("sqlite", "file")

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


def url_of(kind: str, folder: Path, name: str = "sessions") -> str:
    """The URL of a store in a folder; in memory it is a new one each time."""
    if kind == "memory":
        return "memory://"
    return f"file:///{folder}/{name}" if kind == "file" else f"sqlite:///{folder}/{name}.db"


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path)


@pytest.fixture(params=SHARED)
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return url_of(request.param, tmp_path)


@pytest.fixture
def sessions(url: str) -> Iterator[SessionManager]:
    with SessionManager(url) as manager:
        yield manager


@pytest.fixture
def service(sessions: SessionManager) -> ThreadloomSessionService:
    return ThreadloomSessionService(sessions)
