"""Every command, with good input and with bad."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from threadloom import SessionManager, __version__
from threadloom.cli import output, places
from threadloom.cli.app import app
from threadloom.cli.group import Fault

from . import shapes, threads
from .running import Result, fails
from .threads import ALL


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.db"
    with SessionManager(f"sqlite:///{path}") as sessions:
        sessions.create_session(id="1", name="Oslo\x1b[31m\ttrip", owner="ana", tags=["a", "b"])
        sessions.create_session(id="2", name="Bergen", owner="bo", agent_name="guide")
        sessions.create_session(id="3")
        sessions.memory("3").add_user_message("hello")
        SessionManager(sessions.checkpointer().store, tenant="acme").create_session(id="theirs")
    return path


# ── The frame ─────────────────────────────────────────────────────────────────────────────────
def test_version() -> None:
    assert Result("--version").out == f"threadloom {__version__}\n"


def test_help_names_every_command_and_option() -> None:
    assert Result().code == 2
    text = " ".join(Result("--help").out.split())
    assert all(name in text for name in ("list", "stats", "migrate", "exit code"))
    assert "--order-by" in Result("list", "-h").out
    assert "--dry-run" in Result("migrate", "--help").out
    assert "STORE" in Result("stats", "--help").out


@pytest.mark.parametrize("command", ["list", "stats"])
@pytest.mark.usefixtures("no_adapters")
def test_what_is_no_store(command: str, tmp_path: Path) -> None:
    empty, text, foreign, blank = (
        tmp_path / name for name in ("empty", "text", "foreign", "blank")
    )
    empty.touch()
    text.write_text("a text that is longer than the header of a database would be. " * 20)
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with closing(sqlite3.connect(blank)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("DROP TABLE t")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for said, given in {
        "does not exist": tmp_path / "missing.db",
        "no such place does not exist": "no such place",
        "is a folder": tmp_path,
        "is empty": empty,
        "is not an SQLite database": text,
        "another program": foreign,
        "is empty: nothing": blank,
        "sqlite:///relative.db": "sqlite://host/x.db",
        "unknown option": f"sqlite:///{foreign}?colour=red",
        "nothing installed knows": "ftp://host/x",
        "pip install": "postgresql://host/x",
    }.items():
        assert said in fails(1, command, given), given
    assert "memory:// is private" in fails(2, command, "memory://")
    assert "STORE is empty" in fails(2, command, " ")
    assert "NUL" in fails(2, command, "a\0b")
    assert "Missing argument 'STORE'" in fails(2, command)
    assert "No such option" in fails(2, command, foreign, "--colour")
    assert "does not exist" in fails(1, command, f"sqlite:///{tmp_path}/missing.db")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_path_may_have_any_name(store: Path, tmp_path: Path, monkeypatch: Any) -> None:
    odd = tmp_path / "100% a?b#c &d.db"
    shutil.copyfile(store, odd)
    assert len(Result("list", odd).rows) == 3
    monkeypatch.chdir(tmp_path)
    assert len(Result("list", odd.name).rows) == 3
    assert len(Result("list", f"sqlite:///{store.name}").rows) == 3
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Result("list", "~/sessions.db").rows) == 3


def test_a_file_that_may_not_be_read(store: Path, monkeypatch: Any) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "no permission" in fails(1, "list", store)


# ── list ──────────────────────────────────────────────────────────────────────────────────────
def test_list(store: Path) -> None:
    rows = Result("list", store).rows
    assert [row[:7] for row in rows] == [
        ["1", "Oslo\N{REPLACEMENT CHARACTER}[31m trip", "ana", "a,b", "idle", "0", "0"],
        ["2", "Bergen", "bo", "", "idle", "0", "0"],
        ["3", "", "", "", "idle", "1", "0"],
    ]
    assert all(datetime.fromisoformat(row[7]).tzinfo for row in rows)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--owner", "ana"], ["1"]),
        (["--tag", "a", "--tag", "b"], ["1"]),
        (["--tag", "c"], []),
        (["--agent", "guide"], ["2"]),
        (["--status", "idle"], ["1", "2", "3"]),
        (["--status", "error"], []),
        (["--limit", "2"], ["1", "2"]),
        (["--limit", "0"], []),
        (["--order-by", "updated_at", "--limit", "1"], ["3"]),
        (["--tenant", "acme"], ["theirs"]),
    ],
)
def test_list_with_options(options: list[str], ids: list[str], store: Path) -> None:
    assert [row[0] for row in Result("list", store, *options).rows] == ids
    document = Result("list", store, *options, "--json").document
    assert document["format"] == "threadloom"
    assert [session["id"] for session in document["sessions"]] == ids


def test_list_goes_through_all_pages(tmp_path: Path, monkeypatch: Any) -> None:
    from threadloom.cli import listing

    monkeypatch.setattr(listing, "_PAGE", 3)
    path = tmp_path / "many.db"
    with SessionManager(f"sqlite:///{path}") as sessions:
        for number in range(10):
            sessions.create_session(id=f"{number}")
    assert [row[0] for row in Result("list", path).rows] == list("0123456789")
    assert [row[0] for row in Result("list", path, "--limit", 7).rows] == list("0123456")


def test_list_refuses_what_makes_no_sense(store: Path) -> None:
    assert "--limit" in fails(2, "list", store, "--limit", "-1")
    assert "--limit" in fails(2, "list", store, "--limit", "many")
    assert "--status" in fails(2, "list", store, "--status", "fine")
    assert "--order-by" in fails(2, "list", store, "--order-by", "name")
    assert "tenant" in fails(1, "list", store, "--tenant", "")


def test_list_of_langgraphs_database(made: Path) -> None:
    before = made.read_bytes()
    rows = {row[0]: row for row in Result("list", made).rows}
    assert rows.keys() == ALL.keys()
    assert rows["long"][1] == str(3 * threads.LONG)
    assert rows["long"][3] == str(3 * threads.LONG - 2)
    document = Result("list", made, "--json").document
    assert document["format"] == "langgraph-sqlite"
    found = {thread["id"]: thread for thread in document["threads"]}
    assert found["inherited"]["namespaces"] == 2
    assert all(thread["bytes"] > 100 for thread in found.values())
    newest = [row[0] for row in Result("list", made, "--order-by", "updated_at").rows]
    oldest = [row[0] for row in Result("list", made, "--limit", "1").rows]
    assert newest[0] == "async interrupted"
    assert oldest == ["long"]
    for option in ("--owner", "--tag", "--agent", "--tenant"):
        assert f"knows no {option}" in fails(2, "list", made, option, "x")
    assert "knows no --status" in fails(2, "list", made, "--status", "idle")
    assert made.read_bytes() == before
    assert list(made.parent.iterdir()) == [made]


# ── stats ─────────────────────────────────────────────────────────────────────────────────────
class KindStats(BaseModel):
    kind: str
    records: int
    bytes: int


class StorageStats(BaseModel):
    sessions: int
    records: int
    bytes: int
    file_bytes: int | None
    kinds: tuple[KindStats, ...]


def test_stats(store: Path, monkeypatch: Any) -> None:
    asked = []

    def stats(self: SessionManager, id: str | None = None) -> StorageStats:
        asked.append(id)
        kinds = (KindStats(kind="messages", records=1, bytes=1500),)
        return StorageStats(sessions=3, records=4, bytes=2000, file_bytes=9000, kinds=kinds)

    monkeypatch.setattr(SessionManager, "stats", stats, raising=False)
    assert Result("stats", store).rows == [["messages", "1", "1500"], ["total", "4", "2000"]]
    document = Result("stats", store, "3", "--json").document
    assert (document["sessions"], document["session"], document["file_bytes"]) == (3, "3", 9000)
    assert document["kinds"] == [{"kind": "messages", "records": 1, "bytes": 1500}]
    assert asked == [None, "3"]
    assert "no session 'nobody'" in fails(1, "stats", store, "nobody")


def test_stats_of_a_real_store(store: Path) -> None:
    rows = Result("stats", store).rows
    assert rows[-1][0] == "total"
    assert sum(int(row[2]) for row in rows[:-1]) == int(rows[-1][2]) > 0


def test_stats_of_langgraphs_database(made: Path) -> None:
    before = made.read_bytes()
    rows = Result("stats", made).rows
    assert [row[0] for row in rows[:3]] == ["checkpoints", "writes", "long"]
    assert len(rows) == 2 + len(ALL)
    document = Result("stats", made, "forked", "--json").document
    assert document["file_bytes"] == len(before)
    assert [thread["id"] for thread in document["threads"]] == ["forked"]
    after = document["after_migration"]
    assert after["bytes"] > 10_000
    assert (after["threads_tried"], after["of_all"], after["problems"]) == (1, True, [])
    assert "no thread 'nobody'" in fails(1, "stats", made, "nobody")
    assert "--tenant" in fails(2, "stats", made, "--tenant", "acme")
    assert "--import nowhere" in fails(2, "stats", made, "--import", "nowhere")
    assert Result("stats", made, "--import", "json").rows
    assert made.read_bytes() == before
    assert list(made.parent.iterdir()) == [made]


# ── migrate ───────────────────────────────────────────────────────────────────────────────────
def test_migrate(small: Path, new: Path) -> None:
    result = Result("migrate", small, new)
    assert (result.code, result.err) == (0, "")
    assert {row[0]: row[1] for row in result.rows} == dict.fromkeys(threads.SMALL, "migrated")
    assert len(Result("list", new).rows) == len(threads.SMALL)
    document = Result("migrate", small, f"sqlite:///{new}", "--json").document
    assert {thread["outcome"] for thread in document["threads"]} == {"skipped"}
    assert document["bytes_after"] == new.stat().st_size


def test_migrate_some_for_a_tenant(small: Path, new: Path) -> None:
    options = ["--thread", "own", "--thread", "inherited/done", "--tenant", "acme"]
    result = Result("migrate", small, new, *options)
    assert [row[0] for row in result.rows] == ["own", "inherited/done"]
    assert Result("list", new).rows == []
    assert len(Result("list", new, "--tenant", "acme").rows) == 2


def test_migrate_dry_run(small: Path, new: Path) -> None:
    result = Result("migrate", small, new, "--dry-run")
    assert result.code == 0
    assert {row[1] for row in result.rows} == {"to be migrated"}
    assert not new.exists()
    document = Result("migrate", small, new, "--dry-run", "--json").document
    assert document["dry_run"]
    assert 10_000 < document["bytes_after"] < 5_000_000
    Result("migrate", small, new, "--thread", "own")
    again = Result("migrate", small, new, "--dry-run", "--thread", "own", "--thread", "sync")
    assert [row[:2] for row in again.rows] == [["own", "skipped"], ["sync", "to be migrated"]]
    assert len(Result("list", new).rows) == 1


def test_migrate_with_a_refused_thread(small: Path, new: Path) -> None:
    with SessionManager(f"sqlite:///{new}") as sessions:
        sessions.memory("own").add_user_message("hello")
    for extra in ([], ["--dry-run"]):
        result = Result("migrate", small, new, *extra)
        assert result.code == 1
        assert "threadloom: thread own refused: " in result.err
        assert result.err.count("\n") == (2 if extra else 1)
        assert dict(row[:2] for row in result.rows)["own"] == "refused"
    in_json = Result("migrate", small, new, "--json")
    assert in_json.code == 1
    assert in_json.err == ""
    assert [t["id"] for t in in_json.document["threads"] if t["outcome"] == "refused"] == ["own"]


@pytest.mark.usefixtures("no_adapters")
def test_migrate_refuses_what_makes_no_sense(small: Path, new: Path, store: Path) -> None:
    before = small.read_bytes()
    missing = small.parent / "missing"
    assert "does not exist" in fails(1, "migrate", missing, new)
    assert "is a folder" in fails(1, "migrate", small.parent, new)
    assert "is a store of Threadloom already" in fails(1, "migrate", store, missing)
    for extra in ([], ["--dry-run"]):
        assert "is a folder" in fails(1, "migrate", small, small.parent, *extra)
        assert "no URL" in fails(2, "migrate", small, "sqlite:x.db", *extra)
        assert "durability is" in fails(
            1, "migrate", small, f"sqlite:///{new}?durability=ful", *extra
        )
        assert "mean sqlite://" in fails(1, "migrate", small, f"sqllite:///{new}", *extra)
    assert "NEW is empty" in fails(2, "migrate", small, "")
    assert "is no file" in fails(1, "migrate", "redis://host", new)
    assert "memory://" in fails(2, "migrate", small, "memory://")
    assert "same file" in fails(2, "migrate", small, small)
    assert "does not write into it" in fails(1, "migrate", small, _foreign(small))
    assert "is a folder" in fails(1, "migrate", small, small.parent)
    assert "make it first" in fails(1, "migrate", small, missing / "x.db")
    assert "pip install" in fails(1, "migrate", small, "redis://host")
    assert "no thread 'nobody'" in fails(1, "migrate", small, missing, "--thread", "nobody")
    assert "--thread is empty" in fails(2, "migrate", small, missing, "--thread", "")
    assert "--import nowhere" in fails(2, "migrate", small, missing, "--import", "nowhere")
    assert "Missing argument 'NEW'" in fails(2, "migrate", small)
    assert not missing.exists()
    assert small.read_bytes() == before


def _foreign(path: Path) -> Path:
    other = path.with_name("other.db")
    shutil.copyfile(path, other)
    return other


# ── On a terminal ─────────────────────────────────────────────────────────────────────────────
def test_tables_sizes_and_colours_on_a_terminal(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    columns = [output.Column("id"), output.Column("bytes", right=True), output.Column("state")]
    output.table(columns, [("[red]1", output.Size(1_500_000), "error"), ("2", None, "idle")])
    text = capsys.readouterr().out
    assert "1.5 MB" in text
    assert "[red]1" in text
    assert "\x1b[31merror" in text
    assert "–" in text


def test_progress_shows_on_a_terminal_only(monkeypatch: Any, capsys: Any) -> None:
    from threadloom.migrate import Progress

    with output.progress("Migrating") as show:
        assert show is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with output.progress("Migrating", quiet=True) as show:
        assert show is None
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with output.progress("Migrating") as show:
        assert show is not None
        show(Progress("t", 1, 2, 50, 100))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Migrating 1/2" in captured.err


def test_a_fault_in_the_library_is_no_users_mistake(store: Path, monkeypatch: Any) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(SessionManager, "list_sessions", broken)
    result = CliRunner().invoke(app, ["list", str(store)])
    assert isinstance(result.exception, ZeroDivisionError)


def test_places() -> None:
    assert places.place("a/b.db").path == Path("a/b.db")
    assert places.place("sqlite:////var/x%20y.db?durability=full").path == Path("/var/x y.db")
    assert places.place("postgresql://host/db").path is None
    odd = ("postgresql://u:hu/hush@host/db", "postgresql://u:hu@hush@host/db")
    for url in (
        "postgresql://u:hush@host/db",
        "redis://:hush@host/0",
        "redis://h?password=hush",
        *odd,
    ):
        found = places.place(url)
        assert found.url == url
        assert "hush" not in found.shown
        assert "***" in found.shown
    with pytest.raises(Fault):
        places.place("memory://")


def test_a_folder_of_journals_is_a_store(tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / "my sessions"
    with SessionManager(f"file:///{folder}") as sessions:
        sessions.create_session(id="1")
        sessions.create_session(id="2")
    monkeypatch.chdir(tmp_path)
    for named in (folder, folder.name, f"file:///{folder}", "file:///my%20sessions"):
        assert len(Result("list", named).rows) == 2
        assert Result("stats", named, "--json").document["sessions"] == 2
    assert "is no folder of sessions" in fails(1, "list", "file:///missing")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_imports_are_found_in_the_folder(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "wares_of_this_test.py").write_text("PRICE = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    places.import_modules(["wares_of_this_test", shapes.__name__])
    assert __import__("sys").modules["wares_of_this_test"].PRICE == 3
