"""A history provider and a store of snapshots on one session: nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agent_framework import AgentSession, Content, InMemoryHistoryProvider, Message

from maf_agents import forecaster
from threadloom import SessionManager
from threadloom_agent_framework import ThreadloomHistoryProvider

StoreOf = Callable[..., Any]


def said(*texts: str) -> list[Message]:
    roles = ("user", "assistant")
    return [Message(roles[at % 2], [text]) for at, text in enumerate(texts)]


def session(held: list[Message]) -> AgentSession:
    made = AgentSession(session_id="s")
    made.state["in_memory"] = {"messages": held}
    return made


def snapshot(session: AgentSession) -> Any:
    return session.to_dict()


async def test_a_provider_and_a_store_on_one_session(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    store = store_of(sessions)
    for text in ("weather Oslo", "hello"):
        agent = forecaster(ThreadloomHistoryProvider(sessions))
        one = await store.get("s") or agent.create_session(session_id="s")
        one.state["turns"] = one.state.get("turns", 0) + 1
        await agent.run(text, session=one)
        await store.set("s", one)
    assert [m.text for m in sessions.messages("s")] == [
        "weather Oslo",
        "",
        "rain in Oslo",
        "rain in Oslo",
        "hello",
        "5 messages until now",
    ]
    assert (await store.get("s")).state["turns"] == 2
    assert len(list(sessions.list_sessions())) == 1


@pytest.mark.parametrize("late", [False, True], ids=["from the start", "later"])
async def test_an_audit_beside_the_framework_s_own_history_shows_nothing_twice(
    sessions: SessionManager, store_of: StoreOf, late: bool
) -> None:
    store = store_of(sessions)
    audit = ThreadloomHistoryProvider(sessions, load_messages=False)
    for turn, text in enumerate(("hello", "again", "weather Oslo", "bye")):
        own = [InMemoryHistoryProvider()]
        agent = forecaster(*own, *([] if late and turn < 2 else [audit]))
        one = await store.get("s") or agent.create_session(session_id="s")
        await agent.run(text, session=one)
        await store.set("s", one)
        # What the agent is to see next is what it has in memory.
        assert snapshot(await store.get("s")) == snapshot(one)
    texts = [
        *("hello", "1 messages until now", "again", "3 messages until now"),
        *("weather Oslo", "", "rain in Oslo", "rain in Oslo", "bye", "9 messages until now"),
    ]
    assert [m.text for m in sessions.messages("s")] == texts
    forked = await store.get(sessions.fork_session("s", messages=4).id)
    assert [shown(m) for m in forked.state["in_memory"]["messages"]] == texts[:4]
    for left in (9, 4, 3, 0):
        sessions.rewind_session("s", messages=left)
        back = await store.get("s")
        held = back.state["in_memory"]["messages"]
        assert [shown(message) for message in held] == texts[:left]


def shown(message: Message) -> str:
    return " ".join(
        str(c.text or c.result or "") for c in message.contents if c.type != "function_call"
    )


async def test_messages_that_only_the_snapshot_has_are_kept_beside_an_audit(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    store = store_of(sessions)
    await ThreadloomHistoryProvider(sessions).save_messages("s", said("a", "b"))
    one = session(
        {"in_memory": {"messages": [*said("a"), *said("only here"), *said("x", "b")[1:]]}}
    )
    await store.set("s", one)
    assert snapshot(await store.get("s")) == snapshot(one)
    assert [m.text for m in sessions.messages("s")] == ["a", "b"]


async def test_beside_an_audit_a_rewind_takes_back_what_followed(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    store, audit = store_of(sessions), ThreadloomHistoryProvider(sessions)
    again = said("so", "so", "so", "so")  # alike, and each at a place of its own
    await audit.save_messages("s", again)
    held = [again[0], Message("system", ["a summary"]), *again[1:], Message("system", ["late"])]
    one = session(held)
    await store.set("s", one)
    assert snapshot(await store.get("s")) == snapshot(one)
    sessions.rewind_session("s", messages=2)
    back = (await store.get("s")).state["in_memory"]["messages"]
    assert [m.to_dict() for m in back] == [m.to_dict() for m in held[:3]]


async def test_what_followed_a_message_goes_with_it(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    """Nothing comes back behind a hole."""
    store = store_of(sessions)
    held = said("one", "two")
    await store.set("s", session(held))
    provider = ThreadloomHistoryProvider(sessions)
    await provider.save_messages("s", said("three"))
    await store.set("s", session([*held, *said("three", "extra")]))
    assert [m.text for m in (await store.get("s")).state["in_memory"]["messages"]] == [
        *("one", "two", "three", "extra")
    ]
    sessions.rewind_session("s", messages=1)
    assert [m.text for m in (await store.get("s")).state["in_memory"]["messages"]] == ["one"]


async def test_a_result_keeps_the_name_of_its_tool(sessions: SessionManager) -> None:
    """However the messages came in."""
    call = Message("assistant", [Content.from_function_call("c", "weather", arguments="{}")])
    result = Message("tool", [Content.from_function_result("c", result="rain")])
    batches = ([[call, result], said("on")], [[call], [result], said("on")])
    for id, batch in zip(("a", "b"), batches, strict=True):
        provider = ThreadloomHistoryProvider(sessions)
        for messages in batch:
            await provider.save_messages(id, messages)
        names = [message.name for message in sessions.messages(id) if message.type == "tool"]
        assert names == ["weather"]
