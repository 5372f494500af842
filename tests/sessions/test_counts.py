"""The counts of a session are what `messages` shows, whatever was done through either door."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import InvalidKey, MemoryStore, SessionManager
from threadloom.messages import token_total
from threadloom.ops import DropTree, Put
from threadloom.store import Store
from threadloom.testing import FrozenClock

IDS = st.sampled_from([f"m{number}" for number in range(6)])
STEPS = st.one_of(
    st.tuples(st.just("graph"), IDS),
    st.tuples(st.just("append"), st.lists(IDS, max_size=3)),
    st.tuples(st.just("update_last"), IDS),
    st.tuples(st.just("remove_last"), st.none()),
    st.tuples(st.just("remove from graph"), IDS),
    st.tuples(st.just("clear"), st.none()),
    st.tuples(st.just("delete thread"), st.none()),
    st.tuples(st.just("prune"), st.none()),
    st.tuples(st.just("delete run"), st.integers(0, 5)),
    st.tuples(st.just("copy"), st.lists(IDS, max_size=3)),
)


def message(id: str) -> BaseMessage:
    tokens = 1 + int(id[1:])
    usage = {"input_tokens": 0, "output_tokens": tokens, "total_tokens": tokens}
    return AIMessage(f"text of {id}", id=id, usage_metadata=usage)  # type: ignore[arg-type]


def build(sessions: SessionManager) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("nothing", lambda state: {"messages": []})
    builder.add_edge(START, "nothing")
    return builder.compile(checkpointer=sessions.checkpointer())


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=14))
def test_counts_are_what_messages_shows(steps: list[tuple[str, Any]]) -> None:
    with MemoryStore() as store:
        sessions = SessionManager(store)
        graph, saver = build(sessions), sessions.checkpointer()
        ids, runs = ["x"], 0
        sessions.create_session(id="x")
        for step, what in steps:
            id = ids[-1]
            history = sessions.memory(id)
            if step == "graph":
                runs += 1
                config = {"configurable": {"thread_id": id}, "metadata": {"run_id": f"r{runs}"}}
                graph.invoke({"messages": [message(what)]}, config)
            elif step == "append":
                history.add_messages([message(one) for one in what])
            elif step == "update_last":
                try:
                    history.update_last(message(what))
                except InvalidKey:
                    assert what in {one.id for one in history.load()[:-1]}
            elif step == "remove_last":
                history.remove_last()
            elif step == "remove from graph":
                shown = sessions.messages(id, source="graph")
                if what in {one.id for one in shown}:
                    config = {"configurable": {"thread_id": id}}
                    graph.update_state(config, {"messages": [RemoveMessage(id=what)]})
            elif step == "clear":
                history.clear()
            elif step == "delete thread":
                saver.delete_thread(id)
            elif step == "prune":
                saver.prune([id])
            elif step == "delete run":
                saver.delete_for_runs([f"r{what}"])
            else:
                target = f"copy{len(ids)}"
                sessions.memory(target).add_messages([message(one) for one in what])
                saver.copy_thread(id, target)
                ids.append(target)
            for known in ids:
                info = sessions.get_session(known)
                if info is not None:
                    shown = sessions.messages(known)
                    assert info.message_count == len(shown), (step, what)
                    assert info.total_tokens == token_total(shown), (step, what)


def test_a_message_that_comes_in_by_both_doors_at_once_is_counted_once(store: Store) -> None:
    sessions = SessionManager(store)
    graph = build(sessions)
    for number in range(15):
        id = f"s{number}"
        sessions.create_session(id=id)
        gate = threading.Barrier(2)

        def by_graph(id: str = id, gate: threading.Barrier = gate) -> None:
            gate.wait(20)
            graph.invoke({"messages": [message("m1")]}, {"configurable": {"thread_id": id}})

        def by_chain(id: str = id, gate: threading.Barrier = gate) -> None:
            gate.wait(20)
            sessions.memory(id).append(message("m1"))

        threads = [threading.Thread(target=door) for door in (by_graph, by_chain)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        info = sessions.get_session(id)
        assert info is not None
        assert info.message_count == len(sessions.messages(id)) == 1


def test_a_message_cannot_take_the_id_of_another(sessions: SessionManager) -> None:
    history = sessions.memory("x")
    history.add_messages([HumanMessage("1", id="a"), HumanMessage("2", id="b")])
    with pytest.raises(InvalidKey, match="'a'"):
        history.update_last(HumanMessage("3", id="a"))
    assert [one.text for one in history.load()] == ["1", "2"]


def test_the_time_of_a_message_is_the_managers(clock: FrozenClock) -> None:
    with MemoryStore() as store:  # by the system's clock
        sessions = SessionManager(store, clock=clock)
        graph = build(sessions)
        graph.invoke({"messages": [HumanMessage("1")]}, {"configurable": {"thread_id": "x"}})
        clock.advance(1)
        sessions.memory("x").append(HumanMessage("2"))
        clock.advance(1)
        graph.invoke({"messages": [HumanMessage("3")]}, {"configurable": {"thread_id": "x"}})
        assert [one.text for one in sessions.messages("x")] == ["1", "2", "3"]
        (timed,) = sessions.memory("x").load_with_timestamps()
        assert timed.created_at == clock() - timedelta(seconds=1)


def test_every_write_ends_with_the_sessions_record(store: Store) -> None:
    """On an engine without atomic batches a crash then leaves an older valid state."""
    batches: list[Any] = []

    class Watched(MemoryStore):
        def execute(self, ops: Any, /) -> Any:
            batches.append(ops)
            return super().execute(ops)

    with Watched() as watched:
        sessions = SessionManager(watched)
        build(sessions).invoke({"messages": [HumanMessage("1")]}, sessions.create_session().config)
        history = sessions.memory("y")
        history.add_messages([HumanMessage("1"), HumanMessage("2")])
        history.update_last(HumanMessage("3"))
        history.remove_last()
        history.set_summary("s")
        history.clear()
        sessions.checkpointer().prune(["y"])
    writes = [ops for ops in batches if any(isinstance(op, (Put, DropTree)) for op in ops)]
    assert len(writes) >= 8
    for ops in writes:
        changed = [op for op in ops if type(op).__name__ in ("Put", "Patch", "Delete", "DropTree")]
        assert changed[-1].namespace == ("sessions",), ops


def test_what_is_our_own_is_not_shown(sessions: SessionManager, clock: FrozenClock) -> None:
    sessions.create_session(id="gone")
    sessions.delete_session("gone")
    sessions.create_session(id="x", ttl=timedelta(minutes=1))
    sessions.memory("x").append(HumanMessage("secret"))
    shown = sessions.store.search(("sessions",))
    assert [item.key for item in shown] == ["x"]
    assert [item.value["text"] for item in sessions.store.search(("memory", "x"))] == ["secret"]
    assert sessions.store.list_namespaces(prefix=("sessions",)) == [("sessions",)]
    assert sessions.store.list_namespaces(prefix=("memory",)) == [("memory", "x")]
    clock.advance(timedelta(minutes=1))
    assert sessions.store.search(("sessions",)) == []
    assert sessions.store.search(("memory", "x")) == []
    assert sessions.store.search(("memory",)) == []
    assert sessions.store.get(("memory", "x"), "0000000000") is None
