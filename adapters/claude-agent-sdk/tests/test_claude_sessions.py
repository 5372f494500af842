"""What the SDK stores is a session like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from claude_transcripts import (
    KEY,
    TOWN,
    USAGE,
    Writer,
    forked,
    info_of,
    plain,
    put,
    says,
    town,
    turn,
)
from threadloom import SessionManager, compose_id
from threadloom_claude_agent_sdk import FRAMEWORK, TRANSCRIPT, ThreadloomSessionStore

Store = ThreadloomSessionStore


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
        assert store.sessions.stream(id, TRANSCRIPT).read(0).note_current
    kept = {s["session_id"]: s for s in await store.list_session_summaries(KEY["project_key"])}
    assert len({json.dumps(s["data"], sort_keys=True) for s in kept.values()}) == 1


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
