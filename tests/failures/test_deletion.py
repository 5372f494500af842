"""A run that goes on while its session is deleted leaves no remains of the old life."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base.id import uuid6
from langgraph.types import Command, interrupt

from threadloom import SessionConflict, SessionDeleted, SessionManager, StoreCheckpointer
from threadloom.checkpoint import life

from .helpers import (
    PATIENCE,
    Door,
    all_well,
    assert_gone,
    at_once,
    chat_graph,
    checkpoint,
    config,
    line_graph,
    put,
    records_of,
    texts,
)

DURABILITIES = ("sync", "async", "exit")
RUNS = [(on, how) for on in ("old", "new") for how in DURABILITIES if (on, how) != ("new", "exit")]
"""Runs of which something is stored while their nodes work."""
MOMENT = timedelta(microseconds=1)


def delete_session(do: Door, sessions: SessionManager) -> None:
    assert do(sessions, "delete_session", "t") is True


def delete_sessions(do: Door, sessions: SessionManager) -> None:
    assert do(sessions, "delete_sessions", owner="ana") == ["t"]


def cleanup_stale(do: Door, sessions: SessionManager, **options: Any) -> None:
    # While the run stores something in the background, its session is not stale.
    deadline = time.monotonic() + 20
    while do(sessions, "cleanup_stale", MOMENT, **options) == 0:
        assert time.monotonic() < deadline


def cleanup_running(do: Door, sessions: SessionManager) -> None:
    assert do(sessions, "delete_sessions", owner="ana") == []
    assert do(sessions, "cleanup_stale", MOMENT) == 0
    assert sessions.get_session("t") is not None
    cleanup_stale(do, sessions, include_running=True)


def delete_thread(do: Door, sessions: SessionManager) -> None:
    do(sessions.checkpointer(), "delete_thread", "t")


Deletion = Callable[[Door, SessionManager], None]
outside_of_turns = pytest.mark.parametrize(
    "delete", [delete_session, delete_sessions, cleanup_stale]
)
inside_a_turn = pytest.mark.parametrize("fence", ["in the context", "in the config"])


def begin(sessions: SessionManager, on: str) -> None:
    """A session with an old life, or one without any."""
    if on == "old":
        graph = line_graph(sessions.checkpointer(), "a", "b", "c")
        graph.invoke({"log": ["old"]}, config("t", user_id="ana"))
        sessions.memory("t").append(HumanMessage("old"))
        sessions.memory("t").set_summary("old")


def assert_begins(
    do: Door, sessions: SessionManager, durability: str, *, history: Iterable[str] = ()
) -> None:
    """A run on the id is the first one of its life."""
    graph = line_graph(sessions.checkpointer(), "a", "b", "c")
    result = do(graph, "invoke", {"log": ["new"]}, config("t"), durability=durability)
    assert result["log"] == ["new", "a", "b", "c"]
    puts = 1 if durability == "exit" else 5
    assert len(do(graph, "get_state_history", config("t"))) == puts
    assert texts(sessions.memory("t").messages) == list(history)
    assert sessions.check().problems == ()


def wait_for_the_first_put(sessions: SessionManager) -> None:
    """A node may work, and its writes be stored, before the run's first put, which needs no
    parent and so begins a session at any time."""
    deadline = time.monotonic() + 20
    while sessions.checkpointer().get_tuple(config("t")) is None:
        assert time.monotonic() < deadline


def caught(action: Callable[[], Any]) -> Any:
    """What it returned or raised."""
    try:
        return action()
    except Exception as error:
        return error


class Outcome(NamedTuple):
    """What a run gave or raised, and what was raised where the turn around it was left."""

    run: Any
    turn: Any = None


def run(
    do: Door, sessions: SessionManager, graph: Any, durability: str, fence: str | None = None
) -> Outcome:
    """Run a graph, with a `fence` inside a turn that has it in its context or in the config."""
    given, how = {"log": ["wait"]}, {"durability": durability}
    plain = config("t", user_id="ana")
    if fence is None:
        return Outcome(caught(lambda: do(graph, "invoke", given, plain, **how)))
    found: list[Any] = []

    def work() -> None:
        with sessions.turn("t") as turn:
            where = turn.config if fence == "in the config" else plain
            found.append(caught(lambda: graph.invoke(given, where, **how)))

    async def awork() -> None:
        async with sessions.turn("t") as turn:
            where = turn.config if fence == "in the config" else plain
            try:
                found.append(await graph.ainvoke(given, where, **how))
            except Exception as error:
                found.append(error)

    left = caught(
        lambda: asyncio.run(asyncio.wait_for(awork(), PATIENCE)) if do.is_async else work()
    )
    return Outcome(found[0], left)


def run_and(
    do: Door,
    sessions: SessionManager,
    durability: str,
    action: Callable[[], object],
    *,
    in_node: str = "b",
    fence: str | None = None,
) -> Outcome:
    """Run a graph; somebody else does something while one of its nodes works."""

    def node(name: str) -> Callable[[Any], Any]:
        def work(state: Any) -> dict[str, list[str]]:
            if name == in_node and "wait" in state["log"]:
                if durability != "exit":
                    wait_for_the_first_put(sessions)
                all_well(at_once([action]))  # in a thread that knows nothing of the turn
            return {"log": [name]}

        return work

    graph = line_graph(sessions.checkpointer(), "a", "b", "c", a=node("a"), b=node("b"))
    with impatience():
        return run(do, sessions, graph, durability, fence)


def impatience() -> Any:
    """What a run writes after a deletion waits less long for a put that begins a new life."""
    return patch.object(life, "_PATIENCE", 0.05)


@pytest.fixture
def impatient() -> Iterator[None]:
    with impatience():
        yield


@pytest.mark.grid(every=3)
@pytest.mark.operation("delete_session", "delete_sessions", "cleanup_stale")
@outside_of_turns
@pytest.mark.parametrize("in_node", ["a", "b"])
@pytest.mark.parametrize(("on", "durability"), RUNS)
def test_a_run_whose_session_is_deleted_is_refused(
    do: Door, sessions: SessionManager, on: str, durability: str, in_node: str, delete: Deletion
) -> None:
    begin(sessions, on)
    outcome = run_and(do, sessions, durability, lambda: delete(do, sessions), in_node=in_node)
    assert isinstance(outcome.run, SessionDeleted), outcome
    assert_gone(sessions, "t")
    assert_begins(do, sessions, durability)
    info = sessions.get_session("t")
    assert (info.turn_count, info.owner) == (1, None)


@pytest.mark.operation("delete_session")
def test_deleting_a_new_thread_before_its_run_stores_anything(
    do: Door, sessions: SessionManager
) -> None:
    """With `exit` there is nothing to delete yet: the one put at the end begins the session."""

    def delete() -> None:
        assert do(sessions, "delete_session", "t") is False
        assert do(sessions, "delete_sessions", owner="ana") == []

    outcome = run_and(do, sessions, "exit", delete, in_node="a")
    assert outcome.run["log"] == ["wait", "a", "b", "c"]
    graph = line_graph(sessions.checkpointer(), "a", "b", "c")
    assert do(graph, "get_state", config("t")).values["log"] == ["wait", "a", "b", "c"]
    assert len(do(graph, "get_state_history", config("t"))) == 1


@pytest.mark.grid(every=3)
@pytest.mark.operation("turn", "delete_session", "cleanup_stale")
@inside_a_turn
@pytest.mark.parametrize("delete", [delete_session, cleanup_running])
@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("on", ["old", "new"])
def test_in_a_turn_whose_session_is_deleted_even_the_first_put_is_refused(
    do: Door, sessions: SessionManager, on: str, durability: str, delete: Deletion, fence: str
) -> None:
    begin(sessions, on)
    sessions.create_session(id="t", owner="ana", if_exists="return")
    outcome = run_and(do, sessions, durability, lambda: delete(do, sessions), fence=fence)
    names_no_parent = (on, durability) == ("new", "exit")
    refused = SessionConflict if names_no_parent else (SessionConflict, SessionDeleted)
    assert isinstance(outcome.run, refused), outcome
    assert isinstance(outcome.turn, SessionConflict), outcome
    assert_gone(sessions, "t")
    assert_begins(do, sessions, durability)


def graph_life(sessions: SessionManager) -> None:
    graph = line_graph(sessions.checkpointer(), "a", "b")
    graph.invoke({"log": ["other"]}, config("t"), durability="sync")


def chain_life(sessions: SessionManager) -> None:
    sessions.memory("t").append(HumanMessage("other"))


def created_life(sessions: SessionManager) -> None:
    sessions.create_session(id="t", name="other")


@pytest.mark.grid(every=3)
@pytest.mark.operation("delete_session", "create_session")
@pytest.mark.parametrize("other", [graph_life, chain_life, created_life])
@pytest.mark.parametrize(
    ("on", "durability", "fence"),
    [(*run, None) for run in RUNS]
    + [(on, how, "in the context") for on in ("old", "new") for how in DURABILITIES],
)
def test_a_run_of_the_old_life_changes_nothing_in_the_new_one(
    do: Door,
    sessions: SessionManager,
    on: str,
    durability: str,
    fence: str | None,
    other: Callable[[SessionManager], None],
) -> None:
    """Not listed: the one put of a new thread's run with `exit`. It names no parent, so outside of
    a turn it is a branch of the new life."""
    before: list[Any] = []

    def delete_and_live() -> None:
        delete_session(do, sessions)
        other(sessions)
        before.extend(records_of(sessions, "t"))

    begin(sessions, on)
    if fence is not None:
        sessions.create_session(id="t", if_exists="return")
    outcome = run_and(do, sessions, durability, delete_and_live, fence=fence)
    assert isinstance(outcome.run, (SessionDeleted, SessionConflict)), outcome
    assert fence or isinstance(outcome.run, SessionDeleted)
    assert isinstance(outcome.turn, SessionConflict if fence else type(None))
    assert len(before) > 1
    assert records_of(sessions, "t") == before
    assert sessions.check().problems == ()


class Between(StoreCheckpointer):
    """Does something when all that node `a` wrote is stored, and its checkpoint is not."""

    def __init__(self, sessions: SessionManager, action: Callable[[], object]) -> None:
        super().__init__(sessions._store)
        self._action: Callable[[], object] | None = action
        self._stored = threading.Event()

    def _act(self) -> None:
        if self._action is not None:
            action, self._action = self._action, None
            assert self._stored.wait(20)
            all_well(at_once([action]))

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        if checkpoint["channel_values"].get("log", [])[-1:] == ["a"]:
            self._act()
        return super().put(config, checkpoint, metadata, new_versions)

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        if checkpoint["channel_values"].get("log", [])[-1:] == ["a"]:
            await asyncio.to_thread(self._act)
        return await super().aput(config, checkpoint, metadata, new_versions)

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        super().put_writes(config, writes, task_id, task_path)
        self._note(writes)

    async def aput_writes(
        self, config: Any, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        await super().aput_writes(config, writes, task_id, task_path)
        self._note(writes)

    def _note(self, writes: Any) -> None:
        if ("log", ["a"]) in writes:
            self._stored.set()


@pytest.mark.parametrize("fence", [None, "in the context"])
@pytest.mark.parametrize("delete", [delete_session, delete_thread])
@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("on", ["old", "new"])
def test_a_deletion_between_put_writes_and_put(
    do: Door,
    sessions: SessionManager,
    on: str,
    durability: str,
    delete: Deletion,
    fence: str | None,
) -> None:
    begin(sessions, on)
    if fence is not None:
        sessions.create_session(id="t", if_exists="return")
    written: list[str] = []

    def act() -> None:
        tuple_ = sessions.checkpointer().get_tuple(config("t"))
        written.extend(channel for _, channel, _ in tuple_.pending_writes)
        delete(do, sessions)

    graph = line_graph(Between(sessions, act), "a", "b")
    outcome = run(do, sessions, graph, durability, fence)
    assert "log" in written
    if delete is delete_thread:
        assert isinstance(outcome.run, SessionDeleted), outcome
        assert outcome.turn is None
        assert_no_graph(sessions, on)
    else:
        assert isinstance(outcome.run, (SessionDeleted, SessionConflict)), outcome
        assert isinstance(outcome.turn, SessionConflict if fence else type(None))
        assert_gone(sessions, "t")


def assert_no_graph(sessions: SessionManager, on: str) -> None:
    """A session without graph state; all else of it is as it was."""
    assert sessions.checkpointer().get_tuple(config("t")) is None
    assert [
        record for record in records_of(sessions, "t") if "checkpoints" in record.namespace
    ] == []
    history = ["old"] if on == "old" else []
    assert texts(sessions.messages("t")) == history
    assert sessions.memory("t").get_summary() == ("old" if history else None)
    info = sessions.get_session("t")
    assert (info.status, info.message_count) == ("idle", len(history))
    assert sessions.check().problems == ()


@pytest.mark.grid(every=3)
@pytest.mark.parametrize(
    ("on", "durability", "fence"),
    [(*run, fence) for fence in (None, "in the context", "in the config") for run in RUNS],
)
def test_a_run_whose_graph_state_is_deleted_is_refused(
    do: Door, sessions: SessionManager, on: str, durability: str, fence: str | None
) -> None:
    begin(sessions, on)
    if fence is not None:
        sessions.create_session(id="t", if_exists="return")
    outcome = run_and(do, sessions, durability, lambda: delete_thread(do, sessions), fence=fence)
    assert isinstance(outcome.run, SessionDeleted), outcome
    assert outcome.turn is None
    assert_no_graph(sessions, on)
    assert_begins(do, sessions, durability, history=["old"] if on == "old" else [])


@pytest.mark.soak(full=200)
def test_a_deletion_at_any_moment_of_a_run(sessions: SessionManager, rounds: int) -> None:
    """The run is refused and nothing is left, or it came before, or all of it came after."""
    chance = random.Random(5)
    graph = line_graph(sessions.checkpointer(), "a", "b", "c")
    seen: Counter[str] = Counter()
    longest = 0.02  # seconds until the deletion; kept such that it hits about half of the runs
    for number in range(rounds):
        id, durability = f"t{number}", chance.choice(DURABILITIES)
        do = Door(chance.choice(["sync", "async"]))
        graph.invoke({"log": ["old"]}, config(id))
        go = partial(do, graph, "invoke", {"log": ["new"]}, config(id), durability=durability)

        def delete(id: str = id, do: Door = do, wait: float = chance.uniform(0, longest)) -> bool:
            time.sleep(wait)
            return do(sessions, "delete_session", id)

        result, deleted = at_once([go, delete])
        assert deleted is True
        info = sessions.get_session(id)
        if isinstance(result, SessionDeleted):
            seen["during"] += 1
            assert_gone(sessions, id)
        elif info is None:
            seen["after"] += 1
            longest *= 0.9
            assert result["log"] == ["old", "a", "b", "c", "new", "a", "b", "c"]
            assert_gone(sessions, id)
        else:
            seen["before"] += 1
            longest *= 1.1
            assert result["log"] == ["new", "a", "b", "c"]
            assert graph.get_state(config(id)).values == result
            assert len(list(graph.get_state_history(config(id)))) == (
                1 if durability == "exit" else 5
            )
            assert info.turn_count == 1
    assert seen["during"] >= rounds // 10, seen
    assert sessions.check().problems == ()


@pytest.mark.parametrize("durability", DURABILITIES)
def test_deleting_in_the_middle_of_an_interrupted_run(
    do: Door, sessions: SessionManager, durability: str
) -> None:
    def ask(state: Any) -> dict[str, list[str]]:
        return {"log": [interrupt("who?")]}

    graph = line_graph(sessions.checkpointer(), "a", "ask", ask=ask)
    do(graph, "invoke", {"log": ["x"]}, config("t"), durability=durability)
    assert sessions.get_session("t").status == "interrupted"
    assert do(sessions, "delete_session", "t") is True
    assert_gone(sessions, "t")
    do(graph, "invoke", {"log": ["new"]}, config("t"), durability=durability)
    resumed = do(graph, "invoke", Command(resume="ana"), config("t"), durability=durability)
    assert resumed["log"] == ["new", "a", "ana"]
    assert sessions.get_session("t").status == "idle"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_deleting_in_the_middle_of_a_subgraph(
    do: Door, sessions: SessionManager, durability: str
) -> None:
    started, go = threading.Event(), threading.Event()

    def wait(state: Any) -> dict[str, list[str]]:
        started.set()
        assert go.wait(20)
        return {"log": ["inner"]}

    inner = line_graph(True, "i", "j", i=wait)
    graph = line_graph(sessions.checkpointer(), "a", "inner", inner=inner)

    def delete() -> bool:
        assert started.wait(20)
        try:
            wait_for_the_first_put(sessions)
            return sessions.delete_session("t")
        finally:
            go.set()

    result, deleted = at_once(
        [
            lambda: do(graph, "invoke", {"log": ["x"]}, config("t"), durability=durability),
            delete,
        ]
    )
    assert isinstance(result, SessionDeleted), result
    assert deleted is True
    assert_gone(sessions, "t")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_subgraph_that_begins_after_the_deletion_brings_nothing_back(
    do: Door, sessions: SessionManager, durability: str
) -> None:
    """Its first put names no parent in its own namespace, but its run has one."""
    inner = line_graph(True, "i", "j")

    def node(state: Any, config: RunnableConfig) -> dict[str, list[str]]:
        if "delete" in state["log"]:
            assert sessions.delete_session("t") is True
        return {"log": inner.invoke({"log": []}, config)["log"]}

    graph = line_graph(sessions.checkpointer(), "a", "b", b=node)
    do(graph, "invoke", {"log": ["old"]}, config("t"), durability=durability)
    with pytest.raises(SessionDeleted):
        do(graph, "invoke", {"log": ["delete"]}, config("t"), durability=durability)
    assert_gone(sessions, "t")


def test_a_late_put_whose_parent_is_gone_is_refused(do: Door, sessions: SessionManager) -> None:
    saver = sessions.checkpointer()
    put(do, saver, "t", "1", x=1)
    sessions.delete_session("t")
    with pytest.raises(SessionDeleted, match="'t'"):
        put(do, saver, "t", "2", parent="1", x=2)
    assert_gone(sessions, "t")
    put(do, saver, "t", "1", x="new life")
    with pytest.raises(SessionDeleted):
        put(do, saver, "t", "3", parent="2", x=3)
    found = do(saver, "get_tuple", config("t"))
    assert found.checkpoint["channel_values"] == {"x": "new life"}


def test_late_writes_for_a_deleted_checkpoint_are_refused(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    old = str(uuid6(clock_seq=0))
    named = put(do, saver, "t", old, x=1)
    early = str(uuid6(clock_seq=1))  # its put is still under way
    sessions.delete_session("t")
    for id in (old, early):
        late = config("t", checkpoint_ns="", checkpoint_id=id)
        with pytest.raises(SessionDeleted, match="'t'"):
            do(saver, "put_writes", late, [("x", 2)], "task")
    with pytest.raises(SessionDeleted):
        do(saver, "put_writes", named, [("__interrupt__", ("q",))], "task")
    assert_gone(sessions, "t")
    # A new life does not change that, and its own writes may come before their put.
    new = str(uuid6(clock_seq=2))
    ahead = config("t", checkpoint_ns="", checkpoint_id=new)
    all_well(
        at_once(
            [
                lambda: do(saver, "put_writes", ahead, [("x", "new")], "task"),
                lambda: put(do, saver, "t", new, x=1),
            ]
        )
    )
    with pytest.raises(SessionDeleted):
        do(saver, "put_writes", named, [("x", 3)], "task")
    found = do(saver, "get_tuple", config("t"))
    assert [value for _, _, value in found.pending_writes] == ["new"]


@pytest.mark.usefixtures("impatient")
def test_late_writes_for_ids_that_tell_no_time_are_refused(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    named = put(do, saver, "t", "1", x=1)
    sessions.delete_session("t")
    with pytest.raises(SessionDeleted):
        do(saver, "put_writes", named, [("x", 2)], "task")
    assert_gone(sessions, "t")


@pytest.mark.parametrize("other", [graph_life, chain_life, created_life])
def test_late_writes_whose_put_never_comes_are_not_kept(
    do: Door, sessions: SessionManager, other: Callable[[SessionManager], None]
) -> None:
    """The run's next checkpoint is younger than the deletion, and its parent is gone."""
    saver = sessions.checkpointer()
    named = put(do, saver, "t", str(uuid6(clock_seq=0)), x=1)
    sessions.delete_session("t")
    other(sessions)
    before = records_of(sessions, "t")
    late = str(uuid6(clock_seq=1))
    ahead = config("t", checkpoint_ns="", checkpoint_id=late)
    with impatience():
        written = caught(lambda: do(saver, "put_writes", ahead, [("x", "late")], "task"))
    with pytest.raises(SessionDeleted):
        put(do, saver, "t", late, parent=named["configurable"]["checkpoint_id"], x=2)
    assert written is None or isinstance(written, SessionDeleted)
    assert records_of(sessions, "t") == before


def test_a_chain_begins_a_new_life_after_a_deletion(do: Door, sessions: SessionManager) -> None:
    history = sessions.memory("t")
    do(history, "add_messages", [HumanMessage("old", id="m")])
    do(history, "set_summary", "old summary")
    assert do(sessions, "delete_session", "t") is True
    assert do(sessions, "delete_session", "t") is False
    do(history, "add_messages", [HumanMessage("new", id="m")])
    assert texts(do.history(history)) == ["new"]
    assert do(history, "get_summary") is None
    assert sessions.get_session("t").message_count == 1


def test_create_begins_a_new_life_with_nothing_of_the_old(
    do: Door, sessions: SessionManager
) -> None:
    graph = chat_graph(sessions.checkpointer())
    sessions.create_session(id="t", name="old", tags=["x"], metadata={"a": 1})
    graph.invoke({"messages": [HumanMessage("old")]}, config("t"))
    sessions.memory("t").append(HumanMessage("old"))
    sessions.delete_session("t")
    made = do(sessions, "create_session", id="t")
    assert (made.name, made.tags, made.metadata, made.message_count) == ("", (), {}, 0)
    assert do(sessions, "messages", "t") == []
    assert do(graph, "get_state", config("t")).values == {}


@pytest.mark.operation("turn", "delete_session")
@pytest.mark.parametrize("fence", ["in the context", "in the config"])
def test_in_a_turn_a_late_first_put_is_refused_for_ever(
    do: Door, sessions: SessionManager, fence: str
) -> None:
    saver = sessions.checkpointer()
    sessions.create_session(id="t")

    def late(id: str, where: Any) -> None:
        made = checkpoint(id, x="late")
        given = {"configurable": {**where["configurable"], "checkpoint_ns": ""}}
        with pytest.raises(SessionConflict):
            do(saver, "put", given, made, {"source": "input", "step": -1}, {"x": "1"})
        given["configurable"]["checkpoint_id"] = id
        with pytest.raises((SessionConflict, SessionDeleted)):
            do(saver, "put_writes", given, [("x", "late")], "task")

    with pytest.raises(SessionConflict), sessions.turn("t") as turn:  # noqa: PT012
        where = turn.config if fence == "in the config" else config("t")
        named = str(uuid6(clock_seq=0))
        all_well(at_once([lambda: sessions.delete_session("t")]))
        late(named, where)
        assert_gone(sessions, "t")
        all_well(at_once([lambda: put(do, saver, "t", str(uuid6(clock_seq=1)), x="new life")]))
        before = records_of(sessions, "t")
        late(named, where)
        late(str(uuid6(clock_seq=2)), where)
        assert records_of(sessions, "t") == before
    assert do(saver, "get_tuple", config("t")).checkpoint["channel_values"] == {"x": "new life"}
