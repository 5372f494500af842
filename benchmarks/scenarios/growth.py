"""A chat that grows: does a turn cost more the longer the chat is?"""

from __future__ import annotations

from benchmarks import work
from benchmarks.chat import answering, asking
from benchmarks.savers import EMBEDDED
from benchmarks.scenario import (
    Column,
    Job,
    Scenario,
    difference,
    millis,
    rise,
    seconds,
    size,
    times,
)
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures


class Growth(Scenario):
    """One thread, turns of two messages of 400 characters."""

    name = "growth"
    title = "A chat that grows"
    savers = tuple(EMBEDDED)
    variants = {  # noqa: RUF012
        "dropped": "The caller drops each result of `invoke`.",
        "kept": "The caller keeps the last result while the next turn runs.",
    }

    def about(self, size: Size) -> str:
        return (
            f"A chat of {human_number(size.turns)} turns of 2 × {size.characters} characters on "
            "one thread: a `StateGraph(MessagesState)` with one node that answers. The messages "
            f"alone are {human_number(size.turns * 2 * size.characters)} characters. “Rise” is how "
            f"much slower turn {human_number(size.turns)} is than turn {human_number(size.early)}, "
            "as a multiple of what the floor rises. “Unsafe” is Threadloom made to hand out the "
            "messages that it keeps and to compare none, which nobody should use: the difference "
            "is what safe copies cost (`benchmarks/unsafe.py`)."
        )

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        return work.run(
            job.saver,
            job.folder,
            answering(wanted.characters),
            asking(wanted.turns, wanted.characters),
            total=wanted.turns,
            early=wanted.early,
            keep=job.variant == "kept",
        )

    def columns(self, size_: Size) -> list[Column]:
        return [
            seconds("whole run", "seconds"),
            times("× floor", "seconds"),
            seconds("CPU", "processor"),
            *turn_columns(size_.early, size_.turns),
            size("stored", "stored"),
            *memory_columns(),
        ]


def turn_columns(early: int, last: int) -> list[Column]:
    """How long an early turn and the last one take."""
    return [
        millis(f"turn {human_number(early)}", "early"),
        times("× floor", "early"),
        millis(f"turn {human_number(last)}", "last"),
        times("× floor", "last"),
        rise("rise, × floor", "last", "early"),
    ]


def memory_columns() -> list[Column]:
    """The peak of the resident memory, and what is held at the end, above the start."""
    return [
        difference("memory peak", "peak", "before"),
        difference("held", "after", "before"),
    ]


SCENARIO = Growth()
