"""Streams of a session: what other frameworks keep in it, sync and async, on every store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph

from streamed import call, results, said, say, shows, stream_of, think
from threadloom import (
    CheckpointNotFound,
    InvalidKey,
    SerializationError,
    SessionChange,
    SessionConflict,
    SessionManager,
    SessionNotFound,
    SessionStream,
    Shown,
    compose_id,
    inner_id,
    split_id,
)
from threadloom.history.summary import set_summary
from threadloom.keys import SessionPaths
from threadloom.ops import Delete, Put, Record, Scan
from threadloom.plans import run
from threadloom.store import Store
from threadloom.testing import FrozenClock

pytestmark = pytest.mark.operation("stream")

Do = Callable[..., Any]


@pytest.fixture
def stream(sessions: SessionManager) -> SessionStream:
    return stream_of(sessions, "x", owner="ana", metadata={"n": 1})


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest, stream: SessionStream) -> Do:
    """Calls an operation of the stream by name, or its asynchronous twin."""

    async def invoke(name: str, /, *args: Any, **options: Any) -> Any:
        if request.param == "async":
            return await getattr(stream, "a" + name)(*args, **options)
        return getattr(stream, name)(*args, **options)

    return invoke


def conversation(sessions: SessionManager, id: Any = "x") -> list[str]:
    """What a session says; its counts have to agree and nothing may be damaged."""
    shown = sessions.messages(id)
    info = sessions.get_session(id)
    assert info is not None
    assert info.message_count == len(shown)
    report = sessions.check(id)
    assert not report.problems, report
    return said(shown)


async def test_items_come_back_as_they_were_given(do: Do, sessions: SessionManager) -> None:
    numbers = [1, 1.0, True, None, -0.0, 2**63]
    odd = {"t": "think", "n": numbers, "": {"deep": ["é", "\u2028", "\0"]}}
    items = [say("hi"), odd, think()]
    added = await do("append", items)
    page = await do("read")
    assert page.items == tuple(items)
    assert [type(n) for n in page.items[1]["n"]] == [int, float, bool, type(None), float, int]
    assert added.items == page.items
    assert added.positions == page.positions == (0, 1, 2)
    assert added.revision == page.revision > 0
    assert page.session == sessions.get_session("x") == added.session


async def test_a_session_begins_with_its_first_item(do: Do, sessions: SessionManager) -> None:
    empty = await do("read")
    assert (empty.session, empty.items, empty.revision) == (None, (), 0)
    assert sessions.get_session("x") is None
    await do("append", [say("hi")])
    (info,) = sessions.list_sessions(framework="made-up", agent_name="guide", owner="ana")
    assert (info.id, info.framework, info.metadata) == ("x", "made-up", {"n": 1})
    assert sessions.list_sessions(framework="other") == []


async def test_a_session_that_has_none_of_it_gets_them(do: Do, sessions: SessionManager) -> None:
    sessions.create_session(id="x", agent_name="mine", metadata={"own": True})
    await do("append", [say("hi")])
    info = sessions.get_session("x")
    assert info is not None
    assert (info.framework, info.agent_name, info.owner) == ("made-up", "mine", "ana")
    assert info.metadata == {"own": True}


async def test_no_session_begins_where_none_may(store: Store) -> None:
    strict = SessionManager(store, implicit_sessions=False)
    with pytest.raises(SessionNotFound):
        stream_of(strict, "x").append([say("hi")])
    with pytest.raises(SessionNotFound):
        await stream_of(strict, "x").aappend([say("hi")])


async def test_the_newest_in_order(do: Do) -> None:
    await do("append", [say(str(n)) for n in range(25)])
    assert [item["text"] for item in (await do("read", 3)).items] == ["22", "23", "24"]
    assert (await do("read", 3)).positions == (22, 23, 24)
    assert [item["text"] for item in (await do("read", 2, before=22)).items] == ["20", "21"]
    assert (await do("read", 0)).items == (await do("read", before=0)).items == ()
    assert (await do("read", 0)).revision == (await do("read")).revision
    assert len((await do("read", 99)).items) == 25


async def test_items_are_shown_as_messages(do: Do, sessions: SessionManager) -> None:
    await do("append", [say("hi"), think(), call("1"), call("2"), results("1", "2"), say("done")])
    assert conversation(sessions) == ["hi", "1+2", "of 1", "of 2", "done"]
    assert [match.session.id for match in sessions.search_sessions("done")] == ["x"]


async def test_what_comes_later_joins_the_last_message(do: Do, sessions: SessionManager) -> None:
    await do("append", [say("hi"), call("1")])
    before = sessions.messages("x")
    sessions.memory("x").append(HumanMessage("by another door"))
    await do("append", [call("2")])
    await do("append", [think()])
    after = sessions.messages("x")
    assert said(after) == ["hi", "1+2", "by another door"]
    assert [m.id for m in after[:2]] == [m.id for m in before]
    await do("append", [results("1", "2")])
    assert conversation(sessions) == ["hi", "1+2", "by another door", "of 1", "of 2"]


async def test_tokens_are_counted_once(do: Do, sessions: SessionManager) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    await do("append", [say("hi", usage=usage), call("1")])
    await do("append", [call("2")])
    assert sessions.get_session("x").total_tokens == 3  # type: ignore[union-attr]
    await do("clear")
    assert sessions.get_session("x").total_tokens == 0  # type: ignore[union-attr]


async def test_an_item_with_an_id_is_added_once(do: Do, sessions: SessionManager) -> None:
    one, two = say("one"), say("two")
    await do("append", [one, two], ids=["a", None])
    again = await do("append", [one, two, one], ids=["a", None, "a"])
    assert again.items == (two,)
    assert said(sessions.messages("x")) == ["one", "two", "two"]
    before = sessions.get_session("x")
    assert (await do("append", [one], ids=["a"])).items == ()
    assert sessions.get_session("x") == before
    assert await do("find", ["a", "nobody"]) == {"a": 0}
    with pytest.raises(SessionConflict, match="another item"):
        await do("append", [say("new"), two], ids=["b", "a"])
    assert len((await do("read")).items) == 3
    with pytest.raises(InvalidKey, match="2 items and 1 ids"):
        await do("append", [one, two], ids=["a"])


async def test_an_id_is_free_again_when_its_item_is_gone(do: Do) -> None:
    await do("append", [say("one")], ids=["a"])
    assert await do("pop") == say("one")
    assert await do("find", ["a"]) == {}
    page = await do("append", [say("other")], ids=["a"])
    assert page.positions == (1,)


async def test_a_revision_is_checked(do: Do, sessions: SessionManager) -> None:
    first = await do("append", [say("one")], expect=0)
    with pytest.raises(SessionConflict, match="expected at revision 0"):
        await do("append", [say("two")], expect=0)
    second = await do("append", [say("two")], expect=first.revision)
    sessions.rename_session("x", "another name")
    sessions.memory("x").append(HumanMessage("by another door"))
    third = await do("append", [say("three")], expect=second.revision)
    for name, change in (
        ("replace", lambda: do("replace", [say("x")], expect=second.revision)),
        ("append", lambda: do("append", [], expect=second.revision, note=1)),
    ):
        with pytest.raises(SessionConflict):
            await change()
        assert (await do("read")).revision == third.revision, name


async def test_the_version_of_the_session_is_checked(do: Do, sessions: SessionManager) -> None:
    """Whoever has looked at the session's record is sure to write to what was seen."""
    first = await do("append", [say("one")], session_version=0)
    with pytest.raises(SessionConflict, match="expected at version 0") as refused:
        await do("append", [say("two")], session_version=0)
    assert first.session is not None
    assert (refused.value.expected, refused.value.found) == (0, first.session.version)
    renamed = sessions.rename_session("x", "another name")
    with pytest.raises(SessionConflict):
        await do("append", [say("two")], session_version=first.session.version)
    await do("append", [say("two")], session_version=renamed.version)
    assert conversation(sessions) == ["one", "two"]


async def test_the_session_changes_with_the_items(do: Do, sessions: SessionManager) -> None:
    change = SessionChange(name="Oslo", tags=["a", "b"], metadata={"m": [1]})
    page = await do("append", [say("1")], session=change)
    info = page.session
    assert info is not None
    assert (info.name, info.tags, info.metadata) == ("Oslo", ("a", "b"), {"n": 1, "m": [1]})
    assert info == sessions.get_session("x")
    assert [match.session.id for match in sessions.search_sessions("Oslo")] == ["x"]
    change = SessionChange(untag=["a", "none"], tags=["c", "b"], metadata={"m": None})
    page = await do("append", [], session=change)
    info = page.session
    assert info is not None
    assert (info.name, info.tags, info.metadata) == ("Oslo", ("b", "c"), {"n": 1, "m": None})
    await do("append", [say("2")], session=SessionChange(name=""))
    assert sessions.search_sessions("Oslo") == []
    assert conversation(sessions) == ["1", "2"]
    before = await do("read")
    with pytest.raises(SessionConflict):  # all or nothing
        await do("append", [say("3")], expect=0, session=SessionChange(name="Lima"))
    for wrong in (SessionChange(name="\0"), SessionChange(tags=[""])):
        with pytest.raises(InvalidKey):
            await do("append", [say("3")], session=wrong)
    with pytest.raises(SerializationError):
        await do("append", [say("3")], session=SessionChange(metadata={"x": object()}))
    assert await do("read") == before


async def test_an_id_that_cannot_be_stored_is_not_found(do: Do) -> None:
    await do("append", [say("1")], ids=["a"])
    assert await do("find", ["a\0", "\ud800", "a", ""]) == {"a": 0}


async def test_pop(do: Do, sessions: SessionManager) -> None:
    assert await do("pop") is None
    items = [say("hi"), call("1"), call("2"), think(), results("1", "2")]
    await do("append", items)
    ids = [message.id for message in sessions.messages("x")]
    for left, shown in ((4, ["hi", "1+2"]), (3, ["hi", "1+2"]), (2, ["hi", "1"]), (1, ["hi"])):
        assert await do("pop") == items[left]
        assert conversation(sessions) == shown
        assert [message.id for message in sessions.messages("x")] == ids[: len(shown)]
    assert await do("pop") == items[0]
    assert await do("pop") is None
    assert conversation(sessions) == []
    assert (await do("append", [say("again")])).positions == (5,)


async def test_replace_writes_what_is_different(do: Do, sessions: SessionManager) -> None:
    await do("replace", [say("1"), say("2"), say("3")], ids=["a", "b", "c"])
    page = await do("replace", [say("1"), say("two"), say("3")], ids=["a", "b", "c"])
    assert page.positions == (3, 4)
    assert (await do("read")).positions == (0, 3, 4)
    assert conversation(sessions) == ["1", "two", "3"]
    await do("replace", [say("1")], ids=["a"])
    assert conversation(sessions) == ["1"]
    await do("replace", [])
    assert conversation(sessions) == []
    await do("append", [think(), say("old")])
    (old,) = sessions.messages("x")
    await do("replace", [think(), say("new")])
    (new,) = sessions.messages("x")
    assert (new.text, new.id == old.id) == ("new", False)


async def test_clear_and_drop(do: Do, call: Any, sessions: SessionManager) -> None:
    assert await do("clear") == 0
    assert await do("drop") is False
    await do("append", [say("1"), think()], note={"kept": True}, state={"step": 1})
    sessions.memory("x").append(HumanMessage("by another door"))
    sessions.memory("x").set_summary("they talked")
    assert await do("clear") == 2
    page = await do("read")
    assert (page.items, page.note, page.state) == ((), {"kept": True}, {"step": 1})
    assert conversation(sessions) == ["by another door"]
    assert sessions.memory("x").get_summary() is None
    await do("append", [say("2")])
    assert await call("list_streams", "x") == ["items"]
    assert await do("drop") is True
    assert (await do("read")).revision == 0
    assert await call("list_streams", "x") == []
    assert conversation(sessions) == ["by another door"]


async def test_note_and_state_go_with_the_items(do: Do) -> None:
    await do("append", [], note={"n": 1})
    await do("append", [say("1")], state={"a": 1, "b": [1.5]})
    page = await do("append", [say("2")], state={"a": None})
    assert (page.note, page.state) == ({"n": 1}, {"a": None, "b": [1.5]})
    assert (await do("append", [], note=None)).note is None


def test_a_state_without_fields_is_left_alone(sessions: SessionManager) -> None:
    sessions.save_session(sessions.resume_session(sessions.create_session(id="x")))
    stream = stream_of(sessions, "x")
    loaded = sessions.resume_session("x")
    sessions.save_session(loaded.model_copy(update={"state": [1]}))
    with pytest.raises(InvalidKey, match="no fields"):
        stream.append([say("1")], state={"a": 1})
    assert stream.read().items == ()


@pytest.mark.operation("shared_state", "shared_states")
async def test_shared_state(call: Any, sessions: SessionManager, do: Do) -> None:
    ana, app = ("made-up", "user", "a.na/1"), ("made-up", "app")
    await do("append", [say("1")], shared={ana: {"lang": "no", "n": None}, app: {"v": 1}})
    await do("append", [say("2")], shared={app: {"w": {"deep": [1]}}})
    state = sessions.shared_state(*ana)
    assert state.read() == await state.aread() == {"lang": "no", "n": None}
    state.update({"lang": "en"})
    await state.aupdate({"seat": "window"})
    assert await call("shared_states", [ana, app, ("nobody",)]) == {
        ana: {"lang": "en", "n": None, "seat": "window"},
        app: {"v": 1, "w": {"deep": [1]}},
        ("nobody",): {},
    }
    assert await call("shared_states", []) == {}
    found = {item.key: item.value for item in sessions.store.search(("made-up", "app"))}
    assert found == {"v": {"value": 1}, "w": {"value": {"deep": [1]}}}
    sessions.store.put(("made-up", "app"), "not a field", {"by": "somebody"})
    assert sessions.shared_state(*app).read() == {"v": 1, "w": {"deep": [1]}}
    sessions.delete_session("x")
    assert sessions.shared_state(*app).read()["v"] == 1
    with pytest.raises(InvalidKey):
        sessions.shared_state()
    with pytest.raises(SerializationError):
        state.update({"odd": object()})


def test_what_cannot_be_stored_changes_nothing(stream: SessionStream) -> None:
    stream.append([say("1")])
    before = stream.read()
    for bad in (
        lambda: stream.append([say("2"), {"t": "think", "x": object()}]),
        lambda: stream.append([say("2")], note=object()),
        lambda: stream.append([say("2")], state={"x": object()}),
        lambda: stream.append([say("2")], shared={("a",): {"x": object()}}),
    ):
        with pytest.raises(SerializationError):
            bad()
    assert stream.read() == before


@pytest.mark.operation("list_streams", "stream")
def test_several_streams_of_one_session(sessions: SessionManager) -> None:
    main = stream_of(sessions, "x")
    side = sessions.stream("x", "a/b.c", framework="made-up")
    main.append([say("1")], ids=["same"])
    side.append([say("aside")], ids=["same"])
    main.append([say("2")])
    assert sessions.list_streams("x") == ["items", "a/b.c"]
    assert side.read().items == (say("aside"),)
    assert said(sessions.messages("x")) == ["1", "2"]
    side.drop()
    assert sessions.list_streams("x") == ["items"]
    assert conversation(sessions) == ["1", "2"]
    assert sessions.list_streams("nobody") == []


def test_messages_change_with_their_items_only(
    stream: SessionStream, sessions: SessionManager
) -> None:
    stream.append([say("1", id="m1"), say("2", id="m2")])
    memory = sessions.memory("x")
    for change in (
        memory.remove_last,
        lambda: memory.update_last(AIMessage("other")),
        lambda: memory.append(HumanMessage("other", id="m1")),
    ):
        with pytest.raises(InvalidKey, match="rewind_session"):
            change()
    memory.append(HumanMessage("1", id="m1"))  # the same is no change
    assert conversation(sessions) == ["1", "2"]


def test_ids_that_are_not_unique(stream: SessionStream, sessions: SessionManager) -> None:
    """Some frameworks give every message the same id."""
    sessions.memory("x").append(HumanMessage("own", id="fake"))
    stream.append([say("1", id="fake"), say("2", id="fake")])
    stream.append([say("3", id="fake")])
    stream.append([say("4", id="real")])
    assert conversation(sessions) == ["own", "1", "2", "3", "4"]
    ids = [message.id for message in sessions.messages("x")]
    assert len(set(ids)) == 5
    assert (ids[0], ids[-1]) == ("fake", "real")


def test_a_rewind_takes_the_items_along(stream: SessionStream, sessions: SessionManager) -> None:
    items = [say("hi"), think(), call("1"), call("2"), think(), results("1", "2"), say("end")]
    page = stream.append(items, ids=[str(n) for n in range(7)], note="kept", state={"n": 1})
    with pytest.raises(CheckpointNotFound, match="belong together"):
        sessions.rewind_session("x", messages=3)
    assert stream.read().items == tuple(items)
    sessions.rewind_session("x", messages=2)
    after = stream.read()
    assert after.items == tuple(items[:4])
    assert (after.note, after.state) == ("kept", {"n": 1})
    assert after.revision != page.revision
    assert stream.find(["3", "4"]) == {"3": 3}
    assert conversation(sessions) == ["hi", "1+2"]
    stream.append([call("3")])
    assert conversation(sessions) == ["hi", "1+2+3"]
    sessions.rewind_session("x", messages=0)
    assert stream.read().items == ()
    stream.append([say("new")])
    assert conversation(sessions) == ["new"]


def test_a_rewind_that_takes_only_others_leaves_the_items(
    stream: SessionStream, sessions: SessionManager
) -> None:
    stream.append([say("hi"), think()])
    sessions.memory("x").append(HumanMessage("own"))
    sessions.rewind_session("x", messages=1)
    assert stream.read().items == (say("hi"), think())
    assert conversation(sessions) == ["hi"]


@pytest.mark.parametrize("messages", [None, 2])
def test_a_fork_goes_its_own_way(
    messages: int | None, stream: SessionStream, sessions: SessionManager
) -> None:
    items = [say("hi"), call("1"), results("1"), say("end")]
    stream.append(items, ids=list("abcd"), note={"n": 1}, state={"s": 1})
    fork = sessions.fork_session("x", messages=messages)
    copy = stream_of(sessions, fork)
    kept = items if messages is None else items[:2]
    page = copy.read()
    assert (page.items, page.note, page.state) == (tuple(kept), {"n": 1}, {"s": 1})
    assert (fork.framework, fork.agent_name) == ("made-up", "guide")
    copy.append([call("2")], ids=["e"])
    stream.append([say("on")], ids=["e"])
    assert stream.read().items == (*items, say("on"))
    assert copy.read().items == (*kept, call("2"))
    assert copy.find(list("abcde")).keys() == set("abcd"[: len(kept)]) | {"e"}
    assert conversation(sessions, fork)[-1] == ("2" if messages is None else "1+2")
    sessions.delete_session("x")
    assert len(copy.read().items) == len(kept) + 1
    assert conversation(sessions, fork)


def test_a_conversation_that_branches(stream: SessionStream, sessions: SessionManager) -> None:
    first = stream.append([say("a"), say("b"), say("c")]).positions
    second = stream.append([say("B"), say("C")], line=first[:1]).positions
    assert conversation(sessions) == ["a", "B", "C"]
    assert len(stream.read().items) == 5
    stream.append([say("d")], line=first)
    assert conversation(sessions) == ["a", "b", "c", "d"]
    stream.append([], line=[*first[:1], *second])
    assert conversation(sessions) == ["a", "B", "C"]
    stream.append([think(), call("1")])  # it goes on where it is, whatever else is stored
    stream.append([call("2")])
    assert conversation(sessions) == ["a", "B", "C", "1+2"]
    fork = sessions.fork_session("x", messages=3)
    stream_of(sessions, fork).append([say("other")])
    assert conversation(sessions, fork) == ["a", "B", "C", "other"]
    for shown in (["a", "B", "C", "1"], ["a", "B", "C"]):
        stream.pop()
        assert conversation(sessions) == shown
    stream.pop()  # the item that nothing shows
    assert stream.pop() == say("d")  # of another branch
    stream.append([say("E")])
    assert conversation(sessions) == ["a", "B", "C", "E"]
    sessions.rewind_session("x", messages=2)
    stream.append([say("c")])
    assert conversation(sessions) == ["a", "B", "c"]
    stream.append([], line=[])
    assert conversation(sessions) == []
    with pytest.raises(InvalidKey, match="no item at 99"):
        stream.append([], line=[99])
    for odd in ([2, 0], [0, 0], [True], ["0"]):
        with pytest.raises(InvalidKey, match="that rise"):
            stream.append([], line=odd)
    stream.append([say("x")], line=first[:1])
    everything = list(stream.read().items)
    stream.replace(everything)
    assert list(stream.read().items) == everything
    assert conversation(sessions) == [item["text"] for item in everything]


def test_an_append_with_a_line_can_be_tried_again(
    stream: SessionStream, sessions: SessionManager
) -> None:
    stream.append([say("a"), say("b")], ids=["A", "B"])
    for _ in range(2):
        stream.append([say("c")], ids=["C"], line=[0])
        assert conversation(sessions) == ["a", "c"]
    stream.append([say("c"), say("d")], ids=["C", "D"], line=[0])
    assert conversation(sessions) == ["a", "c", "d"]


def test_a_summary_goes_with_what_it_may_tell_of(
    stream: SessionStream, sessions: SessionManager
) -> None:
    for change in (
        lambda: stream.append([say("x")], line=[0]),
        stream.pop,
        stream.clear,
        stream.drop,
        lambda: stream.replace([say("1"), say("2"), say("3"), say("4")]),
    ):
        sessions.delete_session("x")
        stream.append([say("a"), say("b")])
        sessions.memory("x").set_summary("they said a and b")
        stream.append([say("c")])
        assert sessions.memory("x").get_summary() is not None
        change()
        assert sessions.memory("x").get_summary() is None


def test_who_cannot_show_a_stream_does_not_change_what_is_shown(
    stream: SessionStream, sessions: SessionManager
) -> None:
    stream.append([say("a"), say("b")])
    blind = sessions.stream("x")
    for change in (
        lambda: blind.append([], line=[0]),
        blind.pop,
        lambda: blind.replace([say("a")]),
    ):
        with pytest.raises(InvalidKey, match="through the adapter"):
            change()
    assert conversation(sessions) == ["a", "b"]
    assert blind.clear() == 2
    assert conversation(sessions) == []


def test_a_stream_that_has_lost_its_own_record(
    stream: SessionStream, sessions: SessionManager, store: Store
) -> None:
    stream.append([say("a"), call("1")], ids=["i", "j"], note="lost")
    store.execute([Delete(("memory", "x", "items"), "next")])
    assert [problem.kind for problem in sessions.check("x").problems] == ["stream"]
    sessions.check("x", fix=True)
    assert sessions.check("x").problems == ()
    stream.append([call("2"), say("b")])
    assert conversation(sessions) == ["a", "1+2", "b"]
    assert len(stream.read().items) == 4


def test_messages_that_show_the_same_items_are_named(
    stream: SessionStream, sessions: SessionManager, store: Store
) -> None:
    stream.append([say("a"), say("b")])
    (first, _) = store.execute([Scan(("memory", "x"), "0", ":")])[0]
    doc = {**first.body(), "of": ["items", 0, 2]}
    store.execute([first_put(first, doc)])
    kinds = {problem.kind for problem in sessions.check("x").problems}
    assert "dangling" in kinds


def test_a_graph_goes_on_where_a_framework_began(
    stream: SessionStream, sessions: SessionManager
) -> None:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"after {len(state['messages'])}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    graph: Any = builder.compile(checkpointer=sessions.checkpointer())
    stream.append([say("hi"), call("1"), results("1"), say("there")])
    info = sessions.get_session("x")
    assert info is not None
    begun = sessions.messages(info)
    graph.invoke({"messages": [*begun, HumanMessage("and now?")]}, info.config)
    assert conversation(sessions) == ["hi", "1", "of 1", "there", "and now?", "after 5"]
    assert [m.id for m in sessions.messages(info)][:4] == [m.id for m in begun]
    stream.append([say("on")])
    assert conversation(sessions)[-1] == "on"
    sessions.rewind_session("x", messages=6)
    assert conversation(sessions)[-1] == "after 5"
    assert len(stream.read().items) == 4


def test_clearing_the_history_takes_the_items_along(
    stream: SessionStream, sessions: SessionManager
) -> None:
    stream.append([think()], state={"n": 1})
    sessions.memory("x").clear()
    assert stream.read().items == ()
    stream.append([say("hi")])
    assert sessions.memory("x").clear_messages() == 1
    page = stream.read()
    assert (page.items, page.state, sessions.list_streams("x")) == ((), {"n": 1}, [])
    stream.append([say("again")])
    assert conversation(sessions) == ["again"]


def test_saving_a_session_whole(stream: SessionStream, sessions: SessionManager) -> None:
    stream.append([say("hi"), results("1", "2"), say("end")])
    loaded = sessions.resume_session("x")
    sessions.save_session(loaded)
    assert len(stream.read().items) == 3
    fresh = sessions.resume_session("x")
    shorter = fresh.model_copy(update={"messages": (*fresh.messages[:2], HumanMessage("own"))})
    sessions.save_session(shorter)
    # An item that is shown by half is none: what is left of it stands for itself.
    assert stream.read().items == (say("hi"),)
    assert conversation(sessions) == ["hi", "of 1", "own"]


def test_streams_move_to_other_stores(
    stream: SessionStream, sessions: SessionManager, tmp_path: Path
) -> None:
    items = [think(), say("hi"), call("1")]
    stream.append(items, ids=list("abc"), note={"n": 1}, state={"s": 1})
    sessions.export_sessions(tmp_path / "x.jsonl")
    with SessionManager("memory://") as other:
        other.import_sessions(tmp_path / "x.jsonl")
        copy = stream_of(other, "x")
        page = copy.read()
        assert (page.items, page.note, page.state) == (tuple(items), {"n": 1}, {"s": 1})
        copy.append([call("2")])
        assert conversation(other) == ["hi", "1+2"]


def test_stats_name_the_items(stream: SessionStream, sessions: SessionManager) -> None:
    stream.append([say("hi"), think()])
    kinds = {row.kind: row.records for row in sessions.stats("x").kinds}
    assert kinds == {"items": 3, "messages": 3, "sessions": 1}


def test_an_expired_session_leaves_nothing(sessions: SessionManager, clock: FrozenClock) -> None:
    sessions.create_session(id="x", ttl=timedelta(minutes=1))
    stream = stream_of(sessions, "x")
    stream.append([say("old")], ids=["a"], note=1)
    clock.advance(61)
    assert stream.read().session is None
    assert stream.find(["a"]) == {}
    page = stream.append([say("new")], ids=["a"], expect=0)
    assert (page.items, page.note) == ((say("new"),), None)
    assert conversation(sessions) == ["new"]


def test_a_turn_fences_streams(stream: SessionStream, sessions: SessionManager) -> None:
    stream.append([say("1")])
    with pytest.raises(SessionConflict, match="went away"), sessions.turn("x"):  # noqa: PT012
        stream.append([say("2")])
        sessions.delete_session("x")
        with pytest.raises(SessionConflict):
            stream.append([say("late")])
    assert stream.read().session is None


def test_groups_that_do_not_follow_each_other(sessions: SessionManager) -> None:
    for wrong in ([Shown(0, [HumanMessage("x")])], [Shown(2, [HumanMessage("x")])], [Shown(1, [])]):
        stream = sessions.stream("x", shows=lambda items, wrong=wrong: wrong)
        with pytest.raises(InvalidKey, match="do not follow each other"):
            stream.append([say("1")])
    assert sessions.get_session("x") is None


def first_put(record: Record, doc: Any) -> Put:
    return Put(record.namespace, record.key, doc, record.blob, record.text)


Change = Callable[[SessionStream], Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda stream: stream.append([say("new")]),
        lambda stream: stream.append([say("new")], line=[]),
        lambda stream: stream.replace([say("new")]),
        lambda stream: (stream.pop(), stream.clear(), stream.drop(), stream.append([say("new")])),
    ],
    ids=["append", "line", "replace", "pop, clear and drop"],
)
def test_every_write_begins_anew_where_a_session_has_expired(
    change: Change, sessions: SessionManager, clock: FrozenClock
) -> None:
    sessions.create_session(id="x", ttl=timedelta(minutes=1))
    stream = stream_of(sessions, "x")
    stream.append([say("old"), say("older")], ids=["a", "b"])
    clock.advance(61)
    with pytest.raises(InvalidKey, match="no item at 0"):
        stream.append([say("new")], line=[0])
    assert sessions.get_session("x") is None
    change(stream)
    assert stream.read().items == (say("new"),)
    assert conversation(sessions) == ["new"]


def test_what_comes_after_a_pop_joins_the_group_before(
    stream: SessionStream, sessions: SessionManager
) -> None:
    """Also where only items are left behind it that nothing shows."""
    stream.append([say("a"), call("1"), think(), say("b")])
    stream.pop()
    stream.append([call("2")])
    assert conversation(sessions) == ["a", "1+2"]
    stream.replace([say("a"), call("1"), think(), say("c")])
    stream.replace([say("a"), call("1"), think(), call("3")])
    assert conversation(sessions) == ["a", "1+3"]


def _to(items: Any) -> range:
    return range(1, len(items) + 1)


def test_what_shows_items_keeps_its_messages(sessions: SessionManager) -> None:
    """Ids and names are given to copies: one object may stand for several items, or be an item."""
    same = HumanMessage("same", id="one")
    stream = sessions.stream("x", shows=lambda items: [Shown(n, [same]) for n in _to(items)])
    stream.append([say("1"), say("2")])
    stream.append([say("3")])
    assert conversation(sessions) == ["same"] * 3
    assert same.id == "one"
    own = sessions.stream("y", shows=lambda items: [Shown(n, [items[n - 1]]) for n in _to(items)])
    message = HumanMessage("hi")
    for _ in range(2):
        own.append([message], ids=["1"])
    assert message.id is None
    assert conversation(sessions, "y") == ["hi"]


def test_results_get_the_names_of_their_tools(
    stream: SessionStream, sessions: SessionManager
) -> None:
    """However the items came in, and although no item of a result says it."""
    stream.append([call("1"), call("2")])
    stream.append([results("1")])
    stream.append([results("2", "unknown")])
    stream.append([say("done")])
    names = [getattr(message, "name", None) for message in sessions.messages("x")]
    assert names == [None, "f", "f", None, None]
    sessions.rewind_session("x", messages=2)
    stream.append([think()])
    assert sessions.messages("x")[-1].name == "f"
    stream.append([call("far"), *(say(str(n)) for n in range(100)), results("far")])
    assert sessions.messages("x")[-1].name == "f"


def test_a_call_that_is_removed_names_no_result(
    stream: SessionStream, sessions: SessionManager
) -> None:
    """A result in the place of its call is shown as if the call had never been."""
    for before in ([call("1")], [say("hi"), call("1")], [call("1"), say("hi")]):
        stream.replace(before)
        stream.replace([results("1")])
        (message,) = sessions.messages("x")
        assert message.name is None
    stream.replace([call("1"), say("hi")])
    stream.replace([call("1"), results("1")])
    assert sessions.messages("x")[-1].name == "f"


@pytest.mark.parametrize(
    "wrong",
    [
        [HumanMessage("x")],
        [Shown(1, HumanMessage("x"))],  # type: ignore[arg-type]
        [Shown(1, ["x"])],  # type: ignore[list-item]
        [("1", [HumanMessage("x")])],
        "x",
    ],
    ids=["a message", "one message", "texts", "no number", "text"],
)
def test_what_is_no_group_is_named(wrong: Any, sessions: SessionManager) -> None:
    stream = sessions.stream("x", shows=lambda items: wrong)
    with pytest.raises(InvalidKey, match=r"the stream 'items' is shown by groups such as Shown"):
        stream.append([say("1")])
    assert sessions.get_session("x") is None


def test_what_is_no_list_of_items_is_refused(
    stream: SessionStream, sessions: SessionManager
) -> None:
    for wrong in ("hello", b"hello", {"role": "user"}):
        for write in (stream.append, stream.replace):
            with pytest.raises(InvalidKey, match="a list of items"):
                write(wrong)  # type: ignore[arg-type]
    for id in (5, b"1", "\0"):
        with pytest.raises(InvalidKey, match="the id of an item"):
            stream.append([say("1")], ids=[id])  # type: ignore[list-item]
    with pytest.raises(InvalidKey, match="must not be empty"):
        sessions.stream("x", "")
    with pytest.raises(InvalidKey, match="along a line"):
        sessions.stream("x").append([say("1")], line=[])
    assert sessions.get_session("x") is None


def test_who_cannot_show_a_branched_stream_adds_to_its_line(
    stream: SessionStream, sessions: SessionManager
) -> None:
    stream.append([say("a"), say("b")])
    stream.append([say("B")], line=[0])
    sessions.stream("x").append([say("C")])
    stream.append([say("D")])
    assert conversation(sessions) == ["a", "B", "C", "D"]


def test_with_a_serializer_of_the_callers_own_items_are_compared_by_type(store: Store) -> None:
    sessions = SessionManager(store, serde=JsonPlusSerializer())
    stream = sessions.stream("x")
    for value in (1, True, 1.0, [1], [True], {"v": 1}, {"v": 1.0}, "1"):
        stream.replace([value])
        assert repr(stream.read().items) == repr((value,))
    for _ in range(2):
        stream.append([float("nan")], ids=["nan"])
    assert len(stream.read().items) == 2


def test_a_summary_stays_that_covers_only_what_stays(
    stream: SessionStream, sessions: SessionManager
) -> None:
    def sum_up(covers: str) -> None:
        paths = SessionPaths((), "x")
        values = sessions._values
        plan = set_summary(sessions._scope, values, paths, "of a and b", covers=covers)
        run(plan, sessions._store)

    stream.append([say("a"), say("b"), say("c"), say("d")])
    sum_up("0000000001")
    stream.pop()
    assert sessions.memory("x").get_summary() == "of a and b"
    loaded = sessions.resume_session("x")
    sessions.save_session(loaded.model_copy(update={"messages": loaded.messages[:2]}))
    assert sessions.memory("x").get_summary() == "of a and b"
    loaded = sessions.resume_session("x")
    sessions.save_session(loaded.model_copy(update={"messages": loaded.messages[:1]}))
    assert sessions.memory("x").get_summary() is None


def test_composed_ids() -> None:
    parts = ("app/1", "a%2Fna", "s 1")
    assert compose_id(*parts) == "app%2F1/a%252Fna/s 1"
    assert split_id(compose_id(*parts)) == parts
    assert split_id("plain") == ("plain",)
    assert inner_id(compose_id(*parts), *parts[:2]) == "s 1"
    for names in (parts[:1], ("app/1", None), ("other", parts[1]), (), parts):
        assert inner_id(compose_id(*parts), *names) == compose_id(*parts)
    assert inner_id("plain", *parts[:2]) == "plain"
    for bad in (("a", ""), (), ("a\0",), ("x" * 2000,)):
        with pytest.raises(InvalidKey):
            compose_id(*bad)


def test_the_same_function_shows_what_was_given() -> None:
    assert [group.end for group in shows([say("a"), think(), call("1"), call("2")])] == [1, 4]


def test_messages_keep_the_order_of_their_items(sessions: SessionManager) -> None:
    """Also where a line leaves out an item that is not shown, so that a group begins elsewhere."""
    stream = stream_of(sessions, "s")
    stream.append([say("a"), say("b")])
    stream.append([think(), say("c")], line=[0])
    stream.append([say("d")])
    stream.append([say("e")], line=[0, 3, 4])
    assert conversation(sessions, "s") == ["a", "c", "d", "e"]
    sessions.rewind_session("s", messages=2)
    assert len(stream.read().items) == 4
