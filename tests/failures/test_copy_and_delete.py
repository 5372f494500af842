"""Copy and delete: a graph that still runs cannot bring a deleted session back."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from threadloom import (
    SessionConflict,
    SessionDeleted,
    SessionManager,
    SessionNotFound,
)

from .helpers import (
    Chat,
    Door,
    all_well,
    at_once,
    chat_graph,
    config,
    everything_in,
    line_graph,
    put,
    rows,
    texts,
)

DURABILITIES = ("sync", "async", "exit")


def assert_gone(sessions: SessionManager, id: str) -> None:
    """No door shows anything of a session."""
    saver = sessions.checkpointer()
    assert sessions.get_session(id) is None
    assert sessions.messages(id) == []
    assert sessions.memory(id).messages == []
    assert sessions.memory.get_summary(id) is None
    assert id not in [info.id for info in sessions.list_sessions()]
    assert saver.get_tuple(config(id)) is None
    assert list(saver.list(config(id))) == []
    assert id not in {item.config["configurable"]["thread_id"] for item in saver.list(None)}
    assert sessions.store.search(("memory", id)) == []
    assert sessions.store.search(("checkpoints", id)) == []


def wait_for_the_first_put(sessions: SessionManager) -> None:
    """A node may work, and its writes be stored, before the run's first put, which needs no
    parent and so begins a session at any time."""
    deadline = time.monotonic() + 20
    while sessions.checkpointer().get_tuple(config("t")) is None:
        assert time.monotonic() < deadline


def delete_in_the_middle(
    do: Door, sessions: SessionManager, durability: str, *, in_node: str
) -> Any:
    """What a run gives whose session is deleted while one of its nodes works."""
    started, go = threading.Event(), threading.Event()

    def wait(name: str) -> Any:
        def node(state: Any) -> dict[str, list[str]]:
            if name == in_node and "wait" in state["log"]:
                started.set()
                assert go.wait(20)
            return {"log": [name]}

        return node

    graph = line_graph(sessions.checkpointer(), "a", "b", "c", a=wait("a"), b=wait("b"))

    def delete() -> bool:
        assert started.wait(20)
        try:
            if durability != "exit":
                wait_for_the_first_put(sessions)
            return do(sessions, "delete_session", "t")
        finally:
            go.set()

    result, _ = at_once(
        [
            lambda: do(graph, "invoke", {"log": ["wait"]}, config("t"), durability=durability),
            delete,
        ]
    )
    return result


@pytest.mark.parametrize("in_node", ["a", "b"])
@pytest.mark.parametrize("durability", DURABILITIES)
def test_deleting_in_the_middle_of_a_run_on_an_old_thread(
    do: Door, sessions: SessionManager, durability: str, in_node: str
) -> None:
    graph = line_graph(sessions.checkpointer(), "a", "b", "c")
    graph.invoke({"log": ["old"]}, config("t"))
    sessions.memory("t").append(HumanMessage("old"))
    result = delete_in_the_middle(do, sessions, durability, in_node=in_node)
    assert isinstance(result, SessionDeleted), result
    assert_gone(sessions, "t")

    assert do(graph, "invoke", {"log": ["new"]}, config("t"))["log"] == ["new", "a", "b", "c"]
    assert len(do(graph, "get_state_history", config("t"))) == 5
    assert sessions.memory("t").messages == []
    assert sessions.get_session("t").turn_count == 1


@pytest.mark.parametrize("in_node", ["a", "b"])
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_deleting_in_the_middle_of_a_run_on_a_new_thread(
    do: Door, sessions: SessionManager, durability: str, in_node: str
) -> None:
    result = delete_in_the_middle(do, sessions, durability, in_node=in_node)
    assert isinstance(result, SessionDeleted), result
    assert_gone(sessions, "t")
    graph = line_graph(sessions.checkpointer(), "a", "b", "c")
    result = do(graph, "invoke", {"log": ["new"]}, config("t"), durability=durability)
    assert result["log"] == ["new", "a", "b", "c"]


def test_deleting_a_new_thread_before_its_run_stores_anything(
    do: Door, sessions: SessionManager
) -> None:
    """With `exit` there is nothing to delete yet: the one put at the end begins the session."""
    result = delete_in_the_middle(do, sessions, "exit", in_node="a")
    assert result["log"] == ["wait", "a", "b", "c"]
    graph = line_graph(sessions.checkpointer(), "a", "b", "c")
    assert do(graph, "get_state", config("t")).values["log"] == ["wait", "a", "b", "c"]
    assert len(do(graph, "get_state_history", config("t"))) == 1


@pytest.mark.parametrize("durability", DURABILITIES)
def test_deleting_in_the_middle_of_an_interrupted_run(
    do: Door, sessions: SessionManager, durability: str
) -> None:
    def ask(state: Any) -> dict[str, list[str]]:
        return {"log": [interrupt("who?")]}

    graph = line_graph(sessions.checkpointer(), "a", "ask", ask=ask)
    do(graph, "invoke", {"log": ["x"]}, config("t"), durability=durability)
    assert sessions.get_session("t").status == "interrupted"
    assert do(sessions, "delete_session", "t") is True
    assert_gone(sessions, "t")
    do(graph, "invoke", {"log": ["new"]}, config("t"), durability=durability)
    resumed = do(graph, "invoke", Command(resume="ana"), config("t"), durability=durability)
    assert resumed["log"] == ["new", "a", "ana"]
    assert sessions.get_session("t").status == "idle"


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_deleting_in_the_middle_of_a_subgraph(
    do: Door, sessions: SessionManager, durability: str
) -> None:
    started, go = threading.Event(), threading.Event()

    def wait(state: Any) -> dict[str, list[str]]:
        started.set()
        assert go.wait(20)
        return {"log": ["inner"]}

    inner = line_graph(True, "i", "j", i=wait)
    graph = line_graph(sessions.checkpointer(), "a", "inner", inner=inner)

    def delete() -> bool:
        assert started.wait(20)
        try:
            wait_for_the_first_put(sessions)
            return sessions.delete_session("t")
        finally:
            go.set()

    result, deleted = at_once(
        [
            lambda: do(graph, "invoke", {"log": ["x"]}, config("t"), durability=durability),
            delete,
        ]
    )
    assert isinstance(result, SessionDeleted), result
    assert deleted is True
    assert_gone(sessions, "t")


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_subgraph_that_begins_after_the_deletion_brings_nothing_back(
    do: Door, sessions: SessionManager, durability: str
) -> None:
    """Its first put names no parent in its own namespace, but its run has one."""
    inner = line_graph(True, "i", "j")

    def node(state: Any, config: RunnableConfig) -> dict[str, list[str]]:
        if "delete" in state["log"]:
            assert sessions.delete_session("t") is True
        return {"log": inner.invoke({"log": []}, config)["log"]}

    graph = line_graph(sessions.checkpointer(), "a", "b", b=node)
    do(graph, "invoke", {"log": ["old"]}, config("t"), durability=durability)
    with pytest.raises(SessionDeleted):
        do(graph, "invoke", {"log": ["delete"]}, config("t"), durability=durability)
    assert_gone(sessions, "t")


def test_a_late_put_whose_parent_is_gone_is_refused(do: Door, sessions: SessionManager) -> None:
    saver = sessions.checkpointer()
    put(do, saver, "t", "1", x=1)
    sessions.delete_session("t")
    with pytest.raises(SessionDeleted, match="'t'"):
        put(do, saver, "t", "2", parent="1", x=2)
    assert_gone(sessions, "t")
    put(do, saver, "t", "1", x="new life")
    with pytest.raises(SessionDeleted):
        put(do, saver, "t", "3", parent="2", x=3)
    found = do(saver, "get_tuple", config("t"))
    assert found.checkpoint["channel_values"] == {"x": "new life"}


def test_late_writes_for_a_deleted_checkpoint_are_refused(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    old = str(uuid6(clock_seq=0))
    named = put(do, saver, "t", old, x=1)
    early = str(uuid6(clock_seq=1))  # its put is still under way
    sessions.delete_session("t")
    for id in (old, early):
        late = config("t", checkpoint_ns="", checkpoint_id=id)
        with pytest.raises(SessionDeleted, match="'t'"):
            do(saver, "put_writes", late, [("x", 2)], "task")
    with pytest.raises(SessionDeleted):
        do(saver, "put_writes", named, [("__interrupt__", ("q",))], "task")
    assert_gone(sessions, "t")
    # A new life does not change that, and its own writes may come before their put.
    new = str(uuid6(clock_seq=2))
    ahead = config("t", checkpoint_ns="", checkpoint_id=new)
    all_well(
        at_once(
            [
                lambda: do(saver, "put_writes", ahead, [("x", "new")], "task"),
                lambda: put(do, saver, "t", new, x=1),
            ]
        )
    )
    with pytest.raises(SessionDeleted):
        do(saver, "put_writes", named, [("x", 3)], "task")
    found = do(saver, "get_tuple", config("t"))
    assert [value for _, _, value in found.pending_writes] == ["new"]


def test_late_writes_for_ids_that_tell_no_time_are_refused(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    named = put(do, saver, "t", "1", x=1)
    sessions.delete_session("t")
    with pytest.raises(SessionDeleted):
        do(saver, "put_writes", named, [("x", 2)], "task")
    assert_gone(sessions, "t")


def test_a_chain_begins_a_new_life_after_a_deletion(do: Door, sessions: SessionManager) -> None:
    history = sessions.memory("t")
    do(history, "add_messages", [HumanMessage("old", id="m")])
    do(history, "set_summary", "old summary")
    assert do(sessions, "delete_session", "t") is True
    assert do(sessions, "delete_session", "t") is False
    do(history, "add_messages", [HumanMessage("new", id="m")])
    assert texts(do.history(history)) == ["new"]
    assert do(history, "get_summary") is None
    assert sessions.get_session("t").message_count == 1


def test_create_begins_a_new_life_with_nothing_of_the_old(
    do: Door, sessions: SessionManager
) -> None:
    graph = chat_graph(sessions.checkpointer())
    sessions.create_session(id="t", name="old", tags=["x"], metadata={"a": 1})
    graph.invoke({"messages": [HumanMessage("old")]}, config("t"))
    sessions.memory("t").append(HumanMessage("old"))
    sessions.delete_session("t")
    made = do(sessions, "create_session", id="t")
    assert (made.name, made.tags, made.metadata, made.message_count) == ("", (), {}, 0)
    assert do(sessions, "messages", "t") == []
    assert do(graph, "get_state", config("t")).values == {}


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
