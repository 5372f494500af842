"""A conversation that graphs hand around is stored once: to subgraphs, to tasks, and back."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from graphs.oracle import in_memory
from threadloom import MemoryStore, SessionManager, SQLiteStore, StoreCheckpointer
from threadloom.checkpoint import kin
from threadloom.checkpoint.cache import cache_of
from threadloom.checkpoint.changes import Base
from threadloom.store import Store

from .measures import prose, stored_bytes
from .talk import Chat, answer, config, question, replies

LONG = 400
Build = Callable[[Any], Any]


def inner(saver: Any = None) -> Any:
    builder = StateGraph(Chat)
    builder.add_node("say", replies(LONG))
    builder.add_edge(START, "say")
    return builder.compile(checkpointer=saver)


def around(node: Any, saver: Any) -> Any:
    builder = StateGraph(Chat)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=saver)


def a_subgraph(saver: Any) -> Any:
    return around(inner(), saver)


def one_that_remembers(saver: Any) -> Any:
    return around(inner(True), saver)


def one_in_another(saver: Any) -> Any:
    return around(around(inner(), None), saver)


def tasks_that_are_sent_the_state(saver: Any) -> Any:
    """As agents do that send their whole state to each of their tools."""
    builder = StateGraph(Chat)
    builder.add_node("ask", lambda state: {})
    builder.add_node("tool", lambda sent: {"messages": [answer(sent["state"], LONG)]})
    builder.add_edge(START, "ask")
    builder.add_conditional_edges(
        "ask", lambda state: [Send("tool", {"call": 1, "state": {**state}})], ["tool"]
    )
    return builder.compile(checkpointer=saver)


GRAPHS: list[Build] = [
    a_subgraph,
    one_that_remembers,
    one_in_another,
    tasks_that_are_sent_the_state,
]


@pytest.fixture(params=GRAPHS, ids=lambda build: build.__name__)
def build(request: pytest.FixtureRequest) -> Build:
    found: Build = request.param
    return found


def talk(graph: Any, turns: range) -> None:
    for turn in turns:
        graph.invoke(question(turn, LONG), config())


def test_each_turn_takes_as_much_as_the_one_before(store: Store, build: Build) -> None:
    graph = build(StoreCheckpointer(store))
    sizes = {}
    begin = 0
    for end in (20, 40, 80):
        talk(graph, range(begin, end))
        begin, sizes[end] = end, stored_bytes(store)
    early = (sizes[40] - sizes[20]) / 20
    late = (sizes[80] - sizes[40]) / 40
    assert late <= 1.25 * early, sizes


def seen(saver: BaseCheckpointSaver[str]) -> list[Any]:
    """All that a checkpointer knows, but for ids and times, which differ."""
    found = []
    for item in saver.list(config()):
        found.append(
            (
                item.config["configurable"]["checkpoint_ns"].split(":")[0],
                item.metadata.get("step"),
                item.checkpoint["channel_values"].get("messages"),
                item.checkpoint["channel_values"].get("__start__"),
                sorted(
                    (channel, repr(value))
                    for _, channel, value in item.pending_writes or ()
                    if channel == "messages"
                ),
            )
        )
    return sorted(found, key=repr)


def test_what_was_put_is_read(store: Store, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "_LEAST", 2)
    saver, oracle = StoreCheckpointer(store), in_memory()
    for each in (saver, oracle):
        talk(build(each), range(12))
    again = StoreCheckpointer(store)
    assert seen(again) == seen(oracle)


def test_sweeps_and_copies_keep_what_others_refer_to(
    store: Store, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kin, "_LEAST", 2)
    sessions = SessionManager(store)
    talk(build(sessions.checkpointer()), range(10))
    before = seen(sessions.checkpointer())
    fork = sessions.fork_session("t")
    cut = sessions.fork_session("t", messages=10)
    sessions.checkpointer().copy_thread("t", "copy")
    sessions.compact("t")
    assert seen(sessions.checkpointer()) == before
    sessions.rewind_session("t", messages=18)
    sessions.prune(["t"], keep_last=2)
    sessions.compact("t")
    kept = seen(sessions.checkpointer())
    assert 2 <= len(kept) < len(before)
    sessions.delete_session("t")
    texts = [m.content for m in sessions.messages(fork)]
    assert len(texts) == 20
    assert [m.content for m in sessions.messages("copy")] == texts
    assert [m.content for m in sessions.messages(cut)] == texts[:10]
    for id in (fork.id, cut.id, "copy"):
        list(sessions.checkpointer().list(config(id)))
    assert sessions.check().ok


def test_what_a_subgraph_changes_is_its_own(store: Store) -> None:
    def changes(state: Any) -> dict[str, Any]:
        first = state["messages"][0]
        first.content = f"changed {len(state['messages'])}"
        return {"messages": [first, answer(state, LONG)]}

    builder = StateGraph(Chat)
    builder.add_node("say", changes)
    builder.add_edge(START, "say")
    saver = StoreCheckpointer(store)
    graph = around(builder.compile(), saver)
    talk(graph, range(6))
    history = [item.values.get("messages") for item in graph.get_state_history(config())]
    firsts = [messages[0].content for messages in history if messages]
    assert firsts[0] == "changed 11"
    assert set(firsts[1:]) >= {"changed 9", "changed 7", "changed 5"}
    assert SessionManager(store).check().ok


def test_where_the_head_has_gone_it_is_stored_anew(tmp_path: Path) -> None:
    """Somebody else deletes the graph state while this process still knows how it stood."""
    messages = [HumanMessage(prose(n, LONG), id=f"m{n}") for n in range(20)]
    with SQLiteStore(tmp_path / "s.db") as store, SQLiteStore(tmp_path / "s.db") as elsewhere:
        sessions, others = SessionManager(store), SessionManager(elsewhere)
        graph = around(replies(), sessions.checkpointer())
        graph.invoke({"messages": messages}, config())
        head = graph.get_state(config()).config
        others.rewind_session("t", messages=20)
        others.prune(["t"], keep_last=1)
        here = others.checkpointer().get_tuple(config())
        assert here is not None
        assert (
            here.config["configurable"]["checkpoint_id"] != (head["configurable"]["checkpoint_id"])
        )
        sessions.checkpointer().put_writes(
            here.config, [("messages", [*messages, AIMessage("late", id="late")])], "task"
        )
        found = others.checkpointer().get_tuple(here.config)
        assert found is not None
        (write,) = found.pending_writes or ()
        assert write[2] == [*messages, AIMessage("late", id="late")]
        assert others.check().ok


def test_a_list_of_a_session_that_is_larger_than_the_cache(store: Store) -> None:
    saver = StoreCheckpointer(store)
    cache_of(store).limit = 30_000
    graph = a_subgraph(saver)
    talk(graph, range(12))
    wanted = len(list(in_memory_after(12).list(config())))
    for limit in (20_000, 30_000, 40_000, 60_000):
        cache_of(store).limit = limit
        assert len(list(saver.list(config()))) == wanted
        assert len(list(StoreCheckpointer(store).list(config()))) == wanted


def in_memory_after(turns: int) -> BaseCheckpointSaver[str]:
    oracle = in_memory()
    talk(a_subgraph(oracle), range(turns))
    return oracle


class Logged(Chat, total=False):
    log: Annotated[list[Any], operator.add]
    notes: Annotated[dict[str, Any], operator.or_]


def test_a_log_of_what_was_seen_grows_with_what_is_new(store: Store) -> None:
    def node(state: Any) -> dict[str, Any]:
        count = len(state["messages"])
        seen = state["messages"][-10:]
        some = [{"n": count * 100 + n, "text": f"some small item {n}"} for n in range(20)]
        return {
            "messages": [answer(state)],
            "log": [{"step": count, "seen": list(seen)}, *some],
            "notes": {f"{count % 40}": {"seen": list(seen), "n": count}},
        }

    builder = StateGraph(Logged)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=StoreCheckpointer(store))
    sizes = {}
    begin = 0
    for end in (20, 40, 80):
        talk(graph, range(begin, end))
        begin, sizes[end] = end, stored_bytes(store)
    assert (sizes[80] - sizes[40]) / 40 <= 1.25 * (sizes[40] - sizes[20]) / 20, sizes


class Attributes(dict):  # type: ignore[type-arg]
    """A dict whose entries are its attributes, as many programs have one."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.__dict__ = self


class Unsliced(tuple):  # type: ignore[type-arg]
    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            raise TypeError("no slices")
        return super().__getitem__(at)


def test_values_of_odd_classes_beside_a_long_conversation(store: Store) -> None:
    saver = StoreCheckpointer(store)
    graph = around(replies(), saver)
    messages = [HumanMessage(f"{n}", id=f"m{n}") for n in range(12)]
    graph.invoke({"messages": messages}, config())
    head = graph.get_state(config()).config
    written = [("x", Attributes(values=[1, 2], a=1)), ("y", Unsliced((1, 2)))]
    saver.put_writes(head, written, "task")
    found = StoreCheckpointer(store).get_tuple(head)
    assert found is not None
    assert [(channel, value) for _, channel, value in found.pending_writes or ()] == written


def test_lists_that_have_little_in_common_with_it_cost_no_more() -> None:
    """Counted, not timed: how often messages are compared."""
    store = MemoryStore()
    saver = StoreCheckpointer(store)
    graph = around(lambda state: {}, saver)
    messages = [HumanMessage(f"{n}", id=f"m{n}") for n in range(1_000)]
    graph.invoke({"messages": messages}, config())
    head = graph.get_state(config()).config
    some = graph.get_state(config()).values["messages"]
    foreign = [[HumanMessage(f"{n}", id=f"f{n}") for n in range(8)] for _ in range(250)]
    with counted(Base, "first_differing") as comparisons:
        saver.put_writes(head, [("x", [some[::2], some[::-1], foreign])], "task")
        assert not comparisons
        saver.put_writes(head, [("x", [*some[:500], *some[600:]])], "other")
        assert len(comparisons) <= 4
    found = saver.get_tuple(head)
    assert found is not None
    values = {task: value for task, _, value in found.pending_writes or ()}
    assert values["task"] == [some[::2], some[::-1], foreign]
    assert values["other"] == [*some[:500], *some[600:]]


@contextmanager
def counted(owner: type, name: str) -> Iterator[list[None]]:
    calls: list[None] = []
    real = getattr(owner, name)

    def method(*args: Any) -> Any:
        calls.append(None)
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, method)
        yield calls
