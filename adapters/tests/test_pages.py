"""The code of README.md and of adapters/README.md for other frameworks runs as it stands."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from google.genai import types
from tests.docs.programs import ROOT

from threadloom import SessionManager

BLOCK = re.compile(r"^```py\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
LOADS = [str(ROOT / "examples" / "frameworks")]


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


async def run(source: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a block, which may await at its top."""
    code = compile(source, "README", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, names)
    if inspect.isawaitable(found):
        await found
    return names


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the blocks take for granted: an agent or a client whose model is written down."""
    monkeypatch.setattr(sys, "path", [*LOADS, *sys.path])
    import models  # type: ignore[import-not-found]
    from agents import Agent, function_tool, set_tracing_disabled
    from google.adk.agents import LlmAgent
    from pydantic_ai import Agent as PydanticAgent

    set_tracing_disabled(True)
    openai = Agent(name="guide", model=models.OpenAIModel(), tools=[function_tool(weather)])
    adk = LlmAgent(name="forecaster", model=models.ADKModel(), tools=[weather])
    return {
        "threadloom_openai_agents": {"agent": openai},
        "threadloom_google_adk": {"agent": adk},
        "threadloom_claude_agent_sdk": {},
        "threadloom_pydantic_ai": {"agent": PydanticAgent(models.pydantic_model, tools=[weather])},
        "threadloom_agent_framework": {"client": models.AgentFrameworkModel()},
    }


# The oldest ADK warns of itself, once in a process: when agents are imported, and have a tool.
@pytest.mark.filterwarnings("ignore:BaseAgentConfig is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings(r"ignore:\[EXPERIMENTAL\] feature:UserWarning")
async def test_the_blocks_of_the_readme_run(given: dict[str, dict[str, Any]]) -> None:
    """And once more on the same store, as programs do."""
    found = {}
    with SessionManager("memory://") as sessions:
        for block in blocks(ROOT / "README.md") * 2:
            (package,) = set(re.findall(r"from (threadloom_\w+) import", block))
            found[package] = await run(block, {"sessions": sessions, **given[package]})
        assert found.keys() == given.keys()
        asked = types.Content(role="user", parts=[types.Part(text="And in Bergen?")])
        run_adk = found["threadloom_google_adk"]["runner"].run_async
        async for _ in run_adk(user_id="ana", session_id="bergen", new_message=asked):
            pass
        assert sessions.get_session("forecast/ana/bergen") is not None
        for session in sessions.list_sessions():  # so that several may share a session
            names = [name.split("/")[0] for name in sessions.list_streams(session)]
            assert set(names) == {session.framework}
        kept = {session.framework: session.message_count for session in sessions.list_sessions()}
        assert kept == {"openai-agents": 8, "google-adk": 4, "pydantic-ai": 8, "agent-framework": 4}
        options = found["threadloom_claude_agent_sdk"]["options"]
        assert options.session_store is found["threadloom_claude_agent_sdk"]["store"]


async def test_the_block_for_whoever_writes_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(ROOT / "adapters" / "README.md")
    names = await run(block, {})
    with names["sessions"] as sessions:
        assert len(names["stream"].read().items) == 2
        assert [message.text for message in sessions.messages("oslo")] == ["Hi"]
