"""A framework that does not exist, whose items are shown in every way that there is.

Its items are dicts with a kind ``t``: ``say`` is one message, ``call`` joins the calls before it
in one AI message (also where ``think`` stands between them), ``results`` is as many messages as it
has results, ``think`` is shown by none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from threadloom import SessionManager, SessionStream, Shown

Item = dict[str, Any]


def say(text: str, **more: Any) -> Item:
    return {"t": "say", "text": text, **more}


def call(id: str) -> Item:
    return {"t": "call", "id": id}


def results(*ids: str) -> Item:
    return {"t": "results", "ids": list(ids)}


def think(text: str = "hm") -> Item:
    return {"t": "think", "text": text}


def shows(items: Sequence[Item]) -> list[Shown]:
    """How the items are shown."""
    found: list[Shown] = []
    at = 0
    while at < len(items):
        item = items[at]
        at += 1
        made: list[BaseMessage] = []
        if item["t"] == "say":
            usage = item.get("usage")
            made = [
                AIMessage(item["text"], id=item.get("id"), usage_metadata=usage)
                if usage
                else HumanMessage(item["text"], id=item.get("id"))
            ]
        elif item["t"] == "results":
            made = [ToolMessage(f"of {id}", tool_call_id=id) for id in item["ids"]]
        elif item["t"] == "call":
            calls = [item["id"]]
            further = at
            while further < len(items) and items[further]["t"] in ("call", "think"):
                if items[further]["t"] == "call":
                    calls.append(items[further]["id"])
                    at = further + 1
                further += 1
            made = [AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": id} for id in calls])]
        if made:
            found.append(Shown(at, made))
    return found


def stream_of(sessions: SessionManager, id: Any, name: str = "items", **more: Any) -> SessionStream:
    """A stream of that framework."""
    options = {"framework": "made-up", "agent_name": "guide", "shows": shows, **more}
    return sessions.stream(id, name, **options)


def said(messages: Sequence[BaseMessage]) -> list[str]:
    """Messages, in short: what a test expects of a conversation."""
    return [
        "+".join(str(each["id"]) for each in message.tool_calls)
        if isinstance(message, AIMessage) and message.tool_calls
        else message.text
        for message in messages
    ]
