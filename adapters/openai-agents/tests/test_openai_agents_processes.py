"""Several processes and threads on one session, and processes that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from agents import Runner

from openai_agents_fakes import guide
from threadloom import SessionManager
from threadloom_openai_agents import ThreadloomSession


def test_a_second_process_goes_on(run: Callable[..., str], shared_url: str) -> None:
    first = json.loads(run("talk.py", shared_url, "trip", "weather in Oslo"))
    second = json.loads(run("talk.py", shared_url, "trip", "how often was that?"))
    assert (first["said"], second["said"]) == ("It is rain in Oslo.", "You have asked 2 times.")
    kinds = [item.get("type", item.get("role")) for item in second["seen"][0]]
    results = ["function_call", "function_call_output"]
    assert kinds == ["user", "message", *results, "message", "user"]
    with SessionManager(shared_url) as sessions:
        shown = sessions.messages("trip")
        assert [message.type for message in shown] == ["human", "ai", "tool", "ai", "human", "ai"]
        assert shown[1].tool_calls[0]["id"] == shown[2].tool_call_id
        assert sessions.get_session("trip").message_count == 6


def test_without_the_sdk(run: Callable[..., str], shared_url: str, tmp_path: Path) -> None:
    run("talk.py", shared_url, "trip", "weather in Oslo")
    found = json.loads(run("without.py", shared_url, "trip", tmp_path / "trip.jsonl"))
    assert found == {
        "id": "trip",
        "fork": found["fork"],
        "count": 4,
        "found": [found["fork"]],
        "shown": ["human", "ai"],
        "problems": [],
        "imported": [],
    }
    agent, _ = guide()
    with SessionManager(shared_url) as sessions:
        for id in (found["fork"], "trip"):
            result = asyncio.run(
                Runner.run(agent, "how often?", session=ThreadloomSession(id, sessions))
            )
            assert result.final_output == "You have asked 2 times."
    with SessionManager("memory://") as other:
        other.import_sessions(tmp_path / "trip.jsonl")
        assert [message.type for message in other.messages("trip")] == ["human", "ai"]


class Appenders:
    """Processes that add to a session; see the program."""

    def __init__(self, program: Popen[str]) -> None:
        self._program = program

    def begin(self, who: str, count: int) -> None:
        self._program.stdin.write(f"{who} {count}\n")
        self._program.stdin.flush()

    def next(self) -> tuple[str, str]:
        """The next line: who, and what."""
        line = self._program.stdout.readline()
        assert line, self._program.stderr.read()
        who, what = line.rstrip("\n").split(" ", 1)
        assert not what.startswith("failed"), line
        return who, what


@pytest.fixture
def appenders(start: Callable[..., Popen[str]], shared_url: str) -> Appenders:
    return Appenders(start("append.py", shared_url, "s"))


def test_processes_lose_nothing(appenders: Appenders, shared_url: str) -> None:
    names, count = ("ann", "bob", "cyd"), 15
    for name in names:
        appenders.begin(name, count)
    ended = 0
    while ended < len(names):
        ended += appenders.next()[1] == "end"
    _assert_whole(shared_url, dict.fromkeys(names, range(count)))


async def test_threads_lose_nothing(url: str) -> None:
    count = 15
    with SessionManager(url) as sessions:
        together = threading.Barrier(4)

        def write(who: str) -> None:
            async def writes() -> None:
                session = ThreadloomSession("s", sessions)
                for number in range(count):
                    await session.add_items(_pair(who, number))

            together.wait(timeout=30)
            asyncio.run(writes())

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(write, who) for who in "abcd"]:
                done.result(timeout=60)
        _assert_all_there(sessions, dict.fromkeys("abcd", range(count)))


async def test_tasks_lose_nothing(sessions: SessionManager) -> None:
    session = ThreadloomSession("s", sessions)
    await asyncio.gather(*(session.add_items(_pair("a", number)) for number in range(30)))
    _assert_all_there(sessions, {"a": range(30)}, ordered=False)
    popped = await asyncio.gather(*(session.pop_item() for _ in range(60)))
    assert len({json.dumps(item) for item in popped}) == 60
    assert await session.get_items() == []
    assert sessions.messages("s") == []


@pytest.mark.soak(full=50)
def test_a_killed_process_leaves_whole_batches(
    appenders: Appenders, shared_url: str, rounds: int
) -> None:
    chance = random.Random(7)
    pause = threading.Event()
    stored: dict[str, range] = {}
    for number in range(rounds):
        who = f"writer{number}"
        appenders.begin(who, 0)
        pid = int(appenders.next()[1])
        seen = [int(appenders.next()[1]) for _ in range(chance.randint(0, 12))]
        pause.wait(chance.uniform(0, 0.02))  # somewhere in what it does next
        os.kill(pid, signal.SIGKILL)
        while (line := appenders.next()) != (who, "end"):
            seen.append(int(line[1]))
        with SessionManager(shared_url) as sessions:
            found = _numbers(sessions, who)
        # What was acknowledged is there, and at most the one that was under way.
        assert found in (seen, [*seen, len(seen)])
        stored[who] = range(len(found))
    _assert_whole(shared_url, stored)


def _pair(who: str, number: int) -> list[Any]:
    call = {"type": "function_call", "name": who, "arguments": "{}", "call_id": f"{who}-{number}"}
    return [call, {"type": "function_call_output", "call_id": call["call_id"], "output": who}]


def _numbers(sessions: SessionManager, who: str) -> list[int]:
    items = asyncio.run(ThreadloomSession("s", sessions).get_items())
    ids = [item["call_id"] for item in items if item["type"] == "function_call"]
    return [int(id.partition("-")[2]) for id in ids if id.startswith(who + "-")]


def _assert_whole(url: str, expected: dict[str, range]) -> None:
    with SessionManager(url) as sessions:
        _assert_all_there(sessions, expected)


def _assert_all_there(
    sessions: SessionManager, expected: dict[str, range], *, ordered: bool = True
) -> None:
    page = sessions.stream("s", "openai-agents").read()
    pairs = list(zip(page.items[::2], page.items[1::2], strict=True))
    for call, result in pairs:
        assert call["call_id"] == result["call_id"]
    for who, numbers in expected.items():
        ids = [call["call_id"] for call, _ in pairs if call["name"] == who]
        wanted = [f"{who}-{number}" for number in numbers]
        assert ids == wanted if ordered else sorted(ids) == sorted(wanted)
    assert len(pairs) == sum(map(len, expected.values()))
    shown = sessions.messages("s")
    assert [m.type for m in shown] == ["ai", "tool"] * len(pairs)
    for (call, _), ai, tool in zip(pairs, shown[::2], shown[1::2], strict=True):
        assert ai.tool_calls[0]["id"] == tool.tool_call_id == call["call_id"]
        assert tool.name == call["name"]
    assert not sessions.check("s").problems
