"""What the tests of this adapter share: a place for each, and how the contract is run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from servers import postgres
from threadloom import SessionManager
from threadloom_postgres import PostgresStore

SOAK = os.environ.get("THREADLOOM_SOAK") == "1"
_ONE_IN = 12


@pytest.fixture
def pg_url(tmp_path: Path) -> str:
    """The URL of a new schema."""
    return postgres.place(str(tmp_path))


@pytest.fixture
def pg_store(pg_url: str) -> Iterator[PostgresStore]:
    """A store in a new schema."""
    with PostgresStore(pg_url) as store:
        yield store


@pytest.fixture
def pg_sessions(pg_store: PostgresStore) -> SessionManager:
    """A manager on a store in a new schema."""
    return SessionManager(pg_store)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the contract across modes, and a part of it in other modes and ways; all under soak."""
    left = [item for item in items if _is_left_out(item)]
    if left and not SOAK:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    if item.path.name != "test_pg_contract.py" or "[" not in item.name:
        return False
    if "TestPostgresStore" in item.nodeid and "across" in item.name:
        return False
    return crc32(item.nodeid.partition("::")[2].encode()) % _ONE_IN != 0
