"""Programs that the tests start as processes of their own: ``python maf_programs.py NAME …``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import warnings

from agent_framework import AgentSession, InMemoryHistoryProvider, Message
from maf_agents import Model, forecaster
from threadloom_agent_framework import ThreadloomHistoryProvider

warnings.simplefilter("ignore", FutureWarning)  # session stores are experimental


async def ask(kind: str, url: str, text: str, *ways: str) -> None:
    """Ask an agent in the session ``trip``; prints the answer and what the model saw first."""
    from threadloom_agent_framework import ThreadloomAgentSessionStore

    model = Model()
    async with (
        ThreadloomHistoryProvider(url) as provider,
        ThreadloomAgentSessionStore(url) as store,
    ):
        own = kind == "snapshots"
        agent = forecaster(InMemoryHistoryProvider() if own else provider, model=model)
        session = (await store.get("trip") if own else None) or AgentSession(session_id="trip")
        if "stream" in ways:
            response = await agent.run(text, session=session, stream=True).get_final_response()
        else:
            response = await agent.run(text, session=session)
        if own:
            await store.set("trip", session)
    seen = [[m.role, *(c.type for c in m.contents)] for m in model.seen[0]]
    print(json.dumps({"text": response.text.strip(), "seen": seen}))


async def append(url: str, name: str, count: str) -> None:
    """Save pairs of messages to the session ``all``, as one of several that do."""
    async with ThreadloomHistoryProvider(url) as provider:
        for number in range(int(count)):
            pair = [Message(role, [f"{name} {number}"]) for role in ("user", "assistant")]
            await provider.save_messages("all", pair)


async def _saving(kind: str, url: str, told: int) -> None:
    """Save threes for ever, and write the number of each to a pipe when it is saved."""
    from threadloom_agent_framework import ThreadloomAgentSessionStore

    async with (
        ThreadloomHistoryProvider(url) as provider,
        ThreadloomAgentSessionStore(url) as store,
    ):
        session = await store.get("s") or AgentSession(session_id="s")
        held = session.state.setdefault("in_memory", {}).setdefault("messages", [])
        number = (len(held) or len(await provider.get_messages("s"))) // 3
        while True:
            three = [Message("user", [f"{number} {part}"]) for part in "abc"]
            if kind == "provider":
                await provider.save_messages("s", three)
            else:
                held += three
                session.state["saved"] = len(held)
                await store.set("s", session)
            os.write(told, f"{number}\n".encode())
            number += 1


def nursery() -> None:
    """For each line ``KIND URL TIMES SECONDS`` let a child save, and kill it.

    So often it tells first that it has saved, and so much later it is killed. Prints the number
    of the last save that it told of.
    """
    for line in sys.stdin:
        kind, url, times, seconds = line.split()
        # A pipe of its own: who is killed while writing to a shared one may block the others.
        heard, told = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(heard)
            try:
                asyncio.run(_saving(kind, url, told))
            finally:
                os._exit(1)
        os.close(told)
        with os.fdopen(heard) as saved:
            numbers = [saved.readline() for _ in range(int(times))]
            time.sleep(float(seconds))  # the moment of the kill is what is random here
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            numbers += saved.readlines()
        print(numbers[-1].strip(), flush=True)


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name == "nursery":
        nursery()
    else:
        asyncio.run({"ask": ask, "append": append}[name](*arguments))
