"""The README's programs run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import agents
import pytest
from agents import Agent, Runner

from openai_agents_fakes import FakeModel, says

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """Agents get a model that needs no network."""
    model = FakeModel(lambda items: [says(f"You asked: {items[-1]['content']}")])
    monkeypatch.setattr(agents, "Agent", lambda **options: Agent(model=model, **options))
    return model


def test_the_programs_run(
    no_network: FakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        for block in blocks:
            exec(compile(block, str(README), "exec"), names)
        sessions = names["sessions"]
        assert "You asked: What is the weather in Oslo?" in capsys.readouterr().out
        assert len(no_network.seen[1]) == 3  # the fork has the conversation before it
        info = sessions.get_session("oslo")
        assert (info.turn_count, info.total_tokens, info.message_count) == (1, 7, 4)
        last = names["ThreadloomSession"]("last", sessions)
        loop.run_until_complete(names["go_on"]("oslo", last))
        result = Runner.run_sync(names["agent"], "Bye", session=last)
        assert result.final_output == "You asked: Bye"
        assert len(no_network.seen[-1]) == 5
        sessions.close()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
