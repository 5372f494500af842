"""Which of the three modes the contract is run in.

Engines of our own run in all of them. Whatever stands on another engine, and stores that promise
less, run `across` (written sync and read async, and the other way about), a third of the tests for
each. Under `make soak` they run whole, and in all modes.
"""

from __future__ import annotations

import os
from zlib import crc32

import pytest

SOAK = os.environ.get("THREADLOOM_SOAK") == "1"
IN_ALL_MODES = ("TestMemoryStore", "TestSQLiteStore", "TestFileStore")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if _is_left_out(item)]
    if SOAK:
        for item in left:
            item.add_marker(pytest.mark.soak(full=1))
    elif left:
        items[:] = [item for item in items if not _is_left_out(item)]
        config.hook.pytest_deselected(items=left)


def _is_left_out(item: pytest.Item) -> bool:
    if item.path.name != "test_stores.py" or item.path.parent.name != "contract":
        return False
    owner = item.nodeid.partition("::")[2]
    if owner.startswith(IN_ALL_MODES) or "[" not in owner:
        return False
    return "across" not in owner or crc32(owner.encode()) % 3 != 0
