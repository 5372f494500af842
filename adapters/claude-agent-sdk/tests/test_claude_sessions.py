"""What the SDK stores is a session like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    InMemorySessionStore,
    get_session_messages_from_store,
    list_sessions_from_store,
    project_key_for_directory,
)

from claude_transcripts import KEY, USAGE, Writer, call, plain, says, town
from threadloom import CheckpointNotFound, SessionInfo, SessionManager, compose_id
from threadloom_claude_agent_sdk import FRAMEWORK, TRANSCRIPT, ThreadloomSessionStore

Store = ThreadloomSessionStore
TOWN = [
    ("human", "What is the weather in Oslo and Lima?", [], None, None),
    (
        "ai",
        "Let me look.",
        [("t1", "weather", {"town": "Oslo"}), ("t2", "weather", {"town": "Lima"})],
        None,
        None,
    ),
    ("tool", "snow", [], "t1", "weather"),
    ("tool", "sun", [], "t2", "weather"),
    ("ai", "Snow in Oslo, sun in Lima.", [], None, None),
    ("human", "Thanks!", [], None, None),
    ("ai", "You are welcome.", [], None, None),
]


async def put(store: Any, writer: Writer, key: Any = KEY, *, start: int = 0) -> None:
    """Append what was written, as the SDK does: a batch a turn."""
    await store.append(key, writer.entries[start:])


async def info_of(store: Store) -> SessionInfo:
    info = await store.sessions.aget_session(compose_id(*KEY.values()))
    assert info is not None
    return info


def forked(info: SessionInfo) -> dict[str, str]:
    return {**KEY, "session_id": info.id}


async def summary(store: Store, id: str = KEY["session_id"]) -> dict[str, Any]:
    found = {
        s["session_id"]: s["data"] for s in await store.list_session_summaries(KEY["project_key"])
    }
    return found[id]


async def test_listing_messages_search(store: Store, sessions: SessionManager) -> None:
    writer = town()
    await put(store, writer)
    (info,) = sessions.list_sessions(framework=FRAMEWORK, agent_name="helper", owner="ana")
    assert info.id == compose_id(KEY["project_key"], KEY["session_id"])
    assert info.metadata == {"project_key": KEY["project_key"]}
    assert sessions.list_sessions(framework="other") == []
    messages = sessions.messages(info)
    assert plain(messages) == TOWN
    assert [m.id for m in messages if m.type == "human"] == [
        e["uuid"] for e in writer.entries if isinstance(e.get("message", {}).get("content"), str)
    ]
    assert info.message_count == 7
    assert info.total_tokens == 3 * 21
    assert messages[1].usage_metadata == {
        "input_tokens": 16,
        "output_tokens": 5,
        "total_tokens": 21,
        "input_token_details": {"cache_creation": 3, "cache_read": 2},
    }
    assert sum(USAGE[f"cache_{kind}_input_tokens"] for kind in ("creation", "read")) == 5
    assert messages[1].response_metadata == {"id": "msg_1", "model_name": "claude-sonnet-4-5"}
    assert [match.session.id for match in sessions.search_sessions("lima sun")] == [info.id]
    assert sessions.search_sessions("turn_duration") == []
    assert await store.load(KEY) == writer.entries
    assert sessions.check().problems == ()


async def test_entries_in_pieces_make_the_same_messages(store: Store) -> None:
    """However the SDK cuts its batches, also between the calls of one answer."""
    writer = town()
    for size in (1, 2, 3, 5):
        key = {**KEY, "session_id": f"by-{size}"}
        for at in range(0, len(writer.entries), size):
            await store.append(key, writer.entries[at : at + size])
        id = compose_id(*key.values())
        assert plain(store.sessions.messages(id)) == TOWN
        assert await store.load(key) == writer.entries
        info = store.sessions.get_session(id)
        assert info is not None
        assert info.total_tokens == 3 * 21
        digest = store.sessions.stream(id, TRANSCRIPT).read(0).note
        assert digest == {**digest, "end": len(writer.entries)}
    kept = {s["session_id"]: s for s in await store.list_session_summaries(KEY["project_key"])}
    assert len({json.dumps(s["data"], sort_keys=True) for s in kept.values()}) == 1


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


def turn(writer: Writer, question: str, answer: str) -> None:
    writer.asks(question)
    writer.says(answer)


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


async def test_titles_and_tags(store: Store, sessions: SessionManager) -> None:
    writer = Writer()

    async def after(type: str, **fields: Any) -> tuple[str, tuple[str, ...]]:
        await store.append(KEY, [writer.note(type, **fields)])
        info = await info_of(store)
        return info.name, info.tags

    assert await after("mode", mode="normal") == ("", ())
    assert await after("ai-title", aiTitle="Weather\x00 \ud800talk") == ("Weather talk", ())
    assert await after("custom-title", customTitle="Town") == ("Town", ())
    assert await after("ai-title", aiTitle="Another") == ("Town", ())
    assert await after("tag", tag="a") == ("Town", ("a",))
    sessions.tag_session(await info_of(store), "mine")
    assert await after("tag", tag="b") == ("Town", ("mine", "b"))
    assert await after("tag", tag="") == ("Town", ("mine",))
    # A title that comes again, as at each resume, is not a new one.
    sessions.rename_session(await info_of(store), "My town")
    assert await after("custom-title", customTitle="Town") == ("My town", ("mine",))
    assert await after("custom-title", customTitle="Village") == ("Village", ("mine",))
    assert await after("custom-title", customTitle="") == ("Another", ("mine",))


async def test_delete_and_a_new_life(store: Store, sessions: SessionManager) -> None:
    writer = town()
    await put(store, writer)
    await store.append({**KEY, "subpath": "s"}, [{"type": "x"}])
    assert sessions.delete_session(await info_of(store))
    assert await store.load(KEY) is None
    assert await store.list_subkeys(KEY) == []
    assert await store.list_sessions(KEY["project_key"]) == []
    await put(store, writer)
    assert await store.load(KEY) == writer.entries
    await store.delete(KEY)
    assert sessions.list_sessions() == []
    assert sessions.search_sessions("Oslo") == []


async def test_export_and_import(store: Store, sessions: SessionManager, tmp_path: Path) -> None:
    writer = town()
    await put(store, writer)
    await store.append({**KEY, "subpath": "s"}, [{"type": "x"}])
    fork = sessions.fork_session(await info_of(store), messages=2)
    sessions.export_sessions(tmp_path / "all.jsonl")
    for url in ("memory://", f"sqlite:///{tmp_path}/other.db"):
        async with ThreadloomSessionStore(url) as other:
            other.sessions.import_sessions(tmp_path / "all.jsonl")
            assert await other.load(KEY) == writer.entries
            assert await other.load({**KEY, "subpath": "s"}) == [{"type": "x"}]
            assert await other.load(forked(fork)) == writer.entries[:6]
            project = KEY["project_key"]
            assert await other.list_session_summaries(project) == (
                await store.list_session_summaries(project)
            )
            turn(writer, "Still there?", "Yes.")
            await put(other, writer, start=len(writer.entries) - 2)
            assert says(other.sessions.messages(await info_of(other)))[-1] == "ai: Yes."
            del writer.entries[-2:]


WITHOUT_THE_SDK = """
import json, sys
sys.modules["claude_agent_sdk"] = None
from threadloom import SessionManager
with SessionManager(sys.argv[1]) as sessions:
    (info,) = sessions.list_sessions(framework="claude-agent-sdk")
    said = [(m.type, m.text) for m in sessions.messages(info)]
    (match,) = sessions.search_sessions("Lima")
    fork = sessions.fork_session(info)
    sessions.rewind_session(fork, messages=5)
    sessions.export_sessions(sys.argv[2], [fork.id])
    sessions.delete_session(info)
    items = sessions.stream(fork, "claude-agent-sdk/transcript").read().items
    print(json.dumps([said, match.session.id == info.id, fork.id, len(items), sorted(sys.modules)]))
"""


@pytest.mark.parametrize("kind", ["sqlite", "file"])
async def test_in_a_process_without_the_sdk(tmp_path: Path, kind: str) -> None:
    url = f"{kind}:///{tmp_path}/sessions"
    writer = town()
    async with ThreadloomSessionStore(url) as store:
        await put(store, writer)
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_THE_SDK, url, str(tmp_path / "fork.jsonl")],
            capture_output=True,
            check=True,
            timeout=60,
            text=True,
        )
        said, found, fork, items, modules = json.loads(done.stdout)
        assert [tuple(line) for line in said] == [(line[0], line[1]) for line in TOWN]
        assert (found, items) == (True, 10)
        assert not any("threadloom_claude" in name for name in modules)
        assert await store.load(KEY) is None
        turn(writer, "Still there?", "Yes.")
        key = {**KEY, "session_id": fork}
        await put(store, writer, key, start=len(writer.entries) - 2)
        assert says(store.sessions.messages(fork))[-3:] == [
            "ai: Snow in Oslo, sun in Lima.",
            "human: Still there?",
            "ai: Yes.",
        ]


async def test_a_session_that_was_there_before_is_listed(store: Store) -> None:
    id = compose_id(*KEY.values())
    store.sessions.create_session(id=id, name="before", metadata={"own": 1})
    await put(store, town())
    assert [one["session_id"] for one in await store.list_sessions(KEY["project_key"])] == [
        KEY["session_id"]
    ]
    info = await info_of(store)
    assert info.metadata == {"own": 1, "project_key": KEY["project_key"]}
