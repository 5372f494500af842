"""What the process still holds after its work."""

from __future__ import annotations

from benchmarks import work
from benchmarks.chat import answering, asking
from benchmarks.scenario import Column, Job, Scenario, difference, seconds, size, times
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures

SMALL = 50


class Memory(Scenario):
    """Resident memory after many small sessions, and after a long one."""

    name = "memory"
    title = "Memory that is held"
    variants = {  # noqa: RUF012
        "sessions": "Many small sessions, a turn each.",
        "turns": "One session of many turns.",
    }
    most_runs = 1

    def about(self, size: Size) -> str:
        return (
            f"How much the process has grown after it has touched {human_number(size.sessions)} "
            f"sessions with one turn of 2 × {SMALL} characters each, and after one session of "
            f"{human_number(size.turns)} turns of 2 × {size.characters} characters; results "
            "dropped, garbage collected, the saver still open. Measured once: memory varies little "
            "from run to run."
        )

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        if job.variant == "sessions":
            turns, characters = 1, SMALL
            names = [f"session-{number}" for number in range(wanted.sessions)]
        else:
            turns, characters = wanted.turns, wanted.characters
            names = ["chat"]
        total = turns * len(names)
        figures = work.run(
            job.saver,
            job.folder,
            answering(characters),
            asking(turns, characters, names),
            total=total,
            early=max(1, total // 10),
        )
        return figures

    def columns(self, size_: Size) -> list[Column]:
        return [
            size("at the start", "before"),
            size("at the end", "after"),
            difference("held", "after", "before"),
            difference("memory peak", "peak", "before"),
            size("stored", "stored"),
            seconds("whole run", "seconds"),
            times("× floor", "seconds"),
        ]


SCENARIO = Memory()
