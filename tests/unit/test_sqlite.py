"""What is particular to the SQLite engine: its file, its format, its search index."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SchemaTooNew, SQLiteStore, StoreCheckpointer, StoreUnavailable
from threadloom.ops import (
    Check,
    Delete,
    DropTree,
    ExpectationFailed,
    Get,
    Match,
    Op,
    Patch,
    Put,
    Query,
    Scan,
)
from threadloom.stores.sqlite import points, schema, search
from threadloom.text import tokens


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def add_column(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE rec ADD COLUMN extra TEXT DEFAULT 'new'")


def fail(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE rec ADD COLUMN broken TEXT")
    raise RuntimeError("half-way")


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the library one that knows further formats."""

    def install(*steps: Callable[[sqlite3.Connection], None]) -> None:
        monkeypatch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS[:3], *steps])

    return install


def test_the_file_says_what_it_is(path: Path) -> None:
    SQLiteStore(path).close()
    assert ask(path, "PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    assert ask(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert ask(path, "PRAGMA journal_mode") == [("wal",)]
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    assert [file.name for file in path.parent.iterdir()] == ["s.db"]


def test_an_older_file_is_migrated_and_keeps_its_records(
    path: Path, newer: Callable[..., None]
) -> None:
    with SQLiteStore(path) as store:
        store.execute([Put(("a",), "k", {"x": 1}, b"blob", "some text")])
    newer(add_column)
    with SQLiteStore(path) as store:
        (records,) = store.execute([Scan(("a",))])
        assert [(record.key, record.doc, record.blob) for record in records] == [
            ("k", {"x": 1}, b"blob")
        ]
        store.execute([Put(("a",), "l", {"x": 2})])
    assert ask(path, "PRAGMA user_version") == [(4,)]
    assert ask(path, "SELECT key, extra FROM rec ORDER BY key") == [("k", "new"), ("l", "new")]


def test_a_migration_that_fails_changes_nothing(path: Path, newer: Callable[..., None]) -> None:
    SQLiteStore(path).close()
    before = ask(path, "SELECT sql FROM sqlite_schema")
    newer(add_column, fail)
    with pytest.raises(RuntimeError, match="half-way"):
        SQLiteStore(path)
    assert ask(path, "PRAGMA user_version") == [(3,)]
    assert ask(path, "SELECT sql FROM sqlite_schema") == before


def test_many_may_migrate_at_once(path: Path, newer: Callable[..., None]) -> None:
    SQLiteStore(path).close()
    newer(add_column)
    gate, errors = threading.Barrier(6), list[BaseException]()

    def open_it() -> None:
        try:
            gate.wait(20)
            SQLiteStore(path).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert ask(path, "PRAGMA user_version") == [(4,)]


def test_a_newer_file_is_refused_also_while_it_is_open(
    path: Path, newer: Callable[..., None]
) -> None:
    with SQLiteStore(path) as old:
        old.execute([Put(("a",), "k", {"x": 1})])
        newer(add_column)
        SQLiteStore(path).close()
        newer()
        with pytest.raises(SchemaTooNew, match="pip install --upgrade"):
            old.execute([Put(("a",), "k", {"x": 2})])
        with pytest.raises(SchemaTooNew, match="format 4"):
            SQLiteStore(path)
    assert ask(path, "SELECT doc FROM rec") == [('{"x":1}',)]


@pytest.mark.parametrize(("durability", "pragma"), [("normal", 1), ("full", 2)])
def test_durability_is_what_sqlite_is_told(path: Path, durability: str, pragma: int) -> None:
    with SQLiteStore(path, durability=durability) as store:  # type: ignore[arg-type]
        said = store._connections.write(
            lambda connection: connection.execute("PRAGMA synchronous").fetchone(),
            time.monotonic(),
        )
        assert said == (pragma,)


def test_waits_for_another_process_do_not_add_up(path: Path) -> None:
    waited: list[float] = []

    def write() -> None:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="locked"):
            store.execute([Put(("a",), "k", {})])
        waited.append(time.monotonic() - began)

    with (
        SQLiteStore(path, busy_timeout=1.0) as store,
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        threads = [threading.Thread(target=write) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(waited) == 6
        assert max(waited) < 2.5
        other.rollback()
        store.execute([Put(("a",), "k", {})])
        # Once somebody has got through, patience is whole again.
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, other.rollback).start()
        store.execute([Put(("a",), "k", {})])


def found(store: SQLiteStore, words: str) -> list[str]:
    (hits,) = store.execute([Match((), words)])
    return sorted(hit.record.key for hit in hits)


def test_the_search_index_is_fed_late_and_seen_by_every_process(path: Path) -> None:
    with SQLiteStore(path) as one, SQLiteStore(path) as other:
        one.execute([Put(("a",), str(n), {}, text=f"word{n} all") for n in range(10)])
        assert ask(path, "SELECT fed < tid FROM state") == [(1,)]
        assert found(other, "word3") == ["3"]
        assert ask(path, "SELECT fed = tid FROM state") == [(1,)]
        other.execute([Put(("a",), "3", {}, text="changed all")])
        assert found(one, "word3") == []
        assert found(one, "changed") == ["3"]
        one.execute([Delete(("a",), "4")])
        assert found(other, "all") == [str(n) for n in range(10) if n != 4]
        other.execute([DropTree(("a",))])
        assert found(one, "all changed") == []
    assert ask(path, "SELECT count(*) FROM ns") == [(0,)]


def test_a_backlog_is_fed_by_whoever_writes(path: Path) -> None:
    with SQLiteStore(path) as store:
        for n in range(search.BACKLOG):
            store.execute([Put(("a",), str(n), {}, text="word")])
        assert ask(path, "SELECT fed FROM state") == [(search.BACKLOG,)]
        store.execute([Put(("a",), "last", {}, text="word")])
    assert ask(path, "SELECT fed = tid FROM state") == [(1,)]  # closing fed the rest


SESSIONS = ("sessions",)


def listed(store: SQLiteStore, **filter: object) -> list[tuple[str, object]]:
    query = Query(SESSIONS, filter=filter or None, order_by="updated_at", descending=True)
    (records,) = store.execute([query])
    return [(record.key, record.body()["updated_at"]) for record in records]


def session(updated: int, **fields: object) -> dict[str, object]:
    return {"created_at": 1, "updated_at": updated, **fields}


def traced(store: SQLiteStore, call: Callable[[], object]) -> list[str]:
    """The statements of a write; SQLite tells of one again for each trigger that it fires."""
    seen: list[str] = []
    store._connections.write(lambda found: found.set_trace_callback(seen.append), time.monotonic())
    call()
    store._connections.write(lambda found: found.set_trace_callback(None), time.monotonic())
    return list(dict.fromkeys(one for one in seen if not one.startswith("-- ")))


def test_a_usual_batch_is_two_statements(path: Path) -> None:
    batch = [
        Check(("a",), "gone", "absent"),
        Put(("a",), "k", {}, text="some words"),
        Put(("a",), "kept", {}, keep=True),
        Patch(SESSIONS, "s", maximum={"updated_at": 7}, increment={"n": 1}, expect="present"),
    ]
    with SQLiteStore(path) as store:
        store.execute([Put(SESSIONS, "s", session(5, owner="ana"))])
        store.execute(batch)
        assert len(traced(store, lambda: store.execute(batch))) == 2
        assert listed(store) == listed(store, owner="ana") == [("s", 7)]
        assert found(store, "words") == ["k"]
        (record,) = store.execute([Get(SESSIONS, "s")])
        assert record.body()["n"] == 2


def test_stores_that_take_turns_know_what_the_other_wrote(path: Path) -> None:
    with SQLiteStore(path) as one, SQLiteStore(path) as other:
        versions = []
        for turn, store in enumerate([one, one, other, one, other, other, one]):
            (version,) = store.execute([Put(("a",), str(turn), {}, text=f"word{turn}")])
            versions.append(version)
        assert versions == sorted(set(versions))
        assert [found(one, f"word{turn}") for turn in range(7)] == [[str(n)] for n in range(7)]
        other.execute([DropTree(("a",))])
        one.execute([Put(("a",), "new", {})])
        assert [record.key for record in other.execute([Scan(("a",))])[0]] == ["new"]


@pytest.mark.parametrize(
    "nothing",
    [
        [Patch(("a",), "missing", set={"n": 1})],
        [Put(("a",), "k", {}, keep=True)],
        [Check(("a",), "k", "present"), Patch(("a",), "missing")],
    ],
)
def test_a_batch_that_changes_nothing_gives_no_version_out(path: Path, nothing: list[Op]) -> None:
    """Or the store would take the next write of another process for its own."""
    with SQLiteStore(path) as one, SQLiteStore(path) as other:
        one.execute([Put(("a",), "k", {})])
        one.execute(nothing)
        other.execute([DropTree(("a",)), Put(("b",), "k", {})])
        one.execute([Put(("a",), "new", {})])
        one.execute([Put(("b",), "l", {})])
        assert [record.key for record in other.execute([Scan(("a",))])[0]] == ["new"]
        assert [record.key for record in other.execute([Scan(("b",))])[0]] == ["k", "l"]


def test_listings_follow_every_way_to_write_a_session(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.execute([Put(SESSIONS, "a", session(1)), Put(SESSIONS, "b", session(2))])
        store.execute([Patch(SESSIONS, "a", maximum={"updated_at": 3})])
        assert listed(store) == [("a", 3), ("b", 2)]
        store.execute([Patch(SESSIONS, "b", set={"status": "error", "updated_at": 4})])
        assert listed(store) == [("b", 4), ("a", 3)]
        assert listed(store, status="error") == [("b", 4)]
        store.execute([Put(SESSIONS, "a", session(5, tags=["x"]))])
        assert listed(store, tags={"$contains": "x"}) == [("a", 5)]
        # A batch that deletes as well goes one by one.
        store.execute([Put(SESSIONS, "b", session(9)), Delete(SESSIONS, "a")])
        assert listed(store) == [("b", 9)]


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something between what the next batch reads and what it writes."""
    store = points.AtOnce._store

    def act_first(self: points.AtOnce, state: schema.State | None = None) -> bool:
        assert state is not None, "the batch goes step by step"
        monkeypatch.setattr(points.AtOnce, "_store", store)
        act()
        return store(self, state)

    monkeypatch.setattr(points.AtOnce, "_store", act_first)


def test_a_file_that_becomes_newer_in_the_middle_of_a_write_is_not_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = len(schema.MIGRATIONS)
    with SQLiteStore(path) as store:
        store.execute([Put(("a",), "k", {})])
        meanwhile(monkeypatch, lambda: ask(path, f"PRAGMA user_version = {newest + 1}"))
        with pytest.raises(SchemaTooNew):
            store.execute([Put(("a",), "late", {})])
        ask(path, f"PRAGMA user_version = {newest}")
        assert [record.key for record in store.execute([Scan(("a",))])[0]] == ["k"]


def test_a_write_of_another_process_in_the_middle_of_one_is_seen(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SQLiteStore(path) as one, SQLiteStore(path) as other:
        one.execute([Put(("a",), "k", {})])
        meanwhile(monkeypatch, lambda: other.execute([Put(("a",), "k", {"n": 1})]))
        with pytest.raises(ExpectationFailed):
            one.execute([Put(("a",), "k", {"n": 2}, expect=1)])
        one.execute([Put(("a",), "k", {})])
        meanwhile(monkeypatch, lambda: other.execute([DropTree(("a",))]))
        one.execute([Patch(("a",), "k", increment={"n": 1})])
        assert other.execute([Scan(("a",))]) == [[]]


@pytest.mark.parametrize("when", ["before", "between look and write"])
def test_a_text_that_was_fed_meanwhile_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The index must not keep words of a text that was replaced, whoever fed it."""
    with SQLiteStore(path) as one, SQLiteStore(path) as other:
        one.execute([Put(("a",), "k", {}, text="secret")])
        one.execute([Put(("a",), "l", {})])
        if when == "before":
            other._feed_search()
        else:
            meanwhile(monkeypatch, other._feed_search)
        one.execute([Put(("a",), "k", {}, text="harmless")])
    assert ask(path, "SELECT fed = tid FROM state") == [(1,)]
    assert ask(path, "SELECT rowid FROM fts WHERE fts MATCH 'secret'") == []
    assert len(ask(path, "SELECT rowid FROM fts WHERE fts MATCH 'harmless'")) == 1


def test_numbers_of_namespaces_are_never_used_again(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.execute([Put(("a",), "k", {})])
        store.execute([DropTree(("a",))])
        store.execute([Put(("b",), "k", {})])
    assert ask(path, "SELECT id, name FROM ns") == [(2, "b")]


def test_a_store_that_is_forgotten_leaves_no_warning(path: Path) -> None:
    program = (
        "import gc, sys; from threadloom import SQLiteStore; from threadloom.ops import Put\n"
        f"store = SQLiteStore({str(path)!r}); store.execute([Put(('a',), 'k', {{}})])\n"
        "del store; gc.collect()\n"
        f"kept = SQLiteStore({str(path)!r}); kept.execute([Put(('a',), 'l', {{}})])\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ask(path, "SELECT key FROM rec ORDER BY key") == [("k",), ("l",)]


def test_a_log_cannot_be_kept_on_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="folder"):
        SQLiteStore(tmp_path)


OTHER = """
import sys
from threadloom import SQLiteStore
with SQLiteStore(sys.argv[1]) as store:
    store.execute([])
"""

WRITER = """
import os, signal, sys
from threadloom import SQLiteStore
from threadloom.ops import Put
store = SQLiteStore(sys.argv[1])
store.execute([Put(("a",), "first", {})])
second = SQLiteStore(sys.argv[1])  # opening once more must not cost the locks of the first
second.close()
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    store.execute([Put(("a",), str(number), {})])
print("written", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_writes_survive_others_opening_and_closing_and_a_kill(path: Path) -> None:
    """Closing any handle of a file drops a process's locks on it, and then its log is lost."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "ready\n"
        subprocess.run([sys.executable, "-c", OTHER, str(path)], check=True, timeout=60)
        writer.stdin.write("go\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "written\n"
        with SQLiteStore(path) as store:
            assert len(store.execute([Scan(("a",))])[0]) == 51
    finally:
        writer.kill()
        writer.communicate(timeout=30)
    with SQLiteStore(path) as store:
        assert len(store.execute([Scan(("a",))])[0]) == 51


def test_a_listing_of_checkpoints_costs_a_constant_number_of_statements(path: Path) -> None:
    statements: list[str] = []
    with SQLiteStore(path) as store:
        saver = StoreCheckpointer(store)
        builder = StateGraph(MessagesState)
        builder.add_node("a", lambda state: {"messages": [("ai", "answer")]})
        builder.add_edge(START, "a")
        graph = builder.compile(checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": "x"}}
        for _ in range(20):
            graph.invoke({"messages": [("user", "question")]}, config)
        store._connections.read(lambda found: found.set_trace_callback(statements.append))
        costs = []
        for limit in (1, 10, 50):
            statements.clear()
            assert len(list(saver.list(config, limit=limit))) == limit
            costs.append(len(statements))
    assert len(set(costs)) == 1
    assert costs[0] < 20


@given(st.text(st.characters(max_codepoint=127, exclude_characters="\0"), max_size=40))
def test_of_ascii_the_index_makes_the_words_that_we_make(text: str) -> None:
    """So such texts need no tokenizing of ours, and are forgotten as they were fed before."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE fts USING fts5 (words, tokenize='ascii')")
        connection.execute("CREATE VIRTUAL TABLE found USING fts5vocab (fts, 'instance')")
        for number, words in enumerate((text, " ".join(tokens(text)))):
            connection.execute("INSERT INTO fts (rowid, words) VALUES (?, ?)", (number, words))
        rows = connection.execute("SELECT doc, term, col, offset FROM found").fetchall()
    ours = {row[1:] for row in rows if row[0] == 1}
    assert {row[1:] for row in rows if row[0] == 0} == ours
    assert len(ours) == len(tokens(text))
