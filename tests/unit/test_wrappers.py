"""Stores that only read, stores that tell how they did, and what closes what."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import json
import logging
import typing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import threadloom
from engines import KEYS
from failures.helpers import chat_graph
from threadloom import (
    CorruptRecord,
    EncryptedStore,
    InvalidKey,
    Keyring,
    MissingAdapter,
    OpenTelemetryHook,
    ReadOnlyStore,
    SessionExists,
    SessionManager,
    SessionNotFound,
    StoreClosed,
    TracedStore,
    UnsupportedByStore,
)
from threadloom import ops as operations
from threadloom.closing import Closing
from threadloom.ops import WRITES, Check, Get, Op, Patch, Put, Query, Renew, Scan
from threadloom.store import Store
from threadloom.stores.memory import MemoryStore
from threadloom.stores.sqlite import SQLiteStore
from threadloom.testing import FaultyStore
from threadloom.wrappers.base import Wrapper

NS = ("notes",)
Told = list[tuple[str, float, int, BaseException | None]]


# ── All wrappers ──────────────────────────────────────────────────────────────────────────────
def wrappers_of(inner: Store) -> list[Wrapper]:
    return [
        ReadOnlyStore(inner),
        TracedStore(inner, print),
        EncryptedStore(inner, KEYS),
    ]


def test_closing_a_wrapper_closes_the_store_inside() -> None:
    for number in range(3):
        for is_async in (False, True):
            inner = MemoryStore()
            wrapper = wrappers_of(inner)[number]
            if is_async:
                asyncio.run(wrapper.aclose())
            else:
                wrapper.close()
            with pytest.raises(StoreClosed):
                inner.execute([Get(NS, "k")])
            with pytest.raises(StoreClosed):
                wrapper.execute([Get(NS, "k")])


def test_a_manager_closes_what_it_opened_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    told: Told = []
    with SessionManager(url, encryption=KEYS, on_operation=lambda *all: told.append(all)) as own:
        own.create_session(id="a")
    with pytest.raises(StoreClosed):
        own.list_sessions()
    inner = SQLiteStore(tmp_path / "s.db")
    with SessionManager(inner, encryption=KEYS, on_operation=lambda *all: None) as manager:
        assert [info.id for info in manager.list_sessions()] == ["a"]
    assert inner.execute([Get(NS, "k")]) == [None]
    inner.close()
    assert "Delete+DropTree+Put+Get" in {name for name, *_ in told}


@pytest.mark.parametrize("options", [{"encryption": b"key"}, {"on_operation": "print"}])
def test_a_manager_that_cannot_be_made_leaves_no_store_open(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Store] = []
    monkeypatch.setattr(SQLiteStore, "close", lambda self: closed.append(self))
    with pytest.raises(InvalidKey):
        SessionManager(f"sqlite:///{tmp_path}/s.db", **options)
    assert len(closed) == 1


def test_a_wrapper_goes_around_a_store() -> None:
    for make in (ReadOnlyStore, lambda s: TracedStore(s, print), lambda s: EncryptedStore(s, KEYS)):
        with pytest.raises(InvalidKey, match="open_store"):
            make("memory://")  # type: ignore[arg-type]


def test_a_wrapper_passes_on_whatever_a_store_has() -> None:
    """What an engine overrides must be reached through a wrapper as well."""
    own = {
        name
        for owner in (Store, Closing)
        for name, member in vars(owner).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }
    assert {"execute", "aexecute", "mend", "damage", "aopen", "close"} <= own
    for wrapper in (ReadOnlyStore, TracedStore, EncryptedStore, FaultyStore):
        reached = {
            name for kind in wrapper.__mro__ if issubclass(kind, Wrapper) for name in vars(kind)
        }
        assert own <= reached, wrapper


def test_what_is_inside_is_mended(tmp_path: Path) -> None:
    with SessionManager(f"file:///{tmp_path}/f") as plain:
        plain.create_session(id="a")
        plain.tag_session("a", "x")
    (journal,) = (tmp_path / "f").rglob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-1], b"{nonsense\n"]))
    with SessionManager(f"file:///{tmp_path}/f", on_operation=lambda *all: None) as manager:
        with pytest.raises(CorruptRecord):
            manager.get_session("a")
        manager.check(fix=True)
        assert manager.get_session("a") is not None


def test_a_wrapper_is_opened_for_a_loop_with_what_is_inside() -> None:
    opened: list[str] = []

    class Native(MemoryStore):
        async def aopen(self) -> None:
            opened.append("inside")

    async def enter() -> None:
        async with TracedStore(EncryptedStore(Native(), KEYS), print):
            assert opened == ["inside"]

    asyncio.run(enter())


def test_wrappers_say_what_is_inside(tmp_path: Path) -> None:
    inner = SQLiteStore(tmp_path / "s.db")
    for wrapper in wrappers_of(inner):
        assert repr(inner) in repr(wrapper)
        assert wrapper.file_bytes() == inner.file_bytes()
        assert wrapper.damage() == []
        assert wrapper.clock is inner.clock
    inner.close()


def test_wrappers_go_around_wrappers() -> None:
    told: Told = []
    inner = TracedStore(MemoryStore(), lambda *all: told.append(all))
    with ReadOnlyStore(EncryptedStore(inner, KEYS)) as store:
        assert store.execute([Query((), deep=True)]) == [[]]
        store.inner.execute([Put(NS, "k", doc={"n": 1})])
        assert [record.key for record in store.execute([Scan(NS)])[0]] == ["k"]
        with pytest.raises(UnsupportedByStore):
            store.execute([Put(NS, "k")])
    assert told


# ── Reading only ──────────────────────────────────────────────────────────────────────────────
def all_ops() -> list[type]:
    return list(typing.get_args(operations.Op))


def some(kind: type) -> Op:
    """An operation of a kind, with anything in its fields."""
    needed = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    values = {"namespace": NS, "key": "k", "expect": None, "words": "w", "source": ("a",)}
    values |= {"version": 1, "expires_at": 1}
    return kind(*(values.get(name, ("b",)) for name in needed))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", all_ops())
def test_every_write_is_refused_and_every_read_is_done(kind: type) -> None:
    inner = MemoryStore()
    inner.execute([Put(NS, "k", doc={"n": 1}), Put(("a",), "k")])
    before = inner.execute([Query((), deep=True)])
    with ReadOnlyStore(inner) as store:
        for batch in ([some(kind)], [Get(NS, "k"), some(kind)]):
            if kind is Renew:  # reads ask for it: it is answered, and not done
                assert store.execute(batch)[-1] is False
                assert asyncio.run(store.aexecute(batch))[-1] is False
            elif kind in WRITES:
                with pytest.raises(UnsupportedByStore, match=f"read-only: {kind.__name__}"):
                    store.execute(batch)
                with pytest.raises(UnsupportedByStore, match="read-only"):
                    asyncio.run(store.aexecute(batch))
            else:
                assert store.execute(batch) == inner.execute(batch)
                assert asyncio.run(store.aexecute(batch)) == inner.execute(batch)
        assert inner.execute([Query((), deep=True)]) == before


def test_an_operation_that_is_not_known_to_read_is_refused() -> None:
    class Sharpen(typing.NamedTuple):
        namespace: tuple[str, ...] = NS

    with ReadOnlyStore(MemoryStore()) as store, pytest.raises(UnsupportedByStore, match="Sharpen"):
        store.execute([Sharpen()])  # type: ignore[list-item]


def test_sessions_are_read_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    with SessionManager(f"sqlite:///{file}") as manager:
        chat_graph(manager.checkpointer()).invoke(
            {"messages": [HumanMessage("hello fjord")]}, {"configurable": {"thread_id": "t"}}
        )
        manager.memory("h").add_messages([HumanMessage("hello history")])
        manager.store.put(("prefs",), "k", {"a": 1})
    with ReadOnlyStore(SQLiteStore(file)) as store:
        manager = SessionManager(store)
        assert [info.id for info in manager.list_sessions()] == ["t", "h"]
        assert manager.count_sessions() == 2
        assert [match.session.id for match in manager.search_sessions("fjord")] == ["t"]
        assert [m.text for m in manager.messages("t")] == ["hello fjord", "re: hello fjord"]
        assert manager.load_session("h") is not None
        assert manager.check().ok
        assert manager.stats().sessions == 2
        graph = chat_graph(manager.checkpointer())
        state = graph.get_state({"configurable": {"thread_id": "t"}})
        assert len(state.values["messages"]) == 2
        assert len(list(graph.get_state_history({"configurable": {"thread_id": "t"}}))) == 3
        assert manager.store.get(("prefs",), "k") is not None
        manager.export_sessions(tmp_path / "out.jsonl")
        assert (tmp_path / "out.jsonl").stat().st_size > 100
        with SessionManager("memory://") as other:
            manager.copy_sessions(other)
            assert other.count_sessions() == 2
        for change in (
            lambda: manager.create_session(),
            lambda: manager.rename_session("t", "x"),
            lambda: manager.delete_session("t"),
            lambda: manager.fork_session("t"),
            lambda: manager.memory("h").add_messages([HumanMessage("x")]),
            lambda: manager.store.put(("prefs",), "k", {"a": 2}),
            lambda: manager.store.delete(("prefs",), "k"),
            lambda: manager.compact("t"),
            lambda: graph.invoke(
                {"messages": [HumanMessage("x")]}, {"configurable": {"thread_id": "t"}}
            ),
        ):
            with pytest.raises(UnsupportedByStore, match="read-only"):
                change()
        assert [m.text for m in manager.messages("t")] == ["hello fjord", "re: hello fjord"]


# ── The hook ──────────────────────────────────────────────────────────────────────────────────
def test_the_hook_is_told_of_every_batch() -> None:
    told: Told = []
    with TracedStore(MemoryStore(), lambda *all: told.append(all)) as store:
        store.execute([Put(NS, "k", doc={"n": 1}, blob=b"12345", text="words"), Get(NS, "k")])
        asyncio.run(store.aexecute([Get(NS, "none"), Check(NS, "k", "present"), Get(NS, "k")]))
        with pytest.raises(threadloom.SessionConflict) as caught:
            store.execute([Patch(NS, "k", set={"a": 1}, expect="absent")])
    doc = len(json.dumps({"n": 1}, separators=(",", ":")))
    record = doc + 5 + 5 + 1
    assert [(name, size, error) for name, _, size, error in told] == [
        ("Put+Get", record + 1 + record, None),
        ("Get+Check", 4 + 1 + 1 + record, None),
        ("Patch", 1 + len('{"a":1}'), caught.value),
    ]
    assert all(0 <= seconds < 10 for _, seconds, _, _ in told)


@pytest.mark.parametrize("encryption", [None, KEYS])
async def test_a_real_graph_is_heard(encryption: Keyring | None) -> None:
    told: Told = []
    with SessionManager(
        "memory://", encryption=encryption, on_operation=lambda *all: told.append(all)
    ) as manager:
        graph = chat_graph(manager.checkpointer())
        config: Any = {"configurable": {"thread_id": "t"}}
        await asyncio.to_thread(graph.invoke, {"messages": [HumanMessage("1")]}, config)
        sync = len(told)
        await graph.ainvoke({"messages": [HumanMessage("2")]}, config)
        assert 0 < sync < len(told)
        assert [m.text for m in manager.messages("t")] == ["1", "re: 1", "2", "re: 2"]
        manager.create_session(id="a")
        with pytest.raises(SessionExists):
            manager.create_session(id="a")
        with pytest.raises(SessionNotFound):
            manager.rename_session("b", "x")
    names = {name for name, *_ in told}
    assert any("Put" in name for name in names)
    assert all(
        part in {kind.__name__ for kind in all_ops()} for n in names for part in n.split("+")
    )
    # LangGraph stores writes in the background, so a run may meet itself now and then.
    errors = {type(error).__name__ for *_, error in told if error is not None}
    assert errors == {"ExpectationFailed"}
    assert sum(size for _, _, size, _ in told) > 1_000


async def test_a_cancelled_batch_is_told() -> None:
    told: Told = []
    inner = FaultyStore(MemoryStore(), latency=30)
    store = TracedStore(inner, lambda *all: told.append(all))
    task = asyncio.ensure_future(store.aexecute([Get(NS, "k")]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [(name, _, size, error)] = told
    assert (name, size) == ("Get", 1)
    assert isinstance(error, asyncio.CancelledError)


def test_a_hook_that_fails_harms_nothing_and_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hook(*all: Any) -> None:
        raise ZeroDivisionError("metrics are down")

    with caplog.at_level(logging.WARNING), TracedStore(MemoryStore(), hook) as store:
        for _ in range(3):
            store.execute([Put(NS, "k", doc={"n": 1})])
            asyncio.run(store.aexecute([Get(NS, "k")]))
        with pytest.raises(threadloom.SessionConflict):
            store.execute([Check(NS, "k", "absent")])
    [record] = [r for r in caplog.records if r.name == "threadloom.wrappers"]
    assert "metrics are down" in (record.exc_text or "")


def test_what_cannot_be_stored_is_told_as_the_error_that_it_is() -> None:
    told: Told = []
    with TracedStore(MemoryStore(), lambda *all: told.append(all)) as store:
        with pytest.raises(threadloom.SerializationError):
            store.execute([Put(NS, "k", doc={"a": object()})])
    assert isinstance(told[0][3], threadloom.SerializationError)


def test_spans_and_metrics() -> None:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    hook = OpenTelemetryHook(tracer_provider=tracers, meter_provider=meters)
    with SessionManager("memory://", on_operation=hook) as manager:
        with tracers.get_tracer("app").start_as_current_span("request") as parent:
            manager.create_session(id="secret-id", name="secret-name")
            with pytest.raises(SessionExists):
                manager.create_session(id="secret-id")
    found = [span for span in spans.get_finished_spans() if span.name != "request"]
    assert found
    for span in found:
        assert span.name == f"threadloom {(span.attributes or {})['db.operation.name']}"
        assert span.parent is not None
        assert span.parent.span_id == parent.get_span_context().span_id
        assert (span.start_time or 0) <= (span.end_time or 0)
    failed = [span for span in found if span.status.status_code is StatusCode.ERROR]
    assert [(s.attributes or {})["error.type"] for s in failed] == ["ExpectationFailed"]
    assert "secret" not in "".join(span.to_json() for span in found)
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {m.name: m for m in data.resource_metrics[0].scope_metrics[0].metrics}
    assert set(metrics) == {"threadloom.operation.duration", "threadloom.operation.size"}
    counts = [int(point.count) for point in metrics["threadloom.operation.size"].data.data_points]
    assert sum(counts) == len(found)
    tracers.shutdown()
    meters.shutdown()


def test_without_providers_the_hook_is_harmless() -> None:
    with SessionManager("memory://", on_operation=OpenTelemetryHook()) as manager:
        assert manager.create_session(id="a").id == "a"


# ── What is not installed ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("package", "extra", "make"),
    [
        ("cryptography", "encryption", lambda: Keyring({"a": b"\x00" * 32})),
        ("opentelemetry", "otel", OpenTelemetryHook),
    ],
)
def test_a_package_that_is_missing_is_named(
    package: str, extra: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingAdapter, match=rf"threadloom\[{extra}\]"):
        make()
    with SessionManager("memory://") as manager:
        assert manager.list_sessions() == []
