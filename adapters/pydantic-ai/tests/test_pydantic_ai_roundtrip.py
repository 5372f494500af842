"""Whatever a message may hold comes back as it went in."""

from __future__ import annotations

import dataclasses
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_ai import PydanticAIDeprecationWarning
from pydantic_ai import messages as m
from pydantic_ai.conversation import Conversation
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RequestUsage, RunUsage

from pydantic_ai_shapes import (
    REQUEST_PARTS,
    RESPONSE_PARTS,
    USER_CONTENT,
    every_message,
    members,
)
from threadloom import CorruptRecord, SerializationError
from threadloom_pydantic_ai import ThreadloomConversationStore, ThreadloomMessageHistory

TRANSLATED = {m.RetryPromptPart}  # the framework itself never reads it back as such


@pytest.mark.parametrize(
    ("union", "examples"),
    [
        (m.ModelRequestPart, REQUEST_PARTS),
        (m.ModelResponsePart, RESPONSE_PARTS),
        (m.UserContent, USER_CONTENT),
    ],
)
def test_there_is_an_example_of_everything(union: Any, examples: list[Any]) -> None:
    wanted = {*members(union)} - TRANSLATED
    assert len(wanted) >= 8
    assert {type(example) for example in examples} >= wanted


def same(found: Any, given: Any) -> bool:
    """Equal, types included, also where the framework's own equality does not look."""
    if type(found) is not type(given):
        return False
    if isinstance(given, list | tuple):
        return len(found) == len(given) and all(map(same, found, given))
    if isinstance(given, dict):
        return list(found) == list(given) and all(same(found[key], given[key]) for key in given)
    if isinstance(given, m.ImageUrl | m.AudioUrl | m.VideoUrl | m.DocumentUrl | m.BinaryContent):
        return bool(found == given) and found.identifier == given.identifier
    if hasattr(given, "__dataclass_fields__") and not isinstance(given, RequestUsage):
        names = [name for name in given.__dataclass_fields__ if not name.startswith("_")]
        return all(
            same(getattr(found, name), getattr(given, name))
            for name in names
            if name not in {"timestamp", "format"}
        ) and getattr(found, "timestamp", None) == getattr(given, "timestamp", None)
    return bool(found == given)


async def test_messages_of_every_shape(store: ThreadloomConversationStore) -> None:
    given = every_message()
    await store.save(Conversation(conversation_id="all", messages=list(given)))
    found = (await store.load("all")).messages
    for one, other in zip(found, given, strict=True):
        assert one == other
        assert same(one, other), (one, other)
    history = ThreadloomMessageHistory("plain", store.sessions)
    await history.aappend(given)
    assert await history.aload() == given
    assert store.sessions.check().problems == ()
    assert len(store.sessions.messages("all")) == len(store.sessions.messages("plain"))


async def test_a_record_comes_back_whole(store: ThreadloomConversationStore) -> None:
    waiting = DeferredToolRequests(
        calls=[m.ToolCallPart("ask", {"q": None}, "c1"), m.ToolCallPart("t", "{}", "c2")],
        approvals=[m.ToolCallPart("pay", {"sum": 1.5}, "c3")],
        metadata={"c1": {"why": [1, None]}},
    )
    has_kinds = hasattr(
        waiting, "kind"
    )  # what a call waits for; the oldest version has no such thing
    if has_kinds:
        waiting = dataclasses.replace(waiting, _kinds={"c1": "question"})
    usage = RunUsage(requests=3, tool_calls=2, input_tokens=10**15, details={"odd": 1})
    conversation = Conversation(
        conversation_id="x", messages=[], usage=usage, deferred_tool_requests=waiting
    )
    await store.save(conversation, scope="ana")
    record = await store.read_record("x")
    assert record.usage == usage
    assert type(record.usage) is RunUsage
    assert record.deferred_tool_requests == waiting
    if has_kinds:
        assert record.deferred_tool_requests.kind("c1") == "question"
    assert record.revision == conversation.revision
    assert record.updated_at.tzinfo is not None


json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
files = st.builds(
    m.BinaryContent,
    st.binary(max_size=20),
    media_type=st.sampled_from(["image/png", "audio/wav", "application/pdf", "text/plain"]),
).map(m.BinaryContent.narrow_type)
arguments = st.dictionaries(texts, json, max_size=3)
requests = st.builds(
    m.ModelRequest,
    st.lists(
        st.builds(m.UserPromptPart, texts | st.lists(texts | files, max_size=3))
        | st.builds(m.SystemPromptPart, texts)
        | st.builds(
            m.ToolReturnPart,
            texts,
            json | st.lists(json | files, max_size=3),
            texts,
            metadata=json,
            outcome=st.sampled_from(["success", "failed", "denied"]),
        ),
        max_size=3,
    ),
    instructions=st.none() | texts,
    metadata=st.none() | arguments,
)
responses = st.builds(
    m.ModelResponse,
    st.lists(
        st.builds(m.TextPart, texts)
        | st.builds(m.ThinkingPart, texts)
        | st.builds(m.FilePart, files)
        | st.builds(m.ToolCallPart, texts, st.none() | texts | arguments, texts),
        max_size=3,
    ),
    provider_details=st.none() | arguments,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(requests | responses, max_size=4))
def test_whatever_json_can_say(messages: list[m.ModelMessage]) -> None:
    with ThreadloomMessageHistory("x", "memory://") as history:
        history.append(messages)
        found = history.load()
        assert found == messages
        assert all(map(same, found, messages))
        history.replace(messages[1:])
        assert history.load() == messages[1:]
        assert history.sessions.check().problems == ()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"raw": b"\xff\x00"}, {"raw": "_wA="}),
        ((1, 2), [1, 2]),
        (math.nan, None),
        (math.inf, None),
        (date(2026, 1, 2), "2026-01-02"),
        (
            m.BinaryContent(b"x", media_type="image/png"),
            m.BinaryImage(b"x", media_type="image/png"),
        ),
        (
            m.BinaryAudio(b"x", media_type="audio/wav"),
            m.BinaryContent(b"x", media_type="audio/wav"),
        ),
    ],
)
def test_what_json_cannot_say(url: str, given: Any, found: Any) -> None:
    """It comes back as the framework's own JSON gives it back."""
    message = m.ModelRequest([m.ToolReturnPart("t", given, "c")])
    with ThreadloomMessageHistory("x", url) as history:
        history.append([message])
        (loaded,) = history.load()
        assert loaded.parts[0].content == found
        dumped = m.ModelMessagesTypeAdapter.dump_json([message])
        assert [loaded] == m.ModelMessagesTypeAdapter.validate_json(dumped)


def test_what_cannot_be_stored(url: str) -> None:
    with ThreadloomMessageHistory("x", url) as history:
        fine = m.ModelRequest([m.UserPromptPart("x")])
        with pytest.raises(SerializationError):
            history.append([fine, m.ModelRequest([m.ToolReturnPart("t", object(), "c")])])
        assert history.load() == []


def test_an_old_retry_is_read_as_the_framework_reads_it(url: str) -> None:
    with pytest.warns(PydanticAIDeprecationWarning, match="RetryPromptPart"):
        old = m.ModelRequest([m.RetryPromptPart("no", tool_name="t", tool_call_id="c")])
    with ThreadloomMessageHistory("x", url) as history:
        history.append([old])
        (loaded,) = history.load()
        assert isinstance(loaded.parts[0], m.ToolReturnPart)
        (shown,) = history.sessions.messages("x")
        assert (shown.type, shown.tool_call_id, shown.status) == ("tool", "c", "error")


def test_damage_is_no_empty_history(url: str) -> None:
    with ThreadloomMessageHistory("x", url) as history:
        history.append([m.ModelRequest([m.UserPromptPart("x")])])
        history.sessions.stream("x", "pydantic-ai/messages").append([{"kind": "from elsewhere"}])
        with pytest.raises(CorruptRecord):
            history.load()
