"""Many writers at once lose nothing, and a process that is killed leaves no half of an append."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from claude_transcripts import KEY, says
from threadloom import (
    SessionConflict,
    SessionManager,
    SessionStream,
    StoreUnavailable,
    compose_id,
    open_store,
)
from threadloom.testing import FaultyStore
from threadloom_claude_agent_sdk import ThreadloomSessionStore

ID = compose_id(*KEY.values())
TESTS = str(Path(__file__).parent)

# Appends batches of three entries: a question, its answer and a title. Says "begun" once it is
# ready, and what is committed, a line a batch.
WRITER = """
import asyncio, sys
from threadloom_claude_agent_sdk import ThreadloomSessionStore
from claude_transcripts import KEY

async def main(url, who, count):
    async with ThreadloomSessionStore(url) as store:
        print("begun", flush=True)
        for n in range(count):
            batch = [
                {"type": "user", "uuid": f"{who}-{n}-q", "message": {"content": f"{who}-{n}-q"}},
                {"type": "assistant", "uuid": f"{who}-{n}-a",
                 "message": {"id": f"{who}-{n}",
                             "content": [{"type": "text", "text": f"{who}-{n}-a"}]}},
                {"type": "ai-title", "aiTitle": f"{who}-{n}"},
            ]
            await store.append(KEY, batch)
            print(n, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def writer(url: str, who: str, count: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, who, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def batches(entries: list[Any]) -> list[tuple[str, ...]]:
    """What was appended at once, in order; fails where something stands between or is missing."""
    assert len(entries) % 3 == 0
    found: list[tuple[str, ...]] = []
    for at in range(0, len(entries), 3):
        question, answer, title = entries[at : at + 3]
        name = title["aiTitle"]
        assert (question["uuid"], answer["uuid"]) == (f"{name}-q", f"{name}-a")
        found.append(tuple(name.split("-")))
    return found


async def check(url: str) -> list[tuple[str, ...]]:
    """That items, messages and summary say the same; returns the batches."""
    async with ThreadloomSessionStore(url) as store:
        loaded = await store.load(KEY) or []
        done = batches(loaded)
        session = store.sessions.get_session(ID)
        if session is None:
            assert loaded == []
            return done
        said = [f"{who}-{n}-{part}" for who, n in done for part in "qa"]
        assert [line.split(": ")[1] for line in says(store.sessions.messages(ID))] == said
        assert session.message_count == len(said)
        (summary,) = await store.list_session_summaries(KEY["project_key"])
        assert summary["data"]["ai_title"] == "-".join(done[-1])
        assert summary["data"]["first_prompt"] == said[0]
        assert store.sessions.check().problems == ()
        return done


@pytest.mark.parametrize("kind", ["sqlite", "file"])
async def test_processes_at_once(tmp_path: Path, kind: str) -> None:
    url = f"{kind}:///{tmp_path}/sessions"
    running = [writer(url, who, 12) for who in "xy"]
    try:
        for process in running:
            assert process.wait(timeout=100) == 0
    finally:
        for process in running:
            process.kill()
            process.communicate()
    done = await check(url)
    for who in "xy":
        assert [batch for batch in done if batch[0] == who] == [(who, str(n)) for n in range(12)]


SUBAGENT = {**KEY, "subpath": "subagents/a"}
of_both = pytest.mark.parametrize("key", [KEY, SUBAGENT], ids=["its own", "a subagent's"])


@of_both
def test_threads_at_once(url: str, key: Any) -> None:
    """Each with an event loop of its own, all on one store."""
    count = 6
    with SessionManager(url) as sessions:
        store = ThreadloomSessionStore(sessions)
        failed: list[BaseException] = []

        async def work(who: int) -> None:
            for n in range(count):
                entry = {"type": "user", "uuid": f"{who}-{n}", "message": {"content": f"{who}-{n}"}}
                await store.append(key, [entry, {"type": "mode"}])

        def run(who: int) -> None:
            try:
                asyncio.run(work(who))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
        assert failed == []
        loaded = asyncio.run(store.load(key))
        assert loaded is not None
        assert [e["type"] for e in loaded] == ["user", "mode"] * (4 * count)
        ids = [e["uuid"] for e in loaded[::2]]
        for who in range(4):
            assert [id for id in ids if id.startswith(f"{who}-")] == [
                f"{who}-{n}" for n in range(count)
            ]
        said = [line.removeprefix("human: ") for line in says(sessions.messages(ID))]
        assert said == (ids if key is KEY else [])


@of_both
async def test_one_entry_from_many_is_there_once(store: ThreadloomSessionStore, key: Any) -> None:
    """The same batch again and again, as after time-outs."""
    other = ThreadloomSessionStore(store.sessions)
    entries: Any = [{"type": "user", "uuid": str(n), "message": {"content": "x"}} for n in range(5)]
    await asyncio.gather(*(one.append(key, entries) for one in (store, other) for _ in range(4)))
    assert await store.load(key) == entries


@pytest.mark.parametrize("after", [False, True], ids=["not written", "answer lost"])
@pytest.mark.parametrize("exists", [False, True], ids=["new", "there before"])
async def test_title_tag_and_project_are_stored_with_the_entries_or_not_at_all(
    url: str, exists: bool, after: bool
) -> None:
    """Whichever batch fails: the SDK gives the entries once more, and nothing is missing."""
    said: Any = {"type": "user", "uuid": "1", "message": {"content": "hi"}}
    titled: Any = {"type": "custom-title", "uuid": "2", "customTitle": "Trip"}
    tagged: Any = {"type": "tag", "uuid": "3", "tag": "fun"}
    faulty = FaultyStore(open_store(url))
    with faulty, SessionManager(faulty) as sessions:
        store = ThreadloomSessionStore(sessions)
        for batch in range(1, 20):
            key: Any = {**KEY, "session_id": f"s{batch}"}
            id = compose_id(*key.values())
            if exists:
                sessions.create_session(id=id, tags=["mine"])
            faulty.fail_next(batch, after=after)
            failed = False
            try:
                await store.append(key, [said, titled, tagged])
            except StoreUnavailable:
                failed = True
                info = sessions.get_session(id)
                stored = await store.load(key)
                assert (stored is None) == (info is None or info.name == "")
                await store.append(key, [said, titled, tagged])
            faulty.disarm()
            info = sessions.get_session(id)
            assert info is not None
            assert await store.load(key) == [said, titled, tagged]
            assert (info.name, info.tags) == ("Trip", ("mine", "fun") if exists else ("fun",))
            listed = await store.list_sessions(key["project_key"])
            assert key["session_id"] in {one["session_id"] for one in listed}
            if not failed:
                assert batch > 3
                return
    raise AssertionError("it never came to an end")


@of_both
@pytest.mark.parametrize("uuid", ["a\0", "\ud800"], ids=["NUL", "a surrogate"])
async def test_an_id_that_cannot_be_stored_counts_as_none(
    store: ThreadloomSessionStore, key: Any, uuid: str
) -> None:
    entries: Any = [
        {"type": "user", "uuid": "1", "message": {"content": "one"}},
        {"type": "user", "uuid": uuid, "parentUuid": "1", "message": {"content": "two"}},
        {"type": "user", "uuid": "3", "parentUuid": uuid, "message": {"content": "three"}},
    ]
    await store.append(key, entries)
    assert await store.load(key) == entries
    if key is KEY:
        messages = store.sessions.messages(ID)
        assert says(messages) == ["human: one", "human: two", "human: three"]
        assert store.sessions.check().problems == ()
        assert len(await store.list_session_summaries(KEY["project_key"])) == 1


async def test_an_append_is_tried_again_only_if_somebody_was_faster(
    store: ThreadloomSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int | None] = []

    async def refuse(*_: object, expect: int, **__: object) -> None:
        tried.append(expect)
        if len(tried) == 3:
            raise SessionConflict("the turn is over")
        raise SessionConflict("somebody was faster", expected=expect, found=expect + 1)

    monkeypatch.setattr(SessionStream, "aappend", refuse)
    with pytest.raises(SessionConflict, match="the turn is over"):
        await store.append(KEY, [{"type": "user", "uuid": "1"}])
    assert len(tried) == 3


@pytest.mark.soak(full=50)
@pytest.mark.parametrize("kind", ["sqlite", "file"])
async def test_a_killed_process(tmp_path: Path, kind: str, rounds: int) -> None:
    """It is killed after a random number of batches, somewhere in the next one."""
    url = f"{kind}:///{tmp_path}/sessions"
    expected: list[tuple[str, ...]] = []
    for round in range(rounds):
        process = writer(url, f"k{round}", 100_000)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            for _ in range(random.randint(0, 12)):
                process.stdout.readline()
            for _ in range(random.randint(0, 20_000)):
                pass  # somewhere in the next one, not at its beginning
        finally:
            os.kill(process.pid, signal.SIGKILL)
            told = [int(line) for line in process.communicate(timeout=60)[0].split()]
        done = await check(url)
        mine = [batch for batch in done if batch[0] == f"k{round}"]
        # All that it said was committed is there, and at most the one that it had no time to tell.
        assert done == [*expected, *mine]
        assert mine == [(f"k{round}", str(n)) for n in range(len(mine))]
        if told:
            assert len(mine) in (told[-1] + 1, told[-1] + 2)
        expected = done
    assert json.dumps(expected)
