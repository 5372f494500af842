"""What is old goes: sessions by filter and by age, expired ones, and checkpoints."""

from __future__ import annotations

import operator
from datetime import datetime, timedelta
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from tests.sessions.conftest import Call
from tests.sessions.test_travel import chat, config, say, texts

from threadloom import InvalidKey, PruneReport, SessionManager
from threadloom.ops import Query
from threadloom.store import Store
from threadloom.testing import FrozenClock

HOUR = timedelta(hours=1)


def ids(sessions: SessionManager) -> list[str]:
    return [info.id for info in sessions.list_sessions()]


@pytest.mark.operation("delete_sessions")
async def test_sessions_are_deleted_by_filter(sessions: SessionManager, call: Call) -> None:
    for number in range(4):
        sessions.create_session(id=f"{number}", owner="ana" if number % 2 else "ben")
    sessions.memory("1").append(HumanMessage("text"))
    assert await call("delete_sessions", owner="ana", dry_run=True) == ["1", "3"]
    assert ids(sessions) == ["0", "1", "2", "3"]
    assert await call("delete_sessions", owner="ana") == ["1", "3"]
    assert ids(sessions) == ["0", "2"]
    assert sessions.search_sessions("text") == []
    assert await call("delete_sessions", owner="ana") == []


@pytest.mark.operation("delete_sessions")
async def test_all_sessions_are_not_deleted_by_mistake(
    sessions: SessionManager, call: Call
) -> None:
    sessions.create_session(id="a")
    for filters in ({}, {"owner": None}, {"tags": []}):
        with pytest.raises(InvalidKey, match="filter"):
            await call("delete_sessions", **filters)
    with pytest.raises(TypeError):
        await call("delete_sessions", ownr="ana")
    assert ids(sessions) == ["a"]


@pytest.mark.operation("delete_sessions", "cleanup_stale")
async def test_a_running_session_is_spared(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    sessions.create_session(id="runs", owner="ana")
    sessions.create_session(id="rests", owner="ana")
    with sessions.turn("runs", lease=timedelta(days=2)):
        clock.advance(timedelta(days=1))
        assert await call("cleanup_stale", HOUR, dry_run=True) == 1
        assert await call("cleanup_stale", HOUR, dry_run=True, include_running=True) == 2
        assert await call("delete_sessions", owner="ana") == ["rests"]
        assert await call("cleanup_stale", HOUR) == 0
    assert ids(sessions) == ["runs"]


@pytest.mark.operation("cleanup_stale")
async def test_stale_is_strictly_older(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    sessions.create_session(id="old")
    sessions.create_session(id="busy")
    clock.advance(HOUR)
    assert await call("cleanup_stale", HOUR) == 0
    sessions.memory("busy").append(HumanMessage("still here"))
    clock.advance(0.001)
    assert await call("cleanup_stale", HOUR, dry_run=True) == 1
    assert await call("cleanup_stale", HOUR) == 1
    assert ids(sessions) == ["busy"]
    for wrong in (timedelta(0), -HOUR, 5):
        with pytest.raises(InvalidKey):
            await call("cleanup_stale", wrong)


@pytest.mark.operation("cleanup_stale")
async def test_expired_sessions_are_swept(
    sessions: SessionManager, call: Call, clock: FrozenClock, store: Store
) -> None:
    sessions.create_session(id="short", ttl=timedelta(minutes=1))
    sessions.create_session(id="long")
    sessions.memory("short").append(HumanMessage("text"))
    clock.advance(timedelta(minutes=2))
    assert ids(sessions) == ["long"]
    assert sessions.get_session("short") is None
    assert await call("cleanup_stale", HOUR, dry_run=True) == 1
    assert await call("cleanup_stale", HOUR) == 1
    assert store.execute([Query(("sessions",), expired=True)]) == [[]]
    assert store.execute([Query(("memory",), deep=True)]) == [[]]
    assert await call("cleanup_stale", HOUR) == 0


@pytest.mark.operation("cleanup_stale")
async def test_a_new_life_is_not_swept_with_the_old_one(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    sessions.create_session(id="s", ttl=timedelta(minutes=1))
    clock.advance(timedelta(minutes=2))
    sessions.memory("s").append(HumanMessage("new"))
    assert await call("cleanup_stale", HOUR) == 0
    assert texts(sessions.messages("s")) == ["new"]


@pytest.mark.operation("prune")
async def test_old_checkpoints_go(sessions: SessionManager, call: Call) -> None:
    graph = chat(sessions)
    for id in ("a", "b"):
        for text in ("one", "two", "three"):
            graph.invoke(say(text), config(id))
    before = graph.get_state(config("a"))
    looked = await call("prune", dry_run=True)
    assert looked.dry_run
    assert set(looked.sessions) == {"a", "b"}
    assert len(list(graph.get_state_history(config("a")))) == 9
    report = await call("prune", ["a"], keep_last=4)
    assert report == PruneReport(
        sessions=("a",), checkpoints=5, records=report.records, bytes=report.bytes
    )
    assert report.records > 5
    assert report.bytes > 0
    assert len(list(graph.get_state_history(config("a")))) == 4
    assert len(list(graph.get_state_history(config("b")))) == 9
    report = await call("prune")
    assert set(report.sessions) == {"a", "b"}
    assert report.checkpoints == 3 + 8
    assert graph.get_state(config("a")).values == before.values
    assert await call("prune") == PruneReport()
    graph.invoke(say("four"), config("a"))
    assert len(sessions.messages("a")) == 8


@pytest.mark.operation("prune")
async def test_prune_by_age(sessions: SessionManager, call: Call, clock: FrozenClock) -> None:
    graph = chat(sessions)
    graph.invoke(say("one"), config("a"))
    graph.invoke(say("two"), config("a"))
    history = list(graph.get_state_history(config("a")))
    clock.set(datetime.fromisoformat(history[2].created_at) + HOUR)
    report = await call("prune", older_than=HOUR)
    assert report.checkpoints == 3  # made before the third of the newest
    assert await call("prune", older_than=HOUR) == PruneReport()
    clock.advance(timedelta(days=1))
    assert (await call("prune", older_than=HOUR, keep_last=2)).checkpoints == 1


@pytest.mark.operation("prune")
@pytest.mark.parametrize("options", [{"keep_last": 0}, {"older_than": timedelta(0)}, {"ids": "a"}])
async def test_prune_refuses_nonsense(call: Call, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        await call("prune", **options)


class State(TypedDict):
    log: Annotated[list[str], operator.add]


@pytest.mark.operation("prune")
async def test_an_interrupted_run_survives_a_prune(sessions: SessionManager, call: Call) -> None:
    builder = StateGraph(State)
    builder.add_node("ask", lambda state: {"log": [interrupt("?")]})
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    graph.invoke({"log": ["in"]}, config("a"))
    with sessions.turn("a"):
        assert await call("prune") == PruneReport()
    assert (await call("prune")).checkpoints == 1
    assert graph.invoke(Command(resume="yes"), config("a"))["log"] == ["in", "yes"]
