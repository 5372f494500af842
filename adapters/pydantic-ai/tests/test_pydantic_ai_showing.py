"""What LangChain's messages look like that show Pydantic AI's."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, convert_to_messages, messages_from_dict
from langchain_core.messages import messages_to_dict as to_dict
from langchain_core.messages.content import KNOWN_BLOCK_TYPES
from pydantic_ai import messages as m
from pydantic_ai.usage import RequestUsage

from pydantic_ai_shapes import PNG, every_message
from threadloom_pydantic_ai.showing import shows_entries, shows_messages, to_langchain

B64 = base64.b64encode(PNG).decode()


def contents(*parts: Any) -> list[tuple[str, Any]]:
    kind = m.ModelResponse if isinstance(parts[0], m.TextPart | m.ThinkingPart) else m.ModelRequest
    return [(one.type, one.content) for one in to_langchain(kind(list(parts)))]


def user_content(*content: Any) -> Any:
    ((_, found),) = contents(m.UserPromptPart(list(content)))
    return found


@pytest.mark.parametrize(
    ("item", "block"),
    [
        ("x", "x"),
        (m.TextContent("x", metadata=1), "x"),
        (m.StructuredContent({"a": 1}), '{"a":1}'),
        (m.CachePoint(), ""),
        (
            m.ImageUrl("https://e.com/a.png"),
            [{"type": "image", "url": "https://e.com/a.png", "mime_type": "image/png"}],
        ),
        (m.ImageUrl("https://e.com/a"), [{"type": "image", "url": "https://e.com/a"}]),
        (
            m.VideoUrl("https://e.com/a.mp4"),
            [{"type": "video", "url": "https://e.com/a.mp4", "mime_type": "video/mp4"}],
        ),
        (
            m.DocumentUrl("https://e.com/a.pdf"),
            [{"type": "file", "url": "https://e.com/a.pdf", "mime_type": "application/pdf"}],
        ),
        (
            m.BinaryContent(PNG, media_type="image/png"),
            [{"type": "image", "base64": B64, "mime_type": "image/png"}],
        ),
        (
            m.BinaryContent(PNG, media_type="application/pdf"),
            [{"type": "file", "base64": B64, "mime_type": "application/pdf"}],
        ),
        (m.UploadedFile("f", "openai"), [{"type": "file", "file_id": "f"}]),
        (
            m.UploadedFile("f", "openai", media_type="audio/wav"),
            [{"type": "audio", "file_id": "f"}],
        ),
    ],
)
def test_what_a_user_sends(item: Any, block: Any) -> None:
    assert user_content(item) == block


def test_what_a_user_sends_together() -> None:
    assert user_content("look", m.ImageUrl("https://e.com/a.png"), m.CachePoint(), "there") == [
        {"type": "text", "text": "look"},
        {"type": "image", "url": "https://e.com/a.png", "mime_type": "image/png"},
        {"type": "text", "text": "there"},
    ]


def test_results_follow_their_calls() -> None:
    shown = to_langchain(
        m.ModelRequest(
            [
                m.UserPromptPart("and now?"),
                m.ToolReturnPart("t", {"a": 1}, "c1"),
                m.SystemPromptPart("Careful."),
                m.ToolReturnPart("u", "broken", "c2", outcome="failed"),
                m.ToolReturnPart("u", "refused", "c3", outcome="denied"),
            ]
        )
    )
    assert [(one.type, one.content) for one in shown] == [
        ("tool", '{"a":1}'),
        ("tool", "broken"),
        ("tool", "refused"),
        ("human", "and now?"),
        ("system", "Careful."),
    ]
    results: list[Any] = shown[:3]
    assert [(one.tool_call_id, one.name, one.status) for one in results] == [
        ("c1", "t", "success"),
        ("c2", "u", "error"),
        ("c3", "u", "success"),
    ]


def test_a_result_with_a_picture() -> None:
    image = m.BinaryImage(PNG, media_type="image/png")
    (shown,) = to_langchain(m.ModelRequest([m.ToolReturnPart("t", ["see", image, {"n": 1}], "c")]))
    assert shown.content == [
        {"type": "text", "text": "see"},
        {"type": "image", "base64": B64, "mime_type": "image/png"},
        {"type": "text", "text": '{"n":1}'},
    ]


def test_what_only_steers_is_not_shown() -> None:
    steering = [
        m.ToolAvailabilityDeltaPart(tools_added=["t"]),
        m.ModelSettingsDeltaPart(settings={"temperature": 0.5}),
        m.InstructionDeltaPart(id=None, content="x"),
    ]
    assert to_langchain(m.ModelRequest(steering, instructions="Be brief.")) == []
    assert contents(m.RetryFeedbackPart("Say it", retry=m.RetryInfo("no_output")))[0][0] == "human"
    assert contents(m.CompactionPart("They met.")) == [("human", "They met.")]


def test_a_response_is_one_message() -> None:
    (shown,) = to_langchain(
        m.ModelResponse(
            [
                m.ThinkingPart("Hm."),
                m.ThinkingPart("", signature="x"),
                m.TextPart("I look. "),
                m.ToolCallPart("t", '{"a": 1}', "c1"),
                m.ToolCallPart("t", '{"a": ', "c2"),
                m.ToolCallPart("t", None, "c3"),
                m.NativeToolCallPart("search", {"q": 1}, "n"),
                m.NativeToolReturnPart("search", ["hit"], "n"),
                m.FilePart(m.BinaryImage(PNG, media_type="image/png")),
            ],
            model_name="gpt",
            finish_reason="tool_call",
            usage=RequestUsage(
                input_tokens=10,
                cache_read_tokens=4,
                output_tokens=7,
                output_reasoning_tokens=2,
            ),
        )
    )
    assert shown.content == [
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "text", "text": "I look. "},
        {"type": "server_tool_call", "id": "n", "name": "search", "args": {"q": 1}},
        {
            "type": "server_tool_result",
            "tool_call_id": "n",
            "status": "success",
            "output": '["hit"]',
        },
        {"type": "image", "base64": B64, "mime_type": "image/png"},
    ]
    assert [(call["id"], call["args"]) for call in shown.tool_calls] == [
        ("c1", {"a": 1}),
        ("c3", {}),
    ]
    assert [(call["id"], call["args"]) for call in shown.invalid_tool_calls] == [("c2", '{"a": ')]
    assert shown.usage_metadata == {
        "input_tokens": 10,
        "output_tokens": 7,
        "total_tokens": 17,
        "input_token_details": {"cache_read": 4},
        "output_token_details": {"reasoning": 2},
    }
    assert shown.response_metadata == {"model_name": "gpt", "finish_reason": "tool_call"}


def test_a_text_is_a_plain_string() -> None:
    assert contents(m.TextPart("a"), m.TextPart("b")) == [("ai", "ab")]
    assert contents(m.TextPart("a"), m.ToolCallPart("t", {}, "c"), m.TextPart("b")) == [
        ("ai", "a\n\nb")
    ]
    assert to_langchain(m.ModelResponse([]))[0].content == ""
    assert to_langchain(m.ModelResponse([]))[0].usage_metadata is None


def test_everything_that_is_shown_is_valid() -> None:
    shown: list[BaseMessage] = []
    for message in every_message():
        shown += to_langchain(message)
    assert messages_from_dict(to_dict(shown)) == shown
    assert convert_to_messages(shown) == shown
    kinds = {
        block["type"]
        for message in shown
        if isinstance(message.content, list)
        for block in message.content
    }
    assert kinds >= {"text", "image", "audio", "video", "file", "reasoning"}
    assert kinds <= KNOWN_BLOCK_TYPES
    for message in shown:
        assert all(block["type"] in KNOWN_BLOCK_TYPES for block in message.content_blocks)


def test_groups_end_where_something_is_seen() -> None:
    hi = {"parts": [{"content": "hi", "part_kind": "user-prompt"}], "kind": "request"}
    none = {"parts": [], "kind": "request"}
    assert [group.end for group in shows_messages([none, hi, hi, none])] == [2, 3]
    system = {"content": "s", "part_kind": "system-prompt"}
    both = {"parts": [system, *hi["parts"]], "kind": "request"}
    (group,) = shows_entries([{"id": "e", "parent_id": None, "kind": "message", "message": both}])
    assert [message.id for message in group.messages] == ["e", "e:1"]
