"""A state with a large dict of which little changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from benchmarks import work
from benchmarks.opened import Opened, Turn
from benchmarks.scenario import Column, Job, Scenario, millis, seconds, share, size, times
from benchmarks.scenarios.growth import memory_columns
from benchmarks.sizes import Size
from benchmarks.texts import text
from benchmarks.units import human_bytes, human_number
from benchmarks.work import Figures


def merge(before: dict[str, str], change: dict[str, str]) -> dict[str, str]:
    """The reducer of the dict, as agents with a virtual file system use it."""
    return {**before, **change}


class State(TypedDict):
    """A working folder, and the step that it is at."""

    files: Annotated[dict[str, str], merge]
    step: int


class Files(Scenario):
    """A working folder in the state, of which one file changes at each step."""

    name = "files"
    title = "A dict of files"

    def about(self, size: Size) -> str:
        return (
            f"A state with a dict of {human_number(size.files)} files of "
            f"{human_bytes(size.file_characters)}, of which one changes at each of "
            f"{human_number(size.file_steps)} steps. “Changed” is what was really new: all files "
            "at first, then one at each step."
        )

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        figures = work.run(
            job.saver,
            job.folder,
            editing(wanted),
            steps(wanted),
            total=wanted.file_steps + 1,
            early=max(1, wanted.file_steps // 10),
        )
        figures["changed"] = (wanted.files + wanted.file_steps) * wanted.file_characters
        return figures

    def columns(self, size_: Size) -> list[Column]:
        return [
            seconds("whole run", "seconds"),
            times("× floor", "seconds"),
            millis("a step at the end", "last"),
            times("× floor", "last"),
            size("changed", "changed"),
            size("stored", "stored"),
            share("stored / changed", "stored", "changed"),
            *memory_columns(),
        ]


def editing(size: Size) -> Any:
    """A builder of a graph whose only node writes one file."""

    def build(place: Opened) -> Any:
        def edit(state: State) -> dict[str, Any]:
            step = state["step"]
            if step == 0:
                return {}
            name = file_name(step * 7 % size.files)
            return {"files": {name: text(f"{name} at step {step}", size.file_characters)}}

        builder = StateGraph(State)
        builder.add_node("edit", place.node(edit))
        builder.add_edge(START, "edit")
        builder.add_edge("edit", END)
        return builder

    return build


def steps(size: Size) -> Iterator[Turn]:
    """All files first, then one step after the other."""
    names = [file_name(number) for number in range(size.files)]
    yield Turn(
        "work", {"files": {name: text(name, size.file_characters) for name in names}, "step": 0}
    )
    for step in range(1, size.file_steps + 1):
        yield Turn("work", {"step": step})


def file_name(number: int) -> str:
    """The path of a file."""
    return f"/src/package/module_{number:03}.py"


SCENARIO = Files()
