"""A program that uses the package is checked by its types, from the outside and strictly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio
from typing import assert_type

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.base import BaseStore
from threadloom import (
    CheckpointTree, MessageList, Session, SessionInfo, SessionManager, SessionMatches, SessionPage,
    StorageStats, open_store,
)


def reply(state: MessagesState) -> dict[str, list[tuple[str, str]]]:
    return {"messages": [("ai", "yes")]}


sessions = SessionManager("memory://")
trip = assert_type(sessions.create_session(name="Oslo", tags=["a"]), SessionInfo)
saver: BaseCheckpointSaver[str] = sessions.checkpointer()
store: BaseStore = sessions.store
builder = StateGraph(MessagesState)
builder.add_node("reply", reply)
builder.add_edge(START, "reply")
graph = builder.compile(checkpointer=saver, store=store)
graph.invoke({"messages": [HumanMessage("there?")]}, trip.config)
page = assert_type(sessions.list_sessions(owner="ana", limit=3), SessionPage)
assert_type(page[0:1], SessionPage)
assert_type(page.cursor, str | None)
assert_type([info.name for info in page], list[str])
assert_type(sessions.get_session("x"), SessionInfo | None)
assert_type(sessions.load_session("x"), Session | None)
messages = assert_type(sessions.messages(trip), MessageList)
assert_type(messages[0], BaseMessage)
assert_type(sessions.search_sessions("train"), SessionMatches)
assert_type(sessions.checkpoint_tree(trip), CheckpointTree)
assert_type(sessions.stats(), StorageStats)
sessions.memory(trip).add_messages(messages)
with sessions.turn(trip) as turn:
    turn.add_tokens(3)
with open_store("memory://") as opened:
    SessionManager(opened)


async def main() -> None:
    async with SessionManager("memory://") as other:
        assert_type(await other.alist_sessions(), SessionPage)
        assert_type(await other.amessages(trip), MessageList)


asyncio.run(main())
"""

MISTAKES = """
from threadloom import SessionManager

sessions = SessionManager(5)
sessions.create_session(nmae="Oslo")
sessions.list_sessions(order_by="size")
sessions.get_session("x").name
"""


def check(folder: Path, **programs: str) -> list[str]:
    """What a type checker says of programs, in one run; one line each."""
    for name, program in programs.items():
        (folder / f"{name}.py").write_text(program, encoding="utf-8")
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", *(f"{name}.py" for name in programs)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


@pytest.mark.timeout(240)
def test_a_program_is_typed_from_the_outside(tmp_path: Path) -> None:
    errors = [
        line.split(": error:")[0]
        for line in check(tmp_path, right=PROGRAM, wrong=MISTAKES)
        if ": error:" in line
    ]
    assert errors == [f"wrong.py:{line}" for line in (4, 5, 6, 7)]
