"""Every operation, with every other one run between any two of its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from engines import KINDS, open_kind
from threadloom import (
    SessionChange,
    SessionConflict,
    SessionDeleted,
    SessionManager,
    SessionNotFound,
)
from threadloom.plans import Batch, Results
from threadloom.testing import FaultyStore, FrozenClock

ID = "t"
Operation = Callable[[SessionManager], Any]


def message(id: str, text: str = "x") -> BaseMessage:
    usage = {"input_tokens": 0, "output_tokens": len(text), "total_tokens": len(text)}
    return AIMessage(text, id=id, usage_metadata=usage)  # type: ignore[arg-type]


def put(
    sessions: SessionManager, id: str, parent: str | None, *ids: str, session: str = ID
) -> None:
    configurable = {"thread_id": session, "checkpoint_ns": ""}
    if parent is not None:
        configurable["checkpoint_id"] = parent
    versions: Any = {"messages": f"1.{id}"}
    made: Any = {
        "v": 4,
        "ts": "2026-01-01T00:00:00+00:00",
        "id": id,
        "channel_values": {"messages": [message(name) for name in ids]},
        "channel_versions": versions,
        "versions_seen": {},
        "updated_channels": None,
    }
    metadata: Any = {"source": "loop", "step": 1, "parents": {}, "run_id": f"run of {id}"}
    sessions.checkpointer().put({"configurable": configurable}, made, metadata, versions)


def put_nothing_new(sessions: SessionManager) -> None:
    """A put that leaves the conversation as it is."""
    configurable = {"thread_id": ID, "checkpoint_ns": "", "checkpoint_id": "c2"}
    made: Any = {
        "v": 4,
        "ts": "2026-01-01T00:00:00+00:00",
        "id": "c3",
        "channel_values": {"messages": [message("m1"), message("m2")], "other": 1},
        "channel_versions": {"messages": "1.c2", "other": "1.c3"},
        "versions_seen": {},
        "updated_channels": None,
    }
    metadata: Any = {"source": "loop", "step": 1, "parents": {}}
    sessions.checkpointer().put({"configurable": configurable}, made, metadata, {"other": "1.c3"})


def copy_onto(sessions: SessionManager) -> None:
    """Another session's graph state, onto this one's history."""
    sessions.checkpointer().copy_thread("source", ID)


OPERATIONS: dict[str, Operation] = {
    "append": lambda s: s.memory(ID).append(message("a")),
    "append shared": lambda s: s.memory(ID).add_messages([message("m3"), message("h1", "longer")]),
    "update_last": lambda s: s.memory(ID).update_last(message("", "changed")),
    "remove_last": lambda s: s.memory(ID).remove_last(),
    "clear": lambda s: s.memory(ID).clear(),
    "summary": lambda s: s.memory(ID).set_summary("all of it"),
    "put": lambda s: put(s, "c3", "c2", "m1", "m3"),
    "put of something else": put_nothing_new,
    "delete_thread": lambda s: s.checkpointer().delete_thread(ID),
    "delete_for_runs": lambda s: s.checkpointer().delete_for_runs(["run of c2"]),
    "prune": lambda s: s.checkpointer().prune([ID]),
    "for ever": lambda s: s.update_session(ID, ttl=None),
    "rename": lambda s: s.rename_session(ID, "another name"),
    "tag": lambda s: s.tag_session(ID, "new"),
    "delete": lambda s: s.delete_session(ID),
}


class Between(FaultyStore):
    """Runs something before the n-th batch from now."""

    action: Callable[[], Any] | None = None
    at = 0

    def execute(self, ops: Batch, /) -> Results:
        self.at -= 1
        if self.at == 0 and self.action is not None:
            action, self.action = self.action, None
            action()
        return super().execute(ops)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Between]:
    clock = FrozenClock()
    with Between(open_kind(request.param, tmp_path, clock=clock)) as store:
        yield store


def begin(store: Between) -> SessionManager:
    sessions = SessionManager(store)
    sessions.delete_session(ID)
    sessions.create_session(id=ID, name="a name", ttl=timedelta(hours=1))
    put(sessions, "c1", None, "m1")
    put(sessions, "c2", "c1", "m1", "m2")
    sessions.memory(ID).add_messages([message("h1"), message("m2")])
    return sessions


def check(sessions: SessionManager, done: set[str]) -> None:
    """What must be true whatever came first."""
    info = sessions.get_session(ID)
    messages = sessions.messages(ID) if info is not None else []
    if info is None:
        assert "delete" in done
        return
    assert info.message_count == len(messages)
    assert info.total_tokens == sum(item.usage_metadata["total_tokens"] for item in messages)  # type: ignore[attr-defined]
    ids = [item.id for item in messages]
    assert len(ids) == len(set(ids))
    if "delete" in done:
        return
    assert (info.expires_at is None) == ("for ever" in done)
    assert ("new" in info.tags) == ("tag" in done)
    assert (info.name == "another name") == ("rename" in done)
    if "append" in done and "clear" not in done and "remove_last" not in done:
        assert {"a"} <= set(ids) or "update_last" in done


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("second", OPERATIONS)
@pytest.mark.parametrize("first", OPERATIONS)
def test_what_one_operation_does_in_the_middle_of_another_is_not_undone(
    store: Between, first: str, second: str
) -> None:
    inner = SessionManager(store.inner)
    batch = 0
    while True:
        batch += 1
        sessions = begin(store)
        done = {first, second}
        store.at, store.action = batch, lambda: OPERATIONS[second](inner)
        try:
            OPERATIONS[first](sessions)
        except (SessionNotFound, SessionDeleted, SessionConflict):
            assert second in (
                "delete",
                "delete_thread",
                "delete_for_runs",
                "prune",
                "rename",
                "put",
                "put of something else",
            )
            done.discard(first)
        if store.action is not None:
            assert batch > 1
            break
        check(inner, done)
        assert batch < 20


def test_a_refused_message_of_another_history_keeps_its_id(store: Between) -> None:
    sessions, inner = begin(store), SessionManager(store.inner)
    ours = AIMessage("mine")
    store.at, store.action = 2, lambda: inner.memory(ID).append(message("later"))
    sessions.memory(ID).update_last(ours)
    assert ours.id in ("m2", "later")
    shown = {item.id: item.content for item in sessions.memory(ID).messages}
    assert shown == {"h1": "x", "m2": "x", "later": "mine"}


def test_a_message_that_a_graph_streams_takes_the_place_of_the_last_one(store: Between) -> None:
    inner = SessionManager(store.inner)
    batch = 0
    while True:
        batch += 1
        sessions = begin(store)
        ours = AIMessage("streamed")
        store.at = batch
        store.action = lambda: inner.memory(ID, source="graph").append(message("later"))
        assert sessions.memory(ID, source="graph").update_last(ours)
        store.at = 0
        messages = inner.memory(ID, source="graph").messages
        shown = {item.id: item.content for item in messages}
        if store.action is not None:
            assert batch > 1
            assert shown == {"m1": "x", "m2": "streamed"}
            return
        # Whichever came first, nothing is lost and nothing there twice.
        assert shown in (
            {"m1": "x", "m2": "streamed", "later": "x"},
            {"m1": "x", "m2": "x", "later": "streamed"},
        )
        assert shown[ours.id] == "streamed"
        assert len(messages) == 3
        assert batch < 20


@pytest.mark.parametrize("second", ["append shared", "remove_last", "clear", "rename", "for ever"])
def test_a_copy_onto_a_history_counts_what_both_hold(store: Between, second: str) -> None:
    inner = SessionManager(store.inner)
    batch = 0
    while True:
        batch += 1
        sessions = SessionManager(store)
        for id in (ID, "source"):
            sessions.delete_session(id)
        put(sessions, "c1", None, "m1", "m2", session="source")
        sessions.create_session(id=ID, name="a name", ttl=timedelta(hours=1))
        sessions.memory(ID).add_messages([message("h1"), message("m2")])
        store.at, store.action = batch, lambda: OPERATIONS[second](inner)
        copy_onto(sessions)
        if store.action is not None:
            assert batch > 1
            break
        check(inner, {second})
        assert batch < 20


@pytest.mark.parametrize("first", ["append shared", "update_last", "remove_last", "clear"])
def test_the_graphs_first_put_in_the_middle_of_a_change_of_the_history(
    store: Between, first: str
) -> None:
    inner = SessionManager(store.inner)
    for batch in range(1, 20):
        sessions = SessionManager(store)
        sessions.delete_session(ID)
        sessions.memory(ID).add_messages([message("h1"), message("m2")])
        store.at, store.action = batch, lambda: put(inner, "c1", None, "m1", "m2")
        OPERATIONS[first](sessions)
        if store.action is not None:
            assert batch > 2
            return
        info = inner.get_session(ID)
        assert info is not None
        shown = inner.messages(ID)
        assert info.message_count == len(shown)
        assert info.total_tokens == sum(item.usage_metadata["total_tokens"] for item in shown)  # type: ignore[attr-defined]
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("second", ["put", "delete_for_runs"])
def test_a_source_that_changes_while_it_is_copied_onto_a_history(
    store: Between, second: str
) -> None:
    inner = SessionManager(store.inner)

    def change() -> None:
        if second == "put":
            put(inner, "c2", "c1", "m1", "m2", "h1", session="source")
        else:
            inner.checkpointer().delete_for_runs(["run of c1"])

    for batch in range(1, 20):
        sessions = SessionManager(store)
        for id in (ID, "source"):
            sessions.delete_session(id)
        put(sessions, "c0", None, "m1", session="source")
        put(sessions, "c1", "c0", "m1", "m2", session="source")
        sessions.memory(ID).add_messages([message("h1"), message("m2")])
        store.at, store.action = batch, change
        copy_onto(sessions)
        if store.action is not None:
            assert batch > 2
            return
        info = inner.get_session(ID)
        assert info is not None
        assert info.message_count == len(inner.messages(ID))
    raise AssertionError("it never came to an end")


def test_a_copy_onto_pending_writes_alone_is_refused(store: Between) -> None:
    sessions = SessionManager(store)
    put(sessions, "c1", None, "m1", session="source")
    named: Any = {"configurable": {"thread_id": ID, "checkpoint_ns": "", "checkpoint_id": "c9"}}
    sessions.checkpointer().put_writes(named, [("x", 1)], "task")
    with pytest.raises(SessionConflict, match="empty one"):
        copy_onto(sessions)


def test_a_deletion_of_no_session_spares_one_that_begins(store: Between) -> None:
    sessions, inner = SessionManager(store), SessionManager(store.inner)
    store.at, store.action = 2, lambda: put(inner, "c1", None, "m1")
    sessions.checkpointer().delete_thread(ID)
    info = sessions.get_session(ID)
    assert info is not None
    assert (info.message_count, len(sessions.messages(ID))) == (0, 0)
    assert list(sessions.checkpointer().list({"configurable": {"thread_id": ID}})) == []


@pytest.mark.parametrize("before", ["nothing", "a session", "a stream"])
def test_a_stream_is_not_written_to_another_session_than_was_looked_at(
    store: Between, before: str
) -> None:
    inner = SessionManager(store.inner)
    for batch in range(1, 20):
        sessions = SessionManager(store)
        sessions.delete_session(ID)
        if before == "a session":
            sessions.create_session(id=ID)
        if before == "a stream":
            sessions.stream(ID).append([], note="there")
        seen = sessions.get_session(ID)
        version = 0 if seen is None else seen.version
        store.at = batch
        store.action = lambda: inner.update_session(ID, owner="ben", create=True)
        stream = sessions.stream(ID, owner="ana")
        try:
            stream.append(["x"], session_version=version)
        except SessionConflict:
            assert inner.stream(ID).read().items == ()
        else:
            assert inner.stream(ID).read().items == ("x",)
            assert batch > 2
            if store.action is not None:
                return
    raise AssertionError("it never came to an end")


def test_what_a_stream_changes_of_its_session_undoes_nothing(store: Between) -> None:
    inner = SessionManager(store.inner)
    for batch in range(1, 20):
        sessions = SessionManager(store)
        sessions.delete_session(ID)
        sessions.create_session(id=ID, tags=["old"])
        sessions.stream(ID).append(["first"])
        store.at, store.action = batch, lambda: inner.tag_session(ID, "new")
        change = SessionChange(untag=["old"], tags=["mine"], metadata={"k": 1})
        sessions.stream(ID).append(["x"], session=change)
        if store.action is not None:
            assert batch > 2
            return
        info = inner.get_session(ID)
        assert info is not None
        assert (set(info.tags), info.metadata) == ({"new", "mine"}, {"k": 1})
        assert inner.stream(ID).read().items == ("first", "x")
    raise AssertionError("it never came to an end")
