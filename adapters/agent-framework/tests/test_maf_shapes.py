"""Every content of the framework's: it comes back as it was, and shows as a valid message."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from agent_framework import Content, FileHistoryProvider, Message
from agent_framework._types import ContentType
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    messages_from_dict,
    messages_to_dict,
)

from maf_shapes import BASE64, CALL, PNG, SHAPES, SURELY
from threadloom import SessionManager
from threadloom_agent_framework import ThreadloomHistoryProvider, shows

EACH = [
    pytest.param(content, expected, id=f"{kind}-{at}")
    for kind, shapes in SHAPES.items()
    for at, (content, expected) in enumerate(shapes)
]


def test_no_type_of_content_is_left_out() -> None:
    assert set(SHAPES) == set(get_args(ContentType))
    assert all(content.type == kind for kind, some in SHAPES.items() for content, _ in some)


def test_no_way_of_making_contents_is_left_out() -> None:
    made = {
        name.removeprefix("from_")
        for name, _ in inspect.getmembers(Content, inspect.ismethod)
        if name.startswith("from_")
    }
    assert made - {"dict"} <= set(SHAPES)


def listed(messages: Sequence[Message]) -> list[Any]:
    """Messages with every field of theirs, to be compared."""
    return [
        (
            type(message),
            *(message.role, message.author_name, message.message_id),
            message.additional_properties,
            [
                (type(content), {k: v for k, v in vars(content).items() if k != "exception"})
                for content in message.contents
            ],
            message.to_dict(),
        )
        for message in messages
    ]


async def stored(sessions: SessionManager, messages: list[Message]) -> list[Message]:
    provider = ThreadloomHistoryProvider(sessions)
    await provider.save_messages("s", messages)
    return await provider.get_messages("s")


@pytest.mark.parametrize("role", ["user", "assistant", "system", "tool", "custom"])
async def test_all_shapes_come_back_as_they_were(sessions: SessionManager, role: str) -> None:
    contents = [content for some in SHAPES.values() for content, _ in some]
    messages = [Message(role, [content]) for content in contents]
    messages += [
        Message(role, contents, author_name="Ana", message_id="m1", **SURELY),
        Message(role, []),
        Message(role, ["a", "b"]),
    ]
    back = await stored(sessions, messages)
    assert [m.to_dict() for m in back] == [m.to_dict() for m in messages]
    # What a dict tells differently from its message is the framework's affair.
    assert listed(back) == listed([Message.from_dict(m.to_dict()) for m in messages])
    # All of it is shown by messages that LangChain takes.
    shown = sessions.messages("s")
    assert [m.id for m in messages_from_dict(messages_to_dict(shown))] == [m.id for m in shown]
    assert sessions.check("s").problems == ()


async def test_they_come_back_as_from_a_file(sessions: SessionManager, tmp_path: Path) -> None:
    contents = [content for some in SHAPES.values() for content, _ in some]
    messages = [Message("assistant", [content]) for content in contents]
    file = FileHistoryProvider(tmp_path / "histories")
    await file.save_messages("s", messages)
    theirs = await file.get_messages("s")
    assert listed(await stored(sessions, messages)) == listed(theirs)


def shown_by(*messages: Message) -> list[BaseMessage]:
    groups = list(shows([message.to_dict() for message in messages]))
    return [message for group in groups for message in group.messages]


@pytest.mark.parametrize(("content", "expected"), EACH)
def test_how_a_content_of_the_assistant_is_shown(content: Content, expected: Any) -> None:
    found = shown_by(Message("assistant", [content]))
    if expected is None:
        assert found == []
        return
    (message,) = found
    if isinstance(expected, ToolMessage):
        assert message == expected
        return
    assert isinstance(message, AIMessage)
    if isinstance(expected, list) and isinstance(expected[0], tuple):
        calls = [(c["id"], c["name"], c["args"]) for c in message.tool_calls]
        calls += [(c["id"], c["name"], c["args"]) for c in message.invalid_tool_calls]
        assert calls == expected
        assert message.content == ""
    elif expected == "as it is":
        assert message.content == [{"type": "non_standard", "value": content.to_dict()}]
    else:
        assert message.content == expected
        assert message.tool_calls == []


def test_how_roles_are_shown() -> None:
    found = shown_by(
        Message("system", ["be kind"]),
        Message("user", ["look", PNG], author_name="ana", message_id="m1"),
        Message("assistant", [Content.from_text("I see"), CALL], author_name="Bot"),
        Message("tool", [Content.from_function_result("c1", result="blue")]),
        Message("judge", ["well"]),
    )
    picture = {"type": "image", "base64": BASE64, "mime_type": "image/png"}
    assert found == [
        SystemMessage("be kind"),
        HumanMessage([{"type": "text", "text": "look"}, picture], name="ana", id="m1"),
        AIMessage(
            "I see",
            name="Bot",
            tool_calls=[{"id": "c1", "name": "look", "args": {"at": "sea"}, "type": "tool_call"}],
        ),
        ToolMessage("blue", tool_call_id="c1", name="look"),
        ChatMessage(content="well", role="judge"),
    ]


def test_calls_and_results_in_one_message_are_shown_in_order() -> None:
    found = shown_by(
        Message(
            "assistant",
            [
                Content.from_text("first"),
                CALL,
                Content.from_function_result("c1", result="blue"),
                Content.from_text("then"),
                Content.from_function_call("c5", "find", informational_only=True),
                Content.from_function_result("c5", result="found"),
                Content.from_usage({"total_token_count": 9, "cache_read_input_token_count": 4}),
            ],
        )
    )
    assert [message.type for message in found] == ["ai", "tool", "ai"]
    assert found[1] == ToolMessage("blue", tool_call_id="c1", name="look")
    last = found[2]
    assert isinstance(last, AIMessage)
    assert [block["type"] for block in last.content if isinstance(block, dict)] == [
        *("text", "server_tool_call", "server_tool_result")
    ]
    assert last.usage_metadata == {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 9,
        "input_token_details": {"cache_read": 4},
    }


def test_a_call_that_the_provider_runs_is_none_of_the_application_s() -> None:
    hosted = {"type": "function_call", "call_id": "c", "name": "find", "hosted": True}
    item = {"type": "message", "role": "assistant", "contents": [hosted]}
    (group,) = shows([item])
    (message,) = group.messages
    assert isinstance(message, AIMessage)
    assert message.tool_calls == []
    assert message.content == [{"type": "server_tool_call", "id": "c", "name": "find", "args": {}}]


async def test_a_result_that_comes_later_still_names_its_tool(sessions: SessionManager) -> None:
    provider = ThreadloomHistoryProvider(sessions)
    await provider.save_messages("s", [Message("assistant", [CALL])])
    result = Content.from_function_result("c1", result="blue")
    await provider.save_messages("s", [Message("tool", [result])])
    assert [(m.type, m.name) for m in sessions.messages("s")] == [("ai", None), ("tool", "look")]


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
_value = st.none() | st.booleans() | st.integers(-5, 5) | _text
_plain = st.recursive(
    _value,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_text, inner, max_size=2),
    max_leaves=4,
)
_ids = st.sampled_from(["c1", "c2", ""])
_leaf = st.one_of(
    st.sampled_from([content for some in SHAPES.values() for content, _ in some]),
    st.builds(Content.from_text, _text),
    st.builds(
        lambda id, args: Content.from_function_call(id, "look", arguments=args),
        _ids,
        st.none() | _text | st.dictionaries(_text, _plain, max_size=2),
    ),
    st.builds(lambda id, value: Content.from_function_result(id, result=value), _ids, _plain),
    st.builds(
        lambda id, value: Content.from_mcp_server_tool_result(id, output=value), _ids, _plain
    ),
)
_message = st.builds(
    lambda role, contents, name, extra: Message(
        role, contents, author_name=name, additional_properties=extra
    ),
    st.sampled_from(["user", "assistant", "tool", "system"]),
    st.lists(_leaf, max_size=5),
    st.none() | _text,
    st.dictionaries(_text, _plain, max_size=2),
)


@settings(settings.get_profile("agent-framework"))
@given(messages=st.lists(_message, min_size=1, max_size=5))
async def test_any_messages_come_back_and_are_shown(messages: list[Message]) -> None:
    async with SessionManager("memory://") as sessions:
        back = await stored(sessions, messages)
        assert [m.to_dict() for m in back] == [m.to_dict() for m in messages]
        # The framework's own dicts tell of an exception only that there was one.
        again = [Message.from_dict(m.to_dict()) for m in messages]
        assert [m.contents for m in back] == [m.contents for m in again]
        assert len(sessions.messages("s")) == len(shown_by(*messages))
        assert sessions.check("s").problems == ()
