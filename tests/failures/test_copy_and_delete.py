"""Copy and delete: a copy is whole and shares nothing, and nothing is left of what was deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from threadloom import SessionConflict, SessionManager, SessionNotFound

from .helpers import (
    Chat,
    Door,
    assert_gone,
    chat_graph,
    config,
    everything_in,
    put,
    rows,
    texts,
)


def test_delete_thread_takes_the_graph_and_leaves_the_session(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    graph = chat_graph(saver)
    graph.invoke({"messages": [HumanMessage("g")]}, config("t"))
    sessions.memory("t").append(HumanMessage("h"))
    sessions.rename_session("t", "kept")
    do(saver, "delete_thread", "t")
    assert do(saver, "get_tuple", config("t")) is None
    assert texts(do(sessions, "messages", "t")) == ["h"]
    info = sessions.get_session("t")
    assert (info.name, info.message_count, info.status) == ("kept", 1, "idle")
    after = do(graph, "invoke", {"messages": [HumanMessage("again")]}, config("t"))
    assert texts(after["messages"]) == ["again", "re: again"]


def test_delete_for_runs_copy_thread_and_prune_are_there(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    graph = chat_graph(saver)
    for number in range(3):
        graph.invoke(
            {"messages": [HumanMessage(str(number))]},
            {**config("t"), "metadata": {"run_id": f"run{number}"}},
        )
    do(saver, "copy_thread", "t", "copy")
    do(saver, "delete_for_runs", ["run2"])
    assert texts(do(graph, "get_state", config("t")).values["messages"])[-1] == "re: 1"
    assert sessions.get_session("t").message_count == 4
    do(saver, "prune", ["t"])
    assert len(do(graph, "get_state_history", config("t"))) == 1
    assert texts(do(graph, "get_state", config("t")).values["messages"])[-1] == "re: 1"


def rich_thread(sessions: SessionManager) -> Any:
    """A thread with a subgraph's namespace, several checkpoints and an interrupt."""

    def ask(state: Chat) -> dict[str, Any]:
        answer = interrupt({"ask": "who?"})
        return {"messages": [AIMessage(f"hello {answer}")]}

    inner = StateGraph(Chat)
    inner.add_node("ask", ask)
    inner.add_edge(START, "ask")
    outer = StateGraph(Chat)
    outer.add_node("say", lambda state: {"messages": [AIMessage("well")]})
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_edge(START, "say")
    outer.add_edge("say", "inner")
    graph = outer.compile(checkpointer=sessions.checkpointer())
    graph.invoke({"messages": [HumanMessage("hi")]}, config("t"))
    return graph


def content(saver: Any, id: str) -> list[Any]:
    return [
        (
            item.config["configurable"]["checkpoint_ns"],
            item.checkpoint,
            {**item.metadata, "thread_id": None},
            item.parent_config and item.parent_config["configurable"]["checkpoint_id"],
            item.pending_writes,
        )
        for item in saver.list(config(id))
    ]


def test_a_copy_has_pending_writes_and_namespaces_and_shares_nothing(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    graph = rich_thread(sessions)
    do(saver, "copy_thread", "t", "copy")
    assert content(saver, "copy") == content(saver, "t")
    assert len({entry[0] for entry in content(saver, "copy")}) == 2
    copied = sessions.get_session("copy")
    assert (copied.status, copied.message_count) == ("interrupted", 2)

    resumed = do(graph, "invoke", Command(resume="ana"), config("copy"))
    assert texts(resumed["messages"]) == ["hi", "well", "hello ana"]
    assert sessions.get_session("t").status == "interrupted"
    assert do(sessions, "delete_session", "t") is True
    state = do(graph, "get_state", config("copy"))
    assert texts(state.values["messages"]) == ["hi", "well", "hello ana"]
    with pytest.raises(SessionNotFound):
        do(saver, "copy_thread", "t", "other")
    assert sessions.get_session("other") is None


def test_a_copy_onto_a_thread_that_has_something_is_refused(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    put(do, saver, "a", "1", x="a")
    put(do, saver, "b", "1", x="b")
    with pytest.raises(SessionConflict):
        do(saver, "copy_thread", "a", "b")
    found = do(saver, "get_tuple", config("b"))
    assert found.checkpoint["channel_values"] == {"x": "b"}


def test_deleting_one_session_leaves_its_neighbours(do: Door, sessions: SessionManager) -> None:
    graph = chat_graph(sessions.checkpointer())
    for id in ("a", "ab", "a/b", "b"):
        graph.invoke({"messages": [HumanMessage(id)]}, config(id))
        sessions.memory(id).append(HumanMessage(f"h {id}"))
    assert do(sessions, "delete_session", "a") is True
    assert_gone(sessions, "a")
    for id in ("ab", "a/b", "b"):
        assert texts(sessions.messages(id)) == [id, f"re: {id}", f"h {id}"]


def test_a_tombstone_holds_no_id_in_clear(file: Path, file_url: str) -> None:
    with SessionManager(file_url) as sessions:
        sessions.create_session(id="confidential-id")
        sessions.memory("confidential-id").append(HumanMessage("hello"))
        sessions.delete_session("confidential-id")
    left = rows(file, "SELECT n.name, r.* FROM rec r JOIN ns n ON n.id = r.ns")
    assert len(left) == 1
    assert "confidential-id" not in repr(left)
    assert "confidential-id" not in repr(rows(file, "SELECT * FROM idx"))


def test_no_row_of_an_erased_message_is_left(file: Path, file_url: str) -> None:
    with SessionManager(file_url) as sessions:
        graph = chat_graph(sessions.checkpointer())
        graph.invoke({"messages": [HumanMessage("SECRETWORD one")]}, config("t"))
        sessions.memory("t").append(HumanMessage("SECRETWORD two"))
        sessions.memory("t").set_summary("SECRETWORD three")
        sessions.create_session(id="other", name="stays")
        assert b"SECRETWORD" in everything_in(file)
        sessions.delete_session("t")
        assert_gone(sessions, "t")
        for table in ("rec", "idx", "ns"):
            found = rows(file, f"SELECT * FROM {table}")
            assert "SECRETWORD" not in repr(found)
        assert sessions.get_session("other").name == "stays"
