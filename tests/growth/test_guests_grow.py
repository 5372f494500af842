"""Over stores of others, too, a turn costs what is new in it, however long a thread is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
import pytest
from langchain_core.messages import HumanMessage
from langgraph.store.sqlite import SqliteStore

from guests import PlainStore
from threadloom import SessionManager, StoreCheckpointer

from .talk import Windowed, edits_first, one_node, replies, talk

LONG = 400


class Costs(NamedTuple):
    """What a store of a third party has done and holds."""

    batches: int
    written: int
    read: int
    items: int
    bytes: int

    @classmethod
    def of(cls, inner: PlainStore) -> Costs:
        size = sum(
            len(name) + len(key) + len(orjson.dumps(value))
            for (name, key), value in inner.data.items()
        )
        return cls(inner.batches, inner.written, inner.read, len(inner.data), size)

    def since(self, before: Costs, turns: int) -> list[float]:
        """For each turn."""
        return [(now - then) / turns for now, then in zip(self, before, strict=True)]


GRAPHS = {
    "chat": lambda saver: one_node(saver, replies(LONG)),
    "window": lambda saver: one_node(saver, replies(LONG), Windowed),
    "edit": lambda saver: one_node(saver, edits_first(LONG)),
}


@pytest.mark.parametrize("style", GRAPHS)
def test_a_turn_costs_as_much_as_the_one_before(style: str) -> None:
    inner = PlainStore()
    graph = GRAPHS[style](StoreCheckpointer(inner))
    costs = {}
    begin = 0
    for end in (20, 40, 100):
        talk(graph, range(begin, end), LONG)
        begin, costs[end] = end, Costs.of(inner)
    early = costs[40].since(costs[20], 20)
    late = costs[100].since(costs[40], 60)
    for now, then in zip(late, early, strict=True):
        assert now <= 1.2 * then + 1, (early, late)
    assert late[Costs._fields.index("bytes")] < 14_000


def test_statements_of_a_turn_do_not_grow() -> None:
    statements: list[str] = []
    with SqliteStore.from_conn_string(":memory:") as inner:
        graph = GRAPHS["chat"](StoreCheckpointer(inner))
        inner.conn.set_trace_callback(statements.append)
        counts = []
        for start in range(0, 90, 30):
            statements.clear()
            talk(graph, range(start, start + 30), LONG)
            counts.append(len(statements))
    assert counts[2] <= 1.1 * counts[1], counts  # runs overlap a little differently each time


def in_batches(count: int) -> Iterator[list[Any]]:
    for start in range(0, count, 100):
        yield [HumanMessage(f"{number}") for number in range(start, start + 100)]


def test_an_append_and_a_page_of_a_history_cost_the_same_in_a_long_one() -> None:
    inner = PlainStore()
    history = SessionManager(inner).memory("a")
    costs = []
    for messages in in_batches(1500):
        history.add_messages(messages)
        before = Costs.of(inner)
        history.add_messages([HumanMessage("one more")])
        appended = Costs.of(inner)
        assert len(history.load(limit=3)) == 3
        paged = Costs.of(inner)
        costs.append((appended.since(before, 1), paged.read - appended.read))
    assert costs[-1][0][:4] == costs[1][0][:4]
    assert max(read for _, read in costs) < 250


def test_a_cold_process_reads_a_head_and_not_the_thread() -> None:
    reads = []
    for turns in (10, 100):
        inner = PlainStore()
        graph = GRAPHS["window"](StoreCheckpointer(inner))
        talk(graph, range(turns), LONG)
        again = PlainStore(inner.data)
        head = StoreCheckpointer(again).get_tuple({"configurable": {"thread_id": "t"}})
        assert head is not None
        reads.append(again.read)
    assert reads[1] <= reads[0] + 300
