"""Turns: one at a time a session, counted once, fenced."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from tests.sessions.conftest import Call
from tests.sessions.test_travel import chat, config, say, texts

from threadloom import (
    InvalidKey,
    SessionBusy,
    SessionConflict,
    SessionManager,
    SessionNotFound,
    Turn,
)
from threadloom.fences import fence_of
from threadloom.store import Store
from threadloom.testing import FrozenClock

pytestmark = pytest.mark.operation("turn")

Take = Callable[..., Any]
SHORT = timedelta(milliseconds=300)


@pytest.fixture(params=["with", "async with"])
def take(request: pytest.FixtureRequest, sessions: SessionManager) -> Take:
    """Enters a turn by either statement."""

    @asynccontextmanager
    async def entered(id: str, **options: Any) -> AsyncIterator[Turn]:
        holder = sessions.turn(id, **options)
        if request.param == "with":
            with holder as turn:
                yield turn
        else:
            async with holder as turn:
                yield turn

    return entered


@pytest.fixture
def started(sessions: SessionManager) -> SessionManager:
    sessions.create_session(id="s", owner="ana")
    return sessions


async def test_a_turn_from_begin_to_end(
    started: SessionManager, take: Take, clock: FrozenClock
) -> None:
    async with take("s", turn_id="t1") as turn:
        info = started.get_session("s")
        assert info is not None
        assert (info.status, info.turn_id, info.turn_started_at) == ("running", "t1", clock())
        assert [item.id for item in started.list_sessions(status="running")] == ["s"]
        assert turn.id == "t1"
        assert turn.config["configurable"]["thread_id"] == "s"
        turn.add_tokens(5)
        turn.add_tokens(2)
    info = started.get_session("s")
    assert info is not None
    assert (info.status, info.turn_id, info.turn_started_at) == ("idle", None, None)
    assert (info.turn_count, info.total_tokens) == (1, 7)
    assert started.list_sessions(status="running") == []


async def test_a_turn_that_fails(started: SessionManager, take: Take) -> None:
    with pytest.raises(ZeroDivisionError):
        async with take("s"):
            raise ZeroDivisionError
    assert started.get_status("s") == "error"
    async with take("s"):
        assert started.get_status("s") == "running"
    assert started.get_status("s") == "idle"


async def test_a_second_turn_is_refused_or_waits(started: SessionManager, take: Take) -> None:
    async with take("s"):
        with pytest.raises(SessionBusy):
            async with take("s"):
                pass
        began = time.monotonic()
        with pytest.raises(SessionBusy):
            async with take("s", wait=0.2):
                pass
        assert 0.2 <= time.monotonic() - began < 5
    info = started.get_session("s")
    assert info is not None
    assert info.turn_count == 1

    async def first() -> None:
        async with started.turn("s"):
            await asyncio.sleep(0.3)
            started.memory("s").append(HumanMessage("first"))

    task = asyncio.create_task(first())
    await asyncio.sleep(0.1)
    async with started.turn("s", wait=timedelta(seconds=20)):
        started.memory("s").append(HumanMessage("second"))
    await task
    assert texts(started.messages("s")) == ["first", "second"]


@pytest.mark.operation("list_running_sessions")
async def test_other_sessions_are_free(started: SessionManager, take: Take) -> None:
    started.create_session(id="other")
    async with take("s"), take("other"):
        assert {info.id for info in started.list_running_sessions()} == {"s", "other"}


async def test_no_two_turns_overlap(started: SessionManager) -> None:
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with started.turn("s", wait=60):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert most == 1
    info = started.get_session("s")
    assert info is not None
    assert info.turn_count == 30
    assert info.status == "idle"


async def test_unknown_sessions_and_bad_arguments(started: SessionManager, take: Take) -> None:
    with pytest.raises(SessionNotFound):
        async with take("nobody"):
            pass
    for options in ({"wait": -1}, {"wait": "soon"}, {"lease": timedelta(0)}, {"turn_id": ""}):
        with pytest.raises(InvalidKey):
            started.turn("s", **options)  # type: ignore[arg-type]
    async with take("s") as turn:
        with pytest.raises(InvalidKey):
            turn.add_tokens(-1)


async def test_a_turn_is_entered_once(started: SessionManager) -> None:
    holder = started.turn("s")
    with holder:
        pass
    with pytest.raises(InvalidKey):
        holder.__enter__()
    assert started.get_status("s") == "idle"


async def test_a_graph_run_inside_counts_once(started: SessionManager, take: Take) -> None:
    graph = chat(started)
    async with take("s") as turn:
        graph.invoke(say("one"), config("s"))
        assert started.get_status("s") == "running"
        await graph.ainvoke(say("two"), turn.config)
        assert started.get_status("s") == "running"
    info = started.get_session("s")
    assert info is not None
    assert (info.turn_count, info.status, info.message_count) == (1, "idle", 4)
    graph.invoke(say("three"), config("s"))
    info = started.get_session("s")
    assert info is not None
    assert (info.turn_count, info.status) == (2, "idle")
    metadata = [item.metadata for item in started.checkpointer().list(config("s"))]
    assert not any(key.startswith("__") for item in metadata for key in item)


@pytest.mark.operation("get_status")
async def test_an_interrupt_inside_shows_afterwards(started: SessionManager, take: Take) -> None:
    def ask(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [AIMessage(interrupt("?"))]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=started.checkpointer())
    async with take("s"):
        graph.invoke(say("one"), config("s"))
        assert started.get_status("s") == "running"
    assert started.get_status("s") == "interrupted"
    async with take("s"):
        graph.invoke(Command(resume="yes"), config("s"))
    assert started.get_status("s") == "idle"


async def test_a_run_beside_a_turn_leaves_its_status(started: SessionManager, take: Take) -> None:
    graph = chat(started)
    graph.invoke(say("zero"), config("s"))
    async with take("s"):
        thread = threading.Thread(target=lambda: graph.invoke(say("one"), config("s")))
        thread.start()
        thread.join()
        assert started.get_status("s") == "running"


@pytest.mark.parametrize("by_config", [True, False])
async def test_a_writer_whose_turn_was_taken_over_is_refused(
    started: SessionManager, store: Store, take: Take, clock: FrozenClock, by_config: bool
) -> None:
    graph = chat(started)
    other = SessionManager(store)
    turn = None
    with pytest.raises(SessionConflict):  # noqa: PT012
        async with take("s", lease=timedelta(hours=1)) as turn:
            clock.advance(timedelta(hours=2))
            done: list[str] = []

            def take_over() -> None:
                with other.turn("s", turn_id="t2"):
                    other.memory("s").append(HumanMessage("mine"))
                    done.append("in")
                    release.wait(20)

            release = threading.Event()
            thread = threading.Thread(target=take_over)
            thread.start()
            while not done:
                await asyncio.sleep(0.01)
            where = turn.config if by_config else config("s")
            with pytest.raises(SessionConflict):
                graph.invoke(say("late"), where)
            with pytest.raises(SessionConflict):
                started.memory("s").append(HumanMessage("late"))
            with pytest.raises(SessionConflict):
                started.rename_session("s", "late")
            with pytest.raises(SessionConflict):
                started.delete_session("s")
            release.set()
            thread.join()
    assert turn is not None
    assert texts(started.messages("s")) == ["mine"]
    info = started.get_session("s")
    assert info is not None
    assert (info.status, info.name) == ("idle", "")


async def test_a_fence_travels_in_a_config_alone(started: SessionManager, take: Take) -> None:
    graph = chat(started)
    async with take("s") as turn:
        kept = turn.config
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(graph.invoke(say("one"), kept)))
        thread.start()
        thread.join()
        assert len(results) == 1
    info = started.get_session("s")
    assert info is not None
    assert info.turn_count == 1
    with pytest.raises(SessionConflict):
        graph.invoke(say("after the turn"), kept)
    assert texts(started.messages("s")) == ["one", "re one"]


async def test_a_session_deleted_during_its_turn_stays_deleted(
    started: SessionManager, take: Take
) -> None:
    graph = chat(started)
    with pytest.raises(SessionConflict):  # noqa: PT012
        async with take("s"):
            graph.invoke(say("one"), config("s"))
            assert started.delete_session("s")
            with pytest.raises(SessionConflict):
                graph.invoke(say("two"), config("s"))
            with pytest.raises(SessionConflict):
                started.memory("s").append(HumanMessage("two"))
            with pytest.raises(SessionConflict):
                started.update_session("s", owner="x", create=True)
            with pytest.raises(SessionConflict):
                started.create_session(id="s")
            with pytest.raises(SessionConflict):
                started.create_session(id="s", if_exists="return")
    assert started.get_session("s") is None
    graph.invoke(say("a new life"), config("s"))
    assert texts(started.messages("s")) == ["a new life", "re a new life"]


async def test_the_lease_is_renewed(started: SessionManager, store: Store) -> None:
    real = SessionManager(store, clock=None)
    store.clock = None  # type: ignore[assignment]
    for kind in ("with", "async with"):
        holder = real.turn("s", lease=SHORT)
        if kind == "with":
            with holder as turn:
                await asyncio.to_thread(time.sleep, 1.0)
                with pytest.raises(SessionBusy):
                    real.turn("s").__enter__()
                assert not turn.lost
        else:
            async with holder as turn:
                await asyncio.sleep(1.0)
                with pytest.raises(SessionBusy):
                    await real.turn("s").__aenter__()
                assert not turn.lost
    assert real.get_status("s") == "idle"


async def test_a_session_with_a_short_ttl_outlives_its_turn(
    started: SessionManager, take: Take, clock: FrozenClock
) -> None:
    started.update_session("s", ttl=timedelta(seconds=30))
    async with take("s"):
        clock.advance(20)
        assert started.get_session("s") is not None


@pytest.mark.operation("list_stuck_sessions")
async def test_a_crashed_turn_is_stuck_and_taken_over(
    started: SessionManager, call: Call, clock: FrozenClock, store: Store
) -> None:
    crashed = started.turn("s", turn_id="dead", lease=timedelta(seconds=60))
    crashed.__enter__()
    crashed._ended.set()  # its heartbeat dies with it
    assert await call("list_stuck_sessions", timedelta(minutes=10)) == []
    clock.advance(60)
    assert [info.turn_id for info in await call("list_stuck_sessions", timedelta(minutes=10))] == [
        "dead"
    ]
    done: list[Any] = []

    def recover() -> None:
        with started.turn("s", turn_id="next"):
            done.append(started.get_session("s"))

    thread = threading.Thread(target=recover)
    thread.start()
    thread.join()
    assert done[0].turn_id == "next"
    assert started.get_status("s") == "idle"
    assert await call("list_stuck_sessions", timedelta(minutes=10)) == []


async def test_a_dead_turn_keeps_nothing_from_being_swept(
    started: SessionManager, clock: FrozenClock
) -> None:
    chat(started).invoke(say("one"), config("s"))
    holder = started.turn("s", lease=timedelta(seconds=60))
    holder.__enter__()
    holder._ended.set()
    assert started.prune().checkpoints == 0
    assert started.delete_sessions(owner="ana", dry_run=True) == []
    clock.advance(timedelta(hours=2))

    def elsewhere() -> None:
        assert started.prune().checkpoints == 2
        assert started.cleanup_stale(timedelta(hours=1), dry_run=True) == 1
        assert started.delete_sessions(owner="ana") == ["s"]

    await asyncio.to_thread(contextvars.Context().run, elsewhere)
    assert started.get_session("s") is None


async def test_what_began_inside_a_turn_may_go_on_after_it(started: SessionManager) -> None:
    async def title() -> None:
        await asyncio.sleep(0.1)
        await started.arename_session("s", "a title")

    async def queued() -> None:
        async with started.turn("s", wait=10):
            started.memory("s").append(HumanMessage("queued"))

    async with started.turn("s"):
        later = [asyncio.create_task(title()), asyncio.create_task(queued())]
        await asyncio.sleep(0.01)
    await asyncio.gather(*later)
    info = started.get_session("s")
    assert info is not None
    assert (info.name, info.turn_count, info.status) == ("a title", 2, "idle")


async def test_a_session_loaded_in_its_turn_is_saved_however_long_it_takes(
    started: SessionManager, store: Store
) -> None:
    store.clock = None  # type: ignore[assignment]
    real = SessionManager(store)
    with real.turn("s", lease=SHORT):
        loaded = real.resume_session("s")
        await asyncio.to_thread(time.sleep, 0.5)
        real.save_session(loaded.model_copy(update={"state": 1}))
    assert real.resume_session("s").state == 1


async def test_a_blocked_loop_keeps_its_turn(started: SessionManager, store: Store) -> None:
    store.clock = None  # type: ignore[assignment]
    real = SessionManager(store)
    async with real.turn("s", lease=SHORT) as turn:
        time.sleep(0.8)
        real.memory("s").append(HumanMessage("still mine"))
        assert not turn.lost


@pytest.mark.operation("set_status")
async def test_a_turn_is_not_ended_by_hand(started: SessionManager, take: Take) -> None:
    async with take("s", turn_id="t1"):
        with pytest.raises(SessionBusy):
            started.set_status("s", "idle")
        assert started.get_status("s") == "running"


@pytest.mark.operation("set_status", "get_status")
async def test_status_by_hand(started: SessionManager, call: Call, clock: FrozenClock) -> None:
    info = await call("set_status", "s", "running", turn_id="t1")
    begun = clock()
    assert (info.status, info.turn_id, info.turn_started_at) == ("running", "t1", begun)
    clock.advance(5)
    again = await call("set_status", "s", "running", turn_id="t1")
    assert again.turn_started_at == begun
    with pytest.raises(SessionBusy):
        await call("set_status", "s", "idle", turn_id="t2")
    assert await call("get_status", "s") == "running"
    info = await call("set_status", "s", "error", turn_id="t1")
    assert (info.status, info.turn_id, info.turn_started_at) == ("error", None, None)
    assert await call("get_status", "nobody") is None
    with pytest.raises(SessionNotFound):
        await call("set_status", "nobody", "idle")
    with pytest.raises(InvalidKey):
        await call("set_status", "s", "busy")


@pytest.mark.operation("list_running_sessions", "list_stuck_sessions")
async def test_running_and_stuck_in_order(
    started: SessionManager, call: Call, clock: FrozenClock
) -> None:
    for id in ("a", "b", "c"):
        started.create_session(id=id)
        started.set_status(id, "running")
        clock.advance(10)
    assert [info.id for info in await call("list_running_sessions")] == ["c", "b", "a"]
    stuck = await call("list_stuck_sessions", timedelta(seconds=20))
    assert [info.id for info in stuck] == ["a"]  # strictly longer: b began 20 seconds ago
    stuck = await call("list_stuck_sessions", timedelta(seconds=19))
    assert [info.id for info in stuck] == ["a", "b"]
    with pytest.raises(InvalidKey):
        await call("list_stuck_sessions", timedelta(0))


async def test_a_rewind_inside_a_turn_keeps_it_running(started: SessionManager, take: Take) -> None:
    graph = chat(started)
    graph.invoke(say("one"), config("s"))
    async with take("s"):
        started.rewind_session("s", messages=1)
        assert started.get_status("s") == "running"
        fork = started.fork_session("s")
        assert (fork.status, fork.turn_id) == ("idle", None)
    assert started.get_status("s") == "idle"


async def test_a_ttl_shorter_than_the_lease(started: SessionManager, clock: FrozenClock) -> None:
    graph = chat(started)
    started.update_session("s", ttl=timedelta(seconds=1))
    with started.turn("s", lease=timedelta(seconds=30)) as turn:
        clock.advance(25)
        assert started.get_session("s") is not None
        assert started.cleanup_stale(timedelta(days=1)) == 0
        graph.invoke(say("one"), turn.config)
        clock.advance(25)
        assert len(started.messages("s")) == 2
    info = started.get_session("s")
    assert info is not None
    assert info.expires_at == clock() + timedelta(seconds=1)


async def test_turns_that_do_not_end_in_order(started: SessionManager) -> None:
    started.create_session(id="b")
    first, second = started.turn("s"), started.turn("b")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert fence_of(second._paths) is not None
    second.__exit__(None, None, None)
    assert fence_of(first._paths) is None
    started.rename_session("s", "free")


async def test_a_stream_that_nobody_reads_to_its_end(started: SessionManager) -> None:
    graph = chat(started)

    async def stream() -> AsyncIterator[Any]:
        async with started.turn("s") as turn:
            async for event in graph.astream(say("hi"), turn.config):
                yield event
            yield None

    source = stream()
    async for _ in source:
        break
    await source.aclose()  # type: ignore[attr-defined]
    assert started.get_status("s") == "idle"
    await graph.ainvoke(say("more"), config("s"))
    async with started.turn("s", wait=5):
        pass


@pytest.mark.parametrize("moment", ["entering", "leaving"])
async def test_a_cancelled_turn_leaves_nothing_behind(
    started: SessionManager, store: Store, moment: str
) -> None:
    task: asyncio.Task[Any] | None = None
    wait = store.aexecute

    async def slow(ops: Any) -> Any:
        found = await wait(ops)
        if moment == "entering" and any(getattr(op, "key", "") == "fence" for op in ops):
            assert task is not None
            task.cancel()
            await asyncio.sleep(0.02)
        return found

    async def turn() -> None:
        async with started.turn("s"):
            if moment == "leaving":
                assert task is not None
                asyncio.get_running_loop().call_soon(task.cancel)

    store.aexecute = slow  # type: ignore[method-assign]
    task = asyncio.create_task(turn())
    with pytest.raises(asyncio.CancelledError):
        await task
    store.aexecute = wait  # type: ignore[method-assign]
    assert started.get_status("s") in ("idle", "error")
    async with started.turn("s"):
        assert started.get_status("s") == "running"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_forked_child_does_not_end_the_turn(started: SessionManager) -> None:
    with started.turn("s") as turn:
        child = os.fork()
        if child == 0:
            holder = started.turn("s")
            holder._turn, holder._process = turn, os.getppid()
            holder.__exit__(None, None, None)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert started.get_status("s") == "running"
        chat(started).invoke(say("hi"), turn.config)


async def test_a_run_after_a_crash_says_how_things_are(
    started: SessionManager, clock: FrozenClock
) -> None:
    graph = chat(started)
    graph.invoke(say("zero"), config("s"))

    def crash() -> None:
        holder = started.turn("s", lease=timedelta(seconds=30))
        holder.__enter__()
        holder._ended.set()

    await asyncio.to_thread(contextvars.Context().run, crash)
    graph.invoke(say("one"), config("s"))
    assert started.get_status("s") == "running"  # the lease lasts
    clock.advance(60)
    graph.invoke(say("two"), config("s"))
    info = started.get_session("s")
    assert info is not None
    assert (info.status, info.turn_id) == ("idle", None)
    assert started.prune().checkpoints > 0


async def test_a_lease_does_not_outlast_a_clock_that_is_put_back(
    started: SessionManager, clock: FrozenClock
) -> None:
    def crash() -> None:
        holder = started.turn("s", lease=timedelta(seconds=30))
        holder.__enter__()
        holder._ended.set()

    await asyncio.to_thread(contextvars.Context().run, crash)
    with pytest.raises(SessionBusy):
        started.turn("s").__enter__()
    clock.set(clock() - timedelta(hours=1))
    with started.turn("s"):
        pass


async def test_clocks_that_differ_a_little_do_not_take_turns_over(
    started: SessionManager, clock: FrozenClock
) -> None:
    with started.turn("s", lease=timedelta(seconds=30)):
        clock.set(clock() - timedelta(seconds=2))  # as another machine has it
        with pytest.raises(SessionBusy):
            contextvars.Context().run(started.turn("s").__enter__)
        assert started.list_stuck_sessions(timedelta(hours=1)) == []


async def test_a_turn_of_an_expired_life_is_over_in_the_next(
    sessions: SessionManager, clock: FrozenClock
) -> None:
    sessions.create_session(id="s", ttl=timedelta(seconds=60))
    before = contextvars.Context()
    holder = sessions.turn("s", lease=timedelta(seconds=30))

    def stands_still() -> None:
        holder.__enter__()
        holder._ended.set()

    before.run(stands_still)
    clock.advance(24 * 3600)
    sessions.create_session(id="s")
    with pytest.raises(SessionConflict):
        before.run(sessions.memory("s").append, HumanMessage("of the life before"))
    with sessions.turn("s"):
        sessions.memory("s").append(HumanMessage("of this life"))
    assert [message.content for message in sessions.messages("s")] == ["of this life"]


def _dies_in_a_turn(sessions: SessionManager) -> None:
    def crash() -> None:
        holder = sessions.turn("s", lease=timedelta(seconds=30))
        holder.__enter__()
        holder._ended.set()

    contextvars.Context().run(crash)


async def test_a_run_that_is_interrupted_after_a_turn_has_died_says_so(
    started: SessionManager, clock: FrozenClock
) -> None:
    def ask(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [HumanMessage(interrupt("which one?"))]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(checkpointer=started.checkpointer(), interrupt_before=["ask"])
    graph.invoke(say("one"), config("s"))
    await asyncio.to_thread(_dies_in_a_turn, started)
    clock.advance(60)
    assert started.get_status("s") == "running"
    graph.invoke(None, config("s"))
    info = started.get_session("s")
    assert info is not None
    assert (info.status, info.turn_id) == ("interrupted", None)


async def test_a_turn_said_by_hand_outlives_one_that_died_before_it(
    started: SessionManager, clock: FrozenClock
) -> None:
    await asyncio.to_thread(_dies_in_a_turn, started)
    clock.advance(60)
    assert [info.id for info in started.list_stuck_sessions(timedelta(hours=1))] == ["s"]
    started.set_status("s", "idle")
    started.set_status("s", "running", turn_id="by hand")
    assert started.list_stuck_sessions(timedelta(hours=1)) == []
    chat(started).invoke(say("one"), config("s"))
    info = started.get_session("s")
    assert info is not None
    assert (info.status, info.turn_id) == ("running", "by hand")
