"""`ThreadloomHistoryProvider` gives what the framework's own providers give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    AgentSession,
    Content,
    FileHistoryProvider,
    InMemoryHistoryProvider,
    Message,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from maf_agents import forecaster
from threadloom import InvalidKey, SessionConflict, SessionManager, SessionNotFound, StreamPage
from threadloom_agent_framework import ThreadloomHistoryProvider


def user(text: str, id: str | None = None) -> Message:
    return Message("user", [text], message_id=id)


def answer(text: str, id: str | None = None) -> Message:
    return Message("assistant", [text], message_id=id, author_name="Ana")


A, B, C, D = user("a"), answer("b"), user("c"), answer("d")

# Each is what is saved, call by call.
SCENARIOS: dict[str, list[list[Message]]] = {
    "turn by turn": [[A, B], [C, D], [user("e"), answer("f")]],
    "the whole transcript again": [[A, B], [A, B, C, D], [A, B, C, D, user("e")]],
    "only its end again": [[A, B, C], [C, D], [B, C, D, A]],
    "nothing new": [[A, B], [A, B], [B]],
    "one question, asked twice": [[A], [A], [A, B]],
    "one answer, given twice": [[B], [B], [A, B], [B]],
    "the same turn twice, on purpose": [[A, B], [C, D], [A, B]],
    "a transcript inside of a longer one": [[B, C], [A, B, C, D]],
    "ids decide": [[user("a", "1")], [user("other", "1"), answer("b", "2")], [user("a", "2")]],
    "one id, two messages": [[user("a", "1"), user("b", "1")], [user("c", "3"), user("a", "1")]],
    "nothing at all": [[], [A], []],
    "left out": [
        [A, Message("assistant", ["x"], additional_properties={"_excluded": True}), C],
        [Message("assistant", ["y"], additional_properties={"_excluded": False})],
    ],
}


def dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message.to_dict() for message in messages]


async def kept_by_the_framework(
    saves: Sequence[Sequence[Message]], **options: Any
) -> list[list[dict[str, Any]]]:
    """What the framework's in-memory provider holds after each save."""
    provider, state = InMemoryHistoryProvider(**options), dict[str, Any]()
    held = []
    for messages in saves:
        await provider.save_messages("s", messages, state=state)
        held.append(dicts(await provider.get_messages("s", state=state)))
    return held


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_session_holds_what_the_framework_s_own_would_hold(
    sessions: SessionManager, tmp_path: Path, scenario: str, skip: bool
) -> None:
    saves = SCENARIOS[scenario]
    provider = ThreadloomHistoryProvider(sessions, skip_excluded=skip)
    file = FileHistoryProvider(tmp_path / "histories", skip_excluded=skip)
    expected = await kept_by_the_framework(saves, skip_excluded=skip)
    for messages, held in zip(saves, expected, strict=True):
        await provider.save_messages("s", messages, state={})
        await file.save_messages("s", messages)
        assert dicts(await provider.get_messages("s")) == held
        assert dicts(await file.get_messages("s")) == held


_messages = st.builds(
    lambda role, text, id: Message(role, [text], message_id=id),
    st.sampled_from(["user", "assistant", "tool"]),
    st.sampled_from("ab"),
    st.sampled_from([None, None, None, "1", "2"]),
)


@settings(settings.get_profile("agent-framework"))
@given(saves=st.lists(st.lists(_messages, max_size=5), max_size=6), replay=st.booleans())
async def test_any_calls_store_what_the_framework_s_own_would_store(
    saves: list[list[Message]], replay: bool
) -> None:
    if replay:  # each call brings the transcript until then once more
        saves = [[m for save in saves[: at + 1] for m in save] for at in range(len(saves))]
    async with ThreadloomHistoryProvider("memory://") as provider:
        expected = await kept_by_the_framework(saves)
        for messages, held in zip(saves, expected, strict=True):
            await provider.save_messages("s", messages)
            assert dicts(await provider.get_messages("s")) == held


FLAGS: list[dict[str, Any]] = [
    {},
    {"load_messages": False},
    {"store_inputs": False},
    {"store_outputs": False},
    {"store_inputs": False, "store_outputs": False},
    {"store_context_messages": True},
    {"store_context_messages": True, "store_context_from": {"notes"}},
    {"store_context_messages": True, "store_context_from": {"others"}},
]


class Notes(InMemoryHistoryProvider):
    """A provider that adds something to every run."""

    async def get_messages(self, *args: Any, **kwargs: Any) -> list[Message]:
        return [Message("user", ["a note"])]

    async def save_messages(self, *args: Any, **kwargs: Any) -> None:
        pass


@pytest.mark.parametrize("flags", FLAGS, ids=str)
async def test_the_flags_do_what_they_do_in_the_framework_s_own(
    sessions: SessionManager, flags: dict[str, Any]
) -> None:
    def talk(provider: Any) -> Any:
        return forecaster(Notes("notes", load_messages=True), provider)

    ours = talk(ThreadloomHistoryProvider(sessions, **flags))
    theirs = talk(InMemoryHistoryProvider("own", **flags))
    here, there = AgentSession(session_id="s"), AgentSession(session_id="s")
    for text in ("weather Oslo", "hello"):
        await ours.run(text, session=here)
        await theirs.run(text, session=there)
    stored = await ThreadloomHistoryProvider(sessions).get_messages("s")
    expected = there.state["own"].get("messages", [])
    assert shape(stored) == shape(expected)
    assert [shape(seen) for seen in ours.client.seen] == [
        shape(seen) for seen in theirs.client.seen
    ]


def shape(messages: Sequence[Message]) -> list[Any]:
    """Messages without what the framework makes up anew in every run."""
    return [
        (m.role, m.author_name, [(c.type, c.text, c.call_id, c.result) for c in m.contents])
        for m in messages
    ]


async def test_without_an_id_nothing_is_shared_by_all(sessions: SessionManager) -> None:
    provider = ThreadloomHistoryProvider(sessions)
    with pytest.raises(InvalidKey, match="id of its session"):
        await provider.save_messages(None, [A])
    with pytest.raises(ValueError, match="id of its session"):
        await provider.get_messages(None)
    with pytest.raises(InvalidKey):
        await provider.save_messages("", [A])
    assert not list(sessions.list_sessions())


async def test_a_session_that_is_not_there_is_empty(sessions: SessionManager) -> None:
    assert await ThreadloomHistoryProvider(sessions).get_messages("nobody") == []
    assert sessions.get_session("nobody") is None


async def test_what_it_says_of_a_session(sessions: SessionManager) -> None:
    named = ThreadloomHistoryProvider(sessions, agent_name="Weather", owner="ana")
    await named.save_messages("a", [A])
    by_run = ThreadloomHistoryProvider(sessions)
    await forecaster(by_run).run("hello", session=AgentSession(session_id="b"))
    await by_run.save_messages("c", [A])
    found = [sessions.get_session(id) for id in "abc"]
    assert [(s.framework, s.agent_name, s.owner) for s in found if s] == [
        ("agent-framework", "Weather", "ana"),
        ("agent-framework", "Forecaster", None),
        ("agent-framework", None, None),
    ]


async def test_tokens_of_runs_are_counted(sessions: SessionManager) -> None:
    agent = forecaster(ThreadloomHistoryProvider(sessions))
    session = agent.create_session(session_id="s")
    await agent.run("weather Oslo", session=session)  # two calls of the model, 7 tokens each
    await agent.run("hello", session=session)
    async for _ in agent.run("hello", session=session, stream=True):
        pass
    info = sessions.get_session("s")
    assert info is not None
    assert info.total_tokens == 28
    used = [m.usage_metadata for m in sessions.messages("s") if m.type == "ai"]
    assert [u and u["total_tokens"] for u in used] == [None, 14, 7, 7]
    assert all("run_usage" not in m.to_dict() for m in await read(sessions, "s"))


async def test_usage_that_messages_hold_is_not_counted_twice(sessions: SessionManager) -> None:
    provider = ThreadloomHistoryProvider(sessions)
    used = Content.from_usage({"input_token_count": 2, "output_token_count": 1})
    await provider.save_messages("s", [A, Message("assistant", ["b", used])])
    info = sessions.get_session("s")
    assert info is not None
    assert info.total_tokens == 3


async def read(sessions: SessionManager, id: str) -> list[Message]:
    return await ThreadloomHistoryProvider(sessions).get_messages(id)


async def test_a_store_by_its_url_is_closed_and_a_manager_is_not(url: str) -> None:
    async with ThreadloomHistoryProvider(url) as own:
        await own.save_messages("s", [A])
    with pytest.raises(Exception, match="closed"):
        await own.get_messages("s")
    async with SessionManager(url) as manager:
        async with ThreadloomHistoryProvider(manager) as provider:
            await provider.save_messages("t", [A])
        assert manager.get_session("t") is not None


async def test_an_id_that_may_not_begin_by_itself_is_refused(url: str) -> None:
    async with SessionManager(url, implicit_sessions=False) as manager:
        provider = ThreadloomHistoryProvider(manager)
        with pytest.raises(SessionNotFound):
            await provider.save_messages("s", [A])
        manager.create_session(id="s")
        await provider.save_messages("s", [A])
        assert dicts(await provider.get_messages("s")) == dicts([A])


class Refusing:
    """A stream that refuses to be written to: it is at ever new revisions, or there is a turn."""

    def __init__(self, revisions: Sequence[int], *, in_turn: bool = False) -> None:
        self.left = list(revisions)
        self.in_turn = in_turn
        self.appended: list[int | None] = []

    async def aread(self, limit: int | None = None) -> StreamPage:
        return StreamPage(revision=self.left.pop(0))

    async def aappend(self, items: Any, *, expect: int | None = None) -> None:
        self.appended.append(expect)
        if self.in_turn:
            raise SessionConflict("the turn is over")
        if self.left:
            raise SessionConflict("somebody was faster", expected=expect, found=self.left[0])


async def test_a_write_is_tried_again_only_if_somebody_was_faster(
    sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = ThreadloomHistoryProvider(sessions)
    moving, standing = Refusing([1, 2, 3]), Refusing([1, 2, 3], in_turn=True)
    monkeypatch.setattr(provider, "_stream", lambda id: moving)
    await provider.save_messages("s", [A])
    assert moving.appended == [1, 2, 3]
    monkeypatch.setattr(provider, "_stream", lambda id: standing)
    with pytest.raises(SessionConflict, match="the turn is over"):
        await provider.save_messages("s", [A])
    assert standing.appended == [1]


def test_importing_says_nothing_of_experiments(programs: dict[str, str]) -> None:
    # Only the session store is experimental, so only who takes it is told.
    code = (
        "import warnings, threadloom_agent_framework as t;"
        "warnings.simplefilter('error');"
        "import threadloom_agent_framework.history;"
        "assert 'ThreadloomAgentSessionStore' in dir(t);"
        "warnings.simplefilter('always');"
        "w = warnings.catch_warnings(record=True); seen = w.__enter__();"
        "t.ThreadloomAgentSessionStore;"
        "assert ['experimental' in str(x.message) for x in seen] == [True], seen"
    )
    command = [sys.executable, "-W", "error::FutureWarning", "-c", code]
    subprocess.run(command, env=programs, check=True, timeout=60)
