"""One example at least of everything that a message of Pydantic AI's may hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic_ai import messages as m
from pydantic_ai.usage import RequestUsage

PNG = b"\x89PNG\r\n\x1a\n\xff\xfe\x00"
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

USER_CONTENT: list[Any] = [
    "text",
    "Ünïcode \U0001f9f5 \u0000",
    m.TextContent("tagged", metadata={"from": "a form"}),
    m.StructuredContent({"room": 3}, tag="ui_state", description="What is seen"),
    m.ImageUrl("https://example.com/a.png"),
    m.ImageUrl("https://example.com/a", media_type="image/webp", force_download=True),
    m.ImageUrl("https://example.com/unknown"),
    m.AudioUrl("https://example.com/a.mp3", vendor_metadata={"x": 1}),
    m.VideoUrl("https://example.com/a.mp4", identifier="film"),
    m.DocumentUrl("https://example.com/a.pdf"),
    m.BinaryContent(b"\x00\x01", media_type="audio/wav"),
    m.BinaryContent(b"%PDF", media_type="application/pdf", identifier="doc"),
    m.BinaryImage(PNG, media_type="image/png"),
    m.UploadedFile("file-1", "openai", media_type="image/png"),
    m.CachePoint(ttl="1h"),
]

NATIVE_RETURNS: list[Any] = [
    m.NativeToolReturnPart("web_search", {"hits": [1]}, "n1", provider_name="openai"),
    m.NativeToolReturnPart(
        "web_search", "no", "n2", outcome="failed", provider_details={"code": 3}, timestamp=AT
    ),
]

REQUEST_PARTS: list[Any] = [
    m.SystemPromptPart("Be kind.", dynamic_ref="f", timestamp=AT),
    m.UserPromptPart("Hello", timestamp=AT),
    m.UserPromptPart(USER_CONTENT),
    m.UserPromptPart([]),
    m.SpeechPart(speaker="user", transcript="said aloud", id="s", provider_name="openai"),
    m.SpeechPart(speaker="user", audio=m.BinaryContent(b"RIFF", media_type="audio/wav")),
    m.ToolReturnPart("t", "text", "c1"),
    m.ToolReturnPart("t", {"deep": [1, 2.5, None, True, {"x": "y"}]}, "c2", metadata={"a": 1}),
    m.ToolReturnPart("t", None, "c3"),
    m.ToolReturnPart("t", ["see", m.BinaryImage(PNG, media_type="image/png"), {"n": 1}], "c4"),
    m.ToolReturnPart("t", m.ImageUrl("https://example.com/a.png"), "c5"),
    m.ToolReturnPart("t", "it broke", "c6", outcome="failed"),
    m.ToolReturnPart("t", "not allowed", "c7", outcome="denied"),
    m.ToolReturnPart("t", "stopped", "c8", outcome="interrupted"),
    m.ToolReturnPart(
        *("t", "try again", "c9"),
        outcome="retried",
        retry=m.RetryInfo("model_retry", attempt=1, max_retries=2),
    ),
    m.ToolSearchReturnPart(content={"discovered_tools": [{"name": "t"}]}, tool_call_id="c10"),
    m.LoadCapabilityReturnPart(content={}, tool_call_id="c11"),
    m.RetryFeedbackPart("Please return text.", retry=m.RetryInfo("no_output")),
    m.RetryFeedbackPart(
        [{"type": "missing", "loc": ("a", 1), "msg": "Field required", "input": {}}],
        retry=m.RetryInfo("validation_error", attempt=2),
    ),
    m.ToolAvailabilityDeltaPart(tools_added=["t"], tool_call_id="c10"),
    m.CapabilityLoadDeltaPart(loaded=["x"]),
    m.ModelSettingsDeltaPart(settings={"thinking": "high"}),
    m.InstructionDeltaPart(id=None, content="Now in Danish."),
    m.InstructionBaselinePart(
        instructions=[m.InstructionPart("Be brief."), m.InstructionDigest(content_hash="abc")]
    ),
    m.CompactionPart("They talked.", metadata={"by": "us"}),
]

RESPONSE_PARTS: list[Any] = [
    m.TextPart("Hi"),
    m.TextPart(
        *("Cited",),
        id="t",
        provider_name="anthropic",
        provider_details={"x": [1]},
        citations=[
            m.Citation(
                [m.WebCitationSource("https://example.com", title="A")],
                anchor=m.ContentCitationAnchor(start=0, end=5),
            ),
            m.Citation([m.DocumentCitationSource(document_id="d")]),
        ],
    ),
    m.ThinkingPart("Hm.", id="r", signature="sig", provider_name="anthropic"),
    m.ThinkingPart("", signature="hidden", provider_name="anthropic"),
    m.ToolCallPart("t", {"a": None, "b": [1, {"c": 2.5}]}, "c1"),
    m.ToolCallPart("t", '{"a": 1}', "c2", id="x", provider_name="openai"),
    m.ToolCallPart("t", '{"a": ', "c3"),
    m.ToolCallPart("t", "[1]", "c3b"),
    m.ToolCallPart("t", None, "c4"),
    m.ToolCallPart("t", "", "c5"),
    m.ToolSearchCallPart(args={"queries": ["x"]}, tool_call_id="c10"),
    m.LoadCapabilityCallPart(args={"id": "x"}, tool_call_id="c11"),
    m.NativeToolCallPart("web_search", {"query": "x"}, "n1", provider_name="openai"),
    m.NativeToolSearchCallPart(args={"queries": ["x"]}, tool_call_id="n3"),
    m.NativeToolSearchReturnPart(content={"discovered_tools": []}, tool_call_id="n3"),
    *NATIVE_RETURNS,
    m.CompactionPart("Long ago…", provider_name="anthropic"),
    m.CompactionPart(None, id="k", provider_name="openai", provider_details={"e": "x"}),
    m.FilePart(m.BinaryImage(PNG, media_type="image/png"), id="f", provider_name="google"),
    m.SpeechPart(
        speaker="assistant",
        transcript="Good day",
        interrupted_at_ms=30,
        timestamps=[m.SpeechTimestamp(text="Good", start_ms=0, duration_ms=10)],
    ),
]

WHOLE: list[m.ModelMessage] = [
    m.ModelRequest([]),
    m.ModelRequest(
        [m.UserPromptPart("x")],
        timestamp=AT,
        instructions="Be brief.",
        run_id="r",
        conversation_id="c",
        metadata={"k": [1]},
        state="interrupted",
    ),
    m.ModelResponse([]),
    m.ModelResponse(
        [m.TextPart("x")],
        usage=RequestUsage(
            input_tokens=100,
            cache_write_tokens=1,
            cache_read_tokens=2,
            output_tokens=50,
            input_audio_tokens=3,
            output_audio_tokens=4,
            details={"odd": 9},
            cost=Decimal("0.000123"),
        ),
        model_name="gpt",
        timestamp=AT,
        provider_name="openai",
        provider_url="https://example.com",
        provider_details={"finish": "stop"},
        provider_response_id="resp",
        finish_reason="stop",
        run_id="r",
        conversation_id="c",
        metadata={"k": 1},
        workspace_ref=m.WorkspaceRef(provider="p", id="w"),
        history_digest="d",
        failed_attempts=[
            m.ModelRequestAttempt(
                model_name="a",
                outcome="error",
                error="busy",
                timestamp=AT,
                duration=timedelta(seconds=1.5),
                usage=RequestUsage(input_tokens=1),
            )
        ],
        state="suspended",
    ),
]


def every_message() -> list[m.ModelMessage]:
    """A message for each part, all parts together, and messages with all their fields."""
    found: list[m.ModelMessage] = [m.ModelRequest([part]) for part in REQUEST_PARTS]
    found += [m.ModelRequest([m.UserPromptPart([content])]) for content in USER_CONTENT]
    found += [m.ModelResponse([part]) for part in RESPONSE_PARTS]
    return [*found, m.ModelRequest(REQUEST_PARTS), m.ModelResponse(RESPONSE_PARTS), *WHOLE]


def members(union: Any) -> Iterator[type]:
    """The classes of a union of the framework's, however it is annotated."""
    if hasattr(union, "__metadata__"):
        yield from members(get_args(union)[0])
    elif get_origin(union) in {Union, UnionType}:
        for one in get_args(union):
            yield from members(one)
    else:
        yield get_origin(union) or union
