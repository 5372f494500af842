"""A conversation that a graph hands to a subgraph at every turn, as graphs of agents do."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks import work
from benchmarks.chat import answering, asking
from benchmarks.opened import Opened
from benchmarks.scenario import Column, Job, Scenario, seconds, size, times
from benchmarks.scenarios.growth import turn_columns
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures


class Subgraph(Scenario):
    """A chat whose answers come from a subgraph that is handed all of it."""

    name = "subgraph"
    title = "A subgraph that is handed the conversation"

    def about(self, size: Size) -> str:
        return (
            f"A chat of {human_number(size.turns_handed_on)} turns of 2 × {size.characters} "
            "characters; the graph has one node, a compiled subgraph, which is handed the "
            "conversation and answers, as graphs of agents do."
        )

    def measure(self, job: Job) -> Figures:
        wanted = job.size
        return work.run(
            job.saver,
            job.folder,
            _around(wanted.characters),
            asking(wanted.turns_handed_on, wanted.characters),
            total=wanted.turns_handed_on,
            early=max(1, wanted.turns_handed_on // 10),
        )

    def columns(self, size_: Size) -> list[Column]:
        turns = size_.turns_handed_on
        return [
            seconds("whole run", "seconds"),
            times("× floor", "seconds"),
            *turn_columns(max(1, turns // 10), turns),
            size("stored", "stored"),
        ]


def _around(characters: int) -> Any:
    def build(place: Opened) -> Any:
        builder = StateGraph(MessagesState)
        builder.add_node("agent", answering(characters)(place).compile())
        builder.add_edge(START, "agent")
        builder.add_edge("agent", END)
        return builder

    return build


SCENARIO = Subgraph()
