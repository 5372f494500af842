"""Every example is a program that a user copies: it runs, says something and warns of nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .programs import ROOT, run_program

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def imported_by(example: Path) -> set[str]:
    tree = ast.parse(example.read_text(encoding="utf-8"))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    plain = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    return names | {alias.name for node in plain for alias in node.names}


# What another example imports is a part of that one; by itself it only has to load.
PARTS = {name for example in EXAMPLES for name in imported_by(example)}


def test_there_are_examples() -> None:
    """A graph, a chain, and both on one session; the demo beside them."""
    programs = [example.stem for example in EXAMPLES if example.stem not in PARTS]
    assert "demo" in programs
    assert len(programs) >= 4


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    said = run_program(example, tmp_path)
    assert said.strip() or example.stem in PARTS, "it printed nothing"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_says_what_it_shows(example: Path) -> None:
    assert ast.get_docstring(ast.parse(example.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit(3)",
        "import warnings; warnings.warn('old')",
        "import sys; print('Traceback (most recent call last):', file=sys.stderr)",
        "async def f(): pass\nf()",
        "open(__file__)",
    ],
)
def test_a_bad_program_is_noticed(source: str, tmp_path: Path) -> None:
    program = tmp_path / "bad.py"
    program.write_text(source, encoding="utf-8")
    with pytest.raises(AssertionError, match=r"bad\.py ended with"):
        run_program(program, tmp_path)
