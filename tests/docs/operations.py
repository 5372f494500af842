"""Which test pins which operation: `python -m tests.docs.operations` writes docs/operations.md.

A test says what it is about by the marker `operation`, at itself or for its whole module.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"

HEAD = """\
# Operations and the tests that pin them

Every operation of `SessionManager` and of its chat histories, each sync and async, and the tests
that say how it behaves. This page is written by `python -m tests.docs.operations` from the markers
of the tests, and a test fails where it is out of date or an operation is missing.
"""


@functools.cache
def marked() -> dict[str, list[tuple[str, str]]]:
    """Operations, each with the files and names of the tests that are about it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        everywhere = [
            name
            for node in tree.body
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
            for name in _named(node.value)
        ]
        for node in tree.body:
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if not node.name.startswith("test_"):
                continue
            own = [name for decorator in node.decorator_list for name in _named(decorator)]
            for operation in own or everywhere:
                test = (str(path.relative_to(ROOT)), node.name)
                found.setdefault(operation, []).append(test)
    return found


def _named(node: ast.expr) -> Iterator[str]:
    """The operations that a marker names."""
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "operation"
        ):
            for argument in call.args:
                assert isinstance(argument, ast.Constant)
                yield str(argument.value)


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for operation, tests in sorted(marked().items()):
        parts.append(f"## `{operation}`\n")
        files = sorted({file for file, _ in tests})
        for file in files:
            names = [name for other, name in tests if other == file]
            parts.append(f"In `{file}`:\n")
            parts.append("\n".join(f"* {_sentence(name)}" for name in names) + "\n")
    return "\n".join(parts)


def _sentence(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ")
    return words[:1].upper() + words[1:]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
