"""The benchmarks run, end to end, at a size that shows nothing but that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_growth_of_two_savers_is_measured(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [
        *(sys.executable, "-m", "benchmarks", "growth", "--turns", "5", "--runs", "1", "--small"),
        *("--only", "sqlite-saver,threadloom-sqlite", "--json", str(figures)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "Threadloom SQLite" in done.stdout
    assert "SqliteSaver" in done.stdout
    assert json.loads(figures.read_text())


def test_round_trips_to_servers_are_counted(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [
        *(sys.executable, "-m", "benchmarks", "trips", "--turns", "5", "--runs", "1", "--small"),
        *("--only", "postgres-saver,threadloom-postgres", "--json", str(figures)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found = str(json.loads(figures.read_text()))
    assert "'trips': 6.0, " in found
    assert "'reading': 1" in found
