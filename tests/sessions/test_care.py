"""Where the bytes are, and getting back those that nobody needs."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import (
    SessionManager,
    SessionNotFound,
    SQLiteStore,
    StorageStats,
    StoreCheckpointer,
    StoreUnavailable,
    UntrustedType,
)
from threadloom.keys import compact_id
from threadloom.ops import ListNamespaces, Match, Scan
from threadloom.plans import Batch, Results
from threadloom.store import Store
from threadloom.testing import FaultyStore

from .conftest import Call


def graph_on(sessions: SessionManager) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [AIMessage("answer " * 30)]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


def everything(store: Store) -> list[Any]:
    (namespaces,) = store.execute([ListNamespaces()])
    return [record for name in namespaces for record in store.execute([Scan(name)])[0]]


@pytest.mark.operation("stats")
async def test_stats_add_up(call: Call, sessions: SessionManager, store: Store) -> None:
    graph = graph_on(sessions)
    for id in ("a", "b"):
        graph.invoke({"messages": [HumanMessage("question " * 30)]}, config(id))
        sessions.memory(id).append(HumanMessage("chain"))
    whole: StorageStats = await call("stats")
    one: StorageStats = await call("stats", "a")
    assert (whole.sessions, one.sessions) == (2, 1)
    assert {kind.kind for kind in one.kinds} == {
        *("sessions", "messages", "checkpoints", "elements", "texts")
    }
    assert whole.records == len(everything(store)) == 2 * one.records
    assert whole.bytes == sum(kind.bytes for kind in whole.kinds) > one.bytes > 1000
    with pytest.raises(SessionNotFound):
        await call("stats", "nobody")


@pytest.mark.operation("compact")
async def test_compact_takes_what_nobody_needs_and_nothing_else(
    call: Call, sessions: SessionManager, store: Store
) -> None:
    graph = graph_on(sessions)
    for number in range(5):
        graph.invoke({"messages": [HumanMessage(f"question {number} " * 30)]}, config("a"))
    first = graph.get_state(config("a")).values["messages"][0]
    graph.update_state(config("a"), {"messages": [RemoveMessage(id=first.id)]})
    before = list(graph.get_state_history(config("a")))
    await call("compact", "a")
    assert list(graph.get_state_history(config("a"))) == before
    assert (await call("stats", "a")).records == len(everything(store))
    sessions.checkpointer().prune(["a"])
    head = graph.get_state(config("a")).values
    small: StorageStats = await call("stats", "a")
    texts = [record.key for record in everything(store) if record.namespace[-1] == "~texts"]
    assert len(texts) == len({message.content for message in head["messages"]})
    await call("compact", "a")
    again: StorageStats = await call("stats", "a")
    assert (again.kinds, again.records, again.bytes) == (small.kinds, small.records, small.bytes)
    assert (again.file_bytes or 0) <= (small.file_bytes or 0)
    await call("compact", "nobody")


@pytest.mark.operation("compact")
@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("how", ["delete", "replace", "prune", "delete_thread"])
async def test_nothing_of_a_text_is_left_after_compact(tmp_path: Path, how: str, fed: bool) -> None:
    """Neither in the records, nor in the search index, nor in the log: what is erased is gone."""
    file = tmp_path / "s.db"
    secret, beside = "zebrasecret of ana " * 20, "harmless " * 20
    with SessionManager(f"sqlite:///{file}") as sessions:
        graph = graph_on(sessions)
        graph.invoke({"messages": [HumanMessage(beside, id="q")]}, config("other"))
        graph.invoke({"messages": [HumanMessage(secret, id="q")]}, config("a"))
        if how == "delete":
            sessions.memory("a").append(HumanMessage(f"short {secret[:11]}"))
        if fed:
            assert sessions._store.execute([Match((), "zebrasecret")]) != [[]]
        if how == "delete":
            sessions.delete_session("a")
        elif how == "delete_thread":
            sessions.checkpointer().delete_thread("a")
        else:
            graph.invoke({"messages": [HumanMessage(beside, id="q")]}, config("a"))
            sessions.checkpointer().prune(["a"])
        sessions.compact("a")
        assert graph.get_state(config("other")).values["messages"][0].content == beside
        left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"zebrasecret" not in left
    assert b"harmless" in left


def test_compact_says_that_a_reader_keeps_what_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with SessionManager(SQLiteStore(path, busy_timeout=0.3)) as sessions:
        sessions.memory("s").append(HumanMessage("zebrasecret " * 20))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
            sessions.delete_session("s")
            with pytest.raises(StoreUnavailable, match="write-ahead log"):
                sessions.compact("s")
        sessions.compact("s")
        left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"zebrasecret" not in left


def test_search_sees_the_conversation_at_the_head(sessions: SessionManager, store: Store) -> None:
    graph = graph_on(sessions)

    def found(words: str) -> int:
        return len(store.execute([Match(("checkpoints",), words)])[0])

    graph.invoke({"messages": [HumanMessage("walrus " * 30, id="w")]}, config("a"))
    start = graph.get_state(config("a")).config
    graph.invoke({"messages": [HumanMessage("shrew", id="s")]}, config("a"))
    assert (found("walrus"), found("shrew")) == (1, 1)
    graph.update_state(config("a"), {"messages": [RemoveMessage(id="s")]})
    assert (found("walrus"), found("shrew")) == (1, 0)
    edited = HumanMessage("lemming " * 30, id="w")
    graph.update_state(config("a"), {"messages": [edited]})
    assert (found("walrus"), found("lemming")) == (0, 1)
    graph.update_state(start, {"messages": [HumanMessage("vole")]})  # a branch, now the head
    assert (found("walrus"), found("lemming"), found("vole")) == (1, 0, 1)


def config(id: str) -> Any:
    return {"configurable": {"thread_id": id}}


def test_a_second_copy_onto_the_same_id_is_not_taken_for_the_first(
    sessions: SessionManager,
) -> None:
    graph, saver = graph_on(sessions), sessions.checkpointer()

    def say(id: str, text: str) -> list[str]:
        state = graph.invoke({"messages": [HumanMessage(text)]}, config(id))
        return [message.content for message in state["messages"][::2]]

    say("template", "one")
    saver.copy_thread("template", "user")
    say("user", "the secret of an old user")
    saver.delete_thread("user")
    say("template", "two")
    saver.copy_thread("template", "user")
    assert say("user", "three") == ["one", "two", "three"]


def test_a_copy_beside_a_busy_writer(tmp_path: Path) -> None:
    with SessionManager(f"sqlite:///{tmp_path}/s.db") as sessions:
        graph, saver = graph_on(sessions), sessions.checkpointer()
        graph.invoke({"messages": [HumanMessage("begin")]}, config("t"))
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                graph.invoke({"messages": [HumanMessage("more")]}, config("t"))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(10):
                saver.copy_thread("t", str(number))
        finally:
            stop.set()
            writer.join()
        for number in range(10):
            info = sessions.get_session(str(number))
            assert info is not None
            assert info.message_count == len(sessions.messages(info)) > 0
        assert sessions.check().ok


def test_a_head_without_a_conversation_has_none(sessions: SessionManager, store: Store) -> None:
    graph = graph_on(sessions)
    graph.invoke({"messages": [HumanMessage("walrus " * 30)]}, config("a"))
    *_, first = graph.get_state_history(config("a"))
    graph.update_state(first.config, {"messages": []})
    info = sessions.get_session("a")
    assert info is not None
    assert info.message_count == len(sessions.messages("a"))
    shown = any("walrus" in str(message.content) for message in sessions.messages("a"))
    assert bool(store.execute([Match(("checkpoints",), "walrus")])[0]) == shown


def test_a_message_that_stands_twice_counts_twice(sessions: SessionManager, store: Store) -> None:
    saver = sessions.checkpointer()
    apple, pear = HumanMessage("apple", id="a"), HumanMessage("pear", id="p")
    parent: str | None = None
    for number, messages in enumerate([[apple, pear], [apple, apple, pear], [apple, pear]]):
        named = config("a")
        named["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": parent}
        version = {"messages": f"{number}"}
        made: Any = {
            "v": 4,
            "ts": "2026-01-01T00:00:00+00:00",
            "id": f"c{number}",
            "channel_values": {"messages": messages},
            "channel_versions": version,
            "versions_seen": {},
            "updated_channels": None,
        }
        metadata: Any = {"source": "loop", "step": number, "parents": {}}
        saver.put(named, made, metadata, version)
        parent = f"c{number}"
        info = sessions.get_session("a")
        assert info is not None
        assert info.message_count == len(sessions.messages("a")) == len(messages)
        assert store.execute([Match(("checkpoints",), "apple")])[0]


def put(saver: Any, id: str, parent: str | None, **values: Any) -> None:
    named = config("a")
    named["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": parent}
    versions = {channel: id for channel in values}
    made: Any = {
        "v": 4,
        "ts": "2026-01-01T00:00:00+00:00",
        "id": id,
        "channel_values": values,
        "channel_versions": versions,
        "versions_seen": {},
        "updated_channels": None,
    }
    metadata: Any = {"source": "loop", "step": 1, "parents": {}}
    saver.put(named, made, metadata, versions)


def made_before(id: str, seconds: int) -> str:
    """A checkpoint id like LangGraph's (UUID version 6) that was made earlier than another."""
    digits = id.replace("-", "")
    ticks = int(digits[:12] + digits[13:16], 16) - seconds * 10_000_000
    early = f"{ticks:015x}"
    return str(UUID(early[:12] + "6" + early[12:] + digits[16:]))


@pytest.mark.operation("compact")
def test_compact_takes_pending_writes_whose_checkpoint_never_came(
    sessions: SessionManager, store: Store
) -> None:
    """An hour after a newer checkpoint, and not before: their put may still be under way."""
    saver = sessions.checkpointer()
    head = str(uuid6())
    put(saver, head, None, foo=1)
    old, recent = made_before(head, 2 * 3600), made_before(head, 60)
    for id in (old, recent):
        named = config("a")
        named["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": id}
        saver.put_writes(named, [("foo", "never came " * 30)], "task")
    sessions.compact("a")
    keys = [record.key for record in everything(store) if "!" in record.key]
    assert [key.split("!")[0] for key in keys] == [compact_id(recent)]
    put(saver, recent, None, foo=2)
    found = saver.get_tuple(named)
    assert [write[2] for write in found.pending_writes] == ["never came " * 30]


def test_a_large_dict_named_messages_is_no_conversation_and_no_damage(
    sessions: SessionManager,
) -> None:
    big = {f"k{number}": "x" * 60 for number in range(20)}
    put(sessions.checkpointer(), "1", None, messages=big)
    assert sessions.messages("a") == []
    found = sessions.checkpointer().get_tuple(config("a"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"messages": big}


@dataclass
class Point:
    x: int


def test_a_saver_that_may_not_rebuild_a_type_stores_it_all_the_same(
    sessions: SessionManager,
) -> None:
    saver = sessions.checkpointer()
    narrow = saver.with_allowlist([])
    big: dict[str, Any] = {f"k{number}": "x" * 60 for number in range(20)}
    put(narrow, "1", None, files={**big, "p": Point(1)})
    put(narrow, "2", "1", files={**big, "p": Point(2)})
    for id, x in (("1", 1), ("2", 2)):
        named = config("a")
        named["configurable"]["checkpoint_id"] = id
        found = saver.get_tuple(named)
        assert found is not None
        assert found.checkpoint["channel_values"]["files"] == {**big, "p": Point(x)}
        with pytest.raises(UntrustedType, match="Point"):
            narrow.get_tuple(named)


@pytest.mark.parametrize("sweep", ["prune", "delete_thread"])
@pytest.mark.parametrize("read", ["get_tuple", "get_delta_channel_history"])
def test_a_read_that_races_with_a_sweep_is_no_damage(store: Store, read: str, sweep: str) -> None:
    class Between(FaultyStore):
        at = 0

        def execute(self, ops: Batch, /) -> Results:
            self.at -= 1
            if self.at == 0:
                act()
            return super().execute(ops)

    between = Between(store)
    saver, other = StoreCheckpointer(between), StoreCheckpointer(store)

    def act() -> None:
        getattr(other, sweep)(["a"] if sweep == "prune" else "a")

    reached = True
    moment = 0
    while reached:
        moment += 1
        assert moment < 10
        other.delete_thread("a")
        ids = [str(uuid6()) for _ in range(3)]
        for id, parent in zip(ids, [None, *ids], strict=False):
            put(other, id, parent, messages=[HumanMessage("long " * 30, id="m")])
            named = config("a")
            named["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": id}
            other.put_writes(named, [("log", "a pending text " * 30)], "task")
        named["configurable"]["checkpoint_id"] = ids[1]
        between.at = moment
        if read == "get_tuple":
            saver.get_tuple(named)
        else:
            saver.get_delta_channel_history(config=named, channels=["log"])
        reached = between.at <= 0
    assert moment > 2
