"""Storage grows with what is new, and calls cost the same however long a thread is.

Counts of bytes and operations, never of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, RemoveMessage, SystemMessage
from langgraph.checkpoint.serde.types import ERROR
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from threadloom import MemoryStore, SessionManager, SQLiteStore, StoreCheckpointer
from threadloom.store import Store
from threadloom.testing import FaultyStore

from . import talk as chats
from .measures import Cost, cost, file_bytes, flat, prose, statements, stored_bytes
from .talk import Windowed, config, edits_first, one_node, question, replies, talk

LONG = 400
"""Characters of a question or an answer."""
TURN = 4_000
"""Bytes that a turn of two such messages may take."""
LONG_THREAD = 250
"""Turns of a thread in which nothing may cost more than in one of 50."""


def in_front(state: Any) -> dict[str, Any]:
    """Puts a new summary before everything else."""
    first, *rest = state["messages"]
    kept = rest if first.id.startswith("summary") else state["messages"]
    summary = SystemMessage(prose(len(rest), LONG), id=f"summary{len(rest)}")
    replies = [summary, *kept, chats.answer(state, LONG)]
    return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *replies]}


GRAPHS: dict[str, Callable[[Any], Any]] = {
    "chat": lambda saver: one_node(saver, replies(LONG)),
    "window": lambda saver: one_node(saver, replies(LONG), Windowed),
    "edit": lambda saver: one_node(saver, edits_first(LONG)),
    "front": lambda saver: one_node(saver, in_front),
}


# ── Bytes ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("style", list(GRAPHS))
def test_each_turn_takes_as_much_as_the_one_before(store: Store, style: str) -> None:
    graph = GRAPHS[style](StoreCheckpointer(store))
    sizes = {}
    begin = 0
    for end in (20, 40, 80):
        talk(graph, range(begin, end), LONG)
        begin, sizes[end] = end, stored_bytes(store)
    early = (sizes[40] - sizes[20]) / 20
    late = (sizes[80] - sizes[40]) / 40
    assert late <= 1.25 * early, sizes


@pytest.mark.parametrize(
    ("style", "limit"),
    [("chat", TURN), ("window", TURN), ("edit", TURN * 1.5), ("front", TURN * 2)],
)
def test_a_turn_is_small(store: Store, style: str, limit: float) -> None:
    """What a turn adds is near the size of what is new in it."""
    graph = GRAPHS[style](StoreCheckpointer(store))
    talk(graph, range(30), LONG)
    before = stored_bytes(store)
    talk(graph, range(30, 60), LONG)
    assert (stored_bytes(store) - before) / 30 <= limit


def test_turns_by_others_are_small(tmp_path: Path) -> None:
    """What is stored already is found there, by checkpointers that have never seen it as well."""
    with SQLiteStore(tmp_path / "a.db") as one, SQLiteStore(tmp_path / "a.db") as two:
        talk(one_node(StoreCheckpointer(one), replies(LONG)), range(30), LONG)
        before = stored_bytes(one)
        for turn in range(30, 60):
            saver = StoreCheckpointer((one, two)[turn % 2])
            talk(one_node(saver, replies(LONG)), range(turn, turn + 1), LONG)
        assert (stored_bytes(one) - before) / 30 <= TURN


def test_a_branch_shares_what_came_before(store: Store) -> None:
    graph = one_node(StoreCheckpointer(store), replies(LONG))
    talk(graph, range(40), LONG)
    old = [s.config for s in graph.get_state_history(config()) if not s.next][10]
    before = stored_bytes(store)
    graph.invoke(question(100, LONG), old)
    talk(graph, range(101, 105), LONG)
    assert stored_bytes(store) - before <= 6 * TURN
    before = stored_bytes(store)
    for _ in range(5):
        graph.update_state(old, None, as_node="__copy__")
    assert stored_bytes(store) - before <= 5 * TURN


def test_values_at_versions_that_nobody_has_seen(store: Store) -> None:
    """They come from `channel_values`, and what equals the parent's is no news."""
    graph = one_node(StoreCheckpointer(store), replies(LONG))
    talk(graph, range(20), LONG)
    found = graph.checkpointer.get_tuple(config())
    before = stored_bytes(store)
    for number in range(5):
        made = {**found.checkpoint, "id": f"{found.checkpoint['id']}-{number}"}
        made["channel_versions"] = {c: f"9.{number}" for c in made["channel_versions"]}
        graph.checkpointer.put(found.config, made, {"source": "loop", "step": 99}, {})
    assert stored_bytes(store) - before <= 5 * TURN


def test_one_file_of_many(store: Store) -> None:
    size = 2_000

    def node(state: Any) -> dict[str, Any]:
        turn = len(state["messages"])
        return {"files": {f"file {turn * 7 % 100}": prose(turn, size)}}

    graph = one_node(StoreCheckpointer(store), node)
    files = {f"file {number}": prose(number, size) for number in range(100)}
    graph.invoke({"files": files, **question(0)}, config())
    before = stored_bytes(store)
    talk(graph, range(1, 21))
    assert (stored_bytes(store) - before) / 20 <= 3 * size
    state = graph.get_state(config()).values["files"]
    assert list(state) == list(files)
    assert state["file 7"] == prose(1, size)


def test_a_value_that_does_not_change(store: Store) -> None:
    size = 50_000
    graph = one_node(StoreCheckpointer(store), replies())
    graph.invoke({"document": prose("d", size), **question(0)}, config())
    before = stored_bytes(store)
    talk(graph, range(1, 11))
    assert stored_bytes(store) - before < size


def test_the_same_value_at_a_new_version(store: Store) -> None:
    """A node that returns what it got makes a version, and nothing new to store."""
    size = 50_000

    def node(state: Any) -> dict[str, Any]:
        return {"document": state["document"], "messages": [chats.answer(state)]}

    graph = one_node(StoreCheckpointer(store), node)
    graph.invoke({"document": prose("d", size), **question(0)}, config())
    before = stored_bytes(store)
    talk(graph, range(1, 11))
    assert stored_bytes(store) - before < size


def test_a_large_text_is_stored_once(store: Store) -> None:
    """As input, as a task's pending write and in the channel it is the same text."""
    size = 100_000
    graph = one_node(StoreCheckpointer(store), replies(size))
    talk(graph, range(1), size)
    assert stored_bytes(store) <= 1.1 * 2 * size


def test_messages_that_leave_take_nothing(store: Store) -> None:
    """A removal stores no message again."""

    def node(state: Any) -> dict[str, Any]:
        if len(state["messages"]) < 50:
            return {"messages": [chats.answer(state)]}
        return {"messages": [RemoveMessage(id=state["messages"][0].id), AIMessage("ok")]}

    graph = one_node(StoreCheckpointer(store), node)
    graph.invoke(
        {"messages": [AIMessage(prose(n, 2_000), id=f"m{n}") for n in range(100)]}, config()
    )
    before = stored_bytes(store)
    talk(graph, range(10))
    assert stored_bytes(store) - before < 10 * TURN


@pytest.mark.soak(full=1_000)
def test_a_long_chat_on_disk(tmp_path: Path, rounds: int) -> None:
    """1,000 turns of two messages of 400 characters fit into 4 MB, search index included."""
    file = tmp_path / "sessions.db"
    with SessionManager(f"sqlite:///{file}") as sessions:
        talk(one_node(sessions.checkpointer(), replies(LONG)), range(rounds), LONG)
    empty = 0 if rounds >= 1_000 else 150_000
    assert file_bytes(file) <= rounds * TURN + empty


# ── What is given back ────────────────────────────────────────────────────────────────────────
def test_a_prune_leaves_what_the_newest_checkpoint_needs(store: Store) -> None:
    saver = StoreCheckpointer(store)
    graph = one_node(saver, edits_first(LONG))
    talk(graph, range(40), LONG)
    state = graph.get_state(config()).values["messages"]
    saver.prune(["t"])
    assert graph.get_state(config()).values["messages"] == state
    content = sum(len(str(message.content)) for message in state)
    assert stored_bytes(store) <= 2 * content + 5_000


def test_a_deletion_leaves_nothing(store: Store) -> None:
    saver = StoreCheckpointer(store)
    talk(one_node(saver, replies(LONG)), range(20), LONG)
    saver.delete_thread("t")
    assert stored_bytes(store) < 1_000


def test_a_copy_takes_no_more_than_its_source(store: Store) -> None:
    saver = StoreCheckpointer(store)
    graph = one_node(saver, replies(LONG))
    talk(graph, range(20), LONG)
    one = stored_bytes(store)
    state = graph.get_state(config()).values
    saver.copy_thread("t", "u")
    assert stored_bytes(store) <= 2.05 * one
    saver.delete_thread("t")
    assert stored_bytes(store) <= 1.05 * one
    assert graph.get_state(config("u")).values == state


# ── Costs ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def counted() -> Iterator[FaultyStore]:
    with FaultyStore(MemoryStore()) as store:
        yield store


def old_checkpoint(saver: StoreCheckpointer) -> Any:
    """The config of the newest checkpoint of the first few."""
    first = next(iter(saver.list(config(), filter={"step": 10})))
    return first.config


def test_calls_cost_the_same_in_a_long_thread(counted: FaultyStore) -> None:
    sessions = SessionManager(counted)
    saver = sessions.checkpointer()
    graph = one_node(saver, replies())
    talk(graph, range(40))
    old = old_checkpoint(saver)
    calls: dict[str, Callable[[], Any]] = {
        "list": lambda: list(saver.list(config(), limit=20)),
        "head": lambda: saver.get_tuple(config()),
        "old": lambda: saver.get_tuple(old),
        "page": lambda: sessions.messages("t", limit=20),
    }

    def costs(begin: int) -> dict[str, Cost]:
        found = {"turns": cost(counted, lambda: talk(graph, range(begin, begin + 10)))}
        return found | {name: cost(counted, call) for name, call in calls.items()}

    short = costs(40)
    talk(graph, range(50, LONG_THREAD - 10))
    long = costs(LONG_THREAD - 10)
    for name in short:
        assert flat(short[name].batches, long[name].batches), (name, short, long)
    assert all(long[name].batches <= 12 for name in calls), long
    assert flat(short["turns"].ops, long["turns"].ops), (short, long)
    assert len(calls["page"]()) == 20
    assert len(calls["list"]()) == 20


def test_an_edit_costs_the_same_in_a_long_thread(counted: FaultyStore) -> None:
    graph = one_node(StoreCheckpointer(counted), edits_first())
    talk(graph, range(20))
    short = cost(counted, lambda: talk(graph, range(20, 30)))
    talk(graph, range(30, 150))
    long = cost(counted, lambda: talk(graph, range(150, 160)))
    assert flat(short.ops, long.ops), (short, long)
    assert flat(short.batches, long.batches), (short, long)


def test_statements_are_constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sessions.db"

    def build(turns: range) -> None:
        with SessionManager(f"sqlite:///{file}") as sessions:
            talk(one_node(sessions.checkpointer(), replies()), turns)

    def count() -> dict[str, int]:
        found = {}
        with statements(monkeypatch) as seen, SQLiteStore(file) as store:
            sessions = SessionManager(store)
            saver = sessions.checkpointer()
            calls: dict[str, Callable[[], Any]] = {
                "list": lambda: list(saver.list(config(), limit=20)),
                "old": lambda: saver.get_tuple(old),
                "page": lambda: sessions.messages("t", limit=20),
            }
            for name, call in calls.items():
                before = len(seen)
                call()
                found[name] = len(seen) - before
        return found

    build(range(50))
    with SQLiteStore(file) as store:
        old = old_checkpoint(StoreCheckpointer(store))
    short = count()
    build(range(50, 150))
    long = count()
    assert all(flat(short[name], long[name]) for name in short), (short, long)


def test_one_round_trip_a_write(store: Store) -> None:
    """A put that goes on from the last one reads nothing first, nor do writes that follow it."""
    counting = FaultyStore(store)
    saver = StoreCheckpointer(counting)
    talk(one_node(saver, replies()), range(3))

    def follow(looks: int = 0) -> None:
        found = saver.get_tuple(config())
        assert found is not None
        spent = counting.batches
        made: Any = {**found.checkpoint, "id": f"{found.checkpoint['id']}-{spent}"}
        version = f"9.{spent}"
        made["channel_values"] = {"messages": [AIMessage(f"new {spent}", id=f"n{spent}")]}
        made["channel_versions"] = {"messages": version}
        metadata: Any = {"source": "loop", "step": spent, "parents": {}}
        named = saver.put(found.config, made, metadata, {"messages": version})
        assert counting.batches == spent + looks + 1
        saver.put_writes(named, [("messages", [AIMessage("answer")])], "task")
        assert counting.batches == spent + looks + 2

    follow()
    follow()
    # Somebody else goes on, from what is the head now or from elsewhere: both are noticed.
    talk(one_node(StoreCheckpointer(store), replies()), range(3, 5))
    follow(looks=1)
    follow()
    head = saver.get_tuple(config())
    assert head is not None
    StoreCheckpointer(store).put_writes(head.config, [(ERROR, "late")], "task")
    follow(looks=2)
    follow()
    newest = next(saver.list(config(), limit=1))
    assert newest.checkpoint["id"] > head.checkpoint["id"]


def test_a_turn_of_another_process_is_seen_at_the_same_cost(tmp_path: Path) -> None:
    """Two stores on one file, taking turns: neither pays for the length of the thread."""
    with SQLiteStore(tmp_path / "a.db") as one, SQLiteStore(tmp_path / "a.db") as two:
        stores = [FaultyStore(one), FaultyStore(two)]
        graphs = [one_node(StoreCheckpointer(store), replies()) for store in stores]
        costs = []
        for turn in range(80):
            store, graph = stores[turn % 2], graphs[turn % 2]
            costs.append(cost(store, partial(graph.invoke, question(turn), config())))
        assert flat(max(c.batches for c in costs[20:30]), max(c.batches for c in costs[-10:]))
        assert graphs[0].get_state(config()).values == graphs[1].get_state(config()).values
