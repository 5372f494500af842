"""What LangGraph's PostgresSaver and PostgresStore wrote is there after the migration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.store.postgres import PostgresStore
from langgraph.types import Command
from psycopg.rows import dict_row
from typer.testing import CliRunner

from servers import pgbouncer, postgres
from threadloom import SessionManager, StoreUnavailable
from threadloom.cli.app import app
from threadloom.migrate import migrate_langgraph
from threadloom.migrate.sources import open_source

from . import threads
from .threads import ALL, ASYNC, RESUMED, THREADS, config

SCHEMA = "langgraph"
SHORT = [name for name in ALL if name != "long"]


@contextmanager
def connected() -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(
        postgres.database_url(),
        autocommit=True,
        prepare_threshold=0,
        row_factory=dict_row,
        options=f"-c search_path={SCHEMA}",
    ) as connection:
        yield connection


@pytest.fixture(scope="module")
def old() -> str:
    """The URL of a schema that both savers and the store have filled; nobody writes to it."""
    with psycopg.connect(postgres.database_url(), autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
    with connected() as connection:
        saver = PostgresSaver(connection)
        saver.setup()
        for name, (builder, run) in THREADS.items():
            run(builder().compile(checkpointer=saver), name)
        store = PostgresStore(connection)
        store.setup()
        store.put(("facts", "ana"), "home", {"text": "Oslo", "n": 2**60, "list": [1, None]})
        store.put(("facts", "ana"), "home", {"text": "Bergen", "n": 2**60, "list": [1, None]})
        store.put(("facts",), "short", {"x": 1}, ttl=60)
        connection.execute(
            "UPDATE store SET created_at = '2026-01-02 03:04:05+00', "
            "updated_at = '2026-02-03 04:05:06.000007+00' WHERE key = 'home'"
        )
    _run_async()
    return f"{postgres.database_url()}?schema={SCHEMA}"


def _run_async() -> None:
    import asyncio

    async def more() -> None:
        url = f"{postgres.database_url()}?options=-csearch_path%3D{SCHEMA}"
        async with AsyncPostgresSaver.from_conn_string(url) as saver:
            for name, (builder, run) in ASYNC.items():
                await run(builder().compile(checkpointer=saver), name)

    asyncio.run(more())


@pytest.fixture(scope="module")
def migrated(old: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was brought over; nobody may write to it."""
    path = tmp_path_factory.mktemp("brought") / "sessions.db"
    report = migrate_langgraph(old, f"sqlite:///{path}")
    assert report.complete, report
    assert {thread.id for thread in report.threads} == set(ALL)
    assert report.items == 2
    assert report.bytes_before > path.stat().st_size
    return path


@pytest.fixture
def brought(migrated: Path, tmp_path: Path) -> Iterator[SessionManager]:
    """The sessions of a copy of it."""
    path = tmp_path / "brought.db"
    shutil.copyfile(migrated, path)
    with SessionManager(f"sqlite:///{path}") as sessions:
        yield sessions


def in_full(saver: Any, thread: str) -> dict[tuple[str, str], Any]:
    return {
        (item.config["configurable"]["checkpoint_ns"], item.checkpoint["id"]): item
        for item in saver.list(config(thread))
    }


@pytest.mark.parametrize("thread", SHORT)
def test_a_thread_is_as_it_was(thread: str, brought: SessionManager) -> None:
    with connected() as connection:
        expected = in_full(PostgresSaver(connection), thread)
    found = in_full(brought.checkpointer(), thread)
    assert expected
    assert found.keys() == expected.keys()
    for place, item in expected.items():
        mine = found[place]
        assert mine.checkpoint == item.checkpoint
        assert (mine.metadata, mine.parent_config) == (item.metadata, item.parent_config)
        # LangGraph's order of pending writes is that of its table here.
        key = repr
        assert sorted(mine.pending_writes or [], key=key) == sorted(
            item.pending_writes or [], key=key
        )


def test_a_long_thread_reads_as_it_did(brought: SessionManager) -> None:
    graph = threads.chat().compile(checkpointer=brought.checkpointer())
    with connected() as connection:
        before = threads.chat().compile(checkpointer=PostgresSaver(connection))
        assert graph.get_state(config("long")) == before.get_state(config("long"))
    info = brought.get_session("long")
    assert info is not None
    assert (info.message_count, info.turn_count) == (2 * threads.LONG, threads.LONG)
    assert info.metadata["migrated_from"]["source"] == "langgraph-postgres"


@pytest.mark.parametrize("thread", RESUMED)
def test_an_interrupted_run_goes_on(thread: str, brought: SessionManager) -> None:
    builder = ALL[thread][0]
    graph = builder().compile(checkpointer=brought.checkpointer())
    asked = 0
    while graph.get_state(config(thread)).next:
        graph.invoke(Command(resume=f"answer {asked}"), config(thread))
        asked += 1
    assert asked > 0
    info = brought.get_session(thread)
    assert info is not None
    assert info.status == "idle"


def test_items_keep_their_values_times_and_lives(old: str, brought: SessionManager) -> None:
    home = brought.store.get(("facts", "ana"), "home")
    assert home is not None
    assert home.value == {"text": "Bergen", "n": 2**60, "list": [1, None]}
    assert home.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert home.updated_at == datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
    with open_source(old) as source:
        (short,) = [item for item in source.items() if item.key == "short"]
    assert short.expires_at is not None
    left = short.expires_at - datetime.now(UTC)
    assert timedelta(minutes=50) < left <= timedelta(minutes=60)
    assert brought.store.get(("facts",), "short", refresh_ttl=False) is not None


def test_once_more_brings_nothing_twice(old: str, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path}/new.db"
    first = migrate_langgraph(old, new, threads=["forked"])
    assert (first.count("migrated"), first.items) == (1, 0)
    assert migrate_langgraph(old, new, threads=["forked"]).count("skipped") == 1
    with SessionManager(new) as sessions:
        sessions.store.put(("facts", "ana"), "home", {"text": "younger"})
        report = migrate_langgraph(old, sessions, threads=None)
        assert report.complete
        assert report.items == 1
        kept = sessions.store.get(("facts", "ana"), "home")
        assert kept is not None
        assert kept.value == {"text": "younger"}
        assert migrate_langgraph(old, sessions).items == 0


def test_from_the_command_line(old: str, tmp_path: Path) -> None:
    run = CliRunner().invoke
    new = str(tmp_path / "new.db")
    tried = run(app, ["migrate", old, new, "--dry-run", "--json"])
    assert tried.exit_code == 0, tried.output
    assert not Path(new).exists()
    assert json.loads(tried.stdout)["items"] == 2
    done = run(app, ["migrate", old, new])
    assert done.exit_code == 0, done.output
    assert "Items of long-term memory written: 2" in done.output
    secret = old.replace("threadloom@", "threadloom:hush@")
    for told in (["migrate", secret, new], ["show", secret, "x"], ["list", secret, "--json"]):
        assert "hush" not in run(app, told).output, told


def test_a_dry_run_makes_nothing(old: str, tmp_path: Path) -> None:
    place = postgres.schema_of("a dry run")
    url = postgres.url_of(place)
    report = migrate_langgraph(old, url, threads=["forked"], dry_run=True)
    assert report.count("migrated") == 1
    with SessionManager(f"sqlite:///{tmp_path}/a.db") as sessions:
        sessions.create_session(id="x")
    tried = CliRunner().invoke(app, ["copy", f"{tmp_path}/a.db", url, "--dry-run"])
    assert tried.exit_code == 0, tried.output
    with psycopg.connect(postgres.database_url()) as connection:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [place])
        assert found.fetchone() is None


def test_a_pooler_keeps_nothing_of_it(old: str) -> None:
    """What the reader says to a server's connection must not be there for the next client."""
    url = pgbouncer.pooler().url(SCHEMA)
    with open_source(url) as source:
        assert len(source.threads()) == len(ALL)
        with source.at_one_moment():
            assert source.outline("forked").checkpoints > 3
        assert source.count_items() == 2
    with psycopg.connect(url.partition("?")[0], autocommit=True, prepare_threshold=None) as other:
        for name, expected in (("default_transaction_read_only", "off"), ("search_path", None)):
            row = other.execute(f"SHOW {name}").fetchone()
            assert row is not None
            assert row[0] == expected or (expected is None and SCHEMA not in row[0])


def test_what_is_no_source_says_so() -> None:
    with pytest.raises(StoreUnavailable, match="holds nothing of LangGraph's"):
        open_source(f"{postgres.database_url()}?schema=nothing_here")
    with pytest.raises(StoreUnavailable, match="cannot be read") as caught:
        open_source("postgresql://ana:hush@127.0.0.1:1/x?connect_timeout=2")
    assert "hush" not in str(caught.value)


def test_sends_of_old_checkpoints_are_read_from_the_checkpoint_before(old: str) -> None:
    """Before its format 4, LangGraph kept what tasks send with the writes of the parent."""
    serde = JsonPlusSerializer()
    with connected() as connection:
        for id, parent, versions in (("1", None, {"a": "1"}), ("2", "1", {"a": "2"})):
            state = {"v": 3, "id": id, "ts": "2025-01-01T00:00:00+00:00"} | {
                "channel_values": {"a": 1},
                "channel_versions": versions,
                "versions_seen": {},
            }
            connection.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, parent_checkpoint_id, "
                "checkpoint, metadata) VALUES ('old', %s, %s, %s, '{}')",
                (id, parent, json.dumps(state)),
            )
        for number, word in enumerate("xy"):
            kind, blob = serde.dumps_typed(word)
            connection.execute(
                "INSERT INTO checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, "
                "type, blob) VALUES ('old', '1', 't', %s, '__pregel_tasks', %s, %s)",
                (number, kind, blob),
            )
        try:
            expected = PostgresSaver(connection).get_tuple(config("old"))
            with SessionManager("memory://") as sessions:
                assert migrate_langgraph(old, sessions, threads=["old"]).complete
                found = sessions.checkpointer().get_tuple(config("old"))
        finally:
            for table in ("checkpoints", "checkpoint_writes"):
                connection.execute(f"DELETE FROM {table} WHERE thread_id = 'old'")
    assert expected is not None
    assert found is not None
    assert expected.checkpoint["channel_values"]["__pregel_tasks"] == ["x", "y"]
    assert found.checkpoint == expected.checkpoint
