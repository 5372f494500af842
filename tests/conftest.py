"""Leaves out what other engines have nothing to do with, where tests run on those (`kinds`)."""

from __future__ import annotations

import pytest

from kinds import OTHERS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not OTHERS:
        return
    left = [item for item in items if not _is_about(item)]
    items[:] = [item for item in items if _is_about(item)]
    config.hook.pytest_deselected(items=left)


def _is_about(item: pytest.Item) -> bool:
    """Whether a test was made for one of the engines, which its parameters say."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and any(
        isinstance(value, str) and value in OTHERS for value in callspec.params.values()
    )
