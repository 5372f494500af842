"""The chat history: every operation, sync and async."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from threadloom import (
    SerializationError,
    SessionManager,
    StoreChatMessageHistory,
    TimestampedMessage,
)
from threadloom.store import Store
from threadloom.testing import FrozenClock

Call = Callable[..., Any]


@pytest.fixture
def history(store: Store) -> StoreChatMessageHistory:
    return StoreChatMessageHistory(store, "x")


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest, history: StoreChatMessageHistory) -> Call:
    """Calls an operation of the history by name, or its asynchronous twin."""

    async def invoke(name: str, /, *args: Any, **options: Any) -> Any:
        if request.param == "async":
            return await getattr(history, "a" + name)(*args, **options)
        return getattr(history, name)(*args, **options)

    return invoke


@pytest.mark.operation("memory.append", "memory.load")
async def test_append_and_load(do: Call, sessions: SessionManager) -> None:
    await do("append", HumanMessage("one"))
    await do("add_messages", [AIMessage("two"), HumanMessage("three")])
    assert [message.text for message in await do("load")] == ["one", "two", "three"]
    assert [message.text for message in await do("load", limit=2)] == ["two", "three"]
    last = (await do("load"))[-1]
    assert [message.text for message in await do("load", before=last.id)] == ["one", "two"]
    assert [message.text for message in await do("load", 1, last.id)] == ["two"]
    assert await do("load", before="nobody") == await do("load", limit=0) == []
    assert sessions.get_session("x").message_count == 3  # type: ignore[union-attr]


@pytest.mark.operation("memory.add_messages")
async def test_an_id_is_given_to_the_message_itself(do: Call) -> None:
    message = HumanMessage("one")
    await do("append", message)
    assert message.id
    assert await do("load") == [message]


@pytest.mark.operation("memory.add_messages")
async def test_a_message_is_stored_once(do: Call, sessions: SessionManager) -> None:
    one, two = HumanMessage("one", id="1"), AIMessage("two", id="2")
    await do("add_messages", [one, two])
    await do("add_messages", [one])
    await do("add_messages", [two, two, HumanMessage("three", id="3")])
    assert [message.id for message in await do("load")] == ["1", "2", "3"]
    await do("add_messages", [HumanMessage("ONE", id="1")])
    assert [message.text for message in await do("load")] == ["ONE", "two", "three"]
    await do("add_messages", [AIMessage("ONE", id="1")])
    first, *_ = await do("load")
    assert type(first) is AIMessage
    assert sessions.get_session("x").message_count == 3  # type: ignore[union-attr]


@pytest.mark.operation("memory.add_messages")
async def test_nothing_is_written_for_nothing_new(do: Call, sessions: SessionManager) -> None:
    await do("append", HumanMessage("one", id="1"))
    before = sessions.get_session("x")
    await do("append", HumanMessage("one", id="1"))
    await do("add_messages", [])
    assert sessions.get_session("x") == before


@pytest.mark.operation("memory.load_with_timestamps", "memory.update_last")
async def test_update_last_keeps_time_and_id(
    do: Call, clock: FrozenClock, sessions: SessionManager
) -> None:
    assert await do("update_last", AIMessage("nothing to replace")) is False
    await do("add_messages", [HumanMessage("q", id="1"), AIMessage("par", id="2")])
    clock.advance(5)
    assert await do("update_last", AIMessage("partial")) is True
    assert await do("update_last", AIMessageChunk("partial answer", id="2")) is True
    first, last = await do("load_with_timestamps")
    assert isinstance(last, TimestampedMessage)
    assert (last.message.text, last.message.id) == ("partial answer", "2")
    assert type(last.message) is AIMessageChunk
    assert first.created_at == last.created_at
    usage = {"input_tokens": 1, "output_tokens": 6, "total_tokens": 7}
    assert await do("update_last", AIMessage("done", id="new", usage_metadata=usage)) is True
    assert [message.id for message in await do("load")] == ["1", "new"]
    assert await do("load", before="2") == []
    info = sessions.get_session("x")
    assert info is not None
    assert (info.message_count, info.total_tokens) == (2, 7)


@pytest.mark.operation("memory.remove_last")
async def test_remove_last(do: Call, sessions: SessionManager) -> None:
    assert await do("remove_last") is False
    await do("add_messages", [HumanMessage("1"), HumanMessage("2")])
    assert await do("remove_last") is True
    assert [message.text for message in await do("load")] == ["1"]
    await do("append", HumanMessage("3"))
    assert [message.text for message in await do("load")] == ["1", "3"]
    assert sessions.get_session("x").message_count == 2  # type: ignore[union-attr]


@pytest.mark.operation("memory.clear", "memory.clear_messages")
async def test_clear_and_clear_messages(do: Call, sessions: SessionManager) -> None:
    sessions.create_session(id="x", name="stays")
    await do("add_messages", [HumanMessage("1"), HumanMessage("2")])
    await do("set_summary", "two numbers")
    assert await do("clear_messages") == 2
    assert await do("clear_messages") == 0
    assert await do("load") == []
    assert await do("get_summary") == "two numbers"
    await do("append", HumanMessage("3"))
    await do("clear")
    assert await do("get_summary") is None
    assert await do("load") == []
    info = sessions.get_session("x")
    assert info is not None
    assert (info.name, info.message_count) == ("stays", 0)


@pytest.mark.operation("memory.get_summary", "memory.set_summary")
async def test_summary(do: Call) -> None:
    assert await do("get_summary") is None
    for text in ("short", "", "with \ud800 and \x00"):
        await do("set_summary", text)
        assert await do("get_summary") == text
    with pytest.raises(SerializationError):
        await do("set_summary", 7)


MESSAGES = [
    HumanMessage("plain", name="ana", additional_kwargs={"a": [1, (2, 3)]}),
    HumanMessage([{"type": "text", "text": "look"}, {"type": "image", "url": "data:,x"}]),
    HumanMessage(""),
    HumanMessage("lone \ud800 surrogate, \x00 NUL"),
    SystemMessage("rules"),
    AIMessage(
        "",
        tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c1", "type": "tool_call"}],
        response_metadata={"model": "m", "n": 1.0},
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    AIMessage("bad call", invalid_tool_calls=[
        {"name": "f", "args": "{", "id": "c", "error": "e", "type": "invalid_tool_call"}
    ]),
    ToolMessage("result", tool_call_id="c1", artifact={"rows": ({"a": b"\x00"},)}, status="error"),
    FunctionMessage(name="f", content="old"),
    ChatMessage(role="critic", content="hm"),
    AIMessageChunk("part", chunk_position="last"),
]  # fmt: skip


@pytest.mark.operation("memory.add_messages")
async def test_every_kind_of_message_comes_back_as_it_was(do: Call) -> None:
    given = [message.model_copy(deep=True) for message in MESSAGES]
    await do("add_messages", given)
    found = await do("load")
    assert [type(message) for message in found] == [type(message) for message in MESSAGES]
    for original, message in zip(MESSAGES, found, strict=True):
        assert message.model_copy(update={"id": original.id}) == original
    assert found == given
    assert type(found[0].additional_kwargs["a"][1]) is tuple
    assert type(found[5].response_metadata["n"]) is float


@pytest.mark.operation("memory.add_messages")
async def test_what_is_no_message_is_refused_and_nothing_is_stored(
    do: Call, sessions: SessionManager
) -> None:
    for wrong in ([HumanMessage("1"), "text"], [HumanMessage("1", additional_kwargs={"f": print})]):
        with pytest.raises(SerializationError):
            await do("add_messages", wrong)
    assert await do("load") == []
    assert sessions.get_session("x") is None


@pytest.mark.operation("memory.messages")
async def test_what_is_handed_out_is_nobody_elses(do: Call) -> None:
    await do("append", HumanMessage("one", additional_kwargs={"deep": {"list": [1]}}))
    first = (await do("load"))[0]
    first.content = "changed"
    first.additional_kwargs["deep"]["list"].append(2)
    again = (await do("load"))[0]
    assert (again.content, again.additional_kwargs) == ("one", {"deep": {"list": [1]}})


@pytest.mark.operation("memory")
async def test_by_session_without_langchain(sessions: SessionManager) -> None:
    memory = sessions.memory
    trip = sessions.create_session()
    memory.append(trip, HumanMessage("one"))
    await memory.aappend(trip, AIMessage("two"))
    assert [m.text for m in memory.load(trip)] == [m.text for m in await memory.aload(trip.id)]
    memory.set_summary(trip, "s")
    assert await memory.aget_summary(trip) == "s"
    await memory.aclear(trip)
    assert memory.load(trip) == []
    assert memory.get_summary(trip) is None
    assert memory(trip).session_id == trip.id
