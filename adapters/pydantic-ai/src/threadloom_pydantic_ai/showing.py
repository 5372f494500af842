"""Pydantic AI's messages as LangChain's, so that the session's chat history shows them.

One request may be several messages: a system prompt, the results of several tools, what the user
says. One response is one message. What only steers the framework (instructions, which tools are
there, settings) is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call
from pydantic_ai.messages import (
    ERROR_OUTCOMES,
    BaseToolReturnPart,
    BinaryContent,
    CompactionPart,
    FilePart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    MultiModalContent,
    NativeToolCallPart,
    NativeToolReturnPart,
    RetryFeedbackPart,
    SpeechPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UploadedFile,
    UserContent,
    UserPromptPart,
    is_multi_modal_content,
)
from pydantic_ai.usage import RequestUsage

from threadloom import Shown, blocks
from threadloom_pydantic_ai.codec import load_messages


def shows_entries(items: Sequence[Any]) -> Iterable[Shown]:
    """Show entries of a conversation; the first message of each has the entry's id."""
    return _show([item["message"] for item in items], [item["id"] for item in items])


def shows_messages(items: Sequence[Any]) -> Iterable[Shown]:
    """Show messages that were stored without entries."""
    return _show(items, [None] * len(items))


def _show(items: Sequence[Any], ids: Sequence[str | None]) -> Iterator[Shown]:
    for end, (message, id) in enumerate(zip(load_messages(items), ids, strict=True), 1):
        shown = to_langchain(message)
        if id is not None:
            for number, one in enumerate(shown):
                one.id = f"{id}:{number}" if number else id
        if shown:
            yield Shown(end, shown)


def to_langchain(message: ModelMessage) -> list[BaseMessage]:
    """The LangChain messages that show one of Pydantic AI's; none where there is nothing to see."""
    return [_response(message)] if isinstance(message, ModelResponse) else _request(message)


# ── Requests ──────────────────────────────────────────────────────────────────────────────────
def _request(request: ModelRequest) -> list[BaseMessage]:
    # Results go first, wherever they stand: they have to follow the calls that they answer.
    results: list[BaseMessage] = []
    others: list[BaseMessage] = []
    for part in request.parts:
        if isinstance(part, ToolReturnPart):
            results.append(_result(part))
        elif isinstance(part, SystemPromptPart):
            others.append(SystemMessage(part.content))
        elif isinstance(part, UserPromptPart):
            others.append(HumanMessage(_user_content(part.content)))
        elif isinstance(part, SpeechPart):
            others.append(HumanMessage(blocks.content([_speech(part)])))
        elif isinstance(part, RetryFeedbackPart):
            others.append(HumanMessage(part.model_response()))
        elif isinstance(part, CompactionPart) and part.content:
            others.append(HumanMessage(part.content))
    return [*results, *others]


def _result(part: ToolReturnPart) -> ToolMessage:
    return ToolMessage(
        _result_content(part),
        tool_call_id=part.tool_call_id,
        name=part.tool_name,
        status="error" if part.outcome in ERROR_OUTCOMES else "success",
    )


def _result_content(part: BaseToolReturnPart[Any]) -> blocks.Content:
    if not part.files:
        return part.model_response_str(wrap_if_error=False)
    return [
        _file(item) if is_multi_modal_content(item) else blocks.text(str(item))
        for item in part.content_items(mode="str", wrap_if_error=False)
    ]


def _user_content(content: str | Sequence[UserContent]) -> blocks.Content:
    if isinstance(content, str):
        return content
    said: list[blocks.Block] = []
    for item in content:
        if isinstance(item, str):
            said.append(blocks.text(item))
        elif isinstance(item, TextContent):
            said.append(blocks.text(item.content))
        elif is_multi_modal_content(item):
            said.append(_file(item))
        # What is left are marks for the provider's cache.
    return blocks.content(said)


# ── Responses ─────────────────────────────────────────────────────────────────────────────────
def _response(response: ModelResponse) -> AIMessage:
    said: list[blocks.Block] = []
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            _call(part, calls, broken)
        elif isinstance(part, TextPart):
            said.append(blocks.text(part.content))
        elif isinstance(part, ThinkingPart):
            if part.content:
                said.append({"type": "reasoning", "reasoning": part.content})
        elif isinstance(part, SpeechPart):
            said.append(_speech(part))
        elif isinstance(part, FilePart):
            said.append(_file(part.content))
        elif isinstance(part, CompactionPart):
            if part.content:
                said.append(blocks.text(part.content))
        elif isinstance(part, NativeToolCallPart):
            args = part.args_as_dict()
            said.append(blocks.server_call(part.tool_call_id, part.tool_name, args))
        elif isinstance(part, NativeToolReturnPart):
            output = part.model_response_str(wrap_if_error=False)
            failed = part.outcome in ERROR_OUTCOMES
            said.append(blocks.server_result(part.tool_call_id, output, failed=failed))
    only_text = all(block["type"] == "text" for block in said)
    about = {"model_name": response.model_name, "finish_reason": response.finish_reason}
    return AIMessage(
        (response.text or "") if only_text and response.text else blocks.content(said),
        tool_calls=calls,
        invalid_tool_calls=broken,
        usage_metadata=_usage(response.usage),
        response_metadata={name: value for name, value in about.items() if value is not None},
    )


def _call(part: ToolCallPart, calls: list[ToolCall], broken: list[InvalidToolCall]) -> None:
    try:
        args = part.args_as_dict(raise_if_invalid=True)
    except (ValueError, AssertionError) as error:
        broken.append(
            invalid_tool_call(
                name=part.tool_name,
                args=str(part.args),
                id=part.tool_call_id,
                error=str(error),
            )
        )
    else:
        calls.append(tool_call(name=part.tool_name, args=args, id=part.tool_call_id))


def _usage(usage: RequestUsage) -> UsageMetadata | None:
    """How many tokens a response took; None where the provider did not say."""
    return blocks.usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        of_input={
            "audio": usage.input_audio_tokens,
            "cache_creation": usage.cache_write_tokens,
            "cache_read": usage.cache_read_tokens,
        },
        of_output={
            "audio": usage.output_audio_tokens,
            "reasoning": usage.output_reasoning_tokens,
        },
    )


# ── Content ───────────────────────────────────────────────────────────────────────────────────
_URLS: Final[dict[str, blocks.Kind]] = {
    "image-url": "image",
    "audio-url": "audio",
    "video-url": "video",
}


def _speech(part: SpeechPart) -> blocks.Block:
    """What was said as text, so that search finds it; the sound where there is no text."""
    if part.transcript is None and part.audio is not None:
        return _file(part.audio)
    return blocks.text(part.content)


def _file(item: MultiModalContent) -> blocks.Block:
    """A block for an image, a sound, a video or another file."""
    try:
        media_type: str | None = item.media_type
    except ValueError:  # an address tells by its ending what it is, or does not
        media_type = None
    if isinstance(item, BinaryContent):
        return blocks.media(media_type, base64=item.base64)
    if isinstance(item, UploadedFile):
        return blocks.media(kind=blocks.kind_of(media_type), file_id=item.file_id)
    return blocks.media(media_type, kind=_URLS.get(item.kind, "file"), url=item.url)
