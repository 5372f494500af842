"""Results as tables, as JSON and as a page with a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.chart import Line, Panel, draw
from benchmarks.process import machine
from benchmarks.runner import Results
from benchmarks.savers import SAVERS, SYNCHRONOUS
from benchmarks.scenario import Column, Scenario
from benchmarks.sizes import Size
from benchmarks.table import Table
from benchmarks.units import NOTHING, axis_bytes, axis_time
from benchmarks.work import Figures


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, and how to say it.

    Attributes:
        size: how much work it was.
        runs: of how many runs the best is taken.
        commands: what was typed.
        found: the results of each scenario that has run.
        warning: what is to be known of the machine at that time.
    """

    size: Size
    runs: int
    commands: tuple[str, ...]
    found: list[tuple[Scenario, Results]]
    warning: str | None = None

    def tables(self, scenario: Scenario, results: Results) -> Iterable[Table]:
        """A table for each variant of a scenario."""
        columns = scenario.columns(self.size)
        for variant, figures in results.items():
            explained = scenario.variants[variant]
            title = f"{scenario.title}. {explained}" if explained else f"{scenario.title}."
            headings = ["saver", *(column.heading for column in columns)]
            rows = [
                [SAVERS[name].label, *_cells(scenario, columns, name, figures)] for name in figures
            ]
            yield Table(title, headings, rows)

    def errors(self) -> list[str]:
        """What failed."""
        return [
            f"{scenario.name} {variant} {name}: {figures['error']}"
            for scenario, results in self.found
            for variant, savers in results.items()
            for name, figures in savers.items()
            if "error" in figures
        ]

    def data(self) -> dict[str, Any]:
        """All figures, for programs: seconds and bytes."""
        return {
            "machine": machine(),
            "runs": self.runs,
            "turns": self.size.turns,
            "small": self.size.small,
            "scenarios": {scenario.name: results for scenario, results in self.found},
        }

    def page(self, chart: str | None) -> str:
        """A Markdown page; `chart` is where its picture lies, seen from the page."""
        lines = ["# Benchmarks", "", fill(_INTRODUCTION.format(runs=self.runs), 100), ""]
        lines += ["```sh", *self.commands, "```", ""]
        lines += [f"* {name}: {value}" for name, value in machine().items()]
        if self.warning is not None:
            lines += [f"* when it began: {self.warning}"]
        lines += ["", *_NOTES, ""]
        for scenario, results in self.found:
            lines += [f"## {scenario.title}", "", fill(scenario.about(self.size), 100), ""]
            for variant, table in zip(results, self.tables(scenario, results), strict=True):
                if explained := scenario.variants[variant]:
                    lines += [explained, ""]
                lines += [table.markdown(), ""]
            if chart and scenario.name == "growth":
                lines += [f"![Time and stored bytes by turn, log scales]({chart})", ""]
        return "\n".join(lines)

    def chart(self) -> str | None:
        """Time and bytes by turn of the chat that grows; None if it was not measured."""
        for scenario, results in self.found:
            if scenario.name == "growth":
                return _growth_chart(next(iter(results.values())))
        return None


def write(report: Report, path: Path) -> None:
    """Write the page, and the chart next to it."""
    chart = report.chart()
    picture = path.with_suffix(".svg")
    if chart is not None:
        picture.write_text(chart, encoding="utf-8")
    page = report.page(picture.name if chart is not None else None)
    path.write_text(page, encoding="utf-8")


def _cells(
    scenario: Scenario, columns: list[Column], name: str, figures: Mapping[str, Figures]
) -> list[str]:
    own = figures[name]
    if "error" in own:
        return ["failed", *(NOTHING for _ in columns[1:])]
    base = figures.get(scenario.baseline(name))
    if base is not None and "error" in base:
        base = None
    return [column.cell(own, base) for column in columns]


def _growth_chart(figures: Mapping[str, Figures]) -> str:
    colours = {name: number for number, name in enumerate(SYNCHRONOUS)}

    def lines(curve: str) -> list[Line]:
        return [
            Line(
                SAVERS[name].label,
                [(turn, value) for turn, value in own.get(curve, ()) if value > 0],
                colours[SAVERS[name].twin or name],
                SAVERS[name].asynchronous,
            )
            for name, own in figures.items()
            if not SAVERS[name].is_experiment
        ]

    return draw(
        [
            Panel("Time of a turn", "turn", lines("times"), axis_time),
            Panel("Stored bytes", "turn", lines("bytes"), axis_bytes),
        ]
    )


_INTRODUCTION = (
    "Threadloom beside LangGraph's own savers: the same work, in the same run, each saver in a "
    "fresh process of its own, each figure the best of {runs}. This page was written by"
)

_NOTES = (
    "The **floor** is LangGraph with a saver that only keeps references to the last checkpoint of",
    "each thread and to its pending writes: nothing is encoded, copied or stored, and LangGraph",
    "does all that it does for any other saver. Ratios to it say what a saver adds. “Async” is",
    "driven by `ainvoke`, and compared with the floor that is driven by `ainvoke`.",
    "",
    "A whole run is opening, all turns, and closing, in a process that has done its imports and a",
    "few turns on another store; “CPU” is the processor time of all threads in it. The time of a",
    "turn is the median of the 15 around it. Stored bytes are the sizes of all files after close,",
    "write-ahead logs included; for `InMemorySaver` they are the encoded bytes that it holds.",
    "“Memory peak” and “held” are the resident memory of the process above that before the saver",
    "was opened: the most there ever was, and what is left after the last turn with results",
    "dropped and garbage collected. “Rise” divides two differences and means little where the",
    "floor hardly rises (short runs); “none” says that it does not rise. “–” stands for what a",
    "saver does not have, or was not measured.",
)
