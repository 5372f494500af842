"""The pages are true: their programs run as they stand, and so do their tests and their shells.

The ```python blocks of a page form one program, which runs in an empty folder. A block with a title
is a file of its own, which a test of its page uses. What is fenced as ```py is not run here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .pages import PAGES, blocks_of, files_of, name_of, program_of, read
from .programs import ROOT, run_program

GUIDES = [
    page
    for page in PAGES
    if program_of(read(page)).strip() and name_of(page).startswith(("docs/", "README"))
]
"""Pages with a program."""

WITH_FILES = {
    "docs/first-program.md": ["trip.py"],
    "docs/write-a-store.md": ["test_own_store.py"],
}
"""Pages with blocks that are files of their own: each has a test below."""

NOT_RUN_HERE = {
    "README.md": "frameworks: adapters/tests/test_pages.py",
    "adapters/README.md": "a part of a package: adapters/tests/test_pages.py",
    "adapters/google-adk/README.md": "two lines of a services.py",
    "adapters/postgres/README.md": "needs a server: adapters/postgres/tests/test_pg_readme.py",
    "adapters/redis/README.md": "needs a server: adapters/redis/tests/test_redis_clients.py",
}
"""Pages with ```py blocks, and why."""

GROUPS = 3
"""How many processes share the pages: what takes long is importing LangGraph."""

# Each page is a __main__ of its own, as a program is, so that its classes are found by their names.
SEVERAL = """
import os, sys, types, warnings

for path in {paths!r}:
    os.chdir(os.path.dirname(path))
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    with open(path, encoding="utf-8") as file:
        source = file.read()
    with warnings.catch_warnings():
        exec(compile(source, path, "exec"), module.__dict__)
"""


def run_pages(pages: dict[str, str], folder: Path) -> str:
    """Run programs, each in an empty folder, in one process; what they print."""
    paths = []
    for name, source in pages.items():
        place = folder / "pages" / name.replace("/", "-").removesuffix(".md")
        place.mkdir(parents=True)
        paths.append(str(place / f"{place.name}.py"))
        Path(paths[-1]).write_text(source, encoding="utf-8")
    program = folder / "pages.py"
    program.write_text(SEVERAL.format(paths=paths), encoding="utf-8")
    return run_program(program, folder)


@pytest.mark.parametrize("group", range(GROUPS))
def test_the_programs_of_the_pages_run(group: int, tmp_path: Path) -> None:
    """Those of every GROUPS-th page; where one fails, the traceback names its page and line."""
    run_pages({name_of(page): program_of(read(page)) for page in GUIDES[group::GROUPS]}, tmp_path)


def test_no_program_is_left_out() -> None:
    with_files, not_run = {}, set()
    for page in PAGES:
        blocks = blocks_of(read(page))
        if any(block.language == "py" for block in blocks):
            not_run.add(name_of(page))
        if files := list(files_of(read(page))):
            with_files[name_of(page)] = files
        if not program_of(read(page)).strip() or page in GUIDES:
            continue
        # The page of an adapter: its tests run it, in an environment that has its framework.
        tests = (page.parent / "tests").glob("test_*.py")
        assert any(
            "README.md" in source and "```python" in source for source in map(read, tests)
        ), name_of(page)
    assert len(GUIDES) > 12
    assert with_files == WITH_FILES
    assert not_run == set(NOT_RUN_HERE)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("\n\nraise ValueError('no')\n", r"docs-bad\.py\", line 3"),
        ("import warnings; warnings.warn('old')\n", "UserWarning: old"),
        ("open('left', 'w')\n", "ResourceWarning"),
    ],
)
def test_a_bad_page_is_noticed(source: str, complaint: str, tmp_path: Path) -> None:
    pages = {"docs/good.md": "print('good')\n", "docs/bad.md": source}
    with pytest.raises(AssertionError, match=complaint):
        run_pages(pages, tmp_path)


# ── The first program ─────────────────────────────────────────────────────────────────────────
def test_the_first_program_is_killed_and_goes_on(tmp_path: Path) -> None:
    """What the page shows of a shell is what a shell shows.

    The runs after the kill share a process, to be quick: that of the killed one was another.
    """
    page = read(ROOT / "docs" / "first-program.md")
    (tmp_path / "trip.py").write_text(files_of(page)["trip.py"], encoding="utf-8")
    shown = [block.code.splitlines() for block in blocks_of(page) if block.language == "console"]
    assert [lines[0] for lines in shown] == [
        "$ .venv/bin/python trip.py --die",
        *["$ .venv/bin/python trip.py"] * 2,
    ]
    again = "import runpy; [runpy.run_path('trip.py', run_name='__main__') for run in range(2)]"
    for command, expected, ends in (
        (["trip.py", "--die"], shown[0][1:], 1),
        (["-c", again], shown[1][1:] + shown[2][1:], 0),
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default"},
            capture_output=True,
            encoding="utf-8",
            timeout=90,
            check=False,
        )
        assert (done.stdout.splitlines(), done.stderr) == (expected, "")
        assert done.returncode == ends


# ── A store of one's own ──────────────────────────────────────────────────────────────────────
def test_a_store_of_ones_own_passes_the_contract(tmp_path: Path) -> None:
    page = read(ROOT / "docs" / "write-a-store.md")
    store = program_of(page).partition("from langchain_core")[0]
    (tmp_path / "own_store.py").write_text(store, encoding="utf-8")
    for name, source in files_of(page).items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        encoding="utf-8",
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-1_000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 100
