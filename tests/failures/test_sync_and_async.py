"""Sync and async: one object, any door, any thread, any loop, and no hanging."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command, interrupt

from engines import url_of
from threadloom import SessionManager, StoreChatMessageHistory, StoreCheckpointer, open_store
from threadloom.store import Store

from .helpers import (
    PATIENCE,
    Door,
    Program,
    all_well,
    at_once,
    chat_graph,
    config,
    line_graph,
    texts,
)


async def bounded(awaitable: Any) -> Any:
    return await asyncio.wait_for(awaitable, PATIENCE)


def test_one_object_serves_invoke_and_ainvoke_mixed(sessions: SessionManager) -> None:
    graph = chat_graph(sessions.checkpointer())

    def ask(word: str) -> dict[str, Any]:
        return {"messages": [HumanMessage(word)]}

    graph.invoke(ask("1"), config("t"))
    asyncio.run(bounded(graph.ainvoke(ask("2"), config("t"))))

    async def mixed() -> None:
        await bounded(graph.ainvoke(ask("3"), config("t")))
        graph.invoke(ask("4"), config("t"))  # on the loop's own thread
        await asyncio.to_thread(graph.invoke, ask("5"), config("t"))

    asyncio.run(mixed())
    result = graph.invoke(ask("6"), config("t"))
    wanted = [text for n in range(1, 7) for text in (str(n), f"re: {n}")]
    assert texts(result["messages"]) == wanted
    info = sessions.get_session("t")
    assert (info.turn_count, info.conflicts, info.message_count) == (6, 0, 12)


def test_interrupted_by_one_door_and_resumed_by_the_other(sessions: SessionManager) -> None:
    graph = line_graph(sessions.checkpointer(), "a", a=lambda state: {"log": [interrupt("?")]})
    graph.invoke({"log": []}, config("1"))
    resumed = asyncio.run(bounded(graph.ainvoke(Command(resume="x"), config("1"))))
    assert resumed["log"] == ["x"]
    asyncio.run(bounded(graph.ainvoke({"log": []}, config("2"))))
    assert graph.invoke(Command(resume="y"), config("2"))["log"] == ["y"]


async def test_a_sync_call_on_the_loops_thread_does_not_deadlock(sessions: SessionManager) -> None:
    busy = [sessions.memory.aappend("s", HumanMessage(str(n))) for n in range(10)]
    running = [asyncio.ensure_future(item) for item in busy]
    await asyncio.sleep(0)
    sessions.create_session(id="x")
    sessions.memory.append("s", HumanMessage("sync"))
    assert sessions.get_session("x") is not None
    graph = chat_graph(sessions.checkpointer())
    graph.invoke({"messages": [HumanMessage("g")]}, config("g"))
    assert sessions.store.get(("a",), "k") is None
    await bounded(asyncio.gather(*running))
    assert len(sessions.memory("s").messages) == 11


def test_built_outside_a_loop_and_inside_one(url: str) -> None:
    store = open_store(url)
    sessions = SessionManager(store)
    saver, history = StoreCheckpointer(store), StoreChatMessageHistory(store, "s")

    async def use(made: SessionManager) -> int:
        await history.aadd_messages([HumanMessage("x")])
        await saver.aget_tuple(config("t"))
        await made.store.aput(("notes",), "k", {"v": 1})
        return await made.acount_sessions()

    assert asyncio.run(bounded(use(sessions))) == 1

    async def inside() -> SessionManager:
        made = SessionManager(store)
        assert await bounded(use(made)) == 1
        return made

    made = asyncio.run(inside())
    assert made.count_sessions() == 1  # its loop is gone
    assert asyncio.run(bounded(use(made))) == 1
    store.close()


def test_ten_event_loops_in_ten_threads_at_once(sessions: SessionManager) -> None:
    saver, history = sessions.checkpointer(), sessions.memory("shared")
    graph = chat_graph(saver)

    async def work(number: int) -> None:
        async def chat(part: int) -> None:
            thread = config(f"{number}.{part}")
            await graph.ainvoke({"messages": [HumanMessage("q")]}, thread)
            await history.aadd_messages([HumanMessage(f"{number}.{part}")])
            await sessions.atag_session(f"{number}.{part}", "x")
            await sessions.store.aput(("notes",), f"{number}.{part}", {"n": number})

        await bounded(asyncio.gather(*(chat(part) for part in range(3))))

    all_well(at_once((lambda n=n: asyncio.run(work(n))) for n in range(10)))
    wanted = {f"{n}.{part}" for n in range(10) for part in range(3)}
    assert set(texts(history.messages)) == wanted
    assert len(history.messages) == 30
    assert {info.id for info in sessions.list_sessions(tags="x")} == wanted
    assert len(sessions.store.search(("notes",), limit=50)) == 30
    for id in wanted:
        assert texts(sessions.messages(id)) == ["q", "re: q"]


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("sqlite", "sync"),
        ("sqlite", "async"),
        ("sqlite", "both"),
        ("sqlite", "thread"),
        ("sqlite", "unfinished"),
        ("file", "async"),
        ("file", "both"),
        ("file", "unfinished"),
        ("memory", "both"),
    ],
)
def test_never_closed_and_the_process_ends_by_itself(tmp_path: Path, kind: str, how: str) -> None:
    with Program("never_closed", url_of(kind, tmp_path), how) as program:
        began = time.monotonic()
        assert program.end() == ["done"]
        assert time.monotonic() - began < PATIENCE
        assert program.errors() == ""


class Held(StoreCheckpointer):
    """Tells when a put begins, so that it is cancelled in the middle."""

    started: asyncio.Event | None = None

    async def aput(self, *args: Any) -> Any:
        if self.started is not None:
            self.started.set()
        return await super().aput(*args)


async def test_a_cancelled_call_does_not_hang_the_next(sessions: SessionManager) -> None:
    history = sessions.memory("s")
    kept = 0
    for number in range(25):
        task = asyncio.ensure_future(history.aadd_messages([HumanMessage(str(number))]))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        task.cancel()
        (outcome,) = await bounded(asyncio.gather(task, return_exceptions=True))
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)
        # What a cancelled write did is settled when it is over: whole, or not at all.
        found = texts(await bounded(history.aget_messages()))
        assert found == texts(history.messages)
        assert len(found) in (kept, kept + 1)
        if outcome is None:
            assert len(found) == kept + 1
        kept = len(found)
        assert (info := await sessions.aget_session("s")) is None or info.message_count == kept
    await bounded(history.aadd_messages([HumanMessage("last")]))
    assert texts(history.messages)[-1] == "last"


async def test_a_cancelled_write_is_never_half_done(store: Store) -> None:
    history = StoreChatMessageHistory(store, "s")
    size = 20
    for number in range(20):
        many = [HumanMessage(f"{number}:{part}") for part in range(size)]
        task = asyncio.ensure_future(history.aadd_messages(many))
        deadline = 0.0005 * (number % 6)
        done, _ = await asyncio.wait([task], timeout=deadline)
        if not done:
            task.cancel()
        await bounded(asyncio.gather(task, return_exceptions=True))
        found = texts(history.messages)
        assert len(found) % size == 0
        assert len(set(found)) == len(found)
        settled = texts(await history.aget_messages())
        assert settled == found


async def test_a_cancelled_graph_run_goes_on_later(store: Store) -> None:
    saver = Held(store)
    blocked = asyncio.Event()

    async def slow(state: Any) -> dict[str, list[str]]:
        blocked.set()
        await asyncio.Event().wait()
        return {"log": ["never"]}

    graph = line_graph(saver, "a", "b", b=slow)
    task = asyncio.ensure_future(graph.ainvoke({"log": ["x"]}, config("t"), durability="sync"))
    await bounded(blocked.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bounded(task)
    again = line_graph(saver, "a", "b")
    result = await bounded(again.ainvoke(None, config("t")))
    assert result["log"] == ["x", "a", "b"]

    saver.started = asyncio.Event()
    task = asyncio.ensure_future(again.ainvoke({"log": ["y"]}, config("u"), durability="sync"))
    await bounded(saver.started.wait())
    task.cancel()
    await bounded(asyncio.gather(task, return_exceptions=True))
    saver.started = None
    assert (await bounded(again.ainvoke({"log": ["z"]}, config("u"))))["log"][-3:] == [
        "z",
        "a",
        "b",
    ]
    assert (await bounded(again.ainvoke({"log": ["n"]}, config("new"))))["log"] == ["n", "a", "b"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_stream_that_is_left_half_way_can_be_resumed(
    do: Door, sessions: SessionManager, durability: Any
) -> None:
    ran: list[str] = []

    def node(name: str) -> Any:
        def work(state: Any) -> dict[str, list[str]]:
            ran.append(name)
            return {"log": [name]}

        return work

    graph = line_graph(sessions.checkpointer(), *"abc", a=node("a"), b=node("b"), c=node("c"))

    def leave() -> None:
        stream = graph.stream({"log": ["x"]}, config("t"), durability=durability)
        next(stream)
        stream.close()

    async def aleave() -> None:
        stream = graph.astream({"log": ["x"]}, config("t"), durability=durability)
        await bounded(anext(stream))
        await stream.aclose()

    if do.is_async:
        asyncio.run(aleave())
    else:
        leave()
    state = do(graph, "get_state", config("t"))
    assert state.values["log"] in (["x"], ["x", "a"], ["x", "a", "b"])
    assert sessions.get_session("t").status == "idle"
    result = do(graph, "invoke", None, config("t"), durability=durability)
    assert result["log"] == ["x", "a", "b", "c"]
    assert ran.count("a") == 1
    assert sessions.get_session("t").turn_count == 1


def test_closing_while_others_work_is_clean(url: str) -> None:
    from threadloom import StoreClosed

    sessions = SessionManager(url)
    going = threading.Barrier(5)

    async def append_for_ever(number: int) -> None:
        for _ in range(10_000):
            await sessions.memory(f"s{number}").aappend(HumanMessage("x"))

    def work(number: int) -> None:
        going.wait(20)
        with pytest.raises(StoreClosed):
            asyncio.run(append_for_ever(number))

    def close() -> None:
        going.wait(20)
        while not sessions.count_sessions():
            pass
        sessions.close()

    all_well(at_once([*((lambda n=n: work(n)) for n in range(4)), close]))
    for action in (sessions.count_sessions, sessions.list_sessions):
        with pytest.raises(StoreClosed):
            action()
    with pytest.raises(StoreClosed):
        asyncio.run(sessions.acount_sessions())
    sessions.close()


async def test_with_and_async_with_close_what_they_opened(url: str) -> None:
    from threadloom import StoreClosed

    async with SessionManager(url) as sessions:
        await sessions.acreate_session(id="a")
    with pytest.raises(StoreClosed):
        await sessions.aget_session("a")
    async with open_store(url) as store:
        async with SessionManager(store) as sessions:
            await sessions.acreate_session(id="b")
        assert (await sessions.aget_session("b")) is not None
