"""`ThreadloomAgentSessionStore` gives what `FileSessionStore` gives, and shows the conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    AgentSession,
    Content,
    FileSessionStore,
    Message,
    SessionStore,
    register_state_type,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from threadloom import SessionManager, SessionNotFound
from threadloom_agent_framework import ThreadloomHistoryProvider

StoreOf = Callable[..., Any]


class Trip(BaseModel):
    to: str
    days: int = 1


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def to_dict(self) -> dict[str, Any]:
        return {"cents": self.cents}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Money:
        return cls(value["cents"])


class Colour:
    def __init__(self, name: str) -> None:
        self.name = name


def _colour(value: Mapping[str, Any]) -> Colour:
    if "name" not in value:
        raise KeyError("name")
    return Colour(value["name"])


register_state_type(Trip, type_id="maf-tests.trip")
register_state_type(Money, type_id="maf-tests.money")
register_state_type(
    Colour, type_id="maf-tests.colour", encoder=lambda c: {"name": c.name}, decoder=_colour
)


def said(*texts: str) -> list[Message]:
    roles = ("user", "assistant")
    return [Message(roles[at % 2], [text]) for at, text in enumerate(texts)]


STATES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "plain values": {
        "a": None,
        "b": True,
        "c": 1,
        "d": 1.5,
        "e": "é",
        "f": [1, [2]],
        "g": {"h": {}},
    },
    "what becomes plain": {"tuple": (1, (2, 3)), "keys": {1: "one", None: 2}},
    "registered types": {"trip": Trip(to="Oslo"), "money": [Money(5)], "of": {"c": Colour("red")}},
    "a message of its own": {"last": Message("user", ["hi"], message_id="1"), "all": said("a")},
    "a conversation": {"in_memory": {"messages": said("a", "b", "c")}},
    "a conversation and more": {
        "first": 1,
        "in_memory": {"before": 2, "messages": said("a"), "after": Trip(to="Rome")},
        "last": 3,
    },
    "an empty conversation": {"in_memory": {"messages": []}},
    "a provider of another name": {"notes": {"text": "x"}, "talk": {"messages": said("a", "b")}},
    "two conversations": {
        "audit": {"messages": said("a", "b", "c")},
        "in_memory": {"messages": said("a", "b")},
    },
    "messages that are none": {"in_memory": {"messages": ["a", "b"]}, "x": {"messages": {"a": 1}}},
    "messages among others": {"in_memory": {"messages": [*said("a"), 1]}},
}


def typed(value: Any) -> Any:
    """A value with all types in sight, to be compared."""
    if isinstance(value, dict):
        return [(key, typed(part)) for key, part in value.items()]
    if isinstance(value, list):
        return [typed(part) for part in value]
    if isinstance(value, Message | Money):
        return type(value), value.to_dict()
    if isinstance(value, Colour):
        return Colour, value.name
    return type(value), value


def snapshot(session: AgentSession | None) -> Any:
    if session is None:
        return None
    return type(session), session.session_id, session.service_session_id, typed(session.state)


def session(state: dict[str, Any], id: str = "s", service: Any = None) -> AgentSession:
    made = AgentSession(session_id=id, service_session_id=service)
    made.state.update(state)
    return made


@pytest.mark.parametrize("name", STATES)
async def test_what_comes_back_is_what_a_file_would_give(
    sessions: SessionManager, store_of: StoreOf, tmp_path: Path, name: str
) -> None:
    ours, theirs = store_of(sessions), FileSessionStore(tmp_path / "snapshots")
    for id, service in (("s", None), ("other", "conv-1"), ("third", {"thread": "t", "run": 2})):
        one = session(STATES[name], service=service)
        await ours.set(id, one)
        await theirs.set(id, one)
        expected = snapshot(await theirs.get(id))
        assert snapshot(await ours.get(id)) == expected
        await ours.set(id, one)  # and once more, over itself
        assert snapshot(await ours.get(id)) == expected


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(settings.get_profile("agent-framework"))
@given(
    states=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "in_memory": st.fixed_dictionaries(
                    {"messages": st.lists(st.sampled_from("abc"), max_size=4)}
                ),
                "more": _json,
                "audit": st.fixed_dictionaries(
                    {"messages": st.lists(st.sampled_from("abc"), max_size=2), "x": _json}
                ),
            },
        ),
        min_size=1,
        max_size=4,
    )
)
async def test_any_snapshots_come_back_as_from_a_file(
    store_of: StoreOf, tmp_path: Path, states: list[dict[str, Any]]
) -> None:
    theirs = FileSessionStore(tmp_path / "snapshots")
    async with store_of("memory://") as ours:
        for state in states:
            made = {
                name: (
                    {**part, "messages": said(*part["messages"])}
                    if name in ("in_memory", "audit")
                    else part
                )
                for name, part in state.items()
            }
            await ours.set("s", session(made))
            await theirs.set("s", session(made))
            assert snapshot(await ours.get("s")) == snapshot(await theirs.get("s"))


async def test_ids_and_what_is_not_there(
    sessions: SessionManager, store_of: StoreOf, tmp_path: Path
) -> None:
    ours = store_of(sessions)
    assert isinstance(ours, SessionStore)
    for store in (ours, FileSessionStore(tmp_path / "snapshots"), SessionStore()):
        assert await store.get("s") is None
        await store.delete("s")
        await store.set("a/b ü", session({"x": 1}, id="inside"))
        assert snapshot(await store.get("a/b ü")) == snapshot(session({"x": 1}, id="inside"))
        await store.delete("a/b ü")
        assert await store.get("a/b ü") is None
        for wrong in ("", None, 5):
            with pytest.raises(ValueError, match="non-empty"):
                await store.get(wrong)
            with pytest.raises(ValueError, match="non-empty"):
                await store.set(wrong, session({}))
            with pytest.raises(ValueError, match="non-empty"):
                await store.delete(wrong)
    assert list(sessions.list_sessions()) == []


class Special(AgentSession):
    """A session of a class of its own."""


def kind_of(value: object) -> str:
    """The same in every process, which the address of an object is not."""
    return ", ".join(type(v).__name__ for v in value.values()) if isinstance(value, dict) else "is"


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"x": object()}, TypeError),
        ({"x": [1, {"y": {1, 2}}]}, TypeError),
        ({"x": b"bytes"}, TypeError),
        ({"x": float("nan")}, ValueError),
        ({"x": {"y": [float("inf")]}}, ValueError),
    ],
    ids=kind_of,
)
@pytest.mark.filterwarnings("ignore:AgentSession state value at:RuntimeWarning")
async def test_what_a_file_refuses_is_refused_and_nothing_changes(
    sessions: SessionManager,
    store_of: StoreOf,
    tmp_path: Path,
    state: dict[str, Any],
    error: type[Exception],
) -> None:
    for store in (store_of(sessions), FileSessionStore(tmp_path / "snapshots")):
        await store.set("s", session({"kept": 1}))
        with pytest.raises(error):
            await store.set("s", session(state))
        assert snapshot(await store.get("s")) == snapshot(session({"kept": 1}))
        with pytest.raises(TypeError, match="AgentSession"):
            await store.set("s", Special(session_id="s"))


async def test_a_value_that_cannot_be_restored_is_an_error(
    sessions: SessionManager, store_of: StoreOf, tmp_path: Path
) -> None:
    broken = session({"x": {"type": "maf-tests.colour"}})
    for store in (store_of(sessions), FileSessionStore(tmp_path / "snapshots")):
        await store.set("s", broken)
        with pytest.raises(ValueError, match=r"restore|deserialize"):
            await store.get("s")


async def test_each_reader_gets_a_copy(sessions: SessionManager, store_of: StoreOf) -> None:
    store = store_of(sessions)
    one = session({"in_memory": {"messages": said("a")}, "x": {"y": []}})
    await store.set("s", one)
    one.state["x"]["y"].append(1)
    one.state["in_memory"]["messages"].append("b")
    first = await store.get("s")
    first.state["x"]["y"].append(2)
    first.state["in_memory"]["messages"].clear()
    assert snapshot(await store.get("s")) == snapshot(
        session({"in_memory": {"messages": said("a")}, "x": {"y": []}})
    )


async def test_the_conversation_of_a_snapshot_is_the_session_s(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    store = store_of(sessions, agent_name="Weather", owner="ana")
    await store.set("s", session({"in_memory": {"messages": said("the fjord", "is cold")}}))
    info = sessions.get_session("s")
    assert info is not None
    assert (info.framework, info.agent_name, info.owner, info.message_count) == (
        "agent-framework",
        "Weather",
        "ana",
        2,
    )
    assert [m.text for m in sessions.messages("s")] == ["the fjord", "is cold"]
    assert [match.session.id for match in sessions.search_sessions("fjord")] == ["s"]


async def test_only_what_is_new_is_written(sessions: SessionManager, store_of: StoreOf) -> None:
    store = store_of(sessions)
    texts = [f"message {number}" for number in range(20)]
    for end in (5, 10, 20):
        await store.set("s", session({"in_memory": {"messages": said(*texts[:end])}}))
    page = sessions.stream("s", "agent-framework/session").read()
    # Positions are never used again: nothing was taken away and written anew.
    assert page.positions == tuple(range(20))
    ids = [message.id for message in sessions.messages("s")]
    await store.set("s", session({"in_memory": {"messages": said(*texts[:18], "else")}}))
    assert [message.id for message in sessions.messages("s")][:18] == ids[:18]
    assert [message.text for message in sessions.messages("s")][17:] == ["message 17", "else"]


async def test_only_one_of_two_conversations_is_shown(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    await store_of(sessions).set("s", session(STATES["two conversations"]))
    assert [m.text for m in sessions.messages("s")] == ["a", "b"]


async def test_deleting_takes_the_whole_session(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    store, provider = store_of(sessions), ThreadloomHistoryProvider(sessions)
    await provider.save_messages("s", said("a"))
    await store.set("s", session({}))
    await store.delete("s")
    assert sessions.get_session("s") is None
    assert await provider.get_messages("s") == []
    assert await store.get("s") is None


async def test_a_session_without_a_snapshot_has_none(
    sessions: SessionManager, store_of: StoreOf
) -> None:
    await ThreadloomHistoryProvider(sessions).save_messages("s", said("a"))
    assert await store_of(sessions).get("s") is None


async def test_a_fork_bears_its_own_id(sessions: SessionManager, store_of: StoreOf) -> None:
    store = store_of(sessions)
    await store.set("s", session({"in_memory": {"messages": said("a", "b")}}, id="s"))
    await store.set("key", session({"x": 1}, id="of its own"))
    fork, other = sessions.fork_session("s", messages=1), sessions.fork_session("key")
    taken = await store.get(fork.id)
    assert taken.session_id == fork.id
    assert [m.text for m in taken.state["in_memory"]["messages"]] == ["a"]
    assert (await store.get(other.id)).session_id == "of its own"
    taken.state["in_memory"]["messages"] += said("c")
    await store.set(fork.id, taken)
    assert snapshot(await store.get(fork.id)) == snapshot(taken)
    assert [m.text for m in sessions.messages("s")] == ["a", "b"]


async def test_images_and_results_of_a_snapshot_come_back(
    sessions: SessionManager, store_of: StoreOf, tmp_path: Path
) -> None:
    picture = Content.from_data(b"\x89PNG\r\n\x1a\n", "image/png")
    messages = [
        Message("user", ["look", picture]),
        Message("assistant", [Content.from_function_call("1", "look", arguments={"at": "it"})]),
        Message("tool", [Content.from_function_result("1", result=[picture])]),
    ]
    one = session({"in_memory": {"messages": messages}})
    ours, theirs = store_of(sessions), FileSessionStore(tmp_path / "snapshots")
    await ours.set("s", one)
    await theirs.set("s", one)
    assert snapshot(await ours.get("s")) == snapshot(await theirs.get("s")) == snapshot(one)


async def test_an_id_that_may_not_begin_by_itself_is_refused(url: str, store_of: StoreOf) -> None:
    async with SessionManager(url, implicit_sessions=False) as manager:
        store = store_of(manager)
        with pytest.raises(SessionNotFound):
            await store.set("s", session({}))
        manager.create_session(id="s")
        await store.set("s", session({"x": 1}))
        assert snapshot(await store.get("s")) == snapshot(session({"x": 1}))


async def test_a_store_by_its_url_is_closed(url: str, store_of: StoreOf) -> None:
    async with store_of(url) as store:
        await store.set("s", session({}))
    with pytest.raises(Exception, match="closed"):
        await store.get("s")
