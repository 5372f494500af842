"""Journals: killed writers, torn and damaged lines, full disks, odd ids, an index that lies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from engines import KEYS
from threadloom import (
    CorruptRecord,
    FileStore,
    InvalidKey,
    SchemaTooNew,
    SessionManager,
    StoreUnavailable,
    ThreadloomError,
    open_store,
)
from threadloom.keys import id_hash
from threadloom.ops import Count, Delete, DropTree, Get, Match, Put, Query, Reclaim, Scan
from threadloom.stores.file import cache, journal, keeper, queries
from threadloom.stores.file.locks import Locks, stripe_of
from threadloom.stores.file.places import place_of

from .helpers import Program, run_program, texts
from .test_bad_input import open_to_all, without_rights

NOTES = ("notes",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def folder_url(folder: Path) -> str:
    return f"file:///{folder}"


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/*.jsonl"))


def journal_of(folder: Path, id: str) -> Path:
    [found] = [path for path in journals(folder) if id_hash(id) in path.name]
    return found


def everything_in(folder: Path) -> bytes:
    """All bytes of all files, and all names."""
    paths = sorted(folder.rglob("*"))
    return b"\n".join(
        [str(path.relative_to(folder)).encode() for path in paths]
        + [path.read_bytes() for path in paths if path.is_file()]
    )


def fill(url: str, *ids: str) -> None:
    with SessionManager(url) as sessions:
        for id in ids:
            sessions.create_session(id=id, name=f"name of {id}")
            sessions.memory(id).add_messages([HumanMessage(f"first of {id}")])
            sessions.memory(id).add_messages([HumanMessage(f"second of {id}")])


# What is in them


def test_a_journal_is_json_that_people_can_read(folder: Path, folder_url: str) -> None:
    fill(folder_url, "Trip to Oslo")
    path = journal_of(folder, "Trip to Oslo")
    assert path.name.startswith("trip-to-oslo~")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines[0] == {"threadloom": "journal", "format": 1}
    assert [line["n"] for line in lines[1:]] == list(range(2, len(lines) + 1))
    assert all(line["time"].endswith("Z") and line["sum"] for line in lines[1:])
    assert [line["version"] for line in lines[1:]] == sorted(
        {line["version"] for line in lines[1:]}
    )
    put = [record for line in lines[1:] for record in line.get("put", ())]
    assert {"name of Trip to Oslo", "first of Trip to Oslo"} <= {
        record.get("text") for record in put
    }
    assert all(isinstance(record.get("doc", {}), dict) for record in put)


ODD_IDS = [
    "../x", "..", ".", "a/b", "a\\b", "CON", "con", "nul.txt", "NUL", "x" * 1024, "x" * 1023 + "y",
    "🧵", "👩‍👩‍👧", "ÉCOLE", "école", "e\u0301cole", "A", "a", "a ", " a", "%", "~", "*?", "a\nb",
    "sessions", "memory", "-", "deleted",
]  # fmt: skip


def test_any_id_has_a_journal_of_its_own_inside_the_folder(folder: Path, folder_url: str) -> None:
    fill(folder_url, *ODD_IDS)
    inside = journals(folder)
    assert len(inside) == len(ODD_IDS)
    assert len({str(path).lower() for path in inside}) == len(ODD_IDS)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    for path in inside:
        assert re.fullmatch(r"[a-z0-9-]{0,40}~[0-9a-f]{32}\.jsonl", path.name)
        assert path.relative_to(folder).parts[:1] == ("sessions",)
    with SessionManager(folder_url) as sessions:
        assert {info.id for info in sessions.list_sessions()} == set(ODD_IDS)
        for id in ODD_IDS:
            assert texts(sessions.messages(id)) == [f"first of {id}", f"second of {id}"]


def test_tenants_and_namespaces_have_folders_of_their_own(folder: Path, folder_url: str) -> None:
    with FileStore(folder) as store:
        for tenant in ("Acme", "acme", "../acme", None):
            sessions = SessionManager(store, tenant=tenant)
            sessions.create_session(id="s", name=f"of {tenant}")
            sessions.store.put(("prefs", "ana"), "k", {"of": tenant})
        assert len(journals(folder)) == 8
        assert len({path.parts[-4] for path in journals(folder / "tenants")}) == 3
        for tenant in ("Acme", "acme", "../acme", None):
            sessions = SessionManager(store, tenant=tenant)
            assert [info.name for info in sessions.list_sessions()] == [f"of {tenant}"]
            [item] = sessions.store.search(("prefs",))
            assert item.value == {"of": tenant}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_deleted_session_leaves_neither_its_id_nor_its_text(
    folder: Path, folder_url: str
) -> None:
    with SessionManager(folder_url) as sessions:
        fill(folder_url, "secret-id", "other")
        assert sessions.search_sessions("first")
        path = journal_of(folder, "secret-id")
        for suffix in (".torn", ".damaged", ".new"):
            path.with_name(path.name + suffix).write_text("first of secret-id")
        sessions.delete_session("secret-id")
        assert b"secret" not in b"\n".join(
            path.name.encode() + path.read_bytes() for path in journals(folder)
        )
        sessions.compact("other")
        assert b"secret" not in everything_in(folder)
        assert b"first of other" in everything_in(folder)
        sessions.create_session(id="secret-id")
        assert journal_of(folder, "secret-id").name.startswith("secret-id~")


def test_what_a_history_forgot_is_gone_after_a_reclaim(folder: Path, folder_url: str) -> None:
    with SessionManager(folder_url) as sessions:
        history = sessions.memory("s")
        history.add_messages([HumanMessage("confidential"), HumanMessage("kept")])
        assert sessions.search_sessions("confidential")
        history.clear()
        history.append(HumanMessage("kept"))
        sessions.compact("s")
        assert b"confidential" not in everything_in(folder)
        assert texts(history.messages) == ["kept"]


# Killed, cut off, full


def check_after_a_kill(folder_url: str, acknowledged: int) -> int:
    """Everything that had returned is there, and the last batch is whole or not there."""
    with open_store(folder_url) as store:
        numbers = {
            record.body()["n"]
            for record in store.execute(
                [Get(("sessions",), "s"), Get(("memory", "s"), "1"), Get(("memory", "s"), "2")]
            )
            if record is not None
        }
        [session] = store.execute([Query(("sessions",), order_by="created_at")])[0]
        assert store.damage() == []
        assert len(numbers) == 1, "half a batch"
        assert numbers == {session.body()["n"]}, "the index says something else"
        found = numbers.pop()
        assert acknowledged <= found <= acknowledged + 1
        return found


def kill_at_random(folder_url: str, how: str, rounds: int) -> None:
    chance = random.Random(11)
    with Program("journals", folder_url) as nursery:
        stored = 0
        for number in range(rounds):
            nursery.tell(f"{how} {chance.randrange(10_000)}")
            pid = int(nursery.line())
            acknowledged = int(nursery.line())
            deadline = time.monotonic() + chance.uniform(0, 0.06)
            while time.monotonic() < deadline:
                acknowledged = int(nursery.line())
            os.kill(pid, signal.SIGKILL)
            nursery.tell("wait")
            while (line := nursery.line()) != "over":
                acknowledged = int(line)
            assert acknowledged > stored, f"round {number} wrote nothing"
            stored = check_after_a_kill(folder_url, acknowledged)


@pytest.mark.soak(full=300)
@pytest.mark.timeout(1_200)
def test_a_writer_that_is_killed_loses_nothing_that_had_returned(
    folder_url: str, rounds: int
) -> None:
    kill_at_random(folder_url, "write", rounds)


@pytest.mark.soak(full=300)
@pytest.mark.timeout(1_200)
def test_a_compaction_that_is_killed_loses_nothing(folder_url: str, rounds: int) -> None:
    kill_at_random(folder_url, "compact", rounds)


@pytest.mark.soak(full=100)
@pytest.mark.timeout(1_200)
def test_a_reclaim_that_is_killed_loses_nothing(folder_url: str, rounds: int) -> None:
    kill_at_random(folder_url, "reclaim", rounds)


def test_a_line_torn_at_any_byte_costs_no_other_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with FileStore(folder) as store:
        for key in ("a", "b", "ç"):
            store.execute([Put(NOTES, key, doc={"key": key}, blob=key.encode(), text=key)])
    [path] = journals(folder)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    torn = path.with_name(path.name + ".torn")
    caplog.set_level(logging.ERROR)
    for size in range(last, len(whole)):
        path.write_bytes(whole[:size])
        torn.unlink(missing_ok=True)
        with FileStore(folder) as reader, FileStore(folder) as writer:
            kept = ["a", "b"] + (["ç"] if size == len(whole) - 1 else [])  # all but its end
            (records,) = reader.execute([Scan(NOTES)])
            assert [record.key for record in records] == kept, size
            assert path.read_bytes() == whole[:size], "reading changes nothing"
            version = max(record.version for record in records)
            assert writer.execute([Put(NOTES, "next", doc={"size": size})]) > [version]
            for store in (reader, writer):
                (records,) = store.execute([Scan(NOTES)])
                assert [record.key for record in records] == sorted([*kept, "next"]), size
                (records,) = store.execute([Query((), deep=True)])
                assert [record.key for record in records] == sorted([*kept, "next"]), size
            assert store.damage() == []
        cut = whole[last:size] if len(kept) == 2 else b""
        assert (torn.read_bytes() if torn.exists() else b"") == (cut and cut + b"\n")


def test_cutting_off_a_torn_line_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FileStore(folder) as store:
        store.execute([Put(NOTES, "a")])
        [path] = journals(folder)
        with path.open("ab") as file:
            file.write(b'{"n":3,"put":[{"in":"no')
        store.execute([Put(NOTES, "b")])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert path.name + ".torn" in caplog.text


def test_a_journal_torn_in_its_very_first_line_is_begun_anew(folder: Path) -> None:
    with FileStore(folder) as store:
        store.execute([Put(NOTES, "a")])
    [path] = journals(folder)
    whole = path.read_bytes()
    for size in (0, 1, 20, whole.index(b"\n"), whole.index(b"\n") + 1):
        path.write_bytes(whole[:size])
        with FileStore(folder) as store:
            assert store.execute([Scan(NOTES)]) == [[]]
            store.execute([Put(NOTES, "b")])
            (records,) = store.execute([Scan(NOTES)])
            assert [record.key for record in records] == ["b"]
            assert store.damage() == []


def test_a_journal_torn_in_its_first_batch_is_damaged(folder: Path) -> None:
    """Nobody is killed into that: a new journal gets its name once its first batch is written."""
    with FileStore(folder) as store:
        store.execute([Put(NOTES, "a", text="word " * 20)])
    [path] = journals(folder)
    whole = path.read_bytes()
    begin = whole.index(b"\n") + 1
    for size in (begin + 1, begin + 20, len(whole) - 2):
        path.write_bytes(whole[:size])
        with FileStore(folder) as store:
            with pytest.raises(CorruptRecord, match="line 2 is damaged"):
                store.execute([Scan(NOTES)])
            assert [str(path) in told for told in store.damage()] == [True]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte; without the right to mount one, a limit on files stands in."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    yield place
    if mounted.returncode == 0:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_loses_nothing_and_leaves_nothing_half_written(small_disk: Path) -> None:
    url = f"file:///{small_disk}/sessions"
    name = "small_disk" if small_disk.is_mount() else "full_disk"
    said, *again = run_program(name, url)
    stored, kind, ours, message = json.loads(said)
    assert (kind, ours) == ("StoreUnavailable", True), message
    assert "full" in message
    assert again in ([], [str(2 * stored)])
    assert stored > 2
    path = journal_of(small_disk, "s")
    assert path.read_bytes().endswith(b"}\n"), "half a line was left"
    if small_disk.is_mount():
        subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    with SessionManager(url) as sessions:
        found = [text.split(":x")[0] for text in texts(sessions.memory("s").messages)]
        assert found == [f"{n}:{part}" for n in range(stored) for part in range(2)]
        assert sessions.list_sessions()[0].message_count == 2 * stored
        sessions.memory("s").append(HumanMessage("there is room again"))
        assert sessions.check().problems == ()


def test_a_batch_over_several_journals_is_taken_back_where_one_has_no_room(folder: Path) -> None:
    places = [(("one",), "k"), (("two",), "k"), (("new",), "k")]
    with FileStore(folder) as store:
        for place in places[:2]:
            store.execute([Put(*place, doc={"n": 1})])
        before = {path: path.read_bytes() for path in journals(folder)}
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
        try:
            with pytest.raises(StoreUnavailable, match="full"):
                store.execute(
                    [
                        Put(*places[2], doc={"n": 2}),
                        Put(*places[0], doc={"n": 2}),
                        Put(*places[1], doc={"n": 2, "much": "x" * 30_000}),
                    ]
                )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert {path: path.read_bytes() for path in journals(folder)} == before
        one, two, new = store.execute([Get(*place) for place in places])
        assert (one.doc, two.doc, new) == ({"n": 1}, {"n": 1}, None)


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_full_durability_waits_for_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch, durability: Any
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().suffix)
        fsync(fd)

    with FileStore(folder, durability=durability) as store:
        monkeypatch.setattr(os, "fsync", noting)
        store.execute([Put(NOTES, "a")])
        store.execute([Put(NOTES, "b")])
    # The journal's name, that of its folder, and that of the folder which that one is in.
    names = [""] * 3
    assert synced == ([*names, ".jsonl", ".jsonl"] if durability == "full" else [])


# Several at once


@pytest.mark.parametrize("sessions", [1, 6])
def test_processes_that_write_at_once_lose_nothing(folder_url: str, sessions: int) -> None:
    writers, lists = 6, 15
    with Program("append", folder_url) as nursery:
        for writer in range(writers):
            nursery.tell(f"s{writer % sessions} {writer} {lists} 2")
            assert nursery.line().startswith(f"{writer} ")
        nursery.tell("go")
        ended: list[str] = []
        while len(ended) < writers:
            line = nursery.line()
            ended += [line] if line.startswith("ended") else []
        assert all(line.endswith(" 0") for line in ended), nursery.errors()
    with SessionManager(folder_url) as manager:
        infos = manager.list_sessions()
        assert len(infos) == sessions
        assert sum(info.message_count for info in infos) == writers * lists * 2
        for info in infos:
            found = texts(manager.messages(info))
            for writer in range(writers):
                if f"s{writer % sessions}" == info.id:
                    assert [text for text in found if text.startswith(f"{writer}:")] == [
                        f"{writer}:{number}:{part}" for number in range(lists) for part in range(2)
                    ]
        assert manager.check().problems == ()


def test_a_writer_waits_no_longer_than_it_was_told(folder: Path) -> None:
    with FileStore(folder, lock_timeout=0.3) as store, FileStore(folder) as other:
        store.execute([Put(NOTES, "a")])
        number = stripe_of(place_of("=notes"))

        def work(locked: bool) -> None:
            assert locked
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="locked by another process"):
                store.execute([Put(NOTES, "b")])
            assert 0.2 < time.monotonic() - began < 5
            (records, found) = store.execute([Scan(NOTES), Query((), deep=True)])
            assert [record.key for record in records] == ["a"], "readers take no lock"
            assert [record.key for record in found] == ["a"]

        other._locks.trying(number, work)
        store.execute([Put(NOTES, "b")])


async def test_reads_on_a_loop_do_not_wait_behind_writes_that_wait(folder: Path) -> None:
    with FileStore(folder) as store:
        await store.aexecute([Put(NOTES, "a")])
        lock = Locks(folder / "locks", 1.0)
        held, over = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(locked: bool) -> None:
            assert locked
            loop.call_soon_threadsafe(held.set)
            asyncio.run_coroutine_threadsafe(over.wait(), loop).result(30)

        holder = loop.run_in_executor(None, lock.trying, stripe_of(place_of("=notes")), hold)
        await held.wait()
        writes = [asyncio.create_task(store.aexecute([Put(NOTES, str(n))])) for n in range(8)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            for _ in range(10):
                (records,) = await store.aexecute([Scan(NOTES)])
                assert [record.key for record in records] == ["a"]
                (hits,) = await store.aexecute([Query((), deep=True)])
                assert [record.key for record in hits] == ["a"]
        assert not any(write.done() for write in writes)
        over.set()
        await holder
        await asyncio.gather(*writes)
        assert await store.aexecute([Count(NOTES)]) == [9]


def test_another_process_that_compacts_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_SMALL", 2_000)
    with FileStore(folder) as one, FileStore(folder) as other:
        inodes = set()
        for number in range(60):
            writer, reader = (one, other) if number % 2 else (other, one)
            writer.execute([Put(NOTES, "k", doc={"n": number, "much": "x" * 200})])
            (record,) = reader.execute([Get(NOTES, "k")])
            assert record.doc["n"] == number
            inodes.add(journals(folder)[0].stat().st_ino)
        assert len(inodes) > 1
        assert journals(folder)[0].stat().st_size < 4_000


def test_a_disk_without_room_for_a_compaction_does_not_fail_the_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "_SMALL", 1_000)

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    with FileStore(folder) as store:
        monkeypatch.setattr(keeper.files, "replace", refuse)
        for number in range(20):
            store.execute([Put(NOTES, "k", doc={"n": number, "much": "x" * 200})])
        assert store.execute([Get(NOTES, "k")])[0].doc["n"] == 19
    assert "could not be tidied up" in caplog.text


# Damage

NONSENSE = {
    "no JSON": b"dear diary",
    "no UTF-8": b'{"n":3,"\xff\xfe":1}',
    "JSON without a checksum": b'{"n":3,"version":9,"put":[]}',
    "zeros": b"\0" * 64,
}


def damaged(path: Path, how: str) -> None:
    """Replace or change the third line of a journal."""
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "edited":
        lines[2] = lines[2].replace(b"name of", b"NAME of").replace(b"first", b"worst")
    elif how == "missing":
        del lines[2]
    elif how == "twice":
        lines.insert(2, lines[2])
    else:
        lines[2] = NONSENSE[how] + b"\n"
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("how", [*NONSENSE, "edited", "missing", "twice"])
def test_a_damaged_line_is_named_and_costs_only_its_own_session(
    folder: Path, folder_url: str, how: str
) -> None:
    fill(folder_url, "bad", "good")
    path = journal_of(folder, "bad")
    damaged(path, how)
    line = 4 if how == "twice" else 3
    told = rf"{re.escape(str(path))}, line {line} is damaged"
    with SessionManager(folder_url) as sessions:
        for read in (
            sessions.get_session,
            sessions.messages,
            lambda id: sessions.memory(id).load(),
        ):
            with pytest.raises(CorruptRecord, match=told):
                read("bad")
        with pytest.raises(CorruptRecord, match=f"line {line}"):
            sessions.memory("bad").append(HumanMessage("more"))
        assert len(sessions.messages("good")) == 2
        sessions.memory("good").append(HumanMessage("third"))
        assert {info.id for info in sessions.list_sessions()} == {"bad", "good"}
        [damage] = sessions._store.damage()
        assert str(path) in damage
        report = sessions.check()
        assert "file" in {problem.kind for problem in report.problems}
        assert not report.ok


@pytest.mark.parametrize("how", ["edited", "missing", "twice", "no UTF-8"])
@pytest.mark.parametrize("door", ["sync", "async"])
def test_check_moves_damaged_lines_aside_and_keeps_all_others(
    folder: Path, folder_url: str, how: str, door: str
) -> None:
    fill(folder_url, "bad", "good")
    path = journal_of(folder, "bad")
    damaged(path, how)
    bad = path.read_bytes().splitlines()[2]
    with SessionManager(folder_url) as sessions:
        if door == "sync":
            report = sessions.check(fix=True)
        else:
            report = asyncio.run(sessions.acheck(fix=True))
        assert [p.fixed for p in report.problems if p.kind == "file"] == [True]
        aside = path.with_name(path.name + ".damaged")
        assert aside.exists() == (how != "missing")
        if how != "missing":
            assert aside.read_bytes().splitlines() == [bad]
        assert sessions._store.damage() == []
        assert sessions.check(fix=True) is not None
        assert sessions.check().problems == ()
        assert "second of bad" in texts(sessions.messages("bad"))
        sessions.memory("bad").append(HumanMessage("third"))
        assert len(sessions.messages("good")) == 2


def test_a_journal_under_anothers_name_is_damage(folder: Path, folder_url: str) -> None:
    fill(folder_url, "a", "b")
    shutil.copyfile(journal_of(folder, "a"), journal_of(folder, "b"))
    with SessionManager(folder_url) as sessions:
        with pytest.raises(CorruptRecord, match="belongs to another journal"):
            sessions.messages("b")
        assert len(sessions.messages("a")) == 2
        assert [info.id for info in sessions.list_sessions()] == ["a"]


def test_two_journals_of_one_session_are_damage(folder: Path, folder_url: str) -> None:
    fill(folder_url, "a", "b")
    path = journal_of(folder, "a")
    shutil.copyfile(path, path.with_name("copy-of-" + path.name))
    with SessionManager(folder_url) as sessions:
        with pytest.raises(CorruptRecord, match="journals of the same records"):
            sessions.messages("a")
        assert len(sessions.messages("b")) == 2
        assert any("copy-of-" in told for told in sessions._store.damage())
        assert any("copy-of-" in p.detail for p in sessions.check(fix=True).problems)
        assert len(list(path.parent.glob("*.jsonl"))) == 2


def test_an_edit_while_stores_are_open_is_noticed(folder: Path, folder_url: str) -> None:
    with SessionManager(folder_url) as sessions:
        fill(folder_url, "a")
        assert len(sessions.messages("a")) == 2
        path = journal_of(folder, "a")
        text = path.read_bytes()
        path.write_bytes(text.replace(b"first of a", b"worst of a"))
        with pytest.raises(CorruptRecord):
            sessions.messages("a")
        path.write_bytes(text)
        assert texts(sessions.messages("a")) == ["first of a", "second of a"]


# Other formats, other folders


def test_a_newer_folder_is_refused(folder: Path, folder_url: str) -> None:
    fill(folder_url, "a")
    with SessionManager(folder_url) as sessions:
        (folder / "threadloom.json").write_text('{"threadloom":"file store","format":2}')
        with pytest.raises(SchemaTooNew, match="pip install"):
            SessionManager(folder_url)
        before = everything_in(folder)
        for act in (sessions.list_sessions, lambda: sessions.create_session(id="b")):
            with pytest.raises(SchemaTooNew):
                act()
        assert everything_in(folder) == before


def test_a_newer_journal_is_refused_and_left_alone(folder: Path, folder_url: str) -> None:
    fill(folder_url, "a", "b")
    path = journal_of(folder, "a")
    newer = path.read_bytes().replace(b'"format":1', b'"format":7', 1)
    path.write_bytes(newer)
    with SessionManager(folder_url) as sessions:
        with pytest.raises(SchemaTooNew, match="format 7"):
            sessions.messages("a")
        with pytest.raises(SchemaTooNew):
            sessions.memory("a").append(HumanMessage("x"))
        assert len(sessions.messages("b")) == 2
        assert any("format 7" in told for told in sessions._store.damage())
        assert sessions._store.mend() == []
    assert path.read_bytes() == newer


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreUnavailable, match=r"thesis\.txt"):
        FileStore(tmp_path / "f")
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["thesis.txt"]
    with pytest.raises(StoreUnavailable, match="is a file"):
        FileStore(tmp_path / "f" / "thesis.txt")
    with pytest.raises(StoreUnavailable, match="does not exist"):
        FileStore(tmp_path / "missing" / "f")
    (tmp_path / "g" / ".git").mkdir(parents=True)
    FileStore(tmp_path / "g").close()
    (tmp_path / "g" / "threadloom.json").write_text("{")
    with pytest.raises(CorruptRecord, match=r"threadloom\.json"):
        FileStore(tmp_path / "g")


def test_a_folder_that_may_not_be_written(folder: Path, folder_url: str) -> None:
    fill(folder_url, "s")
    open_to_all(folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    found = without_rights(folder_url)
    assert found["open"][0] is None
    assert found["read"] == (None, False, "")
    assert found["write"][:2] == ("StoreUnavailable", True)
    assert "ermission" in found["write"][2]


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_folder_that_went_away_is_an_error_and_not_empty(folder: Path, how: str) -> None:
    with SessionManager(f"file:///{folder}") as sessions:
        sessions.memory("x").append(HumanMessage("kept"))
        folder.rename(folder.with_name("elsewhere"))
        if how == "replaced":
            FileStore(folder).close()
        for act in (
            lambda: sessions.memory("x").append(HumanMessage("lost")),
            lambda: sessions.messages("x"),
            sessions.list_sessions,
        ):
            with pytest.raises(StoreUnavailable, match="deleted or replaced"):
                act()
    assert folder.exists() == (how == "replaced")


@pytest.mark.parametrize(
    "url",
    [
        "file:", "file://", "file:///", "file://host/x", "file:///x?durability=most",
        "file:///x?lock_timeout=soon", "file:///x?lock_timeout=-1", "file:///x?busy_timeout=1",
        "file:///x?colour=blue", "file:///x%00",
    ],
)  # fmt: skip
def test_a_url_that_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(InvalidKey):
        open_store(url)


def test_a_url_may_have_options(tmp_path: Path) -> None:
    url = f"file:///{tmp_path}/my%20sessions?durability=full&lock_timeout=2.5"
    with open_store(url) as store:
        assert isinstance(store, FileStore)
        assert store.path == tmp_path / "my sessions"
    with pytest.raises(InvalidKey, match="durability"):
        FileStore(tmp_path / "x", durability="most")  # type: ignore[arg-type]


# The index


def spoil(folder: Path, how: str) -> None:
    index = folder / "index.db"
    if how == "deleted":
        for path in folder.glob("index.db*"):
            path.unlink()
    elif how == "garbled":
        size = index.stat().st_size
        index.write_bytes(random.Random(3).randbytes(size))
    elif how == "half garbled":
        data = bytearray(index.read_bytes())
        for at in range(4096, len(data), 4096):
            data[at : at + 100] = b"\xff" * 100
        index.write_bytes(data)
    elif how == "cut":
        os.truncate(index, index.stat().st_size // 2)
    elif how == "empty":
        os.truncate(index, 0)
    elif how == "no index":
        index.write_text("dear diary, this is no database at all " * 20)
    elif how == "another database":
        index.unlink()
        with contextlib.closing(sqlite3.connect(index)) as connection:
            connection.execute("CREATE TABLE recipes (cake)")


SPOILED = ["deleted", "garbled", "half garbled", "cut", "empty", "no index", "another database"]


@pytest.mark.parametrize("how", SPOILED)
def test_an_index_that_is_gone_or_spoiled_is_made_again(
    folder: Path, folder_url: str, how: str
) -> None:
    fill(folder_url, *(f"s{number}" for number in range(40)))
    with SessionManager(folder_url) as sessions:
        assert len(sessions.list_sessions()) == 40
    for path in folder.glob("index.db-*"):
        path.unlink()
    spoil(folder, how)
    with SessionManager(folder_url) as sessions:
        assert len(sessions.list_sessions()) == 40
        [found] = sessions.search_sessions("s7")
        assert found.session.id == "s7"
        assert sessions.count_sessions() == 40
        assert sessions.check().problems == ()


def test_an_index_that_is_deleted_while_stores_are_open_is_made_again(folder: Path) -> None:
    with FileStore(folder) as one, FileStore(folder) as other:
        for number in range(6):
            writer, reader = (one, other) if number % 2 else (other, one)
            writer.execute([Put(NOTES, str(number), text="word")])
            if number % 3 == 0:
                spoil(folder, "deleted")
            for store in (reader, writer):
                assert len(store.execute([Match((), "word")])[0]) == number + 1


def test_a_stale_index_is_brought_up_to_date(folder: Path, folder_url: str) -> None:
    """As after a restored backup of it, or a power cut: it knows less, or more, than there is."""
    fill(folder_url, "a", "b")
    with SessionManager(folder_url) as sessions:
        sessions.list_sessions()
    old = {path: path.read_bytes() for path in folder.glob("index.db*")}
    before = {path: path.read_bytes() for path in journals(folder)}
    with SessionManager(folder_url) as sessions:
        sessions.memory("a").append(HumanMessage("fresh"))
        sessions.delete_session("b")
        sessions.create_session(id="c")
        sessions.list_sessions()
    new = {path: path.read_bytes() for path in folder.glob("index.db*")}
    for path in new:
        path.unlink()
    for path, data in old.items():
        path.write_bytes(data)
    with SessionManager(folder_url) as sessions:
        assert {info.id for info in sessions.list_sessions()} == {"a", "c"}
        assert [match.session.id for match in sessions.search_sessions("fresh")] == ["a"]
        assert sessions.search_sessions("second")[0].session.id == "a"
    for path in journals(folder):
        path.unlink()
    for path, data in before.items():
        path.write_bytes(data)
    with SessionManager(folder_url) as sessions:
        assert {info.id for info in sessions.list_sessions()} == {"a", "b"}
        assert sessions.search_sessions("fresh") == []


def test_journals_that_come_from_another_folder_are_noticed(tmp_path: Path, folder: Path) -> None:
    fill(f"file:///{tmp_path}/other", "travelled", "stays")
    fill(f"file:///{folder}", "home")
    with SessionManager(f"file:///{folder}") as sessions:
        assert [info.id for info in sessions.list_sessions()] == ["home"]
        source = journal_of(tmp_path / "other", "travelled")
        target = folder / source.relative_to(tmp_path / "other")
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        assert {info.id for info in sessions.list_sessions()} == {"home", "travelled"}
        assert len(sessions.messages("travelled")) == 2
        assert sessions.search_sessions("first of travelled")
        sessions.memory("travelled").append(HumanMessage("third"))
        target.unlink()
        assert [info.id for info in sessions.list_sessions()] == ["home"]
        assert sessions.get_session("travelled") is None


def test_a_mark_whose_writer_is_gone_is_seen_to(folder: Path) -> None:
    """Killed between the line and anything after it: whoever asks next reads that journal."""
    with FileStore(folder) as store:
        store.execute([Put(NOTES, "a", text="word")])
        assert len(store.execute([Match((), "word")])[0]) == 1
        [path] = journals(folder)
        known = store._keeper.current(place_of("=notes"))
        assert known is not None
        store._folder.mark(place_of("=notes"))
        entry = known.spaces.make(NOTES).entries["a"]
        line = known.line(known.version + 1, store.now(), {(NOTES, "b"): entry})
        with path.open("ab") as file:
            file.write(line)
        assert len(store.execute([Match((), "word")])[0]) == 2
        assert list((folder / "changed").iterdir()) == []


def test_a_page_of_sessions_does_not_read_the_journals(
    folder: Path, folder_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder_url, *(f"s{number:02}" for number in range(30)))
    with SessionManager(folder_url) as sessions:
        sessions.list_sessions()
        read: list[Path] = []
        monkeypatch.setattr(keeper.files, "read", lambda path, start=0: read.append(path))
        page = sessions.list_sessions(limit=20)
        assert [info.id for info in page] == [f"s{number:02}" for number in range(20)]
        assert sessions.count_sessions() == 30
        assert len(sessions.search_sessions("name")) == 30
        assert read == []


def test_everything_of_many_journals_is_dropped_at_once(folder: Path) -> None:
    with FileStore(folder) as store:
        for number in range(10):
            store.execute([Put(("prefs", f"user{number}"), "k", doc={}, text="word")])
        store.execute([Put(("other",), "k", text="word")])
        assert store.execute([DropTree(("prefs",)), Count((), deep=True)]) == [10, 1]
        [hit] = store.execute([Match((), "word")])[0]
        assert hit.record.namespace == ("other",)
        store.execute([Reclaim()])
        assert b"user3" not in everything_in(folder)


# Memory


def test_what_is_kept_in_memory_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 200_000)
    with FileStore(folder) as store:
        monkeypatch.setattr(store._keeper, "cache", cache.Cache(200_000))
        for number in range(40):
            store.execute([Put(("n", str(number)), "k", blob=bytes(10_000))])
        kept = store._keeper.cache
        assert 0 < sum(journal.weight for journal in kept._journals.values()) <= 200_000
        for number in range(40):
            (record,) = store.execute([Get(("n", str(number)), "k")])
            assert record.blob == bytes(10_000)
        store.execute([Delete(("n", "0"), "k")])
        assert store.execute([Get(("n", "0"), "k")]) == [None]


def test_listings_read_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of sessions whose records are encrypted, and hence blobs."""
    for name, keys in (("plain", None), ("hidden", KEYS)):
        with SessionManager(f"file:///{tmp_path}/{name}", encryption=keys) as sessions:
            for number in range(20):
                sessions.create_session(id=f"s{number}", name=f"name {number}")
                sessions.memory(f"s{number}").append(HumanMessage("x" * 1_000))
        with SessionManager(f"file:///{tmp_path}/{name}", encryption=keys) as sessions:
            if keys is not None:
                sessions.get_session("s0")  # reads what the keys are known by
            sessions.count_sessions()
            read: list[object] = []
            with monkeypatch.context() as patch:
                patch.setattr(keeper.Keeper, "read", lambda self, *all, to=read: to.append(all))
                page = sessions.list_sessions(limit=5)
            assert [info.id for info in page] == [f"s{number}" for number in range(5)]
            assert not read


def test_a_page_of_items_does_not_read_what_is_behind_it(tmp_path: Path) -> None:
    with FileStore(tmp_path / "f") as store:
        for number in range(300):
            store.put(("n",), f"{number:04d}", {"n": number})
        assert [item.key for item in store.search(("n",), limit=2, offset=1)] == ["0001", "0002"]
        decoded: list[object] = []
        with pytest.MonkeyPatch.context() as patch:
            real = queries._record

            def counted(*all: Any) -> Any:
                decoded.append(all)
                return real(*all)

            patch.setattr(queries, "_record", counted)
            store.search(("n",), limit=2, offset=1, refresh_ttl=False)
        assert len(decoded) <= 4


@pytest.mark.parametrize("change", ["line ends", "empty lines", "a mark in front"])
def test_what_editors_do_to_a_journal_does_no_harm(change: str, tmp_path: Path) -> None:
    with SessionManager(f"file:///{tmp_path}/f") as sessions:
        sessions.create_session(id="a", name="one")
        sessions.memory("a").append(HumanMessage("hello"))
    (journal,) = (tmp_path / "f" / "sessions").rglob("*.jsonl")
    data = journal.read_bytes()
    journal.write_bytes(
        {
            "line ends": data.replace(b"\n", b"\r\n"),
            "empty lines": data.replace(b"\n", b"\n\n"),
            "a mark in front": b"\xef\xbb\xbf" + data,
        }[change]
    )
    for number in range(2):
        with SessionManager(f"file:///{tmp_path}/f") as sessions:
            assert texts(sessions.messages("a")) == ["hello"] + ["more"] * number
            assert [info.name for info in sessions.list_sessions()] == ["one"]
            assert sessions.check().ok
            sessions.memory("a").append(HumanMessage("more"))


def test_a_journal_of_nothing_but_damage_is_left_as_it_is(tmp_path: Path) -> None:
    with SessionManager(f"file:///{tmp_path}/f") as sessions:
        sessions.create_session(id="a", name="one")
    (journal,) = (tmp_path / "f" / "sessions").rglob("*.jsonl")
    for content in (b"\0" * 500, b"[1]\n[2]\n"):
        journal.write_bytes(content)
        with SessionManager(f"file:///{tmp_path}/f") as sessions:
            with pytest.raises(CorruptRecord, match="check"):
                sessions.get_session("a")
            report = sessions.check(fix=True)
            assert [problem.fixed for problem in report.problems] == [False]
        assert journal.read_bytes() == content


def test_an_interrupt_between_two_journals_leaves_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileStore(tmp_path / "f") as store, FileStore(tmp_path / "f") as other:
        both = [Put(("a",), "k", {"n": 0}), Put(("b",), "k", {"n": 0})]
        store.execute(both)
        real, calls = keeper.files.append, 0

        def append(*all: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KeyboardInterrupt
            return real(*all, **options)

        with monkeypatch.context() as patch:
            patch.setattr(keeper.files, "append", append)
            with pytest.raises(KeyboardInterrupt):
                store.execute([op._replace(doc={"n": 1}) for op in both])
        with pytest.raises(ThreadloomError):
            store.execute([both[0]._replace(doc={"n": 2}), Put(("b",), "k", text="\ud800")])
        for each in (store, other):
            found = each.execute([Get(("a",), "k"), Get(("b",), "k")])
            assert [record.doc for record in found] == [{"n": 0}, {"n": 0}]
        store.execute([op._replace(doc={"n": 3}) for op in both])
        assert other.execute([Get(("a",), "k")])[0].doc == {"n": 3}


def test_a_check_beside_others_leaves_their_index_true(tmp_path: Path) -> None:
    url = f"file:///{tmp_path}/f"
    with SessionManager(url) as one, SessionManager(url) as two:
        one.create_session(id="s")
        for number in range(5):
            one.memory("s").append(HumanMessage("x"))
            one.check(fix=True)
            one._store._index.discard(time.monotonic())  # type: ignore[attr-defined]
            two.memory("s").append(HumanMessage("y"))
            for sessions in (one, two):
                (info,) = sessions.list_sessions()
                assert info.message_count == 2 * number + 2
