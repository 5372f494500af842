"""Runs scenarios: each saver in a fresh process, in turn, and the best of all runs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.saver import Saver
from benchmarks.savers import SAVERS
from benchmarks.scenario import Scenario
from benchmarks.sizes import Size
from benchmarks.work import Figures

Results = dict[str, dict[str, Figures]]
"""Figures by variant and saver; a saver that failed has an `error` instead."""

Say = Callable[[str], None]

ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A process ended with an error; the message is its last words."""


def select(scenario: Scenario, only: Sequence[str], say: Say) -> list[Saver]:
    """The savers that take part, with the baselines that they are compared with."""
    wanted = set(only or scenario.savers)
    wanted |= {scenario.baseline(name) for name in wanted}
    chosen = []
    for name, saver in SAVERS.items():
        if name not in wanted:
            continue
        if scenario.prepares and not saver.durable:
            say(f"{scenario.name}: {name} is left out, another process cannot read what it stores")
            continue
        if missing := saver.missing():
            say(f"{scenario.name}: {name} is left out, it needs {', '.join(missing)}")
            continue
        chosen.append(saver)
    return chosen


def run(scenario: Scenario, only: Sequence[str], size: Size, runs: int, say: Say) -> Results:
    """Measure all savers in all variants of a scenario.

    Args:
        scenario: what to do.
        only: the names of the savers; empty for those that the scenario names.
        size: how much of it.
        runs: how many times, for the best.
        say: gets a line for each measurement.

    Returns:
        The best figures of each variant and saver.
    """
    runs = min(runs, scenario.most_runs or runs)
    savers = select(scenario, only, say)
    found: Results = {}
    for variant in scenario.variants:
        with tempfile.TemporaryDirectory(prefix="threadloom-bench-") as folder:
            found[variant] = _run_variant(scenario, variant, savers, size, runs, Path(folder), say)
    return found


def best(runs: Iterable[Figures]) -> Figures:
    """The lowest of each figure; curves are those of the run that was fastest as a whole."""
    ordered = sorted(runs, key=lambda figures: figures.get("seconds") or 0)
    found = dict(ordered[0])
    for name, value in found.items():
        if isinstance(value, int | float):
            found[name] = min(figures[name] for figures in ordered)
    return found


def _run_variant(
    scenario: Scenario,
    variant: str,
    savers: Sequence[Saver],
    size: Size,
    runs: int,
    folder: Path,
    say: Say,
) -> dict[str, Figures]:
    taken: dict[str, list[Figures]] = {saver.name: [] for saver in savers}
    errors: dict[str, str] = {}
    prepared: dict[str, Path] = {}

    def attempt(saver: Saver, doing: str, place: Path, preparing: bool) -> Figures | None:
        if saver.name in errors:
            return None
        start = perf_counter()
        told = {
            "scenario": scenario.name,
            "saver": saver.name,
            "variant": variant,
            "size": asdict(size),
            "folder": str(place),
            "prepared": str(prepared[saver.name]) if saver.name in prepared else None,
            "preparing": preparing,
        }
        line = " ".join(filter(None, (scenario.name, variant, saver.name, doing)))
        try:
            figures = _process(told)
        except Failed as error:
            errors[saver.name] = str(error)
            say(f"{line}: failed: {error}")
            return None
        say(f"{line}: {perf_counter() - start:.1f} s")
        return figures

    if scenario.prepares:
        for saver in savers:
            place = folder / saver.name
            place.mkdir()
            attempt(saver, "preparation", place, True)
            prepared[saver.name] = place
    for number in range(1, runs + 1):
        for saver in savers:
            with tempfile.TemporaryDirectory(dir=folder) as empty:
                figures = attempt(saver, f"{number}/{runs}", Path(empty), False)
            if figures is not None:
                taken[saver.name].append(figures)
    return {
        name: {"error": errors[name]} if name in errors else best(figures)
        for name, figures in taken.items()
    }


def _process(told: dict[str, Any]) -> Figures | None:
    with tempfile.TemporaryDirectory(prefix="threadloom-bench-") as folder:
        result = Path(folder) / "result.json"
        command = [
            sys.executable,
            "-m",
            "benchmarks.worker",
            json.dumps({**told, "result": str(result)}),
        ]
        done = subprocess.run(  # noqa: S603  (our own module)
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise Failed(lines[-1])
        figures: Figures | None = json.loads(result.read_text())
        return figures
