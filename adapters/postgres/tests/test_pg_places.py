"""Roles, poolers, forks, exits, odd data: each of these fails with other libraries."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langchain_core.messages import HumanMessage
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from servers import pgbouncer, postgres
from threadloom import SessionManager, open_store
from threadloom.errors import InvalidKey, SchemaTooNew, StoreClosed, StoreUnavailable
from threadloom.ops import Count, Delete, Get, Match, Patch, Put, Query, Reclaim, Scan
from threadloom_postgres import PostgresStore
from threadloom_postgres.__main__ import main
from threadloom_postgres.options import parse
from threadloom_postgres.schema import ddl, prepare
from threadloom_postgres.wire import Statement, send

NS = ("notes",)
PROGRAM = Path(__file__).with_name("pg_programs.py")


def _program(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True
    )


def _sql(statement: str) -> list[Any]:
    with psycopg.connect(postgres.database_url(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("pooled", [False, True])
def test_ten_processes_start_at_once(tmp_path: Path, pooled: bool) -> None:
    url = (pgbouncer if pooled else postgres).place(str(tmp_path))
    programs = [_program("put", url, str(number)) for number in range(10)]
    assert [program.communicate(timeout=100)[0].strip() for program in programs] == ["done"] * 10
    with open_store(url) as store:
        assert store.execute([Count(NS)]) == [10]


def test_a_connection_in_use_sees_what_was_made_while_it_waited(tmp_path: Path) -> None:
    # A backend keeps what it found in the catalog, also that something was missing, and hears of
    # changes when a transaction begins or it locks a table: not when it has waited for its turn.
    schema = postgres.schema_of(str(tmp_path))
    with psycopg.connect(postgres.database_url(), autocommit=True) as connection:
        assert list(_preparing(connection, f"{schema}_old"))[-1].sql == "COMMIT"
        statements = _preparing(connection, schema)
        for statement in statements:
            if "pg_advisory_xact_lock" in str(statement.sql):
                break
        for made in (*ddl(schema)[:2], ddl(schema)[-1]):
            _sql(made)
        assert not [statement.sql for statement in statements if "CREATE" in str(statement.sql)]


def _preparing(connection: psycopg.Connection[Any], schema: str) -> Iterator[Statement]:
    """Prepare a schema, and stop after each statement."""
    work = prepare(schema, "here", create=True)
    statement = next(work)
    while True:
        result = send(connection.pgconn, statement, 10)
        yield statement
        try:
            statement = work.send(result)
        except StopIteration:
            return


def test_a_role_that_may_not_make_tables_is_told_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = postgres.schema_of(str(tmp_path))
    role = f"role_{schema}"
    _sql(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    url = postgres.server().url(user=role, schema=schema)
    with PostgresStore(url) as store:
        with pytest.raises(StoreUnavailable, match="python -m threadloom_postgres ddl") as caught:
            store.execute([Get(NS, "k")])
        assert isinstance(caught.value.__cause__, psycopg.errors.InsufficientPrivilege)
        assert main(["ddl", "--schema", schema, "--role", role]) == 0
        _sql(capsys.readouterr().out)
        sessions = SessionManager(store)
        sessions.create_session(id="s", owner="ana", tags=["x"])
        sessions.memory("s").append(HumanMessage("window seat"))
        assert sessions.search_sessions("window")[0].session.id == "s"
        assert sessions.delete_session("s")
        with pytest.raises(StoreUnavailable, match="belong to another role"):
            store.execute([Reclaim()])


def test_a_schema_that_is_there_needs_no_right_to_make_one(tmp_path: Path) -> None:
    schema = postgres.schema_of(str(tmp_path))
    role = f"role_{schema}"
    _sql(f"CREATE ROLE {role} LOGIN")
    _sql(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")
    with PostgresStore(postgres.server().url(user=role, schema=schema)) as store:
        store.execute([Put(NS, "k")])
        assert store.execute([Count(NS)]) == [1]


def test_who_only_looks_makes_nothing(tmp_path: Path) -> None:
    url = postgres.place(str(tmp_path))
    with PostgresStore(url + "&create=no") as store:
        with pytest.raises(StoreUnavailable, match="has no tables"):
            store.execute([Get(NS, "k")])
    schema = postgres.schema_of(str(tmp_path))
    assert _sql(f"SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'") == []


def test_a_newer_format_is_refused(pg_store: PostgresStore, pg_url: str, tmp_path: Path) -> None:
    pg_store.execute([Put(NS, "k")])
    schema = postgres.schema_of(str(tmp_path))
    _sql(f"UPDATE {schema}.about SET format = 99")
    with open_store(pg_url) as store, pytest.raises(SchemaTooNew, match="format 99"):
        store.execute([Get(NS, "k")])
    # Somebody migrates under an open store: what it calls is not there any more.
    named = f"SELECT proname FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace"
    for (name,) in _sql(f"{named} AND proname ~ '^(apply|write)_1'"):
        _sql(f"DROP FUNCTION {schema}.{name}")
    with pytest.raises(SchemaTooNew, match="format 99"):
        pg_store.execute([Put(NS, "k")])


def test_a_server_that_is_down_is_no_empty_store() -> None:
    with PostgresStore("postgresql://u:secret@127.0.0.1:1/x?connect_timeout=2") as store:
        with pytest.raises(StoreUnavailable) as caught:
            store.execute([Get(NS, "k")])
        assert isinstance(caught.value.__cause__, psycopg.OperationalError)
        assert "secret" not in f"{caught.value} {store!r}"


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://u:secret@h/x?pool=3",
        "postgresql://u:secret@h/x?max_size=many",
        "postgresql://u:secret@h/x?max_size=0",
        "postgresql://u:secret@h/x?timeout=-1",
        "postgresql://u:secret@h/x?schema=pg_own",
        "postgresql://u:secret@h/x?schema=" + "s" * 64,
        "mysql://u:secret@h/x",
    ],
)
def test_what_makes_no_sense_in_a_url(wrong: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        PostgresStore(wrong)
    assert "secret" not in str(caught.value)


def test_options_of_libpqs_are_passed_on() -> None:
    dsn, options = parse("postgresql://u@h/x?sslmode=require&schema=my%20own&max_size=3", {})
    assert "sslmode=require" in dsn
    assert (options.schema, options.max_size) == ("my own", 3)


def test_names_of_schemas_are_quoted() -> None:
    schema = 'o\'clock "%s" @. {x}'
    with PostgresStore(postgres.database_url(), schema=schema) as store:
        store.execute([Put(NS, "k", text="word"), Put(("sessions",), "s", doc={"owner": "ana"})])
        assert len(store.execute([Match((), "word")])[0]) == 1


def test_an_async_pool_is_refused_and_a_closed_one_said_so() -> None:
    url = postgres.database_url()
    with pytest.raises(InvalidKey, match="one event loop"):
        PostgresStore(AsyncConnectionPool(url, open=False))  # type: ignore[arg-type]
    closed = ConnectionPool(url, open=False)
    with pytest.raises(StoreUnavailable, match="not open"):
        PostgresStore(closed).execute([Get(NS, "k")])


def test_a_pool_that_is_used_up_ends_the_wait(pg_url: str) -> None:
    with PostgresStore(f"{pg_url}&max_size=1&pool_timeout=0.3") as store:
        store.execute([Put(NS, "k")])
        held = store._pools._take()
        with pytest.raises(StoreUnavailable, match="no connection was to be had"):
            store.execute([Get(NS, "k")])
        store._pools._give_back(held)
        assert store.execute([Count(NS)]) == [1]


# Odd data


@pytest.mark.parametrize("text", ["nul \0 word", "lone \ud800 word", "é" * 1_000_000 + " word"])
def test_texts_that_postgresql_does_not_hold(pg_store: PostgresStore, text: str) -> None:
    pg_store.execute([Put(NS, "k", text=text, blob=text.encode("utf-8", "surrogatepass"))])
    (found,) = pg_store.execute([Get(NS, "k")])
    assert found.text == text
    assert pg_store.execute([Match((), "word")])[0][0].record.text == text
    pg_store.execute([Patch(NS, "k", text="other")])
    assert pg_store.execute([Get(NS, "k"), Match((), "word")])[1] == []


def test_documents_that_jsonb_would_change(pg_store: PostgresStore) -> None:
    doc = {"nul": "\0", "float": 1e300, "zero": -0.0, "owner": "ana", "n": 1, "tags": ["a\0", "b"]}
    at = ("sessions",)
    pg_store.execute([Put(at, "s", doc={**doc, "created_at": 1})])
    pg_store.execute([Patch(at, "s", set={"more": 1e-9}, increment={"n": 2}, expect="present")])
    (found,) = pg_store.execute([Get(at, "s")])
    assert found.doc == {**doc, "created_at": 1, "more": 1e-9, "n": 3}
    assert str(found.doc["zero"]) == "-0.0"
    for filter in ({"owner": "ana"}, {"nul": "\0"}, {"n": 3}, {"tags": {"$contains": "a\0"}}):
        listed = Query(at, filter=filter, order_by="created_at")
        assert [one.key for one in pg_store.execute([listed])[0]] == ["s"], filter


@pytest.mark.parametrize("start", ["k" * 3_000, "é" * 3_000])
def test_names_and_keys_of_thousands_of_characters(pg_store: PostgresStore, start: str) -> None:
    names = [start + end for end in "cabd"]
    space = ("notes", start)
    pg_store.execute([Put(space, name, doc={"n": name[-1]}) for name in [*names, start, "z"]])
    scans = [
        Scan(space),
        Scan(space, start=start + "b", end=start + "d"),
        Scan(space, limit=2),
        Scan(space, reverse=True, limit=3),
    ]
    found = [[one.key for one in some] for some in pg_store.execute(scans)]
    everything = sorted([*names, start, "z"])
    assert found == [
        everything,
        [start + "b", start + "c"],
        everything[:2],
        everything[::-1][:3],
    ]
    assert pg_store.execute([Get(space, start + "a")])[0].doc == {"n": "a"}
    assert pg_store.execute([Delete(space, start + "a"), Count(("notes",), deep=True)]) == [True, 5]


def test_numbers_are_compared_as_numbers_and_names_are_no_sql(pg_store: PostgresStore) -> None:
    names = ["n'; DROP TABLE records; --", 'n"', "n%s", "$1", "a.b"]
    for number in (9, 10):
        doc = {"n": number, **{name: {"in": number} for name in names}}
        pg_store.execute([Put(NS, str(number), doc=doc)])
    for filter in ({"n": {"$gte": 10}}, {"n": 10}, *({name: {"in": 10}} for name in names)):
        found = pg_store.execute([Query(NS, filter=filter)])[0]
        assert [one.key for one in found] == ["10"], filter


def test_many_searches_in_one_batch(pg_store: PostgresStore) -> None:
    pg_store.execute([Put(NS, str(number), text=f"word{number}") for number in range(50)])
    found = pg_store.execute([Match((), f"word{number % 60}") for number in range(400)])
    assert [len(hits) for hits in found] == [int(number % 60 < 50) for number in range(400)]


def test_deleted_text_is_reclaimed_and_sizes_told(pg_store: PostgresStore) -> None:
    pg_store.execute([Put(NS, str(number), text="word " * 400) for number in range(200)])
    before = pg_store.file_bytes()
    pg_store.execute([Delete(NS, str(number)) for number in range(200)])
    # The server leaves out what its own housekeeping is at just now.
    began = time.monotonic()
    while True:
        assert pg_store.execute([Reclaim()]) == [None]
        if 0 < pg_store.file_bytes() < before:
            break
        assert time.monotonic() - began < 20
        time.sleep(0.2)


# Processes, loops


def test_a_fork_has_connections_of_its_own(pg_store: PostgresStore) -> None:
    pg_store.execute([Put(NS, "parent", doc={"n": 0})])
    child = os.fork()
    if child == 0:
        try:
            pg_store.execute([Put(NS, "child"), Patch(NS, "parent", increment={"n": 1})])
            os._exit(0)
        except BaseException:
            os._exit(1)
    for _ in range(20):
        pg_store.execute([Patch(NS, "parent", increment={"n": 1})])
    assert os.waitpid(child, 0)[1] == 0
    assert pg_store.execute([Get(NS, "parent"), Count(NS)])[0].doc == {"n": 21}


@pytest.mark.parametrize("how", ["sync", "async", "inside"])
def test_a_program_that_never_closes_ends(pg_url: str, how: str) -> None:
    program = _program("never_closed", pg_url, how)
    assert program.communicate(timeout=60)[0].strip() == "done"
    assert program.returncode == 0


def test_a_loop_of_its_own_and_others_beside_it(pg_url: str) -> None:
    async def work(store: PostgresStore, name: str) -> None:
        await asyncio.gather(*(store.aexecute([Put(NS, f"{name}{n}")]) for n in range(20)))

    async def main() -> PostgresStore:
        async with PostgresStore(pg_url) as store:
            other = threading.Thread(target=lambda: asyncio.run(work(store, "other")))
            other.start()
            await work(store, "own")
            await asyncio.to_thread(other.join)
            assert await store.aexecute([Count(NS)]) == store.execute([Count(NS)]) == [40]
            return store

    store = asyncio.run(main())
    with pytest.raises(StoreClosed):
        store.execute([Get(NS, "k")])


def test_opened_twice_and_closed_in_use_on_a_loop(pg_url: str) -> None:
    async def main() -> None:
        store = PostgresStore(pg_url)
        await asyncio.gather(store.aopen(), store.aopen())
        calls = [asyncio.ensure_future(store.aexecute([Put(NS, str(n))])) for n in range(15)]
        await store.aclose()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert not [end for end in ends if not isinstance(end, (list, StoreClosed))]

    asyncio.run(main())


def test_a_cancelled_write_is_over_when_it_returns(pg_url: str) -> None:
    async def main() -> None:
        async with PostgresStore(pg_url) as store:
            await store.aexecute([Put(NS, "k", doc={"n": 0})])
            for turn in range(1, 11):
                task = asyncio.ensure_future(store.aexecute([Patch(NS, "k", increment={"n": 1})]))
                await asyncio.sleep(0.0005 * (turn % 4))
                task.cancel()
                await asyncio.wait([task])
                first = await store.aexecute([Get(NS, "k")])
                assert first == await store.aexecute([Get(NS, "k")])

    asyncio.run(main())
