"""The parts of one event, as stored, as what LangChain's messages hold."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.messages.ai import (
    InputTokenDetails,
    OutputTokenDetails,
    UsageMetadata,
    add_usage,
)

Record = Mapping[str, Any]
Content = str | list[str | dict[str, Any]]

__all__ = [
    "Content",
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

_KINDS = ("image", "audio", "video")


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


def content(record: Record) -> Content:
    """All else that an event says: a text, or blocks where there is more than text."""
    blocks = [block for part in _parts(record) if (block := _block(part)) is not None]
    return _plain(blocks or _transcribed(record))


def joined(first: Any, second: Any) -> Content:
    """Two contents as one."""
    return _plain([*_blocks(first), *_blocks(second)])


def tool_message(response: Record, *, id: str, call: str) -> ToolMessage:
    """The result of a function."""
    result = response.get("response") or {}
    blocks: list[str | dict[str, Any]] = []
    for part in response.get("parts") or ():
        if (block := _block(part)) is not None:
            blocks.append(block)
    text = _text_of(result)
    return ToolMessage(
        [{"type": "text", "text": text}, *blocks] if blocks else text,
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
    if not (put_in or put_out or count("total")):
        return None
    made = UsageMetadata(
        input_tokens=put_in, output_tokens=put_out, total_tokens=count("total") or put_in + put_out
    )
    if cached := counts.get("cachedContentTokenCount"):
        made["input_token_details"] = InputTokenDetails(cache_read=cached)
    if thoughts := count("thoughts"):
        made["output_token_details"] = OutputTokenDetails(reasoning=thoughts)
    return made


def response_metadata(record: Record) -> dict[str, Any]:
    """The model's name and why it stopped, where they are known."""
    found = {
        "model_name": record.get("modelVersion"),
        "finish_reason": record.get("finishReason"),
    }
    return {name: value for name, value in found.items() if value}


def _parts(record: Record) -> list[Record]:
    return (record.get("content") or {}).get("parts") or []


def _transcribed(record: Record) -> list[str | dict[str, Any]]:
    """What was spoken in a live session, where the event has nothing else."""
    for name in ("inputTranscription", "outputTranscription"):
        if text := (record.get(name) or {}).get("text"):
            return [{"type": "text", "text": text}]
    return []


def _block(part: Record) -> dict[str, Any] | None:
    """A part as a content block; None where it is a call or a result, or says nothing."""
    if text := part.get("text"):
        return (
            {"type": "reasoning", "reasoning": text}
            if part.get("thought")
            else {"type": "text", "text": text}
        )
    if data := part.get("inlineData"):
        return {**_media(data), "base64": _standard(data.get("data") or "")}
    if data := part.get("fileData"):
        return {**_media(data), "url": data.get("fileUri") or ""}
    if code := part.get("executableCode"):
        language = str(code.get("language") or "").lower()
        return {"type": "text", "text": f"\n```{language}\n{code.get('code') or ''}\n```\n"}
    if result := part.get("codeExecutionResult"):
        return {"type": "text", "text": f"\n```\n{result.get('output') or ''}\n```\n"}
    return None


def _media(data: Record) -> dict[str, Any]:
    mime_type = data.get("mimeType") or "application/octet-stream"
    kind = mime_type.partition("/")[0]
    return {"type": kind if kind in _KINDS else "file", "mime_type": mime_type}


def _standard(data: str) -> str:
    """Base64 in the alphabet of content blocks; events are stored in that of URLs."""
    return b64encode(urlsafe_b64decode(data)).decode()


def _blocks(content: Any) -> list[str | dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def _plain(blocks: list[Any]) -> Content:
    """A text, where blocks are nothing else."""
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks


def _text_of(result: Record) -> str:
    """A result as text: ADK puts what is no dict under ``result``."""
    if result.keys() == {"result"} and isinstance(result["result"], str):
        return str(result["result"])
    return json.dumps(result, ensure_ascii=False)
