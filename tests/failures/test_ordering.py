"""Ordering: the head follows put order, whatever ids and clocks say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base.id import uuid6

from threadloom import SessionManager, StoreCheckpointer, open_store
from threadloom.store import Store

from .helpers import Door, all_well, at_once, chat_graph, config, put, texts


@pytest.fixture
def saver(store: Store) -> StoreCheckpointer:
    return StoreCheckpointer(store)


def ids(found: Any) -> list[str]:
    return [item.checkpoint["id"] for item in found]


@pytest.mark.parametrize(
    "order",
    [
        [str(number) for number in range(1, 13)],
        ["9", "8", "7", "10", "1"],
        ["b", "a", "c", "B", "ä", "Z"],
        ["x", "x!", "x y", "x/y", "x.1", "x", "x-"][:5],
    ],
    ids=["2 and 10", "backwards", "mixed case", "punctuation"],
)
def test_put_order_wins_over_the_order_of_ids(
    do: Door, saver: StoreCheckpointer, order: list[str]
) -> None:
    for number, id in enumerate(order):
        put(do, saver, "t", id, parent=order[number - 1] if number else None, x=id)
        head = do(saver, "get_tuple", config("t"))
        assert head.checkpoint["channel_values"]["x"] == id
    newest_first = order[::-1]
    assert ids(do(saver, "list", config("t"))) == newest_first
    for limit in range(len(order) + 2):
        found = do(saver, "list", config("t"), limit=limit)
        assert ids(found) == newest_first[:limit]


def test_limit_zero_gives_nothing_and_one_the_head(do: Door, saver: StoreCheckpointer) -> None:
    for id in ("2", "10"):
        put(do, saver, "t", id, x=id)
    assert do(saver, "list", config("t"), limit=0) == []
    assert do(saver, "list", None, limit=0) == []
    assert ids(do(saver, "list", config("t"), limit=1)) == ["10"]
    assert ids(do(saver, "list", config("t"), limit=None)) == ["10", "2"]


def test_replacing_a_checkpoint_keeps_its_place(do: Door, saver: StoreCheckpointer) -> None:
    put(do, saver, "t", "1", x="one")
    put(do, saver, "t", "2", parent="1", x="two")
    put(do, saver, "t", "3", parent="2", x="three")
    put(do, saver, "t", "2", parent="1", x="replaced")
    assert ids(do(saver, "list", config("t"))) == ["3", "2", "1"]
    head = do(saver, "get_tuple", config("t"))
    assert head.checkpoint["channel_values"] == {"x": "three"}
    replaced = do(saver, "get_tuple", config("t", checkpoint_id="2"))
    assert replaced.checkpoint["channel_values"] == {"x": "replaced"}


def test_before_compares_ids_stored_or_not(do: Door, saver: StoreCheckpointer) -> None:
    for id in ("a1", "a3", "a5"):
        put(do, saver, "t", id, x=id)
    for before, wanted in (
        ("a0", []),
        ("a1", []),
        ("a2", ["a1"]),
        ("a3", ["a1"]),
        ("a4", ["a3", "a1"]),
        ("a9", ["a5", "a3", "a1"]),
        ("a", []),
        ("b", ["a5", "a3", "a1"]),
    ):
        bound = config("t", checkpoint_id=before)
        assert ids(do(saver, "list", config("t"), before=bound)) == wanted, before
        assert ids(do(saver, "list", config("t"), before=bound, limit=1)) == wanted[:1], before
        assert ids(do(saver, "list", None, before=bound)) == wanted, before


def test_before_with_ids_out_of_order(do: Door, saver: StoreCheckpointer) -> None:
    for id in ("5", "10", "7"):
        put(do, saver, "t", id, x=id)
    bound = config("t", checkpoint_id="7")
    assert ids(do(saver, "list", config("t"), before=bound)) == ["10", "5"]
    assert ids(do(saver, "list", config("t"), before=bound, limit=1)) == ["10"]


def test_before_may_be_an_id_of_another_namespace(do: Door, saver: StoreCheckpointer) -> None:
    """As subgraphs replay: the bound is an id of the parent."""
    for number in range(6):
        put(do, saver, "t", f"id{number}", ns="" if number % 2 else "child", x=number)
    bound = config("t", checkpoint_ns="", checkpoint_id="id3")
    child = config("t", checkpoint_ns="child")
    assert ids(do(saver, "list", child, before=bound)) == ["id2", "id0"]
    assert ids(do(saver, "list", child, before=bound, limit=1)) == ["id2"]


def test_an_empty_namespace_is_the_root_and_no_namespace_is_all_of_them(
    do: Door, saver: StoreCheckpointer
) -> None:
    put(do, saver, "t", "1", ns="", x="root")
    put(do, saver, "t", "2", ns="child", x="child")
    for named in (config("t"), config("t", checkpoint_ns="")):
        found = do(saver, "get_tuple", named)
        assert found.checkpoint["channel_values"] == {"x": "root"}
    assert ids(do(saver, "list", config("t", checkpoint_ns=""))) == ["1"]
    assert ids(do(saver, "list", config("t", checkpoint_ns="child"))) == ["2"]
    assert sorted(ids(do(saver, "list", config("t")))) == ["1", "2"]
    without = do(saver, "put", config("t"), *_next("3"))
    assert without["configurable"]["checkpoint_ns"] == ""
    assert ids(do(saver, "list", config("t", checkpoint_ns=""))) == ["3", "1"]


def _next(id: str) -> tuple[Any, Any, Any]:
    from .helpers import checkpoint

    made = checkpoint(id, x=id)
    return made, {"source": "loop", "step": 1}, made["channel_versions"]


def test_listing_all_threads_orders_by_id(do: Door, saver: StoreCheckpointer) -> None:
    for session, id in (("b", "3"), ("a", "1"), ("c", "2"), ("a", "4"), ("b", "0")):
        put(do, saver, session, id, x=id)
    assert ids(do(saver, "list", None)) == ["4", "3", "2", "1", "0"]
    assert ids(do(saver, "list", None, limit=2)) == ["4", "3"]
    bound = config("any", checkpoint_id="3")
    assert ids(do(saver, "list", None, before=bound)) == ["2", "1", "0"]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clocked(url: str, clock: Clock) -> Iterator[SessionManager]:
    with SessionManager(url, clock=clock) as manager:
        yield manager


def test_a_clock_that_steps_back_harms_neither_head_nor_history(
    do: Door, clocked: SessionManager, clock: Clock
) -> None:
    graph = chat_graph(clocked.checkpointer())
    for number in range(4):
        do(graph, "invoke", {"messages": [HumanMessage(f"g{number}")]}, config("t"))
        do(clocked.memory("h"), "add_messages", [HumanMessage(f"h{number}")])
        clock.now -= timedelta(hours=1)
    asked = [text for text in texts(graph.get_state(config("t")).values["messages"])]
    assert asked == [text for n in range(4) for text in (f"g{n}", f"re: g{n}")]
    assert texts(do.history(clocked.memory("h"))) == [f"h{n}" for n in range(4)]
    assert texts(clocked.messages("h", limit=2)) == ["h2", "h3"]
    info = clocked.get_session("t")
    assert info.updated_at >= info.created_at


def test_checkpoint_ids_of_a_clock_that_stepped_back(
    do: Door, saver: StoreCheckpointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangGraph makes ids from the system's time."""
    import langgraph.checkpoint.base.id as ids_of

    graph = chat_graph(saver)
    do(graph, "invoke", {"messages": [HumanMessage("1")]}, config("t"))
    real = ids_of.time.time_ns
    monkeypatch.setattr(ids_of.time, "time_ns", lambda: real() - 3600 * 10**9)
    monkeypatch.setattr(ids_of, "_last_v6_timestamp", None)
    assert str(uuid6()) < do(saver, "get_tuple", config("t")).checkpoint["id"]
    result = do(graph, "invoke", {"messages": [HumanMessage("2")]}, config("t"))
    assert texts(result["messages"]) == ["1", "re: 1", "2", "re: 2"]
    state = do(graph, "get_state", config("t"))
    assert texts(state.values["messages"]) == ["1", "re: 1", "2", "re: 2"]
    newest = do(graph, "get_state_history", config("t"), limit=1)
    assert texts(newest[0].values["messages"]) == ["1", "re: 1", "2", "re: 2"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_new_life_begins_although_the_clock_stepped_back(
    do: Door, clocked: SessionManager, clock: Clock, durability: str
) -> None:
    """The deletion has a later time than every checkpoint of the new life."""
    graph = chat_graph(clocked.checkpointer())
    do(graph, "invoke", {"messages": [HumanMessage("old")]}, config("t"))
    clock.now = datetime.now(UTC) + timedelta(hours=1)
    clocked.delete_session("t")
    clock.now = datetime.now(UTC)
    for number in range(2):
        given = {"messages": [HumanMessage("new")]}
        result = do(graph, "invoke", given, config("t"), durability=durability)
        assert texts(result["messages"]) == ["new", "re: new"] * (number + 1)


def test_late_writes_are_refused_although_the_clock_stepped_back(
    do: Door, clocked: SessionManager, clock: Clock
) -> None:
    """The deletion has an earlier time than the checkpoint that it deleted."""
    from threadloom import SessionDeleted

    saver = clocked.checkpointer()
    named = put(do, saver, "t", str(uuid6()), x=1)
    clock.now = datetime.now(UTC) - timedelta(hours=1)
    clocked.delete_session("t")
    with pytest.raises(SessionDeleted):
        do(saver, "put_writes", named, [("x", 2)], "task")
    assert clocked.get_session("t") is None


# Listings


def test_ties_are_broken_by_id(do: Door, clocked: SessionManager) -> None:
    for id in ("b", "a", "10", "9", "c"):
        clocked.create_session(id=id)
    order = ["10", "9", "a", "b", "c"]
    assert [info.id for info in do(clocked, "list_sessions")] == order
    assert [info.id for info in do(clocked, "list_sessions", descending=True)] == order[::-1]
    page = do(clocked, "list_sessions", limit=2)
    seen = []
    while True:
        seen += [info.id for info in page]
        if page.cursor is None:
            break
        page = do(clocked, "list_sessions", limit=2, after=page.cursor)
    assert seen == order


@pytest.mark.parametrize("descending", [False, True])
def test_pages_under_concurrent_inserts_skip_nothing_and_repeat_nothing(
    do: Door, sessions: SessionManager, descending: bool
) -> None:
    kept = [sessions.create_session(id=f"kept{number:02}").id for number in range(30)]
    stop = threading.Event()

    def insert() -> int:
        number = 0
        while not stop.is_set() and number < 500:
            sessions.create_session(id=f"new{number}")
            if number % 3 == 0:
                sessions.delete_session(f"new{number}")
            number += 1
        return number

    def turn_pages() -> list[str]:
        try:
            seen: list[str] = []
            page = do(sessions, "list_sessions", limit=4, descending=descending)
            while len(seen) < 600:
                seen += [info.id for info in page]
                if page.cursor is None:
                    break
                page = do(
                    sessions, "list_sessions", limit=4, descending=descending, after=page.cursor
                )
            return seen
        finally:
            stop.set()

    _, seen = all_well(at_once([insert, turn_pages]))
    mine = [id for id in seen if id.startswith("kept")]
    assert mine == (kept[::-1] if descending else kept)
    assert len(seen) == len(set(seen))


def test_newest_activity_first(do: Door, clocked: SessionManager, clock: Clock) -> None:
    for id in ("a", "b", "c"):
        clocked.create_session(id=id)
        clock.now += timedelta(seconds=1)
    clocked.memory("a").append(HumanMessage("x"))
    clock.now -= timedelta(days=1)
    clocked.rename_session("b", "x")  # a clock that stepped back takes no activity away
    found = do(clocked, "list_sessions", order_by="updated_at")
    assert [info.id for info in found] == ["a", "c", "b"]


def test_histories_keep_the_order_of_appends(do: Door, url: str) -> None:
    with open_store(url) as store:
        sessions = SessionManager(store, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        for number in range(12):
            message = HumanMessage(str(number), id=f"id{-number}")
            do(sessions.memory("s"), "add_messages", [message])
        assert texts(do.history(sessions.memory("s"))) == [str(n) for n in range(12)]
        assert texts(sessions.memory("s").load(limit=3, before="id-10")) == ["7", "8", "9"]
        assert sessions.memory("s").load(limit=0) == []
        assert sessions.memory("s").load(before="unknown") == []
