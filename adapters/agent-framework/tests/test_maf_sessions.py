"""What agents keep is a session like any other: listed, shown, searched, forked, moved."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from agent_framework import AgentSession, InMemoryHistoryProvider, Message, tool
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    convert_to_openai_messages,
)

from maf_agents import Model, forecaster
from threadloom import CheckpointNotFound, SessionManager
from threadloom_agent_framework import ThreadloomHistoryProvider

StoreOf = Callable[..., Any]


class Door:
    """One way of keeping an agent's session: by a provider, by snapshots, or by both."""

    def __init__(self, kind: str, sessions: SessionManager, store_of: StoreOf) -> None:
        self.kind, self.sessions = kind, sessions
        self.store = store_of(sessions, agent_name="Forecaster") if kind != "provider" else None

    async def run(self, id: str, *texts: str) -> list[list[str]]:
        """Ask an agent, made anew for each text; what the model saw first in each run."""
        seen = []
        for text in texts:
            model = Model()
            own = self.kind == "snapshots"
            history = InMemoryHistoryProvider() if own else ThreadloomHistoryProvider(self.sessions)
            agent = forecaster(history, model=model)
            session = await self.store.get(id) if self.store else None
            session = session or AgentSession(session_id=id)
            await agent.run(text, session=session)
            if self.store:
                await self.store.set(id, session)
            seen.append([shown(message) for message in model.seen[0]])
        return seen


def shown(message: Message) -> str:
    return "|".join(str(c.text or c.result or c.name) for c in message.contents)


@pytest.fixture(params=["provider", "snapshots", "both"])
def door(request: pytest.FixtureRequest, sessions: SessionManager, store_of: StoreOf) -> Door:
    return Door(request.param, sessions, store_of)


def texts(messages: Sequence[BaseMessage]) -> list[str]:
    return [message.text or "|".join(c["name"] for c in calls(message)) for message in messages]


def calls(message: BaseMessage) -> list[Any]:
    return list(getattr(message, "tool_calls", []))


def assert_valid(messages: Sequence[BaseMessage]) -> None:
    """Every result follows its call, and names its tool; LangChain can hand it to a model."""
    open_calls: dict[str, str] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            assert open_calls.pop(message.tool_call_id) == message.name
        else:
            assert not open_calls
        open_calls |= {call["id"]: call["name"] for call in calls(message)}
    assert not open_calls
    assert len({message.id for message in messages}) == len(messages)
    convert_to_openai_messages(list(messages))


TURN = ["weather Oslo Rome", "weather|weather", "rain in Oslo", "rain in Rome"]
FIRST = [*TURN, "rain in Oslo and rain in Rome"]


async def test_the_conversation_is_shown(door: Door) -> None:
    await door.run("s", "weather Oslo Rome", "hello")
    messages = door.sessions.messages("s")
    assert texts(messages) == [*FIRST, "hello", "5 messages until now"]
    kinds = [type(message) for message in messages]
    assert kinds == [
        *(HumanMessage, AIMessage, ToolMessage, ToolMessage, AIMessage),
        *(HumanMessage, AIMessage),
    ]
    assert [call["args"] for call in calls(messages[1])] == [{"city": "Oslo"}, {"city": "Rome"}]
    assert_valid(messages)
    assert [m.name for m in messages if m.type == "ai"] == ["Forecaster"] * 3
    info = door.sessions.get_session("s")
    assert info is not None
    assert info.message_count == 7
    assert door.sessions.check("s").problems == ()


async def test_it_is_listed_and_found(door: Door) -> None:
    await door.run("a", "weather Oslo")
    await door.run("b", "hello")
    door.sessions.create_session(id="not of an agent")
    listed = door.sessions.list_sessions
    assert [s.id for s in listed(framework="agent-framework")] == ["a", "b"]
    assert [s.id for s in listed(agent_name="Forecaster")] == ["a", "b"]
    assert [match.session.id for match in door.sessions.search_sessions("Oslo")] == ["a"]


async def test_a_fork_goes_on_by_itself(door: Door) -> None:
    await door.run("s", "weather Oslo Rome", "hello")
    before = texts(door.sessions.messages("s"))
    whole = door.sessions.fork_session("s")
    part = door.sessions.fork_session("s", messages=5)
    (seen,) = await door.run(whole.id, "again")
    assert seen[-3:] == ["hello", "5 messages until now", "again"]
    (seen,) = await door.run(part.id, "again")
    assert seen == [
        *("weather Oslo Rome", "weather|weather", "rain in Oslo|rain in Rome"),
        *("rain in Oslo and rain in Rome", "again"),
    ]
    assert texts(door.sessions.messages(part.id)) == [*FIRST, "again", "5 messages until now"]
    assert texts(door.sessions.messages("s")) == before
    for id in ("s", whole.id, part.id):
        assert_valid(door.sessions.messages(id))
        assert door.sessions.check(id).problems == ()


async def test_after_a_rewind_the_agent_sees_no_more(door: Door) -> None:
    await door.run("s", "hello", "again", "weather Oslo Rome")
    door.sessions.rewind_session("s", messages=2)
    (seen,) = await door.run("s", "else")
    assert seen == ["hello", "1 messages until now", "else"]
    assert texts(door.sessions.messages("s"))[-2:] == ["else", "3 messages until now"]
    door.sessions.rewind_session("s", messages=0)
    (seen,) = await door.run("s", "anew")
    assert seen == ["anew"]
    assert texts(door.sessions.messages("s")) == ["anew", "1 messages until now"]
    assert door.sessions.check("s").problems == ()


async def test_results_of_one_message_are_not_torn_apart(door: Door) -> None:
    await door.run("s", "weather Oslo Rome")
    with pytest.raises(CheckpointNotFound):
        door.sessions.rewind_session("s", messages=3)
    assert texts(door.sessions.messages("s")) == FIRST
    door.sessions.rewind_session("s", messages=4)  # both results stay
    assert texts(door.sessions.messages("s")) == TURN


async def test_deleted_is_gone_and_the_id_begins_anew(door: Door) -> None:
    await door.run("s", "hello")
    assert door.sessions.delete_session("s")
    assert door.sessions.messages("s") == []
    (seen,) = await door.run("s", "anew")
    assert seen == ["anew"]


async def test_moved_to_another_store_the_agent_goes_on(
    door: Door, tmp_path: Path, store_of: StoreOf
) -> None:
    await door.run("s", "weather Oslo Rome", "hello")
    door.sessions.export_sessions(tmp_path / "sessions.jsonl")
    async with SessionManager("memory://") as other:
        other.import_sessions(tmp_path / "sessions.jsonl")
        assert texts(other.messages("s")) == texts(door.sessions.messages("s"))
        (seen,) = await Door(door.kind, other, store_of).run("s", "again")
        assert seen[-3:] == ["hello", "5 messages until now", "again"]
        assert_valid(other.messages("s"))


async def test_a_call_that_waits_for_approval(sessions: SessionManager, store_of: StoreOf) -> None:
    @tool(name="weather", approval_mode="always_require")
    def asking(city: str) -> str:
        """The weather, if it may be told."""
        return f"rain in {city}"

    def agent() -> Any:
        return forecaster(ThreadloomHistoryProvider(sessions), tools=[asking])

    store = store_of(sessions)
    session = AgentSession(session_id="s")
    answer = await agent().run("weather Oslo", session=session)
    await store.set("s", session)
    (request,) = answer.user_input_requests
    assert texts(sessions.messages("s")) == ["weather Oslo", "weather"]

    session = await store.get("s")
    yes = Message("user", [request.to_function_approval_response(True)])
    answer = await agent().run(yes, session=session)
    assert answer.text == "rain in Oslo"
    await store.set("s", session)
    messages = sessions.messages("s")
    assert texts(messages) == ["weather Oslo", "weather", "rain in Oslo", "rain in Oslo"]
    assert_valid(messages)

    # Back to where it waited, the same request is answered otherwise.
    sessions.rewind_session("s", messages=2)
    stored = await ThreadloomHistoryProvider(sessions).get_messages("s")
    assert [c.type for c in stored[-1].contents][-1] == "function_approval_request"
    assert len(stored) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_messages_that_are_stored_call_by_call(
    sessions: SessionManager, stream: bool
) -> None:
    agent = forecaster(
        ThreadloomHistoryProvider(sessions), require_per_service_call_history_persistence=True
    )
    session = AgentSession(session_id="s")
    if stream:
        async for _ in agent.run("weather Oslo Rome", session=session, stream=True):
            pass
    else:
        await agent.run("weather Oslo Rome", session=session)
    messages = sessions.messages("s")
    assert [text.strip() for text in texts(messages)] == FIRST
    assert_valid(messages)
    info = sessions.get_session("s")
    assert info is not None
    assert info.total_tokens == 14


@pytest.mark.parametrize("kind", ["snapshots", "both"])
async def test_a_process_without_the_framework(
    kind: str, tmp_path: Path, store_of: StoreOf, programs: dict[str, str]
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with SessionManager(url) as sessions:
        await Door(kind, sessions, store_of).run("s", "weather Oslo Rome", "hello")
    code = f"""
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("agent_framework", "threadloom_agent_framework"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from threadloom import SessionManager
with SessionManager({url!r}) as sessions:
    fork = sessions.fork_session("s", messages=5)
    sessions.rewind_session("s", messages=1)
    sessions.export_sessions({str(tmp_path / "exported.jsonl")!r})
    print(json.dumps({{
        "fork": fork.id,
        "texts": [m.text for m in sessions.messages(fork.id)],
        "left": [m.text for m in sessions.messages("s")],
        "found": [match.session.id for match in sessions.search_sessions("Rome")],
    }}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=programs,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["left"] == ["weather Oslo Rome"]
    assert told["texts"] == [FIRST[0], "", *FIRST[2:]]
    assert sorted(told["found"]) == sorted(["s", told["fork"]])
