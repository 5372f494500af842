"""The command line on a terminal of its own, and before pipes that are closed early."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from threadloom import SessionManager

from .running import Result, rows, told
from .terminal import Terminal, shown

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")


def test_a_table_in_colours(made_trips: Path) -> None:
    terminal = Terminal("list", made_trips, columns=90)
    assert terminal.end() == 0
    lines = TIME.sub("THEN", terminal.text).splitlines()
    assert lines[0].split() == [
        "id", "name", "owner", "tags", "status", "messages", "updated",
    ]  # fmt: skip
    assert lines[1].split() == [
        "oslo-trip", "Oslo", "trip", "ana", "travel,", "2026", "idle", "4", "THEN",
    ]  # fmt: skip
    assert "\x1b[1m" in terminal.raw
    assert "\x1b[31merror" in terminal.raw
    assert "chat\x1b[31m" not in terminal.raw, "what is stored cannot steer a terminal"


def test_a_narrow_table_leaves_columns_out(made_trips: Path) -> None:
    lines = shown("list", made_trips, columns=40).text.splitlines()
    assert lines[0].split() == ["id", "name", "status"]
    assert len(lines) == 6
    assert max(map(len, lines)) <= 40
    assert shown("search", made_trips, "bergen", columns=30).text.splitlines()[0].split() == [
        "id", "found",
    ]  # fmt: skip


def test_a_chat_is_wrapped_and_coloured(made_trips: Path) -> None:
    terminal = shown("show", made_trips, "oslo-trip", columns=30)
    assert "\x1b[1;32mhuman\x1b[0m" in terminal.raw
    assert "\x1b[1;36mai\x1b[0m" in terminal.raw
    lines = terminal.text.splitlines()
    assert max(map(len, lines)) <= 30
    at = lines.index("human")
    assert [line.rstrip() for line in lines[at : at + 5]] == [
        "human", "  Hello", "", "ai", "  answer 1 to Hello",
    ]  # fmt: skip
    assert "Bergen is wet" in shown("messages", made_trips, "chat").text
    assert "\x1b[33mwaits for" in shown("show", made_trips, "waiting").raw


def test_the_tree_is_drawn(made_trips: Path) -> None:
    nodes = told("tree", made_trips, "oslo-trip")["checkpoints"]
    ids = [node["id"] for node in nodes]
    lines = shown("tree", made_trips, "oslo-trip").text.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        f"○ {ids[0]}",
        f"○ {ids[1]}",
        f"├─○ {ids[2]}",
        *(f"│ ○ {id}" for id in ids[3:9]),
        *(f"○ {id}" for id in ids[9:12]),
        f"● {ids[12]}",
    ]
    assert lines[-1].endswith("  head")
    assert lines[8].endswith("  tip")
    narrow = shown("tree", made_trips, "oslo-trip", columns=50).text.splitlines()
    assert narrow[2] == f"├─○ …{ids[2][-8:]}  step 1, 2 messages"
    terminal = shown("tree", made_trips, "waiting", columns=60)
    assert '\n    waits: {"ask": "Shall I book?"}' in terminal.text
    assert "no graph has run in it" in shown("tree", made_trips, "chat").text


def test_differences_in_colours(made_trips: Path) -> None:
    raw = shown("diff", made_trips, "oslo-trip", "head~2").raw
    assert "\x1b[31m- 1\x1b[0m" in raw
    assert "\x1b[32m+ 2\x1b[0m" in raw
    assert "\x1b[1;33mBergen" in shown("search", made_trips, "bergen").raw


# ── Questions and progress ────────────────────────────────────────────────────────────────────
def test_the_question_of_delete(trips: Path) -> None:
    terminal = Terminal("delete", trips, "chat", "waiting")
    terminal.until("[y/N]")
    assert "Delete 2 sessions with 4 messages? It cannot be undone." in terminal.text
    assert "interrupted" in terminal.text, "what goes is shown before"
    terminal.type("n\n")
    assert terminal.end() == 1
    assert terminal.text.splitlines()[-1] == "threadloom: nothing was changed"
    assert len(rows("list", trips)) == 5
    terminal = Terminal("delete", trips, "chat", "waiting")
    terminal.until("[y/N]")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "threadloom: interrupted" in terminal.text
    assert len(rows("list", trips)) == 5
    terminal = Terminal("delete", trips, "chat", "waiting")
    terminal.until("[y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert "Deleting" in terminal.text
    assert terminal.text.splitlines()[-1] == "Deleted 2 sessions"
    assert len(rows("list", trips)) == 3


def test_a_question_while_the_result_goes_into_a_file(trips: Path, tmp_path: Path) -> None:
    """Questions and progress are on stderr, so they do not get in the way of what is piped."""
    command = f"{sys.executable} -m threadloom prune {trips} --keep-last 2 > {tmp_path}/out"
    terminal = Terminal(program=["/bin/sh", "-c", command])
    terminal.until("Remove 12 checkpoints of 2 sessions")
    terminal.type("y\n")
    assert terminal.end() == 0
    lines = (tmp_path / "out").read_text().splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["oslo-trip", "11"], ["both", "1"]]


def test_progress_has_a_rate_and_an_end(tmp_path: Path) -> None:
    path, new = tmp_path / "many.db", tmp_path / "new.db"
    with SessionManager(f"sqlite:///{path}") as sessions:
        for number in range(250):
            sessions.memory(f"{number:03}").append(HumanMessage("text " * 50))
    terminal = Terminal("copy", path, new)
    assert terminal.end() == 0
    assert re.search(r"Copying [━╸╺ ]*\d+/250", terminal.text)
    assert re.search(r"\d+/250 +[\d,]+/s", terminal.text)
    assert re.search(r"until \d\d:\d\d:\d\d", terminal.text)
    assert terminal.text.splitlines()[-1] == "250 sessions copied"
    assert "━" not in shown("export", path, tmp_path / "x.jsonl", "--json").text


def test_an_export_that_is_interrupted_goes_on(tmp_path: Path) -> None:
    path, file = tmp_path / "many.db", tmp_path / "all.jsonl"
    with SessionManager(f"sqlite:///{path}") as sessions:
        for number in range(400):
            sessions.memory(f"{number:03}").append(HumanMessage("text " * 50))
    terminal = Terminal("export", path, file)
    terminal.until("/400")
    terminal.type("\x03")
    assert terminal.end() in (0, 130)
    if "interrupted" in terminal.text:
        assert "run it again to go on" in terminal.text
    found = told("export", path, file)
    assert len(found["moved"]) + len(found["skipped"]) == 400
    assert found["skipped"]
    assert len(rows("import", tmp_path / "new.db", file)) == 400


# ── Pipes ─────────────────────────────────────────────────────────────────────────────────────
def test_a_reader_that_has_seen_enough_of_an_export(tmp_path: Path) -> None:
    path = tmp_path / "long.db"
    with SessionManager(f"sqlite:///{path}") as sessions:
        sessions.memory("x").add_messages([HumanMessage("text " * 100) for _ in range(2000)])
    with subprocess.Popen(
        [sys.executable, "-m", "threadloom", "export", str(path), "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_no_colours_where_none_are_wanted(made_trips: Path, monkeypatch: Any) -> None:
    assert "\x1b[31m" not in shown("list", made_trips, NO_COLOR="1").raw
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in (["tree", "oslo-trip"], ["show", "oslo-trip"], ["search", "oslo"], ["list"]):
        assert "\x1b" not in Result(command[0], made_trips, *command[1:]).out
