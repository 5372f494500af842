"""Bad input: a clear error of our own, and nothing lost or half-written."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.base import InvalidNamespaceError

from threadloom import (
    CorruptRecord,
    InvalidKey,
    MissingAdapter,
    SchemaTooNew,
    SerializationError,
    SessionManager,
    StoreUnavailable,
    ThreadloomError,
    open_store,
)
from threadloom.stores import registry

from .helpers import Door, chat_graph, config, rows, run_program, texts


def fill(file_url: str) -> None:
    with SessionManager(file_url) as sessions:
        graph = chat_graph(sessions.checkpointer())
        sessions.create_session(id="s", name="kept", tags=["t"])
        for number in range(3):
            sessions.memory("s").append(HumanMessage(f"h{number}"))
            graph.invoke({"messages": [HumanMessage(f"g{number}")]}, config("s"))


FILLED = ["h0", "g0", "re: g0", "h1", "g1", "re: g1", "h2", "g2", "re: g2"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# URLs


@pytest.mark.parametrize("url", ["mysql://host/db", "nosuch://", "sqlite3:///x.db", "redi://x"])
def test_an_unknown_scheme_says_what_there_is(url: str) -> None:
    for opening in (open_store, SessionManager):
        with pytest.raises(MissingAdapter, match="sqlite:///") as caught:
            opening(url)
        assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize(
    ("url", "extra"),
    [
        ("postgresql://u:p@host/db", "postgres"),
        ("postgres://host/db", "postgres"),
        ("redis://host", "redis"),
        ("rediss://host", "redis"),
        ("redis+cluster://host", "redis"),
    ],
)
def test_a_missing_adapter_says_what_to_install(
    url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: ())  # as where none is installed
    with pytest.raises(MissingAdapter) as caught:
        SessionManager(url)
    assert f'pip install "threadloom[{extra}]"' in str(caught.value)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sessions.db",
        "/tmp/sessions.db",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/path.db",
        "sqlite:///:memory:",
        "memory://name",
        "memory:",
        "sqlite:///x.db?durability=most",
        "sqlite:///x.db?busy_timeout=soon",
        "sqlite:///x.db?busy_timeout=nan",
        "sqlite:///x.db?busy_timeout=-1",
        "sqlite:///x.db?colour=blue",
        "sqlite:///x.db?mode=memory",
        "sqlite:///x\0.db",
        "sqlite:///x%00.db",
        5,
        None,
        b"sqlite:///x.db",
    ],
    ids=repr,
)
def test_a_url_that_makes_no_sense(
    url: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for opening in (open_store, SessionManager):
        with pytest.raises(InvalidKey):
            opening(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x y.db", "x?y.db", "x#y.db", "x%y.db", "ø🧵.db", "'.db"])
def test_odd_file_names_are_file_names(tmp_path: Path, name: str) -> None:
    from urllib.parse import quote

    with SessionManager(f"sqlite:///{quote(str(tmp_path / name))}") as sessions:
        sessions.create_session(id="s")
    assert [path.name for path in tmp_path.iterdir()] == [name]


# Files


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="missing does not exist"):
        SessionManager(f"sqlite:///{tmp_path}/missing/s.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "s.db").mkdir()
    with pytest.raises(StoreUnavailable, match="folder"):
        SessionManager(f"sqlite:///{tmp_path}/s.db")
    assert list((tmp_path / "s.db").iterdir()) == []


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(StoreUnavailable, match="folder"):
        SessionManager(f"sqlite:///{tmp_path}/f/s.db")


@pytest.mark.parametrize(
    "content", [b"not a database", b"\0" * 5000, b"SQLite format 3\0" + b"x" * 5000, b"x" * 99]
)
def test_a_file_that_is_no_database_is_left_alone(
    tmp_path: Path, file: Path, file_url: str, content: bytes
) -> None:
    file.write_bytes(content)
    before = snapshot(tmp_path)
    with pytest.raises((StoreUnavailable, CorruptRecord), match=r"sessions\.db"):
        SessionManager(file_url)
    assert snapshot(tmp_path) == before


def langgraph_file(file: Path) -> SqliteSaver:
    saver = SqliteSaver(sqlite3.connect(file, check_same_thread=False))
    chat_graph(saver).invoke({"messages": [HumanMessage("precious")]}, config("t"))
    return saver


def test_a_file_of_langgraphs_sqlite_saver_is_left_alone(
    tmp_path: Path, file: Path, file_url: str
) -> None:
    saver = langgraph_file(file)
    saver.conn.close()
    before = snapshot(tmp_path)
    with pytest.raises(StoreUnavailable, match="SqliteSaver"):
        SessionManager(file_url)
    assert snapshot(tmp_path) == before
    with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        state = chat_graph(SqliteSaver(connection)).get_state(config("t"))
        assert texts(state.values["messages"]) == ["precious", "re: precious"]


def test_a_saver_that_has_its_file_open_goes_on(file: Path, file_url: str) -> None:
    saver = langgraph_file(file)
    with pytest.raises(StoreUnavailable, match="SqliteSaver"):
        SessionManager(file_url)
    after = chat_graph(saver).invoke({"messages": [HumanMessage("more")]}, config("t"))
    assert len(after["messages"]) == 4
    saver.conn.close()


def test_what_a_killed_saver_left_is_left_alone(tmp_path: Path, file: Path, file_url: str) -> None:
    """Its last writes are in the log beside the file."""
    (tmp_path / "live").mkdir()
    live = tmp_path / "live" / file.name
    saver = langgraph_file(live)
    for path in live.parent.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copy(path, tmp_path / path.name)
    saver.conn.close()
    before = snapshot(tmp_path)
    assert set(before) == {file.name, file.name + "-wal"}
    with pytest.raises(StoreUnavailable, match="SqliteSaver"):
        SessionManager(file_url)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("marked", [False, True])
def test_another_programs_database_is_left_alone(
    tmp_path: Path, file: Path, file_url: str, mode: str, marked: bool
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE rec (precious TEXT)")
        connection.execute("INSERT INTO rec VALUES ('kept')")
        if marked:
            connection.execute("PRAGMA application_id = 77")
            connection.execute("PRAGMA user_version = 1")
        connection.commit()
    before = snapshot(tmp_path)
    with pytest.raises(StoreUnavailable, match="another program") as caught:
        SessionManager(file_url)
    assert "file of its own" in str(caught.value)
    assert snapshot(tmp_path) == before
    assert rows(file) == [("kept",)]


def test_a_newer_format_is_refused_and_says_what_to_install(
    tmp_path: Path, file: Path, file_url: str
) -> None:
    fill(file_url)
    with closing(sqlite3.connect(file)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.commit()
    before = snapshot(tmp_path)
    with pytest.raises(SchemaTooNew, match="pip install --upgrade threadloom"):
        SessionManager(file_url)
    assert snapshot(tmp_path) == before


def without_rights(url: str) -> dict[str, tuple[str | None, bool, str]]:
    found = {}
    for line in run_program("without_rights", url):
        what, kind, ours, message = json.loads(line)
        found[what] = (kind, ours, message)
    return found


def open_to_all(path: Path) -> None:
    """Everybody may walk down to `path`; the temporary folders are private otherwise."""
    for folder in path.parents:
        if folder.owner() != "root" or folder.stat().st_mode & 0o005 != 0o005:
            try:
                folder.chmod(folder.stat().st_mode | 0o055)
            except PermissionError:
                break


@pytest.mark.parametrize("what", ["file", "folder", "file and folder", "new file"])
def test_a_place_that_may_not_be_written(tmp_path: Path, file: Path, what: str) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    file = folder / "s.db"
    if what != "new file":
        fill(f"sqlite:///{file}")
    open_to_all(file)
    before = snapshot(folder)
    file_mode = 0o444 if "file" in what else 0o666
    folder_mode = 0o777 if what == "file" else 0o555
    if file.exists():
        file.chmod(file_mode)
    folder.chmod(folder_mode)
    try:
        found = without_rights(f"sqlite:///{file}")
        for step in ("open", "read", "write"):
            kind, ours, message = found.get(step, (None, True, ""))
            assert ours or kind is None, (step, kind, message)
            if kind is not None:
                assert kind == "StoreUnavailable", (step, kind, message)
                assert "s.db" in message
                assert any(word in message for word in ("writ", "permission", "read")), message
        assert found["open"][0] or found["write"][0], found
        assert "read nothing" not in found
    finally:
        folder.chmod(0o755)
    assert snapshot(folder).get("s.db") == before.get("s.db")


def test_a_full_disk_loses_nothing_that_was_stored(file_url: str) -> None:
    (line,) = run_program("full_disk", file_url)
    stored, kind, ours, message = json.loads(line)
    assert (kind, ours) == ("StoreUnavailable", True), (kind, message)
    assert stored > 2
    assert "sessions.db" in message
    with SessionManager(file_url) as sessions:
        found = [text.split(":x")[0] for text in texts(sessions.memory("s").messages)]
        assert found == [f"{n}:{part}" for n in range(stored) for part in range(2)]
        assert sessions.get_session("s").message_count == 2 * stored
        sessions.memory("s").append(HumanMessage("there is room again"))


def test_a_truncated_file_is_damage_and_never_empty(tmp_path: Path, file: Path) -> None:
    fill(f"sqlite:///{file}")
    whole = file.read_bytes()
    rng = random.Random(7)  # one byte alone is an empty file to SQLite, as none is
    cuts = {2, 50, 99, 100, 512, 4096, len(whole) // 2, len(whole) - 1, len(whole) - 4096}
    cuts |= {rng.randrange(2, len(whole)) for _ in range(10)}
    refused = 0
    for cut in sorted(cuts):
        part = tmp_path / f"{cut}.db"
        part.write_bytes(whole[:cut])
        try:
            with SessionManager(f"sqlite:///{part}") as sessions:
                assert [info.id for info in sessions.list_sessions()] == ["s"], cut
                assert texts(sessions.messages("s")) == FILLED, cut
                assert sessions.checkpointer().get_tuple(config("s")) is not None
        except ThreadloomError:
            refused += 1
    assert refused > len(cuts) // 2


# Arguments


def test_an_order_that_does_not_exist(do: Door, sessions: SessionManager) -> None:
    for order in ("name", "created_at; DROP TABLE rec", "", None):
        with pytest.raises(ValueError, match="created_at") as caught:
            do(sessions, "list_sessions", order_by=order)
        assert isinstance(caught.value, ThreadloomError)


def test_a_status_that_does_not_exist(do: Door, sessions: SessionManager) -> None:
    for method in ("list_sessions", "count_sessions"):
        with pytest.raises(ValueError, match="idle") as caught:
            do(sessions, method, status="sleeping")
        assert isinstance(caught.value, ThreadloomError)


def test_a_naive_time_is_refused(do: Door, sessions: SessionManager) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    for method in ("list_sessions", "count_sessions"):
        for field in ("created_since", "updated_since"):
            with pytest.raises(ValueError, match="zone") as caught:
                do(sessions, method, **{field: naive})
            assert isinstance(caught.value, ThreadloomError)


def test_other_arguments_that_make_no_sense(do: Door, sessions: SessionManager) -> None:
    sessions.create_session(id="s")
    for name, args, options in (
        ("create_session", (), {"ttl": timedelta(0)}),
        ("create_session", (), {"ttl": 5}),
        ("create_session", (), {"tags": "one"}),
        ("create_session", (), {"tags": [""]}),
        ("create_session", (), {"tags": [1]}),
        ("create_session", (), {"name": 5}),
        ("create_session", (), {"owner": "\0"}),
        ("create_session", (), {"context": {"planet": "mars"}}),
        ("create_session", (), {"context": {"room_id": 5}}),
        ("create_session", (), {"if_exists": "replace"}),
        ("create_session", (), {"id": "s", "metadata": {"x": {1}}}),
        ("update_session", ("s",), {"ttl": timedelta(-1)}),
        ("rename_session", ("s", "\ud800"), {}),
        ("tag_session", ("s", ""), {}),
        ("list_sessions", (), {"after": "garbage"}),
        ("list_sessions", (), {"after": "W10="}),
        ("list_sessions", (), {"after": 5}),
        ("list_sessions", (), {"tags": [5]}),
        ("messages", ("s",), {"source": "nowhere"}),
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            do(sessions, name, *args, **options)
        assert isinstance(caught.value, ThreadloomError), (name, options, caught.value)
    assert [info.id for info in sessions.list_sessions()] == ["s"]
    info = sessions.get_session("s")
    assert (info.name, info.tags, info.expires_at) == ("", (), None)


@pytest.mark.parametrize("number", [2**63, 2**63 - 1, 2**70])
def test_huge_limits_are_limits(do: Door, sessions: SessionManager, number: int) -> None:
    sessions.memory("s").append(HumanMessage("x"))
    chat_graph(sessions.checkpointer()).invoke({"messages": [HumanMessage("y")]}, config("s"))
    assert len(do(sessions, "list_sessions", limit=number)) == 1
    assert len(do(sessions.memory("s"), "load", limit=number)) == 1
    assert len(do(sessions, "messages", "s", limit=number)) == 3
    assert len(do(sessions.checkpointer(), "list", config("s"), limit=number)) == 3


@pytest.mark.parametrize(
    "metadata",
    [
        {"x": {1, 2}},
        {"x": b"bytes"},
        {"x": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"x": float("nan")},
        {"x": float("inf")},
        {1: "x"},
        {"x": {2: 3}},
        {"x": "\ud800"},
        {"x": object()},
        ["no", "dict"],
        "text",
    ],
)
def test_metadata_that_is_not_json(do: Door, sessions: SessionManager, metadata: Any) -> None:
    sessions.create_session(id="s", metadata={"kept": 1})
    for name, args, options in (
        ("create_session", (), {"id": "new"}),
        ("update_session", ("s",), {}),
        ("update_session", ("new",), {"create": True}),
    ):
        with pytest.raises((SerializationError, InvalidKey)):
            do(sessions, name, *args, metadata=metadata, **options)
    assert sessions.get_session("new") is None
    assert sessions.get_session("s").metadata == {"kept": 1}


def test_what_is_no_message_is_refused(do: Door, sessions: SessionManager) -> None:
    history = sessions.memory("s")
    for bad in ("text", {"role": "user", "content": "x"}, None, 5):
        with pytest.raises(SerializationError, match="message"):
            do(history, "add_messages", [HumanMessage("good"), bad])
    assert do.history(history) == []
    assert sessions.get_session("s") is None


def test_values_of_the_store_that_are_not_json(do: Door, sessions: SessionManager) -> None:
    for value in ({"x": {1}}, {"x": float("nan")}, {1: 2}, {"x": b""}, {"x": "\ud800"}):
        with pytest.raises(SerializationError):
            do(sessions.store, "put", ("notes",), "k", value)
    assert do(sessions.store, "get", ("notes",), "k") is None


def test_namespaces_and_keys_that_cannot_be(do: Door, sessions: SessionManager) -> None:
    for namespace in ((), ("",), ("a.b",), ("a\0",), ("\ud800",), (1,), ("langgraph",)):
        with pytest.raises(ValueError, match=r".") as caught:
            do(sessions.store, "put", namespace, "k", {})
        # LangGraph's `put` looks first, and may refuse before we see it.
        assert isinstance(caught.value, (ThreadloomError, InvalidNamespaceError)), namespace
    for key in ("\0", "\ud800"):
        with pytest.raises(InvalidKey):
            do(sessions.store, "put", ("n",), key, {})
    do(sessions.store, "put", ("n",), "k", {"x": 1})
    with pytest.raises(InvalidKey, match="filter"):
        do(sessions.store, "search", ("n",), filter={"x": {"$regex": "."}})


def test_a_store_that_is_no_store() -> None:
    for thing in (5, object(), Path("x.db"), {}):
        with pytest.raises(ThreadloomError):
            SessionManager(thing)  # type: ignore[arg-type]


def test_a_graph_without_a_thread_says_what_to_pass(do: Door, sessions: SessionManager) -> None:
    saver = sessions.checkpointer()
    for named in ({}, {"configurable": {}}):
        with pytest.raises(InvalidKey, match="thread_id"):
            do(saver, "get_tuple", named)
