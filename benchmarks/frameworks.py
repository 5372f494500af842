"""Other frameworks' own stores beside our adapters: `python -m benchmarks.frameworks`.

Needs the frameworks: run it with `.venv-newest/bin/python`, as `make test` sets it up. A
conversation of 1,000 turns of 2 × 400 characters is appended turn by turn the way the framework's
runner does it, then its newest 20 items are read. Both stores keep one SQLite file; Agent
Framework's keeps a file of lines. Every turn is durable when it returns, on both sides.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.saver import folder_bytes
from threadloom import SessionManager

TURNS = 1_000
NEWEST = 20
LOOKS = 7
EDGE = 100
"""Turns at the beginning and at the end that are told apart."""


class Kept(NamedTuple):
    """A conversation in a store."""

    append: Callable[[int], Awaitable[Any]]
    newest: Callable[[], Awaitable[Any]]


def _said(turn: int) -> tuple[str, str]:
    return f"question {turn} ".ljust(400, "q"), f"answer {turn} ".ljust(400, "a")


@asynccontextmanager
async def _openai(session: Any) -> AsyncIterator[Kept]:
    def items(turn: int) -> list[Any]:
        question, answer = _said(turn)
        return [
            {"role": "user", "content": question},
            {
                "id": f"msg_{turn}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": answer, "annotations": []}],
            },
        ]

    yield Kept(lambda turn: session.add_items(items(turn)), lambda: session.get_items(NEWEST))


@asynccontextmanager
async def _openai_sqlite(folder: Path) -> AsyncIterator[Kept]:
    from agents import SQLiteSession

    session = SQLiteSession("s", folder / "theirs.db")
    async with _openai(session) as kept:
        yield kept
    session.close()


@asynccontextmanager
async def _openai_ours(folder: Path) -> AsyncIterator[Kept]:
    from threadloom_openai_agents import ThreadloomSession

    async with SessionManager(f"sqlite:///{folder}/ours.db") as sessions:
        async with _openai(ThreadloomSession("s", sessions)) as kept:
            yield kept


@asynccontextmanager
async def _adk(service: Any) -> AsyncIterator[Kept]:
    from google.adk.events import Event
    from google.adk.sessions.base_session_service import GetSessionConfig
    from google.genai.types import Content, Part

    place = {"app_name": "app", "user_id": "ana", "session_id": "s"}
    session = await service.create_session(**place)

    async def append(turn: int) -> None:
        for author, text in zip(("user", "model"), _said(turn), strict=True):
            content = Content(role=author, parts=[Part(text=text)])
            event = Event(author=author, invocation_id=f"i{turn}", content=content)
            await service.append_event(session, event)

    recent = GetSessionConfig(num_recent_events=NEWEST)
    yield Kept(append, lambda: service.get_session(**place, config=recent))


@asynccontextmanager
async def _adk_sqlite(folder: Path) -> AsyncIterator[Kept]:
    from google.adk.sessions.sqlite_session_service import SqliteSessionService

    async with _adk(SqliteSessionService(str(folder / "theirs.db"))) as kept:
        yield kept


@asynccontextmanager
async def _adk_ours(folder: Path) -> AsyncIterator[Kept]:
    from threadloom_google_adk import ThreadloomSessionService

    async with ThreadloomSessionService(f"sqlite:///{folder}/ours.db") as service:
        async with _adk(service) as kept:
            yield kept


@asynccontextmanager
async def _agent_framework(provider: Any) -> AsyncIterator[Kept]:
    from agent_framework import Message

    def messages(turn: int) -> list[Any]:
        return [
            Message(role=role, contents=[text])
            for role, text in zip(("user", "assistant"), _said(turn), strict=True)
        ]

    yield Kept(
        lambda turn: provider.save_messages("s", messages(turn)),
        lambda: provider.get_messages("s"),
    )


@asynccontextmanager
async def _agent_framework_file(folder: Path) -> AsyncIterator[Kept]:
    from agent_framework import FileHistoryProvider

    async with _agent_framework(FileHistoryProvider(folder)) as kept:
        yield kept


@asynccontextmanager
async def _agent_framework_ours(folder: Path) -> AsyncIterator[Kept]:
    from threadloom_agent_framework import ThreadloomHistoryProvider

    async with SessionManager(f"sqlite:///{folder}/ours.db") as sessions:
        async with _agent_framework(ThreadloomHistoryProvider(sessions)) as kept:
            yield kept


PAIRS = {
    "OpenAI Agents SDK": ("SQLiteSession", _openai_sqlite, _openai_ours, ""),
    "Google ADK": ("SqliteSessionService", _adk_sqlite, _adk_ours, ""),
    "Agent Framework": (
        *("FileHistoryProvider", _agent_framework_file, _agent_framework_ours),
        ", all of it",
    ),
}
"""Framework → its own store's name, how that is opened, how ours is, what a look reads."""


async def _figures(opened: Any) -> list[float]:
    """Milliseconds of an early turn, of a late one and of a look; seconds and megabytes in all."""
    with tempfile.TemporaryDirectory(prefix="threadloom-bench-") as name:
        folder = Path(name)
        async with opened(folder) as kept:
            turns = [await _timed(kept.append(turn)) for turn in range(TURNS)]
            looks = [await _timed(kept.newest()) for _ in range(LOOKS)]
        size = folder_bytes(None, folder)
        early, late = median(turns[:EDGE]), median(turns[-EDGE:])
        return [early * 1e3, late * 1e3, median(looks) * 1e3, sum(turns), size / 1e6]


async def _timed(call: Awaitable[Any]) -> float:
    start = perf_counter()
    await call
    return perf_counter() - start


async def _table() -> list[str]:
    lines = [
        f"| store | first {EDGE} turns | last {EDGE} | newest {NEWEST} "
        f"| {TURNS:,} turns | stored |",
        "|---|---|---|---|---|---|",
    ]
    for framework, (name, theirs, ours, read) in PAIRS.items():
        peer, own = await _figures(theirs), await _figures(ours)
        for label, figures in ((f"{framework}, `{name}`", peer), (f"{framework}, ours", own)):
            early, late, look, whole, size = figures
            lines.append(
                f"| {label} | {early:.2f} ms | {late:.2f} ms | {look:.2f} ms{read} "
                f"| {whole:.1f} s | {size:.2f} MB |"
            )
        ratios = " | ".join(f"{mine / its:.2f} ×" for mine, its in zip(own, peer, strict=True))
        lines.append(f"| ours / its own | {ratios} |")
    return lines


def main() -> None:
    """Measure, and print a table in Markdown."""
    sys.stdout.write("\n".join(asyncio.run(_table())) + "\n")


if __name__ == "__main__":
    main()
