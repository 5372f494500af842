"""Conversations of a tool-calling agent: from a file, or made up of the same size."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages

from benchmarks.texts import text

Message = dict[str, Any]

SYSTEM_CHARACTERS = 6_200
EXCHANGES = 7
CALLS_A_CONVERSATION = 6


def conversations(path: str | None, most: int) -> list[list[Message]]:
    """At most so many conversations, as lists of messages in OpenAI's format.

    Args:
        path: a JSON Lines file of objects that have `messages`; None makes them up.
        most: how many.
    """
    found = _generated(most) if path is None else _stored(Path(path))
    answered = (_until_last_answer(messages) for messages in found)
    return [messages for _, messages in zip(range(most), answered, strict=False)]


def as_messages(messages: list[Message]) -> list[BaseMessage]:
    """LangChain messages, new ones at each call."""
    return convert_to_messages(
        [{**message, "content": message.get("content") or ""} for message in messages]
    )


def raw_bytes(messages: list[Message]) -> int:
    """The size of a conversation as JSON."""
    return len(json.dumps(messages, ensure_ascii=False).encode())


def _stored(path: Path) -> Iterator[list[Message]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)["messages"]


def _until_last_answer(messages: list[Message]) -> list[Message]:
    """Leave out what nobody answers any more."""
    length = len(messages)
    while length and messages[length - 1]["role"] not in ("assistant", "tool"):
        length -= 1
    return messages[:length]


def _generated(count: int) -> Iterator[list[Message]]:
    """Conversations with the sizes of real ones: long tool results, short questions."""
    policy = text("policy", SYSTEM_CHARACTERS)
    for number in range(count):
        chance = random.Random(number)  # noqa: S311  (nothing here is a secret)
        messages: list[Message] = [{"role": "system", "content": policy}]
        exchanges = chance.randint(EXCHANGES - 4, EXCHANGES + 4)
        for exchange in range(exchanges):
            key = f"{number}.{exchange}"
            asked = text(f"question {key}", chance.randint(20, 190))
            messages.append({"role": "user", "content": asked})
            calls = sum(chance.random() < CALLS_A_CONVERSATION / EXCHANGES / 2 for _ in range(2))
            for call in range(calls):
                messages += _tool_call(f"{key}.{call}", chance)
            told = text(f"answer {key}", max(40, int(chance.gauss(320, 150))))
            messages.append({"role": "assistant", "content": told})
        yield messages


def _tool_call(key: str, chance: random.Random) -> list[Message]:
    arguments = {"reservation": f"R{chance.randrange(100_000):05}", "reason": text(key, 60)}
    name = chance.choice(("find_reservation", "find_flights", "update_reservation"))
    length = min(7_600, int(chance.lognormvariate(6.3, 0.8)))
    return [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": f"call_{key}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)},
                }
            ],
        },
        {
            "role": "tool",
            "tool_call_id": f"call_{key}",
            "name": name,
            "content": text(f"result {key}", length),
        },
    ]
