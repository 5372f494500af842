"""Forks, rewinds, and going back: what is left is the conversation, for the SDK as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    InMemorySessionStore,
    get_session_messages_from_store,
    list_sessions_from_store,
    project_key_for_directory,
)

from claude_transcripts import (
    KEY,
    TOWN,
    Writer,
    call,
    forked,
    info_of,
    plain,
    put,
    says,
    summary,
    town,
    turn,
)
from threadloom import CheckpointNotFound, SessionManager, compose_id
from threadloom_claude_agent_sdk import ThreadloomSessionStore

Store = ThreadloomSessionStore


async def test_fork_and_go_on(store: Store, sessions: SessionManager) -> None:
    writer = town()
    await put(store, writer)
    sub: Any = {**KEY, "subpath": "subagents/agent-a"}
    await store.append(sub, [{"type": "x", "uuid": "s"}])
    fork = sessions.fork_session(await info_of(store))
    key: Any = forked(fork)
    assert await store.load(key) == writer.entries
    assert await store.list_subkeys(key) == ["subagents/agent-a"]
    assert await store.load({**key, "subpath": "subagents/agent-a"}) == [{"type": "x", "uuid": "s"}]
    listed = await store.list_sessions(KEY["project_key"])
    assert [found["session_id"] for found in listed] == [fork.id, KEY["session_id"]]

    stored = len(writer.entries)
    writer.asks("And Rome?")
    writer.says("Rain.", id="msg_4")
    await put(store, writer, key, start=stored)
    await store.append({**key, "subpath": "subagents/agent-b"}, [{"type": "x"}])
    assert await store.load(key) == writer.entries
    assert says(sessions.messages(fork))[-2:] == ["human: And Rome?", "ai: Rain."]
    assert plain(sessions.messages(await info_of(store))) == TOWN
    assert await store.load(KEY) == writer.entries[:stored]
    assert await store.list_subkeys(KEY) == ["subagents/agent-a"]
    # Nobody else's: another project does not have it, nor has a session that began elsewhere.
    assert await store.load({**key, "project_key": "other"}) is None
    sessions.create_session(id="plain", metadata={"project_key": KEY["project_key"]})
    assert await store.load({**KEY, "session_id": "plain"}) is None

    await store.delete({**key, "subpath": "subagents/agent-a"})
    assert await store.list_subkeys(key) == ["subagents/agent-b"]
    await store.delete(key)
    assert sessions.get_session(fork) is None
    assert await store.load(key) is None
    assert await store.load(KEY) == writer.entries[:stored]


@pytest.mark.parametrize("count", range(8))
async def test_rewind_and_go_on(store: Store, sessions: SessionManager, count: int) -> None:
    writer = town()
    await put(store, writer)
    sessions.rewind_session(await info_of(store), messages=count)
    left = await store.load(KEY)
    assert left is not None
    assert left == writer.entries[: len(left)]
    if count < 7:
        # What is left ends with the message that is left last.
        ends = [0, 2, 6, 7, 9, 10, 12]
        assert len(left) == ends[count]
    assert plain(sessions.messages(await info_of(store))) == TOWN[:count]

    # The SDK's listing shows what is left, before and after more is added.
    reference = InMemorySessionStore()
    await reference.append(KEY, left)
    (expected,) = await reference.list_session_summaries(KEY["project_key"])
    assert await summary(store) == expected["data"]
    writer.entries = writer.entries[: len(left)]
    writer.last = next((e["uuid"] for e in reversed(left) if "uuid" in e), None)
    writer.asks("Once more.")
    writer.says("Yes.", id="msg_9")
    for store_of in (store, reference):
        await put(store_of, writer, start=len(left))
    (expected,) = await reference.list_session_summaries(KEY["project_key"])
    assert await summary(store) == expected["data"]
    assert await store.load(KEY) == writer.entries
    assert says(sessions.messages(await info_of(store))) == [
        *(f"{type}: {content}" for type, content, *_ in TOWN[:count]),
        "human: Once more.",
        "ai: Yes.",
    ]
    assert sessions.check().problems == ()


async def test_results_after_a_rewind_know_their_tools(
    store: Store, sessions: SessionManager
) -> None:
    """The CLI answers calls that a rewind left open, in batches of any size."""
    writer = town()
    await put(store, writer)
    sessions.rewind_session(await info_of(store), messages=3)
    left = await store.load(KEY)
    assert left is not None
    writer.entries = writer.entries[: len(left)]
    writer.gets("t2", "interrupted", is_error=True)
    writer.says("Never mind.")
    for entry in writer.entries[len(left) :]:
        await store.append(KEY, [entry])
    messages = sessions.messages(await info_of(store))
    assert plain(messages)[:3] == TOWN[:3]
    assert plain(messages)[3:] == [
        ("tool", "interrupted", [], "t2", "weather"),
        ("ai", "Never mind.", [], None, None),
    ]
    assert messages[3].status == "error"


async def test_an_open_round_is_not_parted(store: Store, sessions: SessionManager) -> None:
    writer = Writer()
    writer.asks("Weather?")
    writer.says(call("t1"), call("t2"), id="msg_1")
    writer.gets("t1", "snow")
    await put(store, writer)
    with pytest.raises(CheckpointNotFound):
        sessions.rewind_session(await info_of(store), messages=2)
    assert await store.load(KEY) == writer.entries
    sessions.rewind_session(await info_of(store), messages=1)
    assert await store.load(KEY) == writer.entries[:1]


async def test_a_fork_that_is_cut(store: Store, sessions: SessionManager) -> None:
    writer = town()
    await put(store, writer)
    fork = sessions.fork_session(await info_of(store), messages=5)
    assert await store.load(forked(fork)) == writer.entries[:10]
    reference = InMemorySessionStore()
    await reference.append(KEY, writer.entries[:10])
    (expected,) = await reference.list_session_summaries(KEY["project_key"])
    assert await summary(store, fork.id) == expected["data"]
    assert (await summary(store))["last_prompt"] == "Thanks!"


async def test_listings_after_a_rewind_are_those_of_the_sdk_s_store(
    store: Store, sessions: SessionManager, tmp_path: Path
) -> None:
    """Neither is stale, so the SDK loads nothing."""
    key = {**KEY, "project_key": project_key_for_directory(str(tmp_path))}
    await put(store, town(), key)
    (info,) = sessions.list_sessions()
    sessions.rewind_session(info, messages=5)
    (found,) = await list_sessions_from_store(store, str(tmp_path))
    assert found.summary == "What is the weather in Oslo and Lima?"
    (listed,) = await store.list_sessions(key["project_key"])
    (summed,) = await store.list_session_summaries(key["project_key"])
    assert summed["mtime"] == listed["mtime"]


@pytest.mark.parametrize("whole", [False, True], ids=["turn by turn", "at once"])
async def test_going_back_inside_the_transcript(
    store: Store, sessions: SessionManager, tmp_path: Path, whole: bool
) -> None:
    """As the CLI does it: what came after stays in the transcript, not in the conversation."""
    key = {**KEY, "project_key": project_key_for_directory(str(tmp_path))}
    writer = Writer()
    done = 0

    async def expect(*said: str) -> None:
        nonlocal done
        if whole and done == 0 and len(writer.entries) < 13:
            return
        await put(store, writer, key, start=done)
        done = len(writer.entries)
        id = compose_id(*key.values())
        assert says(sessions.messages(id)) == list(said)
        shown = await get_session_messages_from_store(store, KEY["session_id"], str(tmp_path))
        words = [
            m.message["content"] if m.type == "user" else m.message["content"][0]["text"]
            for m in shown
        ]
        assert [line.split(": ")[1] for line in said] == words
        assert await store.load(key) == writer.entries
        assert sessions.check().problems == ()

    turn(writer, "one", "1")
    first = writer.last
    await expect("human: one", "ai: 1")
    turn(writer, "two", "2")
    second = writer.last
    writer.note("last-prompt", lastPrompt="two")
    await expect("human: one", "ai: 1", "human: two", "ai: 2")
    writer.last = first
    turn(writer, "three", "3")
    await expect("human: one", "ai: 1", "human: three", "ai: 3")
    turn(writer, "four", "4")
    await expect("human: one", "ai: 1", "human: three", "ai: 3", "human: four", "ai: 4")
    writer.last = second
    turn(writer, "five", "5")
    await expect("human: one", "ai: 1", "human: two", "ai: 2", "human: five", "ai: 5")
    turn(writer, "six", "6")
    last = ["human: five", "ai: 5", "human: six", "ai: 6"]
    await expect("human: one", "ai: 1", "human: two", "ai: 2", *last)
    # The whole of it stays whole in a fork and after a rewind.
    id = compose_id(*key.values())
    fork = sessions.fork_session(id)
    assert await store.load({**key, "session_id": fork.id}) == writer.entries
    sessions.rewind_session(fork, messages=5)
    assert says(sessions.messages(fork)) == ["human: one", "ai: 1", "human: two", "ai: 2", last[0]]
    writer.last = None
    turn(writer, "afresh", "7")
    await expect("human: afresh", "ai: 7")


async def test_going_back_behind_tools_side_by_side(store: Store, sessions: SessionManager) -> None:
    writer = town()
    results = [e for e in writer.entries if "sourceToolAssistantUUID" in e]
    await put(store, writer)
    stored = len(writer.entries)
    writer.last = results[1]["uuid"]
    turn(writer, "Stop.", "Stopped.")
    await put(store, writer, start=stored)
    messages = sessions.messages(await info_of(store))
    assert plain(messages)[:4] == TOWN[:4]
    assert says(messages)[4:] == ["human: Stop.", "ai: Stopped."]


async def test_going_back_to_a_note_between_messages(
    store: Store, sessions: SessionManager
) -> None:
    """Notes in front of what is left out do not bring it back, also not after a rewind."""
    writer = Writer()
    turn(writer, "one", "1")
    note = writer.add("attachment")["uuid"]
    turn(writer, "two", "2")
    writer.last = note
    turn(writer, "three", "3")
    third = writer.last
    turn(writer, "four", "4")
    writer.last = third
    turn(writer, "five", "5")
    for entry in writer.entries:
        await store.append(KEY, [entry])
    expected = ["human: one", "ai: 1", "human: three", "ai: 3", "human: five", "ai: 5"]
    info = await info_of(store)
    assert says(sessions.messages(info)) == expected
    for count in (5, 4, 3):
        fork = sessions.fork_session(info, messages=count)
        left = await store.load(forked(fork))
        assert left is not None
        rest = Writer()
        rest.last = left[-1]["uuid"]
        turn(rest, "six", "6")
        for entry in rest.entries:
            await store.append(forked(fork), [entry])
        assert says(sessions.messages(fork)) == [*expected[:count], "human: six", "ai: 6"]


async def test_a_compacted_conversation_stays_whole(store: Store, sessions: SessionManager) -> None:
    writer = Writer()
    turn(writer, "one", "1")
    writer.entries.append(
        {
            **writer.add("system", subtype="compact_boundary", logicalParentUuid=writer.last),
            "parentUuid": None,
        }
    )
    del writer.entries[-2]
    writer.asks("This session is continued from …", isCompactSummary=True)
    turn(writer, "two", "2")
    for entry in writer.entries:
        await store.append(KEY, [entry])
    said = ["human: one", "ai: 1", "human: two", "ai: 2"]
    assert says(sessions.messages(await info_of(store))) == said
    # Going back after it takes nothing away from before it.
    stored = len(writer.entries)
    writer.last = writer.entries[-2]["parentUuid"]
    turn(writer, "three", "3")
    await put(store, writer, start=stored)
    said[2:] = ["human: three", "ai: 3"]
    assert says(sessions.messages(await info_of(store))) == said
