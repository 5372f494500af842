"""The conversation over both doors, and what the index says of it."""

from __future__ import annotations

import logging
import warnings
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from threadloom import SessionConflict, SessionManager, SessionNotFound
from threadloom.store import Store
from threadloom.testing import FrozenClock


def usage(total: int) -> dict[str, int]:
    return {"input_tokens": 1, "output_tokens": total - 1, "total_tokens": total}


def graph_of(sessions: SessionManager, *nodes: Any, **compiled: Any) -> Any:
    builder = StateGraph(MessagesState)
    before = START
    for number, node in enumerate(nodes):
        builder.add_node(f"n{number}", node)
        builder.add_edge(before, f"n{number}")
        before = f"n{number}"
    return builder.compile(checkpointer=sessions.checkpointer(), **compiled)


def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [AIMessage("answer", usage_metadata=usage(5))]}


def config(id: str = "x", **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": id, **more}}


def say(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def texts(messages: list[BaseMessage]) -> list[str]:
    return [message.text for message in messages]


def chain_of(sessions: SessionManager, *replies: str) -> Any:
    prompt = ChatPromptTemplate.from_messages(
        [MessagesPlaceholder("history"), ("human", "{question}")]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RunnableWithMessageHistory(
            prompt | FakeListChatModel(responses=list(replies)),
            sessions.memory,
            input_messages_key="question",
            history_messages_key="history",
        )


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_graph_run_keeps_the_index_true(
    sessions: SessionManager, clock: FrozenClock, durability: Any
) -> None:
    graph = graph_of(sessions, answer)
    for turn in range(1, 4):
        clock.advance(1)
        graph.invoke(say("question"), config(user_id="ana"), durability=durability)
        info = sessions.get_session("x")
        assert info is not None
        assert (info.turn_count, info.message_count, info.total_tokens) == (
            turn,
            2 * turn,
            5 * turn,
        )
        assert (info.status, info.owner) == ("idle", "ana")
        assert info.updated_at == clock()
    assert info.created_at == clock() - timedelta(seconds=2)


@pytest.mark.operation("get_status")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_an_interrupt_shows_and_a_resume_is_no_turn(
    sessions: SessionManager, durability: Any
) -> None:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(interrupt("sure?"))]}

    graph = graph_of(sessions, answer, ask)
    graph.invoke(say("hi"), config(), durability=durability)
    waiting = sessions.get_session("x")
    assert waiting is not None
    assert (waiting.status, waiting.turn_count, waiting.message_count) == ("interrupted", 1, 2)
    assert [s.id for s in sessions.list_sessions(status="interrupted")] == ["x"]
    graph.invoke(Command(resume="yes"), config(), durability=durability)
    done = sessions.get_session("x")
    assert done is not None
    assert (done.status, done.turn_count, done.message_count) == ("idle", 1, 3)


@pytest.mark.operation("get_status")
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_an_error_shows_until_the_run_goes_on(sessions: SessionManager, durability: Any) -> None:
    broken = [True]

    def fail(state: MessagesState) -> dict[str, Any]:
        if broken[0]:
            raise ValueError("no")
        return {"messages": [AIMessage("now it works")]}

    graph = graph_of(sessions, answer, fail)
    with pytest.raises(ValueError, match="no"):
        graph.invoke(say("hi"), config(), durability=durability)
    assert sessions.get_session("x").status == "error"  # type: ignore[union-attr]
    broken[0] = False
    graph.invoke(None, config(), durability=durability)
    done = sessions.get_session("x")
    assert done is not None
    assert (done.status, done.turn_count, done.message_count) == ("idle", 1, 3)


@pytest.mark.operation("get_status")
def test_a_static_breakpoint_reads_idle(sessions: SessionManager) -> None:
    graph = graph_of(sessions, answer, answer, interrupt_before=["n1"])
    graph.invoke(say("hi"), config())
    assert graph.get_state(config()).next == ("n1",)
    assert sessions.get_session("x").status == "idle"  # type: ignore[union-attr]


def test_edits_and_removals_are_counted(sessions: SessionManager) -> None:
    graph = graph_of(sessions, answer)
    graph.invoke(say("one"), config())
    first, second = sessions.messages("x")
    graph.update_state(config(), {"messages": [HumanMessage("ONE", id=first.id)]})
    assert texts(sessions.messages("x")) == ["ONE", "answer"]
    graph.update_state(config(), {"messages": [RemoveMessage(id=second.id or "")]})
    info = sessions.get_session("x")
    assert info is not None
    assert (info.message_count, info.total_tokens, info.turn_count) == (1, 0, 1)


@pytest.mark.operation("messages")
async def test_graph_and_chain_on_one_session(sessions: SessionManager, clock: FrozenClock) -> None:
    graph, chain = graph_of(sessions, answer), chain_of(sessions, "r1", "r2")
    both = {"configurable": {"thread_id": "x", "session_id": "x"}}
    graph.invoke(say("q1"), both)
    clock.advance(1)
    chain.invoke({"question": "q2"}, both)
    clock.advance(1)
    await graph.ainvoke(say("q3"), both)
    clock.advance(1)
    await chain.ainvoke({"question": "q4"}, both)
    expected = ["q1", "answer", "q2", "r1", "q3", "answer", "q4", "r2"]
    assert texts(sessions.messages("x")) == expected
    assert texts(await sessions.amessages("x")) == expected
    assert texts(sessions.messages("x", source="history")) == ["q2", "r1", "q4", "r2"]
    assert texts(sessions.messages("x", source="graph")) == ["q1", "answer", "q3", "answer"]
    info = sessions.get_session("x")
    assert info is not None
    assert info.message_count == 8
    assert "session_id" not in graph.get_state(both).metadata


@pytest.mark.operation("messages")
def test_a_message_that_came_in_by_both_doors_shows_once(sessions: SessionManager) -> None:
    graph = graph_of(sessions, answer)
    graph.invoke(say("q"), config())
    sessions.memory("x").add_messages([*sessions.messages("x"), HumanMessage("only here")])
    info = sessions.get_session("x")
    assert info is not None
    assert (info.message_count, info.total_tokens) == (3, 5)
    assert texts(sessions.messages("x")) == ["q", "answer", "only here"]
    # The other way round: the graph takes in what the history has already.
    graph.invoke({"messages": [sessions.memory.load("x")[-1]]}, config())
    info = sessions.get_session("x")
    assert info is not None
    assert info.message_count == len(sessions.messages("x")) == 4
    sessions.memory("x").remove_last()
    assert sessions.get_session("x").message_count == len(sessions.messages("x"))  # type: ignore[union-attr]


@pytest.mark.operation("messages")
@pytest.mark.parametrize("doors", ["history", "graph", "both"])
def test_pages_of_a_conversation(sessions: SessionManager, doors: str) -> None:
    graph = graph_of(sessions, answer)
    for number in range(5):
        if doors != "history":
            graph.invoke(say(f"g{number}"), config())
        if doors != "graph":
            sessions.memory("x").add_messages([HumanMessage(f"h{number}"), AIMessage("a")])
    whole = sessions.messages("x")
    assert len(whole) == (20 if doors == "both" else 10)
    pages: list[BaseMessage] = []
    before = None
    while page := sessions.messages("x", limit=3, before=before):
        pages = page + pages
        before = page[0].id
    assert pages == whole
    assert sessions.messages("x", before="nobody's id") == []
    assert sessions.messages("x", limit=0) == []
    assert sessions.messages("x", limit=100) == whole


def test_sessions_must_be_made_where_they_may_not_begin_by_themselves(store: Store) -> None:
    strict = SessionManager(store, implicit_sessions=False)
    graph = graph_of(strict, answer)
    with pytest.raises(SessionNotFound):
        graph.invoke(say("hi"), config())
    with pytest.raises(SessionNotFound):
        strict.memory("x").add_user_message("hi")
    assert strict.count_sessions() == 0
    strict.create_session(id="x")
    graph.invoke(say("hi"), config())
    assert len(strict.messages("x")) == 2


def test_a_run_that_was_overtaken_is_kept_counted_and_logged(
    sessions: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    graph = graph_of(sessions, answer)
    graph.invoke(say("first"), config())
    saver = sessions.checkpointer()
    slow = overtaken(graph, saver)
    with caplog.at_level(logging.WARNING, "threadloom"):
        slow()
    assert "overtaken" in caplog.text
    assert sessions.get_session("x").conflicts == 1  # type: ignore[union-attr]
    reachable = {
        message.text
        for state in graph.get_state_history(config())
        for message in state.values.get("messages", [])
    }
    assert {"fast", "slow"} <= reachable


def test_a_run_that_was_overtaken_can_be_refused(store: Store) -> None:
    sessions = SessionManager(store, on_conflict="raise")
    graph = graph_of(sessions, answer)
    graph.invoke(say("first"), config())
    slow = overtaken(graph, sessions.checkpointer())
    with pytest.raises(SessionConflict, match="overtaken"):
        slow()
    assert texts(sessions.messages("x")) == ["first", "answer", "fast", "answer"]


def overtaken(graph: Any, saver: Any) -> Any:
    """A run that has read the head, and stores its first checkpoint after another run's."""
    from langgraph.graph import StateGraph as Builder

    def race(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("late")]}

    class Slow(type(saver)):  # type: ignore[misc]
        def get_tuple(self, asked: Any) -> Any:
            found = super().get_tuple(asked)
            if not getattr(self, "raced", False):
                self.raced = True
                graph.invoke(say("fast"), config())
            return found

    slow_saver = object.__new__(Slow)
    slow_saver.__dict__.update(saver.__dict__)
    builder = Builder(MessagesState)
    builder.add_node("race", race)
    builder.add_edge(START, "race")
    slow = builder.compile(checkpointer=slow_saver)
    return lambda: slow.invoke(say("slow"), config())


@pytest.mark.parametrize("on_conflict", ["branch", "raise"])
def test_branching_on_purpose_is_no_conflict(store: Store, on_conflict: Any) -> None:
    sessions = SessionManager(store, on_conflict=on_conflict)
    graph = graph_of(sessions, answer)
    graph.invoke(say("one"), config())
    middle = list(graph.get_state_history(config()))[1]
    graph.invoke(say("two"), config())
    graph.invoke(say("instead"), middle.config)
    graph.invoke(None, middle.config)
    graph.update_state(middle.config, {"messages": [HumanMessage("edited")]})
    assert sessions.get_session("x").conflicts == 0  # type: ignore[union-attr]
    assert texts(sessions.messages("x"))[-1] == "edited"
