"""A chat whose node also edits the conversation: what such scenarios have in common."""

from __future__ import annotations

from abc import abstractmethod

from benchmarks import work
from benchmarks.chat import Edit, answering, asking
from benchmarks.scenario import Column, Job, Scenario, seconds, size, times
from benchmarks.scenarios.growth import memory_columns, turn_columns
from benchmarks.sizes import Size
from benchmarks.work import Figures


class EditedChat(Scenario):
    """A chat in which every answer comes with an edit."""

    @abstractmethod
    def edit(self, size: Size) -> Edit:
        """What a node does to the conversation besides answering."""

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        return work.run(
            job.saver,
            job.folder,
            answering(wanted.characters, self.edit(wanted)),
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
