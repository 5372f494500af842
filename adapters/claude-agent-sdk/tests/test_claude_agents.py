"""The SDK's real loop, with the CLI that it brings, on a fake API on the loopback interface."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import claude_agent_sdk
import pytest

from claude_fake_api import TOOL, FakeApi, fake_api
from claude_transcripts import plain, says
from threadloom import SessionManager
from threadloom_claude_agent_sdk import FRAMEWORK, ThreadloomSessionStore

HERE = Path(__file__).parent
CLI = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
pytestmark = pytest.mark.skipif(not CLI.exists(), reason="the SDK's wheel brings no CLI here")

# One process of an application: asks questions one after the other, and says what came of it.
PROGRAM = """
import asyncio, json, sys
from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, create_sdk_mcp_server, query, tool
from threadloom_claude_agent_sdk import ThreadloomSessionStore

@tool("weather", "The weather of a town", {"town": str})
async def weather(given):
    return {"content": [{"type": "text", "text": f"rain in {given['town']}"}]}

async def main(url, resume, goes_on, *questions):
    said = []
    async with ThreadloomSessionStore(url, agent_name="helper") as store:
        for question in questions:
            options = ClaudeAgentOptions(
                session_store=store,
                resume=resume or None,
                continue_conversation=goes_on == "continue",
                mcp_servers={"town": create_sdk_mcp_server("town", tools=[weather])},
                allowed_tools=["mcp__town__weather"],
                setting_sources=[],
                max_turns=5,
            )
            async for message in query(prompt=question, options=options):
                assert "MirrorError" not in type(message).__name__, message
                if isinstance(message, ResultMessage):
                    assert not message.is_error, message
                    resume = message.session_id
                    said.append(message.result)
    print(json.dumps([resume, said]))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api() as running:
        yield running


@pytest.fixture
def environment(api: FakeApi, tmp_path: Path) -> dict[str, str]:
    """An environment in which the CLI knows nothing of this machine, and asks only the fake."""
    home, town = tmp_path / "home", tmp_path / "town"
    home.mkdir()
    town.mkdir()
    return {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": api.url,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK": "1",
    }


class Town:
    """An application's processes, one after the other, in one folder."""

    def __init__(self, url: str, folder: Path, environment: dict[str, str]) -> None:
        self.url, self.folder, self.environment = url, folder, environment

    def ask(self, *questions: str, resume: str = "", goes_on: str = "") -> tuple[str, list[str]]:
        """The session's id, and the answers."""
        # Each process has an own local disk, so only the store can know what was before.
        number = len(list(self.folder.parent.glob("home-*")))
        home = self.folder.parent / f"home-{number}"
        home.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, self.url, resume, goes_on, *questions],
            capture_output=True,
            timeout=100,
            text=True,
            cwd=self.folder,
            env={
                **self.environment,
                "HOME": str(home),
                "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            },
        )
        assert done.returncode == 0, done.stderr
        session, said = json.loads(done.stdout)
        return session, said


@pytest.fixture
def town(tmp_path: Path, environment: dict[str, str]) -> Town:
    return Town(f"sqlite:///{tmp_path}/sessions.db", tmp_path / "town", environment)


def last_asked(api: FakeApi) -> list[str]:
    """What the model was told last, without what the CLI puts in."""
    found: list[str] = []
    for message in api.asked[-1]["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            words = block.get("text") or json.dumps(block.get("content") or block.get("input"))
            if "<system-reminder>" not in words or "rain in" in words:
                found.append(f"{message['role']} {block['type']}: {words}")
    return found


QUESTION = "What is the weather in Oslo and Lima?"
CALLS = [
    ("toolu_Oslo", TOOL, {"town": "Oslo"}),
    ("toolu_Lima", TOOL, {"town": "Lima"}),
]


def test_the_second_process_goes_on_with_what_the_first_left(town: Town, api: FakeApi) -> None:
    session, (answer,) = town.ask(QUESTION)
    assert answer == "It is rain in Oslo, rain in Lima."
    again, said = town.ask("How many?", "And now?", resume=session)
    assert again == session
    assert said == ["You have asked 2 questions.", "You have asked 3 questions."]

    with SessionManager(town.url) as sessions:
        (info,) = sessions.list_sessions(framework=FRAMEWORK, agent_name="helper")
        messages = sessions.messages(info)
        assert plain(messages) == [
            ("human", QUESTION, [], None, None),
            ("ai", "Let me look.", CALLS, None, None),
            ("tool", "rain in Oslo", [], "toolu_Oslo", TOOL),
            ("tool", "rain in Lima", [], "toolu_Lima", TOOL),
            ("ai", "It is rain in Oslo, rain in Lima.", [], None, None),
            ("human", "How many?", [], None, None),
            ("ai", "You have asked 2 questions.", [], None, None),
            ("human", "And now?", [], None, None),
            ("ai", "You have asked 3 questions.", [], None, None),
        ]
        assert info.total_tokens == 4 * 21
    assert set(api.other) <= {"/"}  # older ones look first whether it is there


def test_forks_and_rewinds_go_on(town: Town, api: FakeApi) -> None:
    session, _ = town.ask(QUESTION, "How many?")
    with SessionManager(town.url) as sessions:
        (info,) = sessions.list_sessions()
        fork = sessions.fork_session(info)
        sessions.rewind_session(info, messages=5)

    # A fork goes on by its own id, and its source does not see it.
    assert town.ask("More?", resume=fork.id) == (fork.id, ["You have asked 3 questions."])
    # A session that was rewound goes on from where it is.
    assert town.ask("And now?", resume=session) == (session, ["You have asked 2 questions."])
    assert not any("How many?" in line or "More?" in line for line in last_asked(api))
    # The newest is what is continued without a name.
    assert town.ask("Still?", goes_on="continue") == (session, ["You have asked 3 questions."])
    with SessionManager(town.url) as sessions:
        lengths = {i.id: i.message_count for i in sessions.list_sessions()}
        assert lengths == {info.id: 9, fork.id: 9}
        assert sessions.check().problems == ()


@pytest.mark.parametrize("count", [2, 3])
def test_a_rewind_into_the_middle_of_a_turn(town: Town, count: int) -> None:
    """The CLI says of calls without a result that they were interrupted, or leaves them out."""
    session, _ = town.ask(QUESTION, "How many?")
    with SessionManager(town.url) as sessions:
        (info,) = sessions.list_sessions()
        before = plain(sessions.messages(info))
        sessions.rewind_session(info, messages=count)
    same, (answer,) = town.ask("Again?", resume=session)
    assert same == session
    with SessionManager(town.url) as sessions:
        messages = sessions.messages(info)
        assert plain(messages)[:count] == before[:count]
        assert says(messages)[-2:] == ["human: Again?", f"ai: {answer}"]
        assert not any("How many?" in line for line in says(messages))
        calls = [call for m in messages for call in getattr(m, "tool_calls", [])]
        called = {call["id"]: call["name"] for call in calls}
        answered = {m.tool_call_id: m.name for m in messages if m.type == "tool"}
        assert answered.items() <= called.items()
        assert sessions.check().problems == ()


def readme() -> str:
    (code,) = re.findall(
        r"```python\n(.*?)```", (HERE.parent / "README.md").read_text("utf-8"), re.S
    )
    return str(code)


def test_the_readme(tmp_path: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", readme()],
        capture_output=True,
        timeout=100,
        text=True,
        cwd=tmp_path / "town",
        env=environment,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "human: Good morning.",
        "ai: You have asked 1 questions.",
        "human: What did I say?",
        "ai: You have asked 2 questions.",
    ]
    assert (tmp_path / "town" / "sessions.db").exists()


async def test_a_manager_stays_its_owner_s(tmp_path: Path) -> None:
    sessions = SessionManager(f"sqlite:///{tmp_path}/sessions.db")
    key: Any = {"project_key": "p", "session_id": "s"}
    async with ThreadloomSessionStore(sessions) as store:
        await store.append(key, [{"type": "x"}])
    assert len(sessions.list_sessions()) == 1
    sessions.close()
