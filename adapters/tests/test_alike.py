"""What holds for the adapter of every framework: what it exports, and whose store it is."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from threadloom import InvalidKey, SessionAdapter, SessionManager, StoreClosed, open_store


class Adapter(NamedTuple):
    """A class of an adapter, and what it is made of before its store."""

    package: str
    name: str
    before: tuple[str, ...] = ()

    def make(self, store: Any) -> Any:
        with warnings.catch_warnings():
            # Session stores are experimental in the Agent Framework, which says so.
            warnings.filterwarnings("ignore", r"\[SESSION_STORE\]", FutureWarning)
            cls = getattr(importlib.import_module(self.package), self.name)
        return cls(*self.before, store)


ADAPTERS = [
    Adapter("threadloom_openai_agents", "ThreadloomSession", ("s",)),
    Adapter("threadloom_google_adk", "ThreadloomSessionService"),
    Adapter("threadloom_claude_agent_sdk", "ThreadloomSessionStore"),
    Adapter("threadloom_pydantic_ai", "ThreadloomConversationStore"),
    Adapter("threadloom_pydantic_ai", "ThreadloomMessageHistory", ("s",)),
    Adapter("threadloom_agent_framework", "ThreadloomHistoryProvider"),
    Adapter("threadloom_agent_framework", "ThreadloomAgentSessionStore"),
]
of_all = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)


def test_they_are_all_here() -> None:
    sources = Path(__file__).parents[1].glob("*/src/threadloom_*")
    engines = {"threadloom_postgres", "threadloom_redis"}  # adapters of another kind
    found = {path.name for path in sources if path.is_dir()}
    assert found == {one.package for one in ADAPTERS} | engines


@pytest.mark.parametrize("package", sorted({adapter.package for adapter in ADAPTERS}))
def test_they_export_alike(package: str) -> None:
    names = importlib.import_module(package).__all__
    assert names == sorted(names)
    assert "FRAMEWORK" in names
    assert [name for name in names if name.startswith("shows")]
    classes = {adapter.name for adapter in ADAPTERS if adapter.package == package}
    assert classes == {name for name in names if name.startswith("Threadloom")}


@of_all
@pytest.mark.parametrize("store", [None, 5, object()], ids=lambda store: type(store).__name__)
def test_what_keeps_no_sessions_is_refused(adapter: Adapter, store: Any) -> None:
    with pytest.raises(InvalidKey, match="sessions are in a SessionManager, in a store or at"):
        adapter.make(store)


@of_all
@pytest.mark.parametrize("leave", ["with", "async with", "aclose"])
async def test_what_it_has_opened_it_closes(adapter: Adapter, leave: str, shared_url: str) -> None:
    made = adapter.make(shared_url)
    assert isinstance(made, SessionAdapter)
    if leave == "with":
        with made:
            made.sessions.create_session(id="x")
    elif leave == "async with":
        async with made:
            made.sessions.create_session(id="x")
    else:
        made.sessions.create_session(id="x")
        await made.aclose()
    with pytest.raises(StoreClosed):
        made.sessions.list_sessions()
    with SessionManager(shared_url) as sessions:
        assert sessions.get_session("x") is not None


@of_all
@pytest.mark.parametrize("around", [SessionManager, lambda store: store], ids=["manager", "store"])
async def test_what_is_handed_in_stays_open(
    adapter: Adapter, around: Callable[[Any], Any], url: str
) -> None:
    with open_store(url) as store:
        async with adapter.make(around(store)) as made:
            made.sessions.create_session(id="x")
        with made:
            pass
        assert SessionManager(store).get_session("x") is not None


def test_an_object_that_cannot_be_leaves_no_store_open(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[SessionManager] = []
    monkeypatch.setattr(SessionManager, "close", lambda self: closed.append(self))
    for adapter in ADAPTERS:
        if adapter.before:
            with pytest.raises(InvalidKey):
                adapter._replace(before=("",)).make("memory://")
    assert len(closed) == 2
