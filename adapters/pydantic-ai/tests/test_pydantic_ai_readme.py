"""The code on the page runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_ai import Agent

from pydantic_ai_fakes import make_agent

PAGE = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_there_is_code() -> None:
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS)
async def test_the_code_runs(
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    source = "async def main(agent):\n" + "".join(f"    {line}\n" for line in block.splitlines())
    exec(compile(source, str(PAGE), "exec"), scope)
    agent: Agent[None, str] = make_agent()
    await scope["main"](agent)  # type: ignore[operator]
    assert "Oslo" in capsys.readouterr().out
