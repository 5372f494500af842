"""A user's mistake is a line that says what to do, for every command; nothing is changed by it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from threadloom import SessionManager
from threadloom.cli.app import app

from .running import Result, fails, told

FILE = object()
"""Stands for a file that was exported."""
COMMANDS: dict[str, list[Any]] = {
    "list": [],
    "show": ["oslo-trip"],
    "messages": ["oslo-trip"],
    "tree": ["oslo-trip"],
    "diff": ["oslo-trip", "head~1"],
    "search": ["oslo"],
    "stats": [],
    "fork": ["oslo-trip"],
    "rewind": ["oslo-trip", "--messages", "1", "--yes"],
    "tag": ["oslo-trip", "x"],
    "untag": ["oslo-trip", "x"],
    "rename": ["oslo-trip", "x"],
    "delete": ["oslo-trip", "--yes"],
    "prune": ["--keep-last", "1", "--yes"],
    "check": [],
    "export": ["all.jsonl"],
    "import": [FILE],
    "copy": ["new.db"],
}
MAKES = {"import"}
"""Commands whose store is made where it is missing."""
TAKES_AN_ID = [name for name, given in COMMANDS.items() if "oslo-trip" in given]


@pytest.fixture(scope="module")
def exported(made_trips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "all.jsonl"
    told("export", made_trips, path)
    return path


@pytest.fixture(params=COMMANDS)
def command(
    request: pytest.FixtureRequest, exported: Path, tmp_path: Path, monkeypatch: Any
) -> tuple[str, list[Any]]:
    """A command and what stands behind its STORE; it runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    given = [exported if item is FILE else item for item in COMMANDS[request.param]]
    return request.param, given


def test_every_command_is_here() -> None:
    known = {
        info.name or info.callback.__name__ for info in app.registered_commands if info.callback
    }
    assert known == {*COMMANDS, "migrate"}


@pytest.mark.usefixtures("no_adapters")
def test_what_is_no_store(
    command: tuple[str, list[Any]], tmp_path: Path, made_small: Path, made_trips: Path
) -> None:
    name, given = command
    text, damaged = tmp_path / "text", tmp_path / "damaged.db"
    text.write_text("a text that is longer than the header of a database would be. " * 20)
    content = made_trips.read_bytes()
    damaged.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    cases: dict[str, Any] = {
        "is not an SQLite database": text,
        "pip install": "postgresql://ana:secret@host/x",
        "damaged": damaged,
    }
    if name not in MAKES:
        cases["does not exist"] = tmp_path / "missing.db"
        cases["no folder of sessions"] = f"file:///{tmp_path}/folder"
    if name not in ("list", "stats"):
        cases["To bring it over: threadloom migrate"] = made_small
    for said, store in cases.items():
        line = fails(1, name, store, *given)
        assert said in line or (store == damaged and "malformed" in line), store
        assert "secret" not in line
    assert "memory:// is private" in fails(2, name, "memory://", *given)
    assert "Missing argument 'STORE'" in fails(2, name)
    assert "No such option" in fails(2, name, made_trips, *given, "--colour")
    assert "tenant" in fails(1, name, made_trips, *given, "--tenant", "")
    assert "--key-file nowhere" in fails(1, name, made_trips, *given, "--key-file", "nowhere")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", TAKES_AN_ID)
def test_an_unknown_id_gets_near_ones(name: str, trips: Path) -> None:
    before = trips.read_bytes()
    rest = COMMANDS[name][1:]
    for near, given in {
        "Did you mean oslo-trip?": "olso-trip",
        "Did you mean oslo-trip? ": "oslo",
        "Did you mean chat?": "caht",
        f"To see them: threadloom list {trips}": "0b1c2d3e",
        "Did you mean oslo-trip?  ": "OSLO TRIP",
    }.items():
        line = fails(1, name, trips, given, *rest)
        assert f"has no session {given!r}" in line
        assert near.strip() in line
    assert "no session" in fails(1, name, trips, "theirs", *rest)
    assert "empty" in fails(1, name, trips, "", *rest)
    assert "Missing argument 'ID'" in fails(2, name, trips) or name == "delete"
    assert trips.read_bytes() == before


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with SessionManager(f"sqlite:///{path}"):
        pass
    assert "it has none at all" in fails(1, "show", path, "x")
    assert Result("list", path).out == ""
    assert told("list", path)["sessions"] == []


# ── Damage ────────────────────────────────────────────────────────────────────────────────────
def test_a_damaged_record_is_named_and_what_to_do(trips: Path) -> None:
    with closing(sqlite3.connect(trips)) as connection, connection:
        name = "SELECT id FROM ns WHERE name LIKE '%oslo-trip%' AND name LIKE 'checkpoints%'"
        changed = connection.execute(
            f"UPDATE rec SET blob = X'0102030405' WHERE ns IN ({name}) AND blob IS NOT NULL"
        ).rowcount
        assert changed > 10
    for command in ("show", "messages", "tree", "diff"):
        line = fails(1, command, trips, *COMMANDS[command])
        assert f"To see all that is damaged: threadloom check {trips}" in line
    assert Result("show", trips, "chat").code == 0, "the others stay usable"
    result = Result("check", trips)
    assert result.code == 1
    assert {row[0] for row in result.rows} == {"oslo-trip"}


# ── Rights ────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Run as a user without rights, where this one has all; others lose theirs by `chmod` alone."""
    if os.getuid():
        yield
        return
    nobody = 65534
    os.setresgid(nobody, nobody, 0)
    os.setresuid(nobody, nobody, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    path = Path(mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_store_without_rights(
    name: str, made_trips: Path, exported: Path, open_folder: Path
) -> None:
    store, file = open_folder / "trips.db", open_folder / "all.jsonl"
    shutil.copyfile(made_trips, store)
    shutil.copyfile(exported, file)
    given = [file if item is FILE else item for item in COMMANDS[name]]
    assert Result(name, store, *given, "--help").code == 0  # what it needs is imported by now
    store.chmod(0o000)
    with as_somebody_else():
        line = fails(1, name, store, *given)
    assert "permission" in line or "rights" in line


def test_a_place_that_cannot_be_written(made_trips: Path, open_folder: Path) -> None:
    store, file = open_folder / "trips.db", open_folder / "all.jsonl"
    shutil.copyfile(made_trips, store)
    told("export", store, file)
    for path in (store, file):
        path.chmod(0o444)
    open_folder.chmod(0o555)
    before = store.read_bytes()
    with as_somebody_else():
        for command in (
            ["show", store, "chat"],
            ["tag", store, "chat", "x"],
            ["delete", store, "chat", "--yes"],
            ["export", store, open_folder / "new.jsonl"],
            ["export", store, file, "chat"],
            ["import", open_folder / "new.db", file],
            ["copy", store, open_folder / "new.db"],
        ):
            line = fails(1, *command)
            assert any(word in line for word in ("permission", "rights", "writing")), line
    assert store.read_bytes() == before
    assert sorted(path.name for path in open_folder.iterdir()) == ["all.jsonl", "trips.db"]
