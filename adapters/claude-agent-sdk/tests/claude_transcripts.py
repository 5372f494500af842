"""Entries of transcripts as the CLI writes them, and what is compared of messages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from threadloom import SessionInfo, compose_id
from threadloom_claude_agent_sdk import ThreadloomSessionStore

KEY = {"project_key": "-home-ana-town", "session_id": "6f1c1b9e-0f0c-4d0b-9d0a-6b6d1f6c0a11"}
USAGE = {
    "input_tokens": 11,
    "output_tokens": 5,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 2,
    "service_tier": "standard",
}


class Writer:
    """Writes entries, each of which names the one before.

    Attributes:
        entries: what was written, in order.
        last: the id that the next entry names; set it to go back.
    """

    def __init__(self, session_id: str = KEY["session_id"]) -> None:
        self.session_id = session_id
        self.entries: list[dict[str, Any]] = []
        self.last: str | None = None

    def add(self, type: str, **fields: Any) -> dict[str, Any]:
        """An entry that others may name."""
        entry = {
            "parentUuid": self.last,
            "isSidechain": False,
            "type": type,
            "uuid": str(uuid.uuid4()),
            "timestamp": f"2026-11-26T10:00:{len(self.entries) % 60:02d}.000Z",
            "cwd": "/town",
            "sessionId": self.session_id,
            "gitBranch": "main",
            **fields,
        }
        self.last = entry["uuid"]
        self.entries.append(entry)
        return entry

    def note(self, type: str, **fields: Any) -> dict[str, Any]:
        """An entry without an id."""
        entry = {"type": type, "sessionId": self.session_id, **fields}
        self.entries.append(entry)
        return entry

    def asks(self, content: Any, **fields: Any) -> dict[str, Any]:
        return self.add("user", message={"role": "user", "content": content}, **fields)

    def says(self, *blocks: Any, id: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """An answer of the model: an entry for each block."""
        id = id or f"msg_{uuid.uuid4().hex}"
        return [
            self.add(
                "assistant",
                message={
                    "id": id,
                    "type": "message",
                    "role": "assistant",
                    "model": "claude-sonnet-4-5",
                    "content": [text(block) if isinstance(block, str) else block],
                    "stop_reason": None,
                    "usage": USAGE,
                },
                **fields,
            )
            for block in blocks
        ]

    def gets(self, call: str, content: Any, **fields: Any) -> dict[str, Any]:
        """The result of a tool; names the entry that called it."""
        caller = next(e for e in self.entries if call in str(e.get("message")))
        last = self.last
        self.last = caller["uuid"]
        block = {"type": "tool_result", "tool_use_id": call, "content": content, **fields}
        entry = self.add("user", message={"role": "user", "content": [block]})
        entry["sourceToolAssistantUUID"] = caller["uuid"]
        assert last is not None
        return entry


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(id: str, name: str = "weather", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def town(writer: Writer | None = None) -> Writer:
    """A conversation with two tools side by side, and the CLI's notes: seven messages."""
    writer = writer or Writer()
    writer.note("queue-operation", operation="enqueue", timestamp="2026-11-26T09:59:59.000Z")
    writer.asks("What is the weather in Oslo and Lima?")
    writer.add("attachment", attachment={"type": "date", "date": "2026-11-26"})
    writer.says("Let me look.", call("t1", town="Oslo"), call("t2", town="Lima"), id="msg_1")
    writer.gets("t1", [text("snow")])
    writer.note("last-prompt", lastPrompt="What is the weather in Oslo and Lima?")
    writer.gets("t2", "sun")
    writer.says("Snow in Oslo, sun in Lima.", id="msg_2")
    writer.add("system", subtype="turn_duration", durationMs=12)
    writer.asks("Thanks!")
    writer.says("You are welcome.", id="msg_3")
    writer.note("last-prompt", lastPrompt="Thanks!")
    return writer


def plain(messages: Sequence[BaseMessage]) -> list[tuple[Any, ...]]:
    """What tests compare: type, content, calls, and whose results they are."""
    return [
        (
            message.type,
            message.content,
            [
                (found["id"], found["name"], found["args"])
                for found in getattr(message, "tool_calls", [])
            ],
            getattr(message, "tool_call_id", None),
            message.name,
        )
        for message in messages
    ]


def says(messages: Sequence[BaseMessage]) -> list[str]:
    return [f"{message.type}: {message.text}" for message in messages]


TOWN = [
    ("human", "What is the weather in Oslo and Lima?", [], None, None),
    (
        "ai",
        "Let me look.",
        [("t1", "weather", {"town": "Oslo"}), ("t2", "weather", {"town": "Lima"})],
        None,
        None,
    ),
    ("tool", "snow", [], "t1", "weather"),
    ("tool", "sun", [], "t2", "weather"),
    ("ai", "Snow in Oslo, sun in Lima.", [], None, None),
    ("human", "Thanks!", [], None, None),
    ("ai", "You are welcome.", [], None, None),
]


async def put(store: Any, writer: Writer, key: Any = KEY, *, start: int = 0) -> None:
    """Append what was written, as the SDK does: a batch a turn."""
    await store.append(key, writer.entries[start:])


async def info_of(store: ThreadloomSessionStore) -> SessionInfo:
    info = await store.sessions.aget_session(compose_id(*KEY.values()))
    assert info is not None
    return info


def forked(info: SessionInfo) -> dict[str, str]:
    return {**KEY, "session_id": info.id}


async def summary(store: ThreadloomSessionStore, id: str = KEY["session_id"]) -> dict[str, Any]:
    found = {
        s["session_id"]: s["data"] for s in await store.list_session_summaries(KEY["project_key"])
    }
    return found[id]


def turn(writer: Writer, question: str, answer: str) -> None:
    writer.asks(question)
    writer.says(answer)
