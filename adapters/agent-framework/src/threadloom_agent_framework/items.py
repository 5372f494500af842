"""What lies in streams: messages as the framework's dicts, and what a run has used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent_framework import Message

FRAMEWORK: Final = "agent-framework"
"""What `SessionInfo.framework` says of sessions that began here."""
HISTORY: Final = "agent-framework/messages"
"""The stream of history providers."""
SNAPSHOT: Final = "agent-framework/session"
"""The stream of session stores."""

USAGE: Final = "run_usage"
"""Beside a message's own fields: the tokens of the run that it was the last answer of. The
framework tells them of a run, and keeps them in no message."""


def item_of(message: Message, usage: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A message as it is stored."""
    item = message.to_dict()
    return {**item, USAGE: dict(usage)} if usage else item


def message_of(item: Mapping[str, Any]) -> Message:
    """The message that was stored."""
    return Message.from_dict(plain(item))


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """The framework's own part of an item."""
    return {key: value for key, value in item.items() if key != USAGE}
