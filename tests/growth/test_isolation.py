"""What is read is nobody else's, and what was put is what stays, whoever changes which object."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from failures.helpers import all_well, at_once
from threadloom import MemoryStore, SessionManager, StoreCheckpointer
from threadloom.ops import ExpectationFailed, Op, Put
from threadloom.store import Store

from .exact import exact, picture
from .states import (
    CHANGES,
    NS,
    assert_is,
    dict_inside,
    each_change,
    put,
    read,
    state,
    values_of,
    whole,
)
from .talk import answer, config, one_node, question, talk


# ── Readers ───────────────────────────────────────────────────────────────────────────────────
@each_change
@pytest.mark.parametrize("warm", [True, False], ids=["cached", "uncached"])
def test_a_reader_changes_nothing_for_others(store: Store, change: Any, warm: bool) -> None:
    saver = StoreCheckpointer(store)
    put(saver, "1", state())
    if not warm:
        saver = StoreCheckpointer(store)
    held = read(saver)
    other = read(saver)
    change(held.checkpoint["channel_values"])
    assert exact(other.checkpoint["channel_values"]) == exact(state())
    assert_is(saver, state())
    assert_is(StoreCheckpointer(store), state())


@each_change
def test_a_listing_changes_nothing_for_others(store: Store, change: Any) -> None:
    saver = StoreCheckpointer(store)
    put(saver, "1", state())
    put(saver, "2", state() | {"plain": ["new"]}, parent="1", new={"plain"})
    one, two = saver.list(config(**NS)), saver.list(config(**NS))
    held, others = list(one), list(two)
    before = [picture(item) for item in others]
    # Both checkpoints of the first listing share channel versions.
    change(held[1].checkpoint["channel_values"])
    assert [picture(item) for item in others] == before
    assert picture(held[0]) == before[0]
    assert [picture(item) for item in saver.list(config(**NS))] == before


@each_change
def test_a_reader_changes_nothing_for_later_checkpoints(store: Store, change: Any) -> None:
    """A state is read, changed, and another channel alone is put at a new version."""
    saver = StoreCheckpointer(store)
    put(saver, "1", state())
    held = read(saver).checkpoint["channel_values"]
    mine = dict(held)
    change(held)
    put(saver, "2", {**mine, "files": {"new": 1}}, parent="1", new={"files"})
    assert_is(saver, state() | {"files": {"new": 1}}, "2")
    assert_is(saver, state())


@each_change
def test_a_reader_changes_nothing_in_a_copy(store: Store, change: Any) -> None:
    saver = StoreCheckpointer(store)
    put(saver, "1", state())
    saver.copy_thread("t", "u")
    change(read(saver).checkpoint["channel_values"])
    assert_is(saver, state(), thread="u")
    change(read(saver, thread="u").checkpoint["channel_values"])
    assert_is(saver, state())


def test_everything_else_of_a_checkpoint_is_the_readers_own(store: Store) -> None:
    saver = StoreCheckpointer(store)
    put(saver, "1", state())
    saver.put_writes(config(**NS, checkpoint_id="1"), [("messages", [AIMessage("w")])], "task")
    before = picture(read(saver))
    for found in (read(saver), next(iter(saver.list(config(**NS))))):
        found.checkpoint["versions_seen"]["node"]["messages"] = "changed"
        found.checkpoint["versions_seen"]["new"] = {}
        found.checkpoint["channel_versions"].clear()
        found.metadata["more"]["list"].append(2)  # type: ignore[typeddict-item]
        assert found.pending_writes is not None
        found.pending_writes[0][2][0].content = "changed"
        found.pending_writes[0][2].append("changed")
        found.pending_writes.append(("a", "b", "c"))
        assert picture(read(saver)) == before
        assert picture(next(iter(saver.list(config(**NS))))) == before


def test_the_manager_hands_out_copies(store: Store) -> None:
    sessions = SessionManager(store)
    put(sessions.checkpointer(), "1", {"messages": state()["messages"]})
    before = exact(list(sessions.messages("t")))
    assert before == exact(state()["messages"])
    for _ in range(2):
        dict_inside({"messages": sessions.messages("t")})
        whole({"messages": sessions.messages("t")})
        assert exact(list(sessions.messages("t"))) == before
    assert_is(sessions.checkpointer(), {"messages": state()["messages"]})


# ── Writers ───────────────────────────────────────────────────────────────────────────────────
@each_change
def test_what_was_put_may_be_changed_afterwards(store: Store, change: Any) -> None:
    saver = StoreCheckpointer(store)
    given = state()
    put(saver, "1", given)
    change(given)
    assert_is(saver, state())
    assert_is(StoreCheckpointer(store), state())


@each_change
def test_what_was_put_and_changed_is_put_as_it_is(store: Store, change: Any) -> None:
    """The same objects again, with other content: the old checkpoint keeps the old."""
    saver = StoreCheckpointer(store)
    given = state()
    put(saver, "1", given)
    mine = dict(given)
    change(given)
    changed = copy.deepcopy(mine)
    put(saver, "2", mine, parent="1")
    assert_is(saver, changed, "2")
    assert_is(saver, state(), "1")
    assert_is(StoreCheckpointer(store), changed, "2")


@each_change
def test_what_was_read_and_changed_is_put_as_it_is(store: Store, change: Any) -> None:
    saver = StoreCheckpointer(store)
    put(saver, "1", state())
    held = read(saver).checkpoint["channel_values"]
    mine = dict(held)
    change(held)
    changed = copy.deepcopy(mine)
    put(saver, "2", mine, parent="1")
    assert_is(saver, changed, "2")
    assert_is(saver, state(), "1")


def test_a_pending_message_gets_its_id_later(store: Store) -> None:
    """As `add_messages` does it: the pending write keeps what was written."""
    saver = StoreCheckpointer(store)
    put(saver, "1", {"messages": []})
    message = AIMessage("answer" * 300)
    saver.put_writes(config(**NS, checkpoint_id="1"), [("messages", [message])], "task")
    message.id = "given"
    put(saver, "2", {"messages": [message]}, parent="1")
    message.id = "changed again"
    [(_, _, written)] = read(saver).pending_writes
    assert exact(written) == exact([AIMessage("answer" * 300)])
    named = AIMessage("answer" * 300)
    named.id = "given"
    assert_is(saver, {"messages": [named]}, "2")


def test_equal_is_not_the_same(store: Store) -> None:
    """What equals the value before it is stored as it is, type for type."""
    saver = StoreCheckpointer(store)
    rows: list[Any] = [
        [1, True, 1.0, 0, -0.0, "1", b"1", (1,), [1]],
        [True, 1, 1, False, 0.0, "1", b"1", [1], (1,)],
        [1.0, 1.0, True, 0.0, 0, b"1", "1", (1.0,), [True]],
    ]
    chosen = [
        {"plain": row, "files": {f"{at}": item for at, item in enumerate(row)}, "scalar": row[0]}
        for row in rows
    ]
    chosen.append({**chosen[-1], "files": dict(reversed(chosen[-1]["files"].items()))})
    for number, values in enumerate(chosen, start=1):
        parent = str(number - 1) if number > 1 else None
        put(saver, str(number), copy.deepcopy(values), parent=parent)
    for number, values in enumerate(chosen, start=1):
        assert_is(saver, values, str(number))


def test_a_node_that_changes_a_message_in_place(store: Store) -> None:
    def node(state: Any) -> dict[str, Any]:
        first = state["messages"][0]
        first.content = f"{first.content}!"
        first.additional_kwargs.setdefault("n", {"seen": []})["seen"].append(len(first.content))
        return {"messages": [first, answer(state)]}

    graph = one_node(StoreCheckpointer(store), node)
    results = [talk(graph, range(n, n + 1)) for n in range(4)]
    ends = [s.values["messages"] for s in graph.get_state_history(config()) if not s.next]
    texts = [str(messages[0].content) for messages in ends]
    start = str(question(0)["messages"][0].content)
    assert texts == [start + "!" * n for n in (4, 3, 2, 1)]
    lengths = [messages[0].additional_kwargs["n"]["seen"] for messages in ends]
    assert [len(seen) for seen in lengths] == [4, 3, 2, 1]
    assert results[-1]["messages"][0].content == texts[0]


def test_objects_that_occur_twice(store: Store) -> None:
    """One object in several places is several values once it is stored."""
    saver = StoreCheckpointer(store)
    message, row = HumanMessage("m", id="m"), [1]
    values = {"messages": [message, message], "plain": [row, row], "files": {"a": row, "b": row}}
    put(saver, "1", values)
    held = read(saver).checkpoint["channel_values"]
    held["messages"][0].content = "changed"
    held["plain"][0].append(2)
    held["files"]["a"].append(3)
    assert_is(saver, values)
    row.append(9)
    values["plain"] = [[1], row]
    put(saver, "2", values, parent="1")
    assert_is(saver, {**values, "plain": [[1], [1, 9]]}, "2")


# ── Many at once ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.soak(full=400)
def test_readers_that_scribble_while_another_puts(store: Store, rounds: int) -> None:
    saver = StoreCheckpointer(store)
    expected: dict[str, Any] = {}
    done = threading.Event()

    def values(number: int) -> dict[str, Any]:
        chosen = state()
        chosen["messages"] += [HumanMessage(f"{n}" * 30, id=f"n{n}") for n in range(number)]
        chosen["files"]["a"]["rows"].append([number])
        return chosen

    ids = [f"{number:04d}" for number in range(1, rounds + 1)]
    for number, id in enumerate(ids, start=1):
        expected[id] = exact(values(number))
    put(saver, ids[0], values(1))

    def write() -> None:
        try:
            live = values(1)
            for number, id in enumerate(ids[1:], start=2):
                live["messages"].append(HumanMessage(f"{number - 1}" * 30, id=f"n{number - 1}"))
                live["files"]["a"]["rows"][-1] = [number]
                put(saver, id, live, parent=ids[number - 2])
        finally:
            done.set()

    def look(seed: int) -> Callable[[], None]:
        def scribble() -> None:
            turn = seed
            while True:
                last = done.is_set()
                turn += 1
                if turn % 4 == 0:
                    found = list(saver.list(config(**NS), limit=3))
                else:
                    one = saver.get_tuple(config(**NS))
                    found = [] if one is None else [one]
                assert found
                for item in found:
                    seen = exact(item.checkpoint["channel_values"])
                    assert seen == expected[item.checkpoint["id"]]
                for item in found:
                    CHANGES[turn % len(CHANGES)](item.checkpoint["channel_values"])
                if last:
                    return

        return scribble

    all_well(at_once([write, *(look(seed) for seed in range(8))], patience=110))
    for id in ids:
        assert values_of(saver, id) == expected[id]


def test_a_write_that_is_tried_again_is_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangGraph stores writes behind the back of the nodes, which may be changing them already."""
    store = MemoryStore()
    saver = StoreCheckpointer(store)
    put(saver, "1", state())
    message = HumanMessage("as it was given", id="m")
    execute, failed = store.execute, []

    def fail_once(ops: Sequence[Op]) -> list[Any]:
        if not failed and any(isinstance(op, Put) for op in ops):
            failed.append(ops[0])
            message.content = "changed meanwhile"
            raise ExpectationFailed(ops[0])
        return execute(ops)

    monkeypatch.setattr(store, "execute", fail_once)
    found = read(saver)
    saver.put_writes(found.config, [("messages", [message])], "task")
    assert failed
    [(_, _, [kept])] = read(saver).pending_writes
    assert kept.content == "as it was given"
