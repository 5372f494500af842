"""Forks and rewinds: history, summary, state and graph together."""

from __future__ import annotations

import operator
import threading
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from tests.sessions.conftest import Call

from threadloom import (
    CheckpointNotFound,
    InvalidKey,
    SessionManager,
    SessionNotFound,
    UnsupportedByStore,
)
from threadloom.checkpoint.graph_state import read_graph
from threadloom.checkpoint.namespaces import read_session
from threadloom.keys import SessionPaths
from threadloom.ops import ListNamespaces, Scan
from threadloom.plans import Plan, run
from threadloom.store import Store
from threadloom.testing import FrozenClock


def config(id: str, **more: Any) -> Any:
    return {"configurable": {"thread_id": id, **more}}


def texts(messages: Any) -> list[str]:
    return [message.text for message in messages]


def chat(sessions: SessionManager, calls: list[str] | None = None) -> Any:
    def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
        question = state["messages"][-1].text
        if calls is not None:
            calls.append(question)
        return {"messages": [AIMessage(f"re {question}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


def say(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def dump(sessions: SessionManager, id: str) -> Any:
    """All that a session's graph shows."""
    return [
        (
            item.config["configurable"]["checkpoint_ns"],
            item.checkpoint,
            item.metadata,
            item.pending_writes,
            (item.parent_config or {}).get("configurable", {}).get("checkpoint_id"),
        )
        for item in sessions.checkpointer().list(config(id))
    ]


@pytest.mark.operation("fork_session")
async def test_a_fork_is_the_same_under_another_id(sessions: SessionManager, call: Call) -> None:
    graph = chat(sessions)
    trip = sessions.create_session(
        id="trip", name="Oslo", owner="ana", tags=["a", "b"], metadata={"k": [1]}
    )
    for text in ("one", "two"):
        graph.invoke(say(text), trip.config)
    sessions.memory("trip").add_user_message("by the chain")
    sessions.memory("trip").set_summary("so far")
    before = sessions.get_session("trip")
    fork = await call("fork_session", "trip")
    assert sessions.get_session("trip") == before
    assert before is not None
    assert fork.id != "trip"
    assert (fork.name, fork.owner, fork.tags) == ("Oslo (fork)", "ana", ("a", "b"))
    assert fork.metadata == {"k": [1]}
    assert fork.message_count == before.message_count == 5
    assert fork.turn_count == before.turn_count == 2
    assert fork.origin is not None
    assert fork.origin.session_id == "trip"
    assert (
        fork.origin.checkpoint_id
        == graph.get_state(trip.config).config["configurable"]["checkpoint_id"]
    )
    assert texts(sessions.messages(fork)) == texts(sessions.messages("trip"))
    assert sessions.memory(fork).get_summary() == "so far"
    assert dump(sessions, fork.id) == dump(sessions, "trip")


@pytest.mark.operation("fork_session")
async def test_fork_and_source_are_independent(sessions: SessionManager, call: Call) -> None:
    graph = chat(sessions)
    graph.invoke(say("one"), config("t"))
    fork = await call("fork_session", "t", name="other")
    assert fork.name == "other"
    graph.invoke(say("two"), fork.config)
    graph.invoke(say("three"), config("t"))
    assert texts(sessions.messages("t")) == ["one", "re one", "three", "re three"]
    assert texts(sessions.messages(fork)) == ["one", "re one", "two", "re two"]
    sessions.delete_session("t")
    assert texts(sessions.messages(fork)) == ["one", "re one", "two", "re two"]
    graph.invoke(say("four"), fork.config)
    assert texts(sessions.messages(fork))[-2:] == ["four", "re four"]
    assert [match.session.id for match in sessions.search_sessions("two")] == [fork.id]


@pytest.mark.operation("fork_session")
async def test_a_nameless_session_has_a_nameless_fork(sessions: SessionManager, call: Call) -> None:
    sessions.create_session(id="t")
    assert (await call("fork_session", "t")).name == ""


@pytest.mark.operation("fork_session", "rewind_session")
@pytest.mark.parametrize("name", ["fork_session", "rewind_session"])
async def test_an_unknown_session(call: Call, name: str) -> None:
    with pytest.raises(SessionNotFound):
        await call(name, "nobody", messages=1)


@pytest.mark.operation("rewind_session")
@pytest.mark.parametrize("options", [{}, {"messages": 1, "checkpoint_id": "c"}, {"messages": -1}])
async def test_a_rewind_has_one_goal(
    sessions: SessionManager, call: Call, options: dict[str, Any]
) -> None:
    sessions.create_session(id="t")
    with pytest.raises(InvalidKey):
        await call("rewind_session", "t", **options)


@pytest.mark.operation("fork_session")
async def test_an_unknown_checkpoint(sessions: SessionManager, call: Call) -> None:
    chat(sessions).invoke(say("one"), config("t"))
    sessions.create_session(id="no graph")
    for name in ("fork_session", "rewind_session"):
        with pytest.raises(CheckpointNotFound):
            await call(name, "t", checkpoint_id="1f000000-0000-6000-8000-000000000000")
        with pytest.raises(CheckpointNotFound):
            await call(name, "no graph", checkpoint_id="c")


@pytest.mark.operation("fork_session", "rewind_session")
@pytest.mark.parametrize(("number", "left"), [(0, 0), (1, 1), (3, 3), (4, 4), (99, 4)])
async def test_a_history_is_cut(
    sessions: SessionManager, call: Call, clock: FrozenClock, number: int, left: int
) -> None:
    memory = sessions.memory("t")
    memory.add_messages([HumanMessage(f"m{n}", id=str(n)) for n in range(4)])
    memory.set_summary("all of it")
    clock.advance(10)
    fork = await call("fork_session", "t", messages=number)
    found = await call("rewind_session", "t", messages=number)
    for id, shown in (("t", found.messages), (fork.id, sessions.messages(fork))):
        assert texts(shown) == [f"m{n}" for n in range(left)]
        info = sessions.get_session(id)
        assert info is not None
        assert info.message_count == left
        assert sessions.memory(id).get_summary() == ("all of it" if left == 4 else None)
    assert sessions.search_sessions("m3") == [] or left == 4
    memory.add_messages([HumanMessage("again", id="2")])
    assert texts(memory.messages)[-1] == ("again" if left < 4 else "m3")


@pytest.mark.operation("rewind_session")
async def test_after_a_rewind_the_next_run_runs_what_follows(
    sessions: SessionManager, call: Call
) -> None:
    calls: list[str] = []
    graph = chat(sessions, calls)
    for text in ("one", "two", "three"):
        graph.invoke(say(text), config("t"))
    undone = graph.get_state(config("t")).config["configurable"]["checkpoint_id"]
    calls.clear()
    found = await call("rewind_session", "t", messages=3)
    assert texts(found.messages) == ["one", "re one", "two"]
    assert found.info.message_count == 3
    state = graph.get_state(config("t"))
    assert state.next == ("answer",)
    assert state.metadata["source"] == "fork"
    graph.invoke(None, config("t"))
    assert calls == ["two"]
    assert texts(sessions.messages("t")) == ["one", "re one", "two", "re two"]
    assert texts(graph.get_state(config("t")).values["messages"]) == texts(sessions.messages("t"))
    then = graph.get_state(config("t", checkpoint_id=undone)).values["messages"]
    assert texts(then) == ["one", "re one", "two", "re two", "three", "re three"]
    assert sessions.search_sessions("three") == []
    sessions.checkpointer().prune(["t"])
    assert sessions.checkpointer().get_tuple(config("t", checkpoint_id=undone)) is None
    graph.invoke(say("four"), config("t"))
    assert texts(sessions.messages("t"))[-2:] == ["four", "re four"]


@pytest.mark.operation("rewind_session")
async def test_a_rewind_to_the_end_of_a_turn_waits_for_input(
    sessions: SessionManager, call: Call
) -> None:
    calls: list[str] = []
    graph = chat(sessions, calls)
    for text in ("one", "two"):
        graph.invoke(say(text), config("t"))
    await call("rewind_session", "t", messages=2)
    assert graph.get_state(config("t")).next == ()
    calls.clear()
    graph.invoke(None, config("t"))
    assert calls == []
    graph.invoke(say("other"), config("t"))
    assert texts(sessions.messages("t")) == ["one", "re one", "other", "re other"]


@pytest.mark.operation("fork_session")
async def test_messages_that_no_checkpoint_ends_with(sessions: SessionManager, call: Call) -> None:
    def two(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [AIMessage("a"), AIMessage("b")]}

    builder = StateGraph(MessagesState)
    builder.add_node("two", two)
    builder.add_edge(START, "two")
    builder.compile(checkpointer=sessions.checkpointer()).invoke(say("q"), config("t"))
    before = dump(sessions, "t")
    for name in ("rewind_session", "fork_session"):
        with pytest.raises(CheckpointNotFound):
            await call(name, "t", messages=2)
    assert dump(sessions, "t") == before


@pytest.mark.operation("fork_session", "rewind_session")
async def test_both_doors_are_cut_together(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    graph = chat(sessions)
    memory = sessions.memory("t")
    memory.add_user_message("h1")
    clock.advance(1)
    graph.invoke(say("one"), config("t"))
    clock.advance(1)
    memory.add_user_message("h2")
    clock.advance(1)
    graph.invoke(say("two"), config("t"))
    clock.advance(1)
    memory.add_user_message("h3")
    shown = texts(sessions.messages("t"))
    assert shown == ["h1", "one", "re one", "h2", "two", "re two", "h3"]
    fork = await call("fork_session", "t", messages=4)
    assert texts(sessions.messages(fork)) == shown[:4]
    assert fork.message_count == 4
    found = await call("rewind_session", "t", messages=4)
    assert texts(found.messages) == shown[:4]
    assert found.info.message_count == 4
    assert texts(memory.messages) == ["h1", "h2"]


class Nested(TypedDict):
    log: Annotated[list[str], operator.add]


def nested(sessions: SessionManager, *, persistent: bool) -> Any:
    """A graph whose subgraph asks in the middle."""

    def first(state: Nested) -> dict[str, Any]:
        return {"log": [f"first after {len(state['log'])}"]}

    def ask(state: Nested) -> dict[str, Any]:
        return {"log": [f"asked {interrupt('?')}"]}

    inner = StateGraph(Nested)
    inner.add_node("first", first)
    inner.add_node("ask", ask)
    inner.add_edge(START, "first")
    inner.add_edge("first", "ask")
    builder = StateGraph(Nested)
    builder.add_node("inner", inner.compile(checkpointer=True if persistent else None))
    builder.add_node("last", lambda state: {"log": ["last"]})
    builder.add_edge(START, "inner")
    builder.add_edge("inner", "last")
    return builder.compile(checkpointer=sessions.checkpointer())


@pytest.mark.operation("fork_session")
@pytest.mark.parametrize("persistent", [False, True])
async def test_an_interrupt_in_a_subgraph_goes_along(
    sessions: SessionManager, call: Call, persistent: bool
) -> None:
    graph = nested(sessions, persistent=persistent)
    graph.invoke({"log": ["in"]}, config("t"))
    fork = await call("fork_session", "t")
    head = graph.get_state(config("t")).config["configurable"]["checkpoint_id"]
    cut = await call("fork_session", "t", checkpoint_id=head)
    assert fork.status == cut.status == "interrupted"
    results = [graph.invoke(Command(resume="yes"), which.config) for which in (fork, cut)] + [
        graph.invoke(Command(resume="yes"), config("t"))
    ]
    assert results[0] == results[1] == results[2]
    assert results[0]["log"][-1] == "last"
    assert "asked yes" in results[0]["log"]


@pytest.mark.operation("rewind_session")
@pytest.mark.parametrize("persistent", [False, True])
async def test_a_rewind_undoes_what_subgraphs_did(
    sessions: SessionManager, call: Call, persistent: bool
) -> None:
    graph = nested(sessions, persistent=persistent)
    whole = []
    for id in ("t", "plain"):
        graph.invoke({"log": ["in"]}, config(id))
        graph.invoke(Command(resume="one"), config(id))
    after_one = graph.get_state(config("t")).config["configurable"]["checkpoint_id"]
    graph.invoke({"log": ["more"]}, config("t"))
    graph.invoke(Command(resume="undone"), config("t"))
    await call("rewind_session", "t", checkpoint_id=after_one)
    cut = await call("fork_session", "t", checkpoint_id=after_one)
    for which in (config("t"), config("plain"), cut.config):
        graph.invoke({"log": ["other"]}, which)
        whole.append(graph.invoke(Command(resume="two"), which))
    assert whole[0] == whole[1] == whole[2]


def extend(value: list[str], writes: list[list[str]]) -> list[str]:
    return [*value, *(item for write in writes for item in write)]


class Deltas(TypedDict):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=4)]


@pytest.mark.operation("fork_session", "rewind_session")
async def test_delta_channels_go_along(sessions: SessionManager, call: Call) -> None:
    builder = StateGraph(Deltas)
    builder.add_node("a", lambda state: {"log": [f"a{len(state['log'])}"]})
    builder.add_edge(START, "a")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    states = []
    for text in ("one", "two", "three"):
        graph.invoke({"log": [text]}, config("t"))
        states.append(graph.get_state(config("t")))
    second = states[1].config["configurable"]["checkpoint_id"]
    fork = await call("fork_session", "t")
    cut = await call("fork_session", "t", checkpoint_id=second)
    await call("rewind_session", "t", checkpoint_id=second)
    assert graph.get_state(fork.config).values == states[2].values
    for which in (cut.config, config("t")):
        assert graph.get_state(which).values == states[1].values
        graph.invoke({"log": ["other"]}, which)
        assert graph.get_state(which).values["log"][-2:] == ["other", "a5"]


@pytest.mark.operation("fork_session")
async def test_a_cut_fork_holds_nothing_of_what_followed(
    sessions: SessionManager, call: Call, store: Store
) -> None:
    graph = chat(sessions)
    for text in ("harmless " * 20, "secret " * 20):
        graph.invoke(say(text), config("t"))
    fork = await call("fork_session", "t", messages=2)
    (namespaces,) = store.execute([ListNamespaces(("checkpoints", fork.id))])
    pages = store.execute([Scan(namespace) for namespace in namespaces])
    stored = b"".join(
        (record.blob or b"") + (record.text or "").encode() for page in pages for record in page
    )
    assert b"harmless" in stored
    assert b"secret" not in stored
    assert [match.session.id for match in sessions.search_sessions("harmless")][:2] != []
    assert [match.session.id for match in sessions.search_sessions("secret")] == ["t"]


@pytest.mark.operation("fork_session")
async def test_branches_go_along_with_a_whole_fork(sessions: SessionManager, call: Call) -> None:
    graph = chat(sessions)
    for text in ("one", "two"):
        graph.invoke(say(text), config("t"))
    early = [state.config for state in graph.get_state_history(config("t"))][-2]
    graph.invoke(None, early)
    fork = await call("fork_session", "t")
    assert dump(sessions, fork.id) == dump(sessions, "t")
    assert sessions.get_session(fork).message_count == len(sessions.messages(fork))  # type: ignore[union-attr]


async def test_a_serializer_of_the_callers_own(store: Store) -> None:
    sessions = SessionManager(store, serde=JsonPlusSerializer())
    graph = chat(sessions)
    graph.invoke(say("zero"), config("t"))
    graph.invoke(say("undone"), config("t"))
    assert texts(sessions.rewind_session("t", messages=2).messages) == ["zero", "re zero"]
    graph.invoke({"messages": [HumanMessage("one"), HumanMessage("two")]}, config("t"))
    with pytest.raises(CheckpointNotFound):
        sessions.rewind_session("t", messages=3)
    fork = sessions.fork_session("t", messages=4)
    assert texts(sessions.messages(fork)) == ["zero", "re zero", "one", "two"]


class Counted(TypedDict):
    count: Annotated[int, operator.add]
    seen: Annotated[list[str], operator.add]


@pytest.mark.operation("rewind_session")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_subgraph_that_remembers(sessions: SessionManager, durability: Any) -> None:
    inner = StateGraph(Counted)
    inner.add_node("x", lambda state: {"count": 1, "seen": [f"call {state.get('count', 0) + 1}"]})
    inner.add_edge(START, "x")
    builder = StateGraph(Nested)
    remembers = inner.compile(checkpointer=True)
    builder.add_node("inner", lambda state: {"log": [remembers.invoke({"seen": []})["seen"][-1]]})
    builder.add_edge(START, "inner")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    heads = []
    for number in range(3):
        graph.invoke({"log": [f"u{number}"]}, config("t"), durability=durability)
        heads.append(graph.get_state(config("t")).config["configurable"]["checkpoint_id"])
    cut = sessions.fork_session("t", checkpoint_id=heads[1])
    whole = sessions.fork_session("t", checkpoint_id=heads[2])
    sessions.rewind_session("t", checkpoint_id=heads[1])
    for which, last in ((cut.config, "call 3"), (whole.config, "call 4"), (config("t"), "call 3")):
        log = graph.invoke({"log": ["more"]}, which, durability=durability)["log"]
        assert log[-1] == last


class DeltaMessages(TypedDict):
    messages: Annotated[list[Any], DeltaChannel(extend)]


async def test_a_conversation_in_a_delta_channel(sessions: SessionManager, call: Call) -> None:
    builder = StateGraph(DeltaMessages)
    builder.add_node("a", lambda state: {"messages": [AIMessage("a")]})
    builder.add_edge(START, "a")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    for text in ("one", "two"):
        graph.invoke({"messages": [HumanMessage(text)]}, config("t"))
    head = graph.get_state(config("t"))
    early = [state for state in graph.get_state_history(config("t")) if state.next == ()][-1]
    fork = await call("fork_session", "t")
    cut = await call(
        "fork_session", "t", checkpoint_id=early.config["configurable"]["checkpoint_id"]
    )
    await call("rewind_session", "t", checkpoint_id=early.config["configurable"]["checkpoint_id"])
    assert graph.get_state(fork.config).values == head.values
    assert graph.get_state(cut.config).values == early.values
    assert graph.get_state(config("t")).values == early.values
    with pytest.raises(UnsupportedByStore):
        await call("fork_session", "t", messages=1)


@pytest.mark.operation("fork_session")
def test_a_fork_beside_a_busy_writer(tmp_path: Path) -> None:
    with SessionManager(f"sqlite:///{tmp_path}/s.db") as sessions:
        graph = chat(sessions)
        graph.invoke(say("begin"), config("t"))
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                graph.invoke(say("more"), config("t"))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(10):
                fork = sessions.fork_session("t")
                assert fork.message_count == len(sessions.messages(fork))
                assert len(graph.get_state(fork.config).values["messages"]) > 0
        finally:
            stop.set()
            writer.join()


@pytest.mark.operation("fork_session")
async def test_a_list_that_was_written_anew(sessions: SessionManager, call: Call) -> None:
    def node(state: MessagesState) -> dict[str, Any]:
        out: list[Any] = [AIMessage(f"r{len(state['messages'])}")]
        if len(state["messages"]) >= 3:
            seen = state["messages"][-2]
            out.append(seen.model_copy(update={"content": f"{seen.content} (seen)"}))
        return {"messages": out}

    builder = StateGraph(MessagesState)
    builder.add_node("n", node)
    builder.add_edge(START, "n")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    for number in range(60):
        graph.invoke(say(f"u{number}"), config("t"))
    fork = await call("fork_session", "t", messages=1)
    assert texts(sessions.messages(fork)) == ["u0"]
    found = await call("rewind_session", "t", messages=1)
    assert texts(found.messages) == ["u0"]


@pytest.mark.operation("rewind_session")
async def test_a_cut_at_a_checkpoint_goes_by_the_stores_time(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    graph = chat(sessions)
    sessions.memory("t").append(HumanMessage("early"))
    clock.advance(1)
    graph.invoke(say("one"), config("t"))
    here = graph.get_state(config("t")).config["configurable"]["checkpoint_id"]
    clock.advance(3600)
    sessions.memory("t").append(HumanMessage("late"))
    graph.invoke(say("two"), config("t"))
    fork = await call("fork_session", "t", checkpoint_id=here)
    found = await call("rewind_session", "t", checkpoint_id=here)
    assert texts(found.messages) == texts(sessions.messages(fork)) == ["early", "one", "re one"]


def remembering(sessions: SessionManager) -> Any:
    """A graph whose subgraph knows how often it was called."""
    inner = StateGraph(Counted)
    inner.add_node("x", lambda state: {"count": 1, "seen": [f"call {state.get('count', 0) + 1}"]})
    inner.add_edge(START, "x")
    builder = StateGraph(Nested)
    remembers = inner.compile(checkpointer=True)
    builder.add_node("inner", lambda state: {"log": [remembers.invoke({"seen": []})["seen"][-1]]})
    builder.add_edge(START, "inner")
    return builder.compile(checkpointer=sessions.checkpointer())


def head_of(graph: Any, id: str) -> str:
    return str(graph.get_state(config(id)).config["configurable"]["checkpoint_id"])


@pytest.mark.operation("rewind_session", "fork_session")
async def test_what_was_undone_is_done_again(sessions: SessionManager, call: Call) -> None:
    graph = remembering(sessions)
    heads = []
    for number in range(3):
        graph.invoke({"log": [f"u{number}"]}, config("t"))
        heads.append(head_of(graph, "t"))
    await call("rewind_session", "t", checkpoint_id=heads[0])
    cut = await call("fork_session", "t", checkpoint_id=heads[2])
    await call("rewind_session", "t", checkpoint_id=heads[2])
    for which in (cut.config, config("t")):
        assert graph.invoke({"log": ["more"]}, which)["log"][-1] == "call 4"


@pytest.mark.operation("rewind_session")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_rewind_to_where_a_rewind_has_led(
    sessions: SessionManager, call: Call, durability: Any
) -> None:
    graph = remembering(sessions)
    graph.invoke({"log": ["u"]}, config("t"), durability=durability)
    for _ in range(3):
        await call("rewind_session", "t", checkpoint_id=head_of(graph, "t"))
    log = graph.invoke({"log": ["more"]}, config("t"), durability=durability)["log"]
    assert log[-1] == "call 2"


@pytest.mark.operation("rewind_session", "prune")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
async def test_subgraphs_can_go_back_as_far_as_a_prune_leaves_the_graph(
    sessions: SessionManager, call: Call, count: int, durability: Any
) -> None:
    graph = remembering(sessions)
    for number in range(3):
        graph.invoke({"log": [f"u{number}"]}, config("t"), durability=durability)
    await call("prune", ["t"], keep_last=count)
    left = [
        (state.config["configurable"]["checkpoint_id"], state.values["log"])
        for state in graph.get_state_history(config("t"))
    ]
    assert len(left) == (min(count, 3) if durability == "exit" else count)
    for id, log in left:
        await call("rewind_session", "t", checkpoint_id=id)
        calls = sum(word.startswith("call") for word in log)
        said = graph.invoke({"log": ["more"]}, config("t"), durability=durability)["log"]
        assert said[-1] == f"call {calls + 1}"


@pytest.mark.operation("rewind_session")
async def test_what_subgraphs_did_can_be_seen_when_all_of_it_is_undone(
    sessions: SessionManager, call: Call
) -> None:
    graph = nested(sessions, persistent=True)
    graph.invoke({"log": ["in"]}, config("t") | {"metadata": {"run_id": "one"}})
    first = list(graph.get_state_history(config("t")))[-1]
    graph.invoke(Command(resume="yes"), config("t") | {"metadata": {"run_id": "two"}})
    before = {item[1]["id"] for item in dump(sessions, "t")}
    await call("rewind_session", "t", checkpoint_id=first.config["configurable"]["checkpoint_id"])
    assert before < {item[1]["id"] for item in dump(sessions, "t")}
    saver = sessions.checkpointer()
    assert saver.get_tuple(config("t", checkpoint_ns="inner")) is None
    for delete in (
        lambda: saver.delete_for_runs(["two"]),
        lambda: sessions.prune(["t"], keep_last=1),
    ):
        left = len([item for item in dump(sessions, "t") if item[0] == "inner"])
        delete()
        assert 0 < len([item for item in dump(sessions, "t") if item[0] == "inner"]) < left
        assert saver.get_tuple(config("t", checkpoint_ns="inner")) is None


@pytest.mark.operation("rewind_session")
async def test_a_message_that_is_added_in_the_middle_of_a_run(
    sessions: SessionManager, call: Call
) -> None:
    calls: list[str] = []
    graph = chat(sessions, calls)
    graph.invoke(say("one"), config("t"))
    await call("rewind_session", "t", messages=1)
    sessions.memory("t", source="graph").append(HumanMessage("by the way"))
    assert graph.get_state(config("t")).next == ("answer",)
    graph.invoke(None, config("t"))
    assert calls == ["one", "by the way"]
    assert texts(sessions.messages("t")) == ["one", "by the way", "re by the way"]


async def test_a_change_that_changes_nothing_puts_nothing(sessions: SessionManager) -> None:
    memory = sessions.memory("t", source="graph")
    assert not memory.update_last(HumanMessage("nobody"))
    assert not memory.remove_last()
    assert memory.clear_messages() == 0
    assert sessions.get_session("t") is None


class Asked(TypedDict):
    q: str
    told: list[str]


class Told(Asked):
    heard: Annotated[list[str], operator.add]


def hearing(sessions: SessionManager) -> Any:
    """A graph whose subgraph tells all that it was ever asked; steps come before and after it."""
    inner = StateGraph(Told)
    inner.add_node(
        "x", lambda state: {"heard": [state["q"]], "told": [*state.get("heard", []), state["q"]]}
    )
    inner.add_edge(START, "x")
    builder = StateGraph(Asked)
    builder.add_node("inner", inner.compile(checkpointer=True))
    nodes = ("before", "inner", "after", "last")
    for name in nodes:
        if name != "inner":
            builder.add_node(name, lambda state: {})
    for one, other in zip((START, *nodes), nodes, strict=False):
        builder.add_edge(one, other)
    return builder.compile(checkpointer=sessions.checkpointer())


def branched(sessions: SessionManager, durability: Any) -> Any:
    """A graph that was asked, taken back in the middle of it, and asked again."""
    graph = hearing(sessions)
    graph.invoke({"q": "one"}, config("t"))
    early = next(
        state for state in graph.get_state_history(config("t")) if state.next == ("inner",)
    )
    graph.invoke({"q": "undone"}, config("t"), durability=durability)
    sessions.rewind_session("t", checkpoint_id=early.config["configurable"]["checkpoint_id"])
    graph.invoke(None, config("t"))
    graph.invoke({"q": "two"}, config("t"))
    return graph


def heard_from(sessions: SessionManager, graph: Any) -> dict[str, list[str]]:
    """What the subgraph would tell after a rewind to each checkpoint that is there."""
    found = {}
    for state in list(graph.get_state_history(config("t"))):
        id = state.config["configurable"]["checkpoint_id"]
        fork = sessions.fork_session("t")
        sessions.rewind_session(fork, checkpoint_id=id)
        found[id] = graph.invoke({"q": "next"}, fork.config)["told"]
        sessions.delete_session(fork)
    return found


@pytest.mark.operation("rewind_session", "prune")
@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_a_prune_does_not_mix_what_subgraphs_heard_on_different_ways(
    sessions: SessionManager, durability: Any
) -> None:
    graph = branched(sessions, durability)
    before = heard_from(sessions, graph)
    assert ["next"] in before.values()
    assert ["one", "undone", "next"] in before.values()
    assert ["one", "two", "next"] in before.values()
    for count in range(len(before) - 1, 0, -1):
        sessions.prune(["t"], keep_last=count)
        after = heard_from(sessions, graph)
        assert len(after) == count
        assert after == {id: before[id] for id in after}
        assert sessions.check().ok


def test_what_ways_have_left_is_told_of_all_of_them_at_once(sessions: SessionManager) -> None:
    branched(sessions, "exit")
    graph = remembering(sessions)
    for number in range(3):
        graph.invoke({"log": [f"u{number}"]}, config("u"))
        sessions.rewind_session("u", checkpoint_id=head_of(graph, "u"))
    for id in ("t", "u", "t"):
        paths = SessionPaths((), id)

        def look(paths: SessionPaths = paths) -> Plan[None]:
            found = yield from read_session(sessions._values, paths)
            assert found is not None
            whole = yield from read_graph(
                sessions._values, paths, found.root, found.graph.namespaces
            )
            (inner,) = (one for one in found.graph.namespaces if one.place.remembers)
            departures = whole.departures(inner)
            every = yield from whole.trail.all()
            assert departures.keys() == every.keys()
            for one, stored in every.items():
                way = yield from whole.way(stored)
                made = whole.made_on(inner, way, last=False)
                assert departures[one] is (made[-1] if made else None)

        run(look(), sessions._store)
        sessions.prune(["t"], keep_last=4)


@pytest.mark.operation("messages")
async def test_what_is_left_of_a_conversation_stays_where_it_was(
    sessions: SessionManager, clock: FrozenClock
) -> None:
    graph = chat(sessions)
    graph.invoke(say("one"), config("t"), durability="exit")
    clock.advance(1)
    sessions.memory("t").append(HumanMessage("later"))
    clock.advance(1)
    assert sessions.memory("t", source="graph").remove_last()
    assert texts(sessions.messages("t")) == ["one", "later"]


@pytest.mark.operation("fork_session", "rewind_session")
async def test_a_cut_at_where_a_rewind_has_led_keeps_what_the_rewind_kept() -> None:
    with SessionManager("memory://") as sessions:
        graph = chat(sessions)
        graph.invoke(say("one"), config("t"))
        sessions.memory("t").append(HumanMessage("later"))
        sessions.rewind_session("t", messages=3)
        sessions.memory("t").append(HumanMessage("last"))
        here = head_of(graph, "t")
        fork = sessions.fork_session("t", checkpoint_id=here)
        found = sessions.rewind_session("t", checkpoint_id=here)
        assert texts(found.messages) == texts(sessions.messages(fork)) == ["one", "re one", "later"]


@pytest.mark.operation("rewind_session", "prune")
@pytest.mark.parametrize("goes_on", [False, True])
async def test_what_was_undone_does_not_come_back_with_a_prune(
    sessions: SessionManager, call: Call, goes_on: bool
) -> None:
    graph = remembering(sessions)
    graph.invoke({"log": ["u"]}, config("t"))
    first = list(graph.get_state_history(config("t")))[-1]
    await call("rewind_session", "t", checkpoint_id=first.config["configurable"]["checkpoint_id"])
    if goes_on:
        graph.update_state(config("t"), {"log": ["v"]}, as_node="__start__")
    await call("prune", ["t"], keep_last=2 if goes_on else 1)
    await call("rewind_session", "t", checkpoint_id=head_of(graph, "t"))
    assert graph.invoke({"log": ["more"]}, config("t"))["log"][-1] == "call 1"
