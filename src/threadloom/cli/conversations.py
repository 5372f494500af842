"""Messages as people read them in a chat, and as rows and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages import BaseMessage

from threadloom.cli.output import Column, Line
from threadloom.words.speech import calls, content, said, title
from threadloom.words.values import plain

COLUMNS = (Column("id"), Column("who"), Column("text"))
_STYLES = {
    "human": "bold green",
    "ai": "bold cyan",
    "system": "bold magenta",
    "tool": "bold yellow",
}
_INDENT = 2


def chat(messages: Iterable[BaseMessage]) -> Iterator[Line]:
    """A conversation, message by message: who, and what was said and called."""
    for message in messages:
        yield Line(title(message), _STYLES.get(message.type, "bold"))
        if text := said(message):
            yield Line(text, indent=_INDENT)
        for call in calls(message):
            yield Line(call, "cyan", _INDENT)
        yield Line("")


def row(message: BaseMessage) -> tuple[str, str, str]:
    """A message as a row of a table: id, who, and what was said and called."""
    return message.id or "", title(message), content(message)


def document(message: BaseMessage) -> dict[str, Any]:
    """A message as JSON."""
    found = plain(message)
    assert isinstance(found, dict)
    return found


__all__ = ["COLUMNS", "chat", "document", "row"]
