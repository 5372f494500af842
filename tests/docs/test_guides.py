"""The pages of the guide are true: their programs run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from .programs import ROOT, run_program
from .test_readme import program_of

GUIDES = ("wrappers",)


@pytest.mark.parametrize("name", GUIDES)
def test_the_programs_of_a_guide_run(name: str, tmp_path: Path) -> None:
    source = program_of((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    assert source.strip(), "no ```python block"
    program = tmp_path / f"{name}.py"
    program.write_text(source, encoding="utf-8")
    assert run_program(program, tmp_path)
