"""`adk api_server` with sessions in a store: started, asked, stopped, and started again."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.adk.cli.service_registry import ServiceRegistry, get_service_registry

import threadloom_google_adk
from threadloom import InvalidKey, MissingAdapter, SessionManager
from threadloom_google_adk import ThreadloomSessionService, from_uri, register

TESTS = Path(__file__).parent

AGENT = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from adk_fakes import agent
root_agent = agent()
"""
IN_PYTHON = """
from threadloom_google_adk import register
register()
"""
IN_YAML = """
services:
  - scheme: threadloom+sqlite
    type: session
    class: threadloom_google_adk.from_uri
"""


def agents(folder: Path, services: str, text: str) -> Path:
    """A folder of agents with one agent, as ADK wants it."""
    (folder / "agents" / "forecast").mkdir(parents=True)
    (folder / "agents" / "forecast" / "__init__.py").write_text("from . import agent\n")
    (folder / "agents" / "forecast" / "agent.py").write_text(AGENT)
    (folder / "agents" / services).write_text(text)
    return folder / "agents"


@contextmanager
def served(folder: Path, uri: str) -> Iterator[str]:
    """A running server; gives the URL that it answers at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "google.adk.cli", "api_server"]
    options = ["--no-reload", f"--port={port}", f"--session_service_uri={uri}", str(folder)]
    log = folder.parent / f"server-{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *options], cwd=folder.parent, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(900):
                assert process.poll() is None, log.read_text()
                try:
                    call(f"{url}/list-apps")
                    break
                except (urllib.error.URLError, ConnectionError):
                    threading.Event().wait(0.1)  # it says nowhere that others could listen
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def call(url: str, data: Any = None, method: str | None = None) -> Any:
    """What a server answers to JSON."""
    body = None if data is None else json.dumps(data).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def ask(url: str, text: str) -> list[Any]:
    """What an agent answers."""
    message = {"role": "user", "parts": [{"text": text}]}
    turn = {"appName": "forecast", "userId": "ana", "sessionId": "s", "newMessage": message}
    found: list[Any] = call(f"{url}/run", turn)
    return found


@pytest.mark.parametrize(
    ("services", "text"),
    [("services.py", IN_PYTHON), ("services.yaml", IN_YAML)],
    ids=["python", "yaml"],
)
def test_a_server_finds_its_sessions_again(tmp_path: Path, services: str, text: str) -> None:
    folder = agents(tmp_path, services, text)
    uri = "threadloom+sqlite:///sessions.db"
    with served(folder, uri) as url:
        sessions = f"{url}/apps/forecast/users/ana/sessions"
        made = call(f"{sessions}/s", {"mood": "fine"}, "POST")
        assert (made["id"], made["state"]) == ("s", {"mood": "fine"})
        with pytest.raises(urllib.error.HTTPError, match="409"):
            call(f"{sessions}/s", {}, "POST")
        assert ask(url, "the weather in Oslo")[-1]["content"]["parts"] == [
            {"text": "It is sunny in Oslo."}
        ]
        first = call(f"{sessions}/s")
        assert len(first["events"]) == 4
        assert first["state"]["user:asked"] == ["Oslo"]

    with SessionManager(f"sqlite:///{tmp_path}/sessions.db") as manager:
        assert manager.messages("forecast/ana/s")[-1].text == "It is sunny in Oslo."
        fork = manager.fork_session("forecast/ana/s")

    with served(folder, uri) as url:
        sessions = f"{url}/apps/forecast/users/ana/sessions"
        assert call(f"{sessions}/s") == first
        assert {session["id"] for session in call(sessions)} == {"s", fork.id}
        assert ask(url, "thanks")[-1]["content"]["parts"] == [
            {"text": "I heard 3: the weather in Oslo | It is sunny in Oslo. | thanks"}
        ]
        patched = call(f"{sessions}/{fork.id}", {"stateDelta": {"mood": None}}, "PATCH")
        assert patched["state"]["mood"] is None
        call(f"{sessions}/{fork.id}", method="DELETE")
        (left,) = call(sessions)
        assert (left["id"], left["events"], left["state"]["mood"]) == ("s", [], "fine")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            call(f"{sessions}/{fork.id}")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> ServiceRegistry:
    """ADK's registry, as it was before afterwards."""
    found = get_service_registry()
    monkeypatch.setattr(found, "_session_factories", dict(found._session_factories))
    return found


async def test_each_store_has_a_scheme(registry: ServiceRegistry, tmp_path: Path) -> None:
    register()
    for uri in (
        "threadloom+memory://",
        f"threadloom+sqlite:///{tmp_path}/s.db",
        "threadloom+file:x",
    ):
        service = registry.create_session_service(
            uri.replace("file:x", f"file:///{tmp_path}/s"), agents_dir=str(tmp_path), tenant="t"
        )
        assert isinstance(service, ThreadloomSessionService)
        async with service:
            await service.create_session(app_name="a", user_id="u", session_id="s")
            assert service.sessions.get_session("a/u/s") is not None


def test_schemes_of_ones_own(registry: ServiceRegistry) -> None:
    assert registry.create_session_service("threadloom+odd://x") is None
    register("odd")
    with pytest.raises((InvalidKey, MissingAdapter)):
        registry.create_session_service("threadloom+odd://x")


async def test_a_plain_url_will_do() -> None:
    async with from_uri("memory://") as service:
        assert (await service.list_sessions(app_name="a")).sessions == []


async def test_the_readmes_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import adk_fakes

    readme = (TESTS.parent / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", readme, re.S)
    monkeypatch.chdir(tmp_path)
    spaces: dict[str, Any] = {"agent": adk_fakes.agent()}
    source = "async def main():\n" + "".join(f"    {line}\n" for line in program.splitlines())
    exec(compile(source, "README.md", "exec"), spaces)
    await spaces["main"]()
    said = capsys.readouterr().out
    assert "It is sunny in Oslo." in said
    assert "Human Message" in said
    assert (tmp_path / "sessions.db").exists()


def test_what_it_exports() -> None:
    assert sorted(threadloom_google_adk.__all__) == [
        "FRAMEWORK",
        "ThreadloomSessionService",
        "from_uri",
        "register",
        "shows",
    ]
    assert threadloom_google_adk.FRAMEWORK == "google-adk"
