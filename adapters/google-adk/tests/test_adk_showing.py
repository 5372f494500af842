"""Which messages show which events, alone and as a session goes on."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from adk_fakes import APP, USER, call, event, result, text
from threadloom import CheckpointNotFound
from threadloom_google_adk import ThreadloomSessionService
from threadloom_google_adk.records import record_of
from threadloom_google_adk.showing import shows

Part = types.Part


def shown(*events: Event) -> list[BaseMessage]:
    """The messages of events that are shown all at once."""
    return [
        message for group in shows([record_of(e) for e in events]) for message in group.messages
    ]


def brief(messages: list[BaseMessage]) -> list[tuple[Any, ...]]:
    """Messages as: who, what, and which calls."""
    return [
        (message.type, message.text, *(call["id"] for call in message.tool_calls))
        if isinstance(message, AIMessage)
        else (message.type, message.text, message.tool_call_id)
        if isinstance(message, ToolMessage)
        else (message.type, message.text)
        for message in messages
    ]


def test_texts_of_the_user_and_of_an_agent() -> None:
    asked, answered = text("Hi"), text("Hello", "forecaster")
    human, ai = shown(asked, answered)
    assert human == HumanMessage("Hi", id=asked.id)
    assert ai == AIMessage("Hello", id=answered.id, name="forecaster")


def test_what_a_model_used_and_was() -> None:
    usage = types.GenerateContentResponseUsageMetadata(
        prompt_token_count=10,
        tool_use_prompt_token_count=1,
        cached_content_token_count=4,
        candidates_token_count=5,
        thoughts_token_count=3,
        total_token_count=19,
    )
    (message,) = shown(
        text(
            "Hello",
            "forecaster",
            usage_metadata=usage,
            model_version="fake-1",
            finish_reason=types.FinishReason.STOP,
        )
    )
    assert isinstance(message, AIMessage)
    assert message.usage_metadata == {
        "input_tokens": 11,
        "output_tokens": 8,
        "total_tokens": 19,
        "input_token_details": {"cache_read": 4},
        "output_token_details": {"reasoning": 3},
    }
    assert message.response_metadata == {"model_name": "fake-1", "finish_reason": "STOP"}


def test_calls_and_their_results() -> None:
    calls, results = call("c1", "c2"), result("c1", "c2")
    ai, one, two = shown(calls, results)
    assert isinstance(ai, AIMessage)
    assert ai.id == calls.id
    assert ai.tool_calls == [
        {"name": "weather", "args": {"of": id}, "id": id, "type": "tool_call"}
        for id in ("c1", "c2")
    ]
    assert one == ToolMessage("of c1", tool_call_id="c1", name="weather", id=f"{results.id}/0")
    assert two == ToolMessage("of c2", tool_call_id="c2", name="weather", id=f"{results.id}/1")
    assert shown(call("c1"), alone := result("c1"))[1].id == alone.id


@pytest.mark.parametrize(
    ("response", "content", "status"),
    [
        ({"result": "text"}, "text", "success"),
        ({"result": 3}, '{"result": 3}', "success"),
        ({"result": "a", "more": "ö"}, '{"result": "a", "more": "ö"}', "success"),
        ({"error": "no such city"}, '{"error": "no such city"}', "error"),
        ({}, "{}", "success"),
        (None, "{}", "success"),
    ],
)
def test_results_as_text(response: Any, content: str, status: str) -> None:
    answer = types.FunctionResponse(id="c1", name="weather", response=response)
    _, message = shown(call("c1"), event([Part(function_response=answer)]))
    assert isinstance(message, ToolMessage)
    assert (message.content, message.status) == (content, status)


def test_media_are_content_blocks() -> None:
    data = bytes(range(256))
    parts = [
        Part(text="Look:"),
        Part(inline_data=types.Blob(data=data, mime_type="image/png")),
        Part(inline_data=types.Blob(data=data, mime_type="application/pdf", display_name="a.pdf")),
        Part(file_data=types.FileData(file_uri="https://x.test/a.mp3", mime_type="audio/mpeg")),
        Part(file_data=types.FileData(file_uri="gs://b/c")),
    ]
    (message,) = shown(event(parts, "user"))
    assert isinstance(message, HumanMessage)
    kinds = [(block["type"], block.get("mime_type")) for block in message.content_blocks]
    assert kinds == [
        ("text", None),
        ("image", "image/png"),
        ("file", "application/pdf"),
        ("audio", "audio/mpeg"),
        ("file", "application/octet-stream"),
    ]
    blocks: Any = message.content
    assert b64decode(blocks[1]["base64"]) == data
    assert blocks[3]["url"] == "https://x.test/a.mp3"
    assert message.text == "Look:"


def test_a_result_with_an_image() -> None:
    blob = types.FunctionResponseBlob(data=b"\xff", mime_type="image/png")
    answer = types.FunctionResponse(
        id="c1",
        name="draw",
        response={"result": "done"},
        parts=[types.FunctionResponsePart(inline_data=blob)],
    )
    _, message = shown(call("c1", name="draw"), event([Part(function_response=answer)]))
    assert [block["type"] for block in message.content_blocks] == ["text", "image"]


def test_thoughts_are_reasoning() -> None:
    (message,) = shown(event([Part(text="hm", thought=True), Part(text="Yes.")]))
    assert message.content == [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": "Yes."},
    ]
    assert message.text == "Yes."


def test_code_and_what_it_printed() -> None:
    code = types.ExecutableCode(code="print(1)", language=types.Language.PYTHON)
    printed = types.CodeExecutionResult(outcome=types.Outcome.OUTCOME_OK, output="1\n")
    (message,) = shown(event([Part(executable_code=code), Part(code_execution_result=printed)]))
    assert message.text == "\n```python\nprint(1)\n```\n\n```\n1\n\n```\n"


def test_what_was_spoken() -> None:
    heard = types.Transcription(text="hi there", finished=True)
    spoken = types.Transcription(text="hello", finished=True)
    messages = shown(
        Event(author="user", invocation_id="i", input_transcription=heard),
        Event(author="forecaster", invocation_id="i", output_transcription=spoken),
    )
    assert brief(messages) == [("human", "hi there"), ("ai", "hello")]


@pytest.mark.parametrize(
    "unseen",
    [
        Event(author="user", invocation_id="i", actions=EventActions(state_delta={"k": 1})),
        Event(author="a", invocation_id="i", content=types.Content(role="model", parts=[])),
        Event(author="a", invocation_id="i", content=types.Content(role="model")),
        Event(author="a", invocation_id="i", content=types.Content(parts=[Part(text="")])),
        Event(author="a", invocation_id="i", error_code="500", error_message="broken"),
        Event(author="a", invocation_id="i", turn_complete=True),
    ],
)
def test_what_says_nothing_is_not_shown(unseen: Event) -> None:
    assert shown(unseen) == []
    assert brief(shown(text("a"), unseen, call("c1"), unseen, result("c1"), unseen)) == [
        ("human", "a"),
        ("ai", "", "c1"),
        ("tool", "of c1", "c1"),
    ]


def test_calls_without_ids() -> None:
    asked = call("x", "y").model_copy(deep=True)
    for found in asked.get_function_calls():
        found.id = None
    answers = result("x").model_copy(deep=True)
    answers.get_function_responses()[0].id = None
    more = answers.model_copy(deep=True, update={"id": "more"})
    assert brief(shown(asked, answers, more)) == [
        ("ai", "", f"{asked.id}/0", f"{asked.id}/1"),
        ("tool", "of x", f"{asked.id}/0"),
        ("tool", "of x", f"{asked.id}/1"),
    ]


def test_a_tool_that_wants_a_confirmation() -> None:
    """ADK asks the user by a call of its own between a call and its first result."""
    confirmed = result("ask", author="user", name="adk_request_confirmation")
    done = event(
        [
            Part(
                function_response=types.FunctionResponse(
                    id="c1", name="weather", response={"result": "at last"}
                )
            )
        ]
    )
    messages = shown(
        text("go"),
        call("c1"),
        call("ask", name="adk_request_confirmation", long_running_tool_ids={"ask"}),
        result("c1"),
        confirmed,
        done,
        text("Done.", "forecaster"),
    )
    assert brief(messages) == [
        ("human", "go"),
        ("ai", "", "c1", "ask"),
        ("tool", "at last", "c1"),
        ("tool", "of ask", "ask"),
        ("ai", "Done."),
    ]


def test_a_tool_that_takes_long() -> None:
    messages = shown(
        text("go"),
        call("c1", long_running_tool_ids={"c1"}),
        result("c1"),
        text("Wait.", "forecaster"),
        result("c1", author="user"),
        text("Done.", "forecaster"),
    )
    assert brief(messages) == [
        ("human", "go"),
        ("ai", "", "c1"),
        ("tool", "of c1", "c1"),
        ("ai", "Wait."),
        ("human", "weather: of c1"),
        ("ai", "Done."),
    ]


def test_agents_in_parallel() -> None:
    messages = shown(
        text("go"),
        call("a1", author="one", branch="p.one"),
        call("b1", author="two", branch="p.two"),
        result("b1", author="two", branch="p.two"),
        text("two is done", "two", branch="p.two"),
        result("a1", author="one", branch="p.one"),
        text("one is done", "one", branch="p.one"),
    )
    assert brief(messages) == [
        ("human", "go"),
        ("ai", "", "a1", "b1"),
        ("tool", "of b1", "b1"),
        ("tool", "of a1", "a1"),
        ("ai", "two is done"),
        ("ai", "one is done"),
    ]


def test_a_call_that_is_never_answered() -> None:
    messages = shown(text("go"), call("c1"), text("never mind"), result("c1"), text("k", "a"))
    assert brief(messages) == [
        ("human", "go"),
        ("ai", "", "c1"),
        ("human", "never mind"),
        ("human", "weather: of c1"),
        ("ai", "k"),
    ]


def test_rewinds_of_adks_own() -> None:
    def back(to: str, **fields: Any) -> Event:
        actions = EventActions(rewind_before_invocation_id=to)
        return Event(author="user", invocation_id=f"back to {to}", actions=actions, **fields)

    def turn(name: str) -> list[Event]:
        return [text(name, invocation_id=name), text(f"re {name}", "a", invocation_id=name)]

    events = [*turn("1"), *turn("2"), *turn("3"), back("2"), *turn("4"), back("4"), back("gone")]
    assert brief(shown(*events)) == [("human", "1"), ("ai", "re 1")]
    assert brief(shown(*events, *turn("5"))) == [
        ("human", "1"),
        ("ai", "re 1"),
        ("human", "5"),
        ("ai", "re 5"),
    ]
    assert shown(*events, back("1")) == []


def is_valid(messages: list[BaseMessage]) -> bool:
    """Whether no result of a tool is anywhere but behind its call, and none doubles."""
    open_calls: set[Any] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                return False
            open_calls.remove(message.tool_call_id)
        else:
            calls = message.tool_calls if isinstance(message, AIMessage) else []
            open_calls = {call["id"] for call in calls}
    return True


IDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(["user", "one", "two"])),
        st.tuples(st.just("call"), IDS),
        st.tuples(st.just("result"), IDS),
        st.tuples(st.just("state"), st.none()),
        st.tuples(st.just("back"), st.integers(0, 8)),
    ),
    max_size=9,
)


def played(steps: list[tuple[str, Any]]) -> list[Event]:
    """Events as no agent would bring them; ids of calls never come again."""
    events: list[Event] = []
    for number, (kind, value) in enumerate(steps):
        fields = {"id": f"e{number}", "invocation_id": f"i{number}", "timestamp": float(number)}
        if kind == "say":
            events.append(text(f"said {number}", value, **fields))
        elif kind == "call":
            events.append(call(*(f"{id}{number}" for id in value), **fields))
        elif kind == "result":
            asked = [c.id for e in events for c in e.get_function_calls()]
            fitting = [id for id in asked if id and id[0] in value] or ["unknown"]
            events.append(result(*fitting[-len(value) :], **fields))
        else:
            actions = EventActions(state_delta={"k": number})
            if kind == "back" and value < number:
                actions.rewind_before_invocation_id = f"i{value}"
            events.append(Event(author="user", actions=actions, **fields))
    return events


@settings(deadline=None)
@given(STEPS)
async def test_it_is_the_same_whether_shown_at_once_or_as_it_grows(
    steps: list[tuple[str, Any]],
) -> None:
    events = played(steps)
    async with ThreadloomSessionService("memory://") as service:
        session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
        for one in events:
            await service.append_event(session, one)
            messages = service.sessions.messages(f"{APP}/{USER}/s")
            assert messages == shown(*session.events)
        assert service.sessions.check().problems == ()
        found = await service.get_session(app_name=APP, user_id=USER, session_id="s")
        assert found is not None
        assert found.events == events


@settings(deadline=None)
@given(STEPS, st.integers(0, 8), STEPS)
async def test_what_a_cut_leaves_is_what_its_messages_show(
    steps: list[tuple[str, Any]], count: int, more: list[tuple[str, Any]]
) -> None:
    """A rewind, a fork that is cut, and what comes after them."""
    async with ThreadloomSessionService("memory://") as service:
        sessions = service.sessions
        session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
        events = played(steps)
        for one in events:
            await service.append_event(session, one)
        messages = sessions.messages(f"{APP}/{USER}/s")
        try:
            fork = sessions.fork_session(f"{APP}/{USER}/s", messages=count)
            sessions.rewind_session(f"{APP}/{USER}/s", messages=count)
        except CheckpointNotFound:
            return
        for id, place in ((fork.id, fork.id), ("s", f"{APP}/{USER}/s")):
            left = await service.get_session(app_name=APP, user_id=USER, session_id=id)
            assert left is not None
            assert left.events == events[: len(left.events)]
            assert sessions.messages(place) == shown(*left.events) == messages[:count]
            for one in played(more):
                one.id = f"more {one.id}"
                await service.append_event(left, one)
                assert sessions.messages(place) == shown(*left.events)
        assert sessions.check().problems == ()


@settings(deadline=None)
@given(STEPS)
def test_results_stand_behind_their_calls(steps: list[tuple[str, Any]]) -> None:
    # A result whose call is not there at all can only begin a session.
    assert is_valid(shown(text("go", invocation_id="first"), *played(steps)))
