"""Sessions on the move: exported, imported, copied, in a process without the application."""

from __future__ import annotations

import enum
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from tests.failures.helpers import run_program
from tests.sessions.conftest import Call
from tests.sessions.test_travel import chat, config, dump, say, texts

from threadloom import (
    CorruptRecord,
    InvalidKey,
    MemoryStore,
    MoveReport,
    SchemaTooNew,
    Session,
    SessionExists,
    SessionInfo,
    SessionManager,
    SessionNotFound,
    SQLiteStore,
)
from threadloom.testing import FrozenClock


class Color(enum.Enum):
    RED = 1


def fill(sessions: SessionManager) -> list[str]:
    """Sessions of all kinds."""
    graph = chat(sessions)
    sessions.create_session(
        id="a/b é", name="Oslo", owner="ana", tags=["x"], metadata={"k": [1, {"b": None}]}
    )
    for text in ("one", "two " * 40):
        graph.invoke(say(text), config("a/b é"))
    sessions.memory("history").add_messages(
        [HumanMessage("hi"), AIMessage("yo", additional_kwargs={"raw": b"\x00\xff"})]
    )
    sessions.memory("history").set_summary("short")
    sessions.save_session(Session(info=SessionInfo(id="state"), state={"big": 2**80, "f": 1e300}))

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(str(interrupt("?")), additional_kwargs={"c": Color.RED})]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    asking = builder.compile(checkpointer=sessions.checkpointer())
    asking.invoke(say("q"), config("asked"))
    asking.invoke(say("q"), config("answered"))
    asking.invoke(Command(resume="yes"), config("answered"))
    return sorted(["a/b é", "history", "state", "asked", "answered"])  # begun at one moment


def same(one: SessionManager, other: SessionManager, ids: list[str]) -> None:
    for id in ids:
        mine, its = one.load_session(id), other.load_session(id)
        assert mine is not None
        assert its is not None
        assert mine.messages == its.messages
        assert mine.state == its.state
        assert mine.info.model_dump(exclude={"version"}) == its.info.model_dump(exclude={"version"})
        assert dump(one, id) == dump(other, id)
        assert one.memory(id).get_summary() == other.memory(id).get_summary()
        times = [item.created_at for item in one.memory(id).load_with_timestamps()]
        assert times == [item.created_at for item in other.memory(id).load_with_timestamps()]


@pytest.mark.operation("export_sessions", "import_sessions")
async def test_what_is_exported_is_imported(
    sessions: SessionManager, call: Call, tmp_path: Path, clock: FrozenClock
) -> None:
    ids = fill(sessions)
    told: list[tuple[int, int, str]] = []
    report = await call(
        "export_sessions", tmp_path / "x.jsonl", progress=lambda *step: told.append(step)
    )
    assert report == MoveReport(moved=tuple(ids))
    assert [step[:2] for step in told] == [(n, len(ids)) for n in range(1, len(ids) + 1)]
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == len(ids)
    with SQLiteStore(tmp_path / "other.db", clock=clock) as store:
        other = SessionManager(store)
        clock.advance(timedelta(days=1))
        assert other.import_sessions(tmp_path / "x.jsonl") == MoveReport(moved=tuple(ids))
        same(sessions, other, ids)
        assert [m.session.id for m in other.search_sessions("two")] == ["a/b é"]
        assert other.import_sessions(tmp_path / "x.jsonl") == MoveReport(skipped=tuple(ids))
        graph = chat(other)
        graph.invoke(say("three"), config("a/b é"))
        assert texts(other.messages("a/b é"))[-2:] == ["three", "re three"]
        assert len(sessions.messages("a/b é")) == 4


@pytest.mark.operation("import_sessions")
async def test_import_by_either_door(sessions: SessionManager, call: Call, tmp_path: Path) -> None:
    with MemoryStore() as store:
        other = SessionManager(store)
        ids = fill(other)
        other.export_sessions(tmp_path / "x.jsonl", [ids[0], "history"])
    report = await call("import_sessions", tmp_path / "x.jsonl")
    assert report.moved == (ids[0], "history")
    assert texts(sessions.messages("history")) == ["hi", "yo"]
    sessions.memory("history").append(HumanMessage("more"))
    with pytest.raises(SessionExists):
        await call("import_sessions", tmp_path / "x.jsonl", if_exists="raise")
    await call("import_sessions", tmp_path / "x.jsonl", if_exists="replace")
    assert texts(sessions.messages("history")) == ["hi", "yo"]
    with pytest.raises(InvalidKey):
        await call("import_sessions", tmp_path / "x.jsonl", if_exists="other")


@pytest.mark.operation("copy_sessions")
async def test_copy_to_a_store_a_url_and_a_manager(
    sessions: SessionManager, call: Call, tmp_path: Path
) -> None:
    ids = fill(sessions)
    with MemoryStore() as store:
        assert (await call("copy_sessions", store)).moved == tuple(ids)
        other = SessionManager(store)
        for id in ids:
            assert other.messages(id) == sessions.messages(id)
            assert dump(other, id) == dump(sessions, id)
        assert (await call("copy_sessions", other)).skipped == tuple(ids)
        tenant = SessionManager(store, tenant="t")
        assert (await call("copy_sessions", tenant, ["history"])).moved == ("history",)
        assert tenant.list_session_ids() == ["history"]
    await call("copy_sessions", f"sqlite:///{tmp_path}/copy.db")
    with SessionManager(f"sqlite:///{tmp_path}/copy.db") as copied:
        assert sorted(copied.list_session_ids()) == sorted(ids)
    with pytest.raises(InvalidKey):
        await call("copy_sessions", sessions)
    with pytest.raises(InvalidKey):
        await call("copy_sessions", 3)
    with pytest.raises(SessionNotFound):
        await call("copy_sessions", f"sqlite:///{tmp_path}/copy.db", ["nobody"])


@pytest.mark.operation("export_sessions")
async def test_a_torn_export_goes_on(sessions: SessionManager, call: Call, tmp_path: Path) -> None:
    ids = fill(sessions)
    path = tmp_path / "x.jsonl"
    await call("export_sessions", path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in (0, len(lines[0]) + 10, sum(map(len, lines[:3])), len(whole) - 1):
        path.write_bytes(whole[:kept])
        report = await call("export_sessions", path)
        assert path.read_bytes() == whole
        assert set(report.moved) | set(report.skipped) == set(ids)
    assert (await call("export_sessions", path)).moved == ()
    with pytest.raises(SessionNotFound):
        await call("export_sessions", path, ["nobody"])


@pytest.mark.operation("export_sessions", "import_sessions")
async def test_a_backup_is_brought_up_to_date(
    sessions: SessionManager, call: Call, tmp_path: Path, clock: FrozenClock
) -> None:
    ids = fill(sessions)
    path = tmp_path / "x.jsonl"
    await call("export_sessions", path)
    clock.advance(1)
    sessions.memory("history").append(HumanMessage("later"))
    report = await call("export_sessions", path)
    assert report.moved == ("history",)
    assert set(report.skipped) == set(ids) - {"history"}
    with SessionManager("memory://") as other:
        assert sorted(other.import_sessions(path).moved) == ids
        assert texts(other.messages("history")) == ["hi", "yo", "later"]


@pytest.mark.operation("export_sessions", "import_sessions", "prune")
async def test_what_was_removed_is_brought_up_to_date(
    sessions: SessionManager, call: Call, tmp_path: Path
) -> None:
    ids = fill(sessions)
    path = tmp_path / "x.jsonl"
    await call("export_sessions", path)
    assert sessions.prune(keep_last=1, ids=["a/b é"]).checkpoints > 0
    assert (await call("export_sessions", path)).moved == ("a/b é",)
    assert (await call("export_sessions", path)).moved == ()
    with SessionManager("memory://") as other:
        other.import_sessions(path)
        same(sessions, other, ids)


@pytest.mark.operation("export_sessions")
def test_an_export_beside_a_busy_writer(tmp_path: Path) -> None:
    with SessionManager(f"sqlite:///{tmp_path}/s.db") as sessions:
        graph = chat(sessions)
        graph.invoke(say("begin"), config("t"))
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                graph.invoke(say("more"), config("t"))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(5):
                sessions.export_sessions(tmp_path / f"{number}.jsonl")
        finally:
            stop.set()
            writer.join()
        for number in range(5):
            with SessionManager("memory://") as other:
                other.import_sessions(tmp_path / f"{number}.jsonl")
                info = other.get_session("t")
                assert info is not None
                assert info.message_count == len(other.messages("t")) > 0
                assert other.check().ok


@pytest.mark.operation("export_sessions", "import_sessions")
async def test_damage_is_named(sessions: SessionManager, call: Call, tmp_path: Path) -> None:
    fill(sessions)
    path = tmp_path / "x.jsonl"
    await call("export_sessions", path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"Oslo", b"Rome", 1))
    with SessionManager("memory://") as other:
        with pytest.raises(CorruptRecord, match="line 1"):
            other.import_sessions(path)
        assert other.list_session_ids() == []
    with pytest.raises(CorruptRecord):
        await call("export_sessions", path)
    path.write_bytes(whole.replace(b'"threadloom":1', b'"threadloom":9', 1))
    with pytest.raises(SchemaTooNew):
        await call("import_sessions", path)
    path.write_text("hello\n")
    with pytest.raises(CorruptRecord, match="line 1 is no exported session"):
        await call("import_sessions", path)
    path.write_bytes(whole[:-20])
    with pytest.raises(CorruptRecord, match="is torn at its end"):
        await call("import_sessions", path)


@pytest.mark.operation("export_sessions")
async def test_a_turn_does_not_travel(sessions: SessionManager, call: Call, tmp_path: Path) -> None:
    sessions.create_session(id="s")
    with sessions.turn("s"):
        await call("export_sessions", tmp_path / "x.jsonl")
    with SessionManager("memory://") as other:
        other.import_sessions(tmp_path / "x.jsonl")
        info = other.get_session("s")
        assert info is not None
        assert (info.status, info.turn_id) == ("idle", None)
        with other.turn("s"):
            pass


@pytest.mark.operation("export_sessions", "import_sessions", "copy_sessions")
def test_a_killed_move_goes_on(tmp_path: Path) -> None:
    with SessionManager(f"sqlite:///{tmp_path}/from.db") as sessions:
        for number in range(120):
            sessions.memory(f"{number}").add_messages(
                [HumanMessage(f"{number} " * 30, id=f"{number}-{at}") for at in range(5)]
            )
    killed = 0
    for kind in ("export", "import", "copy"):
        *before, last = run_program("moved", kind, tmp_path)
        assert last == "done"
        killed += len(before)
    assert killed
    with (
        SessionManager(f"sqlite:///{tmp_path}/from.db") as sessions,
        SessionManager(f"sqlite:///{tmp_path}/imported.db") as imported,
        SessionManager(f"sqlite:///{tmp_path}/copied.db") as copied,
    ):
        ids = sessions.list_session_ids()
        assert len(ids) == 120
        same(sessions, imported, ids)
        same(sessions, copied, ids)
        assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 120
