"""Chat histories as LangChain's own classes write them, and what must be there afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

with warnings.catch_warnings():  # the package announces its end, and so does the base class
    warnings.simplefilter("ignore")
    from langchain_community.chat_message_histories import (
        FileChatMessageHistory,
        SQLChatMessageHistory,
    )

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
EVERY: list[BaseMessage] = [
    SystemMessage("You know the way."),
    HumanMessage("Blåbær, 🎈 and \u2028 lines", name="ana", id="h1"),
    HumanMessage(
        [{"type": "text", "text": "What is this?"}, IMAGE], additional_kwargs={"n": 2**70}
    ),
    AIMessage(
        "",
        id="run-1",
        tool_calls=[{"name": "find", "args": {"town": "Bodø", "n": [1, True, None]}, "id": "c1"}],
        invalid_tool_calls=[
            {"name": "find", "args": "{", "id": "c2", "error": "cut", "type": "invalid_tool_call"}
        ],
        usage_metadata={
            "input_tokens": 5,
            "output_tokens": 7,
            "total_tokens": 12,
            "input_token_details": {"cache_read": 3},
        },
        response_metadata={"model_name": "m", "logprobs": None, "finish_reason": "tool_calls"},
    ),
    ToolMessage("two", tool_call_id="c1", name="find", artifact={"rows": [1.5]}, status="error"),
    FunctionMessage(name="old", content="three"),
    ChatMessage(role="critic", content="four"),
    AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "North."}]),
    AIMessageChunk("and a piece", id="run-2"),
]


def turns(count: int) -> list[BaseMessage]:
    """A conversation of so many messages, none of which has an id."""
    kinds = (HumanMessage, AIMessage)
    return [kinds[number % 2](f"word {number}") for number in range(count)]


@contextmanager
def sql(place: Path | str, session: str, **options: Any) -> Iterator[SQLChatMessageHistory]:
    """A history of SQLAlchemy's, in an SQLite file or behind a URL."""
    url = f"sqlite:///{place}" if isinstance(place, Path) else place
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = SQLChatMessageHistory(session, connection=url, **options)
    try:
        yield history
    finally:
        history.session_maker.remove()
        history.engine.dispose()


def add(place: Path | str, session: str, messages: Sequence[BaseMessage], **options: Any) -> None:
    with sql(place, session, **options) as history:
        history.add_messages(messages)


def add_to_file(path: Path, messages: Sequence[BaseMessage]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = FileChatMessageHistory(str(path))
        for message in messages:
            history.add_message(message)


def same(found: Sequence[BaseMessage], expected: Sequence[BaseMessage]) -> None:
    """Messages are equal, but that those without an id have got one."""
    assert len({message.id for message in found}) == len(found)
    assert all(message.id for message in found)
    bare = [
        message.model_copy(update={"id": old.id})
        for message, old in zip(found, expected, strict=True)
    ]
    assert bare == list(expected)
    assert list(map(type, bare)) == list(map(type, expected))
    own = [(message.id, old.id) for message, old in zip(found, expected, strict=True) if old.id]
    assert all(one == other for one, other in own)


@contextmanager
def untouched(place: Path) -> Iterator[None]:
    """A file or a folder, and what stands beside it, are the same at the end."""
    before = _state(place)
    yield
    assert _state(place) == before


def _state(place: Path) -> dict[str, tuple[bytes, int]]:
    folder = place if place.is_dir() else place.parent
    return {
        file.name: (file.read_bytes(), file.stat().st_mtime_ns)
        for file in folder.iterdir()
        if file.is_file()
    }
