"""For those who look: checkpoints as a tree, what differs, conversations page by page."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from threadloom import (
    CheckpointDiff,
    CheckpointNotFound,
    CheckpointTree,
    Opaque,
    SessionManager,
    StoreUnavailable,
    UntrustedType,
    open_store,
)
from threadloom.checkpoint.growth import without
from threadloom.checkpoint.spans import Span
from threadloom.sessions import paging

from .conftest import Call


class State(MessagesState, total=False):
    card: Any
    count: int


def answer(state: State) -> dict[str, Any]:
    text = str(state["messages"][-1].content)
    if text == "ask":
        return {"messages": [AIMessage(interrupt({"really": [1, 2]}))]}
    if text == "break":
        raise ValueError("it broke")
    return {"messages": [AIMessage(f"to {text}")], "count": len(state["messages"])}


def graph_on(sessions: SessionManager) -> Any:
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


def says(sessions: SessionManager, id: str, *texts: str, **more: Any) -> None:
    config = {"configurable": {"thread_id": id}}
    for text in texts:
        graph_on(sessions).invoke({"messages": [HumanMessage(text, id=text)], **more}, config)


# ── The tree ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.operation("checkpoint_tree")
async def test_the_tree_has_branches_a_head_and_what_waits(
    call: Call, sessions: SessionManager
) -> None:
    assert await call("checkpoint_tree", "nobody") == CheckpointTree(session_id="nobody")
    says(sessions, "x", "one", "two", "ask")
    with suppress(ValueError):
        says(sessions, "y", "break")
    sessions.rewind_session("x", messages=2)
    says(sessions, "x", "three")
    found: CheckpointTree = await call("checkpoint_tree", "x")
    saver = sessions.checkpointer()
    stored = {item.config["configurable"]["checkpoint_id"]: item for item in saver.list(
        {"configurable": {"thread_id": "x"}}
    )}  # fmt: skip
    assert {node.id for node in found.nodes} == set(stored)
    for node in found.nodes:
        item = stored[node.id]
        parent = item.parent_config
        assert node.parent == (parent and parent["configurable"]["checkpoint_id"])
        assert (node.step, node.source) == (item.metadata["step"], item.metadata["source"])
        assert node.created_at is not None
        assert node.created_at.isoformat() == item.checkpoint["ts"]
        assert node.writes == len(item.pending_writes or ())
        length = len(item.checkpoint["channel_values"].get("messages", ()))
        assert (node.messages or 0) == length
    head = found.head()
    assert head is not None
    assert head.id == saver.get_tuple({"configurable": {"thread_id": "x"}}).config["configurable"][
        "checkpoint_id"
    ]  # fmt: skip
    tips = found.tips()
    assert [tip.is_head for tip in tips] == [False, True]
    assert tips[0].interrupts == ({"really": [1, 2]},)
    [copy] = [node for node in found.nodes if node.copy_of]
    original = found.find(str(copy.copy_of))
    assert original is not None
    assert (copy.parent, copy.messages, copy.source) == (original.parent, 2, "fork")
    broken = sessions.checkpoint_tree("y").head()
    assert broken is not None
    assert broken.errors == ("ValueError('it broke')",)


def test_what_checkpoints_cost_adds_up_to_what_is_stored() -> None:
    with SessionManager("memory://") as sessions:
        says(sessions, "x", "word " * 100, "other " * 300, "third " * 1000)
        nodes = sessions.checkpoint_tree("x").nodes
        kinds = {kind.kind: kind.bytes for kind in sessions.stats("x").kinds}
        whole = sum(kinds.values()) - kinds["sessions"]
        assert 0.9 * whole < sum(node.bytes for node in nodes) <= whole
        assert nodes[-3].bytes > nodes[0].bytes
        before = sum(node.bytes for node in nodes)
        says(sessions, "x", "short")
        after = sum(node.bytes for node in sessions.checkpoint_tree("x").nodes)
        assert 0 < after - before < 2_500, "what stands is not counted again"


@pytest.mark.parametrize(
    ("spans", "others", "left"),
    [
        ([("a", 0, 9)], [], [("a", 0, 9)]),
        ([("a", 0, 9)], [("a", 0, 9)], []),
        ([("a", 0, 9)], [("b", 0, 9)], [("a", 0, 9)]),
        ([("a", 0, 9)], [("a", 0, 3), ("a", 5, 7)], [("a", 3, 5), ("a", 7, 9)]),
        ([("a", 2, 4), ("a", 6, 9)], [("a", 3, 7)], [("a", 2, 3), ("a", 7, 9)]),
        ([("a", 2, 4)], [("a", 0, 9)], []),
        ([("a", 2, 9)], [("a", 1, 3), ("a", 2, 5)], [("a", 5, 9)]),
    ],
)
def test_spans_without_others(spans: list[Any], others: list[Any], left: list[Any]) -> None:
    found = list(without([Span(*span) for span in spans], [Span(*span) for span in others]))
    assert found == [Span(*span) for span in left]


# ── What differs ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.operation("compare_checkpoints")
async def test_what_differs_between_two_checkpoints(call: Call, sessions: SessionManager) -> None:
    says(sessions, "x", "one", card={"a": [1] * 300, "b": "text " * 200})
    says(sessions, "x", "two")
    nodes = sessions.checkpoint_tree("x").nodes
    first, last = nodes[2], nodes[-1]
    found: CheckpointDiff = await call("compare_checkpoints", "x", first.id, last.id)
    assert [change.channel for change in found.channels] == ["count", "messages"]
    count, messages = found.channels
    assert (count.kind, count.before, count.after) == ("changed", 1, 3)
    assert [(item.kind, item.after.content) for item in messages.messages] == [
        ("added", "two"), ("added", "to two"),
    ]  # fmt: skip
    back: CheckpointDiff = await call("compare_checkpoints", "x", last.id, first.id)
    assert [item.kind for item in back.channels[1].messages] == ["removed", "removed"]
    whole: CheckpointDiff = await call("compare_checkpoints", "x", None, last.id)
    values = {change.channel: change.after for change in whole.channels}
    state = graph_on(sessions).get_state({"configurable": {"thread_id": "x"}}).values
    assert {name: values[name] for name in state} == state
    edited = state["messages"][0].model_copy(update={"content": "One"})
    graph_on(sessions).update_state({"configurable": {"thread_id": "x"}}, {"messages": [edited]})
    head = sessions.checkpoint_tree("x").head()
    assert head is not None
    [change] = (await call("compare_checkpoints", "x", last.id, head.id)).channels
    [item] = change.messages
    assert (item.kind, item.id, item.before.content, item.after.content) == (
        "changed", "one", "one", "One",
    )  # fmt: skip
    assert (await call("compare_checkpoints", "x", head.id, head.id)).channels == ()
    for pair in ((first.id, "nobody"), ("nobody", last.id)):
        with pytest.raises(CheckpointNotFound, match="has no checkpoint 'nobody'"):
            await call("compare_checkpoints", "x", *pair)
    with pytest.raises(CheckpointNotFound):
        await call("compare_checkpoints", "y", None, last.id)


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of an application, which can go away again."""
    module = ModuleType("application_of_this_test")
    exec(  # classes whose module is this one
        "from langchain_core.messages import AIMessage\n"
        "from pydantic import BaseModel\n"
        "class Card(BaseModel):\n    number: int\n"
        "class Own(AIMessage):\n    mood: str = 'calm'\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_types_that_are_not_here_are_opaque(
    application: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with SessionManager(url) as sessions:
        says(sessions, "x", "one", card=[application.Card(number=n) for n in range(40)])
        says(sessions, "x", "two", card={"k" * n: application.Card(number=n) for n in range(90)})
        own = application.Own("hello", id="own", mood="grim")
        sessions.memory("y").add_messages([own])
        graph_on(sessions).update_state({"configurable": {"thread_id": "x"}}, {"messages": [own]})
    monkeypatch.delitem(sys.modules, application.__name__)
    with SessionManager(url) as sessions:
        nodes = sessions.checkpoint_tree("x").nodes
        found = sessions.compare_checkpoints("x", nodes[2].id, nodes[-1].id)
        card, _, messages = found.channels
        assert card.before[7] == Opaque(f"{application.__name__}:Card", {"number": 7})
        assert card.after["kkk"] == Opaque(f"{application.__name__}:Card", {"number": 3})
        assert [item.id for item in messages.messages][-1] == "own"
        for id in ("x", "y"):
            with pytest.raises(UntrustedType):
                sessions.messages(id)
            for read in (
                sessions.messages(id, opaque=True),
                list(sessions.iter_messages(id, opaque=True)),
            ):
                assert type(read[-1]) is AIMessage
                assert read[-1].content == "hello"
                assert read[-1].additional_kwargs == {
                    "opaque_type": f"{application.__name__}:Own", "mood": "grim",
                }  # fmt: skip
            assert len(sessions.messages(id, limit=1, opaque=True)) == 1
        assert application.__name__ not in sys.modules


# ── Page by page ──────────────────────────────────────────────────────────────────────────────
async def _all(found: Iterator[Any] | AsyncIterator[Any]) -> list[str]:
    if isinstance(found, AsyncIterator):
        return [message.id async for message in found]
    return [message.id for message in found]


@pytest.mark.operation("iter_messages", "messages")
@pytest.mark.parametrize("prefix", ["", "a"])
async def test_a_conversation_page_by_page(
    prefix: str, sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE", 3)
    read = getattr(sessions, f"{prefix}iter_messages")
    for texts in ("abc", "defg"):
        says(sessions, "graph", *texts)
        sessions.memory("chat").add_messages([HumanMessage(text, id=text) for text in texts])
    says(sessions, "both", "a", "b")
    sessions.memory("both").add_messages([HumanMessage(text, id=text) for text in "bcd"])
    for id in ("graph", "chat", "both", "nobody"):
        for source in ("auto", "graph", "history"):
            expected = [message.id for message in sessions.messages(id, source=source)]
            assert await _all(read(id, source=source)) == expected, (id, source)
    assert await _all(read("chat")) == list("abcdefg")
    walk = read("graph")
    first = next(walk) if not prefix else await anext(walk)
    assert first.id == "a"
    says(sessions, "graph", "later")
    sessions.rewind_session("graph", messages=0)
    says(sessions, "graph", "anew")
    sessions.prune(["graph"], keep_last=1)
    with pytest.raises(CheckpointNotFound, match="begin again"):
        await _all(walk)


# ── Dry runs, open files, progress ────────────────────────────────────────────────────────────
@pytest.mark.operation("import_sessions", "copy_sessions", "export_sessions")
async def test_dry_runs_of_moves(call: Call, sessions: SessionManager, tmp_path: Path) -> None:
    for id in ("a", "b"):
        sessions.memory(id).append(HumanMessage("x"))
    file, stream = tmp_path / "all.jsonl", io.BytesIO()
    await call("export_sessions", file)
    await call("export_sessions", stream)
    assert stream.getvalue() == file.read_bytes()
    assert not stream.closed
    sessions.delete_session("b")
    for mode, moved in {"skip": ("b",), "replace": ("a", "b")}.items():
        report = await call("import_sessions", file, if_exists=mode, dry_run=True)
        assert report.moved == moved
    assert sessions.get_session("b") is None
    with SessionManager("memory://") as other:
        report = await call("copy_sessions", other, dry_run=True)
        assert (report.moved, other.count_sessions()) == (("a",), 0)


@pytest.mark.operation("check")
async def test_a_check_tells_how_far_it_is(call: Call, sessions: SessionManager) -> None:
    for id in ("a", "b", "c"):
        sessions.create_session(id=id)
    seen: list[tuple[int, int, str]] = []
    await call("check", progress=lambda *told: seen.append(told))
    assert seen == [(1, 3, "a"), (2, 3, "b"), (3, 3, "c")]


# ── Stores that are only opened ───────────────────────────────────────────────────────────────
def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    empty, folder = tmp_path / "empty.db", tmp_path / "folder"
    empty.touch()
    folder.mkdir()
    before = sorted(tmp_path.rglob("*"))
    for said, url in {
        "does not exist": f"sqlite:///{tmp_path}/missing.db",
        "does not exist: check": f"file:///{tmp_path}/missing",
        "is empty": f"sqlite:///{empty}",
        "is no folder:": f"file:///{empty}",
        "is a folder": f"sqlite:///{folder}",
        "is no folder of sessions": f"file:///{folder}",
        "always new": "memory://",
    }.items():
        for opened in (open_store, SessionManager):
            with pytest.raises(StoreUnavailable, match=said):
                opened(url, create=False)
    assert sorted(tmp_path.rglob("*")) == before
    for url in (f"sqlite:///{tmp_path}/new.db", f"file:///{tmp_path}/journals"):
        with SessionManager(url) as sessions:
            sessions.create_session(id="x")
        with SessionManager(url, create=False) as sessions:
            assert sessions.count_sessions() == 1
