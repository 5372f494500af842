"""A conversation is a session like any other, whatever is done to it from outside."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.messages import ModelMessage, ToolCallPart, UserPromptPart
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RunUsage

from pydantic_ai_fakes import make_agent, nothing, says, take_turn, user
from threadloom import CheckpointNotFound, SessionManager, SessionQuery
from threadloom_pydantic_ai import (
    FRAMEWORK,
    ThreadloomConversationStore,
    ThreadloomMessageHistory,
)


def texts(messages: list[ModelMessage]) -> list[str]:
    return [str(part.content) for message in messages for part in message.parts]


def prompts(messages: list[ModelMessage]) -> list[str]:
    return [
        str(part.content)
        for message in messages
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]


async def test_an_agent_s_conversation_is_listed_and_shown(
    store: ThreadloomConversationStore,
) -> None:
    sessions = store.sessions
    assert (
        await take_turn(store, "trip", "Oslo", scope="ana") == "sun in Oslo after 1 questions: Oslo"
    )
    await take_turn(store, "trip", "Rome", scope="ana")
    await take_turn(store, "other", "Bonn", scope="eva")

    (info,) = sessions.list_sessions(framework=FRAMEWORK, agent_name="guide", owner="ana")
    assert (info.id, info.agent_name, info.owner) == ("trip", "guide", "ana")
    assert (info.framework, info.message_count, info.total_tokens) == ("pydantic-ai", 9, 60)

    system, oslo, call, result, answer, *rest = sessions.messages("trip")
    assert isinstance(system, SystemMessage)
    assert system.content == "You know the weather."
    assert isinstance(oslo, HumanMessage)
    assert oslo.content == "Oslo"
    assert isinstance(call, AIMessage)
    assert call.tool_calls == [
        {"name": "weather", "args": {"city": "Oslo"}, "id": "call-1", "type": "tool_call"}
    ]
    assert call.usage_metadata == {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    assert isinstance(result, ToolMessage)
    assert (result.tool_call_id, result.name, result.content, result.status) == (
        *("call-1", "weather", "sun in Oslo"),
        "success",
    )
    assert answer.text == "sun in Oslo after 1 questions: Oslo"
    assert [message.type for message in rest] == ["human", "ai", "tool", "ai"]

    entries = await store.load_entries("trip")
    assert [message.id for message in sessions.messages("trip")] == [
        entries[0].id,
        f"{entries[0].id}:1",
        *(entry.id for entry in entries[1:]),
    ]
    assert [match.session.id for match in sessions.search_sessions("Rome")] == ["trip"]
    query = SessionQuery(text="sun", framework=FRAMEWORK, owner="eva")
    assert [match.session.id for match in sessions.search_sessions(query)] == ["other"]
    assert sessions.check().problems == ()


async def test_a_fork_goes_on_by_itself(store: ThreadloomConversationStore) -> None:
    sessions = store.sessions
    await take_turn(store, "trip", "Oslo", scope="ana")
    await take_turn(store, "trip", "Rome", scope="ana")
    before = await store.load("trip")

    whole = sessions.fork_session("trip")
    record = await store.read_record(whole.id)
    assert (record.conversation_id, record.scope) == (whole.id, "ana")
    assert (record.forked_from, record.forked_at) == ("trip", record.head_id)
    assert (await store.load(whole.id, scope="ana")).messages == before.messages
    answer = await take_turn(store, whole.id, "Bonn")
    assert answer == "sun in Bonn after 3 questions: Oslo, Rome, Bonn"
    assert (await store.read_record(whole.id)).forked_from == "trip"
    again = sessions.fork_session(whole.id)
    assert (await store.read_record(again.id)).forked_from == whole.id

    half = sessions.fork_session("trip", messages=5)
    assert (await store.load(half.id)).messages == before.messages[:4]
    assert await take_turn(store, half.id, "Paris") == (
        "sun in Paris after 2 questions: Oslo, Paris"
    )
    assert (await store.load("trip")) == before
    sessions.delete_session("trip")
    assert prompts((await store.load(whole.id)).messages) == ["Oslo", "Rome", "Bonn"]
    assert prompts((await store.load(half.id)).messages) == ["Oslo", "Paris"]
    assert sessions.check().problems == ()


async def test_after_a_rewind_the_framework_sees_what_is_left(
    store: ThreadloomConversationStore,
) -> None:
    sessions = store.sessions
    await take_turn(store, "trip", "Oslo")
    await take_turn(store, "trip", "Rome")
    before = await store.load("trip")
    stale = await store.load("trip")
    sessions.rewind_session("trip", messages=5)
    now = await store.load("trip")
    assert now.messages == before.messages[:4]
    assert now.usage == before.usage
    with pytest.raises(ConversationConflict):
        await store.save(stale)
    with pytest.raises(ConversationConflict):
        await store.branch("trip", at=1, expected_revision=stale.revision)

    sessions.rewind_session("trip", messages=2)
    assert (await store.load("trip")).messages == before.messages[:1]
    with pytest.raises(ConversationConflict):  # read between the two
        await store.save(now)
    assert await take_turn(store, "trip", "Bonn") == "sun in Bonn after 2 questions: Oslo, Bonn"
    assert [message.text for message in sessions.messages("trip")][:3] == [
        *("You know the weather.", "Oslo", "Bonn")
    ]
    with pytest.raises(CheckpointNotFound):  # one request, two messages
        sessions.rewind_session("trip", messages=1)
    sessions.rewind_session("trip", messages=0)
    assert (await store.load("trip")).messages == []
    assert (await store.read_record("trip")).head_id is None
    assert await take_turn(store, "trip", "Kiev") == "sun in Kiev after 1 questions: Kiev"
    assert sessions.check().problems == ()


async def test_a_rewind_to_a_call_without_its_result(store: ThreadloomConversationStore) -> None:
    await take_turn(store, "trip", "Oslo")
    store.sessions.rewind_session("trip", messages=3)
    loaded = await store.load("trip")
    assert isinstance(loaded.messages[-1].parts[0], ToolCallPart)
    result = await make_agent().run(None, conversation=loaded)
    assert result.output == "sun in Oslo after 1 questions: Oslo"
    await store.save(result)
    assert [message.type for message in store.sessions.messages("trip")] == [
        *("system", "human", "ai", "tool", "ai")
    ]


async def test_what_waits_for_an_answer_goes_with_a_rewind(
    store: ThreadloomConversationStore,
) -> None:
    waiting = DeferredToolRequests(approvals=[ToolCallPart("pay", {"sum": 3}, "c1")])
    conversation = Conversation(
        conversation_id="x",
        messages=[user("1"), says("2"), user("3")],
        deferred_tool_requests=waiting,
        usage=RunUsage(requests=3),
    )
    await store.save(conversation)
    assert (await store.load("x")).deferred_tool_requests == waiting
    fork = store.sessions.fork_session("x")
    assert (await store.load(fork.id)).deferred_tool_requests == waiting
    store.sessions.rewind_session("x", messages=5)  # there are fewer: nothing goes
    assert (await store.load("x")).deferred_tool_requests == waiting
    store.sessions.rewind_session("x", messages=2)
    assert (await store.load("x")).deferred_tool_requests is None
    assert (await store.load("x")).usage == RunUsage(requests=3)


@pytest.mark.parametrize("keep", range(5))
@pytest.mark.parametrize("gap", [False, True])
async def test_branches_and_rewinds(
    store: ThreadloomConversationStore, keep: int, gap: bool
) -> None:
    """A conversation that has branched is taken back along what is shown of it."""
    first = nothing() if gap else user("1")
    await store.save(
        Conversation(conversation_id="x", messages=[user("0"), first, says("2"), user("3")])
    )
    loaded = await store.load("x")
    branched = await store.branch("x", at=2, expected_revision=loaded.revision)
    branched.messages += [says("4")]
    await store.save(branched)
    branched.messages += [user("5"), says("6")]
    await store.save(branched)
    line = ["0", "4", "5", "6"] if gap else ["0", "1", "4", "5", "6"]
    shown = [message.text for message in store.sessions.messages("x")]
    assert shown == line
    old = (await store.read_record("x")).branches
    assert len(old) == 1

    store.sessions.rewind_session("x", messages=keep)
    assert texts((await store.load("x")).messages) == line[:keep]
    record = await store.read_record("x")
    branch_is_left = keep > (1 if gap else 2)
    assert record.branches == (
        old if (branch_is_left and keep < len(line)) or keep == len(line) else []
    )
    conversation = await store.load("x")
    conversation.messages += [user("7"), says("8")]
    await store.save(conversation)
    assert [m.text for m in store.sessions.messages("x")] == [*line[:keep], "7", "8"]
    assert texts((await store.load("x")).messages) == [*line[:keep], "7", "8"]
    if record.branches:
        revision = conversation.revision
        back = await store.branch("x", from_entry=old[0], expected_revision=revision)
        want = ["0", "2", "3"] if gap else ["0", "1", "2", "3"]
        assert texts(back.messages) == want
        assert [m.text for m in store.sessions.messages("x")] == want
    assert store.sessions.check().problems == ()


async def test_a_fork_by_the_framework_has_all_that_it_needs(
    store: ThreadloomConversationStore,
) -> None:
    await take_turn(store, "trip", "Oslo", scope="ana")
    ids = [entry.id for entry in await store.load_entries("trip")]
    fork = await store.fork("trip", at=2, new_conversation_id="fork")
    assert [entry.id for entry in await store.load_entries("fork")] == ids[:2]
    assert store.sessions.get_session("fork").owner == "ana"
    assert [message.type for message in store.sessions.messages("fork")] == [
        *("system", "human", "ai")
    ]
    await store.delete("trip")
    assert store.sessions.get_session("trip") is None
    fork.messages.append(user("go on"))
    await store.save(fork)
    assert [entry.id for entry in await store.load_entries("fork")][:2] == ids[:2]
    assert (await store.read_entry(ids[0])).message == fork.messages[0]
    with pytest.raises(KeyError):
        await store.read_entry(ids[-1])


async def test_delete_leaves_nothing(sqlite_url: str, tmp_path: Path) -> None:
    async with ThreadloomConversationStore(sqlite_url) as store:
        await take_turn(store, "trip", "Reykjavik")
        await store.delete("trip", scope="eva")
        assert await store.load("trip") is not None
        await store.delete("trip")
        assert await store.load("trip") is None
        assert store.sessions.search_sessions("Reykjavik") == []
        assert store.sessions.stats().records == 1  # that something was deleted
        store.sessions.compact("trip")
    assert b"Reykjavik" not in (tmp_path / "shared.db").read_bytes()


async def test_a_delete_spares_what_was_saved_meanwhile(
    store: ThreadloomConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the delete somebody saves, or only adds a tag."""
    await take_turn(store, "trip", "Oslo")
    delete = store.sessions.adelete_session

    async def late(id: str, *, expected_version: int) -> bool:
        monkeypatch.undo()
        await take_turn(store, "trip", "Rome")
        return await delete(id, expected_version=expected_version)

    async def tagged(id: str, *, expected_version: int) -> bool:
        monkeypatch.undo()
        store.sessions.tag_session(id, "t")
        return await delete(id, expected_version=expected_version)

    record = await store.read_record("trip")
    monkeypatch.setattr(store.sessions, "adelete_session", late)
    with pytest.raises(ConversationConflict):
        await store.delete_record("trip", expected_revision=record.revision)
    assert prompts((await store.load("trip")).messages) == ["Oslo", "Rome"]
    record = await store.read_record("trip")
    monkeypatch.setattr(store.sessions, "adelete_session", tagged)
    await store.delete_record("trip", expected_revision=record.revision)
    assert await store.load("trip") is None


async def test_of_saves_at_once_one_wins(store: ThreadloomConversationStore) -> None:
    await take_turn(store, "trip", "Oslo")
    loaded = [await store.load("trip") for _ in range(8)]
    for number, conversation in enumerate(loaded):
        conversation.messages.append(user(f"late {number}"))
    results = await asyncio.gather(*map(store.save, loaded), return_exceptions=True)
    assert sum(isinstance(result, list) for result in results) == 1
    assert sum(isinstance(result, ConversationConflict) for result in results) == 7
    winner = next(n for n, result in enumerate(results) if isinstance(result, list))
    assert prompts((await store.load("trip")).messages) == ["Oslo", f"late {winner}"]
    started = [Conversation(conversation_id="new", messages=[user(str(n))]) for n in range(5)]
    results = await asyncio.gather(*map(store.save, started), return_exceptions=True)
    assert sum(isinstance(result, ConversationConflict) for result in results) == 4


async def test_the_session_s_owner_is_the_scope(store: ThreadloomConversationStore) -> None:
    sessions = store.sessions
    await take_turn(store, "trip", "Oslo", scope="ana")
    sessions.update_session("trip", owner="eva")
    assert await store.load("trip", scope="ana") is None
    assert (await store.load("trip", scope="eva")).messages
    assert [r.conversation_id for r in await store.list_conversations(scope="eva")] == ["trip"]
    await take_turn(store, "trip", "Rome", scope="eva")

    made = sessions.create_session(id="made", owner="ana", name="Made before")
    assert await store.load(made.id) is None
    with pytest.raises(ConversationConflict):
        await take_turn(store, made.id, "Oslo", scope="eva")
    await take_turn(store, made.id, "Oslo")
    assert (await store.read_record(made.id)).scope == "ana"
    assert sessions.get_session(made.id).name == "Made before"


async def test_lists_go_by_the_last_save(store: ThreadloomConversationStore) -> None:
    for id in ("a", "b", "c", "d"):
        await take_turn(store, id, "Oslo")
    history = ThreadloomMessageHistory("plain", store.sessions)
    history.append([user("not a conversation")])
    store.sessions.tag_session("a", "seen")  # activity, but no save
    store.sessions.tag_session("b", "seen")
    listed = [record.conversation_id for record in await store.list_conversations()]
    assert listed == ["d", "c", "b", "a"]
    for limit in range(5):
        found = await store.list_conversations(limit=limit)
        assert [record.conversation_id for record in found] == listed[:limit]


async def test_export_and_import(store: ThreadloomConversationStore, tmp_path: Path) -> None:
    await take_turn(store, "trip", "Oslo", scope="ana")
    await take_turn(store, "trip", "Rome")
    loaded = await store.load("trip")
    await store.branch("trip", at=4, expected_revision=loaded.revision)
    await take_turn(store, "trip", "Paris")
    assert (await store.read_record("trip")).branches
    store.sessions.export_sessions(tmp_path / "all.jsonl")
    async with ThreadloomConversationStore(f"sqlite:///{tmp_path}/other.db") as other:
        other.sessions.import_sessions(tmp_path / "all.jsonl")
        assert await other.read_record("trip") == await store.read_record("trip")
        assert await other.load_entries("trip") == await store.load_entries("trip")
        assert other.sessions.messages("trip") == store.sessions.messages("trip")
        await take_turn(other, "trip", "Bonn")
        assert prompts((await other.load("trip")).messages) == ["Oslo", "Paris", "Bonn"]
        assert other.sessions.check().problems == ()


WITHOUT = """
import sys
from threadloom import SessionManager
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pydantic_ai", "threadloom_pydantic_ai"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
url, other, path = sys.argv[1:]
with SessionManager(url) as sessions, SessionManager(other) as target:
    assert sessions.delete_session("gone")
    assert [m.type for m in sessions.messages("trip")] == ["system", "human", "ai", "tool", "ai"]
    fork = sessions.fork_session("trip", messages=2)
    print(fork.id)
    sessions.rewind_session("trip", messages=4)
    assert len(sessions.messages("trip")) == 4
    sessions.export_sessions(path)
    target.import_sessions(path)
    assert [m.session.id for m in target.search_sessions("sun")] == ["trip"]
    assert sessions.check().problems == ()
assert "pydantic_ai" not in sys.modules
"""


async def test_a_process_that_has_no_framework(sqlite_url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    async with ThreadloomConversationStore(sqlite_url) as store:
        await take_turn(store, "trip", "Oslo")
        await take_turn(store, "gone", "Rome")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, sqlite_url, other, str(tmp_path / "x.jsonl")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    async with ThreadloomConversationStore(sqlite_url) as store:
        assert len((await store.load("trip")).messages) == 3
        assert await take_turn(store, done.stdout.strip(), "Bonn") == (
            "sun in Bonn after 2 questions: Oslo, Bonn"
        )
        assert await store.load("gone") is None
    async with ThreadloomConversationStore(other) as store:
        assert len((await store.load("trip")).messages) == 3


async def test_a_url_s_manager_is_closed_and_a_given_one_stays_open(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with SessionManager(url) as sessions:
        async with ThreadloomConversationStore(sessions) as store:
            await take_turn(store, "trip", "Oslo")
        with ThreadloomMessageHistory("plain", sessions) as history:
            history.append([user("hello")])
        assert sessions.get_session("trip") is not None
    for make in (ThreadloomConversationStore, lambda url: ThreadloomMessageHistory("x", url)):
        owner = make(url)
        with owner:
            assert owner.sessions.count_sessions() == 2
        with pytest.raises(ConnectionError):
            owner.sessions.count_sessions()
