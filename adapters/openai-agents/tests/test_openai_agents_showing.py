"""Which messages show which items, and which items are made of messages."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from agents.models.chatcmpl_converter import Converter
from hypothesis import given
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from openai_agents_sessions import MEMORY, new, quick, without_ids
from openai_agents_shapes import conversations
from threadloom_openai_agents import to_items


async def shown(*given_items: Any) -> list[BaseMessage]:
    session = new()
    await session.add_items(list(given_items))
    return without_ids(MEMORY.messages(session.session_id))


def call(id: str = "c1", name: str = "look", arguments: str = '{"a": 1}') -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def output(value: Any, id: str = "c1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": value}


def spoken(text: str, **part: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], **part}]
    return {"type": "message", "id": "m", "role": "assistant", "content": content}


PDF = "data:application/pdf;base64,BBBB"
LOOK = {"name": "look", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
SEARCH = {"type": "web_search_call", "id": "ws", "action": {"type": "search", "query": "q"}}
SEARCHED = {"type": "server_tool_call", "id": "ws", "name": "web_search", "args": SEARCH["action"]}


async def test_parts_of_what_users_say() -> None:
    content = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "high"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_image", "file_id": "file_1", "detail": "auto"},
        {
            "type": "input_file",
            "file_data": "data:application/pdf;base64,BBBB",
            "filename": "a.pdf",
        },
        {"type": "input_file", "file_url": "https://x.test/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "wav"}},
    ]
    (message,) = await shown({"role": "user", "content": content})
    assert message == HumanMessage(
        [
            {"type": "text", "text": "see"},
            {"type": "image", "url": "https://x.test/a.png", "extras": {"detail": "high"}},
            {
                "type": "image",
                "base64": "AAAA",
                "mime_type": "image/png",
                "extras": {"detail": "auto"},
            },
            {"type": "image", "file_id": "file_1", "extras": {"detail": "auto"}},
            {
                "type": "file",
                "base64": "BBBB",
                "mime_type": "application/pdf",
                "extras": {"filename": "a.pdf"},
            },
            {"type": "file", "url": "https://x.test/a.pdf"},
            {"type": "audio", "base64": "CCCC", "mime_type": "audio/wav"},
        ]
    )
    assert to_items([message]) == [{"role": "user", "content": content}]


async def test_roles() -> None:
    roles = ("user", "system", "developer", "assistant")
    found = await shown(*({"role": role, "content": role} for role in roles))
    marked = {"__openai_role__": "developer"}
    assert found == [
        HumanMessage("user"),
        SystemMessage("system"),
        SystemMessage("developer", additional_kwargs=marked),
        AIMessage("assistant"),
    ]
    assert to_items(found) == [{"role": role, "content": role} for role in roles]


async def test_one_response_is_one_message() -> None:
    reasoning = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "h"}]}
    found = await shown(reasoning, SEARCH, spoken("I look."), call(), call("c2"), output("x"))
    assert found == [
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "h"},
                SEARCHED,
                {"type": "text", "text": "I look."},
            ],
            tool_calls=[LOOK, {**LOOK, "id": "c2"}],
        ),
        ToolMessage("x", tool_call_id="c1", name="look"),
    ]


async def test_responses_in_a_row_are_messages_in_a_row() -> None:
    assert await shown(spoken("a"), spoken("b"), SEARCH, spoken("c")) == [
        AIMessage("a"),
        AIMessage("b"),
        AIMessage([SEARCHED, {"type": "text", "text": "c"}]),
    ]


async def test_nothing_stands_between_a_call_and_its_result() -> None:
    found = await shown(call(), spoken("Wait."), call("c2"), output("x"), output("y", "c2"))
    assert [message.type for message in found] == ["ai", "tool", "tool"]
    assert found[0].text == "Wait."
    found = await shown(spoken("I look."), call(), spoken("Wait."), output("x"))
    assert [message.type for message in found] == ["ai", "tool"]


async def test_refusals_and_citations() -> None:
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    mark = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    file = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 3}
    path = {"type": "file_path", "file_id": "f", "index": 3}
    found = await shown(refused, spoken("x", annotations=[mark, file, path]))
    annotations = [
        {**mark, "type": "citation"},
        {"type": "citation", "title": "a.txt", "extras": {"file_id": "f", "index": 3}},
        {"type": "non_standard_annotation", "value": path},
    ]
    assert found == [
        AIMessage("No.", additional_kwargs={"refusal": "No."}),
        AIMessage([{"type": "text", "text": "x", "annotations": annotations}]),
    ]


async def test_arguments_that_are_no_json() -> None:
    found = await shown(call(arguments="{"), call("c2", arguments="[1]"), call("c3", arguments=""))
    (message,) = found
    assert [(c["id"], c["args"]) for c in message.invalid_tool_calls] == [
        ("c1", "{"),
        ("c2", "[1]"),
    ]
    assert [(c["id"], c["args"]) for c in message.tool_calls] == [("c3", {})]


async def test_results_of_parts() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}
    _, message = await shown(call(), output([{"type": "input_text", "text": "see"}, picture]))
    assert message.content == [
        {"type": "text", "text": "see"},
        {"type": "image", "base64": "AA", "mime_type": "image/png", "extras": {"detail": "low"}},
    ]
    (again,) = to_items([message])
    assert again == output([{"type": "input_text", "text": "see"}, picture])


@pytest.mark.parametrize(
    ("asked", "answered", "name", "args", "content"),
    [
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select 1"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
            "sql",
            {"__arg1": "select 1"},
            "1",
        ),
        (
            {"type": "computer_call", "id": "i", "call_id": "c", "action": {"type": "screenshot"}},
            {
                "type": "computer_call_output",
                "call_id": "c",
                "output": {"type": "computer_screenshot", "image_url": "https://x.test/s.png"},
            },
            "computer",
            {"action": {"type": "screenshot"}},
            [{"type": "image", "url": "https://x.test/s.png"}],
        ),
        (
            {"type": "local_shell_call", "id": "i", "call_id": "c", "action": {"command": ["ls"]}},
            {"type": "local_shell_call_output", "call_id": "c", "output": "a"},
            "local_shell",
            {"command": ["ls"]},
            "a",
        ),
        (
            {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
            {
                "type": "shell_call_output",
                "call_id": "c",
                "output": [{"stdout": "a", "stderr": "b", "outcome": {"type": "timeout"}}],
            },
            "shell",
            {"commands": ["ls"]},
            "a\nb",
        ),
        (
            {
                "type": "apply_patch_call",
                "call_id": "c",
                "status": "completed",
                "operation": {"type": "delete_file", "path": "a"},
            },
            {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "no"},
            "apply_patch",
            {"type": "delete_file", "path": "a"},
            "no",
        ),
        (
            {"type": "tool_search_call", "call_id": "c", "arguments": {"query": "pay"}},
            {"type": "tool_search_output", "call_id": "c", "tools": [{"name": "pay"}]},
            "tool_search",
            {"query": "pay"},
            '[{"name": "pay"}]',
        ),
    ],
)
async def test_other_tools(asked: Any, answered: Any, name: str, args: Any, content: Any) -> None:
    ai, tool = await shown(asked, answered)
    assert ai.tool_calls == [{"name": name, "args": args, "id": "c", "type": "tool_call"}]
    assert (tool.name, tool.tool_call_id, tool.content) == (name, "c", content)
    assert tool.status == ("error" if answered.get("status") == "failed" else "success")


async def test_what_runs_at_the_provider() -> None:
    mcp = {"type": "mcp_call", "id": "m", "name": "add", "arguments": '{"a": 1}'}
    mcp |= {"server_label": "s"}
    code = {"type": "code_interpreter_call", "id": "k", "code": "1", "outputs": None}
    files = {"type": "file_search_call", "id": "f", "queries": ["q"], "results": [{"text": "t"}]}
    picture = {"type": "image_generation_call", "id": "p", "result": "AAAA", "status": "completed"}
    (message,) = await shown(
        {**mcp, "output": "2"}, {**mcp, "error": "no"}, code, files, picture, spoken("x")
    )
    added = {"type": "server_tool_call", "id": "m", "name": "add", "args": {"a": 1}}
    result = {"type": "server_tool_result", "tool_call_id": "m"}
    assert message.content == [
        added,
        {**result, "status": "success", "output": "2"},
        added,
        {**result, "status": "error", "output": "no"},
        {"type": "server_tool_call", "id": "k", "name": "code_interpreter", "args": {"code": "1"}},
        {"type": "server_tool_call", "id": "f", "name": "file_search", "args": {"queries": ["q"]}},
        {**result, "tool_call_id": "f", "status": "success", "output": [{"text": "t"}]},
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
        {"type": "text", "text": "x"},
    ]
    kinds = [block["type"] for block in message.content_blocks]
    assert "non_standard" not in kinds


async def test_ids() -> None:
    session = new()
    fake = {"id": "__fake_id__", "role": "user", "content": "x"}
    named = {**fake, "id": "msg_1"}
    await session.add_items([fake, fake, named, named])
    await session.add_items([named])
    ids = [message.id for message in MEMORY.messages(session.session_id)]
    assert len(set(ids)) == 5
    assert ids[2] == "msg_1"
    assert "__fake_id__" not in ids


@quick
@given(given_items=conversations())
def test_items_of_messages_show_the_same(given_items: list[Any]) -> None:
    async def check() -> None:
        session, again = new(), new()
        await session.add_items(given_items)
        messages = MEMORY.messages(session.session_id)
        made = to_items(messages)
        Converter.items_to_messages(made)  # what a model behind another API gets
        await again.add_items(made)
        found = MEMORY.messages(again.session_id)
        said = [(m.type, m.text, _calls(m)) for m in messages]
        assert [(m.type, m.text, _calls(m)) for m in found] == said or _merged(said)

    asyncio.run(check())


def _merged(said: list[Any]) -> bool:
    """Whether messages of the model stand in a row, which items cannot tell apart."""
    return any(a[0] == b[0] == "ai" for a, b in pairwise(said))


def _calls(message: BaseMessage) -> Any:
    if isinstance(message, ToolMessage):
        return message.tool_call_id
    calls = [*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ())]
    return sorted((call["id"], call["name"]) for call in calls)


def test_what_has_no_item_is_left_out() -> None:
    unanswerable = {"name": "x", "args": {}, "id": None, "type": "tool_call"}
    messages = [
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "a"}]),
        AIMessage("b", tool_calls=[unanswerable]),
        RemoveMessage(id="1"),
        HumanMessage([{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]),
    ]
    assert to_items(messages) == [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
        {
            "role": "user",
            "content": [
                {"type": "input_image", "detail": "auto", "image_url": "https://x.test/a.png"}
            ],
        },
    ]
