"""Stores of others: what they do differently, and what their owners do to them, harms nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.base import Op, PutOp, Result
from langgraph.store.base.batch import AsyncBatchedBaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import AsyncSqliteStore, SqliteStore

from guests import AsyncOnlyStore, PlainStore, async_sqlite
from threadloom import (
    CorruptRecord,
    InvalidKey,
    LangGraphStore,
    MemoryStore,
    SchemaTooNew,
    SessionBusy,
    SessionManager,
    StoreChatMessageHistory,
    StoreCheckpointer,
    StoreClosed,
    StoreUnavailable,
    UnsupportedByStore,
)
from threadloom.ops import Delete, Get, Put, Query, Scan
from threadloom.stores.langgraph import layout, writing

from .helpers import config

NS = ("notes",)


def chat_graph(saver: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [AIMessage(f"{len(state['messages'])}")]})
    graph.add_edge(START, "say")
    return graph.compile(checkpointer=saver)


def ask(saver: Any, thread: str = "t") -> list[Any]:
    messages: list[Any] = chat_graph(saver).invoke(
        {"messages": [HumanMessage("hello")]}, config(thread)
    )["messages"]
    return messages


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def opened(file: Path, stack: ExitStack) -> SqliteStore:
    return stack.enter_context(SqliteStore.from_conn_string(str(file)))


# Handing one in


def test_whatever_takes_a_store_takes_any() -> None:
    inner = InMemoryStore()
    with SessionManager(inner) as sessions:
        ask(sessions.checkpointer(), "one")
    ask(StoreCheckpointer(inner), "two")
    StoreChatMessageHistory(inner, "three").add_messages([HumanMessage("hi")])
    copied = SessionManager("memory://")
    assert copied.copy_sessions(inner).moved == ()
    found = SessionManager(inner).list_sessions()
    assert [info.id for info in found] == ["one", "two", "three"]
    assert [info.message_count for info in found] == [2, 2, 1]


def test_it_stays_its_owners_to_close(file: Path, stack: ExitStack) -> None:
    inner = opened(file, stack)
    with SessionManager(inner) as sessions:
        sessions.create_session(id="a")
    inner.put(("mine",), "k", {"n": 1})
    with LangGraphStore(inner) as store:
        assert [item.key for item in store.search(("sessions",))] == ["a"]
    with pytest.raises(StoreClosed):
        store.execute([Get(NS, "k")])
    assert inner.get(("mine",), "k") is not None
    assert [info.id for info in SessionManager(inner).list_sessions()] == ["a"]


def test_one_object_is_one_store() -> None:
    inner = InMemoryStore()
    assert StoreCheckpointer(inner).store is StoreCheckpointer(inner).store
    assert StoreCheckpointer(InMemoryStore()).store is not StoreCheckpointer(inner).store


def test_only_stores_of_others_are_wrapped() -> None:
    for odd in (MemoryStore(), "sqlite:///a.db", None):
        with pytest.raises(InvalidKey):
            LangGraphStore(odd)  # type: ignore[arg-type]


def test_a_managers_long_term_memory_is_no_store_to_build_on() -> None:
    with SessionManager("memory://") as sessions:
        for build in (SessionManager, StoreCheckpointer, LangGraphStore):
            with pytest.raises(InvalidKey):
                build(sessions.store)  # type: ignore[arg-type]


def test_places_can_be_recognised() -> None:
    inner = InMemoryStore()
    sessions = SessionManager(inner, tenant="acme")
    sessions.create_session(id="Oslo trip", owner="ana")
    sessions.memory("Oslo trip").add_messages([HumanMessage("hi")])
    (item,) = inner.search(("threadloom", "~acme", "sessions"))
    assert (item.key, item.value["doc"]["owner"]) == ("Oslo trip", "ana")
    (namespace, *_) = inner.list_namespaces(prefix=("threadloom", "~acme", "memory"))
    assert namespace[3] == "Oslo%20trip"


# What they do differently


class Shuffled(PlainStore):
    """Finds in another order each time."""

    turn = 0

    def _below(self, prefix: Iterable[str]) -> list[tuple[str, str, dict[str, Any]]]:
        found = super()._below(prefix)
        self.turn += 7
        cut = self.turn % (len(found) or 1)
        return found[cut:] + found[:cut]


def test_no_order_of_what_is_found_is_taken_for_granted() -> None:
    store = LangGraphStore(Shuffled())
    keys = [f"{number:04}" for number in range(1500)]
    for start in range(0, len(keys), 500):
        store.execute([Put(NS, key, doc={"n": int(key)}) for key in keys[start : start + 500]])
    for _ in range(3):
        scanned, latest, page = store.execute(
            [Scan(NS), Scan(NS, reverse=True, limit=3), Query(NS, order_by="n", offset=7, limit=2)]
        )
        assert [record.key for record in scanned] == keys
        assert [record.key for record in latest] == keys[:-4:-1]
        assert [record.key for record in page] == ["0007", "0008"]


def test_names_that_begin_alike_are_told_apart() -> None:
    sessions = SessionManager(PlainStore())
    for id in ("1", "10", "1|", "|", "||", "*"):
        sessions.memory(id).add_messages([HumanMessage(f"of {id}")])
    sessions.delete_session("1")
    assert sessions.get_session("1") is None
    assert {info.id for info in sessions.list_sessions()} == {"10", "1|", "|", "||", "*"}
    for info in sessions.list_sessions():
        assert [message.text for message in sessions.messages(info)] == [f"of {info.id}"]


def test_a_label_like_our_mark_is_its_users() -> None:
    store = LangGraphStore(InMemoryStore())
    places = [("a", "|"), ("a", "||", "|"), ("a",), ("|!",), ("|",), ("a", "|", ":")]
    for number, place in enumerate(places):
        store.put(place, "k", {"n": number})
    for number, place in enumerate(places):
        item = store.get(place, "k")
        assert item is not None
        assert item.value == {"n": number}
        assert [record.namespace for record in store.execute([Scan(place)])[0]] == [place]
    assert set(store.list_namespaces()) == set(places)


async def test_one_that_is_async_only_says_so() -> None:
    sessions = SessionManager(AsyncOnlyStore())
    with pytest.raises(UnsupportedByStore, match="aget_session"):
        sessions.get_session("a")
    await sessions.acreate_session(id="a")
    await asyncio.gather(
        *(sessions.memory("a").aadd_messages([HumanMessage(f"{n}")]) for n in range(20))
    )
    assert len(await sessions.amessages("a")) == 20
    assert (await sessions.acheck()).ok
    with pytest.raises(UnsupportedByStore):
        sessions.get_session("a")


async def test_one_that_is_async_only_is_found_out_from_a_loop() -> None:
    sessions = SessionManager(AsyncOnlyStore())
    assert (await sessions.acreate_session(id="a")).id == "a"


class Slow(PlainStore):
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        time.sleep(0.01)
        return super().batch(ops)


async def test_a_loop_goes_on_while_a_store_is_slow() -> None:
    sessions = SessionManager(Slow())
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    ticking = asyncio.create_task(tick())
    await sessions.acreate_session(id="a")
    ticking.cancel()
    assert turns > 20


# Loops and threads


async def test_a_sync_call_on_the_loop_of_a_store_says_what_to_do(file: Path) -> None:
    async with AsyncSqliteStore.from_conn_string(str(file)) as inner:
        sessions = SessionManager(inner)
        await sessions.acreate_session(id="a")
        with pytest.raises(UnsupportedByStore, match="aget_session"):
            sessions.get_session("a")
        with pytest.raises(UnsupportedByStore, match=r"asyncio\.to_thread"):
            ask(sessions.checkpointer())
        found = await asyncio.to_thread(sessions.get_session, "a")
        assert found is not None
        reply = await chat_graph(sessions.checkpointer()).ainvoke(
            {"messages": [HumanMessage("hello")]}, config("a")
        )
        assert len(reply["messages"]) == 2
        inner._task.cancel()  # type: ignore[union-attr]


def test_a_store_whose_loop_rests_or_has_ended_says_so(file: Path) -> None:
    with asyncio.Runner() as runner:
        context = AsyncSqliteStore.from_conn_string(str(file))
        sessions = SessionManager(runner.run(context.__aenter__()))
        runner.run(sessions.acreate_session(id="a"))
        with pytest.raises(StoreUnavailable, match="does not run"):
            sessions.get_session("a")
        runner.run(context.__aexit__(None, None, None))
    with pytest.raises(StoreUnavailable):
        sessions.get_session("a")
    with pytest.raises(StoreUnavailable):
        asyncio.run(sessions.aget_session("a"))


def test_threads_and_loops_lose_nothing(file: Path, stack: ExitStack) -> None:
    inner = async_sqlite(file, stack)
    managers = [SessionManager(inner), SessionManager(LangGraphStore(inner))]

    def append(number: int) -> None:
        history = managers[number % 2].memory("a")
        for turn in range(5):
            message = HumanMessage(f"{number}-{turn}")
            if number % 3:
                history.add_messages([message])
            else:
                asyncio.run(history.aadd_messages([message]))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(managers[0].messages("a")) == 30
    assert managers[1].check().ok


def test_its_owner_may_write_to_memory_meanwhile() -> None:
    inner = InMemoryStore()
    sessions = SessionManager(inner)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.0002):
            number += 1
            inner.put(("mine", str(number)), "k", {})

    writing_thread = threading.Thread(target=write)
    writing_thread.start()
    try:
        for number in range(30):
            sessions.memory("a").add_messages([HumanMessage(f"{number}")])
            assert len(sessions.messages("a", limit=100)) == number + 1
    finally:
        stop.set()
        writing_thread.join()


# One writer


def test_a_second_writer_takes_over_and_the_first_is_refused(file: Path, stack: ExitStack) -> None:
    first = SessionManager(opened(file, stack))
    first.create_session(id="a")
    second = SessionManager(opened(file, stack))
    assert second.get_session("a") is not None
    first.create_session(id="b")  # whoever only reads takes nothing over
    second.create_session(id="c")
    for _ in range(2):
        with pytest.raises(UnsupportedByStore, match="only one may write"):
            first.create_session(id="d")
    assert [info.id for info in first.list_sessions()] == ["a", "b", "c"]
    second.create_session(id="d")


def test_reading_what_is_to_expire_takes_nothing_over(file: Path, stack: ExitStack) -> None:
    stores = [stack.enter_context(SqliteStore.from_conn_string(str(file))) for _ in range(2)]
    stores[0].setup()
    writer, reader = (SessionManager(store).store for store in stores)
    writer.put(NS, "k", {"n": 1}, ttl=10)
    assert reader.get(NS, "k", refresh_ttl=True) is not None
    assert [item.key for item in reader.search(NS, refresh_ttl=True)] == ["k"]
    writer.put(NS, "k", {"n": 2})
    found = reader.get(NS, "k")
    assert found is not None
    assert found.value == {"n": 2}


def test_versions_are_never_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data: Any = {}
    (high,) = LangGraphStore(PlainStore(data)).execute([Put(NS, "k")])
    (before,) = LangGraphStore(PlainStore(data)).execute([Delete(NS, "k")])
    monkeypatch.setattr(writing, "_last", 0)
    monkeypatch.setattr(writing.time, "time_ns", lambda: 0)  # type: ignore[attr-defined]
    assert before is True
    (again,) = LangGraphStore(PlainStore(data)).execute([Put(NS, "k")])
    assert again > high


def test_the_reserve_of_versions_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = PlainStore()
    store = LangGraphStore(inner)
    store.execute([Put(NS, "k")])
    before = inner.data[".".join(layout.OWN), "writer"]["versions_below"]
    monkeypatch.setattr(writing, "_last", before + 5)
    (version,) = store.execute([Put(NS, "k")])
    after = inner.data[".".join(layout.OWN), "writer"]["versions_below"]
    assert before < version < after


# Errors


class Failing(PlainStore):
    error: Exception | None = None

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        if self.error is not None:
            raise self.error
        return super().batch(ops)


def test_its_errors_are_the_cause_of_ours() -> None:
    inner = Failing()
    sessions = SessionManager(inner)
    sessions.create_session(id="a")
    inner.error = OSError("the line is dead")
    for call in (
        lambda: sessions.get_session("a"),
        lambda: asyncio.run(sessions.aget_session("a")),
        lambda: sessions.create_session(id="b"),
    ):
        with pytest.raises(StoreUnavailable, match="the line is dead") as caught:
            call()
        assert caught.value.__cause__ is inner.error
    inner.error = None
    assert [info.id for info in sessions.list_sessions()] == ["a"]


def test_a_store_that_commits_what_it_had_done_is_put_back(file: Path, stack: ExitStack) -> None:
    """LangGraph's SQLite store deletes first, and commits that when the rest fails."""
    inner = opened(file, stack)
    store = LangGraphStore(inner)
    store.execute([Put(NS, "old", doc={"n": 1}), Put(NS, "other", doc={"n": 2})])
    before = store.execute([Scan(NS)])
    inner.conn.execute(
        "CREATE TRIGGER no AFTER INSERT ON store WHEN NEW.key = 'new' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(StoreUnavailable):
        store.execute([Delete(NS, "old"), Put(NS, "other", doc={"n": 3}), Put(NS, "new")])
    assert LangGraphStore(opened(file, stack)).execute([Scan(NS)]) == before


def test_what_cannot_be_put_back_at_once_is_put_back_later() -> None:
    class Interrupted(InMemoryStore):
        pass

    Interrupted.__module__ = InMemoryStore.__module__
    Interrupted.__qualname__ = InMemoryStore.__qualname__
    inner: Any = Interrupted()
    store = LangGraphStore(inner)
    store.execute([Put(NS, "a", doc={"n": 1}), Put(NS, "b", doc={"n": 1})])
    before = store.execute([Scan(NS)])
    whole = Interrupted._apply_put_ops
    fails = 2

    def torn(self: Any, ops: dict[Any, PutOp]) -> None:
        nonlocal fails
        fails -= bool(ops)
        if ops and fails >= 0:
            whole(self, dict(list(ops.items())[:fails]))
            raise OSError("torn")
        whole(self, ops)

    Interrupted._apply_put_ops = torn  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        store.execute([Put(NS, "a", doc={"n": 2}), Put(NS, "b", doc={"n": 2})])
    assert fails == 0
    assert store.execute([Scan(NS)]) == before
    assert fails < 0


def test_what_is_not_ours_in_our_place_is_told() -> None:
    inner = InMemoryStore()
    sessions = SessionManager(inner)
    sessions.create_session(id="a")
    inner.put(("threadloom", "sessions", "|"), "b", {"mine": True})
    with pytest.raises(CorruptRecord, match="'b'"):
        sessions.get_session("b")
    with pytest.raises(CorruptRecord):
        sessions.list_sessions()
    assert sessions.get_session("a") is not None
    inner.delete(("threadloom", "sessions", "|"), "b")
    inner.put(("threadloom", "sessions"), "b", {})
    store = LangGraphStore(inner)
    with pytest.raises(CorruptRecord, match="left to it"):
        store.execute([Query((), deep=True)])


def test_a_check_names_what_is_damaged() -> None:
    inner = InMemoryStore()
    sessions = SessionManager(inner)
    sessions.create_session(id="a")
    assert sessions.check().ok
    inner.put(("threadloom", "memory", "a", "|", ":"), "note", {"mine": True})
    report = sessions.check()
    assert not report.ok
    assert "note" in report.problems[0].detail
    inner.delete(("threadloom", "memory", "a", "|", ":"), "note")
    assert sessions.check().ok


def test_lists_of_its_users_data_do_not_read_sessions() -> None:
    inner = PlainStore()
    sessions = SessionManager(inner)
    for number in range(20):
        sessions.memory("a").add_messages([HumanMessage(f"{number}")])
    sessions.store.put(("facts", "ana"), "k", {"n": 1})
    sessions.store.put(("facts", "ben"), "k", {"n": 2})
    inner.read = 0
    assert sessions.store.list_namespaces() == [("facts", "ana"), ("facts", "ben")]
    assert [item.value["n"] for item in sessions.store.search(())] == [1, 2]
    assert inner.read < 20


@pytest.mark.parametrize(
    "change",
    [
        {"version": "7"},
        {"version": True},
        {"created_at": None},
        {"expires_at": "soon"},
        {"doc": [1]},
        {"json": 5},
        {"json": "[1]"},
        {"json": "{"},
        {"blob": "é"},
        {"blob": 5},
        {"text": 5},
        {"text64": "!"},
        {"text64": "/w=="},
    ],
)
def test_a_damaged_item_is_told(change: dict[str, Any]) -> None:
    inner = InMemoryStore()
    store = LangGraphStore(inner)
    store.execute([Put(NS, "k", doc={"n": 1}, blob=b"b", text="t")])
    item = inner.get(("threadloom", "notes", "|"), "k")
    assert item is not None
    inner.put(item.namespace, "k", {**item.value, **change})
    with pytest.raises(CorruptRecord, match="'k'"):
        store.execute([Get(NS, "k")])


def test_a_newer_format_is_refused(file: Path, stack: ExitStack) -> None:
    inner = opened(file, stack)
    sessions = SessionManager(inner)
    sessions.create_session(id="a")
    item = inner.get(layout.OWN, "writer")
    assert item is not None
    inner.put(layout.OWN, "writer", {**item.value, "format": writing.FORMAT + 1})
    with pytest.raises(SchemaTooNew, match="newer"):
        sessions.get_session("a")
    with pytest.raises(SchemaTooNew):
        sessions.create_session(id="b")
    inner.put(layout.OWN, "writer", {"format": 1})
    with pytest.raises(CorruptRecord):
        sessions.get_session("a")


def test_an_answer_that_is_none_is_refused() -> None:
    class Short(PlainStore):
        def batch(self, ops: Iterable[Op]) -> list[Result]:
            return super().batch(ops)[:-1]

    with pytest.raises(StoreUnavailable, match="did not answer"):
        SessionManager(Short()).get_session("a")


# A batch that was left half done


def left_half_done(parts: bool = False) -> PlainStore:
    """A store whose writer died with the copy of its batch written, and nothing else."""
    count = 700 if parts else 3
    inner = PlainStore()
    LangGraphStore(inner).execute([Put(NS, f"{n:03}", doc={"n": 0}) for n in range(count)])
    dying = PlainStore(inner.data, lives=6 if parts else 2)
    ops = [Put(NS, f"{n:03}", doc={"n": 1}) for n in range(1, count)]
    with pytest.raises(StoreUnavailable):
        LangGraphStore(dying).execute([Delete(NS, "000"), *ops])
    return PlainStore(inner.data)


@pytest.mark.parametrize("parts", [False, True])
def test_a_reader_sees_it_done_and_writes_nothing(parts: bool) -> None:
    inner = left_half_done(parts)
    store = LangGraphStore(inner)
    found, first = store.execute([Scan(NS), Scan(NS, limit=1)])
    assert [record.key for record in first] == ["001"]
    assert {record.doc["n"] for record in found} == {1}
    assert store.execute([Get(NS, "000")]) == [None]
    assert inner.written == 0


@pytest.mark.parametrize("parts", [False, True])
def test_a_writer_does_it_first(parts: bool) -> None:
    inner = left_half_done(parts)
    store = LangGraphStore(inner)
    (record, _) = store.execute([Get(NS, "001"), Put(NS, "new")])
    assert record.doc == {"n": 1}
    assert [key for name, key in inner.data if name == ".".join(layout.OWN)] == ["writer"]
    assert inner.data["threadloom.notes.|", "001"]["doc"] == {"n": 1}
    assert ("threadloom.notes.|", "000") not in inner.data


def test_parts_of_a_copy_that_was_never_finished_are_swept() -> None:
    inner = PlainStore()
    with pytest.raises(StoreUnavailable):
        LangGraphStore(PlainStore(inner.data, lives=3)).execute(
            [Put(NS, f"{n:03}") for n in range(700)]
        )
    assert len(inner.data) == 3
    store = LangGraphStore(inner)
    assert store.execute([Scan(NS)]) == [[]]
    store.execute([Put(NS, "k")])
    assert [key for name, key in inner.data if name == ".".join(layout.OWN)] == ["writer"]


def test_a_damaged_copy_is_told() -> None:
    inner = left_half_done(parts=True)
    del inner.data[".".join(layout.OWN), "batch:1"]
    for batch in ([Scan(NS)], [Put(NS, "k")]):
        with pytest.raises(CorruptRecord, match="batch"):
            LangGraphStore(inner).execute(batch)


async def test_a_turn_on_one_that_is_async_only_is_renewed() -> None:
    sessions = SessionManager(AsyncOnlyStore())
    await sessions.acreate_session(id="s")
    async with sessions.turn("s", lease=timedelta(seconds=0.6)) as turn:
        await asyncio.sleep(1.5)
        with pytest.raises(SessionBusy):
            async with sessions.turn("s"):
                pass
        await sessions.memory("s").aadd_messages([HumanMessage("answer")])
        assert not turn.lost
    assert [m.content for m in await sessions.amessages("s")] == ["answer"]


def test_a_loop_that_stops_in_the_middle_of_a_call_says_so() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    class Waits(AsyncBatchedBaseStore):
        async def abatch(self, ops: Iterable[Op]) -> list[Result]:
            loop.call_soon(loop.stop)
            await asyncio.sleep(60)
            return []

    async def made() -> Waits:
        return Waits()

    store = asyncio.run_coroutine_threadsafe(made(), loop).result(10)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="stopped"):
        LangGraphStore(store).execute([Get(NS, "k")])
    assert time.monotonic() - began < 10
    thread.join(10)
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()
