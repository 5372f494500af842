"""Damage is found and named, and mended where nothing has to be guessed."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from tests.sessions.conftest import Call
from tests.sessions.test_travel import chat, config, nested, say, texts

from threadloom import CheckReport, CorruptRecord, SessionManager, SessionNotFound
from threadloom.checkpoint.layout import checkpoint_key
from threadloom.keys import FENCE
from threadloom.ops import Delete, ListNamespaces, Op, Patch, Put, Scan
from threadloom.store import Store
from threadloom.testing import FrozenClock

pytestmark = pytest.mark.operation("check")


def fill(sessions: SessionManager) -> None:
    graph = chat(sessions)
    for text in ("one", "two", "a long text " * 20):
        graph.invoke(say(text), config("s"))
    sessions.memory("s").add_messages([HumanMessage("beside"), AIMessage("me")])
    graph.invoke(say("other"), config("other"))
    nested(sessions, persistent=False).invoke({"log": ["in"]}, config("asked"))


def kinds(report: CheckReport) -> list[tuple[str, str]]:
    return sorted((problem.session_id, problem.kind) for problem in report.problems)


def head_place(store: Store) -> Any:
    (records,) = store.execute([Scan(("checkpoints", "s"))])
    return records[0]


def some(store: Store, last: str) -> Any:
    """A record of a kind, of the session that is damaged."""
    (names,) = store.execute([ListNamespaces(("checkpoints", "s"))])
    name = next(name for name in names if (name[-1] == last or (last == "" and len(name) == 3)))
    return store.execute([Scan(name)])[0]


async def test_nothing_is_wrong(sessions: SessionManager, call: Call) -> None:
    fill(sessions)
    report = await call("check")
    assert report == CheckReport(sessions=3)
    assert report.ok
    assert await call("check", "s", fix=True) == CheckReport(sessions=1)
    with pytest.raises(SessionNotFound):
        await call("check", "nobody")


def lost_head(store: Store) -> list[Op]:
    return [Delete(("checkpoints", "s"), head_place(store).key)]


def dangling_head(store: Store) -> list[Op]:
    record = head_place(store)
    return [Delete(("checkpoints", "s", record.key), checkpoint_key(record.doc["head"]))]


def wrong_counts(store: Store) -> list[Op]:
    return [Patch(("sessions",), "s", increment={"graph_messages": 3, "history_tokens": 1})]


def no_history(store: Store) -> list[Op]:
    return [Patch(("sessions",), "s", set={"history_messages": 0, "shared_messages": 0})]


def lost_index(store: Store) -> list[Op]:
    (records,) = store.execute([Scan(("memory", "s", "~index"))])
    return [Delete(record.namespace, record.key) for record in records]


def stray_index(store: Store) -> list[Op]:
    return [Put(("memory", "s", "~index"), "id:nobody", doc={"at": "0000000099", "tokens": 1})]


MENDED: list[tuple[Callable[[Store], list[Op]], str]] = [
    (lost_head, "head"),
    (dangling_head, "head"),
    (wrong_counts, "counts"),
    (no_history, "counts"),
    (lost_index, "history"),
    (stray_index, "history"),
]


@pytest.mark.parametrize(("damage", "kind"), MENDED, ids=lambda item: getattr(item, "__name__", ""))
async def test_what_can_be_mended_is(
    sessions: SessionManager, store: Store, call: Call, damage: Any, kind: str
) -> None:
    fill(sessions)
    before = texts(sessions.messages("s"))
    store.execute(damage(store))
    report = await call("check")
    assert ("s", kind) in kinds(report)
    assert {id for id, _ in kinds(report)} == {"s"}
    assert not report.ok
    assert kinds(await call("check")) == kinds(report)  # it only looked
    mended = await call("check", fix=True)
    if kind == "head":  # it may have other counts
        mended = await call("check", fix=True)
    assert mended.ok
    assert await call("check") == CheckReport(sessions=3)
    shown = texts(sessions.messages("s"))
    assert shown == before or (damage is dangling_head and shown == [*before[:5], *before[6:]])
    info = sessions.get_session("s")
    assert info is not None
    assert info.message_count == len(shown)
    sessions.memory("s").append(HumanMessage("more"))
    chat(sessions).invoke(say("more"), config("s"))
    assert await call("check") == CheckReport(sessions=3)


@pytest.mark.parametrize("part", ["~logs", "~texts", ""])
@pytest.mark.parametrize("how", ["lost", "torn"])
async def test_what_cannot_be_mended_is_named(
    sessions: SessionManager, store: Store, call: Call, part: str, how: str
) -> None:
    fill(sessions)
    record = next(r for r in some(store, part) if "!" not in r.key)
    if how == "lost" and part == "":
        return  # a checkpoint that is not there is no damage: it may have been pruned
    damaged: Op = Delete(record.namespace, record.key)
    if how == "torn":
        damaged = Put(
            record.namespace, record.key, doc=record.doc, blob=(record.blob or b"z!")[:-2]
        )
    store.execute([damaged])
    report = await call("check", fix=True)
    assert {id for id, _ in kinds(report)} == {"s"}
    assert {kind for _, kind in kinds(report)} <= {"dangling", "damaged", "counts"}
    assert not report.ok
    assert (await call("check", "other")).ok
    assert texts(sessions.messages("other")) == ["other", "re other"]


async def test_data_without_a_session(sessions: SessionManager, store: Store, call: Call) -> None:
    fill(sessions)
    store.execute([Delete(("sessions",), "s")])
    report = await call("check")
    assert kinds(report) == [("s", "orphan")]
    assert (await call("check", fix=True)).ok
    assert await call("check") == CheckReport(sessions=2)
    (names,) = store.execute([ListNamespaces()])
    assert not [name for name in names if "s" in name]


async def test_an_expired_session_is_no_orphan(
    sessions: SessionManager, call: Call, clock: FrozenClock
) -> None:
    sessions.create_session(id="s", ttl=timedelta(seconds=1))
    sessions.memory("s").append(HumanMessage("x"))
    clock.advance(5)
    assert await call("check") == CheckReport()


async def test_a_turn_that_died(
    sessions: SessionManager, store: Store, call: Call, clock: FrozenClock
) -> None:
    sessions.create_session(id="s")
    holder = sessions.turn("s")
    contextvars.Context().run(holder.__enter__)
    assert (await call("check")).ok
    holder._ended.set()
    clock.advance(60)
    assert kinds(await call("check", fix=True)) == [("s", "turn")]
    assert sessions.get_status("s") == "idle"
    assert await call("check") == CheckReport(sessions=1)
    assert store.execute([Scan(("sessions", *store_label(store)))])[0][0].key == FENCE


def store_label(store: Store) -> tuple[str, ...]:
    (names,) = store.execute([ListNamespaces(("sessions",))])
    return next(name[1:] for name in names if len(name) == 2)


def test_torn_pages_of_the_file_are_named(tmp_path: Path) -> None:
    """Whatever page is torn, an operation that fails by it is no surprise after a check."""
    whole = tmp_path / "whole.db"
    with SessionManager(f"sqlite:///{whole}") as sessions:
        for number in range(12):
            sessions.memory(f"{number}").add_messages([HumanMessage(f"walrus {number} " * 40)])
    content = whole.read_bytes()
    pages = len(content) // 4096
    assert pages > 10
    failed = 0
    for page in range(1, pages):
        torn = tmp_path / f"{page}.db"
        torn.write_bytes(content[: page * 4096] + b"\xff" * 4096 + content[(page + 1) * 4096 :])
        with SessionManager(f"sqlite:///{torn}") as sessions:
            try:
                report = sessions.check()
            except CorruptRecord:  # not even the tables can be read
                continue
            try:
                found = len(sessions.search_sessions("walrus"))
                read = sum(bool(sessions.messages(f"{number}")) for number in range(12))
                works = (found, read) == (12, 12)
            except CorruptRecord:
                works = False
            assert works or not report.ok
            if not report.ok:
                failed += 1
                assert report.problems[0].kind == "file"
                assert "copy_sessions" in report.problems[0].detail
    assert failed > pages // 2


async def test_the_file_is_looked_at_from_a_loop_as_well(tmp_path: Path, store: Store) -> None:
    assert store.damage() == []
    path = tmp_path / "t.db"
    with SessionManager(f"sqlite:///{path}") as sessions:
        sessions.memory("a").add_messages([HumanMessage("walrus " * 2000)])
    content = path.read_bytes()
    path.write_bytes(content[: 4096 * (len(content) // 4096 - 1)] + b"\xff" * 4096)
    async with SessionManager(f"sqlite:///{path}") as sessions:
        # In the middle of a text not every SQLite sees that something is wrong.
        report = await sessions.acheck()
        assert ("a", "damaged") in kinds(report)
    path.write_bytes(content[: 4096 * 2] + b"\xff" * 4096 + content[4096 * 3 :])
    async with SessionManager(f"sqlite:///{path}") as sessions:
        assert [problem.kind for problem in (await sessions.acheck()).problems][:1] == ["file"]
