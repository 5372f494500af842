"""Several processes on one store: going on, at once, and killed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelMessage

from pydantic_ai_fakes import says, user
from pydantic_ai_program import BATCH
from threadloom import SessionManager
from threadloom_pydantic_ai import ThreadloomConversationStore, ThreadloomMessageHistory

PROGRAM = str(Path(__file__).with_name("pydantic_ai_program.py"))


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What a process printed, after it ended by itself."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out.strip()


def texts(messages: list[ModelMessage]) -> list[str]:
    return [str(part.content) for message in messages for part in message.parts]


async def test_another_process_goes_on(sqlite_url: str) -> None:
    assert finish(start("turn", sqlite_url, "trip", "Oslo")) == (
        "sun in Oslo after 1 questions: Oslo"
    )
    assert finish(start("turn", sqlite_url, "trip", "Rome")) == (
        "sun in Rome after 2 questions: Oslo, Rome"
    )
    async with ThreadloomConversationStore(sqlite_url) as store:
        loaded = await store.load("trip")
        assert (loaded.usage.requests, loaded.usage.tool_calls) == (4, 2)
        assert [message.type for message in store.sessions.messages("trip")] == [
            *("system", "human", "ai", "tool", "ai"),
            *("human", "ai", "tool", "ai"),
        ]


def test_another_process_goes_on_with_a_message_history(sqlite_url: str) -> None:
    finish(start("ask", sqlite_url, "trip", "Oslo"))
    said = finish(start("ask", sqlite_url, "trip", "Rome"))
    assert said == "sun in Rome after 2 questions: Oslo, Rome"
    with SessionManager(sqlite_url) as sessions:
        assert [message.type for message in sessions.messages("trip")] == [
            *("system", "human", "ai", "tool", "ai"),
            *("human", "ai", "tool", "ai"),
        ]


async def test_processes_at_once_lose_nothing(sqlite_url: str) -> None:
    names, count = ("a", "b"), 15
    running = [
        start(command, sqlite_url, command, name, str(count))
        for command in ("save", "add")
        for name in names
    ]
    for process in running:
        finish(process)
    async with ThreadloomConversationStore(sqlite_url) as store:
        history = ThreadloomMessageHistory("add", store.sessions)
        for id, found in (
            ("save", texts((await store.load("save")).messages)),
            ("add", texts(history.load())),
        ):
            assert sorted(found) == sorted(
                f"{name}.{number}" for name in names for number in range(count) for _ in "12"
            )
            assert found[::2] == found[1::2]  # what came together stays together
            assert [message.text for message in store.sessions.messages(id)] == found
        assert (await store.read_record("save")).branches == []
        assert store.sessions.check().problems == ()


def test_threads_at_once_lose_nothing(url: str) -> None:
    with ThreadloomMessageHistory("x", url) as history:

        def add(name: int) -> None:
            for number in range(10):
                history.append([user(f"{name}.{number}"), says(f"{name}.{number}")])

        threads = [threading.Thread(target=add, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = texts(history.load())
        assert sorted(found[::2]) == sorted(f"{a}.{b}" for a in range(4) for b in range(10))
        assert found[::2] == found[1::2]
        assert [message.text for message in history.sessions.messages("x")] == found


@pytest.mark.timeout(900)  # all rounds, each with a process of its own
@pytest.mark.soak(full=50)
async def test_of_what_a_killed_process_wrote_nothing_is_half(sqlite_url: str, rounds: int) -> None:
    dice = random.Random()
    before = 0
    for _ in range(rounds):
        process = start("endless", sqlite_url, "trip")
        try:
            assert process.stdout is not None
            told = 0
            for _ in range(dice.randrange(1, 8)):
                told = int(process.stdout.readline())
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=dice.random() / 50)
        finally:
            process.kill()
            rest, _ = process.communicate(timeout=30)
        told = max([told, *map(int, rest.split())])
        async with ThreadloomConversationStore(sqlite_url) as store:
            loaded = await store.load("trip")
            found = texts(loaded.messages)
            stored, left = divmod(len(found), BATCH)
            assert left == 0
            assert before < told <= stored <= told + 1
            assert found == [f"{n}.{part}" for n in range(stored) for part in range(BATCH)]
            assert [message.text for message in store.sessions.messages("trip")] == found
            plain = texts(ThreadloomMessageHistory("trip plain", store.sessions).load())
            whole = [plain[at : at + BATCH] for at in range(0, len(plain), BATCH)]
            numbers = [int(batch[0].partition(".")[0]) for batch in whole]
            assert whole == [[f"{n}.{part}" for part in range(BATCH)] for n in numbers]
            assert set(numbers) >= set(range(before, told))
            shown = store.sessions.messages("trip plain")
            assert [message.text for message in shown] == plain
            assert store.sessions.check().problems == ()
        before = stored
