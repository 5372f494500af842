"""Messages of the framework as LangChain's, for `sessions.messages`, search and the rest.

Works on the stored dicts, so that nothing of the framework is needed. One of its messages becomes
one of LangChain's, or several where it holds results of several tools, or none where it holds
nothing that can be shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata

from threadloom import Shown, blocks
from threadloom_agent_framework.items import USAGE

Item = Mapping[str, Any]

_CALLS = ("function_call", "computer_tool_call")
_RESULTS = ("function_result", "computer_tool_result")
# The provider runs these tools by itself, inside of one answer.
_SERVER_CALL, _SERVER_RESULT = "_tool_call", "_tool_result"


def shows(items: Sequence[Any]) -> Iterable[Shown]:
    """The messages that show stored messages of the framework (see `threadloom.Shown`)."""
    names: dict[str, str] = {}
    for end, item in enumerate(items, start=1):
        if messages := _Reading(item, names).messages():
            yield Shown(end, messages)


class _Reading:
    """One message of the framework while it is taken apart.

    Args:
        item: the message.
        names: which tool each call was for, by the call's id; calls of this one are added.
    """

    def __init__(self, item: Item, names: dict[str, str]) -> None:
        self.item, self.names = item, names
        self.role = str(item.get("role"))
        self.found: list[BaseMessage] = []
        self.on_server: set[str] = set()
        self.usage: UsageMetadata | None = _usage(item.get(USAGE))
        self._begin()

    def _begin(self) -> None:
        self.blocks: list[blocks.Block] = []
        self.calls: list[ToolCall] = []
        self.invalid: list[InvalidToolCall] = []

    def messages(self) -> list[BaseMessage]:
        for content in self.item.get("contents") or ():
            self._read(content)
        self._end()
        if self.usage is not None:
            answers = [one for one in self.found if isinstance(one, AIMessage)]
            if not answers and self.role == "assistant":
                answers = [AIMessage("")]
                self.found += answers
            if answers:
                answers[-1].usage_metadata = self.usage
        if self.found and self.item.get("message_id"):
            self.found[0].id = str(self.item["message_id"])
        return self.found

    def _read(self, content: Item) -> None:
        kind = str(content.get("type"))
        id = str(content.get("call_id") or content.get("image_id") or "")
        if kind in _CALLS and self.role == "assistant":
            if content.get("hosted") or content.get("informational_only"):
                self._server_call(content, id)
            else:
                self._call(content, id)
        elif kind == "function_approval_request" and self.role == "assistant":
            call = content.get("function_call") or {}
            # It waits for an answer of the user's; the call itself may stand beside it.
            self._call(call, str(call.get("call_id") or ""))
        elif kind in ("function_approval_request", "function_approval_response"):
            call = content.get("function_call") or {}
            self.names.setdefault(str(call.get("call_id") or ""), str(call.get("name") or ""))
        elif kind in _RESULTS and id not in self.on_server:
            self._result(content, id)
        elif kind.endswith(_SERVER_CALL) and self.role == "assistant":
            self._server_call(content, id)
        elif kind.endswith((_SERVER_RESULT, "function_result")):
            if self.role == "assistant":
                self._server_result(content, id)
            else:
                self._result(content, id)
        elif kind == "usage":
            self.usage = _usage(content.get("usage_details")) or self.usage
        elif block := _block(content):
            self.blocks.append(block)

    def _call(self, content: Item, id: str) -> None:
        if any(call["id"] == id for call in (*self.calls, *self.invalid)):
            return
        self.names[id] = _tool(content)
        call = blocks.call(self.names[id], _arguments(content), id)
        if call["type"] == "invalid_tool_call":
            self.invalid.append(call)
        else:
            self.calls.append(call)

    def _result(self, content: Item, id: str) -> None:
        self._end()
        self.found.append(
            ToolMessage(
                blocks.content(_output(content)),
                tool_call_id=id,
                name=self.names.get(id),
                status="error" if content.get("exception") else "success",
            )
        )

    def _server_call(self, content: Item, id: str) -> None:
        self.on_server.add(id)
        self.names[id] = _tool(content)
        call = blocks.call(self.names[id], _arguments(content), id)
        args = call["args"] if call["type"] == "tool_call" else {}
        self.blocks.append(blocks.server_call(id, self.names[id], args))

    def _server_result(self, content: Item, id: str) -> None:
        failed = bool(content.get("exception"))
        output = blocks.content(_output(content))
        self.blocks.append(blocks.server_result(id, output, failed=failed))

    def _end(self) -> None:
        """Make a message of what has been read since the one before."""
        if not (self.blocks or self.calls or self.invalid):
            return
        content = blocks.content(self.blocks)
        author = self.item.get("author_name")
        name = None if author is None else str(author)
        match self.role:
            case "assistant":
                self.found.append(
                    AIMessage(
                        content,
                        name=name,
                        tool_calls=self.calls,
                        invalid_tool_calls=self.invalid,
                    )
                )
            case "user":
                self.found.append(HumanMessage(content, name=name))
            case "system" | "developer":
                self.found.append(SystemMessage(content, name=name))
            case _:
                self.found.append(ChatMessage(content=content, role=self.role, name=name))
        self._begin()


def _tool(call: Item) -> str:
    """The name of the tool that a call is for."""
    kind = str(call.get("type") or "")
    return str(call.get("name") or call.get("tool_name") or kind.removesuffix(_SERVER_CALL))


def _arguments(call: Item) -> Any:
    """The arguments of a call, as a mapping or as JSON."""
    for field in ("actions", "commands"):
        if call.get(field) is not None:
            return {field: call[field]}
    if call.get("inputs") is not None:
        return {"input": blocks.content([b for one in call["inputs"] if (b := _block(one))])}
    return call.get("arguments")


def _output(result: Item) -> list[blocks.Block]:
    """What a tool has given back, as content blocks."""
    for field in ("items", "outputs", "output", "screenshot", "result"):
        value = result.get(field)
        if value is None or value == "":
            continue
        values = value if isinstance(value, list) else [value]
        return [block for one in values if (block := _result_block(one))]
    return []


def _result_block(value: Any) -> blocks.Block | None:
    if isinstance(value, Mapping) and "type" in value and (block := _block(value)):
        return block
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return blocks.text(text)


def _block(content: Item) -> blocks.Block | None:
    """A content as one of LangChain's blocks; None where it has nothing to show."""
    kind = content.get("type")
    if kind == "text":
        return blocks.text(str(content.get("text") or ""))
    if kind == "text_reasoning":
        text = content.get("text")
        return {"type": "reasoning", "reasoning": str(text)} if text else None
    if kind in ("data", "uri", "hosted_file"):
        return _file(content)
    if kind == "error":
        told = (content.get("error_code"), content.get("message"), content.get("error_details"))
        return blocks.text(": ".join(str(one) for one in told if one) or "error")
    if kind == "shell_command_output":
        streams = (content.get("stdout"), content.get("stderr"))
        return blocks.text("\n".join(str(one) for one in streams if one))
    return {"type": "non_standard", "value": dict(content)}


def _file(content: Item) -> blocks.Block:
    uri, file_id = str(content.get("uri") or ""), content.get("file_id")
    where = {"file_id": file_id} if file_id and not uri else {"url": uri}
    return blocks.media(str(content.get("media_type") or ""), **where)


def _usage(details: Any) -> UsageMetadata | None:
    if not isinstance(details, Mapping):
        return None

    def count(key: str) -> int:
        value = details.get(key)
        return value if isinstance(value, int) else 0

    given, made = count("input_token_count"), count("output_token_count")
    return blocks.usage(
        given,
        made,
        count("total_token_count"),
        of_input={"cache_read": count("cache_read_input_token_count")},
        of_output={"reasoning": count("reasoning_output_token_count")},
    )
