"""Shows the SDK's items as LangChain messages.

What one model response consists of (reasoning, text, calls) are several items and one message. An
item that has no counterpart among messages is shown by none, and belongs to the message behind it:
a rewind that takes this message away takes the item as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.models.fake_id import FAKE_RESPONSES_ID
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call

from threadloom import Shown, blocks
from threadloom_openai_agents.content import blocks_of, image

Item = Mapping[str, Any]


def shows(items: Sequence[Any]) -> list[Shown]:
    """Messages that show items of the SDK, in order.

    Results of tools come without the names of their tools, which their calls have.
    """
    shown: list[Shown] = []
    reply: _Reply | None = None
    for end, item in enumerate(items, 1):
        if not isinstance(item, Mapping):
            continue
        message: BaseMessage | None = None
        if (result := _call_of_result(item)) is not None:
            message = _tool_message(item, result)
        elif _kind(item) == "message" and item.get("role") != "assistant":
            message = _input_message(item)
        elif parts := _Parts.of(item):
            if reply is not None and not reply.takes(parts):
                shown.append(reply.shown())
                reply = None
            reply = reply or _Reply(_id(item))
            reply.add(end, parts)
        if message is not None:
            if reply is not None:
                shown.append(reply.shown())
                reply = None
            shown.append(Shown(end, [message]))
    if reply is not None:
        shown.append(reply.shown())
    return shown


class _Parts:
    """What an item brings to a message of the model.

    Attributes:
        blocks: content.
        calls, invalid: calls of tools that the SDK runs.
        refusal: why the model does not answer.
        says: whether it is what the model says at the end.
    """

    def __init__(
        self,
        said: Sequence[blocks.Block] = (),
        call: ToolCall | InvalidToolCall | None = None,
        refusal: str | None = None,
        *,
        says: bool = False,
    ) -> None:
        self.blocks = said
        self.calls: list[ToolCall] = []
        self.invalid: list[InvalidToolCall] = []
        if call is not None and call["type"] == "invalid_tool_call":
            self.invalid.append(call)
        elif call is not None:
            self.calls.append(call)
        self.refusal = refusal
        self.says = says

    def all_calls(self) -> list[ToolCall | InvalidToolCall]:
        return [*self.calls, *self.invalid]

    @classmethod
    def of(cls, item: Item) -> _Parts | None:
        """What an item brings; None where it is shown by nothing."""
        kind = _kind(item)
        if kind == "message":
            return cls(blocks_of(item.get("content")), refusal=_refusal(item), says=True)
        if (call := _call(item)) is not None:
            return cls(call=call)
        said = _reasoning(item) if kind == "reasoning" else _hosted(kind, item)
        return cls(said) if said else None


class _Reply:
    """A message of the model that is being made.

    Attributes:
        end: how many items it ends behind.
    """

    def __init__(self, id: str | None) -> None:
        self.end = 0
        self._id = id
        self._blocks: list[blocks.Block] = []
        self._calls: list[ToolCall] = []
        self._invalid: list[InvalidToolCall] = []
        self._refusals: list[str] = []
        self._said = False

    def takes(self, parts: _Parts) -> bool:
        """Whether more belongs to this message.

        Nothing may stand between calls and their results. Otherwise a message ends with what
        the model says, for where a response ends is not stored.
        """
        return bool(parts.all_calls() or self._calls or self._invalid or not self._said)

    def add(self, end: int, parts: _Parts) -> None:
        self.end = end
        self._blocks += parts.blocks
        self._calls += parts.calls
        self._invalid += parts.invalid
        self._said |= parts.says
        if parts.refusal is not None:
            self._refusals.append(parts.refusal)

    def shown(self) -> Shown:
        message = AIMessage(
            blocks.content(self._blocks),
            id=self._id,
            tool_calls=self._calls,
            invalid_tool_calls=self._invalid,
            additional_kwargs={"refusal": "\n".join(self._refusals)} if self._refusals else {},
        )
        return Shown(self.end, [message])


# ── What comes in ────────────────────────────────────────────────────────────────────────────
def _kind(item: Item) -> str:
    """An item's type; messages may leave it out."""
    kind = item.get("type")
    if kind is None and "role" in item:
        return "message"
    return kind if isinstance(kind, str) else ""


def _id(item: Item) -> str | None:
    """The id of an item, where it is one of its own: some models have the same one for all."""
    id = item.get("id")
    return id if isinstance(id, str) and id and id != FAKE_RESPONSES_ID else None


def _input_message(item: Item) -> BaseMessage | None:
    content = blocks.content(blocks_of(item.get("content")))
    match item.get("role"):
        case "user":
            return HumanMessage(content, id=_id(item))
        case "system":
            return SystemMessage(content, id=_id(item))
        case "developer":  # as LangChain's OpenAI models mark it
            marks = {"__openai_role__": "developer"}
            return SystemMessage(content, id=_id(item), additional_kwargs=marks)
    return None


# ── What the model makes ─────────────────────────────────────────────────────────────────────
def _refusal(item: Item) -> str | None:
    content = item.get("content")
    parts = content if isinstance(content, list | tuple) else ()
    found = [part.get("refusal") for part in parts if isinstance(part, Mapping)]
    texts = [text for text in found if isinstance(text, str)]
    return "\n".join(texts) if texts else None


def _reasoning(item: Item) -> list[blocks.Block]:
    """Reasoning as far as it is text: the summary, else the reasoning itself."""
    for field in ("summary", "content"):
        parts = item.get(field)
        texts = [
            part["text"]
            for part in (parts if isinstance(parts, list | tuple) else ())
            if isinstance(part, Mapping) and isinstance(part.get("text"), str) and part["text"]
        ]
        if texts:
            return [{"type": "reasoning", "reasoning": "\n\n".join(texts)}]
    return []


def _call(item: Item) -> ToolCall | InvalidToolCall | None:
    """The call of a tool which the SDK runs and answers by an item of its own."""
    id = item.get("call_id")
    if not isinstance(id, str) or not id:
        return None
    match _kind(item):
        case "function_call":
            return blocks.call(str(item.get("name")), item.get("arguments"), id)
        case "custom_tool_call":  # LangChain's name for the one argument of a tool without names
            return tool_call(name=str(item.get("name")), args={"__arg1": item.get("input")}, id=id)
        case "computer_call":
            args = {key: item[key] for key in ("action", "actions") if item.get(key) is not None}
            return tool_call(name="computer", args=args, id=id)
        case "local_shell_call":
            return tool_call(name="local_shell", args=_object(item.get("action")), id=id)
        case "shell_call":
            return tool_call(name="shell", args=_object(item.get("action")), id=id)
        case "apply_patch_call":
            return tool_call(name="apply_patch", args=_object(item.get("operation")), id=id)
        case "tool_search_call":
            return tool_call(name="tool_search", args=_object(item.get("arguments")), id=id)
    return None


def _object(value: Any) -> dict[str, Any]:
    """A value as arguments by name."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {"value": value}
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    return {} if value is None else {"value": value}


def _hosted(kind: str, item: Item) -> list[blocks.Block]:
    """What ran at the model's provider: a call and, as far as it is stored, its result."""
    id = item.get("call_id") if kind in ("program", "program_output") else item.get("id")
    if not isinstance(id, str) or not id:
        return []
    match kind:
        case "web_search_call":
            return [blocks.server_call(id, "web_search", _object(item.get("action")))]
        case "file_search_call":
            call = blocks.server_call(id, "file_search", {"queries": item.get("queries")})
            return [call, *_server_result(item, id, item.get("results"))]
        case "code_interpreter_call":
            call = blocks.server_call(id, "code_interpreter", {"code": item.get("code")})
            return [call, *_server_result(item, id, item.get("outputs"))]
        case "mcp_call":
            call = blocks.server_call(id, str(item.get("name")), _object(item.get("arguments")))
            output = item.get("output") if item.get("error") is None else item.get("error")
            return [call, *_server_result(item, id, output)]
        case "program":
            return [blocks.server_call(id, "program", {"code": item.get("code")})]
        case "program_output":
            return _server_result(item, id, item.get("result"))
        case "image_generation_call":
            result = item.get("result")
            form = item.get("output_format") or "png"
            made = image(f"data:image/{form};base64,{result}") if result else None
            return [made] if made else []
    return []


def _server_result(item: Item, id: str, output: Any) -> list[blocks.Block]:
    if output is None:
        return []
    failed = item.get("status") == "failed" or item.get("error") is not None
    return [blocks.server_result(id, output, failed=failed)]


# ── What tools return ────────────────────────────────────────────────────────────────────────
_RESULTS = {
    "function_call_output",
    "custom_tool_call_output",
    "computer_call_output",
    "local_shell_call_output",
    "shell_call_output",
    "apply_patch_call_output",
    "tool_search_output",
}


def _call_of_result(item: Item) -> str | None:
    """The id of the call that an item is the result of; None for all other items."""
    kind = _kind(item)
    if kind not in _RESULTS:
        return None
    id = item.get("call_id")
    if not id and kind == "local_shell_call_output":
        id = item.get("id")
    return id if isinstance(id, str) and id else None


def _tool_message(item: Item, call: str) -> ToolMessage:
    failed = item.get("status") == "failed"
    return ToolMessage(
        _output(item),
        id=_id(item),
        tool_call_id=call,
        name=_text_or_none(item.get("name")),
        status="error" if failed else "success",
    )


def _output(item: Item) -> blocks.Content:
    output = item.get("tools") if _kind(item) == "tool_search_output" else item.get("output")
    if _kind(item) == "shell_call_output" and isinstance(output, list | tuple):
        streams = [
            part.get(stream)
            for part in output
            if isinstance(part, Mapping)
            for stream in ("stdout", "stderr")
        ]
        return "\n".join(text for text in streams if isinstance(text, str) and text)
    if output is None or isinstance(output, str):
        return output or ""
    if _kind(item) != "tool_search_output":
        parts = [output] if isinstance(output, Mapping) else output
        if isinstance(parts, list | tuple) and all(isinstance(p, Mapping) for p in parts):
            return blocks.content(blocks_of(parts))
    return json.dumps(output, ensure_ascii=False, default=str)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
