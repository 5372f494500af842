"""docs/operations.md is what the tests say, and leaves out no operation."""

from __future__ import annotations

import inspect

import pytest
from tests.docs.operations import PAGE, marked, page

from threadloom import SessionManager, StoreChatMessageHistory

NOT_OPERATIONS = {"checkpointer", "close", "memory", "open", "setup", "store"}
"""Of the manager: what it is made of, and what opens and closes it."""


def public(cls: type) -> set[str]:
    """The methods and properties of a class that are not the twin of another."""
    names = {name for name, _ in inspect.getmembers(cls) if not name.startswith("_")}
    return {name for name in names if not (name.startswith("a") and name[1:] in names)}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.docs.operations writes it"


@pytest.mark.parametrize("name", sorted(public(SessionManager) - NOT_OPERATIONS))
def test_every_operation_of_the_manager_has_a_test(name: str) -> None:
    assert name in marked()


OF_HISTORIES = {"messages", "add_messages", "clear", "append", "load", "load_with_timestamps"}
OF_HISTORIES |= {"update_last", "remove_last", "clear_messages", "get_summary", "set_summary"}


@pytest.mark.parametrize("name", sorted(OF_HISTORIES))
def test_every_operation_of_a_history_has_a_test(name: str) -> None:
    assert hasattr(StoreChatMessageHistory, name)
    assert f"memory.{name}" in marked()


def test_the_markers_name_operations() -> None:
    known = {f"memory.{name}" for name in OF_HISTORIES} | public(SessionManager) | {"memory"}
    assert set(marked()) <= known
