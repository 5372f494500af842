"""The pages of the guide are true: their programs run as they stand, and so do their tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .programs import ROOT, run_program

BLOCK = re.compile(r"^```python( tests)?\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
PAGES = sorted(
    page.name
    for page in (ROOT / "docs").glob("*.md")
    if BLOCK.search(page.read_text(encoding="utf-8"))
)


def blocks(page: str, *, tests: bool) -> str:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return "\n\n".join(code for kind, code in BLOCK.findall(text) if bool(kind) == tests)


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_a_page_run(page: str, tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text(blocks(page, tests=False), encoding="utf-8")
    run_program(program, tmp_path)


def test_a_store_of_ones_own_passes_the_contract(tmp_path: Path) -> None:
    page = "write-a-store.md"
    store = blocks(page, tests=False).partition("from langchain_core")[0]
    (tmp_path / "own_store.py").write_text(store, encoding="utf-8")
    (tmp_path / "test_own_store.py").write_text(blocks(page, tests=True), encoding="utf-8")
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


def test_pages_that_are_linked_to_exist() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for link in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page.name, link)
