"""Forks and rewinds of a long session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import work
from benchmarks.chat import answering, asking
from benchmarks.opened import opened
from benchmarks.scenario import Column, Job, Scenario, millis
from benchmarks.scenarios.cold import timed
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures
from threadloom import SessionManager, SQLiteStore

THREAD = "chat"
LOOKS = 5


class Travel(Scenario):
    """A long chat that is forked, and taken back."""

    name = "travel"
    title = "Forks and rewinds"
    savers = ("threadloom-sqlite",)
    prepares = True
    most_runs = 1

    def about(self, size: Size) -> str:
        return (
            f"A chat of {human_number(size.turns)} turns, which a graph has had, is forked: as it "
            "is, and cut after half of its messages; and rewound: by its last turn, and to half of "
            "its messages. A rewind gives the session back with all messages that are left. "
            "LangGraph's savers do neither; a checkpoint can be copied or branched off by hand. "
            f"Each figure is the median of {LOOKS}, each on a fresh copy of the file in a store "
            "that has just been opened."
        )

    def baseline(self, saver: str) -> str:
        return saver

    def prepare(self, job: Job) -> Figures | None:
        with opened(job.saver, job.folder) as place:
            graph = answering(job.size.characters)(place).compile(checkpointer=place.saver)
            place.drive(graph, asking(job.size.turns, job.size.characters))
        return None

    def measure(self, job: Job) -> Figures:
        work.warm_up(job.saver)
        whole = job.size.turns * 2
        half = whole // 2
        looks: dict[str, Callable[[SessionManager], int]] = {
            "fork": lambda sessions: sessions.fork_session(THREAD).message_count,
            "fork_cut": lambda sessions: sessions.fork_session(THREAD, messages=half).message_count,
            "rewind": lambda sessions: len(
                sessions.rewind_session(THREAD, messages=whole - 2).messages
            ),
            "rewind_half": lambda sessions: len(
                sessions.rewind_session(THREAD, messages=half).messages
            ),
        }
        left = {"fork": whole, "fork_cut": half, "rewind": whole - 2, "rewind_half": half}
        return {
            name: median(self._look(job, look, left[name]) for _ in range(LOOKS))
            for name, look in looks.items()
        }

    def _look(self, job: Job, look: Callable[[SessionManager], Any], left: int) -> float:
        """The seconds that something takes on a fresh copy, after which so many messages stay."""
        assert job.prepared is not None
        copy = job.folder / "copy"
        shutil.copytree(job.prepared, copy)
        (file,) = copy.glob("*.db")
        with SQLiteStore(file) as store:
            sessions = SessionManager(store)
            sessions.get_session(THREAD)
            seconds, found = timed(lambda: look(sessions))
        shutil.rmtree(copy)
        if found != left:
            raise AssertionError(f"{found} messages are left, not {left}")
        return seconds

    def columns(self, size: Size) -> list[Column]:
        return [
            millis("fork", "fork"),
            millis("fork, cut", "fork_cut"),
            millis("rewind by a turn", "rewind"),
            millis("rewind by half", "rewind_half"),
        ]


SCENARIO = Travel()
