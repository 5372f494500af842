"""Edits at the front: the first message is replaced at every turn."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage

from benchmarks import work
from benchmarks.chat import Edit, answering, asking
from benchmarks.scenario import Column, Job, Scenario, seconds, size, times
from benchmarks.scenarios.growth import memory_columns, turn_columns
from benchmarks.sizes import Size
from benchmarks.texts import text
from benchmarks.units import human_number
from benchmarks.work import Figures


class Front(Scenario):
    """A chat whose first message is a summary that is written anew at every turn."""

    name = "front"
    title = "Edits at the front"

    def about(self, size: Size) -> str:
        return (
            f"A chat of {human_number(size.turns)} turns of 2 × {size.characters} characters whose "
            "first message is replaced by another one with the same id at every turn, as a running "
            "summary would be."
        )

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        return work.run(
            job.saver,
            job.folder,
            answering(wanted.characters, rewriting(wanted.characters)),
            asking(wanted.turns, wanted.characters),
            total=wanted.turns,
            early=wanted.early,
        )

    def columns(self, size_: Size) -> list[Column]:
        return [
            seconds("whole run", "seconds"),
            times("× floor", "seconds"),
            *turn_columns(size_.early, size_.turns),
            size("stored", "stored"),
            *memory_columns(),
        ]


def rewriting(characters: int) -> Edit:
    """Replace the first message."""

    def edit(messages: list[BaseMessage]) -> Sequence[BaseMessage]:
        summary = text(f"summary {len(messages)}", characters)
        return [HumanMessage(summary, id=messages[0].id)]

    return edit


SCENARIO = Front()
