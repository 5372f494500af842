"""Interrupts, expiry in the middle of a run, a file that goes away: nothing hangs or comes back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph

from engines import KINDS, open_kind, url_of
from threadloom import (
    InvalidKey,
    MemoryStore,
    SessionConflict,
    SessionDeleted,
    SessionManager,
    SQLiteStore,
    StoreUnavailable,
)
from threadloom.ops import ABSENT, Check, Delete, Get, Put, Scan
from threadloom.serde import Codec
from threadloom.serde.reader import Reader
from threadloom.store import Store
from threadloom.stores import memory, spaces
from threadloom.testing import FaultyStore, FrozenClock

from .helpers import PATIENCE, Door, all_well, at_once, checkpoint, config, put, run_program


def make(kind: str, folder: Path, clock: FrozenClock | None = None) -> Store:
    return open_kind(kind, folder, "s", clock=clock)


@pytest.mark.parametrize("kind", KINDS)
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
            graph.invoke(
                {"messages": [("user", "hi")]},
                {"configurable": {"thread_id": "x"}},
                durability="sync",
            )
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


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.soak(full=20_000)
def test_interrupts_at_any_moment_leave_a_store_that_works(
    kind: str, tmp_path: Path, rounds: int
) -> None:
    url = url_of(kind, tmp_path)
    if kind == "file":
        rounds //= 4  # after each interrupt a journal is read again
    counted, verdict = run_program("interrupted", url, rounds, patience=PATIENCE + rounds / 100)
    assert int(counted.split()[1]) > rounds / 10
    assert verdict == "whole"


@pytest.mark.parametrize("line", range(1, 8))
def test_an_interrupt_between_any_two_lines_of_a_change_in_memory(line: int) -> None:
    with SessionManager("memory://") as sessions:
        sessions.memory("t").append(HumanMessage("one"))
        changes = 0

        def interrupting(frame: Any, event: str, argument: Any) -> Any:
            nonlocal changes
            if frame.f_code is spaces.Space.set.__code__ and event == "call":
                changes += 1
                if changes == line:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            return interrupting

        try:
            sys.settrace(interrupting)
            sessions.memory("t").append(HumanMessage("two"))
        except KeyboardInterrupt:
            assert changes == line
        finally:
            sys.settrace(None)
        info = sessions.get_session("t")
        assert info is not None
        assert info.message_count == len(sessions.messages("t")) == (1 if changes == line else 2)


@pytest.mark.parametrize("content", [HumanMessage("hi"), ((), ((), ((),)))])
def test_an_interrupt_while_a_value_is_read_is_no_damage(content: Any) -> None:
    value = Codec().dumps([content])
    interrupted = 0
    for moment in range(1, 30):
        calls = 0

        def interrupting(frame: Any, event: str, argument: Any, moment: int = moment) -> Any:
            nonlocal calls
            if frame.f_code is Reader._hook.__code__:
                calls += 1
                if calls == moment:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            return interrupting

        try:
            sys.settrace(interrupting)
            Codec().loads(value)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
    assert interrupted >= 8


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


def _slow_put(store: FaultyStore, seconds: float) -> threading.Thread:
    """A put of session t that is under way for so long."""
    store.latency = seconds
    sessions = SessionManager(store)

    def work() -> None:
        with contextlib.suppress(SessionDeleted):
            put(Door("sync"), sessions.checkpointer(), "t", "c1", foo=1)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.2)
    store.latency = 0.0
    return thread


def _refused_after(sessions: SessionManager) -> float:
    began = time.monotonic()
    with pytest.raises(SessionDeleted):
        sessions.checkpointer().put_writes(config("t", checkpoint_id="c9"), [("x", 1)], "task")
    return time.monotonic() - began


def test_a_late_write_waits_for_puts_of_its_own_store_only() -> None:
    with FaultyStore(MemoryStore()) as store, SessionManager("memory://") as others:
        others.create_session(id="t")
        others.delete_session("t")
        thread = _slow_put(store, 3.0)
        assert _refused_after(others) < 2.9
        thread.join()


def test_late_first_puts_of_subgraphs_do_not_wait_for_each_other() -> None:
    with MemoryStore() as store:
        sessions = SessionManager(store)
        sessions.create_session(id="t")
        sessions.delete_session("t")

        def late(ns: str) -> float:
            began = time.monotonic()
            made = checkpoint("c2", foo=1)
            named = config("t", checkpoint_ns=ns, checkpoint_map={"": "c9"})
            with pytest.raises(SessionDeleted):
                sessions.checkpointer().put(
                    named,
                    made,
                    {"source": "input", "step": -1, "parents": {}},  # type: ignore[typeddict-item]
                    made["channel_versions"],
                )
            return time.monotonic() - began

        waited = all_well(at_once([lambda: late("one"), lambda: late("two")]))
        assert max(waited) < 4


def test_the_wait_of_a_late_write_counts_time_and_not_looks() -> None:
    with FaultyStore(MemoryStore(), latency=0.2) as store:
        sessions = SessionManager(store)
        sessions.create_session(id="t")
        sessions.delete_session("t")
        assert _refused_after(sessions) < 5


def test_what_outlives_an_expiry_does_not_get_into_the_next_life() -> None:
    clock = FrozenClock()
    with MemoryStore(clock=clock) as store:
        sessions = SessionManager(store)
        saver = sessions.checkpointer()
        sessions.create_session(id="t", ttl=timedelta(hours=1))
        old, older = str(uuid6()), str(uuid6())
        put(Door("sync"), saver, "t", old, foo="ana's")
        clock.advance(timedelta(hours=2))
        new = str(uuid6())
        put(Door("sync"), saver, "t", new, foo="bob's")
        made = checkpoint(older, foo="ana's")
        metadata: Any = {"source": "loop", "step": 1, "parents": {}}
        named = config("t", checkpoint_ns="sub", checkpoint_map={"": old})
        with pytest.raises(SessionDeleted):
            saver.put(named, made, metadata, made["channel_versions"])
        with pytest.raises(SessionDeleted):
            saver.put_writes(config("t", checkpoint_id=older), [("foo", "ana's")], "task")
        saver.put_writes(config("t", checkpoint_id=new), [("foo", "bob's")], "task")
        saver.put_writes(config("t", checkpoint_id=str(uuid6())), [("foo", "bob's")], "task")
        assert [
            item.checkpoint["id"] for item in saver.list({"configurable": {"thread_id": "t"}})
        ] == [new]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_an_interrupt_while_a_fork_waits_leaves_everything_usable(tmp_path: Path) -> None:
    assert run_program("interrupted_fork", tmp_path) == ["interrupted", "opened", "forked"]


@pytest.mark.parametrize("line", range(1, 250, 3))
def test_an_interrupt_while_a_refused_batch_is_taken_back(line: int) -> None:
    with MemoryStore() as store:
        store.execute([Put(("a",), str(n), {"n": n}) for n in range(3)])
        batch = [
            *(Put(("a",), f"new {n}") for n in range(3)),
            Delete(("a",), "0"),
            Put(("a",), "1", {"n": 9}),
            Check(("a",), "2", ABSENT),
        ]
        lines = 0

        def interrupting(frame: Any, event: str, argument: Any) -> Any:
            nonlocal lines
            if frame.f_code.co_filename in (memory.__file__, spaces.__file__) and event == "line":
                lines += 1
                if lines == line:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            return interrupting

        with contextlib.suppress(KeyboardInterrupt, SessionConflict):
            try:
                sys.settrace(interrupting)
                store.execute(batch)
            finally:
                sys.settrace(None)
        (records,) = store.execute([Scan(("a",))])
        assert [(record.key, record.doc) for record in records] == [
            (str(n), {"n": n}) for n in range(3)
        ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_late_write_in_a_child_does_not_wait_for_its_parents_puts() -> None:
    with FaultyStore(MemoryStore()) as store:
        sessions = SessionManager(store)
        sessions.create_session(id="t")
        sessions.delete_session("t")
        thread = _slow_put(store, 3.0)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            took = 99.0
            try:
                took = _refused_after(sessions)
            finally:
                os._exit(0 if took < 2.9 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        thread.join()


def test_a_late_write_that_blocks_the_loop_of_its_put_is_refused(tmp_path: Path) -> None:
    async def both() -> float:
        with SessionManager(SQLiteStore(tmp_path / "s.db")) as sessions:
            sessions.create_session(id="t")
            sessions.delete_session("t")
            made = checkpoint("c1", foo=1)
            metadata: Any = {"source": "input", "step": -1, "parents": {}}
            saver = sessions.checkpointer()
            going = asyncio.create_task(
                saver.aput(config("t"), made, metadata, made["channel_versions"])
            )
            await asyncio.sleep(0)
            took = _refused_after(sessions)  # nothing else runs on this loop meanwhile
            await going
            return took

    assert asyncio.run(both()) < 10


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
