"""`sessions.store` where it is used: in graphs, by configuration, beside sessions, over time."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langgraph.config import get_store
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore

from engines import KINDS, open_kind
from threadloom import (
    InvalidKey,
    MemoryStore,
    MissingAdapter,
    SessionManager,
    UnsupportedByStore,
    open_store,
)
from threadloom.testing import FrozenClock

LETTERS = "abcdefgh"


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[float(text.count(letter)) for letter in LETTERS] for text in texts]


async def aembed(texts: Sequence[str]) -> list[list[float]]:
    await asyncio.sleep(0)
    return embed(texts)


def index(embedding: Any = embed) -> Any:
    return {"dims": len(LETTERS), "embed": embedding, "fields": ["fact"]}


def remembering(sessions: SessionManager) -> Any:
    """A graph that remembers what it is told, and answers with what is nearest."""

    def tell(state: MessagesState, runtime: Runtime) -> dict[str, Any]:
        assert runtime.store is not None
        text = state["messages"][-1].text
        found = runtime.store.search(("facts",), query=text, limit=1)
        runtime.store.put(("facts",), f"{len(state['messages'])}", {"fact": text})
        return {"messages": [AIMessage(found[0].value["fact"] if found else "nothing")]}

    async def atell(state: MessagesState, *, store: BaseStore) -> dict[str, Any]:
        text = state["messages"][-1].text
        found = await store.asearch(("facts",), query=text, limit=1)
        assert get_store() is store
        await store.aput(("facts",), f"{len(state['messages'])}", {"fact": text})
        return {"messages": [AIMessage(found[0].value["fact"] if found else "nothing")]}

    async def call(which: str, text: str) -> str:
        builder = StateGraph(MessagesState)
        builder.add_node("tell", tell if which == "sync" else atell)
        builder.add_edge(START, "tell")
        graph = builder.compile(checkpointer=sessions.checkpointer(), store=sessions.store)
        config: Any = {"configurable": {"thread_id": which}}
        said: Any = {"messages": [("user", text)]}
        state = graph.invoke(said, config) if which == "sync" else await graph.ainvoke(said, config)
        return str(state["messages"][-1].text)

    return call


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_a_graph_finds_what_it_was_told(kind: str, way: str, tmp_path: Path) -> None:
    with open_kind(kind, tmp_path) as store:
        managers = [SessionManager(store, tenant=name, index=index()) for name in ("x", "y")]
        for sessions in managers:
            ask = remembering(sessions)
            assert await ask(way, "a bag") == "nothing"
            assert await ask(way, "feed") == "a bag"
            assert await ask(way, "bad bag") == "a bag"
            assert [item.namespace for item in sessions.store.search(())] == [("facts",)] * 3
            assert sessions.count_sessions() == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_an_index_may_be_given_to_the_store_or_to_the_manager(
    kind: str, tmp_path: Path
) -> None:
    with open_kind(kind, tmp_path, index=index(), ttl={"default_ttl": 5}) as store:
        by_store = SessionManager(store)
        assert by_store.store.ttl_config == {"default_ttl": 5}
        by_store.store.put(("n",), "1", {"fact": "a"})
        by_store.store.put(("n",), "2", {"fact": "b"})
        assert [item.score for item in by_store.store.search(("n",), query="b")] == [1.0, 0.0]
        assert [item.score for item in store.search(("n",), query="b")] == [1.0, 0.0]
        other = SessionManager(
            store, index={"dims": 1, "embed": lambda texts: [[1.0]] * len(texts)}
        )
        assert [item.score for item in other.store.search(("n",), query="b")] == [None, None]
        assert other.store.ttl_config == {"default_ttl": 5}
        own = SessionManager(store, ttl={"refresh_on_read": False})
        assert own.store.ttl_config == {"refresh_on_read": False}


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_embeddings_of_langchain_and_functions(way: str) -> None:
    for embedding in (embed, aembed, DeterministicFakeEmbedding(size=len(LETTERS))):
        sessions = SessionManager("memory://", index=index(embedding))
        if way == "async":
            await sessions.store.aput(("n",), "1", {"fact": "a"})
            found = await sessions.store.asearch(("n",), query="a")
        elif embedding is aembed:
            with pytest.raises(UnsupportedByStore, match="async"):
                sessions.store.put(("n",), "1", {"fact": "a"})
            with pytest.raises(UnsupportedByStore, match="async"):
                sessions.store.search(("n",), query="a")
            sessions.store.put(("n",), "1", {"fact": "a"}, index=False)
            continue
        else:
            sessions.store.put(("n",), "1", {"fact": "a"})
            found = sessions.store.search(("n",), query="a")
        assert [item.score for item in found] == [1.0]


def test_texts_are_embedded_once_and_outside_of_the_store() -> None:
    asked: list[list[str]] = []
    store = MemoryStore()

    def counting(texts: Sequence[str]) -> list[list[float]]:
        asked.append(list(texts))
        store.put(("log",), f"{len(asked)}", {})  # would hang or fail inside of a lock
        return embed(texts)

    view = SessionManager(store, index=index(counting)).store
    view.batch([])
    from langgraph.store.base import PutOp, SearchOp

    view.batch(
        [
            *(PutOp(("n",), f"{number}", {"fact": "same"}) for number in range(3)),
            PutOp(("n",), "0", {"fact": "other"}),
            SearchOp(("n",), query="q"),
            SearchOp(("n",), query="q", limit=3),
        ]
    )
    assert sorted(asked[0]) == ["other", "same"]
    assert asked[1:] == [["q"]]
    view.put(("n",), "4", {"fact": "x"}, index=False)
    view.get(("n",), "4")
    view.search(("n",))
    assert len(asked) == 2


def test_without_an_index_the_query_is_ignored() -> None:
    store = MemoryStore()
    store.put(("n",), "2", {"fact": "a"}, index=["fact"])
    store.put(("n",), "1", {"fact": "b"})
    found = store.search(("n",), query="a")
    assert [(item.key, item.score) for item in found] == [("1", None), ("2", None)]


@pytest.mark.parametrize(
    "options",
    [
        {"index": {"dims": 3}},
        {"index": {"embed": embed}},
        {"index": {"dims": 0, "embed": embed}},
        {"index": {"dims": True, "embed": embed}},
        {"index": {"dims": 8, "embed": 5}},
        {"index": {"dims": 8, "embed": embed, "fields": "fact"}},
        {"index": {"dims": 8, "embed": embed, "fields": [1]}},
        {"index": {"dims": 8, "embed": embed, "distance_type": "l2"}},
        {"index": {"dims": 8, "embed": embed, "text_fields": ["x"]}},
        {"index": [1]},
        {"ttl": {"default_ttl": 0}},
        {"ttl": {"default_ttl": "5"}},
        {"ttl": {"refresh_on_read": 1}},
        {"ttl": {"sweep_interval_minutes": -1}},
        {"ttl": {"ttl": 5}},
        {"ttl": 5},
    ],
)
def test_configurations_that_make_no_sense(options: Any, tmp_path: Path) -> None:
    for opened in (
        lambda: MemoryStore(**options),
        lambda: open_store(f"sqlite:///{tmp_path}/a.db", **options),
        lambda: SessionManager(f"sqlite:///{tmp_path}/a.db", **options),
    ):
        with pytest.raises(InvalidKey):
            opened()
    assert list(tmp_path.iterdir()) == []


def test_embeddings_of_a_provider_that_is_not_there() -> None:
    with pytest.raises(MissingAdapter, match="nobody:model"):
        MemoryStore(index={"dims": 3, "embed": "nobody:model"})


# Over time


@pytest.mark.operation("cleanup_stale")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_what_is_old_goes_with_its_items(kind: str, way: str, tmp_path: Path) -> None:
    clock = FrozenClock()
    with open_kind(kind, tmp_path, clock=clock) as store:
        sessions, other = (SessionManager(store, tenant=name) for name in ("a", "b"))
        sessions.create_session(id="s", ttl=timedelta(minutes=1))
        for manager in (sessions, other):
            manager.store.put(("n",), "short", {}, ttl=1)
            manager.store.put(("n",), "long", {}, ttl=9)
        clock.advance(61)
        day = timedelta(days=1)
        if way == "sync":
            assert sessions.cleanup_stale(day, dry_run=True) == 1
            assert sessions.cleanup_stale(day) == 1
        else:
            assert await sessions.acleanup_stale(day, dry_run=True) == 1
            assert await sessions.acleanup_stale(day) == 1
        clock.advance(-30)  # what is still there would be seen again
        assert [item.key for item in sessions.store.search(("n",))] == ["long"]
        assert [item.key for item in other.store.search(("n",))] == ["long", "short"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweeper_sweeps_until_it_is_stopped(kind: str, tmp_path: Path) -> None:
    swept = threading.Event()
    clock = FrozenClock()
    with open_kind(kind, tmp_path, clock=clock, ttl={"sweep_interval_minutes": 1}) as store:
        view = SessionManager(store).store
        sweep = view.sweep_ttl

        def noting() -> int:
            count = sweep()
            if count:
                swept.set()
            return count

        view.sweep_ttl = noting  # type: ignore[method-assign]
        view.put(("n",), "k", {}, ttl=1)
        clock.advance(60)
        future = view.start_ttl_sweeper(0.0001)
        assert view.start_ttl_sweeper(5) is future
        assert swept.wait(30)
        clock.advance(-30)
        assert view.get(("n",), "k") is None
        assert view.stop_ttl_sweeper(30)
        assert future.done()
        assert view.stop_ttl_sweeper()
        again = view.start_ttl_sweeper()
        assert again is not future
        assert again.cancel()
        assert view.stop_ttl_sweeper(30)
        for wrong in (0, -1, "5"):
            with pytest.raises(InvalidKey):
                view.start_ttl_sweeper(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("end", ["close", "forget"])
def test_a_sweeper_ends_with_its_store(end: str) -> None:
    store = MemoryStore()
    future = store.start_ttl_sweeper(0.0001 if end == "close" else 60)
    if end == "close":
        store.close()
    else:
        del store
        gc.collect()
    assert future.result(30) is None
