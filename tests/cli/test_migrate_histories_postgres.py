"""Chat histories that three classes of LangChain's keep in PostgreSQL come over."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import sql
from psycopg.rows import dict_row

from servers import pgbouncer, postgres
from threadloom import InvalidKey, SessionManager, StoreUnavailable
from threadloom.migrate import MigrationReport, migrate_histories
from threadloom.migrate.sources import open_histories

from . import talks, threads
from .running import Result, fails
from .talks import EVERY, same, turns

with warnings.catch_warnings():  # one of the packages announces its end
    warnings.simplefilter("ignore")
    from langchain_community.chat_message_histories.postgres import (
        PostgresChatMessageHistory as CommunityHistory,
    )
    from langchain_postgres import PostgresChatMessageHistory

SESSIONS = [str(UUID(int=number)) for number in (7, 8)]


@contextmanager
def connected(schema: str) -> Iterator[psycopg.Connection[Any]]:
    path = f"-c search_path={schema}"
    with psycopg.connect(postgres.database_url(), autocommit=True, options=path) as connection:
        yield connection


@pytest.fixture
def schema(request: pytest.FixtureRequest) -> Iterator[str]:
    """A schema of a test's own, empty at first."""
    name = postgres.schema_of(request.node.nodeid)
    with connected(name) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        connection.execute(f"CREATE SCHEMA {name}")
        yield name
        connection.execute(f"DROP SCHEMA {name} CASCADE")


def by_langchain_postgres(schema: str, table: str = "chat") -> None:
    with connected(schema) as connection:
        PostgresChatMessageHistory.create_tables(connection, table)
        for session, messages in zip(SESSIONS, (EVERY, turns(3)), strict=True):
            history = PostgresChatMessageHistory(table, session, sync_connection=connection)
            history.add_messages(messages[:2])
            history.add_messages(messages[2:])


def by_community(schema: str) -> None:
    path = f"options=-csearch_path%3D{schema}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for session, messages in zip(SESSIONS, (EVERY, turns(3)), strict=True):
            history = CommunityHistory(session, f"{postgres.database_url()}?{path}")
            history.add_messages(messages)
            history.cursor.close()
            history.connection.close()


def by_sqlalchemy(schema: str) -> None:
    url = postgres.database_url().replace("postgresql://", "postgresql+psycopg://")
    for session, messages in zip(SESSIONS, (EVERY, turns(3)), strict=True):
        talks.add(f"{url}?options=-csearch_path%3D{schema}", session, messages)


def outcomes(report: MigrationReport) -> dict[str, str]:
    return {history.id: history.outcome for history in report.threads}


@pytest.fixture
def sessions() -> Iterator[SessionManager]:
    with SessionManager("memory://") as manager:
        yield manager


def test_a_table_may_be_called_anything(schema: str, sessions: SessionManager) -> None:
    by_langchain_postgres(schema)
    odd = 'of 100 %s "x" {y}'
    with connected(schema) as connection:
        name = sql.Identifier(odd).as_string(connection)
        connection.execute(f"ALTER TABLE chat RENAME TO {name}".encode())
    report = migrate_histories(postgres.url_of(schema), sessions)
    assert outcomes(report) == dict.fromkeys(SESSIONS, "migrated")
    same(sessions.memory(SESSIONS[1]).load(), turns(3))


@pytest.mark.parametrize("write", [by_langchain_postgres, by_community, by_sqlalchemy])
def test_what_each_class_wrote_is_there(write: Any, schema: str, new: Path) -> None:
    write(schema)
    old = postgres.url_of(schema)
    with SessionManager(f"sqlite:///{new}") as manager:
        report = migrate_histories(old, manager)
        assert outcomes(report) == dict.fromkeys(SESSIONS, "migrated")
        assert report.bytes_before > 8000
        same(manager.memory(SESSIONS[0]).load(), EVERY)
        same(manager.memory(SESSIONS[1]).load(), turns(3))
        info = manager.get_session(SESSIONS[0])
        assert info is not None
        assert info.metadata["migrated_from"]["source"] == "langchain-postgres"
        assert set(outcomes(migrate_histories(old, manager)).values()) == {"skipped"}
        write(schema)
        grown = migrate_histories(old, manager)
        assert outcomes(grown) == dict.fromkeys(SESSIONS, "updated")
        assert [history.messages for history in grown.threads] == [len(EVERY), 3]
        # Where ids come again they are told apart, as they are in the first place.
        assert len(manager.memory(SESSIONS[0]).load()) == 2 * len(EVERY)


def test_messages_keep_the_times_of_their_rows(schema: str, new: Path) -> None:
    by_langchain_postgres(schema)
    first = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    with connected(schema) as connection:
        connection.execute(
            "UPDATE chat SET created_at = %s::timestamptz + id * interval '1 hour'", [first]
        )
        connection.execute("UPDATE chat SET created_at = 'infinity' WHERE id = 2")
    assert migrate_histories(postgres.url_of(schema), f"sqlite:///{new}").complete
    with SessionManager(f"sqlite:///{new}") as manager:
        found = [
            message.created_at
            for session in SESSIONS
            for message in manager.memory(session).load_with_timestamps()
        ]
        hours = [1, 1, *range(3, len(EVERY) + 4)]  # the second has that of the one before it
        assert found == [first + timedelta(hours=hour) for hour in hours]
        listed = manager.list_sessions(order_by="updated_at")
        assert [info.updated_at for info in listed] == [found[-1], found[len(EVERY) - 1]]
        assert listed[-1].created_at == found[0]


def test_sessions_without_times_stay_in_order(schema: str, new: Path) -> None:
    by_community(schema)
    before = datetime.now(UTC)
    migrate_histories(postgres.url_of(schema), f"sqlite:///{new}")
    with SessionManager(f"sqlite:///{new}") as manager:
        last, first = manager.list_sessions(order_by="updated_at")
        assert [first.id, last.id] == SESSIONS
        assert before - timedelta(seconds=1) < first.updated_at < last.updated_at


def test_it_only_reads_and_a_pooler_keeps_nothing(schema: str, sessions: SessionManager) -> None:
    by_langchain_postgres(schema)
    content = "SELECT xmin::text, * FROM chat ORDER BY id"
    with connected(schema) as connection:
        before = connection.execute(content).fetchall()
        url = pgbouncer.pooler().url(schema)
        assert migrate_histories(url, sessions).complete
        assert connection.execute(content).fetchall() == before
    with open_histories(url) as source:
        source.choose(None)
        with source.at_one_moment():
            assert len(source.sessions()) == 2
            with pytest.raises(StoreUnavailable, match="read-only transaction"):
                source.rows("DELETE FROM chat RETURNING id")  # type: ignore[attr-defined]
    with psycopg.connect(url.partition("?")[0], autocommit=True, prepare_threshold=None) as other:
        (found,) = other.execute("SHOW search_path").fetchone() or ("",)
        assert schema not in found


def test_a_damaged_row_fails_its_session_alone(schema: str, sessions: SessionManager) -> None:
    by_sqlalchemy(schema)
    with connected(schema) as connection:
        connection.execute("UPDATE message_store SET message = '{' WHERE id = 2")
        connection.execute("INSERT INTO message_store (id, message) VALUES (99, '{}')")
    report = migrate_histories(postgres.url_of(schema), sessions)
    assert outcomes(report) == {SESSIONS[0]: "failed", SESSIONS[1]: "migrated", "": "failed"}
    assert report.threads[0].reason.startswith("row 2 is no JSON")


def test_of_several_tables_one_is_named(schema: str, new: Path, sessions: SessionManager) -> None:
    by_langchain_postgres(schema, "a")
    by_community(schema)
    old = postgres.url_of(schema)
    with pytest.raises(InvalidKey, match="a, message_store: say which by --table"):
        migrate_histories(old, sessions)
    assert migrate_histories(old, sessions, table="a").complete
    assert "no table 'b'" in fails(1, "migrate", old, new, "--table", "b")
    with connected(schema) as connection:
        connection.execute("DROP TABLE a, message_store")
        connection.execute("CREATE TABLE a (id int, session_id text, message int)")
    with pytest.raises(StoreUnavailable, match="no table has the columns"):
        migrate_histories(old, sessions)
    assert "nor is there a table of LangChain's" in fails(1, "migrate", old, new)


def test_from_the_command_line(schema: str, new: Path) -> None:
    by_langchain_postgres(schema)
    old = postgres.url_of(schema).replace("threadloom@", "threadloom:hush@")
    tried = Result("migrate", old, new, "--dry-run", "--json")
    assert (tried.code, tried.err) == (0, "")
    assert [history["messages"] for history in tried.document["threads"]] == [len(EVERY), 3]
    assert not new.exists()
    done = Result("migrate", old, new, "--thread", SESSIONS[1])
    assert (done.code, done.err) == (0, "")
    assert [row[:3] for row in done.rows] == [[SESSIONS[1], "migrated", "3"]]
    with connected(schema) as connection:
        connection.row_factory = dict_row
        saver = PostgresSaver(connection)
        saver.setup()
        threads.turns(threads.chat().compile(checkpointer=saver), "thread", 1)
    both = Result("migrate", old, new)
    assert [row[0] for row in both.rows] == ["thread"]
    assert "chat histories as well" in both.err
    assert "--table chat" in both.err
    named = Result("migrate", old, new, "--table", "chat")
    assert {row[0]: row[1] for row in named.rows} == dict(
        zip(SESSIONS, ("migrated", "skipped"), strict=True)
    )
    wrong = Result("migrate", old, new, "--table", "other")
    for shown in (tried, done, both, named, wrong):
        assert "hush" not in shown.out + shown.err


def test_rows_that_went_away_are_noticed(schema: str, sessions: SessionManager) -> None:
    by_langchain_postgres(schema)
    with closing(open_histories(postgres.url_of(schema))) as source, connected(schema) as other:
        listed = source.sessions

        def listing() -> Any:
            found = listed()
            other.execute("DELETE FROM chat WHERE session_id = %s", [SESSIONS[0]])
            return found

        source.sessions = listing  # type: ignore[method-assign]
        report = migrate_histories(source, sessions)
    assert outcomes(report) == {SESSIONS[0]: "failed", SESSIONS[1]: "migrated"}
    assert "went away" in report.threads[0].reason
