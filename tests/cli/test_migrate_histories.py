"""Chat histories of LangChain's classes are there after the migration, in files of all sorts."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, message_to_dict
from langgraph.checkpoint.sqlite import SqliteSaver

from threadloom import (
    InvalidKey,
    Keyring,
    SessionManager,
    SessionNotFound,
    StoreUnavailable,
    open_store,
)
from threadloom.migrate import (
    MigrationReport,
    Progress,
    appending,
    migrate_histories,
    migrate_langgraph,
)

from . import talks, threads
from .running import Result, fails
from .steps import counted
from .talks import EVERY, add, add_to_file, same, turns, untouched

LONG = 450
CHANGED = 1_790_000_000
"""When the sources were changed last."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three sessions, which talked one after the other; nobody may write to it."""
    path = tmp_path_factory.mktemp("made") / "chat.db"
    add(path, "long", turns(LONG - 2))
    add(path, "every", EVERY)
    add(path, "ana/1", turns(3))
    add(path, "long", turns(2))
    os.utime(path, (CHANGED, CHANGED))
    return path


@pytest.fixture
def old(made: Path, tmp_path: Path) -> Path:
    path = tmp_path / "old" / "chat.db"
    path.parent.mkdir()
    return shutil.copy2(made, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two sessions."""
    path = tmp_path / "chats"
    path.mkdir()
    add_to_file(path / "every.json", EVERY)
    add_to_file(path / "a b.json", turns(5))
    (path / "notes.txt").write_text("no history")
    for number, name in enumerate(("every", "a b")):
        os.utime(path / f"{name}.json", (CHANGED + number, CHANGED + number))
    return path


@pytest.fixture
def sessions() -> Iterator[SessionManager]:
    with SessionManager("memory://") as manager:
        yield manager


def outcomes(report: MigrationReport) -> dict[str, str]:
    return {history.id: history.outcome for history in report.threads}


def written(path: Path, session: str) -> list[Any]:
    with talks.sql(path, session) as history:
        return history.messages


THREE = ("long", "every", "ana/1")


def complete(old: Path, sessions: SessionManager, *ids: str) -> None:
    """All of the sessions are there, and nothing twice."""
    assert {info.id for info in sessions.list_sessions()} == set(ids or THREE)
    for id in ids or THREE:
        same(sessions.memory(id).load(), written(old, id))


def execute(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()


# ── Equal ─────────────────────────────────────────────────────────────────────────────────────
def test_every_message_is_as_langchain_reads_it(old: Path, new: Path) -> None:
    with untouched(old):
        report = migrate_histories(old, f"sqlite:///{new}")
    assert outcomes(report) == {"every": "migrated", "ana/1": "migrated", "long": "migrated"}
    assert [history.messages for history in report.threads] == [len(EVERY), 3, LONG]
    assert not any(history.notes for history in report.threads)
    with SessionManager(f"sqlite:///{new}") as manager:
        same(manager.memory("every").load(), EVERY)
        complete(old, manager)
        info = manager.get_session("every")
        assert info is not None
        assert info.message_count == len(EVERY)
        assert (
            info.metadata["migrated_from"].items()
            >= {
                "source": "langchain-sqlite",
                "file": "chat.db",
                "table": "message_store",
                "complete": True,
            }.items()
        )


def test_ids_are_those_of_the_rows(old: Path, sessions: SessionManager) -> None:
    migrate_histories(old, sessions)
    assert [message.id for message in sessions.memory("ana/1").load()] == [
        f"message_store-{LONG - 2 + len(EVERY) + number}" for number in (1, 2, 3)
    ]


def test_a_message_that_is_there_twice_stays_there_twice(
    tmp_path: Path, sessions: SessionManager
) -> None:
    path = tmp_path / "chat.db"
    said = [HumanMessage("a", id="x"), HumanMessage("b", id="x"), AIMessage("c")]
    add(path, "s", [*said, HumanMessage("d", id="message_store-3")])
    report = migrate_histories(path, sessions)
    assert [message.content for message in sessions.memory("s").load()] == ["a", "b", "c", "d"]
    assert report.threads[0].notes == (
        "messages that had the id of one before them got another: 2",
    )
    assert outcomes(migrate_histories(path, sessions)) == {"s": "skipped"}


def test_sessions_stay_in_the_order_of_their_last_message(old: Path, new: Path) -> None:
    migrate_histories(old, f"sqlite:///{new}")
    with SessionManager(f"sqlite:///{new}") as manager:
        listed = manager.list_sessions(order_by="updated_at")
        assert [info.id for info in listed] == ["long", "ana/1", "every"]
        at = datetime.fromtimestamp(CHANGED, UTC)
        assert [at - info.updated_at for info in listed] == [
            timedelta(microseconds=number) for number in range(3)
        ]
        stamped = manager.memory("long").load_with_timestamps()
        assert {message.created_at for message in stamped} == {at}


def test_a_column_of_times_is_heeded(tmp_path: Path, new: Path) -> None:
    path = tmp_path / "chat.db"
    add(path, "s", turns(3))
    execute(path, "ALTER TABLE message_store ADD COLUMN created_at DATETIME")
    execute(path, "UPDATE message_store SET created_at = '2026-01-02 03:04:05.000006' WHERE id = 2")
    assert migrate_histories(path, f"sqlite:///{new}").complete
    with SessionManager(f"sqlite:///{new}") as manager:
        stamped = manager.memory("s").load_with_timestamps()
        at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        assert {message.created_at for message in stamped} == {at}


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_times_that_utc_does_not_have_are_none(tmp_path: Path, new: Path, at: str) -> None:
    path = tmp_path / "timed.db"
    execute(path, "CREATE TABLE message_store (id INTEGER, session_id, message, created_at)")
    for number, when in enumerate(("2026-01-05T00:00:00+00:00", at)):
        execute(
            path,
            "INSERT INTO message_store VALUES (?, 'a', ?, ?)",
            *(number, json.dumps(message_to_dict(HumanMessage("there?"))), when),
        )
    assert migrate_histories(path, f"sqlite:///{new}").complete
    with SessionManager(f"sqlite:///{new}") as sessions:
        [info] = sessions.list_sessions()
        assert (info.message_count, info.created_at.year) == (2, 2026)


def test_a_file_that_is_written_to_all_the_time_comes_over(
    old: Path, sessions: SessionManager
) -> None:
    """Without a log beside it, as SQLAlchemy leaves its files: between histories others write."""
    with closing(sqlite3.connect(old)) as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("delete",)

        def write(_: Any) -> None:
            row = json.dumps(message_to_dict(HumanMessage("meanwhile")))
            writer.execute(
                "INSERT INTO message_store (session_id, message) VALUES ('late', ?)", (row,)
            )
            writer.commit()

        report = migrate_histories(old, sessions, progress=write)
    assert report.complete
    assert migrate_histories(old, sessions).complete
    assert "late" in {info.id for info in sessions.list_sessions()}


def test_files_of_json(folder: Path, new: Path) -> None:
    with untouched(folder):
        report = migrate_histories(folder, f"sqlite:///{new}")
    assert outcomes(report) == {"every": "migrated", "a b": "migrated"}
    with SessionManager(f"sqlite:///{new}") as manager:
        same(manager.memory("every").load(), EVERY)
        found = manager.memory("a b").load_with_timestamps()
        assert [message.message.id for message in found][:2] == ["a b-1", "a b-2"]
        assert found[0].created_at == datetime.fromtimestamp(CHANGED + 1, UTC)
    add_to_file(folder / "a b.json", turns(1))
    with SessionManager(f"sqlite:///{new}") as manager:
        again = migrate_histories(folder / "a b.json", manager)
        assert (outcomes(again), again.threads[0].messages) == ({"a b": "updated"}, 1)
        same(manager.memory("a b").load(), [*turns(5), *turns(1)])


def test_older_forms_load_as_langchain_loads_them(tmp_path: Path, sessions: SessionManager) -> None:
    (tmp_path / "s.json").write_text(
        '[{"type": "human", "data": {"content": "a"}},'
        ' {"type": "ai", "data": {"content": "b", "additional_kwargs": {}, "example": false}}]'
    )
    assert migrate_histories(tmp_path / "s.json", sessions).complete
    same(sessions.memory("s").load(), [HumanMessage("a"), AIMessage("b", example=False)])


def test_a_file_may_be_called_anything(tmp_path: Path, sessions: SessionManager) -> None:
    add_to_file(tmp_path / "chat.history", [HumanMessage("\ud83d alone")])
    assert migrate_histories(tmp_path / "chat.history", sessions).complete
    same(sessions.memory("chat.history").load(), [HumanMessage("\ud83d alone")])


def test_search_and_the_index_know_them(old: Path, sessions: SessionManager) -> None:
    migrate_histories(old, sessions)
    assert [match.session.id for match in sessions.search_sessions("Blåbær")] == ["every"]


# ── Again ─────────────────────────────────────────────────────────────────────────────────────
def test_a_second_time_skips_and_then_only_what_is_new_comes(
    old: Path, sessions: SessionManager
) -> None:
    migrate_histories(old, sessions)
    versions = {info.id: info.version for info in sessions.list_sessions()}
    assert set(outcomes(migrate_histories(old, sessions)).values()) == {"skipped"}
    assert {info.id: info.version for info in sessions.list_sessions()} == versions
    add(old, "every", EVERY)
    add(old, "newcomer", turns(1))
    report = migrate_histories(old, sessions, sessions=["every", "ana/1", "newcomer"])
    assert outcomes(report) == {"every": "updated", "ana/1": "skipped", "newcomer": "migrated"}
    assert report.threads[0].messages == len(EVERY)
    assert len(sessions.memory("every").load()) == 2 * len(EVERY)


def test_what_went_on_in_both_places_is_left_alone(old: Path, sessions: SessionManager) -> None:
    migrate_histories(old, sessions)
    sessions.memory("every").add_user_message("here")
    graph = threads.chat().compile(checkpointer=sessions.checkpointer())
    threads.turns(graph, "ana/1", 1)
    sessions.rewind_session("long", messages=7)
    assert set(outcomes(migrate_histories(old, sessions)).values()) == {"skipped"}
    before = {info.id: info.version for info in sessions.list_sessions()}
    for id in before:
        add(old, id, turns(1))
    report = migrate_histories(old, sessions)
    assert set(outcomes(report).values()) == {"refused"}
    assert not report.complete
    assert all("in the target since" in history.reason for history in report.threads)
    assert {info.id: info.version for info in sessions.list_sessions()} == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM message_store WHERE session_id = 'every' AND id % 2",
        "UPDATE message_store SET message = replace(message, 'North', 'South')",
    ],
)
def test_what_was_changed_in_the_source_is_refused(
    statement: str, old: Path, sessions: SessionManager
) -> None:
    migrate_histories(old, sessions)
    before = sessions.memory("every").load()
    execute(old, statement)
    report = migrate_histories(old, sessions)
    assert outcomes(report) == {"every": "refused", "ana/1": "skipped", "long": "skipped"}
    assert "in the source since" in report.threads[0].reason
    assert sessions.memory("every").load() == before


def test_other_sessions_of_the_same_id_are_left_alone(old: Path, sessions: SessionManager) -> None:
    sessions.memory("every").add_user_message("mine")
    sessions.create_session(id="ana/1", name="Prepared")
    report = migrate_histories(old, sessions)
    assert outcomes(report) == {"every": "refused", "ana/1": "migrated", "long": "migrated"}
    assert "other content" in report.threads[0].reason
    assert len(sessions.memory("every").load()) == 1
    prepared = sessions.get_session("ana/1")
    assert prepared is not None
    assert prepared.name == "Prepared"


class Interrupted(BaseException):
    pass


def test_cut_short_at_any_step_it_completes(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise Interrupted

    execute(old, "DELETE FROM message_store WHERE session_id = 'long'")
    monkeypatch.setattr(appending, "_BATCH", 2)
    left = counted(monkeypatch, stop)
    for step in range(1, 100):
        with SessionManager("memory://") as manager:
            left[0] = step
            try:
                migrate_histories(old, manager)
                break
            except Interrupted:
                assert migrate_histories(old, manager).complete
                complete(old, manager, "every", "ana/1")
    assert 20 < step < 99


KILLED = """
import os, signal, sys
from cli.steps import counted
import pytest
import threadloom.cli

left = counted(pytest.MonkeyPatch(), lambda: os.kill(os.getpid(), signal.SIGKILL))
left[0] = int(sys.argv.pop(1))
threadloom.cli.main()
"""


def test_killed_again_and_again_it_completes_without_doubling(old: Path, new: Path) -> None:
    for step, code in ((16, -9), (4, -9), (99, 0)):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(step), "migrate", str(old), str(new)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        if step == 16:  # the first of three batches of the last session
            with SessionManager(f"sqlite:///{new}") as manager:
                assert 0 < len(manager.memory("long").load()) < LONG
            add(old, "long", turns(2))
    with SessionManager(f"sqlite:///{new}") as manager:
        complete(old, manager)


DEEP = json.dumps(
    {
        "type": "human",
        "data": {"content": "x", "additional_kwargs": {"a": json.loads("[" * 300 + "]" * 300)}},
    }
)


# ── Damage ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        (None, "is empty"),
        ("[1]", "has no type and data"),
        ('{"type": "human", "content": "x"}', "has no type and data"),
        ('{"type": "alien", "data": {"content": "x"}}', "alien"),
        ('{"type": "ai", "data": {}}', "content"),
        ('{"type": "tool", "data": {"content": "x"}}', "tool_call_id"),
        (b"\xff\xfe\x00", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        (DEEP, "cannot be stored"),
    ],
)
def test_a_damaged_row_fails_its_session_alone(
    text: str | bytes | None, said: str, old: Path, sessions: SessionManager
) -> None:
    row = LONG - 2 + 3
    execute(old, "UPDATE message_store SET message = ? WHERE id = ?", text, row)
    with untouched(old):
        report = migrate_histories(old, sessions)
    assert outcomes(report) == {"every": "failed", "ana/1": "migrated", "long": "migrated"}
    reason = report.threads[0].reason
    assert reason.startswith(f"row {row} ")
    assert said in reason
    assert sessions.get_session("every") is None
    assert "\n" not in reason
    shown = migrate_histories(old, None, dry_run=True)
    assert outcomes(shown)["every"] == "failed"


def test_rows_without_a_session_are_not_passed_over(old: Path, sessions: SessionManager) -> None:
    add(old, None, turns(2))  # type: ignore[arg-type]
    report = migrate_histories(old, sessions)
    assert outcomes(report)[""] == "failed"
    assert "must not be empty" in report.threads[-1].reason


def test_damaged_files_fail_alone(folder: Path, sessions: SessionManager) -> None:
    (folder / "torn.json").write_text('[{"type": "human", "da')
    (folder / "other.json").write_text('{"no": "list"}')
    (folder / "begun.json").touch()
    (folder / "empty.json").write_text("[]")
    report = migrate_histories(folder, sessions)
    failed = {history.id: history.reason for history in report.threads if history.reason}
    assert failed.keys() == {"torn", "other", "begun"}
    assert "no list of messages" in failed["other"]
    assert outcomes(report)["empty"] == "migrated"
    assert sessions.messages("empty") == []


# ── What is open, and what stands beside it ───────────────────────────────────────────────────
def test_a_live_process_is_no_trouble(old: Path, sessions: SessionManager) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM message_store WHERE session_id <> 'every'")
        connection.commit()
        assert old.with_name("chat.db-wal").stat().st_size > 0
        kept = {end: old.with_name(f"chat.db{end}").read_bytes() for end in ("", "-wal")}
        assert outcomes(migrate_histories(old, sessions)) == {"every": "migrated"}
        assert {end: old.with_name(f"chat.db{end}").read_bytes() for end in kept} == kept


def test_a_log_that_nobody_has_open_is_read_and_left(
    old: Path, tmp_path: Path, sessions: SessionManager
) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM message_store WHERE session_id <> 'every'")
        connection.commit()
        for end in ("", "-wal"):
            shutil.copy2(old.with_name(f"chat.db{end}"), saved)
    with untouched(saved / "chat.db"):
        assert outcomes(migrate_histories(saved / "chat.db", sessions)) == {"every": "migrated"}


# ── Which table ───────────────────────────────────────────────────────────────────────────────
def test_of_several_tables_one_is_named(old: Path, new: Path, sessions: SessionManager) -> None:
    add(old, "other", turns(2), table_name='odd "name"')
    with pytest.raises(InvalidKey, match=r"several .*message_store, odd \"name\".*--table"):
        migrate_histories(old, sessions)
    with pytest.raises(InvalidKey, match="no table 'nothing'"):
        migrate_histories(old, sessions, table="nothing")
    assert outcomes(migrate_histories(old, sessions, table='odd "name"')) == {"other": "migrated"}
    add(old, "other", turns(2))
    report = migrate_histories(old, sessions, table="message_store", sessions=["other"])
    assert "from elsewhere (langchain-sqlite chat.db odd" in report.threads[0].reason
    assert "--table NAME" in fails(1, "migrate", old, new)
    assert "no table 'nothing'" in fails(1, "migrate", old, new, "--table", "nothing")


def test_beside_checkpoints_histories_come_when_they_are_named(old: Path, new: Path) -> None:
    with closing(sqlite3.connect(old, check_same_thread=False)) as connection:
        graph = threads.chat().compile(checkpointer=SqliteSaver(connection))
        threads.turns(graph, "every", 1)
        threads.turns(graph, "thread", 1)
    result = Result("migrate", old, new)
    assert {row[0] for row in result.rows} == {"every", "thread"}
    assert f"threadloom migrate {old} {new} --table message_store" in result.err
    assert Result("migrate", old, new, "--json").document["histories_left"] == ["message_store"]
    result = Result("migrate", old, new, "--table", "message_store")
    assert {row[0]: row[1] for row in result.rows} == {
        "every": "refused",
        "ana/1": "migrated",
        "long": "migrated",
    }
    assert "langgraph-sqlite" in result.err
    other = new.with_name("other.db")
    assert Result("migrate", old, other, "--table", "message_store").code == 0
    report = migrate_langgraph(old, f"sqlite:///{other}")
    assert outcomes(report) == {"every": "refused", "thread": "migrated"}


# ── The command line, and arguments ───────────────────────────────────────────────────────────
def test_from_the_command_line(old: Path, new: Path, folder: Path) -> None:
    tried = Result("migrate", old, new, "--dry-run")
    assert [row[:3] for row in tried.rows] == [
        ["every", "to be migrated", str(len(EVERY))],
        ["ana/1", "to be migrated", "3"],
        ["long", "to be migrated", str(LONG)],
    ]
    assert "nothing was stored" in tried.err
    assert not new.exists()
    with untouched(old):
        done = Result("migrate", old, new, "--thread", "every", "--tenant", "acme")
    assert (done.code, done.err) == (0, "")
    assert [row[:3] for row in done.rows] == [["every", "migrated", str(len(EVERY))]]
    document = Result("migrate", folder, f"sqlite:///{new}", "--json").document
    assert [history["messages"] for history in document["threads"]] == [len(EVERY), 5]
    execute(old, "UPDATE message_store SET message = '{' WHERE id = 1")
    failed = Result("migrate", old, new)
    assert failed.code == 1
    assert "threadloom: session long failed: row 1 is no JSON" in failed.err
    assert "session every refused" in failed.err  # that of the folder


def test_an_encrypted_store_gets_them(old: Path, new: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "keys.json"
    key_file.write_text(json.dumps({"keys": {"k1": bytes(range(32)).hex()}}))
    assert Result("migrate", old, new, "--thread", "every", "--key-file", key_file).code == 0
    texts = [str(message.content) for message in EVERY if len(str(message.content)) > 20]
    assert texts
    assert not [text for text in texts if text.encode() in new.read_bytes()]
    assert "is encrypted: --key-file FILE" in fails(1, "migrate", old, new)
    beside = tmp_path / "beside.db"
    for given in ((), ("--key-file", key_file)):
        line = fails(1, "migrate", new, beside, *given)
        assert "is a store of Threadloom already" in line
    sizes = [
        Result("migrate", old, beside, "--dry-run", "--json", *given).document["bytes_after"]
        for given in ((), ("--key-file", key_file))
    ]
    assert sizes[0] < sizes[1]
    keys = Keyring({"k1": bytes(range(32))})
    with SessionManager(f"sqlite:///{new}", encryption=keys) as sessions:
        complete(old, sessions, "every")
    report = migrate_histories(old, f"sqlite:///{new}", encryption=keys)
    assert outcomes(report)["every"] == "skipped"


def test_a_dry_run_tells_what_would_become_of_each(old: Path, new: Path) -> None:
    report = migrate_histories(old, None, dry_run=True)
    assert migrate_histories(old, f"sqlite:///{new}").complete
    assert report.bytes_after == pytest.approx(new.stat().st_size, rel=0.1)
    with SessionManager(f"sqlite:///{new}") as manager:
        manager.memory("every").add_user_message("here")
        for id in ("every", "ana/1"):
            add(old, id, turns(1))
        found = outcomes(migrate_histories(old, manager, dry_run=True))
        assert found == {"every": "refused", "ana/1": "updated", "long": "skipped"}
        assert len(manager.memory("ana/1").load()) == 3


def test_progress_ends_at_all_of_it(old: Path, sessions: SessionManager) -> None:
    steps: list[Progress] = []
    migrate_histories(old, sessions, progress=steps.append)
    assert [step.bytes_done for step in steps] == sorted(step.bytes_done for step in steps)
    assert steps[-1][1:] == (3, 3, steps[-1].bytes, steps[-1].bytes)
    assert len(steps) > 5


def test_a_tenant_gets_them(old: Path, new: Path) -> None:
    with open_store(f"sqlite:///{new}") as store:
        assert migrate_histories(old, store, tenant="acme").complete
        assert SessionManager(store).count_sessions() == 0
        complete(old, SessionManager(store, tenant="acme"))


def test_what_makes_no_sense_says_so(
    old: Path, folder: Path, new: Path, sessions: SessionManager
) -> None:
    with pytest.raises(SessionNotFound, match="no session 'nobody'"):
        migrate_histories(old, sessions, sessions=["nobody"])
    with pytest.raises(InvalidKey, match="list of ids"):
        migrate_histories(old, sessions, sessions="every")
    with pytest.raises(InvalidKey, match="without a store"):
        migrate_histories(old, None)
    with pytest.raises(InvalidKey, match="no table to choose"):
        migrate_histories(folder, sessions, table="message_store")
    bare = old.with_name("bare.db")
    execute(bare, "CREATE TABLE message_store (id INTEGER, session_id TEXT, content TEXT)")
    with pytest.raises(StoreUnavailable, match="no table has the columns id, message, session_id"):
        migrate_histories(bare, sessions)
    assert "no checkpoints of LangGraph's SqliteSaver, and no table" in fails(
        1, "migrate", bare, new
    )
    assert "no table has the columns" in fails(1, "migrate", bare, new, "--table", "x")
    assert "--table is empty" in fails(2, "migrate", old, new, "--table", "")
    (old.parent / "sub").mkdir()
    assert "is a folder without chat histories" in fails(1, "migrate", old.parent / "sub", new)
    (text := old.with_name("text")).write_text('{"a": 1}')
    assert "is not an SQLite database" in fails(1, "migrate", text, new)
    assert "same file" in fails(2, "migrate", folder / "a b.json", folder / "a b.json")
    assert not new.exists()


def test_nothing_of_langchains_packages_is_needed(old: Path, new: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('langchain_community', 'sqlalchemy', 'langchain'): sys.modules[name] = None\n"
        "import threadloom.cli; threadloom.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "migrate", str(old), str(new), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["threads"]) == 3
