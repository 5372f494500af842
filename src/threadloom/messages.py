"""Facts about lists of LangChain messages that the session index keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.messages import BaseMessage

MESSAGES = "messages"
"""The channel in which LangGraph graphs keep a conversation."""


def messages_in(value: Any) -> list[BaseMessage]:
    """The messages of a channel's value, in order; empty where it is no list of messages."""
    if isinstance(value, (list, tuple)):
        return [item for item in value if isinstance(item, BaseMessage)]
    return [value] if isinstance(value, BaseMessage) else []


def tokens_of(message: BaseMessage) -> int:
    """The `total_tokens` of a message's `usage_metadata`; 0 where there is none."""
    return tokens_in(getattr(message, "usage_metadata", None))


def tokens_in(usage: Any) -> int:
    """The `total_tokens` of what a message has as its `usage_metadata`."""
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else 0


def token_total(messages: Iterable[BaseMessage]) -> int:
    """`tokens_of` all messages, summed up."""
    return sum(map(tokens_of, messages))


def text_of(message: BaseMessage) -> str:
    """The text of a message's content, without what is no text in it."""
    content = message.content
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, dict) and isinstance(block.get("text"), str):
            parts.append(block["text"])
    return "\n".join(parts)
