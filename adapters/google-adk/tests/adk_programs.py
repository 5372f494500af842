"""What tests run in processes of their own: ``adk_programs.py NAME URL …``."""

from __future__ import annotations

import asyncio
import os
import sys

from google.adk.errors import StaleSessionError

from adk_fakes import APP, USER, ask, runner, text
from threadloom_google_adk import ThreadloomSessionService


async def talk(url: str, *questions: str) -> None:
    """Asks an agent, and tells what it said and what the session is like then."""
    async with ThreadloomSessionService(url) as service:
        names = {"app_name": APP, "user_id": USER, "session_id": "s"}
        if await service.get_session(**names) is None:
            await service.create_session(**names)
        run = runner(service)
        for question in questions:
            await ask(run, "s", question)
        session = await service.get_session(**names)
        assert session is not None
        print(session.model_dump_json(exclude_none=True))


async def append(url: str, who: str, count: str) -> None:
    """Adds events to a session that others write to as well."""
    async with ThreadloomSessionService(url) as service:
        for number in range(int(count)):
            state = {f"{who}{number}": number, f"user:{who}": number, f"app:{who}": number}
            await add(service, f"{who}/{number}", state)


async def add(service: ThreadloomSessionService, id: str, state: dict[str, int]) -> None:
    """Add an event, and begin afresh where somebody else was faster."""
    while True:
        session = await service.get_session(app_name=APP, user_id=USER, session_id="s")
        assert session is not None
        try:
            await service.append_event(session, text(id, id=id, state=state))
        except StaleSessionError:
            continue
        return


def lives(url: str) -> None:
    """Begins a life for each line that it is told, and waits until that has been killed."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(endless(url, line.strip()))
        os.waitpid(pid, 0)
        print("ended", flush=True)


async def endless(url: str, life: str) -> None:
    """Adds events until it is killed; tells of each that was stored."""
    print(os.getpid(), flush=True)
    async with ThreadloomSessionService(url) as service:
        session = await service.get_session(app_name=APP, user_id=USER, session_id="s")
        assert session is not None
        number = 0
        while True:
            number += 1
            id = f"{life}/{number}"
            state = {"last": id, f"n{life}": number, "user:last": id, "app:last": id}
            await service.append_event(session, text(f"word{life}x{number}", id=id, state=state))
            print(id, flush=True)


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name == "lives":
        lives(*arguments)
    else:
        asyncio.run({"talk": talk, "append": append}[name](*arguments))
