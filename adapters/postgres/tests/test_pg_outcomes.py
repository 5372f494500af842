"""What is said of a write is true: done once, or not at all, or not known."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langchain_core.messages import HumanMessage
from psycopg_pool import ConnectionPool

from servers import postgres
from threadloom import SessionManager
from threadloom.errors import StoreUnavailable
from threadloom.ops import Delete, DropTree, Get, ListNamespaces, Patch, Put
from threadloom_postgres import PostgresStore, pools
from threadloom_postgres.places import Schema, part_of
from threadloom_postgres.wire import Statement

NS = ("notes",)
_LONGEST = 20.0
_WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def _sql(statement: str) -> list[Any]:
    with psycopg.connect(postgres.database_url(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _held(schema: str) -> Iterator[None]:
    """Somebody else has the partition of `NS`, and takes their time."""
    lock = Schema(schema, 1).lock_of(part_of(NS, "k"))
    with psycopg.connect(postgres.database_url()) as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({lock})".encode())
        yield


def _waits() -> list[Any]:
    began = time.monotonic()
    while not (found := _sql(_WAITING)):
        assert time.monotonic() - began < _LONGEST
    return found


def test_what_was_given_up_is_not_done_later(pg_url: str, tmp_path: Path) -> None:
    with PostgresStore(f"{pg_url}&timeout=1") as store:
        store.execute([Put(NS, "k", doc={"n": 0})])
        batches = [[Patch(NS, "k", increment={"n": 1})], [Put(NS, "k"), Delete(NS, "k")]]
        with _held(postgres.schema_of(str(tmp_path))):
            for batch in batches:
                with pytest.raises(StoreUnavailable, match="nothing was written"):
                    store.execute(batch)
        assert _sql(_WAITING) == []
        assert store.execute([Get(NS, "k")])[0].doc == {"n": 0}


def test_a_write_whose_connection_was_ended_while_it_waited_is_done_once(
    pg_store: PostgresStore, tmp_path: Path
) -> None:
    pg_store.execute([Put(NS, "k", doc={"n": 0})])
    found: list[Any] = []
    writing = threading.Thread(
        target=lambda: found.extend(pg_store.execute([Patch(NS, "k", increment={"n": 1})]))
    )
    with _held(postgres.schema_of(str(tmp_path))):
        writing.start()
        [(first,)] = _waits()
        _sql(f"SELECT pg_terminate_backend({first}, 5000)")
        [(second,)] = _waits()
        assert second != first
    writing.join(_LONGEST)
    assert len(found) == 1
    assert pg_store.execute([Get(NS, "k")])[0].doc == {"n": 1}


def test_a_write_is_not_done_again_for_what_happens_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a borrowed connection cannot be given back as it was."""
    setting = pools._setting

    def ending(encoding: str) -> Any:
        if encoding == "UTF8":
            yield from setting(encoding)
        else:
            yield Statement("SELECT pg_terminate_backend(pg_backend_pid())")

    kwargs = {"options": "-c client_encoding=LATIN1"}
    with (
        ConnectionPool(postgres.database_url(), kwargs=kwargs, min_size=1, open=True) as pool,
        PostgresStore(pool, schema=postgres.schema_of(str(tmp_path))) as store,
    ):
        store.execute([Put(NS, "k", doc={"n": 0})])
        monkeypatch.setattr(pools, "_setting", ending)
        assert store.execute([Patch(NS, "k", increment={"n": 1})]) != [None]
        monkeypatch.undo()
        assert store.execute([Get(NS, "k")])[0].doc == {"n": 1}


def test_an_encoding_of_the_connection_changes_nothing(pg_url: str) -> None:
    word = "Zürich 漢字"

    async def write() -> None:
        async with PostgresStore(f"{pg_url}&client_encoding=LATIN1") as store:
            await store.aexecute([Put(NS, word, doc={"text": word}, text=word)])

    asyncio.run(write())
    with PostgresStore(pg_url) as store:
        assert store.execute([Get(NS, word)])[0].doc == {"text": word}


def test_no_table_is_read_whole(pg_url: str, tmp_path: Path) -> None:
    """By what goes on all the time, however many sessions there are."""
    scans = (
        "SELECT relname, seq_scan, idx_scan FROM pg_stat_user_tables "
        f"WHERE schemaname = '{postgres.schema_of(str(tmp_path))}' AND relname <> 'about'"
    )
    with PostgresStore(pg_url) as store:
        store.execute([Put(NS, "k")])
    before = {name: whole for name, whole, _ in _sql(scans)}
    with PostgresStore(pg_url) as store:
        sessions = SessionManager(store)
        for number in range(30):
            sessions.create_session(id=f"s{number}", owner="ana")
        for number in range(0, 30, 2):
            with sessions.turn(f"s{number}"):
                sessions.memory(f"s{number}").append(HumanMessage("window seat"))
            sessions.delete_session(f"s{number}")
    after = _sql(scans)
    assert {name: whole for name, whole, _ in after} == before
    assert dict((name, by_index) for name, _, by_index in after)["spaces"] > 30


def test_trees_over_several_partitions_leave_no_names(pg_store: PostgresStore) -> None:
    pg_store.execute([Put(("notes", name), "k") for name in "abc"])
    dropped, got = pg_store.execute([DropTree(NS), Get(("notes", "a"), "k")])
    assert (dropped, got) == (3, None)
    assert pg_store.execute([ListNamespaces()]) == [[]]
    schema = pg_store._schema.quoted
    assert _sql(f"SELECT name FROM {schema}.spaces") == []
