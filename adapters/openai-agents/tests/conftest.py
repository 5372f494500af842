"""Programs of this suite as processes; nothing goes to a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before the SDK is imported: it would send traces from a thread of its own.
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
os.environ.setdefault("OPENAI_API_KEY", "none")

import pytest

PROGRAMS = Path(__file__).parent / "openai_agents_programs"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program of this suite; what still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def begin(name: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAMS / name), *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


@pytest.fixture
def run(start: Start) -> Callable[..., str]:
    """Runs a program of this suite to its end, and gives what it has printed."""

    def finish(name: str, *arguments: Any) -> str:
        process = start(name, *map(str, arguments))
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out.strip()

    return finish
