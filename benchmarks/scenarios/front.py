"""Edits at the front: the first message is replaced at every turn."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage

from benchmarks.chat import Edit
from benchmarks.scenarios.edited import EditedChat
from benchmarks.sizes import Size
from benchmarks.texts import text
from benchmarks.units import human_number


class Front(EditedChat):
    """A chat whose first message is a summary that is written anew at every turn."""

    name = "front"
    title = "Edits at the front"

    def about(self, size: Size) -> str:
        return (
            f"A chat of {human_number(size.turns)} turns of 2 × {size.characters} characters whose "
            "first message is replaced by another one with the same id at every turn, as a running "
            "summary would be."
        )

    def edit(self, size: Size) -> Edit:
        return rewriting(size.characters)


def rewriting(characters: int) -> Edit:
    """Replace the first message."""

    def edit(messages: list[BaseMessage]) -> Sequence[BaseMessage]:
        summary = text(f"summary {len(messages)}", characters)
        return [HumanMessage(summary, id=messages[0].id)]

    return edit


SCENARIO = Front()
