"""A sliding window: the oldest messages are removed as new ones come."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, RemoveMessage

from benchmarks.chat import Edit
from benchmarks.scenarios.edited import EditedChat
from benchmarks.sizes import Size
from benchmarks.units import human_number


class Window(EditedChat):
    """A chat of which only the last messages are kept."""

    name = "window"
    title = "A sliding window"

    def about(self, size: Size) -> str:
        return (
            f"A chat of {human_number(size.turns)} turns of 2 × {size.characters} characters of "
            f"which the state keeps the last {human_number(size.window)} messages: the node that "
            "answers removes the oldest ones with `RemoveMessage`."
        )

    def edit(self, size: Size) -> Edit:
        return keeping(size.window)


def keeping(window: int) -> Edit:
    """Remove the oldest messages so that an answer more makes a full window."""

    def edit(messages: list[BaseMessage]) -> Sequence[BaseMessage]:
        return [
            RemoveMessage(str(message.id))
            for message in messages[: max(0, len(messages) + 1 - window)]
        ]

    return edit


SCENARIO = Window()
