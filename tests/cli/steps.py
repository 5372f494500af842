"""Counts what a migration of histories writes; a process that is killed imports it as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from threadloom import SessionManager
from threadloom.history import StoreChatMessageHistory


def counted(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> list[int]:
    """Do something before and after the n-th write from now on; n stands in the list."""
    left = [0]

    def step() -> None:
        left[0] -= 1
        if left[0] == 0:
            then()

    def wrapped(write: Any) -> Any:
        def stepping(*arguments: Any, **options: Any) -> Any:
            step()
            result = write(*arguments, **options)
            step()
            return result

        return stepping

    monkeypatch.setattr(
        StoreChatMessageHistory, "add_messages", wrapped(StoreChatMessageHistory.add_messages)
    )
    for name in ("create_session", "update_session"):
        monkeypatch.setattr(SessionManager, name, wrapped(getattr(SessionManager, name)))
    return left
