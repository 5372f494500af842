"""What Threadloom does with sessions works on these, and the SDK goes on with what it leaves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agents import Runner
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession

from openai_agents_fakes import guide
from threadloom import InvalidKey, SerializationError, SessionManager, SessionNotFound, StoreClosed
from threadloom.testing import FrozenClock
from threadloom_openai_agents import FRAMEWORK, ThreadloomSession


async def talk(session: Any, *texts: str) -> list[list[Any]]:
    """What the model saw at the beginning of each run."""
    agent, model = guide()
    seen = []
    for text in texts:
        before = len(model.seen)
        await Runner.run(agent, text, session=session)
        seen.append(model.seen[before])
    return seen


async def trip(sessions: SessionManager, id: str = "trip") -> ThreadloomSession:
    """A session in which a tool was used, with two runs: human, ai, tool, ai, human, ai."""
    session = ThreadloomSession(id, sessions, agent_name="guide", owner="ana")
    await talk(session, "weather in Oslo", "how often?")
    return session


def kinds(sessions: SessionManager, id: Any) -> list[str]:
    return [message.type for message in sessions.messages(id)]


async def test_it_is_listed(sessions: SessionManager) -> None:
    await trip(sessions)
    await trip(sessions, "other")
    await ThreadloomSession("bare", sessions).add_items([{"role": "user", "content": "x"}])
    sessions.create_session(id="alien")
    found = sessions.list_sessions(framework=FRAMEWORK, agent_name="guide", owner="ana")
    assert [info.id for info in found] == ["trip", "other"]
    assert len(sessions.list_sessions(framework=FRAMEWORK)) == 3
    newest = sessions.list_sessions(framework=FRAMEWORK, order_by="updated_at")
    assert [info.id for info in newest] == ["bare", "other", "trip"]


async def test_its_messages(sessions: SessionManager) -> None:
    await trip(sessions)
    human, ai, tool, answer, *_ = sessions.messages("trip")
    assert human.content == "weather in Oslo"
    assert ai.content == "I look."
    assert ai.tool_calls == [
        {"name": "weather", "args": {"city": "Oslo"}, "id": "call_1", "type": "tool_call"}
    ]
    assert (tool.tool_call_id, tool.name, tool.content) == ("call_1", "weather", "rain in Oslo")
    assert answer.content == "It is rain in Oslo."
    info = sessions.get_session("trip")
    assert (info.message_count, info.framework, info.owner) == (6, FRAMEWORK, "ana")
    assert sessions.list_streams("trip") == [FRAMEWORK]


async def test_it_is_found(sessions: SessionManager) -> None:
    session = await trip(sessions)
    await trip(sessions, "other")
    await session.add_items([{"role": "user", "content": "and the fjord?"}])
    assert [match.session.id for match in sessions.search_sessions("fjord")] == ["trip"]
    await session.pop_item()
    assert sessions.search_sessions("fjord") == []


async def test_a_fork_goes_on(sessions: SessionManager) -> None:
    session = await trip(sessions)
    before = await session.get_items()
    fork = sessions.fork_session("trip", name="what if")
    forked = ThreadloomSession(fork, sessions)
    assert await forked.get_items() == before
    (seen,) = await talk(forked, "and then?")
    assert len(seen) == len(before) + 1
    assert await session.get_items() == before
    assert len(await forked.get_items()) == len(before) + 2
    assert kinds(sessions, fork) == [*kinds(sessions, "trip"), "human", "ai"]
    assert sessions.get_session(fork).framework == FRAMEWORK
    assert not sessions.check().problems


# What the SDK has of the first messages: a call without its result it leaves out by itself.
PREFIXES = {0: 0, 1: 1, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7}


@pytest.mark.parametrize("keep", PREFIXES)
@pytest.mark.parametrize("how", ["rewind", "fork"])
async def test_it_goes_on_after_a_cut(sessions: SessionManager, keep: int, how: str) -> None:
    session = await trip(sessions)
    before = await session.get_items()
    if how == "rewind":
        sessions.rewind_session("trip", messages=keep)
    else:
        session = ThreadloomSession(sessions.fork_session("trip", messages=keep), sessions)
    assert await session.get_items() == before[: PREFIXES[keep]]
    (seen,) = await talk(session, "weather in Rome")
    called = [item["call_id"] for item in seen if item.get("type") == "function_call"]
    answered = [item["call_id"] for item in seen if item.get("type") == "function_call_output"]
    assert called == answered
    assert len(seen) == PREFIXES[keep] + 1 - (keep == 2)
    shown = kinds(sessions, session.session_id)
    assert shown[keep:] == ["human", "ai", "tool", "ai"]
    assert not sessions.check().problems


async def test_a_cut_between_parallel_results(sessions: SessionManager) -> None:
    session = ThreadloomSession("a", sessions)
    calls = [_call(id) for id in "xyz"]
    await session.add_items([{"role": "user", "content": "?"}, *calls, *map(_result, "xyz")])
    assert kinds(sessions, "a") == ["human", "ai", "tool", "tool", "tool"]
    sessions.rewind_session("a", messages=3)
    again = ThreadloomSession("a", sessions)  # which knows no names of calls yet
    await again.add_items([_result("z")])
    names = [message.name for message in sessions.messages("a")[2:]]
    assert names == ["tool_x", "tool_z"]


async def test_results_that_come_late(sessions: SessionManager) -> None:
    for item in ({"role": "user", "content": "?"}, _call("x"), _call("y"), _result("x")):
        await ThreadloomSession("a", sessions).add_items([item])
    await ThreadloomSession("a", sessions).add_items([_result("y")])
    await ThreadloomSession("a", sessions).add_items([{"role": "user", "content": "thanks"}])
    shown = sessions.messages("a")
    assert [message.type for message in shown] == ["human", "ai", "tool", "tool", "human"]
    assert [call["name"] for call in shown[1].tool_calls] == ["tool_x", "tool_y"]
    assert [message.name for message in shown[2:4]] == ["tool_x", "tool_y"]
    ids = [message.id for message in shown]
    assert await ThreadloomSession("a", sessions).pop_item() == {
        "role": "user",
        "content": "thanks",
    }
    assert await ThreadloomSession("a", sessions).pop_item() == _result("y")
    assert [message.id for message in sessions.messages("a")] == ids[:3]
    assert sessions.messages("a")[2].name == "tool_x"


async def test_adding_costs_what_is_new(url: str) -> None:
    """However long a session is, and whether or not it was read before."""
    costs: list[tuple[str, int]] = []

    def note(name: str, seconds: float, size: int, error: BaseException | None) -> None:
        costs.append((name, size))

    async def added(session: ThreadloomSession) -> tuple[list[str], int]:
        costs.clear()
        for batch in ([{"role": "user", "content": "?"}], [_call("x"), _result("x")]):
            await session.add_items(batch)
        await session.add_items([{"role": "assistant", "content": "!"}])
        assert await session.pop_item()
        return [name for name, _ in costs], sum(size for _, size in costs)

    with SessionManager(url, on_operation=note) as sessions:
        found = []
        for id, length in (("short", 20), ("long", 120)):
            for n in range(length):
                await ThreadloomSession(id, sessions).add_items([_call(f"{n}"), _result(f"{n}")])
            await ThreadloomSession(id, sessions).add_items([{"role": "user", "content": "?"}])
            found.append(await added(ThreadloomSession(id, sessions)))
    (names, size), (names_of_long, size_of_long) = found
    assert names == names_of_long
    assert size_of_long < size * 1.2


async def test_a_result_of_nothing(sessions: SessionManager) -> None:
    session = ThreadloomSession("a", sessions)
    await session.add_items([_result("lost")])
    await session.add_items([{"role": "user", "content": "?"}])
    lost, _ = sessions.messages("a")
    assert (lost.type, lost.tool_call_id, lost.name) == ("tool", "lost", None)


async def test_it_is_deleted(sessions: SessionManager) -> None:
    session = await trip(sessions)
    assert sessions.delete_session("trip")
    assert await session.get_items() == []
    assert sessions.messages("trip") == []
    assert sessions.search_sessions("Oslo") == []
    await talk(session, "hello")
    assert len(await session.get_items()) == 2
    assert not sessions.check().problems


async def test_clearing_keeps_the_session(sessions: SessionManager) -> None:
    session = await trip(sessions)
    sessions.rename_session("trip", "Oslo")
    await session.clear_session()
    info = sessions.get_session("trip")
    assert (info.name, info.message_count, info.owner) == ("Oslo", 0, "ana")


@pytest.mark.parametrize("target", ["memory", "sqlite", "file"])
async def test_it_moves(sessions: SessionManager, tmp_path: Path, target: str) -> None:
    before = await (await trip(sessions)).get_items()
    shown = sessions.messages("trip")
    sessions.export_sessions(tmp_path / "all.jsonl", ["trip"])
    url = "memory://" if target == "memory" else f"{target}:///{tmp_path / 'target'}"
    with SessionManager(url) as other:
        other.import_sessions(tmp_path / "all.jsonl")
        moved = ThreadloomSession("trip", other)
        assert await moved.get_items() == before
        assert other.messages("trip") == shown
        (seen,) = await talk(moved, "and then?")
        assert len(seen) == len(before) + 1
        other.rewind_session("trip", messages=2)
        assert await moved.get_items() == before[:3]
        assert not other.check().problems


async def test_it_grows_stale(url: str) -> None:
    clock = FrozenClock()
    with SessionManager(url, clock=clock) as sessions:
        session = await trip(sessions)
        clock.advance(timedelta(days=2))
        await trip(sessions, "fresh")
        assert sessions.cleanup_stale(timedelta(days=1)) == 1
        assert await session.get_items() == []
        assert [info.id for info in sessions.list_sessions()] == ["fresh"]


async def test_in_a_turn(sessions: SessionManager) -> None:
    session = await trip(sessions)
    agent, _ = guide()
    async with sessions.turn("trip") as turn:
        result = await Runner.run(agent, "weather in Rome", session=session)
        turn.add_tokens(result.context_wrapper.usage.total_tokens)
    info = sessions.get_session("trip")
    assert (info.status, info.turn_count, info.total_tokens) == ("idle", 1, 14)


async def test_sessions_that_were_there_before(sessions: SessionManager) -> None:
    info = sessions.create_session(name="Oslo", tags=["travel"])
    await talk(ThreadloomSession(info, sessions, agent_name="guide"), "hello")
    found = sessions.get_session(info)
    assert (found.name, found.tags, found.agent_name) == ("Oslo", ("travel",), "guide")
    assert (found.framework, found.message_count) == (FRAMEWORK, 2)


async def test_none_begins_by_itself(url: str) -> None:
    with SessionManager(url, implicit_sessions=False) as sessions:
        session = ThreadloomSession("a", sessions)
        assert await session.get_items() == []
        with pytest.raises(SessionNotFound):
            await session.add_items([{"role": "user", "content": "x"}])


async def test_a_batch_that_cannot_be_stored(sessions: SessionManager) -> None:
    session = await trip(sessions)
    before = await session.get_items()
    with pytest.raises(SerializationError):
        await session.add_items([{"role": "user", "content": "x"}, {"role": lambda: None}])
    assert await session.get_items() == before
    assert len(sessions.messages("trip")) == 6


async def test_a_store_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    async with ThreadloomSession("a", url) as session:
        await talk(session, "hello")
    with pytest.raises(StoreClosed):
        await session.get_items()
    again = ThreadloomSession("a", url)
    assert len(await again.get_items()) == 2
    again.close()
    with pytest.raises(StoreClosed):
        await again.get_items()
    with SessionManager(url) as sessions:
        borrowed = ThreadloomSession("a", sessions)
        await borrowed.aclose()
        borrowed.close()
        assert len(await borrowed.get_items()) == 2


async def test_below_the_sdks_encryption(sessions: SessionManager) -> None:
    session = ThreadloomSession("a", sessions)
    locked = EncryptedSession("a", session, encryption_key="a key of thirty-two characters!!")
    await talk(locked, "weather in Oslo", "how often?")
    first, *others = await locked.get_items()
    assert (first["role"], len(others)) == ("user", 6)
    assert "Oslo" not in str(await session.get_items())
    assert sessions.messages("a") == []


class FakeClient:
    """Stands for the API that compacts."""

    def __init__(self) -> None:
        self.responses = self
        self.given: list[Any] = []

    async def compact(self, **options: Any) -> Any:
        self.given.append(options)
        output = [{"type": "compaction", "id": "cmp_1", "encrypted_content": "…"}]

        class Compacted:
            usage = None

        Compacted.output = output
        return Compacted()


async def test_below_the_sdks_compaction(sessions: SessionManager) -> None:
    session, client = await trip(sessions), FakeClient()
    compacting = OpenAIResponsesCompactionSession(
        "trip", session, client=client, compaction_mode="input"
    )
    await compacting.run_compaction({"force": True})
    assert len(client.given) == 1
    assert [item["type"] for item in await session.get_items()] == ["compaction"]
    assert sessions.messages("trip") == []
    await session.add_items([{"role": "user", "content": "and then?"}])
    assert [message.text for message in sessions.messages("trip")] == ["and then?"]


def _call(id: str) -> dict[str, Any]:
    return {"type": "function_call", "name": f"tool_{id}", "call_id": id, "arguments": "{}"}


def _result(id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": id}


@pytest.mark.parametrize("missing", [None, 5])
def test_what_is_no_id_is_refused(missing: Any, sessions: SessionManager) -> None:
    """Such as what `get_session` gives for an unknown id: else it would be everybody's."""
    with pytest.raises(InvalidKey):
        ThreadloomSession(missing, sessions)
