"""The SDK's own contract, and its helpers over our store beside its own store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    InMemorySessionStore,
    SessionStore,
    delete_session_via_store,
    fork_session_via_store,
    get_session_info_from_store,
    get_session_messages_from_store,
    get_subagent_messages_from_store,
    import_session_to_store,
    list_sessions_from_store,
    list_subagents_from_store,
    project_key_for_directory,
    rename_session_via_store,
    tag_session_via_store,
)
from claude_agent_sdk.testing import run_session_store_conformance

from claude_transcripts import KEY, Writer, town
from threadloom import InvalidKey, SessionManager, open_store
from threadloom_claude_agent_sdk import ThreadloomSessionStore

OTHER = "0b3c1d5e-1111-4222-8333-944445555666"


async def test_the_sdk_s_conformance_suite(url: str, tmp_path: Path) -> None:
    made: list[ThreadloomSessionStore] = []

    def fresh() -> SessionStore:
        where = url if url == "memory://" else f"{url}-{len(made)}"
        made.append(ThreadloomSessionStore(where))
        return made[-1]

    await run_session_store_conformance(fresh)
    assert len(made) >= 13
    for store in made:
        await store.aclose()


async def test_the_conformance_suite_over_tenants_of_one_store(url: str) -> None:
    with open_store(url) as engine:
        tenants = iter(range(100))

        def fresh() -> SessionStore:
            return ThreadloomSessionStore(SessionManager(engine, tenant=f"t{next(tenants)}"))

        await run_session_store_conformance(fresh)


@pytest.fixture
async def both(store: ThreadloomSessionStore) -> list[SessionStore]:
    return [InMemorySessionStore(), store]


def transcripts(key: dict[str, str]) -> list[tuple[dict[str, str], list[dict[str, Any]]]]:
    """What is appended to a session: its own transcript in pieces, and two subagents'."""
    main = town(Writer(key["session_id"]))
    agent = Writer(key["session_id"])
    agent.asks("Look at the sky.", isSidechain=True, agentId="a1")
    agent.says("It is blue.", isSidechain=True, agentId="a1")
    about = {"type": "agent_metadata", "agentType": "looker", "toolUseId": "t1"}
    nested = {**key, "subpath": "subagents/workflows/run-1/agent-b2"}
    return [
        (key, main.entries[:3]),
        ({**key, "subpath": "subagents/agent-a1"}, [*agent.entries, about]),
        (key, main.entries[3:8]),
        (nested, agent.entries[:1]),
        (key, main.entries[8:]),
    ]


async def test_helpers_show_the_same_as_over_the_sdk_s_own_store(
    both: list[SessionStore], tmp_path: Path
) -> None:
    folder = str(tmp_path)
    key = {**KEY, "project_key": project_key_for_directory(folder)}
    other = {**key, "session_id": OTHER}
    work = [*transcripts(key), *transcripts(other)]
    sidechain = {"type": "user", "isSidechain": True, "message": {"content": "x"}, "uuid": "s"}
    lost = {**key, "session_id": "0b3c1d5e-1111-4222-8333-944445555667"}
    shown: list[Any] = []
    for store in both:
        for where, entries in [*work, (lost, [sidechain])]:
            await store.append(where, entries)
        one = key["session_id"]
        await rename_session_via_store(store, one, "  Town  ", folder)
        await tag_session_via_store(store, one, "old", folder)
        await tag_session_via_store(store, one, "weather", folder)
        await tag_session_via_store(store, OTHER, "gone", folder)
        await tag_session_via_store(store, OTHER, None, folder)
        infos = [asdict(info) for info in await list_sessions_from_store(store, folder)]
        by_load = []
        for id in (one, OTHER):
            found = await get_session_info_from_store(store, id, folder)
            assert found is not None
            by_load.append(asdict(found))
        messages = await get_session_messages_from_store(store, one, folder)
        paged = await get_session_messages_from_store(store, one, folder, 2, 3)
        agents = await list_subagents_from_store(store, one, folder)
        of_agent = [await get_subagent_messages_from_store(store, one, a, folder) for a in agents]
        for info in (*infos, *by_load):
            assert info.pop("last_modified") > 1e12
        shown.append([infos, by_load, messages, paged, agents, of_agent])
        assert [info["session_id"] for info in infos] == [OTHER, one]
        assert infos[1]["custom_title"] == "Town"
        assert infos[1]["tag"] == "weather"
        assert len(messages) >= 8  # the SDK's first ones leave out one of two results
        assert len(agents) == 2
        await delete_session_via_store(store, OTHER, folder)
        left = await list_sessions_from_store(store, folder)
        assert [info.session_id for info in left] == [one]
        assert await store.load(other) is None
    assert shown[0] == shown[1]


async def test_forks_of_the_sdk(both: list[SessionStore], tmp_path: Path) -> None:
    folder = str(tmp_path)
    key = {**KEY, "project_key": project_key_for_directory(folder)}
    main = town(Writer(key["session_id"]))
    middle = main.entries[8]["uuid"]
    forks: list[Any] = []
    for store in both:
        await store.append(key, main.entries)
        whole = await fork_session_via_store(store, key["session_id"], folder, title="Whole")
        cut = await fork_session_via_store(store, key["session_id"], folder, middle)
        for id in (whole.session_id, cut.session_id):
            messages = await get_session_messages_from_store(store, id, folder)
            info = await get_session_info_from_store(store, id, folder)
            assert info is not None
            forks.append(([(m.type, m.message) for m in messages], info.custom_title))
    assert forks[:2] == forks[2:]
    assert len(forks[0][0]) > len(forks[1][0])
    ours = both[1]
    assert isinstance(ours, ThreadloomSessionStore)
    assert {info.name for info in ours.sessions.list_sessions()} == {"", forks[0][1], forks[1][1]}


async def test_an_import_of_a_transcript_on_disk(
    both: list[SessionStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    folder = tmp_path / "claude" / "projects" / KEY["project_key"]
    loaded: list[Any] = []
    for key, entries in transcripts(KEY):
        path = folder.joinpath(KEY["session_id"], key["subpath"]) if "subpath" in key else None
        path = (path or folder / KEY["session_id"]).with_suffix(".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries)
    for store in both:
        await import_session_to_store(KEY["session_id"], store, batch_size=4)
        subkeys = sorted(await store.list_subkeys(KEY))
        keys = [KEY, *({**KEY, "subpath": subpath} for subpath in subkeys)]
        loaded.append([(key, await store.load(key)) for key in keys])
    assert loaded[0] == loaded[1]
    assert len(loaded[0]) == 3
    # Once more: what has an id is there already.
    ours = both[1]
    before = loaded[1][0][1]
    await import_session_to_store(KEY["session_id"], ours)
    again = await ours.load(KEY)
    assert again is not None
    assert [e for e in again if "uuid" in e] == [e for e in before if "uuid" in e]


async def test_an_entry_that_is_there_is_left_out(store: ThreadloomSessionStore) -> None:
    sub = {**KEY, "subpath": "subagents/agent-1"}
    for key in (KEY, sub):
        first = {"type": "x", "uuid": "one", "n": 1}
        await store.append(key, [first, {"type": "mode"}, first])
        changed: list[Any] = [{**first, "n": 2}, {"type": "mode"}, {"type": "x", "uuid": "two"}]
        await store.append(key, changed)
        await store.append(key, changed[:1])
        assert await store.load(key) == [
            first,
            {"type": "mode"},
            {"type": "mode"},
            {"type": "x", "uuid": "two"},
        ]


async def test_appends_keep_the_order_of_calls(store: ThreadloomSessionStore) -> None:
    batches = [[{"type": "x", "uuid": f"{n}-{m}"} for m in range(3)] for n in range(12)]
    await asyncio.gather(*(store.append(KEY, batch) for batch in batches))
    assert await store.load(KEY) == [e for batch in batches for e in batch]


async def test_nothing_appended_makes_no_session(
    store: ThreadloomSessionStore, sessions: SessionManager
) -> None:
    await store.append(KEY, [])
    await store.delete(KEY)
    await store.delete({**KEY, "subpath": "subagents/none"})
    assert sessions.list_sessions() == []


async def test_a_subagent_alone_is_no_session_of_the_project(store: ThreadloomSessionStore) -> None:
    sub: Any = {**KEY, "subpath": "transcript"}
    await store.append(sub, [{"type": "x"}])
    assert await store.list_sessions(KEY["project_key"]) == []
    assert await store.list_session_summaries(KEY["project_key"]) == []
    assert await store.load(KEY) is None
    assert await store.list_subkeys(KEY) == ["transcript"]


AWKWARD = ["a/b", "../x", "%2F", "é ✓", "a%2Fb", "a" * 300, "transcript", " "]


async def test_keys_of_any_text_stay_apart(store: ThreadloomSessionStore) -> None:
    keys: list[Any] = [{"project_key": p, "session_id": s} for p in AWKWARD[:5] for s in AWKWARD]
    keys += [{**keys[0], "subpath": subpath} for subpath in AWKWARD]
    for number, key in enumerate(keys):
        await store.append(key, [{"type": "x", "uuid": "same", "n": number}])
    for number, key in enumerate(keys):
        assert await store.load(key) == [{"type": "x", "uuid": "same", "n": number}]
    for project in AWKWARD[:5]:
        listed = await store.list_sessions(project)
        assert sorted(found["session_id"] for found in listed) == sorted(AWKWARD)
    assert sorted(await store.list_subkeys(keys[0])) == sorted(AWKWARD)


@pytest.mark.parametrize(
    "change",
    [{"subpath": ""}, {"session_id": ""}, {"project_key": ""}, {"session_id": "a\0b"}],
    ids=str,
)
async def test_keys_that_cannot_be_stored(
    store: ThreadloomSessionStore, change: dict[str, str]
) -> None:
    key: Any = {**KEY, **change}
    calls: list[Callable[[], Any]] = [
        lambda: store.append(key, [{"type": "x"}]),
        lambda: store.load(key),
        lambda: store.delete(key),
    ]
    for made in calls:
        with pytest.raises(InvalidKey):
            await made()
    assert store.sessions.list_sessions() == []


async def test_every_optional_method_is_there() -> None:
    names = ("list_sessions", "list_session_summaries", "delete", "list_subkeys")
    for name in names:
        assert name in vars(ThreadloomSessionStore)
