"""The commands that change: fork, rewind, tag, untag, rename, delete, prune, check."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from threadloom import SessionManager
from threadloom.cli.options import age

from .running import Result, fails, rows, told


def ids(path: Path) -> list[str]:
    return [row[0] for row in rows("list", path)]


# ── fork and rewind ───────────────────────────────────────────────────────────────────────────
def test_fork(trips: Path) -> None:
    copy = Result("fork", trips, "oslo-trip").out.strip()
    [row] = [row for row in rows("list", trips) if row[0] == copy]
    assert (row[1], row[5]) == ("Oslo trip (fork)", "4")
    made = told("fork", trips, "oslo-trip", "--name", "Short", "--messages", 1)["session"]
    assert (made["name"], made["message_count"]) == ("Short", 1)
    made = told("fork", trips, "oslo-trip", "--checkpoint", "head~2")["session"]
    assert made["message_count"] == 2
    assert made["origin"]["session_id"] == "oslo-trip"
    assert "No such" not in fails(1, "fork", trips, "oslo-trip", "--checkpoint", "nobody")
    assert "--messages" in fails(2, "fork", trips, "oslo-trip", "--messages", -1)
    both = ["--messages", 1, "--checkpoint", "head"]
    assert "not both" in fails(2, "fork", trips, "oslo-trip", *both)


def test_rewind(trips: Path) -> None:
    before = trips.read_bytes()
    result = Result("rewind", trips, "oslo-trip", "--messages", 2, "--dry-run")
    assert (result.code, result.out) == (0, "")
    assert "would go back to its first 2 messages of 4" in result.err
    assert told("rewind", trips, "oslo-trip", "--messages", 2, "--dry-run")["dry_run"] is True
    assert trips.read_bytes() == before
    made = told("rewind", trips, "oslo-trip", "--messages", 2, "--yes")["session"]
    assert made["message_count"] == 2
    assert Result("rewind", trips, "chat", "--messages", 0, "-y").out == (
        '"Only a chat\N{REPLACEMENT CHARACTER}[31m" (chat) has 0 messages now\n'
    )
    found = told("tree", trips, "oslo-trip")["checkpoints"]
    tip = next(node["id"] for node in found if node["marks"] == ["tip"])
    made = told("rewind", trips, "oslo-trip", "--checkpoint", tip, "--yes")["session"]
    assert made["message_count"] == 8


def test_rewind_refuses_what_makes_no_sense(trips: Path) -> None:
    before = trips.read_bytes()
    assert "--messages N or --checkpoint ID" in fails(2, "rewind", trips, "oslo-trip")
    both = ["--messages", 1, "--checkpoint", "head"]
    assert "--messages N or --checkpoint ID" in fails(2, "rewind", trips, "oslo-trip", *both)
    assert "add --yes" in fails(2, "rewind", trips, "oslo-trip", "--messages", 2)
    assert "no checkpoint" in fails(1, "rewind", trips, "both", "--checkpoint", "x", "--yes")
    assert trips.read_bytes() == before


def test_a_subgraphs_checkpoint_is_no_place_to_go_back_to(migrated: Any) -> None:
    path = migrated[1]
    nodes = told("tree", path, "inherited/done")["checkpoints"]
    inner = next(node for node in nodes if node["namespace"])
    line = fails(1, "rewind", path, "inherited/done", "--checkpoint", inner["id"], "--yes")
    assert "is a subgraph's" in line
    assert inner["within"] in line


# ── tag and rename ────────────────────────────────────────────────────────────────────────────
def test_tag_and_untag(trips: Path) -> None:
    assert Result("tag", trips, "oslo-trip", "cold", "travel").out == "travel\n2026\ncold\n"
    assert Result("untag", trips, "oslo-trip", "2026", "never").out == "travel\ncold\n"
    assert told("untag", trips, "oslo-trip", "travel", "cold")["session"]["tags"] == []
    assert Result("untag", trips, "oslo-trip", "x").out == ""
    assert "Missing argument 'TAG" in fails(2, "tag", trips, "oslo-trip")
    assert "tag" in fails(1, "tag", trips, "oslo-trip", "")


def test_rename(trips: Path) -> None:
    assert Result("rename", trips, "waiting", "A name ☂").out == 'waiting is called "A name ☂"\n'
    assert told("rename", trips, "waiting", "")["session"]["name"] == ""
    assert "Missing argument 'NAME'" in fails(2, "rename", trips, "waiting")


# ── delete ────────────────────────────────────────────────────────────────────────────────────
def test_delete_by_ids(trips: Path) -> None:
    assert "add --yes" in fails(2, "delete", trips, "chat")
    assert len(ids(trips)) == 5
    assert rows("delete", trips, "chat", "waiting", "chat", "--yes") == [
        ["chat", "Only a chat\N{REPLACEMENT CHARACTER}[31m"],
        ["waiting", ""],
    ]
    assert ids(trips) == ["oslo-trip", "broken", "both"]
    assert "no session 'waiting'" in fails(1, "delete", trips, "both", "waiting", "--yes")
    assert "both" in ids(trips), "nothing goes where one of several is not there"
    assert told("delete", trips, "both", "--yes") == {
        "store": str(trips), "deleted": ["both"], "spared": [], "dry_run": False,
    }  # fmt: skip
    with SessionManager(f"sqlite:///{trips}") as sessions:
        assert sessions.get_session("both") is None
        assert sessions.messages("both") == []


def test_delete_by_filters(trips: Path) -> None:
    result = Result("delete", trips, "--owner", "bo", "--dry-run")
    assert [row[0] for row in result.rows] == ["waiting", "broken"]
    assert result.err == "Dry run, nothing was deleted: it would be 2 sessions\n"
    assert len(ids(trips)) == 5
    assert told("delete", trips, "--older-than", "1d", "--yes")["deleted"] == []
    assert told("delete", trips, "--status", "error", "--yes")["deleted"] == ["broken"]
    with SessionManager(f"sqlite:///{trips}") as sessions, sessions.turn("chat"):
        assert told("delete", trips, "--older-than", "0.001s", "--dry-run")["deleted"] == [
            "oslo-trip", "waiting", "both",
        ]  # fmt: skip
    assert told("delete", trips, "--older-than", "0.001s", "--tag", "travel", "-y")["deleted"] == [
        "oslo-trip"
    ]
    assert "ids or filters" in fails(2, "delete", trips)
    assert "ids or filters" in fails(2, "delete", trips, "chat", "--owner", "bo")


def test_what_changes_after_the_question_is_spared(trips: Path, monkeypatch: Any) -> None:
    asked: list[str] = []

    def ask(question: str, *, yes: bool) -> None:
        asked.append(question)
        with SessionManager(f"sqlite:///{trips}") as sessions:
            sessions.rename_session("broken", "Still needed")

    monkeypatch.setattr("threadloom.cli.changing.ask", ask)
    result = Result("delete", trips, "--owner", "bo")
    assert asked == ["Delete 2 sessions with 2 messages? It cannot be undone."]
    assert (result.code, result.rows) == (1, [["waiting", ""]])
    assert result.err == "threadloom: broken was spared: it changed or went away meanwhile\n"
    assert "broken" in ids(trips)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("1.5 H", timedelta(minutes=90)),
        ("90m", timedelta(minutes=90)),
        ("2w", timedelta(days=14)),
        ("45s", timedelta(seconds=45)),
    ],
)
def test_ages(text: str, found: timedelta) -> None:
    assert age(text) == found


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "0d", "1d2h", "9" * 30 + "d"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no age"):
        age(text)


# ── prune ─────────────────────────────────────────────────────────────────────────────────────
def test_prune(trips: Path) -> None:
    result = Result("prune", trips, "--keep-last", 2, "--dry-run")
    assert [row[:2] for row in result.rows] == [["oslo-trip", "11"], ["both", "1"]]
    assert "nothing was removed: it would be 12 checkpoints of 2 sessions" in result.err
    assert "add --yes" in fails(2, "prune", trips, "--keep-last", 2)
    assert len(rows("tree", trips, "oslo-trip")) == 13
    shown = Result("show", trips, "oslo-trip", "--state").out.split("\n\n", 1)[1]
    assert rows("prune", trips, "both", "--keep-last", 2, "--yes")[0][:2] == ["both", "1"]
    report = told("prune", trips, "--keep-last", 2, "--older-than", "0.001s", "--yes")
    assert (report["sessions"], report["checkpoints"]) == (["oslo-trip"], 11)
    assert report["bytes"] > 1000
    assert Result("show", trips, "oslo-trip", "--state").out.split("\n\n", 1)[1] == shown
    assert rows("prune", trips, "--keep-last", 2) == [], "where nothing goes nobody is asked"
    assert "--keep-last N, --older-than AGE" in fails(2, "prune", trips)
    assert "--keep-last" in fails(2, "prune", trips, "--keep-last", 0)


# ── check ─────────────────────────────────────────────────────────────────────────────────────
def test_check(trips: Path) -> None:
    assert rows("check", trips) == []
    assert rows("check", trips, "oslo-trip", "--fix") == []
    assert told("check", trips) == {
        "store": str(trips), "ok": True, "sessions": 5, "problems": [],
    }  # fmt: skip
    with closing(sqlite3.connect(trips)) as connection, connection:
        wrong = "json_set(CAST(doc AS TEXT), '$.history_messages', 7)"
        changed = connection.execute(f"UPDATE rec SET doc = {wrong} WHERE key = 'chat'").rowcount
        assert changed == 1
    result = Result("check", trips)
    assert (result.code, result.err) == (1, "")
    assert [row[:3] for row in result.rows] == [["chat", "counts", ""]]
    assert "add --yes" in fails(2, "check", trips, "--fix")
    assert rows("check", trips, "chat", "--fix", "--yes")[0][:3] == ["chat", "counts", "fixed"]
    assert told("check", trips)["ok"]
