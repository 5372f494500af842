"""Several processes, threads and loops on one store, and processes that are killed."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Message
from threadloom_agent_framework import ThreadloomHistoryProvider

from threadloom import SessionManager

PROGRAM = [sys.executable, str(Path(__file__).with_name("maf_programs.py"))]


def ask(env: dict[str, str], *arguments: str) -> Any:
    done = subprocess.run(
        [*PROGRAM, "ask", *arguments], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["provider", "snapshots"])
def test_the_second_process_goes_on_where_the_first_left(
    kind: str, tmp_path: Path, programs: dict[str, str]
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    first = ask(programs, kind, url, "weather Oslo Rome")
    assert first == {"text": "rain in Oslo and rain in Rome", "seen": [["user", "text"]]}
    second = ask(programs, kind, url, "weather Bonn", "stream")
    assert second["text"] == "rain in Bonn"
    assert second["seen"] == [
        ["user", "text"],
        ["assistant", "function_call", "function_call"],
        ["tool", "function_result", "function_result"],
        ["assistant", "text"],
        ["user", "text"],
    ]
    with SessionManager(url) as sessions:
        messages = sessions.messages("trip")
    assert [m.text.strip() for m in messages] == [
        *("weather Oslo Rome", "", "rain in Oslo", "rain in Rome"),
        *("rain in Oslo and rain in Rome", "weather Bonn", "", "rain in Bonn", "rain in Bonn"),
    ]


def assert_whole(texts: list[str], writers: int, count: int) -> None:
    """Every pair is there, side by side, each writer's in order."""
    assert texts[::2] == texts[1::2]
    for writer in range(writers):
        own = [text for text in texts[::2] if text.startswith(f"{writer} ")]
        assert own == [f"{writer} {number}" for number in range(count)]
    assert len(texts) == 2 * writers * count


def test_processes_that_append_at_once_lose_nothing(
    tmp_path: Path, programs: dict[str, str]
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    started = [
        subprocess.Popen([*PROGRAM, "append", url, str(number), "15"], env=programs)
        for number in range(3)
    ]
    try:
        assert [process.wait(timeout=90) for process in started] == [0, 0, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()
    with SessionManager(url) as sessions:
        assert_whole([m.text for m in sessions.messages("all")], 3, 15)
        assert sessions.check("all").problems == ()


async def test_threads_and_tasks_that_append_at_once_lose_nothing(url: str) -> None:
    with SessionManager(url) as sessions:
        provider = ThreadloomHistoryProvider(sessions)

        async def write(name: int) -> None:
            for number in range(10):
                pair = [Message(role, [f"{name} {number}"]) for role in ("user", "assistant")]
                await provider.save_messages("all", pair)

        async def two(name: int) -> None:
            await asyncio.gather(write(name), write(name + 1))

        threads = [
            threading.Thread(target=asyncio.run, args=(two(number),)) for number in (0, 2, 4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        messages = await provider.get_messages("all")
        assert_whole([message.text for message in messages], 6, 10)
        assert [m.text for m in sessions.messages("all")] == [m.text for m in messages]


async def test_a_transcript_that_many_replay_at_once_is_stored_once(url: str) -> None:
    transcript = [Message(("user", "assistant")[at % 2], [f"{at}"]) for at in range(12)]
    with SessionManager(url) as sessions:
        provider = ThreadloomHistoryProvider(sessions)

        async def replay() -> None:
            for number in range(8):
                await provider.save_messages(f"session {number}", transcript)

        async def some() -> None:
            await asyncio.gather(replay(), replay())

        threads = [threading.Thread(target=asyncio.run, args=(some(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for session in sessions.list_sessions():
            messages = await provider.get_messages(session.id)
            assert [m.text for m in messages] == [m.text for m in transcript]
        assert sessions.count_sessions() == 8


class Nursery:
    """Children that save until they are killed."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [*PROGRAM, "nursery"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill_one(self, kind: str, url: str, times: int, seconds: float) -> int:
        """Kill a child some seconds after it has saved so often; the last that it told of."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind} {url} {times} {seconds}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.mark.skipif(sys.platform == "win32", reason="the system cannot fork")
@pytest.mark.soak(full=50)
@pytest.mark.parametrize("kind", ["provider", "snapshots"])
def test_a_killed_process_leaves_all_or_nothing_of_a_save(
    kind: str,
    tmp_path: Path,
    programs: dict[str, str],
    rounds: int,
    store_of: Callable[..., Any],
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    chance, told = random.Random(), -1
    nursery = Nursery(programs)
    try:
        for _ in range(rounds):
            last = nursery.kill_one(kind, url, chance.randrange(1, 6), chance.uniform(0, 0.02))
            told = max(told, last)
            with SessionManager(url) as sessions:
                if kind == "provider":
                    provider = ThreadloomHistoryProvider(sessions)
                    stored = asyncio.run(provider.get_messages("s"))
                else:
                    taken = asyncio.run(store_of(sessions).get("s"))
                    stored = taken.state["in_memory"]["messages"]
                    assert taken.state["saved"] == len(stored)
                assert len(stored) >= 3 * (told + 1)
                assert len(stored) % 3 == 0
                assert [m.text for m in stored] == [
                    f"{number} {part}" for number in range(len(stored) // 3) for part in "abc"
                ]
                assert [m.text for m in sessions.messages("s")] == [m.text for m in stored]
                assert sessions.check("s").problems == ()
    finally:
        nursery.close()
    assert told > 0
