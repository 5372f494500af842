"""Interrupts, expiry in the middle of a run, a file that goes away: nothing hangs or comes back."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import (
    InvalidKey,
    MemoryStore,
    SessionDeleted,
    SessionManager,
    SQLiteStore,
    StoreUnavailable,
)
from threadloom.ops import Get, Put
from threadloom.store import Store
from threadloom.testing import FrozenClock


def make(kind: str, folder: Path, clock: FrozenClock | None = None) -> Store:
    return (
        MemoryStore(clock=clock) if kind == "memory" else SQLiteStore(folder / "s.db", clock=clock)
    )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_run_that_outlives_its_sessions_expiry_brings_nothing_back(
    kind: str, tmp_path: Path
) -> None:
    clock = FrozenClock()
    with make(kind, tmp_path, clock) as store:
        sessions = SessionManager(store)
        sessions.create_session(id="x", name="secret", ttl=timedelta(hours=1))

        def slow(state: MessagesState) -> dict[str, Any]:
            clock.advance(timedelta(hours=2))
            return {"messages": [("ai", "too late")]}

        builder = StateGraph(MessagesState)
        builder.add_node("slow", slow)
        builder.add_edge(START, "slow")
        graph = builder.compile(checkpointer=sessions.checkpointer())
        with pytest.raises(SessionDeleted, match=r"expired|parent"):
            graph.invoke({"messages": [("user", "hi")]}, {"configurable": {"thread_id": "x"}})
        assert sessions.get_session("x") is None
        assert sessions.list_sessions() == []


def test_a_ttl_that_no_calendar_holds_is_refused() -> None:
    with SessionManager("memory://") as sessions:
        for ttl in (timedelta.max, timedelta(days=365 * 9000)):
            with pytest.raises(InvalidKey, match="hundred years"):
                sessions.create_session(id="x", ttl=ttl)
        assert sessions.list_sessions() == []
        assert sessions.create_session(ttl=timedelta(days=36_500)).expires_at is not None


def test_clocks_that_disagree_do_not_hang() -> None:
    with MemoryStore() as store:
        past = SessionManager(store, clock=FrozenClock())
        with pytest.raises(InvalidKey, match="clocks"):
            past.create_session(ttl=timedelta(seconds=1))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_signal_handler_cannot_deadlock_on_the_store_it_interrupts(
    kind: str, tmp_path: Path
) -> None:
    refused: list[str] = []

    def handler(number: int, frame: Any) -> None:
        try:
            store.execute([Put(("a",), "from the handler", {})])
        except StoreUnavailable as error:
            refused.append(str(error))

    clock = _Interrupting()
    with make(kind, tmp_path) as store:
        store.clock = clock
        old = signal.signal(signal.SIGUSR1, handler)
        try:
            clock.act = lambda: os.kill(os.getpid(), signal.SIGUSR1)
            store.execute([Put(("a",), "k", {})])
        finally:
            signal.signal(signal.SIGUSR1, old)
        clock.act = None
        assert refused
        assert "signal handler" in refused[0]
        assert store.execute([Get(("a",), "k"), Get(("a",), "from the handler")])[1] is None


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_interrupted_write_leaves_nothing_and_no_lock(kind: str, tmp_path: Path) -> None:
    clock = _Interrupting()
    with make(kind, tmp_path) as store:
        store.clock = clock
        store.execute([Put(("a",), "k", {"n": 1})])

        def interrupt() -> None:
            raise KeyboardInterrupt

        clock.act = interrupt
        with pytest.raises(KeyboardInterrupt):
            store.execute([Put(("a",), "k", {"n": 2})])
        clock.act = None
        (record,) = store.execute([Get(("a",), "k")])
        assert record.doc == {"n": 1}
        if isinstance(store, SQLiteStore):
            other = sqlite3.connect(store.path, timeout=5, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
            other.close()
        store.execute([Put(("a",), "k", {"n": 3})])


class _Interrupting:
    """A clock that does something when a store asks for the time, in the middle of its work."""

    def __init__(self) -> None:
        self.act: Callable[[], None] | None = None
        self._frozen = FrozenClock()

    def __call__(self) -> Any:
        if self.act is not None:
            self.act()
        return self._frozen()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_went_away_is_an_error_and_not_empty(tmp_path: Path, how: str) -> None:
    file = tmp_path / "s.db"
    with SessionManager(f"sqlite:///{file}") as sessions:
        sessions.memory("x").append(HumanMessage("kept"))
        for path in list(tmp_path.iterdir()):
            path.unlink()
        if how == "replaced":
            SQLiteStore(file).close()
        with pytest.raises(StoreUnavailable, match="deleted or replaced"):
            sessions.memory("x").append(HumanMessage("lost"))
    if how == "deleted":
        assert not file.exists()


async def test_async_reads_do_not_wait_behind_writes_that_wait(tmp_path: Path) -> None:
    import asyncio

    with SQLiteStore(tmp_path / "s.db", busy_timeout=20) as store:
        sessions = SessionManager(store)
        sessions.memory("x").append(HumanMessage("one"))
        lock = sqlite3.connect(store.path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        writes = [
            asyncio.create_task(sessions.memory("x").aappend(HumanMessage(str(number))))
            for number in range(8)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            for _ in range(20):
                assert await sessions.aget_session("x") is not None
        assert not any(write.done() for write in writes)
        lock.execute("ROLLBACK")
        lock.close()
        await asyncio.gather(*writes)
        assert len(await sessions.amessages("x")) == 9


def test_a_rightful_run_waits_for_its_own_slow_put(tmp_path: Path) -> None:
    """A new life of a deleted id whose first put takes longer than a late write's patience."""
    with SQLiteStore(tmp_path / "s.db") as store:
        sessions = SessionManager(store)
        builder = StateGraph(MessagesState)
        builder.add_node("a", lambda state: {"messages": [("ai", "new")]})
        builder.add_edge(START, "a")
        graph = builder.compile(checkpointer=sessions.checkpointer())
        config: Any = {"configurable": {"thread_id": "x"}}
        graph.invoke({"messages": [("user", "old")]}, config)
        sessions.delete_session("x")
        lock = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(3.5, lambda: lock.execute("ROLLBACK"))
        timer.start()
        try:
            graph.invoke({"messages": [("user", "again")]}, config, durability="async")
        finally:
            timer.join()
            lock.close()
        assert [message.text for message in sessions.messages("x")] == ["again", "new"]


assert sys.platform != "win32", "these tests send POSIX signals"
