"""A process that has just started: the first read, a listing, deletion."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks import work
from benchmarks.chat import answering, asking
from benchmarks.opened import opened
from benchmarks.savers import DURABLE
from benchmarks.scenario import Column, Job, Scenario, millis, size, times
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures

THREAD = "chat"
LISTED = 20


class Cold(Scenario):
    """A chat that another process has stored."""

    name = "cold"
    title = "A process that has just started"
    savers = DURABLE
    prepares = True

    def about(self, size: Size) -> str:
        return (
            f"Another process has stored a chat of {human_number(size.turns)} turns, "
            f"{human_number(size.turns * 2)} messages of {size.characters} characters. A new one "
            f"opens it, reads its head twice, lists its last {LISTED} checkpoints, and deletes it: "
            "the checkpoints alone (`delete_thread`) and, where there are sessions, a copy of it "
            "with all that belongs to the session (`delete_session`). Imports and a few turns on "
            "another store come before; the files are in the system's cache."
        )

    def baseline(self, saver: str) -> str:
        return "sqlite-saver"

    def prepare(self, job: Job) -> Figures | None:
        wanted = job.size
        with opened(job.saver, job.folder) as place:
            graph = answering(wanted.characters)(place).compile(checkpointer=place.saver)
            place.drive(graph, asking(wanted.turns, wanted.characters))
        return None

    def measure(self, job: Job) -> Figures:
        assert job.prepared is not None
        figures: Figures = {}
        work.warm_up(job.saver)
        first, second = job.folder / "first", job.folder / "second"

        shutil.copytree(job.prepared, first)
        figures["stored"] = job.saver.stored(None, first)
        start = perf_counter()
        with opened(job.saver, first) as place:
            figures["open"] = perf_counter() - start
            figures["head"], head = timed(lambda: place.head(THREAD))
            figures["again"], _ = timed(lambda: place.head(THREAD))
            figures["list"], listed = timed(lambda: place.listed(THREAD, LISTED))
            figures["delete_thread"], _ = timed(lambda: place.delete_thread(THREAD))
            if place.head(THREAD) is not None:
                raise AssertionError("the thread is still there")
        if len(head.checkpoint["channel_values"]["messages"]) != job.size.turns * 2:
            raise AssertionError("messages are missing")
        if len(listed) != min(LISTED, job.size.turns * 3):
            raise AssertionError("checkpoints are missing")
        shutil.rmtree(first)

        if place.has_sessions:
            shutil.copytree(job.prepared, second)
            with opened(job.saver, second) as place:
                place.head(THREAD)
                figures["delete_session"], _ = timed(lambda: place.delete_session(THREAD))
        return figures

    def columns(self, size_: Size) -> list[Column]:
        peer = "× SqliteSaver"
        return [
            millis("open", "open"),
            millis("first read", "head"),
            times(peer, "head"),
            millis("second read", "again"),
            millis(f"list {LISTED}", "list"),
            times(peer, "list"),
            millis("delete_thread", "delete_thread"),
            times(peer, "delete_thread"),
            millis("delete_session", "delete_session"),
            size("stored", "stored"),
        ]


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds that something takes, and its result."""
    start = perf_counter()
    result = action()
    return perf_counter() - start, result


SCENARIO = Cold()
