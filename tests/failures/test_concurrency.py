"""Concurrency: parallel turns, stopped and killed processes, pending writes, parallel appends."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from threadloom import SessionConflict, SessionManager, StoreCheckpointer, open_store
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
    put,
    run_program,
    texts,
)


class Gate(StoreCheckpointer):
    """Lets the first put of `runs` runs through only when all of them have arrived."""

    barrier: threading.Barrier | None = None
    durability = "sync"

    def close_for(self, runs: int, durability: str) -> None:
        self.barrier, self.durability = threading.Barrier(runs), durability

    def _is_first(self, metadata: Any) -> bool:
        return self.barrier is not None and (
            metadata["source"] == "input" or self.durability == "exit"
        )

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        if self._is_first(metadata):
            self.barrier.wait(20)
        return super().put(config, checkpoint, metadata, new_versions)

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        if self._is_first(metadata):
            await asyncio.to_thread(self.barrier.wait, 20)
        return await super().aput(config, checkpoint, metadata, new_versions)


def run_parallel(
    do: Door, store: Store, saver: Gate, runs: int, durability: str = "sync"
) -> list[Any]:
    """Runs that all begin at the same checkpoint; their results or errors."""
    graph = chat_graph(saver)
    saver.close_for(runs, durability)

    def one(number: int) -> Callable[[], Any]:
        given = {"messages": [HumanMessage(f"q{number}", id=f"q{number}")]}
        return lambda: do(graph, "invoke", given, config("t"), durability=durability)

    results = at_once(one(number) for number in range(runs))
    saver.barrier = None
    return results


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("begun", [False, True], ids=["new thread", "old thread"])
def test_four_parallel_runs_are_all_kept_and_counted(
    do: Door, store: Store, durability: str, begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    saver = Gate(store)
    graph, base = chat_graph(saver), []
    if begun:
        graph.invoke({"messages": [HumanMessage("q", id="q")]}, config("t"))
        base = ["q", "re: q"]
    with caplog.at_level(logging.WARNING, "threadloom"):
        results = all_well(run_parallel(do, store, saver, 4, durability))

    for number, result in enumerate(results):
        assert texts(result["messages"]) == [*base, f"q{number}", f"re: q{number}"]
    info = SessionManager(store).get_session("t")
    assert info is not None
    assert info.conflicts == 3
    assert sum("overtaken" in record.message for record in caplog.records) == 3
    reached = []
    for item in do(saver, "list", config("t")):
        state = do(graph, "get_state", item.config)
        reached.append(texts(state.values.get("messages", [])))
    for number in range(4):
        assert [*base, f"q{number}", f"re: q{number}"] in reached
    # The head is one of them, whole, and the thread goes on from it.
    head = texts(do(graph, "get_state", config("t")).values["messages"])
    assert head in [[*base, f"q{n}", f"re: q{n}"] for n in range(4)]
    after = do(graph, "invoke", {"messages": [HumanMessage("next")]}, config("t"))
    assert texts(after["messages"]) == [*head, "next", "re: next"]
    assert SessionManager(store).get_session("t").conflicts == 3


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("begun", [False, True], ids=["new thread", "old thread"])
def test_exactly_the_overtaken_runs_are_refused(
    do: Door, store: Store, durability: str, begun: bool
) -> None:
    saver = Gate(store, on_conflict="raise")
    graph, base = chat_graph(saver), []
    if begun:
        graph.invoke({"messages": [HumanMessage("q", id="q")]}, config("t"))
        base = ["q", "re: q"]
    results = run_parallel(do, store, saver, 4, durability)

    refused = [result for result in results if isinstance(result, BaseException)]
    assert [type(error) for error in refused] == [SessionConflict] * 3
    assert all("t" in str(error) and "again" in str(error) for error in refused)
    (winner,) = [n for n, result in enumerate(results) if not isinstance(result, BaseException)]
    state = do(graph, "get_state", config("t"))
    assert texts(state.values["messages"]) == [*base, f"q{winner}", f"re: q{winner}"]
    info = SessionManager(store).get_session("t")
    assert (info.conflicts, info.status) == (0, "idle")
    assert info.message_count == len(base) + 2
    stored = {text for item in saver.list(config("t")) for text in _texts_of(item)}
    assert stored == {*base, f"q{winner}", f"re: q{winner}"}
    # Those refused may run again, one after the other.
    for number in {0, 1, 2, 3} - {winner}:
        do(graph, "invoke", {"messages": [HumanMessage(f"q{number}")]}, config("t"))
    assert len(graph.get_state(config("t")).values["messages"]) == len(base) + 8


def _texts_of(item: Any) -> list[str]:
    return texts(item.checkpoint["channel_values"].get("messages", []))


def test_thirty_parallel_runs_are_counted_once_each(store: Store) -> None:
    saver = Gate(store)
    all_well(run_parallel(Door("sync"), store, saver, 30))
    assert SessionManager(store).get_session("t").conflicts == 29


@pytest.mark.parametrize("on_conflict", ["branch", "raise"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_branching_on_purpose_is_neither_refused_nor_counted(
    do: Door, store: Store, durability: str, on_conflict: Any, caplog: pytest.LogCaptureFixture
) -> None:
    saver = StoreCheckpointer(store, on_conflict=on_conflict)
    graph = chat_graph(saver)
    for word in ("one", "two", "three"):
        do(graph, "invoke", {"messages": [HumanMessage(word)]}, config("t"))
    history = do(graph, "get_state_history", config("t"))
    old = next(item for item in history if texts(item.values["messages"]) == ["one", "re: one"])

    with caplog.at_level(logging.WARNING, "threadloom"):
        result = do(
            graph, "invoke", {"messages": [HumanMessage("b")]}, old.config, durability=durability
        )
        assert texts(result["messages"]) == ["one", "re: one", "b", "re: b"]
        again = do(
            graph, "invoke", {"messages": [HumanMessage("c")]}, old.config, durability=durability
        )
        assert texts(again["messages"]) == ["one", "re: one", "c", "re: c"]
        moved = do(graph, "update_state", old.config, {"messages": [HumanMessage("u")]})
        from_moved = do(graph, "get_state", moved)
        assert texts(from_moved.values["messages"]) == ["one", "re: one", "u"]
        replayed = next(item for item in history if item.next == ("reply",))
        do(graph, "invoke", None, replayed.config, durability=durability)
        # … and so is going on from the head that results.
        do(graph, "invoke", {"messages": [HumanMessage("d")]}, config("t"), durability=durability)
    assert SessionManager(store).get_session("t").conflicts == 0
    assert not [record for record in caplog.records if "overtaken" in record.message]


def test_a_run_that_was_overtaken_while_it_worked_is_not_silent(
    do: Door, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at its first put but later: the other run begins and ends in the middle of it."""
    saver = StoreCheckpointer(store)
    started, go = threading.Event(), threading.Event()

    def wait(state: Any) -> dict[str, list[str]]:
        if state["log"][-1] == "slow":
            started.set()
            assert go.wait(20)
        return {"log": ["first"]}

    graph = line_graph(saver, "first", "second", first=wait)

    def slow() -> Any:
        return do(graph, "invoke", {"log": ["slow"]}, config("t"), durability="sync")

    def quick() -> None:
        assert started.wait(20)
        try:
            graph.invoke({"log": ["quick"]}, config("t"), durability="sync")
        finally:
            go.set()

    with caplog.at_level(logging.WARNING, "threadloom"):
        result, _ = all_well(at_once([slow, quick]))
    assert result["log"] == ["slow", "first", "second"]
    logs = [item.values.get("log") for item in graph.get_state_history(config("t"))]
    # The quick run began at what the slow one had stored: it goes on from its input.
    assert ["slow", "quick", "first", "second"] in logs
    assert ["slow", "first", "second"] in logs
    info = SessionManager(store).get_session("t")
    assert info.conflicts >= 1
    assert [record for record in caplog.records if "overtaken" in record.message]


@pytest.mark.parametrize("on_conflict", ["branch", "raise"])
def test_a_run_overtaken_by_a_branch_on_purpose_is_not_silent(
    do: Door, store: Store, on_conflict: Any
) -> None:
    """Its base was the head when it began, is no longer, and is still the tip of a branch."""
    saver = Gate(store, on_conflict=on_conflict)
    graph = chat_graph(saver)
    for word in ("one", "two"):
        graph.invoke({"messages": [HumanMessage(word)]}, config("t"))
    old = next(
        item
        for item in graph.get_state_history(config("t"))
        if texts(item.values.get("messages", [])) == ["one", "re: one"]
    )
    plain = chat_graph(StoreCheckpointer(store, on_conflict=on_conflict))
    saver.close_for(2, "sync")

    def late() -> Any:
        return do(graph, "invoke", {"messages": [HumanMessage("late")]}, config("t"))

    def branch() -> None:
        assert saver.barrier is not None
        deadline = time.monotonic() + 20
        while not saver.barrier.n_waiting:  # the late run has its base and is about to store
            assert time.monotonic() < deadline
            threading.Event().wait(0.001)
        plain.invoke({"messages": [HumanMessage("branch")]}, old.config)
        saver.barrier.wait(20)

    result, _ = at_once([late, branch])
    info = SessionManager(store).get_session("t")
    if on_conflict == "raise":
        assert isinstance(result, SessionConflict)
        head = texts(plain.get_state(config("t")).values["messages"])
        assert head == ["one", "re: one", "branch", "re: branch"]
    else:
        assert texts(result["messages"])[-1] == "re: late"
        assert info.conflicts == 1


@pytest.mark.operation("turn")
def test_four_parallel_turns_keep_ten_messages_of_ten(do: Door, sessions: SessionManager) -> None:
    graph = chat_graph(sessions.checkpointer())
    do(graph, "invoke", {"messages": [HumanMessage("q")]}, config("t"))

    def turn(number: int) -> None:
        with sessions.turn("t", wait=PATIENCE):
            graph.invoke({"messages": [HumanMessage(f"q{number}")]}, config("t"))

    async def aturn(number: int) -> None:
        async with sessions.turn("t", wait=PATIENCE):
            await graph.ainvoke({"messages": [HumanMessage(f"q{number}")]}, config("t"))

    async def four() -> None:
        await asyncio.wait_for(asyncio.gather(*map(aturn, range(4))), PATIENCE)

    if do.is_async:
        asyncio.run(four())
    else:
        all_well(at_once((lambda n=n: turn(n)) for n in range(4)))
    found = texts(do(graph, "get_state", config("t")).values["messages"])
    assert len(found) == 10
    assert sorted(found[::2]) == ["q", "q0", "q1", "q2", "q3"]
    assert found[1::2] == [f"re: {question}" for question in found[::2]]
    assert texts(do(sessions, "messages", "t")) == found
    info = do(sessions, "get_session", "t")
    assert (info.message_count, info.turn_count, info.conflicts) == (10, 5, 0)


@pytest.mark.operation("turn")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot stop processes")
@pytest.mark.soak(full=60)
def test_turns_never_overlap_whoever_dies_or_sleeps(shared_url: str, rounds: int) -> None:
    """Eight processes: six take turns, one is killed in a turn, one is stopped in a turn."""
    with SessionManager(shared_url) as sessions:
        sessions.create_session(id="s")
        with contextlib.ExitStack() as stack:

            def start(name: str, turns: int) -> Program:
                return stack.enter_context(Program("taking_turns", shared_url, name, turns))

            sleeper = start("sleeper", 2)
            assert sleeper.line() == "in"
            sleeper.process.send_signal(signal.SIGSTOP)
            victim = start("victim", 1)
            assert victim.line() == "in"  # once the sleeper's lease has run out
            victim.kill()
            others = [start(f"p{number}", rounds) for number in range(6)]
            for other in others:
                assert other.line() == "in"
            sleeper.tell()
            sleeper.process.send_signal(signal.SIGCONT)
            assert sleeper.line() == "refused"
            assert sleeper.line() == "in"
            for other in (*others, sleeper):
                assert other.end()[-1] == "done"
        said = [message.text.split() for message in sessions.messages("s")]
        assert said[0] == ["begin", "sleeper", "0"]
        assert said[1] == ["begin", "victim", "0"]
        rest = said[2:]
        assert len(rest) == 2 * (6 * rounds + 1)
        for begin, end in zip(rest[::2], rest[1::2], strict=True):
            assert (begin[0], end[0]) == ("begin", "end")
            assert begin[1:] == end[1:]
        info = sessions.get_session("s")
        assert info is not None
        assert (info.status, info.turn_count) == ("idle", 3 + 6 * rounds)


IN_A_TURN: dict[str, Callable[[SessionManager], tuple[Any, ...]]] = {
    "rename": lambda s: (s, "rename_session", "t", "new"),
    "tag": lambda s: (s, "tag_session", "t", "new"),
    "untag": lambda s: (s, "untag_session", "t", "old"),
    "update": lambda s: (s, "update_session", "t"),
    "save": lambda s: (s, "save_session", s.resume_session("t")),
    "fork": lambda s: (s, "fork_session", "t"),
    "rewind": lambda s: (s, "rewind_session", "t"),
    "append": lambda s: (s.memory("t"), "add_messages", [HumanMessage("new")]),
    "append to the graph": lambda s: (
        s.memory("t", source="graph"),
        "add_messages",
        [HumanMessage("new")],
    ),
    "update_last": lambda s: (s.memory("t"), "update_last", HumanMessage("new")),
    "remove_last": lambda s: (s.memory("t"), "remove_last"),
    "clear": lambda s: (s.memory("t"), "clear"),
    "set_summary": lambda s: (s.memory("t"), "set_summary", "new"),
    "compact": lambda s: (s, "compact", "t"),
    "check": lambda s: (s, "check", "t"),
    "prune": lambda s: (s.checkpointer(), "prune", ["t"]),
    "delete_thread": lambda s: (s.checkpointer(), "delete_thread", "t"),
    "copy_thread": lambda s: (s.checkpointer(), "copy_thread", "t", "copy"),
}
MORE: dict[str, dict[str, Any]] = {
    "update": {"metadata": {"new": 1}},
    "rewind": {"messages": 2},
    "check": {"fix": True},
}


@pytest.mark.operation("turn")
@pytest.mark.parametrize("operation", IN_A_TURN)
def test_an_operation_does_the_same_inside_a_turn(do: Door, url: str, operation: str) -> None:
    """Its batch has the condition of the turn in it; nothing else is different."""
    found = []
    for inside in (False, True):
        with SessionManager(url) as sessions:
            sessions.delete_session("t")
            sessions.delete_session("copy")
            sessions.create_session(id="t", name="old", tags=["old"])
            graph = chat_graph(sessions.checkpointer())
            graph.invoke({"messages": [HumanMessage("q")]}, config("t"))
            sessions.memory("t").append(HumanMessage("h"))
            with sessions.turn("t") if inside else contextlib.nullcontext():
                thing, name, *args = IN_A_TURN[operation](sessions)
                result = do(thing, name, *args, **MORE.get(operation, {}))
            info = sessions.get_session("t")
            shown = (info.name, info.tags, info.metadata, info.message_count, info.status)
            summary = sessions.memory("t").get_summary()
            found.append((type(result), *shown, texts(sessions.messages("t")), summary))
    assert found[0] == found[1]


# A process that is stopped. Memory stops with its process.


def everything(sessions: SessionManager) -> Any:
    """All that one can see of session s."""
    return (
        sessions.get_session("s"),
        sessions.resume_session("s"),
        sessions.memory("s").load_with_timestamps(),
        sessions.memory("s").get_summary(),
        list(sessions.checkpointer().list(config("s"))),
    )


def go_on(program: Program) -> dict[str, str]:
    """Wake a program up that stopped itself; what its writers said."""
    program.process.send_signal(signal.SIGCONT)
    return dict(line.split() for line in program.end())


def wait_until_stopped(program: Program) -> None:
    assert program.line() == "in"
    _, status = os.waitpid(program.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), program.errors()


@pytest.mark.operation("turn")
def test_a_process_that_was_stopped_in_its_turn_wakes_and_overwrites_nothing(
    do: Door, file_url: str
) -> None:
    with SessionManager(file_url) as sessions:
        graph = chat_graph(sessions.checkpointer())
        graph.invoke({"messages": [HumanMessage("old")]}, config("s"))
        sessions.memory("s").append(HumanMessage("old h"))
        with Program("stopped", file_url, do.kind, "turn") as sleeper:
            wait_until_stopped(sleeper)
            with sessions.turn("s", wait=PATIENCE):  # once the sleeper's lease has run out
                graph.invoke({"messages": [HumanMessage("newer")]}, config("s"))
                sessions.memory("s").append(HumanMessage("newer h"))
                sessions.memory("s").set_summary("newer")
                sessions.rename_session("s", "newer")
            newer = everything(sessions)
            said = go_on(sleeper)
        assert len(said) == 15
        assert set(said.values()) == {"SessionConflict"}
        assert everything(sessions) == newer


@pytest.mark.parametrize("on_conflict", ["branch", "raise"])
def test_a_process_that_was_stopped_outside_of_turns_wakes_and_loses_nothing_newer(
    do: Door, file_url: str, on_conflict: str
) -> None:
    with SessionManager(file_url) as sessions:
        graph = chat_graph(sessions.checkpointer())
        graph.invoke({"messages": [HumanMessage("old")]}, config("s"))
        sessions.memory("s").append(HumanMessage("old h"))
        with Program("stopped", file_url, do.kind, on_conflict) as sleeper:
            wait_until_stopped(sleeper)
            graph.invoke({"messages": [HumanMessage("newer")]}, config("s"))
            sessions.memory("s").append(HumanMessage("newer h"))
            sessions.tag_session("s", "newer")
            said = go_on(sleeper)
        merged = {"append": "wrote", "tag": "wrote", "save": "SessionConflict", "turn": "wrote"}
        refused = on_conflict == "raise"
        assert said == {**merged, "run": "SessionConflict" if refused else "wrote"}
        assert texts(sessions.memory("s").messages) == ["old h", "newer h", "late"]
        info = sessions.get_session("s")
        assert sorted(info.tags) == ["late", "newer"]
        kept = [_texts_of(item) for item in sessions.checkpointer().list(config("s"))]
        newer = ["old", "re: old", "newer", "re: newer"]
        late = ["old", "re: old", "late", "re: late"]
        assert newer in kept
        assert (late in kept) is not refused
        assert info.conflicts == (0 if refused else 1)
        if refused:
            assert kept[0] == newer


# Pending writes


def test_two_threads_writes_for_different_tasks_are_both_kept(do: Door, store: Store) -> None:
    saver = StoreCheckpointer(store)
    named = put(do, saver, "t", "1", x=0)
    for attempt in range(5):
        writes = [
            lambda task=task, attempt=attempt: do(
                saver, "put_writes", named, [("x", f"{task}-{attempt}")], f"{task}-{attempt}"
            )
            for task in "abcdefgh"
        ]
        all_well(at_once(writes))
    found = do(saver, "get_tuple", named)
    wanted = {f"{task}-{attempt}" for attempt in range(5) for task in "abcdefgh"}
    assert {value for _, _, value in found.pending_writes} == wanted
    assert len(found.pending_writes) == len(wanted)


def test_writes_replayed_after_a_restart_do_not_double(do: Door, url: str) -> None:
    writes = [("x", 1), ("y", 2), ("x", 3)]
    with open_store(url) as first:
        named = put(do, StoreCheckpointer(first), "t", "1", x=0)
        for _ in range(3):
            # Memory does not outlive its store, but everything above it begins anew.
            with contextlib.nullcontext(first) if url == "memory://" else open_store(url) as store:
                saver = SessionManager(store).checkpointer()
                do(saver, "put_writes", named, writes, "task", "path")
                found = do(saver, "get_tuple", named)
                assert [(channel, value) for _, channel, value in found.pending_writes] == writes


def test_a_replayed_write_keeps_the_first_value_and_an_error_the_last(
    do: Door, store: Store
) -> None:
    saver = StoreCheckpointer(store)
    named = put(do, saver, "t", "1", x=0)
    do(saver, "put_writes", named, [("x", "first")], "task")
    do(saver, "put_writes", named, [("x", "second")], "task")
    do(saver, "put_writes", named, [("__error__", "one")], "task")
    do(saver, "put_writes", named, [("__error__", "two")], "task")
    found = {(channel, value) for _, channel, value in do(saver, "get_tuple", named).pending_writes}
    assert found == {("x", "first"), ("__error__", "two")}


@pytest.mark.parametrize("where", ["before put", "in step"])
def test_a_killed_run_does_not_run_a_finished_node_again(
    do: Door, file_url: str, tmp_path: Path, where: str
) -> None:
    notes = tmp_path / "runs.txt"
    with Program("killed", file_url, notes, where, do.kind) as program:
        program.end(-9)
    ran = notes.read_text().split()
    assert sorted(ran) == ["fast", "slow"]
    (log,) = run_program("killed", file_url, notes, "resume", do.kind)
    assert sorted(ast.literal_eval(log)[:3]) == ["fast", "input", "slow"]
    assert ast.literal_eval(log)[3:] == ["last"]
    again = notes.read_text().split()[2:]
    assert again == (["last"] if where == "before put" else ["slow", "last"])


# Appends


def check_appends(found: list[str], writers: int, each: int) -> None:
    """Nothing lost, nothing twice, and every writer's own in their order."""
    assert len(found) == writers * each
    for writer in range(writers):
        mine = [text for text in found if text.startswith(f"{writer}:")]
        assert mine == [f"{writer}:{number}" for number in range(each)]


def test_twenty_threads_append_and_none_is_lost(do: Door, sessions: SessionManager) -> None:
    def write(writer: int) -> Callable[[], None]:
        def work() -> None:
            for number in range(3):
                message = HumanMessage(f"{writer}:{number}")
                do(sessions.memory("s"), "add_messages", [message])

        return work

    all_well(at_once(write(writer) for writer in range(20)))
    check_appends(texts(sessions.memory("s").messages), 20, 3)
    assert sessions.get_session("s").message_count == 60


async def test_gathered_appends_are_all_kept(sessions: SessionManager) -> None:
    await asyncio.wait_for(
        asyncio.gather(
            *(sessions.memory.aappend("s", HumanMessage(str(number))) for number in range(40))
        ),
        40,
    )
    found = texts(await sessions.memory("s").aget_messages())
    assert sorted(found, key=int) == [str(number) for number in range(40)]
    assert (await sessions.aget_session("s")).message_count == 40


def test_appends_from_two_event_loops_are_all_kept(sessions: SessionManager) -> None:
    history = sessions.memory("s")

    async def write(writer: int) -> None:
        for number in range(10):
            await history.aadd_messages([HumanMessage(f"{writer}:{number}")])

    async def four(first: int) -> None:
        await asyncio.wait_for(asyncio.gather(*(write(first + n) for n in range(4))), 40)

    all_well(at_once([lambda: asyncio.run(four(0)), lambda: asyncio.run(four(4))]))
    check_appends(texts(history.messages), 8, 10)


def test_eight_processes_append_and_none_is_lost(shared_url: str) -> None:
    with Program("append", shared_url) as nursery:
        for writer in range(8):
            nursery.tell(f"s {writer} 25 1")
            assert nursery.line().startswith(f"{writer} ")
        nursery.tell("go")
        ended: list[str] = []
        while len(ended) < 8:
            line = nursery.line()
            ended += [line] if line.startswith("ended") else []
        assert all(line.endswith(" 0") for line in ended), nursery.errors()
    with SessionManager(shared_url) as sessions:
        found = [text.rsplit(":", 1)[0] for text in texts(sessions.memory("s").messages)]
        check_appends(found, 8, 25)
        assert sessions.get_session("s").message_count == 200


def test_appends_and_graph_runs_on_one_session_keep_the_counts_true(
    sessions: SessionManager,
) -> None:
    graph = chat_graph(sessions.checkpointer())

    def chain() -> None:
        for number in range(15):
            sessions.memory("s").append(HumanMessage(f"h{number}"))

    def run() -> None:
        for number in range(5):
            graph.invoke({"messages": [HumanMessage(f"g{number}")]}, config("s"))

    all_well(at_once([chain, chain, run]))
    info = sessions.get_session("s")
    assert info.message_count == 30 + 10 == len(sessions.messages("s"))
    assert (info.turn_count, info.conflicts) == (5, 0)


@pytest.mark.soak(full=200)
def test_a_list_of_messages_is_stored_whole_or_not_at_all(shared_url: str, rounds: int) -> None:
    size = 5
    with Program("append", shared_url) as nursery, SessionManager(shared_url) as sessions:
        for number in range(rounds):
            id = f"s{number}"
            nursery.tell(f"{id} w 0 {size}")
            pid = int(nursery.line().removeprefix("w "))
            nursery.tell("go")
            last = [int(nursery.line().removeprefix("w ")) for _ in range(random.randint(1, 9))][-1]
            time.sleep(random.random() * 0.004)  # anywhere inside an append: no event can tell
            os.kill(pid, signal.SIGKILL)
            while not (line := nursery.line()).startswith("ended"):
                last = int(line.removeprefix("w "))
            assert line == f"ended {pid} -9"

            found = texts(sessions.memory(id).messages)
            info = sessions.get_session(id)
            assert info is not None
            if info.message_count != len(found):  # a server did what it had got after all
                found = texts(sessions.memory(id).messages)
            lists = len(found) // size
            assert found == [f"w:{n}:{part}" for n in range(lists) for part in range(size)]
            assert last + 1 <= lists <= last + 2
            assert info.message_count == len(found)
            sessions.memory(id).append(HumanMessage("after"))
            assert texts(sessions.memory(id).load(limit=1)) == ["after"]


def test_a_refused_message_leaves_nothing_of_its_list(do: Door, sessions: SessionManager) -> None:
    do(sessions.memory("s"), "add_messages", [HumanMessage("kept")])
    bad = HumanMessage("bad", additional_kwargs={"lock": threading.Lock()})
    with pytest.raises(TypeError, match="lock"):
        do(sessions.memory("s"), "add_messages", [HumanMessage("good"), bad])
    assert texts(do.history(sessions.memory("s"))) == ["kept"]
    assert sessions.get_session("s").message_count == 1


# The index


def test_one_of_many_creators_wins(do: Door, sessions: SessionManager) -> None:
    results = at_once(
        (lambda n=n: do(sessions, "create_session", id="same", name=str(n))) for n in range(8)
    )
    made = [result for result in results if not isinstance(result, BaseException)]
    assert len(made) == 1
    errors = [result for result in results if isinstance(result, BaseException)]
    assert {type(error).__name__ for error in errors} == {"SessionExists"}
    assert sessions.get_session("same").name == made[0].name


def test_parallel_tags_and_metadata_are_all_kept(do: Door, sessions: SessionManager) -> None:
    sessions.create_session(id="s")
    all_well(
        at_once(
            [(lambda n=n: do(sessions, "tag_session", "s", f"t{n}")) for n in range(8)]
            + [
                (lambda n=n: do(sessions, "update_session", "s", metadata={f"m{n}": n}))
                for n in range(8)
            ]
        )
    )
    info = sessions.get_session("s")
    assert sorted(info.tags) == [f"t{n}" for n in range(8)]
    assert info.metadata == {f"m{n}": n for n in range(8)}


def test_of_two_updates_from_one_version_one_is_refused(do: Door, sessions: SessionManager) -> None:
    made = sessions.create_session(id="s")
    results = at_once(
        (
            lambda n=n: do(
                sessions, "update_session", "s", owner=str(n), expected_version=made.version
            )
        )
        for n in range(6)
    )
    assert sum(isinstance(result, SessionConflict) for result in results) == 5
    (winner,) = [result for result in results if not isinstance(result, BaseException)]
    assert sessions.get_session("s").owner == winner.owner


def test_a_delete_and_appends_at_once_leave_a_whole_life(sessions: SessionManager) -> None:
    """Whatever is left belongs to the life after the deletion, and the counts agree."""
    for number in range(10):
        id = f"s{number}"
        sessions.memory(id).append(HumanMessage("old"))

        def write(id: str = id) -> None:
            for part in range(4):
                sessions.memory(id).append(HumanMessage(f"new{part}"))

        _, deleted = all_well(at_once([write, lambda id=id: sessions.delete_session(id)]))
        assert deleted is True
        found = texts(sessions.memory(id).messages)
        assert found == [f"new{part}" for part in range(4)][4 - len(found) :]
        info = sessions.get_session(id)
        assert (info.message_count if info else 0) == len(found)


def test_a_store_of_its_own_serves_several_managers(url: str) -> None:
    with open_store(url) as store:
        managers = [SessionManager(store) for _ in range(3)]
        all_well(
            at_once(
                (lambda m=m, n=n: m.memory("s").append(HumanMessage(f"{n}:0")))
                for n, m in enumerate(managers)
            )
        )
        for manager in managers:
            manager.close()
        check_appends(texts(managers[0].memory("s").messages), 3, 1)
