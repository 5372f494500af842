"""A sliding window: the oldest messages are removed as new ones come."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, RemoveMessage

from benchmarks import work
from benchmarks.chat import Edit, answering, asking
from benchmarks.scenario import Column, Job, Scenario, seconds, size, times
from benchmarks.scenarios.growth import memory_columns, turn_columns
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures


class Window(Scenario):
    """A chat of which only the last messages are kept."""

    name = "window"
    title = "A sliding window"

    def about(self, size: Size) -> str:
        return (
            f"A chat of {human_number(size.turns)} turns of 2 × {size.characters} characters of "
            f"which the state keeps the last {human_number(size.window)} messages: the node that "
            "answers removes the oldest ones with `RemoveMessage`."
        )

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        return work.run(
            job.saver,
            job.folder,
            answering(wanted.characters, keeping(wanted.window)),
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


def keeping(window: int) -> Edit:
    """Remove the oldest messages so that an answer more makes a full window."""

    def edit(messages: list[BaseMessage]) -> Sequence[BaseMessage]:
        return [
            RemoveMessage(str(message.id))
            for message in messages[: max(0, len(messages) + 1 - window)]
        ]

    return edit


SCENARIO = Window()
