"""`to_items`: LangChain's messages as items that an agent of the SDK goes on with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from agents import TResponseInputItem
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from threadloom_openai_agents.content import parts_of


def to_items(messages: Iterable[BaseMessage]) -> list[TResponseInputItem]:
    """Messages as input items of the Responses API.

    An assistant's text and its calls become items of their own; what is no text in it (reasoning,
    images, what ran at a provider) is left out, because only the API that made such an item takes
    it back. Items have no ids, because the API knows only its own. Messages of other kinds
    (chunks to remove, custom roles) are left out.

    Args:
        messages: a conversation, such as ``sessions.messages(id)``.
    """
    items: list[dict[str, Any]] = []
    for message in messages:
        match message:
            case HumanMessage():
                items.append({"role": "user", "content": _content(message)})
            case SystemMessage():
                developer = message.additional_kwargs.get("__openai_role__") == "developer"
                role = "developer" if developer else "system"
                items.append({"role": role, "content": _content(message)})
            case AIMessage():
                items += _reply(message)
            case ToolMessage():
                result = {"type": "function_call_output", "call_id": message.tool_call_id}
                items.append({**result, "output": _content(message)})
    return cast("list[TResponseInputItem]", items)


def _content(message: BaseMessage) -> str | list[dict[str, Any]]:
    """A text as it is, anything else as parts."""
    if isinstance(message.content, str):
        return message.content
    return parts_of(message.content_blocks)


def _reply(message: AIMessage) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    text = str(message.text)
    if text or not (message.tool_calls or message.invalid_tool_calls):
        items.append({"role": "assistant", "content": text})
    calls: list[tuple[str | None, str | None, str]] = [
        (call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False))
        for call in message.tool_calls
    ]
    calls += [(call["id"], call["name"], call["args"] or "") for call in message.invalid_tool_calls]
    for id, name, arguments in calls:
        if id and name:  # without an id nothing could answer it
            call = {"type": "function_call", "call_id": id, "name": name}
            items.append({**call, "arguments": arguments})
    return items
