"""Running a program as a newcomer would: a process of its own, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What a reader must not be met with. "Exception ignored in" is how a destructor fails.
COMPLAINT = re.compile(r"Traceback \(most recent|\w*Warning\b|Exception ignored|never awaited")


def run_program(program: Path, folder: Path, timeout: float = 90, *, theirs: str = "") -> str:
    """Run it; its output. Fails if it failed, warned, or did not end in time.

    Args:
        program: the file.
        folder: an empty one.
        timeout: in seconds.
        theirs: how a warning begins that a framework gives of itself, whoever uses it.
    """
    home = folder / "home"
    here = folder / "here"
    home.mkdir()
    here.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    env |= {"HOME": str(home), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    rules = ["default::ResourceWarning", *([f"ignore:{theirs}"] if theirs else [])]
    env |= {"PYTHONWARNINGS": ",".join(rules)}
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=here,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    told = f"{program.name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told
    assert not COMPLAINT.search(done.stdout + done.stderr), told
    return done.stdout
