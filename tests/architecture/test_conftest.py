"""The rules of conftest.py hold: each is shown to fail a test that breaks it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"


def run_pytest(folder: Path, source: str, **env: str) -> tuple[int, str]:
    """Run one test file beside a copy of the suite's conftest; exit code and output."""
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  grid(every): …\n  soak(full): …\n", encoding="utf-8"
    )
    kept = {k: v for k, v in os.environ.items() if k not in {"CI", "THREADLOOM_SOAK"}}
    kept = {k: v for k, v in kept.items() if not k.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider"],
        cwd=folder,
        env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


THREAD = """
import threading, pytest
import conftest
conftest.GRACE = 0.2
release = threading.Event()

{fixture}

def test_thread({argument}):
    {body}
"""


def thread_sample(body: str, *, fixture: str = "", argument: str = "") -> str:
    return THREAD.format(body=body, fixture=fixture, argument=argument)


STARTED = "threading.Thread(target=release.wait, args=(2,), name='lost').start()"


def test_a_thread_left_behind_fails_the_test(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, thread_sample(STARTED))
    assert code == 1, output
    assert "the test left threads running: lost" in output


@pytest.mark.parametrize(
    "sample",
    [
        thread_sample(STARTED.replace(").start", ", daemon=True).start")),
        thread_sample(STARTED + "; release.set()"),
        thread_sample(
            "pass",
            fixture=f"@pytest.fixture(scope='module')\ndef server():\n    {STARTED}\n",
            argument="server",
        ),
        thread_sample(
            "from concurrent.futures import ThreadPoolExecutor as Pool\n"
            "    global pool; pool = Pool(1); pool.submit(int).result()"
        ),
    ],
    ids=["daemon", "ends in time", "of a module's fixture", "idle worker of a pool"],
)
def test_threads_that_keep_nothing_from_exiting_are_allowed(tmp_path: Path, sample: str) -> None:
    code, output = run_pytest(tmp_path, sample)
    assert code == 0, output


SKIPS = {
    "in the test": "import pytest\ndef test_it(): pytest.skip('no server')",
    "by a mark": "import pytest\n@pytest.mark.skip('no server')\ndef test_it(): pass",
    "the module": "import pytest\npytest.skip('no server', allow_module_level=True)",
}


@pytest.mark.parametrize("sample", SKIPS.values(), ids=SKIPS.keys())
def test_a_skip_fails_in_ci_only(tmp_path: Path, sample: str) -> None:
    code, output = run_pytest(tmp_path, sample, CI="true")
    assert code in {1, 2}, output
    assert "Nothing may be skipped in CI" in output
    assert "no server" in output
    code, output = run_pytest(tmp_path, sample)
    assert code in {0, 5}, output


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    sample = "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_it(): assert 0"
    code, output = run_pytest(tmp_path, sample, CI="true")
    assert code == 0, output


@pytest.mark.parametrize(("env", "expected"), [({}, 20), ({"THREADLOOM_SOAK": "1"}, 200)])
def test_rounds_are_full_under_soak(tmp_path: Path, env: dict[str, str], expected: int) -> None:
    sample = (
        "import pytest\n"
        "@pytest.mark.soak(full=200)\n"
        f"def test_many(rounds): assert rounds == {expected}\n"
        "@pytest.mark.soak(full=3)\n"
        f"def test_few(rounds): assert rounds == {3 if env else 1}\n"
    )
    code, output = run_pytest(tmp_path, sample, **env)
    assert code == 0, output


@pytest.mark.parametrize("env", [{}, {"THREADLOOM_SOAK": "1"}])
def test_a_grid_is_whole_under_soak(tmp_path: Path, env: dict[str, str]) -> None:
    sample = (
        "import pytest\n"
        "@pytest.mark.grid(every=3)\n"
        "@pytest.mark.parametrize('number', range(300))\n"
        "def test_many(number): pass\n"
        "def test_one(): pass\n"
    )
    code, output = run_pytest(tmp_path, sample, **env)
    assert code == 0, output
    passed = int(re.findall(r"(\d+) passed", output)[0])
    assert passed == 301 if env else 80 <= passed <= 120


def test_rounds_need_the_mark(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "def test_it(rounds): pass")
    assert code == 1, output
    assert "needs @pytest.mark.soak" in output


@pytest.mark.parametrize("soak", ["0", "1"])
@pytest.mark.parametrize(
    ("engines", "expected"), [("", 601), ("sqlite", 601), ("redis", 200), ("postgres,redis", 400)]
)
def test_engines_with_a_server_that_are_named_leave_their_tests(
    tmp_path: Path, engines: str, expected: int, soak: str
) -> None:
    sample = (
        "import pytest\n"
        "@pytest.fixture(params=['memory', 'postgres', 'redis'])\n"
        "def url(request): return request.param\n"
        "@pytest.mark.parametrize('number', range(200))\n"
        "def test_one(number, url): pass\n"
        "def test_none(): pass\n"
    )
    env = {"THREADLOOM_TEST_ENGINES": engines, "THREADLOOM_SOAK": soak}
    code, output = run_pytest(tmp_path, sample, **env)
    assert code == 0, output
    passed = int(re.findall(r"(\d+) passed", output)[0])
    if soak == "1" or engines in ("", "sqlite"):
        assert passed == expected
    else:  # one in five
        assert expected * 0.13 < passed < expected * 0.27
