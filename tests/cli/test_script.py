"""The command line as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import threadloom
from threadloom import SessionManager


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_without_typer_one_line_says_what_to_install() -> None:
    for missing in ("typer", "rich"):
        program = (
            f"import sys; sys.modules[{missing!r}] = None\n"
            "import threadloom.cli; threadloom.cli.main()"
        )
        done = run("-W", "error", "-c", program)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f'threadloom: the command line needs {missing}: pip install "threadloom[cli]"\n'
        )


def test_a_missing_module_of_another_kind_is_not_hidden() -> None:
    program = (
        "import sys; sys.modules['threadloom.cli.group'] = None\n"
        "import threadloom.cli; threadloom.cli.main()"
    )
    assert "ModuleNotFoundError" in run("-c", program).stderr


def test_python_m_is_silent_and_right() -> None:
    done = run("-W", "error", "-m", "threadloom", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"threadloom {threadloom.__version__}\n"


def test_bad_input_ends_in_a_line_and_no_traceback(tmp_path: Path) -> None:
    done = run("-W", "error", "-m", "threadloom", "list", "nothing.db", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr) == {
        "error": "StoreUnavailable",
        "message": "nothing.db does not exist: check the path",
        "exit_code": 1,
    }
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    with SessionManager(f"sqlite:///{path}") as sessions:
        for number in range(600):
            sessions.create_session(id=f"{number:0200}")
    command = [sys.executable, "-m", "threadloom", "list", str(path), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0
