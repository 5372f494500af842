"""`ThreadloomMessageHistory`, sync and async, and what its session can do."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

from pydantic_ai_fakes import make_agent, nothing, says, user
from threadloom import InvalidKey, MissingAdapter, SerializationError, SessionManager
from threadloom_pydantic_ai import ThreadloomMessageHistory


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Any:
    async def invoke(history: ThreadloomMessageHistory, name: str, *args: Any) -> Any:
        if request.param == "async":
            return await getattr(history, f"a{name}")(*args)
        return getattr(history, name)(*args)

    return invoke


async def test_load_append_replace(sessions: SessionManager, call: Any) -> None:
    history = ThreadloomMessageHistory("x", sessions, agent_name="guide", owner="ana")
    assert await call(history, "load") == []
    assert sessions.get_session("x") is None
    first: list[ModelMessage] = [user("1"), says("2")]
    await call(history, "append", first)
    await call(history, "append", [user("3"), nothing(), says("4")])
    stored = await call(history, "load")
    assert stored[:2] == first
    assert len(stored) == 5
    assert await call(history, "load", 2) == stored[-2:]
    assert await call(history, "load", 0) == []
    info = sessions.get_session("x")
    assert (info.framework, info.agent_name, info.owner) == ("pydantic-ai", "guide", "ana")
    assert [message.text for message in sessions.messages("x")] == ["1", "2", "3", "4"]

    kept = [message.id for message in sessions.messages("x")][:2]
    await call(history, "replace", [*first, user("5")])
    assert [message.text for message in sessions.messages("x")] == ["1", "2", "5"]
    assert [message.id for message in sessions.messages("x")][:2] == kept
    await call(history, "replace", [says("summary")])
    assert [message.text for message in sessions.messages("x")] == ["summary"]
    await call(history, "replace", [])
    assert await call(history, "load") == []
    assert sessions.get_session("x").owner == "ana"
    assert sessions.check().problems == ()


async def test_an_agent_goes_on_after_a_rewind_and_in_a_fork(sessions: SessionManager) -> None:
    async def turn(id: str, prompt: str) -> str:
        history = ThreadloomMessageHistory(id, sessions)
        result = await make_agent().run(prompt, message_history=await history.aload())
        await history.aappend(result.new_messages())
        return result.output

    await turn("trip", "Oslo")
    await turn("trip", "Rome")
    assert sessions.get_session("trip").total_tokens == 60
    fork = sessions.fork_session("trip", messages=5)
    assert await turn(fork.id, "Bonn") == "sun in Bonn after 2 questions: Oslo, Bonn"
    sessions.rewind_session("trip", messages=6)
    loaded = ThreadloomMessageHistory("trip", sessions).load()
    assert len(loaded) == 5
    sessions.rewind_session("trip", messages=0)
    assert await turn("trip", "Paris") == "sun in Paris after 1 questions: Paris"
    assert sessions.search_sessions("Rome") == []
    assert sessions.check().problems == ()


async def test_what_is_no_list_of_messages(sessions: SessionManager) -> None:
    history = ThreadloomMessageHistory("trip", sessions)
    result = await make_agent().run("weather in Oslo")
    history.append(result.new_messages())
    before = history.load()
    for given in (result, None, 5, "Hi", {"kind": "request"}):
        with pytest.raises(InvalidKey, match=r"result\.new_messages\(\)"):
            history.append(given)  # type: ignore[arg-type]
        with pytest.raises(InvalidKey):
            await history.areplace(given)  # type: ignore[arg-type]
    for bad in ("Hi", None, {"kind": "request"}, ModelRequest([object()])):  # type: ignore[list-item]
        with pytest.raises(SerializationError):
            history.replace([*before, bad])  # type: ignore[list-item]
        with pytest.raises(SerializationError):
            await history.aappend([bad])  # type: ignore[list-item]
    assert history.load() == before


def calls(args: Any) -> ModelMessage:
    return ModelResponse([ToolCallPart("f", args, "1")])


@pytest.mark.parametrize(
    "bad",
    [
        calls({"\ud800": 1}),
        calls({"x": {"\ud800": 1}}),
        calls({"x": [{"\ud800": 1}]}),
        ModelRequest([ToolReturnPart("f", {"\ud800": 1}, "1")]),
        ModelResponse([TextPart("x")], metadata={"\ud800": 1}),
    ],
    ids=["arguments", "deep in them", "deeper", "a result", "metadata"],
)
async def test_a_surrogate_as_a_key_is_refused(
    sessions: SessionManager, call: Any, bad: ModelMessage
) -> None:
    """Pydantic would fail on it, or store other characters in its place."""
    history = ThreadloomMessageHistory("trip", sessions)
    before = [user("1")]
    await call(history, "append", before)
    for name in ("append", "replace"):
        with pytest.raises(SerializationError):
            await call(history, name, [user("2"), bad])
    assert await call(history, "load") == before


async def test_what_looks_like_a_surrogate_is_stored(sessions: SessionManager, call: Any) -> None:
    history = ThreadloomMessageHistory("trip", sessions)
    messages = [calls({"\ufffd": ["\ufffd", {"\ufffd": 1}]})]
    await call(history, "append", messages)
    assert await call(history, "load") == messages


def test_what_cannot_be(sessions: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidKey):
        ThreadloomMessageHistory("", sessions)
    assert sessions.list_sessions() == []  # still open
    with pytest.raises(MissingAdapter):
        ThreadloomMessageHistory("x", "nowhere://")
    closed: list[SessionManager] = []
    monkeypatch.setattr(SessionManager, "close", lambda self: closed.append(self))
    with pytest.raises(InvalidKey):
        ThreadloomMessageHistory("", "memory://")
    assert len(closed) == 1
    assert repr(ThreadloomMessageHistory("x", sessions)) == "ThreadloomMessageHistory('x')"
