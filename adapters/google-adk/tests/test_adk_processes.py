"""Agents and writers in several processes, tasks and threads; and writers that are killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from google.adk.errors import StaleSessionError
from google.adk.sessions.session import Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from adk_fakes import APP, USER, ask, runner, text
from adk_programs import add
from threadloom import SessionManager
from threadloom_google_adk import ThreadloomSessionService

PROGRAMS = str(Path(__file__).parent / "adk_programs.py")
ID = f"{APP}/{USER}/s"


def program(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", PROGRAMS, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> str:
    try:
        out, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return out


def texts(session: Session) -> list[str]:
    contents = [event.content for event in session.events if event.content]
    return [part.text for content in contents for part in content.parts or [] if part.text]


def test_a_second_process_goes_on_with_what_the_first_left(shared_url: str) -> None:
    first = Session.model_validate_json(
        outcome(program("talk", shared_url, "hello", "the weather in Oslo"))
    )
    assert texts(first) == [
        "hello",
        "I heard 1: hello",
        "the weather in Oslo",
        "It is sunny in Oslo.",
    ]
    second = Session.model_validate_json(
        outcome(program("talk", shared_url, "the weather in Rome", "bye"))
    )
    assert second.events[: len(first.events)] == first.events
    assert texts(second)[-1] == (
        "I heard 7: hello | I heard 1: hello | the weather in Oslo | It is sunny in Oslo. | "
        "the weather in Rome | It is sunny in Rome. | bye"
    )
    assert second.state == {"city": "Rome", "user:asked": ["Oslo", "Rome"], "app:asked": 2}
    with SessionManager(shared_url) as sessions:
        messages = sessions.messages(ID)
        assert len(messages) == len(second.events) == 12
        info = sessions.get_session(ID)
        assert info is not None
        assert info.total_tokens == 6 * 12


async def test_an_agent_does_the_same_on_adks_own_service(
    service: ThreadloomSessionService, tmp_path: Path
) -> None:
    seen = []
    for one in (service, SqliteSessionService(str(tmp_path / "adk.db"))):
        await one.create_session(app_name=APP, user_id=USER, session_id="s")
        run = runner(one)
        for question in ("hello", "the weather in Oslo", "please approve"):
            await ask(run, "s", question)
        session = await one.get_session(app_name=APP, user_id=USER, session_id="s")
        assert session is not None
        (pending,) = [c for e in session.events for c in e.get_function_calls()][-1:]
        answer = types.FunctionResponse(id=pending.id, name="approve", response={"status": "yes"})
        await ask(run, "s", types.Part(function_response=answer))
        session = await one.get_session(app_name=APP, user_id=USER, session_id="s")
        assert session is not None
        kinds = [
            (e.author, [sorted(p.model_dump(exclude_none=True)) for p in e.content.parts or []])
            for e in session.events
            if e.content
        ]
        seen.append((kinds, texts(session), session.state))
    assert seen[0] == seen[1]
    shown = [message.type for message in service.sessions.messages(ID)]
    assert shown == "human ai human ai tool ai human ai tool ai human ai".split()


@pytest.mark.parametrize("writers", [2])
def test_processes_that_append_at_once_lose_nothing(shared_url: str, writers: int) -> None:
    with SessionManager(shared_url) as sessions:
        service = ThreadloomSessionService(sessions)
        asyncio.run(service.create_session(app_name=APP, user_id=USER, session_id="s"))
        names, count = [f"w{number}" for number in range(writers)], 15
        processes = [program("append", shared_url, name, str(count)) for name in names]
        for process in processes:
            outcome(process)
        session = asyncio.run(service.get_session(app_name=APP, user_id=USER, session_id="s"))
        assert session is not None
        wanted = {f"{name}/{number}" for name in names for number in range(count)}
        assert len(session.events) == len(wanted)
        assert {event.id for event in session.events} == wanted
        assert [message.id for message in sessions.messages(ID)] == [e.id for e in session.events]
        for name in names:
            own = [e.id for e in session.events if e.id.startswith(f"{name}/")]
            assert own == [f"{name}/{number}" for number in range(count)]
            assert session.state[f"user:{name}"] == session.state[f"app:{name}"] == count - 1
            assert {f"{name}{number}" for number in range(count)} <= session.state.keys()
        assert sessions.check().problems == ()


def test_threads_that_append_at_once_lose_nothing(sessions: SessionManager) -> None:
    service = ThreadloomSessionService(sessions)
    asyncio.run(service.create_session(app_name=APP, user_id=USER, session_id="s"))
    problems: list[BaseException] = []

    def write(name: str) -> None:
        async def some() -> None:
            for number in range(10):
                await add(service, f"{name}/{number}", {f"{name}{number}": number})

        try:
            asyncio.run(some())
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    session = asyncio.run(service.get_session(app_name=APP, user_id=USER, session_id="s"))
    assert session is not None
    wanted = {f"{name}/{number}" for name in "abc" for number in range(10)}
    assert {event.id for event in session.events} == wanted
    assert len(session.events) == len(session.state) == 30


async def test_tasks_that_share_a_session_append_one_after_the_other(
    service: ThreadloomSessionService,
) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    given = [text(str(number), state={f"k{number}": number}) for number in range(20)]
    await asyncio.gather(*(service.append_event(session, event) for event in given))
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s")
    assert found is not None
    assert found.events == session.events
    assert sorted(map(str, range(20))) == sorted(texts(found))
    assert len(found.state) == 20


async def test_of_two_that_read_the_same_one_is_refused(service: ThreadloomSessionService) -> None:
    await service.create_session(app_name=APP, user_id=USER, session_id="s")
    for number in range(10):
        copies = [
            await service.get_session(app_name=APP, user_id=USER, session_id="s") for _ in range(3)
        ]
        done = await asyncio.gather(
            *(service.append_event(copy, text("x")) for copy in copies if copy),
            return_exceptions=True,
        )
        assert sum(isinstance(one, StaleSessionError) for one in done) == 2
        found = await service.get_session(app_name=APP, user_id=USER, session_id="s")
        assert found is not None
        assert len(found.events) == number + 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.soak(full=50)
def test_a_killed_process_leaves_each_event_whole_or_not_at_all(
    shared_url: str, rounds: int
) -> None:
    chance = random.Random(7)
    with SessionManager(shared_url) as sessions:
        service = ThreadloomSessionService(sessions)
        asyncio.run(service.create_session(app_name=APP, user_id=USER, session_id="s"))
    told: list[str] = []
    with program("lives", shared_url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for life in range(rounds):
            process.stdin.write(f"{life}\n")
            process.stdin.flush()
            pid = int(process.stdout.readline())
            for _ in range(chance.randint(1, 12)):
                told.append(process.stdout.readline().strip())
            # At some moment between two answers, whatever it does then.
            threading.Event().wait(chance.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
            while (line := process.stdout.readline().strip()) != "ended":
                told.append(line)
            check(shared_url, told)
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def check(url: str, told: list[str]) -> None:
    """All that was told is there; of what was not, the last event at most, and whole."""
    with SessionManager(url) as sessions:
        service = ThreadloomSessionService(sessions)
        session = asyncio.run(service.get_session(app_name=APP, user_id=USER, session_id="s"))
        assert session is not None
        ids = [event.id for event in session.events]
        assert set(told) <= set(ids)
        lives = {id.split("/")[0] for id in ids}
        assert len(ids) <= len(told) + len(lives)
        for life in lives:
            own = [int(id.split("/")[1]) for id in ids if id.startswith(f"{life}/")]
            assert own == list(range(1, len(own) + 1))
            assert session.state[f"n{life}"] == own[-1]
        assert session.state["last"] == ids[-1]
        life, number = ids[-1].split("/")
        # With files, the states that sessions share go first.
        ahead = [f"{life}/{int(number) + 1}"] if url.startswith("file") else []
        assert session.state["user:last"] in [ids[-1], *ahead]
        assert session.state["app:last"] in [ids[-1], *ahead]
        assert [message.id for message in sessions.messages(ID)] == ids
        last = session.events[-1].content
        assert last is not None
        assert last.parts is not None
        assert sessions.search_sessions(str(last.parts[0].text))[0].session.id == ID
        assert [p for p in sessions.check().problems if p.kind != "file"] == []
