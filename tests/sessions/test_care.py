"""Where the bytes are, and getting back those that nobody needs."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SessionManager, SessionNotFound, StorageStats
from threadloom.ops import ListNamespaces, Match, Scan
from threadloom.store import Store

from .conftest import Call


def graph_on(sessions: SessionManager) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [AIMessage("answer " * 30)]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


def everything(store: Store) -> list[Any]:
    (namespaces,) = store.execute([ListNamespaces()])
    return [record for name in namespaces for record in store.execute([Scan(name)])[0]]


async def test_stats_add_up(call: Call, sessions: SessionManager, store: Store) -> None:
    graph = graph_on(sessions)
    for id in ("a", "b"):
        graph.invoke({"messages": [HumanMessage("question " * 30)]}, config(id))
        sessions.memory(id).append(HumanMessage("chain"))
    whole: StorageStats = await call("stats")
    one: StorageStats = await call("stats", "a")
    assert (whole.sessions, one.sessions) == (2, 1)
    assert {kind.kind for kind in one.kinds} == {
        *("sessions", "messages", "checkpoints", "elements", "texts")
    }
    assert whole.records == len(everything(store)) == 2 * one.records
    assert whole.bytes == sum(kind.bytes for kind in whole.kinds) > one.bytes > 1000
    with pytest.raises(SessionNotFound):
        await call("stats", "nobody")


async def test_compact_takes_what_nobody_needs_and_nothing_else(
    call: Call, sessions: SessionManager, store: Store
) -> None:
    graph = graph_on(sessions)
    for number in range(5):
        graph.invoke({"messages": [HumanMessage(f"question {number} " * 30)]}, config("a"))
    first = graph.get_state(config("a")).values["messages"][0]
    graph.update_state(config("a"), {"messages": [RemoveMessage(id=first.id)]})
    before = list(graph.get_state_history(config("a")))
    await call("compact", "a")
    assert list(graph.get_state_history(config("a"))) == before
    assert (await call("stats", "a")).records == len(everything(store))
    sessions.checkpointer().prune(["a"])
    head = graph.get_state(config("a")).values
    small: StorageStats = await call("stats", "a")
    texts = [record.key for record in everything(store) if record.namespace[-1] == "~texts"]
    assert len(texts) == len({message.content for message in head["messages"]})
    await call("compact", "a")
    assert await call("stats", "a") == small
    await call("compact", "nobody")


def test_search_sees_the_conversation_at_the_head(sessions: SessionManager, store: Store) -> None:
    graph = graph_on(sessions)

    def found(words: str) -> int:
        return len(store.execute([Match(("checkpoints",), words)])[0])

    graph.invoke({"messages": [HumanMessage("walrus " * 30, id="w")]}, config("a"))
    start = graph.get_state(config("a")).config
    graph.invoke({"messages": [HumanMessage("shrew", id="s")]}, config("a"))
    assert (found("walrus"), found("shrew")) == (1, 1)
    graph.update_state(config("a"), {"messages": [RemoveMessage(id="s")]})
    assert (found("walrus"), found("shrew")) == (1, 0)
    edited = HumanMessage("lemming " * 30, id="w")
    graph.update_state(config("a"), {"messages": [edited]})
    assert (found("walrus"), found("lemming")) == (0, 1)
    graph.update_state(start, {"messages": [HumanMessage("vole")]})  # a branch, now the head
    assert (found("walrus"), found("lemming"), found("vole")) == (1, 0, 1)


def config(id: str) -> Any:
    return {"configurable": {"thread_id": id}}


def test_a_second_copy_onto_the_same_id_is_not_taken_for_the_first(
    sessions: SessionManager,
) -> None:
    graph, saver = graph_on(sessions), sessions.checkpointer()

    def say(id: str, text: str) -> list[str]:
        state = graph.invoke({"messages": [HumanMessage(text)]}, config(id))
        return [message.content for message in state["messages"][::2]]

    say("template", "one")
    saver.copy_thread("template", "user")
    say("user", "the secret of an old user")
    saver.delete_thread("user")
    say("template", "two")
    saver.copy_thread("template", "user")
    assert say("user", "three") == ["one", "two", "three"]


def test_a_head_without_a_conversation_has_none(sessions: SessionManager, store: Store) -> None:
    graph = graph_on(sessions)
    graph.invoke({"messages": [HumanMessage("walrus " * 30)]}, config("a"))
    *_, first = graph.get_state_history(config("a"))
    graph.update_state(first.config, {"messages": []})
    info = sessions.get_session("a")
    assert info is not None
    assert info.message_count == len(sessions.messages("a"))
    shown = any("walrus" in str(message.content) for message in sessions.messages("a"))
    assert bool(store.execute([Match(("checkpoints",), "walrus")])[0]) == shown


def test_a_message_that_stands_twice_counts_twice(sessions: SessionManager, store: Store) -> None:
    saver = sessions.checkpointer()
    apple, pear = HumanMessage("apple", id="a"), HumanMessage("pear", id="p")
    parent: str | None = None
    for number, messages in enumerate([[apple, pear], [apple, apple, pear], [apple, pear]]):
        named = config("a")
        named["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": parent}
        version = {"messages": f"{number}"}
        made: Any = {
            "v": 4,
            "ts": "2026-01-01T00:00:00+00:00",
            "id": f"c{number}",
            "channel_values": {"messages": messages},
            "channel_versions": version,
            "versions_seen": {},
            "updated_channels": None,
        }
        metadata: Any = {"source": "loop", "step": number, "parents": {}}
        saver.put(named, made, metadata, version)
        parent = f"c{number}"
        info = sessions.get_session("a")
        assert info is not None
        assert info.message_count == len(sessions.messages("a")) == len(messages)
        assert store.execute([Match(("checkpoints",), "apple")])[0]
