"""The README's programs do what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from maf_agents import Model

README = Path(__file__).parents[1] / "README.md"


def test_the_programs_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    model = Model()
    names: dict[str, Any] = {"client": model}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    sessions = names["sessions"]
    printed = capsys.readouterr().out
    assert "Where is Oslo?" in printed
    assert "1 messages until now" in printed
    assert [m.text for m in sessions.messages(names["what_if"])] == [
        *("Where is Oslo?", "And Rome?", "2 messages until now")
    ]
    assert [m.text for m in sessions.messages("trip")] == [
        *("Where is Oslo?", "1 messages until now", "Thank you", "3 messages until now")
    ]
    sessions.close()
