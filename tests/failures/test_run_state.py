"""Run state: crashes that leave `running`, re-entry, sessions that nobody knows."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from threadloom import (
    CheckpointNotFound,
    Session,
    SessionBusy,
    SessionInfo,
    SessionManager,
    SessionNotFound,
    StoreChatMessageHistory,
    open_store,
)
from threadloom.store import Store
from threadloom.testing import FrozenClock

from .helpers import PATIENCE, Door, Program, chat_graph, config, put, texts


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def timed(url: str, clock: FrozenClock) -> Iterator[Store]:
    """A store whose time the test moves."""
    with open_store(url, clock=clock) as opened:
        yield opened


# A crash leaves `running` for ever. Memory does not outlive a crash.


@pytest.mark.operation("list_stuck_sessions", "turn")
def test_a_killed_turn_is_found_and_the_next_one_waits_for_its_lease(
    do: Door, file_url: str
) -> None:
    with SessionManager(file_url) as sessions:
        sessions.create_session(id="s")
        with Program("taking_turns", file_url, "victim", 1) as victim:
            assert victim.line() == "in"
            victim.kill()
        assert [info.id for info in do(sessions, "list_running_sessions")] == ["s"]
        began = time.monotonic()
        take_turn(do, sessions, wait=PATIENCE)
        assert 0.5 < time.monotonic() - began < 10
        assert do(sessions, "get_status", "s") == "idle"
        assert do(sessions, "list_stuck_sessions", timedelta(seconds=1)) == []


def take_turn(do: Door, sessions: SessionManager, **options: Any) -> None:
    async def take() -> None:
        async with sessions.turn("s", **options):
            pass

    if do.is_async:
        asyncio.run(take())
    else:
        with sessions.turn("s", **options):
            pass


@pytest.mark.operation("list_stuck_sessions", "list_running_sessions", "turn")
def test_a_crash_in_a_turn_does_not_leave_running_for_ever(do: Door, shared_url: str) -> None:
    clock = FrozenClock()
    with SessionManager(shared_url, clock=clock) as sessions:
        sessions.create_session(id="s")
        with Program("crashed", shared_url, do.kind, "turn") as program:
            assert program.line() == "in"
            clock.set(datetime.now(UTC))
            program.kill()
        assert do(sessions, "get_status", "s") == "running"  # while its lease lasts
        assert do(sessions, "list_stuck_sessions", timedelta(minutes=10)) == []
        with pytest.raises(SessionBusy):
            take_turn(do, sessions)
        clock.advance(timedelta(seconds=61))
        (stuck,) = do(sessions, "list_stuck_sessions", timedelta(minutes=10))
        assert (stuck.id, stuck.turn_id) == ("s", "dead")

        take_turn(do, sessions)
        assert do(sessions, "get_status", "s") == "idle"
        assert do(sessions, "list_stuck_sessions", timedelta(minutes=10)) == []
        assert do(sessions, "list_running_sessions") == []
        graph = chat_graph(sessions.checkpointer())
        do(graph, "invoke", None, config("s"))
        assert texts(do(sessions, "messages", "s")) == ["question", "re: question"]


@pytest.mark.operation("get_status", "list_running_sessions")
def test_a_crash_outside_of_turns_leaves_nothing_running(do: Door, shared_url: str) -> None:
    with SessionManager(shared_url) as sessions:
        with Program("crashed", shared_url, do.kind, "run") as program:
            assert program.line() == "in"
            assert do(sessions, "get_status", "s") == "idle"
            program.kill()
        assert do(sessions, "get_status", "s") == "idle"
        assert do(sessions, "list_running_sessions") == []
        graph = chat_graph(sessions.checkpointer())
        do(graph, "invoke", None, config("s"))
        assert texts(do(sessions, "messages", "s")) == ["question", "re: question"]
        assert do(sessions, "get_status", "s") == "idle"


@pytest.mark.operation("set_status", "list_stuck_sessions")
@pytest.mark.parametrize("ended", ["by hand", "by a turn"])
def test_a_crash_after_running_was_said_by_hand_is_found_and_ended(
    do: Door, file_url: str, ended: str
) -> None:
    clock = FrozenClock()
    with SessionManager(file_url, clock=clock) as sessions:
        sessions.create_session(id="s")
        with Program("crashed", file_url, do.kind, "by hand") as program:
            assert program.line() == "in"
            clock.set(datetime.now(UTC))
            program.kill()
        assert do(sessions, "list_stuck_sessions", timedelta(minutes=10)) == []
        clock.advance(timedelta(minutes=11))
        assert [info.turn_id for info in do(sessions, "list_running_sessions")] == ["dead"]
        (stuck,) = do(sessions, "list_stuck_sessions", timedelta(minutes=10))
        assert stuck.id == "s"
        if ended == "by hand":
            do(sessions, "set_status", "s", "error")
        else:
            take_turn(do, sessions)
        assert do(sessions, "get_status", "s") == ("error" if ended == "by hand" else "idle")
        assert do(sessions, "list_stuck_sessions", timedelta(minutes=10)) == []


# Re-entry restarts the clock


@pytest.mark.operation("set_status", "list_stuck_sessions", "turn")
@pytest.mark.parametrize("kind", ["by hand", "turn"])
def test_re_entry_does_not_restart_the_clock(
    do: Door, timed: Store, clock: FrozenClock, kind: str
) -> None:
    sessions = SessionManager(timed)
    sessions.create_session(id="s")
    graph = chat_graph(sessions.checkpointer())
    began = clock()

    def enter_again() -> None:
        for turn_id in ("t1", None):
            clock.advance(60)
            do(sessions, "set_status", "s", "running", turn_id=turn_id)
            with pytest.raises(SessionBusy):
                do(sessions, "set_status", "s", "running", turn_id="t2")
        do(graph, "invoke", {"messages": [HumanMessage("q")]}, config("s"))
        do(sessions.memory("s"), "add_messages", [HumanMessage("h")])
        info = do(sessions, "get_session", "s")
        assert (info.status, info.turn_id, info.turn_started_at) == ("running", "t1", began)
        assert [s.id for s in do(sessions, "list_stuck_sessions", timedelta(seconds=119))] == ["s"]
        assert do(sessions, "list_stuck_sessions", timedelta(seconds=120)) == []

    if kind == "by hand":
        do(sessions, "set_status", "s", "running", turn_id="t1")
        enter_again()
        do(sessions, "set_status", "s", "idle", turn_id="t1")
    else:
        with sessions.turn("s", turn_id="t1", lease=timedelta(hours=1)):
            with pytest.raises(SessionBusy):
                take_turn(do, sessions, turn_id="t1")
            enter_again()
    clock.advance(60)
    again = do(sessions, "set_status", "s", "running", turn_id="t1")
    assert again.turn_started_at == clock()  # a turn of its own, under the same name


# Unknown sessions: three different answers

Asked = tuple[Any, ...]
NOTHING: dict[str, tuple[Asked, Any]] = {
    "get_session": ((), None),
    "load_session": ((), None),
    "get_status": ((), None),
    "messages": ((), []),
    "list_streams": ((), []),
    "delete_session": ((), False),
    "compact": ((), None),
}
"""Asked for something of a session, or told to see to it that nothing is left."""
REFUSED: dict[str, Asked] = {
    "rename_session": ("x",),
    "tag_session": ("x",),
    "untag_session": ("x",),
    "update_session": (),
    "set_status": ("idle",),
    "fork_session": (),
    "resume_session": (),
    "check": (),
    "stats": (),
}
"""Told to do something with a session."""
LOOKING = {"checkpoint_tree", "compare_checkpoints", "iter_messages"}
ELSEWHERE = {"turn", "rewind_session", "stream", *LOOKING}
"""Called in another way, below or (streams) in `tests/sessions/test_streams.py`."""
OF_HISTORIES: dict[str, tuple[Asked, Any]] = {
    "load": ((), []),
    "load_with_timestamps": ((), []),
    "get_summary": ((), None),
    "update_last": ((HumanMessage("x"),), False),
    "remove_last": ((), False),
    "clear": ((), None),
    "clear_messages": ((), 0),
}
SAID = HumanMessage("x", id="x")
BEGINNING: dict[str, Asked] = {"add_messages": ([SAID],), "set_summary": ("x",)}
"""Of a history: what begins a session, where one may begin by itself."""


def forget(do: Door, sessions: SessionManager, clock: FrozenClock, how: str) -> None:
    """Make sure that there is no session s."""
    if how != "never there":
        do(sessions, "create_session", id="s", ttl=timedelta(hours=1))
        do(chat_graph(sessions.checkpointer()), "invoke", {"messages": ["x"]}, config("s"))
        do(sessions.memory("s"), "add_messages", [HumanMessage("x")])
        do(sessions.memory("s"), "set_summary", "x")
    if how == "deleted":
        assert do(sessions, "delete_session", "s") is True
    elif how == "expired":
        clock.advance(timedelta(hours=2))


@pytest.mark.operation("get_session", "rename_session", "turn", "memory")
@pytest.mark.parametrize("how", ["never there", "deleted", "expired"])
def test_an_unknown_session_gets_one_answer(
    do: Door, timed: Store, clock: FrozenClock, tmp_path: Path, how: str
) -> None:
    sessions = SessionManager(timed)
    forget(do, sessions, clock, how)
    for history in (sessions.memory("s"), sessions.memory("s", source="graph")):
        assert do.history(history) == []
        for name, (args, answer) in OF_HISTORIES.items():
            assert do(history, name, *args) == answer, name
    for view in ({"window": 2}, {"max_tokens": 9}, {"source": "graph", "window": 2}):
        assert do.history(sessions.memory("s", **view)) == []
    saver = sessions.checkpointer()
    assert do(saver, "get_tuple", config("s")) is None
    assert do(saver, "list", config("s")) == []
    for name, (args, answer) in NOTHING.items():
        assert do(sessions, name, "s", *args) == answer, name
    refused: dict[str, Callable[[], Any]] = {
        **{n: lambda n=n, args=args: do(sessions, n, "s", *args) for n, args in REFUSED.items()},
        "rewind_session": lambda: do(sessions, "rewind_session", "s", messages=0),
        "turn": lambda: take_turn(do, sessions),
        "lift a ttl": lambda: do(sessions, "update_session", "s", ttl=None),
        "prune": lambda: do(sessions, "prune", ["s"]),
        "export": lambda: do(sessions, "export_sessions", tmp_path / "x.jsonl", ["s"]),
        "copy": lambda: do(sessions, "copy_sessions", "memory://", ["s"]),
    }
    assert_refused(refused)
    do(saver, "delete_thread", "s")
    assert do(sessions, "get_session", "s") is None
    assert do(sessions, "list_sessions") == []


def assert_refused(attempts: dict[str, Callable[[], Any]]) -> None:
    answers: dict[str, Any] = {}
    for name, attempt in attempts.items():
        try:
            answers[name] = attempt()
        except SessionNotFound as error:
            if "'s'" not in str(error):
                answers[name] = error
    assert answers == {}


@pytest.mark.operation("memory.add_messages", "memory.set_summary")
@pytest.mark.parametrize("how", ["never there", "deleted", "expired"])
def test_an_unknown_session_gets_one_answer_where_none_begins_by_itself(
    do: Door, timed: Store, clock: FrozenClock, how: str
) -> None:
    sessions = SessionManager(timed, implicit_sessions=False)
    saver = sessions.checkpointer()
    forget(do, SessionManager(timed), clock, how)
    attempts: dict[str, Callable[[], Any]] = {
        "put": lambda: put(do, saver, "s", "1", x=1),
        "graph": lambda: do(sessions.memory("s", source="graph"), "add_messages", [SAID]),
        **{n: lambda n=n, a=a: do(sessions.memory("s"), n, *a) for n, a in BEGINNING.items()},
    }
    if how == "never there":  # else they come late, for a checkpoint that is gone
        named = config("s", checkpoint_id="1")
        attempts["put_writes"] = lambda: do(saver, "put_writes", named, [("x", 1)], "task")
    assert_refused(attempts)
    for history in (sessions.memory("s"), sessions.memory("s", source="graph")):
        for name, (args, answer) in OF_HISTORIES.items():
            assert do(history, name, *args) == answer, name
    assert do(sessions, "list_sessions") == []


@pytest.mark.operation("memory.add_messages", "memory.set_summary", "save_session")
@pytest.mark.parametrize("how", ["never there", "deleted", "expired"])
def test_what_may_begin_a_session_begins_it_with_nothing_of_an_older_one(
    do: Door, timed: Store, clock: FrozenClock, how: str
) -> None:
    sessions = SessionManager(timed)
    saver = sessions.checkpointer()
    for begin in (
        lambda: do(sessions.memory("s"), "add_messages", [HumanMessage("new")]),
        lambda: do(sessions.memory("s", source="graph"), "add_messages", [HumanMessage("new")]),
        lambda: do(sessions.memory("s"), "set_summary", "new"),
        lambda: do(sessions, "update_session", "s", create=True),
        lambda: do(sessions, "save_session", Session(info=SessionInfo(id="s"))),
        lambda: put(do, saver, "s", "1", x=1),
    ):
        forget(do, sessions, clock, how)
        begin()
        info = do(sessions, "get_session", "s")
        assert (info.status, info.created_at, info.expires_at) == ("idle", clock(), None)
        assert texts(do(sessions, "messages", "s")) in ([], ["new"])
        assert do(sessions.memory("s"), "get_summary") in (None, "new")
        do(sessions, "delete_session", "s")


@pytest.mark.operation("checkpoint_tree", "compare_checkpoints", "iter_messages")
@pytest.mark.parametrize("how", ["never there", "deleted", "expired"])
def test_nothing_is_seen_of_an_unknown_session(
    do: Door, timed: Store, clock: FrozenClock, how: str
) -> None:
    sessions = SessionManager(timed)
    forget(do, sessions, clock, how)
    assert len(do(sessions, "checkpoint_tree", "s").nodes) == 0
    with pytest.raises(CheckpointNotFound):
        do(sessions, "compare_checkpoints", "s", None, "1")
    assert list(sessions.iter_messages("s")) == []
    assert do(sessions, "list_sessions") == []


def test_each_operation_on_one_session_has_its_answer_here() -> None:
    """A new one has to be put into one of the tables above."""
    taking_an_id = {
        name
        for name, operation in inspect.getmembers(SessionManager, callable)
        if not name.startswith(("_", "create_"))
        and "id" in inspect.signature(operation).parameters
        and not (name.startswith("a") and hasattr(SessionManager, name[1:]))
    }
    assert taking_an_id == {*NOTHING, *REFUSED, *ELSEWHERE}
    of_histories = {
        name
        for name, _ in inspect.getmembers(StoreChatMessageHistory, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert of_histories == {f"a{name}" for name in (*OF_HISTORIES, *BEGINNING)} | {
        "aappend",
        "aget_messages",
    }
