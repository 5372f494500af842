"""Sessions saved and loaded whole, for code without a graph."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from tests.sessions.conftest import Call
from tests.sessions.test_travel import chat, config, say, texts

from threadloom import (
    SerializationError,
    Session,
    SessionConflict,
    SessionInfo,
    SessionManager,
    SessionNotFound,
    SessionStore,
)
from threadloom.testing import FrozenClock

STATE = {"step": 3, "plan": ["a", {"b": None}], "big": 2**70, "text": "é"}


@pytest.mark.operation("save_session", "load_session", "list_session_ids")
async def test_what_is_saved_is_loaded(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    messages = (
        HumanMessage("hi"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c"}]),
        ToolMessage("4", tool_call_id="c"),
    )
    info = SessionInfo(
        id="s", name="Oslo", owner="ana", tags=("x",), agent_name="a", metadata={"k": [1]}
    )
    saved = await call("save_session", Session(info=info, messages=messages, state=STATE))
    assert (saved.name, saved.owner, saved.tags) == ("Oslo", "ana", ("x",))
    assert (saved.agent_name, saved.metadata) == ("a", {"k": [1]})
    assert (saved.created_at, saved.updated_at) == (clock(), clock())
    assert saved.message_count == 3
    found = await call("load_session", "s")
    assert found == await call("resume_session", "s")
    assert found.info == saved
    assert found.messages == messages
    assert found.state == STATE
    assert await call("list_session_ids") == ["s"]


@pytest.mark.operation("save_session")
async def test_a_session_is_saved_again(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    info = SessionInfo(id="s", name="one")
    first = [HumanMessage("a", id="a"), AIMessage("b", id="b"), HumanMessage("c", id="c")]
    saved = await call("save_session", Session(info=info, messages=first, state=STATE))
    times = [item.created_at for item in sessions.memory("s").load_with_timestamps()]
    clock.advance(10)
    second = [first[0], AIMessage("other", id="b"), AIMessage("d", id="d")]
    again = await call(
        "save_session", Session(info=saved.model_copy(update={"name": "two"}), messages=second)
    )
    assert again.created_at == saved.created_at
    assert again.updated_at == saved.updated_at + timedelta(seconds=10)
    assert again.version > saved.version
    found = await call("load_session", "s")
    assert texts(found.messages) == ["a", "other", "d"]
    assert found.state is None
    assert found.info.name == "two"
    kept = [item.created_at for item in sessions.memory("s").load_with_timestamps()]
    assert kept == [times[0], times[1], clock()]
    assert sessions.search_sessions("c") == []
    assert found.info.message_count == 3
    sessions.memory("s").append(HumanMessage("e"))
    assert texts(sessions.messages("s")) == ["a", "other", "d", "e"]


@pytest.mark.operation("save_session")
async def test_a_stale_session_is_refused(sessions: SessionManager, call: Call) -> None:
    saved = await call("save_session", Session(info=SessionInfo(id="s")))
    sessions.rename_session("s", "other")
    with pytest.raises(SessionConflict):
        await call("save_session", Session(info=saved, messages=[HumanMessage("lost")]))
    assert sessions.messages("s") == []
    sessions.delete_session("s")
    with pytest.raises(SessionConflict):
        await call("save_session", Session(info=saved))
    await call("save_session", Session(info=saved.model_copy(update={"version": 0})))
    assert sessions.get_session("s") is not None


@pytest.mark.operation("load_session", "resume_session")
async def test_unknown_sessions(call: Call) -> None:
    assert await call("load_session", "nobody") is None
    with pytest.raises(SessionNotFound):
        await call("resume_session", "nobody")


@pytest.mark.operation("save_session")
@pytest.mark.parametrize("state", [{"a": (1, 2)}, {"a": {1: 2}}, {"a": object()}, float("nan")])
async def test_a_state_is_json(sessions: SessionManager, call: Call, state: Any) -> None:
    session = Session(info=SessionInfo(id="s"), state=state)
    if isinstance(state, dict) and isinstance(state["a"], tuple):
        await call("save_session", session)
        assert (await call("load_session", "s")).state == {"a": [1, 2]}
        return
    with pytest.raises(SerializationError):
        await call("save_session", session)
    assert sessions.get_session("s") is None


@pytest.mark.parametrize("state", [{}, [], "", 0, False, {"state": 1}])
async def test_what_is_empty_is_not_nothing(call: Call, state: Any) -> None:
    await call("save_session", Session(info=SessionInfo(id="s"), state=state))
    found = (await call("load_session", "s")).state
    assert found == state
    assert type(found) is type(state)


@pytest.mark.operation("save_session")
async def test_the_graph_keeps_what_it_has(sessions: SessionManager, call: Call) -> None:
    graph = chat(sessions)
    graph.invoke(say("one"), config("s"))
    sessions.memory("s").add_user_message("beside")
    loaded = await call("load_session", "s")
    assert texts(loaded.messages) == ["one", "re one", "beside"]
    more = Session(info=loaded.info, messages=[*loaded.messages, AIMessage("new")], state=[1])
    saved = await call("save_session", more)
    assert texts(sessions.memory("s").messages) == ["beside", "new"]
    assert saved.message_count == 4
    assert texts(sessions.messages("s")) == ["one", "re one", "beside", "new"]
    assert texts(graph.get_state(config("s")).values["messages"]) == ["one", "re one"]
    assert (await call("load_session", "s")).state == [1]


@pytest.mark.operation("save_session")
async def test_a_message_given_twice_is_stored_once(sessions: SessionManager, call: Call) -> None:
    twice = [HumanMessage("a", id="x"), AIMessage("b"), HumanMessage("c", id="x")]
    await call("save_session", Session(info=SessionInfo(id="s"), messages=twice))
    assert texts(sessions.messages("s")) == ["c", "b"]


@pytest.mark.operation("list_session_ids")
def test_the_manager_is_a_session_store(sessions: SessionManager) -> None:
    def keep(store: SessionStore) -> list[str]:
        store.save_session(Session(info=SessionInfo(id="a")))
        assert store.load_session("a") is not None
        ids = store.list_session_ids()
        assert store.delete_session("a")
        return ids

    assert keep(sessions) == ["a"]
