"""What was brought over is what was there."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from threadloom import (
    InvalidKey,
    Keyring,
    SessionManager,
    SessionNotFound,
    StoreCheckpointer,
    StoreUnavailable,
    open_store,
)
from threadloom.errors import CorruptRecord
from threadloom.migrate import MigrationReport, Progress, migrate_langgraph
from threadloom.migrate.decoding import Decoder
from threadloom.migrate.sampling import estimate, sample
from threadloom.migrate.source import LangGraphFile
from threadloom.migrate.target import Target
from threadloom.migrate.transfer import Transfer

from . import shapes, threads
from .threads import ALL, RESUMED, SMALL, config

KEYS = Keyring({"k1": bytes(range(32))})


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def langgraph(path: Path) -> Iterator[SqliteSaver]:
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        yield SqliteSaver(connection)


def stored(saver: Any, thread: str) -> dict[tuple[str, str], CheckpointTuple]:
    """All that a saver has of a thread."""
    found = {}
    for item in saver.list(config(thread)):
        configurable = item.config["configurable"]
        key = (configurable["checkpoint_ns"], configurable["checkpoint_id"])
        assert key not in found
        found[key] = item
    return found


def same(path: Path, sessions: SessionManager, thread: str) -> None:
    """A thread is in a database of LangGraph's as it is among sessions."""
    with langgraph(path) as saver:
        expected = stored(saver, thread)
        assert stored(sessions.checkpointer(), thread) == expected
        assert expected


def outcomes(report: MigrationReport) -> dict[str, str]:
    return {thread.id: thread.outcome for thread in report.threads}


# ── Equal ─────────────────────────────────────────────────────────────────────────────────────
def test_everything_is_brought_over(migrated: tuple[MigrationReport, Path]) -> None:
    report, path = migrated
    assert len(ALL) >= 20
    assert outcomes(report) == {name: "migrated" for name in sorted(ALL)}
    assert report.complete
    assert not any(thread.notes for thread in report.threads)
    print(f"\n{report.bytes_before:,} bytes before, {path.stat().st_size:,} after")


@pytest.mark.parametrize("thread", ALL)
def test_histories_are_equal(thread: str, old: Path, brought: SessionManager) -> None:
    build = ALL[thread][0]
    with langgraph(old) as saver:
        before, after = (
            build().compile(checkpointer=each) for each in (saver, brought.checkpointer())
        )
        expected = list(before.get_state_history(config(thread)))
        assert list(after.get_state_history(config(thread))) == expected
        assert len(expected) > 0
        assert after.get_state(config(thread), subgraphs=True) == before.get_state(
            config(thread), subgraphs=True
        )
    if thread != "long":  # see test_killed_from_outside
        same(old, brought, thread)


@pytest.mark.parametrize("thread", RESUMED)
def test_an_interrupted_run_goes_on_to_its_end(
    thread: str, old: Path, brought: SessionManager
) -> None:
    info = brought.get_session(thread)
    assert info is not None
    assert info.status == "interrupted"
    results = []
    with langgraph(old) as saver:
        for each in (saver, brought.checkpointer()):
            graph = ALL[thread][0]().compile(checkpointer=each)
            asked = 0
            while graph.get_state(config(thread)).next:
                result = graph.invoke(Command(resume=f"answer {asked}"), config(thread))
                asked += 1
            results.append((asked, result, len(list(graph.get_state_history(config(thread))))))
    assert results[0] == results[1]
    assert results[0][0] > 0


def test_a_chat_goes_on(brought: SessionManager) -> None:
    graph = threads.chat().compile(checkpointer=brought.checkpointer())
    threads.turns(graph, "long", 1)
    info = brought.get_session("long")
    assert info is not None
    assert (info.message_count, info.turn_count) == (2 * threads.LONG + 2, threads.LONG + 1)
    assert info.conflicts == 0


def test_the_index_is_filled(old: Path, brought: SessionManager) -> None:
    assert brought.count_sessions() == len(ALL)
    found = {session.id: session for session in brought.list_sessions()}
    assert found["failed"].status == "error"
    assert found["owned"].owner == "ana"
    assert (found["long"].message_count, found["long"].turn_count) == (300, 150)
    assert all(session.conflicts == 0 for session in found.values())
    mark = found["own"].metadata["migrated_from"]
    assert (mark["source"], mark["complete"]) == ("langgraph-sqlite", True)
    with langgraph(old) as saver:
        for name in ("long", "forked", "sync", "exit"):
            times = [
                item.checkpoint["ts"] for (ns, _), item in stored(saver, name).items() if not ns
            ]
            assert found[name].created_at.isoformat() == min(times)
            assert found[name].updated_at.isoformat() == max(times)


def test_messages_have_the_times_of_the_source(brought: SessionManager) -> None:
    info = brought.get_session("long")
    assert info is not None
    messages = brought.messages("long")
    assert [message.content for message in messages[:2]] == ["question 0", "answer 1"]
    assert len(messages) == info.message_count


def test_arrays_survive(tmp_path: Path, new: Path) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12.0).reshape(3, 4)
    path = tmp_path / "arrays.db"
    with langgraph(path) as saver:
        threads.holds(array)().compile(checkpointer=saver).invoke({"count": 0}, config("a"))
    with SessionManager(url(new)) as sessions:
        assert migrate_langgraph(path, sessions).complete
        found = sessions.checkpointer().get_tuple(config("a"))
        assert found is not None
        assert (found.checkpoint["channel_values"]["value"] == array).all()


def test_a_tenant_gets_them(old: Path, new: Path) -> None:
    with open_store(url(new)) as store:
        report = migrate_langgraph(old, store, threads=["sync"], tenant="acme")
        assert outcomes(report) == {"sync": "migrated"}
        assert SessionManager(store).count_sessions() == 0
        same(old, SessionManager(store, tenant="acme"), "sync")


def test_a_manager_serves_as_target(old: Path) -> None:
    with SessionManager("memory://") as sessions:
        assert migrate_langgraph(old, sessions, threads=["forked", "own"]).complete
        same(old, sessions, "forked")
        same(old, sessions, "own")
        with pytest.raises(InvalidKey, match="tenant"):
            migrate_langgraph(old, sessions, tenant="acme")
        with pytest.raises(InvalidKey, match="its keys"):
            migrate_langgraph(old, sessions, encryption=KEYS)


def test_an_encrypted_store_gets_them(old: Path, new: Path) -> None:
    report = migrate_langgraph(old, url(new), threads=["forked"], encryption=KEYS)
    assert outcomes(report) == {"forked": "migrated"}
    again = migrate_langgraph(old, url(new), encryption=KEYS, threads=["forked"])
    assert outcomes(again) == {"forked": "skipped"}
    with SessionManager(url(new), encryption=KEYS) as sessions:
        same(old, sessions, "forked")
    with pytest.raises(StoreUnavailable, match="is encrypted"):
        migrate_langgraph(old, url(new), threads=["own"])


def test_progress_ends_at_all_of_it(old: Path) -> None:
    steps: list[Progress] = []
    with SessionManager("memory://") as sessions:
        migrate_langgraph(old, sessions, threads=["sync", "own"], progress=steps.append)
    assert [step.bytes_done for step in steps] == sorted(step.bytes_done for step in steps)
    assert steps[-1].bytes_done == steps[-1].bytes
    assert (steps[-1].threads_done, steps[-1].threads) == (2, 2)


def test_wrong_arguments(old: Path, tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound, match="no thread 'nobody'"):
        migrate_langgraph(old, "memory://", threads=["nobody"])
    with pytest.raises(InvalidKey, match="list of ids"):
        migrate_langgraph(old, "memory://", threads="sync")
    with pytest.raises(InvalidKey, match="without a store"):
        migrate_langgraph(old, None)
    with pytest.raises(StoreUnavailable, match="does not exist"):
        migrate_langgraph(tmp_path / "nothing.db", "memory://")


# ── Again ─────────────────────────────────────────────────────────────────────────────────────
def test_a_second_time_skips_everything(old: Path, migrated: Any, tmp_path: Path) -> None:
    path = tmp_path / "again.db"
    shutil.copyfile(migrated[1], path)
    report = migrate_langgraph(old, url(path))
    assert set(outcomes(report).values()) == {"skipped"}
    assert report.complete


def test_what_went_on_in_the_source_is_brought_up_to_date(small: Path, new: Path) -> None:
    moved = {"sync", "interrupted", "inherited", "often", "fan"}
    assert migrate_langgraph(small, url(new)).complete
    with langgraph(small) as saver:
        threads.turns(threads.chat().compile(checkpointer=saver), "sync", 2)
        threads.often().compile(checkpointer=saver).invoke({"log": ["w"]}, config("often"))
        for name in ("interrupted", "inherited", "fan"):
            graph = ALL[name][0]().compile(checkpointer=saver)
            graph.invoke(Command(resume="yes"), config(name))
        threads.turns(threads.chat().compile(checkpointer=saver), "newcomer", 1)
    report = migrate_langgraph(small, url(new))
    assert {id for id, outcome in outcomes(report).items() if outcome == "updated"} == moved
    assert outcomes(report)["newcomer"] == "migrated"
    assert set(outcomes(migrate_langgraph(small, url(new))).values()) == {"skipped"}
    with SessionManager(url(new)) as sessions:
        for name in SMALL:
            same(small, sessions, name)
        assert all(session.conflicts == 0 for session in sessions.list_sessions())


def test_writes_that_came_later_to_an_older_checkpoint_come_over(small: Path) -> None:
    with langgraph(small) as saver, SessionManager("memory://") as sessions:
        assert migrate_langgraph(small, sessions, threads=["sync"]).complete
        older = sorted(stored(saver, "sync"))[2][1]
        at = config("sync", checkpoint_ns="", checkpoint_id=older)
        saver.put_writes(at, [("messages", "late")], "another task")
        saver.put_writes(at, [("__resume__", ["yes"])], "another task")
        assert outcomes(migrate_langgraph(small, sessions, threads=["sync"])) == {"sync": "updated"}
        same(small, sessions, "sync")


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("thread", ["fan", "inherited", "often"])
def test_cut_short_at_any_step_it_completes(
    thread: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 0

    def counting(then: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Interrupted
            return then(*arguments)

        return counted

    for name in ("put", "put_writes"):
        monkeypatch.setattr(StoreCheckpointer, name, counting(getattr(StoreCheckpointer, name)))
    for step in range(1, 200):
        with SessionManager("memory://") as sessions:
            left = step
            try:
                migrate_langgraph(small, sessions, threads=[thread])
            except Interrupted:
                left = 0
                assert outcomes(migrate_langgraph(small, sessions, threads=[thread])) == {
                    thread: "migrated"
                }
                same(small, sessions, thread)
            else:
                break
    assert 5 < step < 199


KILLED = """
import os, signal, sys
from threadloom import StoreCheckpointer
from threadloom.migrate import migrate_langgraph
import cli.shapes

left = int(sys.argv[3])
for name in ("put", "put_writes"):
    def counted(self, *args, then=getattr(StoreCheckpointer, name), **options):
        global left
        result = then(self, *args, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(StoreCheckpointer, name, counted)
print(migrate_langgraph(sys.argv[1], "sqlite:///" + sys.argv[2]).complete)
"""
TESTS = Path(__file__).parents[1]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_killed_again_and_again_it_completes_without_doubling(small: Path, new: Path) -> None:
    kills = 0
    while True:
        done = run("-c", KILLED, small, new, 91 + kills, cwd=TESTS)
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
        kills += 1
    assert kills >= 3
    assert done.stdout.strip() == "True"
    with SessionManager(url(new)) as sessions:
        assert sessions.count_sessions() == len(SMALL)
        for name in SMALL:
            same(small, sessions, name)
        assert all(session.conflicts == 0 for session in sessions.list_sessions())


def test_killed_in_the_middle_and_moved_on_since(small: Path, new: Path) -> None:
    done = run("-c", KILLED, small, new, 120, cwd=TESTS)
    assert done.returncode == -9
    with langgraph(small) as saver:
        graph = threads.chat().compile(checkpointer=saver)
        for name in SMALL:
            if ALL[name][0] is threads.chat:
                threads.turns(graph, name, 1)
    assert migrate_langgraph(small, url(new)).complete
    with SessionManager(url(new)) as sessions:
        for name in SMALL:
            same(small, sessions, name)


def test_killed_from_outside(old: Path, new: Path) -> None:
    command = [sys.executable, "-m", "threadloom", "migrate", str(old), str(new)]
    imports = ["--import", shapes.__name__]
    with subprocess.Popen([*command, *imports], cwd=TESTS, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            if (log := new.with_name(new.name + "-wal")).exists() and log.stat().st_size > 500_000:
                break
            time.sleep(0.005)
        process.kill()
    done = run(*command[1:], *imports, cwd=TESTS)
    assert (done.returncode, done.stderr) == (0, "")
    with SessionManager(url(new)) as sessions:
        for name in ALL:
            same(old, sessions, name)


# ── Refused ───────────────────────────────────────────────────────────────────────────────────
def test_a_session_with_other_content_is_left_alone(small: Path, new: Path) -> None:
    with SessionManager(url(new)) as sessions:
        threads.turns(threads.chat().compile(checkpointer=sessions.checkpointer()), "sync", 1)
        sessions.memory("forked").add_user_message("hello")
        sessions.create_session(id="exit", name="Prepared")
        before = {id: stored(sessions.checkpointer(), id) for id in ("sync", "forked")}
        report = migrate_langgraph(small, sessions)
        found = outcomes(report)
        assert {id for id, outcome in found.items() if outcome == "refused"} == {"sync", "forked"}
        assert not report.complete
        assert {id: stored(sessions.checkpointer(), id) for id in before} == before
        same(small, sessions, "exit")
        prepared = sessions.get_session("exit")
        assert prepared is not None
        assert prepared.name == "Prepared"
        reasons = [thread.reason for thread in report.threads if thread.outcome == "refused"]
        assert all("other content" in reason and "\n" not in reason for reason in reasons)


def test_a_session_that_went_on_in_both_places_is_left_alone(old: Path) -> None:
    with SessionManager("memory://") as sessions:
        assert migrate_langgraph(old, sessions, threads=["sync"]).complete
        threads.turns(threads.chat().compile(checkpointer=sessions.checkpointer()), "sync", 1)
        assert outcomes(migrate_langgraph(old, sessions, threads=["sync"])) == {"sync": "skipped"}
        with langgraph(old) as saver:
            threads.turns(threads.chat().compile(checkpointer=saver), "sync", 1)
        report = migrate_langgraph(old, sessions, threads=["sync"])
        assert outcomes(report) == {"sync": "refused"}
        assert "went on in the target" in report.threads[0].reason


# ── Odd sources ───────────────────────────────────────────────────────────────────────────────
def put(saver: SqliteSaver, id: str, parent: str | None, value: str, version: str) -> None:
    checkpoint = {
        **empty_checkpoint(),
        "id": id,
        "channel_values": {"word": value},
        "channel_versions": {"word": version},
    }
    metadata: Any = {"source": "loop", "step": int(version), "parents": {}}
    saver.put(
        config("odd", checkpoint_ns="", **({"checkpoint_id": parent} if parent else {})),
        checkpoint,  # type: ignore[arg-type]
        metadata,
        {"word": version},
    )


def test_a_parent_whose_id_sorts_behind_its_childs(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with langgraph(path) as saver:
        put(saver, "5", None, "a", "1")
        put(saver, "3", "5", "b", "2")
        put(saver, "4", "3", "c", "3")
    with SessionManager("memory://") as sessions:
        report = migrate_langgraph(path, sessions)
        assert outcomes(report) == {"odd": "migrated"}
        assert "clock was set back" in report.threads[0].notes[0]
        same(path, sessions, "odd")
        newest = sessions.checkpointer().get_tuple(config("odd"))
        assert newest is not None
        assert newest.checkpoint["channel_values"] == {"word": "c"}


def test_links_that_lead_nowhere_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with langgraph(path) as saver:
        put(saver, "2", "gone", "a", "1")
        put(saver, "3", "4", "b", "2")
        put(saver, "4", "3", "c", "3")
    with SessionManager("memory://") as sessions:
        report = migrate_langgraph(path, sessions)
        assert outcomes(report) == {"odd": "migrated"}
        assert "were cut, history ends there: 2" in report.threads[0].notes[0]
        found = stored(sessions.checkpointer(), "odd")
        parents = {id: item.parent_config for (_, id), item in found.items()}
        assert parents["2"] is None
        assert parents["3"] is None
        assert parents["4"] is not None


def test_two_values_under_one_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with langgraph(path) as saver:
        put(saver, "1", None, "a", "1")
        put(saver, "2", "1", "b", "2")
        put(saver, "3", "1", "other", "2")
        threads.turns(threads.chat().compile(checkpointer=saver), "even", 1)
    with SessionManager("memory://") as sessions:
        report = migrate_langgraph(path, sessions)
        assert outcomes(report) == {"even": "migrated", "odd": "failed"}
        assert "channel 'word'" in report.threads[1].reason


def test_equal_values_under_one_version_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with langgraph(path) as saver:
        put(saver, "1", None, "a", "1")
        put(saver, "2", "1", "b", "2")
        put(saver, "3", "1", "b", "2")
    with SessionManager("memory://") as sessions:
        assert migrate_langgraph(path, sessions).complete
        same(path, sessions, "odd")


def test_writes_without_their_checkpoint_are_left_out_and_said_so(old: Path) -> None:
    with langgraph(old) as saver:
        saver.put_writes(config("sync", checkpoint_ns="", checkpoint_id="never"), [("a", 1)], "t")
    with SessionManager("memory://") as sessions:
        report = migrate_langgraph(old, sessions, threads=["sync"])
        assert report.threads[0].notes == (
            "pending writes of checkpoints that never came were left out: 1",
        )
        same(old, sessions, "sync")


def test_writes_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    writes: list[tuple[str, Any]] = [("__error__", "e"), ("a", 1), ("__interrupt__", "i"), ("b", 2)]
    with langgraph(path) as saver:
        put(saver, "1", None, "a", "1")
        at = config("odd", checkpoint_ns="", checkpoint_id="1")
        saver.put_writes(at, writes, "task", "path")
        saver.put_writes(at, [("c", 3)], "another", "before")
        with SessionManager("memory://") as sessions:
            assert migrate_langgraph(path, sessions).complete
            same(path, sessions, "odd")
            # What is stored already is not stored again under another number.
            sessions.checkpointer().put_writes(at, writes, "task", "path")
            same(path, sessions, "odd")


def test_a_database_from_before_task_paths(small: Path) -> None:
    with closing(sqlite3.connect(small)) as connection:
        connection.execute("ALTER TABLE writes DROP COLUMN task_path")
        connection.commit()
    before = hashlib.sha256(small.read_bytes()).hexdigest()
    with SessionManager("memory://") as sessions:
        assert migrate_langgraph(small, sessions).complete
        assert hashlib.sha256(small.read_bytes()).hexdigest() == before
        same(small, sessions, "fan")


def test_a_live_process_is_no_trouble(old: Path) -> None:
    with langgraph(old) as saver:
        threads.turns(threads.chat().compile(checkpointer=saver), "live", 2)
        log = old.with_name(old.name + "-wal")
        assert log.stat().st_size > 0
        before = (old.read_bytes(), log.read_bytes())
        with SessionManager("memory://") as sessions:
            assert migrate_langgraph(old, sessions, threads=["live"]).complete
            assert len(stored(sessions.checkpointer(), "live")) == len(stored(saver, "live"))
        assert (old.read_bytes(), log.read_bytes()) == before


def test_a_damaged_state_fails_alone(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE checkpoints SET checkpoint = x'c1' WHERE thread_id = 'sync'")
        connection.execute("UPDATE checkpoints SET metadata = '{' WHERE thread_id = 'exit'")
        connection.commit()
    with SessionManager("memory://") as sessions:
        report = migrate_langgraph(old, sessions, threads=["sync", "exit", "own"])
        assert outcomes(report) == {"sync": "failed", "exit": "failed", "own": "migrated"}
        assert all("damaged" in thread.reason for thread in report.threads[:2])
        assert sessions.get_session("sync") is None


# ── Dry runs ──────────────────────────────────────────────────────────────────────────────────
def test_a_dry_run_stores_nothing_and_estimates_well(small: Path, new: Path) -> None:
    before = hashlib.sha256(small.read_bytes()).hexdigest()
    report = migrate_langgraph(small, None, dry_run=True)
    assert set(outcomes(report).values()) == {"migrated"}
    assert report.sampled is None
    assert hashlib.sha256(small.read_bytes()).hexdigest() == before
    assert migrate_langgraph(small, url(new)).complete
    assert report.bytes_after == pytest.approx(new.stat().st_size, rel=0.1)
    with SessionManager("memory://") as sessions:
        threads.turns(threads.chat().compile(checkpointer=sessions.checkpointer()), "sync", 1)
        report = migrate_langgraph(small, sessions, dry_run=True)
        assert outcomes(report)["sync"] == "refused"
        assert sessions.count_sessions() == 1


def test_a_large_source_is_estimated_by_a_sample(made: Path) -> None:
    with LangGraphFile(made) as source:
        all_threads = source.threads()
        total = sum(thread.bytes for thread in all_threads)
        small = [thread for thread in all_threads if thread.id != "long"]

        def begin(target: Target) -> Transfer:
            return Transfer(source, target, Decoder())

        whole = estimate(begin, small)
        some = estimate(begin, small, largest=sum(thread.bytes for thread in small) // 3)
    assert whole.whole
    assert not some.whole
    assert 1 <= len(some.trials) < len(small)
    assert whole.bytes is not None
    assert some.bytes == pytest.approx(whole.bytes, rel=0.6)
    assert sample(all_threads, total) == all_threads
    assert len(sample(all_threads, 1)) == 1
    assert list(made.parent.iterdir()) == [made]


def test_a_damaged_thread_does_not_end_a_dry_run() -> None:
    def outline(thread: str) -> Any:
        raise CorruptRecord(f"thread {thread} is torn")

    source: Any = SimpleNamespace(at_one_moment=nullcontext, outline=outline)
    nothing: Any = None
    assert Transfer(source, nothing, nothing).standing("a") == ("failed", "thread a is torn")
