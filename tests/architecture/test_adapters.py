"""Adapters stand on the public face, engines on the port; the core needs none of them, nor what
they are for."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import threadloom

ROOT = Path(__file__).parents[2]
ADAPTERS = sorted(path.parent for path in (ROOT / "adapters").glob("*/pyproject.toml"))
MODULES = sorted(path for adapter in ADAPTERS for path in (adapter / "src").rglob("*.py"))

ENGINES = ("postgres", "redis")
FRAMEWORKS = ("agents", "google.adk", "claude_agent_sdk", "pydantic_ai", "agent_framework")
DRIVERS = ("psycopg", "redis")

PORT = {
    *("threadloom.store", "threadloom.ops", "threadloom.plans", "threadloom.keys"),
    *("threadloom.records", "threadloom.documents", "threadloom.filters", "threadloom.text"),
    *("threadloom.clock", "threadloom.closing", "threadloom.errors", "threadloom.garbage"),
    *(
        f"threadloom.stores.{tool}"
        for tool in ("forking", "shielding", "spaces", "waiting", "working")
    ),
    *(f"threadloom.stores.{tool}" for tool in ("fulltext", "likely", "listing")),
    *("threadloom.migrate.base", "threadloom.migrate.conversations"),
    "threadloom.migrate.ordering",
}
"""What engines may take besides: `docs/write-a-store.md` is about it, and `docs/architecture.md`
about migrations."""


def test_there_are_adapters() -> None:
    names = {adapter.name for adapter in ADAPTERS}
    frameworks = {"openai-agents", "google-adk", "claude-agent-sdk", "pydantic-ai"}
    assert names >= {*frameworks, "agent-framework", *ENGINES}


def imported(source: str) -> set[str]:
    """What a module takes of Threadloom: names of its public face, or modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {
                alias.name for alias in node.names if alias.name.split(".")[0] == "threadloom"
            }
        elif isinstance(node, ast.ImportFrom) and node.module == "threadloom":
            names = {alias.name for alias in node.names}
            found |= {n if n in threadloom.__all__ else f"threadloom.{n}" for n in names}
        elif isinstance(node, ast.ImportFrom) and node.module == "threadloom.stores":
            found |= {f"threadloom.stores.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("threadloom."):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_adapter_imports_the_public_face_only(module: Path) -> None:
    is_engine = module.relative_to(ROOT / "adapters").parts[0] in ENGINES
    allowed = {*threadloom.__all__, *(PORT if is_engine else ())}
    assert imported(module.read_text(encoding="utf-8")) <= allowed


@pytest.mark.parametrize(
    "source",
    ["import threadloom.keys", "from threadloom.keys import x", "from threadloom import keys"],
)
def test_it_would_notice(source: str) -> None:
    assert not imported(source) <= set(threadloom.__all__)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.name)
def test_an_adapter_is_a_distribution_of_its_own(adapter: Path) -> None:
    project = tomllib.loads((adapter / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == f"threadloom-{adapter.name}"
    ranges = [need for need in project["dependencies"] if not need.startswith("threadloom")]
    assert ranges
    assert all(">=" in need and "<" in need for need in ranges), "both ends are stated"
    package = adapter / "src" / project["name"].replace("-", "_")
    assert (package / "py.typed").exists()
    assert {"README.md", "CHANGELOG.md", "tests"} <= {path.name for path in adapter.iterdir()}


def test_the_core_imports_nothing_of_theirs() -> None:
    """In an environment where the frameworks are not even installed: that of the core's tests."""
    program = (
        "import sys, threadloom\n"
        "for name in threadloom.__all__: getattr(threadloom, name)\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert "threadloom.sessions.stream_face" in loaded
    assert not {name for name in loaded if name.split(".")[0].startswith("threadloom_")}
    assert not [name for name in (*FRAMEWORKS, *DRIVERS) if name in loaded]
