"""The parts of one event, as stored, as what LangChain's messages hold."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from threadloom import blocks

Record = Mapping[str, Any]

__all__ = [
    "add_usage",
    "calls",
    "content",
    "is_shown",
    "is_users",
    "joined",
    "late_result",
    "response_metadata",
    "responses",
    "tool_message",
    "usage",
]


def is_users(record: Record) -> bool:
    """Whether the user said it, and no agent."""
    return record.get("author") == "user"


def is_shown(record: Record) -> bool:
    """Whether an event has anything that a message could show."""
    return bool(calls(record) or responses(record) or content(record))


def calls(record: Record) -> list[Record]:
    """The calls of functions."""
    return [part["functionCall"] for part in _parts(record) if "functionCall" in part]


def responses(record: Record) -> list[Record]:
    """The results of functions."""
    return [part["functionResponse"] for part in _parts(record) if "functionResponse" in part]


def content(record: Record) -> blocks.Content:
    """All else that an event says: a text, or blocks where there is more than text."""
    found = [block for part in _parts(record) if (block := _block(part)) is not None]
    return _plain(found or _transcribed(record))


def joined(first: Any, second: Any) -> blocks.Content:
    """Two contents as one."""
    return _plain([*_blocks(first), *_blocks(second)])


def tool_message(response: Record, *, id: str, call: str) -> ToolMessage:
    """The result of a function."""
    result = response.get("response") or {}
    parts = response.get("parts") or ()
    files = [block for part in parts if (block := _block(part)) is not None]
    return ToolMessage(
        blocks.content([blocks.text(_text_of(result)), *files]),
        tool_call_id=call,
        name=response.get("name"),
        status="error" if result.keys() == {"error"} else "success",
        id=id,
    )


def late_result(response: Record, *, id: str) -> HumanMessage:
    """The result of a function that was called long ago, as said by the one who brings it."""
    return HumanMessage(
        f"{response.get('name') or ''}: {_text_of(response.get('response') or {})}", id=id
    )


def usage(record: Record) -> UsageMetadata | None:
    """The tokens that an answer of a model has used; None where nothing is known."""
    counts = record.get("usageMetadata") or {}

    def count(name: str) -> int:
        return counts.get(f"{name}TokenCount") or 0

    put_in = count("prompt") + count("toolUsePrompt")
    put_out = count("candidates") + count("thoughts")
    return blocks.usage(
        put_in,
        put_out,
        count("total"),
        of_input={"cache_read": count("cachedContent")},
        of_output={"reasoning": count("thoughts")},
    )


def response_metadata(record: Record) -> dict[str, Any]:
    """The model's name and why it stopped, where they are known."""
    found = {
        "model_name": record.get("modelVersion"),
        "finish_reason": record.get("finishReason"),
    }
    return {name: value for name, value in found.items() if value}


def _parts(record: Record) -> list[Record]:
    return (record.get("content") or {}).get("parts") or []


def _transcribed(record: Record) -> list[blocks.Block]:
    """What was spoken in a live session, where the event has nothing else."""
    for name in ("inputTranscription", "outputTranscription"):
        if text := (record.get(name) or {}).get("text"):
            return [blocks.text(text)]
    return []


def _block(part: Record) -> blocks.Block | None:
    """A part as a content block; None where it is a call or a result, or says nothing."""
    if text := part.get("text"):
        thought = part.get("thought")
        return {"type": "reasoning", "reasoning": text} if thought else blocks.text(text)
    if data := part.get("inlineData"):
        return blocks.media(_mime(data), base64=_standard(data.get("data") or ""))
    if data := part.get("fileData"):
        return blocks.media(_mime(data), url=data.get("fileUri") or "")
    if code := part.get("executableCode"):
        language = str(code.get("language") or "").lower()
        return blocks.text(f"\n```{language}\n{code.get('code') or ''}\n```\n")
    if result := part.get("codeExecutionResult"):
        return blocks.text(f"\n```\n{result.get('output') or ''}\n```\n")
    return None


def _mime(data: Record) -> str:
    return data.get("mimeType") or "application/octet-stream"


def _standard(data: str) -> str:
    """Base64 in the alphabet of content blocks; events are stored in that of URLs."""
    return b64encode(urlsafe_b64decode(data)).decode()


def _blocks(content: Any) -> list[blocks.Block]:
    if isinstance(content, str):
        return [blocks.text(content)] if content else []
    return list(content)


def _plain(found: list[blocks.Block]) -> blocks.Content:
    """A text, where blocks are nothing else."""
    if all(block["type"] == "text" for block in found):
        return "".join(block["text"] for block in found)
    return blocks.content(found)


def _text_of(result: Record) -> str:
    """A result as text: ADK puts what is no dict under ``result``."""
    if result.keys() == {"result"} and isinstance(result["result"], str):
        return str(result["result"])
    return json.dumps(result, ensure_ascii=False)
