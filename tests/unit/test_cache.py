"""What a process remembers of checkpoints stays within its bound and is never wrong."""

from __future__ import annotations

import os
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import MemoryStore, StoreCheckpointer
from threadloom.checkpoint.cache import Cache, cache_of
from threadloom.checkpoint.layout import Place
from threadloom.keys import SessionPaths
from threadloom.values import values_for


def config(id: str) -> Any:
    return {"configurable": {"thread_id": id}}


def build(saver: StoreCheckpointer) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [AIMessage("answer " * 60)]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


def test_many_sessions_stay_within_the_bound_and_are_read_right() -> None:
    with MemoryStore() as store:
        cache_of(store).limit = limit = 300_000
        graph = build(StoreCheckpointer(store))
        for number in range(300):
            graph.invoke({"messages": [("user", f"question {number} " * 30)]}, config(str(number)))
            assert cache_of(store).size <= limit
        assert 10 < len(cache_of(store)) < 150
        for number in (0, 150, 299, 0):
            first, last = graph.get_state(config(str(number))).values["messages"]
            assert (first.content, last.content) == (f"question {number} " * 30, "answer " * 60)


def test_a_session_larger_than_the_bound_works_without_being_remembered() -> None:
    with MemoryStore() as store:
        cache_of(store).limit = 5_000
        graph = build(StoreCheckpointer(store))
        for number in range(30):
            graph.invoke({"messages": [("user", f"question {number} " * 30)]}, config("a"))
        assert cache_of(store).size <= 5_000
        assert len(graph.get_state(config("a")).values["messages"]) == 60


def test_what_was_used_last_is_forgotten_last() -> None:
    cache, values = Cache(limit=100_000), values_for(None)
    places = [Place(SessionPaths((), name), "") for name in "abc"]
    held = [cache.held(values, place) for place in places]
    for one in held[:2]:
        cache.charge(one, 35_000)
    assert cache.held(values, places[0]) is held[0]
    cache.charge(held[2], 35_000)
    assert cache.held(values, places[0]) is held[0]
    assert cache.held(values, places[1]) is not held[1]
    assert 70_000 < cache.size <= 100_000


def test_codecs_do_not_share_what_they_read() -> None:
    cache = Cache()
    place = Place(SessionPaths((), "a"), "")
    assert cache.held(values_for(None), place) is not cache.held(values_for(None), place)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_begins_with_an_empty_cache() -> None:
    with MemoryStore() as store:
        graph = build(StoreCheckpointer(store))
        graph.invoke({"messages": [("user", "hi")]}, config("a"))
        assert len(cache_of(store))
        child = os.fork()
        if child == 0:
            os._exit(0 if not len(cache_of(store)) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
