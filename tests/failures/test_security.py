"""Security: nothing that is stored, asked for or named runs anything or reaches anything."""

from __future__ import annotations

import ast
import hashlib
import io
import pickle
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

import threadloom
from threadloom import (
    CorruptRecord,
    MemoryStore,
    SchemaTooNew,
    SessionManager,
    StoreUnavailable,
    ThreadloomError,
    UntrustedType,
)

from .helpers import Door, chat_graph, checkpoint, config, everything_in, put, rows, texts

EVIL = [
    "x' OR '1'='1",
    "x'; DROP TABLE rec; --",
    'x"; DROP TABLE rec; --',
    "x') OR 1=1 --",
    "') UNION SELECT * FROM rec --",
    "x.$.x' || (SELECT 1)",
    "json_extract(doc, '$')",
    "?1",
    ":name",
    "%",
    "\\",
    "`",
    "[x]",
    'a" MATCH "b',
    "NEAR(a b)",
    "{x}",
]


@pytest.fixture
def filled(sessions: SessionManager) -> SessionManager:
    """Two sessions and an item that no injected condition may reach."""
    sessions.create_session(id="one", owner="ana", tags=["t"], metadata={"k": "v"})
    sessions.create_session(id="two", owner="bo")
    sessions.store.put(("notes",), "n", {"k": "v"})
    return sessions


@pytest.mark.parametrize("evil", EVIL)
def test_filters_are_values_and_never_sql(do: Door, filled: SessionManager, evil: str) -> None:
    for filters in (
        {"owner": evil},
        {"tags": evil},
        {"tags": ["t", evil]},
        {"agent_name": evil},
        {"metadata": {evil: "v"}},
        {"metadata": {"k": evil}},
        {"metadata": {evil: {"$gt": evil}}},
        {"context": {"room_id": evil}},
    ):
        assert do(filled, "list_sessions", **filters) == []
        assert do(filled, "count_sessions", **filters) == 0
    for filter in (
        {evil: "v"},
        {"k": evil},
        {evil: {"$ne": 5}},
        {"k": {"$gt": "\U0010fffe" + evil}},
    ):
        found = do(filled.store, "search", ("notes",), filter=filter)
        # What is not there differs from 5.
        assert [item.key for item in found] == (["n"] if filter == {evil: {"$ne": 5}} else [])
    with pytest.raises(ValueError, match="order_by"):
        do(filled, "list_sessions", order_by=evil)
    with pytest.raises(ThreadloomError):
        do(filled, "list_sessions", after=evil)
    assert do(filled, "count_sessions") == 2
    assert do(filled.checkpointer(), "list", None, filter={evil: evil}) == []


@pytest.mark.parametrize("evil", EVIL)
def test_names_are_values_and_never_sql(do: Door, sessions: SessionManager, evil: str) -> None:
    saver = sessions.checkpointer()
    do(
        sessions,
        "create_session",
        id=evil,
        name=evil,
        owner=evil,
        tags=[evil],
        metadata={evil: evil},
    )
    sessions.create_session(id="other")
    info = do(sessions, "get_session", evil)
    assert (info.id, info.name, info.owner, info.tags) == (evil, evil, evil, (evil,))
    assert [found.id for found in do(sessions, "list_sessions", tags=evil)] == [evil]
    assert [found.id for found in do(sessions, "list_sessions", metadata={evil: evil})] == [evil]
    put(do, saver, evil, evil, ns=evil, **{evil: evil})
    named = config(evil, checkpoint_ns=evil, checkpoint_id=evil)
    do(saver, "put_writes", named, [(evil, evil)], evil, evil)
    found = do(saver, "get_tuple", named)
    assert found.checkpoint["channel_values"] == {evil: evil}
    assert found.pending_writes == [(evil, evil, evil)]
    assert len(do(saver, "list", config(evil), before=config(evil, checkpoint_id=evil + "z"))) == 1
    do(sessions.memory(evil), "add_messages", [HumanMessage(evil, id=evil)])
    assert texts(do(sessions, "messages", evil)) == [evil]
    assert do(sessions.memory(evil), "load", before=evil) == []
    do(saver, "delete_for_runs", [evil])
    if "." not in evil and "*" not in evil:
        do(sessions.store, "put", ("notes", evil), evil, {evil: evil})
        assert do(sessions.store, "get", ("notes", evil), evil).value == {evil: evil}
        assert [i.key for i in do(sessions.store, "search", ("notes", evil))] == [evil]
    assert do(sessions, "delete_session", evil) is True
    assert [found.id for found in do(sessions, "list_sessions")] == ["other"]


@pytest.mark.parametrize("key", ["$", "$price", "$gt", "$contains", "$eq"])
def test_a_key_of_metadata_is_never_an_operator(
    do: Door, sessions: SessionManager, key: str
) -> None:
    do(sessions, "create_session", id="has", metadata={key: "5", "other": 1})
    do(sessions, "create_session", id="has not", metadata={"x": "5"})
    assert [info.id for info in do(sessions, "list_sessions", metadata={key: "5"})] == ["has"]
    assert do(sessions, "count_sessions", metadata={key: "6"}) == 0


def test_another_tenant_by_injection(do: Door, sessions: SessionManager) -> None:
    for tenant in EVIL:
        store = sessions._store  # the store itself: a manager of a URL hands out only its view
        manager = SessionManager(store, tenant=tenant)
        do(manager, "create_session", id="s", name=tenant)
        assert [info.name for info in do(manager, "list_sessions")] == [tenant]
    assert sessions.count_sessions() == 0


# Forged payloads

TOUCHED: list[str] = []


class Bomb:
    """Whatever is done with it leaves a trace."""

    def __init__(self, *args: Any, **options: Any) -> None:
        TOUCHED.append("init")

    def __new__(cls, *args: Any, **options: Any) -> Bomb:
        TOUCHED.append("new")
        return super().__new__(cls)

    def __reduce__(self) -> Any:
        return (touch, ("reduce",))

    def __setstate__(self, state: Any) -> None:
        TOUCHED.append("setstate")

    def __call__(self, *args: Any) -> None:
        TOUCHED.append("call")

    @classmethod
    def model_validate(cls, value: Any) -> None:
        TOUCHED.append("validate")

    model_construct = parse_obj = construct = model_validate


def touch(word: str = "function") -> None:
    TOUCHED.append(word)


def langgraph_forgeries() -> Iterator[bytes]:
    """What LangGraph's own serializers would act on: calls by name, in msgpack and JSON."""
    for module, name in (
        (__name__, "Bomb"),
        (__name__, "touch"),
        ("os", "system"),
        ("antigravity", "x"),
    ):
        for code in range(8):
            body = ormsgpack.packb((module, name, ("true",)))
            yield ormsgpack.packb(ormsgpack.Ext(code, body))
            yield ormsgpack.packb(
                ormsgpack.Ext(code, ormsgpack.packb((module, name, {"a": 1}, "model_validate")))
            )
    yield b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["true"]}'
    yield b'{"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}}'


def forgeries() -> list[bytes]:
    from threadloom.serde import format as layout

    found: list[bytes] = []
    for body in langgraph_forgeries():
        found += [body, layout.frame(body)]
    for module, name in (
        (__name__, "Bomb"),
        (__name__, "touch"),
        ("os", "system"),
        ("antigravity", "A"),
    ):
        for tag in range(layout.ENUM, layout.SLOTTED + 1):
            for content in (
                [f"{module}:{name}", {"a": 1}],
                [f"{module}:{name}", "x"],
                [f"{module}:{name}", "dict", []],
            ):
                found.append(layout.frame(layout.pack(layout.ext(tag, content))))
    found.append(layout.frame(pickle.dumps(Bomb.__new__(Bomb))))
    found.append(pickle.dumps(touch))
    TOUCHED.clear()
    return found


def test_a_forged_payload_calls_and_imports_nothing(do: Door, file: Path, file_url: str) -> None:
    with SessionManager(file_url) as sessions:
        saver = sessions.checkpointer()
        put(do, saver, "t", "1", x=("value",) * 40)
        do(saver, "put_writes", config("t", checkpoint_id="1"), [("x", "write")], "task")
        do(sessions.memory("t"), "add_messages", [HumanMessage("m", id="m")])
        targets = rows(file, "SELECT ns, key FROM rec WHERE blob IS NOT NULL")
        assert len(targets) == 4
        modules = set(sys.modules)
        payloads = forgeries()
        with closing(sqlite3.connect(file)) as connection:
            for ns, key in targets:
                (good,) = connection.execute(
                    "SELECT blob FROM rec WHERE ns = ? AND key = ?", (ns, key)
                ).fetchone()
                # Every payload everywhere by the sync door; some of them by the async one.
                for payload in payloads[:: 7 if do.is_async else 1]:
                    _overwrite(connection, ns, key, payload)
                    for action in (
                        lambda: do(saver, "get_tuple", config("t")),
                        lambda: do(saver, "list", config("t")),
                        lambda: do(sessions, "messages", "t"),
                    ):
                        try:
                            action()
                        except (CorruptRecord, SchemaTooNew, UntrustedType):
                            pass
                _overwrite(connection, ns, key, good)
        assert TOUCHED == []
        assert "antigravity" not in sys.modules
        assert {name for name in set(sys.modules) - modules if "antigravity" in name} == set()
        assert texts(do(sessions, "messages", "t")) == ["m"]


def _overwrite(connection: sqlite3.Connection, ns: int, key: str, blob: Any) -> None:
    connection.execute("UPDATE rec SET blob = ? WHERE ns = ? AND key = ?", (blob, ns, key))
    connection.commit()


def test_the_forgeries_of_this_test_would_work_on_somebody() -> None:
    class Loads(pickle.Unpickler):
        pass

    TOUCHED.clear()
    Loads(io.BytesIO(pickle.dumps(Bomb.__new__(Bomb)))).load()
    assert "reduce" in TOUCHED
    TOUCHED.clear()


def test_no_pickle_anywhere() -> None:
    root = Path(threadloom.__file__).parent
    bad = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "joblib"}
    found: list[str] = []
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Name) and node.id in {"eval", "exec", "__import__"}:
                found.append(f"{path.name}: {node.id}")
            found += [f"{path.name}: {n}" for n in names if n.split(".")[0] in bad]
            if (
                isinstance(node, ast.keyword)
                and node.arg == "pickle_fallback"
                and not (isinstance(node.value, ast.Constant) and node.value.value is False)
            ):
                found.append(f"{path.name}: pickle_fallback")
    assert found == []


class Unpicklable:
    def __reduce__(self) -> Any:
        raise AssertionError("somebody tried to pickle it")


def test_what_only_pickle_could_store_is_refused(do: Door, sessions: SessionManager) -> None:
    with pytest.raises(TypeError, match="Unpicklable"):
        put(do, sessions.checkpointer(), "t", "1", x=Unpicklable())
    with pytest.raises(TypeError):
        pickle.dumps(sessions._store)


# Encryption


class Scramble:
    """A cipher for these tests: a key stream from a hash. Not for anything else."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "scramble", self._apply(plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "scramble"
        return self._apply(ciphertext)

    def _apply(self, data: bytes) -> bytes:
        stream = b"".join(
            hashlib.sha256(b"key" + number.to_bytes(8, "big")).digest()
            for number in range(len(data) // 32 + 1)
        )
        return bytes(a ^ b for a, b in zip(data, stream, strict=False))


class Own:
    """A serializer of the caller's own, in LangGraph's older form."""

    def __init__(self) -> None:
        self.inner, self.cipher = JsonPlusSerializer(), Scramble()

    def dumps_typed(self, value: Any) -> tuple[str, bytes]:
        kind, data = self.inner.dumps_typed(value)
        return kind, self.cipher.encrypt(data)[1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self.inner.loads_typed((data[0], self.cipher.decrypt("scramble", data[1])))


SERDES: dict[str, Callable[[], Any]] = {
    "EncryptedSerializer": lambda: EncryptedSerializer(Scramble()),
    "own": Own,
}


@pytest.mark.parametrize("name", SERDES)
def test_encrypted_values_leave_no_plaintext_and_everything_works(
    do: Door, file: Path, file_url: str, name: str
) -> None:
    with SessionManager(file_url, serde=SERDES[name]()) as sessions:
        graph = chat_graph(sessions.checkpointer())
        do(graph, "invoke", {"messages": [HumanMessage("SECRETWORD g")]}, config("t"))
        history = sessions.memory("t")
        do(history, "add_messages", [HumanMessage("SECRETWORD h", id="h")])
        do(history, "add_messages", [AIMessage("draft SECRETWORD", name="SECRETNAME")])
        do(history, "update_last", AIMessage("final SECRETWORD"))
        do(history, "set_summary", "SECRETWORD summary")
        with pytest.raises(ValueError, match="boom"):
            do(
                chat_graph(sessions.checkpointer(), _boom),
                "invoke",
                {"messages": [HumanMessage("x")]},
                config("e"),
            )
        wanted = ["SECRETWORD g", "re: SECRETWORD g", "SECRETWORD h", "final SECRETWORD"]
        assert texts(do(sessions, "messages", "t")) == wanted
        assert texts(do.history(history)) == wanted[2:]
        assert do(history, "get_summary") == "SECRETWORD summary"
        assert texts(do(graph, "get_state", config("t")).values["messages"]) == wanted[:2]
        assert len(do(graph, "get_state_history", config("t"))) == 3
        assert sessions.get_session("t").message_count == 4
        assert b"SECRET" not in everything_in(file)
        do(sessions.checkpointer(), "copy_thread", "t", "copy")
        do(sessions.checkpointer(), "prune", ["copy"])
        assert texts(do(graph, "get_state", config("copy")).values["messages"]) == wanted[:2]
    assert b"SECRET" not in everything_in(file)
    assert b"secret" not in everything_in(file)  # as the search index would fold it
    with SessionManager(file_url, serde=SERDES[name]()) as sessions:
        assert texts(do(sessions, "messages", "t")) == wanted
    with SessionManager(file_url) as sessions:  # without the key
        with pytest.raises((CorruptRecord, UntrustedType)):
            do(sessions, "messages", "t")
        with pytest.raises((CorruptRecord, UntrustedType)):
            do(sessions.checkpointer(), "get_tuple", config("t"))
        assert sorted(info.id for info in sessions.list_sessions()) == ["copy", "e", "t"]


def _boom(text: str) -> str:
    raise ValueError("boom SECRETWORD")


def test_plaintext_is_not_taken_for_ciphertext(do: Door, file_url: str) -> None:
    with SessionManager(file_url) as sessions:
        put(do, sessions.checkpointer(), "t", "1", x="plain")
        do(sessions.memory("t"), "add_messages", [HumanMessage("plain")])
    with SessionManager(file_url, serde=SERDES["own"]()) as sessions:
        with pytest.raises(CorruptRecord):
            do(sessions.checkpointer(), "get_tuple", config("t"))
        with pytest.raises(CorruptRecord):
            do.history(sessions.memory("t"))


# A store that is down, and damage


def test_a_store_that_is_down_at_start_raises(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    with SessionManager(f"sqlite:///{file}") as sessions:
        sessions.create_session(id="s")
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE state SET seq = seq")
        with pytest.raises(StoreUnavailable, match=r"s\.db"):
            with SessionManager(f"sqlite:///{file}?busy_timeout=0.2") as sessions:
                sessions.create_session(id="fallback")
        other.rollback()
    with SessionManager(f"sqlite:///{file}") as sessions:
        assert [info.id for info in sessions.list_sessions()] == ["s"]


def test_a_store_that_goes_down_later_raises_and_never_answers_empty(
    do: Door, tmp_path: Path
) -> None:
    file = tmp_path / "s.db"
    with SessionManager(f"sqlite:///{file}?busy_timeout=0.1") as sessions:
        sessions.memory("s").append(HumanMessage("x"))
        with closing(sqlite3.connect(file)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreUnavailable, match="lock") as caught:
                do(sessions.memory("s"), "add_messages", [HumanMessage("y")])
            assert isinstance(caught.value.__cause__, sqlite3.Error)
            assert texts(do(sessions, "messages", "s")) == ["x"]
            other.rollback()
        do(sessions.memory("s"), "add_messages", [HumanMessage("z")])
        assert texts(do(sessions, "messages", "s")) == ["x", "z"]


DAMAGE: dict[str, tuple[str, Any]] = {
    "random blob": ("blob", b"\x93\x01\xfe" * 7),
    "short blob": ("blob", b"\x01"),
    "empty blob": ("blob", b""),
    "no blob": ("blob", None),
    "text for a blob": ("blob", "text"),
    "random doc": ("doc", b"\xff\xfe\x00garbage"),
    "doc that is cut": ("doc", '{"name": "x", "ta'),
    "empty doc": ("doc", ""),
    "doc of another kind": ("doc", "[1, 2]"),
    "number for a doc": ("doc", 5),
    "no doc": ("doc", None),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_raises_and_never_reads_as_empty(file: Path, file_url: str, name: str) -> None:
    """Each record in turn: every reader gives what it gave before, or raises `CorruptRecord`."""
    column, bad = DAMAGE[name]
    with SessionManager(file_url) as sessions:
        graph = chat_graph(sessions.checkpointer())
        sessions.create_session(id="t", name="kept", tags=["x"], owner="ana")
        graph.invoke({"messages": [HumanMessage("g", id="g")]}, config("t"))
        sessions.memory("t").add_messages([HumanMessage("h", id="h")])
        sessions.memory("t").set_summary("summary")
        saver = sessions.checkpointer()
        readers: dict[str, Callable[[], Any]] = {
            "get_session": lambda: sessions.get_session("t").model_dump(exclude={"version"}),
            "list_sessions": lambda: [info.name for info in sessions.list_sessions()],
            "list by owner": lambda: [info.name for info in sessions.list_sessions(owner="ana")],
            "messages": lambda: sessions.messages("t"),
            "history": lambda: sessions.memory("t").messages,
            "summary": lambda: sessions.memory("t").get_summary(),
            "get_tuple": lambda: saver.get_tuple(config("t")),
            "list": lambda: list(saver.list(config("t"))),
            "list all": lambda: list(saver.list(None)),
            "store": lambda: len(sessions.store.search(("sessions",))),
        }
        before = {reader: read() for reader, read in readers.items()}
        targets = rows(file, f"SELECT ns, key, {column} FROM rec WHERE {column} IS NOT NULL")
        assert targets
        wrong: list[str] = []
        noticed = 0
        for ns, key, good in targets:
            rows(file, f"UPDATE rec SET {column} = ? WHERE ns = ? AND key = ?", bad, ns, key)
            for reader, read in readers.items():
                try:
                    found = read()
                except CorruptRecord:
                    noticed += 1
                except Exception as error:
                    wrong.append(f"{key!r}: {reader} raises {error!r:.90}")
                else:
                    if found != before[reader]:
                        wrong.append(f"{key!r}: {reader} gives {found!r:.90}")
            rows(file, f"UPDATE rec SET {column} = ? WHERE ns = ? AND key = ?", good, ns, key)
        assert wrong == []
        assert noticed
        assert {reader: read() for reader, read in readers.items()} == before


def test_writing_over_damage_raises_and_keeps_what_is_there(
    do: Door, file: Path, file_url: str
) -> None:
    with SessionManager(file_url) as sessions:
        put(do, sessions.checkpointer(), "t", "1", x=1)
        do(sessions.memory("t"), "add_messages", [HumanMessage("h", id="h")])
        rows(file, "UPDATE rec SET doc = X'FF00'")
        before = rows(file)
        made = checkpoint("2", x=2)
        for thing, name, *args in (
            (sessions, "rename_session", "t", "x"),
            (sessions, "tag_session", "t", "x"),
            (sessions.memory("t"), "add_messages", [HumanMessage("new")]),
            (sessions.memory("t"), "remove_last"),
            (
                sessions.checkpointer(),
                "put",
                config("t", checkpoint_id="1"),
                made,
                {},
                made["channel_versions"],
            ),
        ):
            with pytest.raises(CorruptRecord):
                do(thing, name, *args)
        assert rows(file) == before


def test_a_memory_store_is_what_was_asked_for(do: Door) -> None:
    """Nothing but `memory://` or a `MemoryStore` ever keeps sessions in memory."""
    with SessionManager("memory://") as one, SessionManager("memory://") as two:
        do(one, "create_session", id="s")
        assert do(two, "get_session", "s") is None
    with MemoryStore() as store:
        do(SessionManager(store), "create_session", id="s")
        assert do(SessionManager(store), "get_session", "s") is not None
