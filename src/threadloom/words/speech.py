"""Messages in words: who speaks, and what was said and called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from threadloom.checkpoint.foreign import OPAQUE_TYPE
from threadloom.words.values import in_a_line

_LONGEST_ARGUMENTS = 200


def title(message: BaseMessage) -> str:
    """Who speaks: the kind of message, its name, and its class if that is the application's."""
    parts = [getattr(message, "role", None) or message.type]
    if message.name:
        parts.append(message.name)
    if isinstance(message, ToolMessage) and message.status == "error":
        parts.append("failed")
    if own := message.additional_kwargs.get(OPAQUE_TYPE):
        parts.append(f"({own})")
    return " ".join(map(str, parts))


def said(message: BaseMessage) -> str:
    """The text of a message; what is no text in its place, in brackets."""
    content: Any = message.content
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(shown for block in content if (shown := _block(block)))


def content(message: BaseMessage) -> str:
    """What was said and called."""
    return "\n".join([said(message), *calls(message)]).strip()


def _block(block: Any) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        return in_a_line(block)
    kind = str(block.get("type", ""))
    for name in ("text", "reasoning", "thinking"):
        if isinstance(found := block.get(name), str):
            return found if name == "text" else f"[{kind}] {found}"
    if kind in ("tool_use", "tool_call", "function_call", "input_json_delta"):
        return ""  # among the calls
    return f"[{kind or 'block'}]"


def calls(message: BaseMessage) -> Iterator[str]:
    """What a message calls, call by call."""
    if not isinstance(message, AIMessage):
        return
    for call in message.tool_calls or ():
        args = call.get("args")
        given = args.items() if isinstance(args, dict) else ()
        arguments = ", ".join(f"{name}={in_a_line(item)}" for name, item in given)
        yield f"→ {call.get('name')}({_short(arguments)})"
    for bad in message.invalid_tool_calls or ():
        yield f"→ {bad.get('name')}({_short(str(bad.get('args')))}), which makes no sense"


def _short(arguments: str) -> str:
    if len(arguments) <= _LONGEST_ARGUMENTS:
        return arguments
    return arguments[:_LONGEST_ARGUMENTS] + " …"


__all__ = ["calls", "said", "title"]
