"""Many threads that are used in turn, as a server uses them."""

from __future__ import annotations

from benchmarks import work
from benchmarks.chat import answering, asking
from benchmarks.scenario import Column, Job, Scenario, millis, seconds, size, times
from benchmarks.scenarios.growth import memory_columns
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures


class Threads(Scenario):
    """Short chats, one turn of each before the next turn of any."""

    name = "threads"
    title = "Many threads in turn"

    def about(self, size: Size) -> str:
        return (
            f"{human_number(size.threads)} threads of {human_number(size.turns_a_thread)} turns of "
            f"2 × {size.characters} characters, interleaved: each thread has had its turn before "
            "any has its next one."
        )

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        names = [f"thread-{number}" for number in range(wanted.threads)]
        total = wanted.threads * wanted.turns_a_thread
        return work.run(
            job.saver,
            job.folder,
            answering(wanted.characters),
            asking(wanted.turns_a_thread, wanted.characters, names),
            total=total,
            early=max(1, total // 10),
        )

    def columns(self, size_: Size) -> list[Column]:
        return [
            seconds("whole run", "seconds"),
            times("× floor", "seconds"),
            millis("a turn at the end", "last"),
            times("× floor", "last"),
            size("stored", "stored"),
            *memory_columns(),
        ]


SCENARIO = Threads()
