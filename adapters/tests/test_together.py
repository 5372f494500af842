"""All adapters at once: on one store, in one program, in one notebook."""

from __future__ import annotations

from pathlib import Path

from tests.docs.programs import ROOT, run_program
from tests.docs.test_notebooks import run_notebook

FRAMEWORKS = ("openai-agents", "google-adk", "claude-agent-sdk", "pydantic-ai", "agent-framework")


def test_the_example_runs(tmp_path: Path) -> None:
    """Sessions of all frameworks are listed, searched, continued and deleted together."""
    # The oldest ADK warns of itself where an agent has a tool.
    said = run_program(
        ROOT / "examples" / "frameworks" / "together.py",
        tmp_path,
        theirs="[EXPERIMENTAL] feature FeatureName.JSON_SCHEMA_FOR_FUNC_DECL:UserWarning",
    )
    listed, searched, continued, deleted = (part.splitlines() for part in said.split(":\n")[1:])
    assert [line.split()[1] for line in listed[2:7]] == list(FRAMEWORKS)
    assert len(listed) == 8
    assert len(searched) == 6
    assert continued[-2].endswith("ai: I have read 5 messages.")
    assert deleted == ["  6 more, 0 left"]


def test_the_notebook_runs(tmp_path: Path) -> None:
    said = run_notebook(ROOT / "notebooks" / "05_several_frameworks.ipynb", tmp_path).splitlines()
    assert sorted(line.split()[0] for line in said[:5]) == sorted(FRAMEWORKS)
    assert said[-1] == "6 0"
