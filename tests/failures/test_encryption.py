"""What is encrypted shows nothing, opens nowhere else, and gets new keys while it is used."""

from __future__ import annotations

import asyncio
import base64
import copy
import pickle
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

from engines import KEYS, url_of
from threadloom import (
    CorruptRecord,
    EncryptedStore,
    FileStore,
    InvalidKey,
    Keyring,
    SchemaTooNew,
    SessionConflict,
    SessionManager,
    StoreChatMessageHistory,
    StoreCheckpointer,
    StoreUnavailable,
    ThreadloomError,
    UnsupportedByStore,
    open_store,
)
from threadloom import keys as places
from threadloom.ops import (
    CopyTree,
    Count,
    DropTree,
    ExpectationFailed,
    Get,
    ListNamespaces,
    Match,
    Measure,
    Patch,
    Put,
    Query,
    Reclaim,
    Scan,
)
from threadloom.plans import Batch, Results
from threadloom.stores.memory import MemoryStore
from threadloom.stores.sqlite import SQLiteStore
from threadloom.testing import FrozenClock
from threadloom.wrappers import translating

from .helpers import Program, all_well, at_once

OLD, NEW = b"\x01" * 32, b"\x02" * 32
ONLY_OLD = Keyring({"old": OLD})
BOTH = Keyring({"old": OLD, "new": NEW}, current="new")
ONLY_NEW = Keyring({"new": NEW})


def opened(file: Path, keys: Keyring = ONLY_OLD, **options: Any) -> SessionManager:
    return SessionManager(f"sqlite:///{file}", encryption=keys, **options)


def raw(file: Path) -> bytes:
    """Every byte of a store's files."""
    return b"".join(part.read_bytes() for part in sorted(file.parent.glob(file.name + "*")))


def change(file: Path, statement: str, *values: Any) -> int:
    """Run SQL behind the store's back; how many rows it changed."""
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(statement, values).rowcount


# ── What the files show ───────────────────────────────────────────────────────────────────────
class Trip(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    budget_channel: str


def live(manager: SessionManager) -> list[str]:
    """Use everything once; the texts that it wrote anywhere, names and ids among them."""

    def inner_node(state: Trip) -> dict[str, Any]:
        return {"messages": [AIMessage("answer of saffron", id="msg-zebra")]}

    def planner_node(state: Trip) -> dict[str, Any]:
        return {"budget_channel": "budget of nine hundred florins", "messages": []}

    def approval_node(state: Trip) -> dict[str, Any]:
        return {"messages": [AIMessage(f"approved: {interrupt('may I book the ferry?')}")]}

    sub = StateGraph(Trip)
    sub.add_node("inner_node", inner_node)
    sub.add_edge(START, "inner_node")
    builder = StateGraph(Trip)
    builder.add_node("planner_node", planner_node)
    builder.add_node("delegate_node", sub.compile())
    builder.add_node("approval_node", approval_node)
    builder.add_edge(START, "planner_node")
    builder.add_edge("planner_node", "delegate_node")
    builder.add_edge("delegate_node", "approval_node")
    graph: Any = builder.compile(checkpointer=manager.checkpointer(), store=manager.store)
    long = "a long tale of whales and lighthouses, " * 20
    trip = manager.create_session(
        id="session-of-oslo",
        name="Fjords in winter",
        owner="ana@example.org",
        tags=["tag-travel"],
        agent_name="guide-agent",
        metadata={"metadata-field": "metadata-value"},
    )
    asked = {"messages": [HumanMessage(long, id="msg-giraffe"), HumanMessage("short herring")]}
    graph.invoke(asked, trip.config)
    chat = manager.create_session(name="Chat of chestnuts")
    manager.memory(chat.id).add_messages(
        [HumanMessage("hello from the history", id="msg-okapi"), AIMessage("history reply")]
    )
    manager.memory.set_summary(chat.id, "summary about herring")
    fork = manager.fork_session(trip, name="Forked fjords")
    manager.rewind_session(chat.id, messages=1)
    with manager.turn(chat.id, turn_id="turn-of-tulips"):
        manager.memory(chat.id).add_messages([HumanMessage("inside the turn")])
    manager.store.put(("preferences", "ana-label"), "favourite-key", {"food-field": "cloudberries"})
    assert manager.search_sessions("saffron")
    assert manager.search_sessions("herring")
    assert manager.store.search(("preferences",), filter={"food-field": "cloudberries"})
    manager.delete_session(manager.create_session(id="session-to-forget", name="Vanished"))
    ids = [trip.id, chat.id, fork.id, "session-to-forget", *(
        message.id or "" for id in (trip.id, chat.id) for message in manager.messages(id)
    )]  # fmt: skip
    return [
        *ids,
        *(places.id_hash(id) for id in ids),
        *("whales and lighthouses", "short herring", "answer of saffron", "nine hundred florins"),
        *("may I book the ferry", "hello from the history", "history reply", "about herring"),
        *("Fjords in winter", "Chat of chestnuts", "Forked fjords", "inside the turn", "Vanished"),
        *("ana@example.org", "tag-travel", "guide-agent", "metadata-field", "metadata-value"),
        *("inner_node", "planner_node", "approval_node", "delegate_node", "budget_channel"),
        *("turn-of-tulips", "preferences", "ana-label", "favourite-key", "food-field"),
        *("cloudberries", "saffron", "herring", "whales", "messages", "florins"),
    ]


def forms(text: str) -> Iterator[bytes]:
    """How a text might stand in a file."""
    yield text.encode()
    yield places.encode_id(text).encode()
    yield base64.b64encode(text.encode())[: len(text)]  # the end depends on what follows
    if places.is_compact(text):
        yield places.compact_id(text).encode()
        yield UUID(text).bytes


def seen_in(data: bytes, texts: list[str]) -> set[str]:
    return {text for text in texts if any(form in data for form in forms(text))}


@pytest.mark.parametrize("tenant", [None, "acme-tenant"])
def test_no_byte_of_a_text_name_or_id_is_in_the_files(tenant: str | None, file: Path) -> None:
    with opened(file, tenant=tenant) as manager:
        texts = [*live(manager), *([tenant] if tenant else [])]
        found = seen_in(raw(file), texts)  # with the write-ahead log
        assert found == set()
    assert seen_in(raw(file), texts) == set()
    assert OLD not in raw(file)
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(
            "SELECT name FROM rec JOIN ns ON ns.id = ns WHERE doc IS NOT NULL OR text IS NOT NULL"
        ).fetchall()
        assert rows == [("threadloom-encryption",)]
        assert connection.execute("SELECT fed FROM state").fetchone() == (0,)
    with opened(file, tenant=tenant) as manager:
        assert [message.text for message in manager.messages("session-of-oslo")][1:] == [
            "short herring",
            "answer of saffron",
        ]
        assert manager.check().ok


def test_the_search_for_them_finds_them_where_nothing_is_encrypted(file: Path) -> None:
    with SessionManager(f"sqlite:///{file}", tenant="acme-tenant") as manager:
        texts = live(manager)
        found = seen_in(raw(file), texts)
    hashes = {text for text in texts if len(text) == 32}
    assert {*texts} - found <= hashes | {"Vanished", "inner_node"}
    assert len(found) > 40


def test_one_name_has_other_pseudonyms_in_other_stores_and_tenants(tmp_path: Path) -> None:
    names = set()
    for file in ("a.db", "b.db"):
        for tenant in (None, "one", "two"):
            with opened(tmp_path / file, tenant=tenant) as manager:
                manager.create_session(id="same")
        with closing(sqlite3.connect(tmp_path / file)) as connection:
            names.update(key for (key,) in connection.execute("SELECT key FROM rec"))
    assert len(names) == 6 + 1  # and the header


def test_all_records_of_a_session_are_in_one_partition_inside(file: Path) -> None:
    with opened(file) as manager:
        live(manager)
        store: Any = manager._store
        for id in ("session-of-oslo", "ab/c:d.é"):
            manager.memory(id).add_messages([HumanMessage("hello")])
            with manager.turn(id):
                found = set()
                for namespace in store.execute([ListNamespaces()])[0]:
                    for record in store.execute([Scan(namespace)])[0]:
                        if places.partition(namespace, record.key) == f"/{places.id_hash(id)}":
                            inner = store._vault.names.place(namespace, record.key)
                            found.add(places.partition(*inner))
            assert len(found) == 1, id


# ── What is refused ───────────────────────────────────────────────────────────────────────────
def two_chats(file: Path) -> None:
    with opened(file) as manager:
        for id in ("one", "two"):
            manager.create_session(id=id, name=f"Session {id}")
            manager.memory(id).add_messages([HumanMessage(f"{id} {n}") for n in range(3)])
        manager.store.put(("notes",), "k", {"a": 1})


def message_rows(file: Path) -> list[tuple[int, str]]:
    """Where the messages are, by session."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(
            "SELECT r.ns, r.key FROM rec r JOIN ns n ON n.id = r.ns "
            "WHERE n.name LIKE 'memory.%' AND n.name NOT LIKE '%index' ORDER BY r.ns, r.key"
        ).fetchall()


COPY = (
    "UPDATE rec SET blob = (SELECT blob FROM rec WHERE ns = ? AND key = ?) WHERE ns = ? AND key = ?"
)


def reads(file: Path, keys: Keyring = ONLY_OLD) -> list[str]:
    with opened(file, keys) as manager:
        return [m.text for id in ("one", "two") for m in manager.messages(id)]


def test_a_record_of_another_session_is_refused(file: Path) -> None:
    two_chats(file)
    first, *_, last = message_rows(file)
    assert first[0] != last[0]
    assert change(file, COPY, *last, *first) == 1
    with pytest.raises(CorruptRecord, match="another place"):
        reads(file)


def test_a_record_of_another_key_is_refused(file: Path) -> None:
    two_chats(file)
    first, second, *_ = message_rows(file)
    assert first[0] == second[0]
    change(file, COPY, *first, *second)
    with pytest.raises(CorruptRecord, match="'old'"):
        reads(file)


def test_sessions_that_change_places_are_refused(file: Path) -> None:
    two_chats(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        one, two = {ns for ns, _ in message_rows(file)}
        names = dict(connection.execute("SELECT id, name FROM ns"))
        for ns, name in ((one, "x"), (two, names[one]), (one, names[two])):
            connection.execute("UPDATE ns SET name = ? WHERE id = ?", (name, ns))
    with pytest.raises(CorruptRecord):
        reads(file)


def test_a_record_of_another_store_is_refused(tmp_path: Path) -> None:
    a, b = tmp_path / "a.db", tmp_path / "b.db"
    two_chats(a)
    two_chats(b)
    (blob,) = (
        sqlite3.connect(a)
        .execute("SELECT blob FROM rec WHERE ns = ? AND key = ?", message_rows(a)[0])
        .fetchone()
    )
    change(b, "UPDATE rec SET blob = ? WHERE ns = ? AND key = ?", blob, *message_rows(b)[0])
    with pytest.raises(CorruptRecord):
        reads(b)
    (header,) = sqlite3.connect(a).execute("SELECT doc FROM rec WHERE key = 'header'").fetchone()
    change(b, "UPDATE rec SET doc = ? WHERE key = 'header'", header)
    with opened(b) as manager:
        assert manager.get_session("one") is None  # all names are others
        with pytest.raises(CorruptRecord):
            manager.list_sessions()


@pytest.mark.parametrize(
    "values", ["doc = '{\"content\": \"planted\"}', blob = NULL", "text = 'planted'", "doc = '{}'",
               "blob = x'84c0c0c0c0'", "blob = NULL", "blob = x''"]
)  # fmt: skip
def test_what_is_not_encrypted_is_refused(values: str, file: Path) -> None:
    two_chats(file)
    row = message_rows(file)[1]
    change(file, f"UPDATE rec SET {values} WHERE ns = ? AND key = ?", *row)
    with pytest.raises(CorruptRecord):
        reads(file)


def test_a_planted_record_is_refused_by_everything_that_reads_it(file: Path) -> None:
    two_chats(file)
    ns = message_rows(file)[0][0]
    change(
        file,
        "INSERT INTO rec (ns, key, ver, created, updated, doc, text) "
        "VALUES (?, '0000000009', 1, 1, 1, '{}', 'planted')",
        ns,
    )
    with EncryptedStore(SQLiteStore(file), ONLY_OLD) as store:
        [planted] = [n for n in (("memory", "one"), ("memory", "two")) if _is_refused(store, n)]
        for op in (
            Get(planted, "0000000009"),
            Query(planted),
            Query((), deep=True),
            Count(planted, filter={"a": 1}),
            Match((), "planted"),
            Measure(()),
            Patch(planted, "0000000009", set={"a": 1}),
        ):
            with pytest.raises(CorruptRecord):
                store.execute([op])
            with pytest.raises(CorruptRecord):
                asyncio.run(store.aexecute([op]))
        with pytest.raises(CorruptRecord):
            store.rotate()


def _is_refused(store: EncryptedStore, namespace: tuple[str, ...]) -> bool:
    try:
        store.execute([Scan(namespace)])
    except CorruptRecord:
        return True
    return False


def test_every_bit_counts(file: Path) -> None:
    two_chats(file)
    row = message_rows(file)[0]
    where = "WHERE ns = ? AND key = ?"
    with closing(sqlite3.connect(file)) as connection:
        (blob,) = connection.execute(f"SELECT blob FROM rec {where}", row).fetchone()
    with EncryptedStore(SQLiteStore(file), ONLY_OLD) as store:
        [paths] = [n for n in (("memory", "one"), ("memory", "two")) if _at(store, n) == row[0]]
        for at in range(len(blob)):
            bad = bytearray(blob)
            bad[at] ^= 1 << at % 8
            change(file, f"UPDATE rec SET blob = ? {where}", bytes(bad), *row)
            with pytest.raises((CorruptRecord, StoreUnavailable)):  # or it names another key
                store.execute([Get(paths, row[1])])
        for size in range(len(blob)):
            change(file, f"UPDATE rec SET blob = ? {where}", blob[:size], *row)
            with pytest.raises(CorruptRecord):
                store.execute([Get(paths, row[1])])
        change(file, f"UPDATE rec SET blob = ? {where}", blob, *row)
        assert store.execute([Get(paths, row[1])])[0].text.endswith(" 0")


def _at(store: EncryptedStore, namespace: tuple[str, ...]) -> int:
    store.execute([Get(namespace, "x")])
    assert store._vault is not None
    name = ".".join(store._vault.names.namespace(namespace))
    with closing(sqlite3.connect(store.inner.path)) as connection:  # type: ignore[attr-defined]
        (number,) = connection.execute("SELECT id FROM ns WHERE name = ?", (name,)).fetchone()
        return int(number)


def test_damage_is_named_and_nothing_is_mended_away(file: Path) -> None:
    two_chats(file)
    row = message_rows(file)[0]
    change(file, "UPDATE rec SET blob = zeroblob(90) WHERE ns = ? AND key = ?", *row)
    with opened(file) as manager:
        report = manager.check(fix=True)
        assert not report.ok
        assert [problem.kind for problem in report.problems] == ["file", "damaged"]
        rows = sqlite3.connect(file).execute("SELECT count(*) FROM rec").fetchone()
        manager.check(fix=True)
        assert sqlite3.connect(file).execute("SELECT count(*) FROM rec").fetchone() == rows


def test_a_plain_store_is_refused_and_left_as_it_is(file: Path) -> None:
    with SessionManager(f"sqlite:///{file}") as plain:
        plain.create_session(id="one")
    before = raw(file)
    with opened(file) as manager:
        for action in (manager.list_sessions, manager.create_session, manager.count_sessions):
            with pytest.raises(CorruptRecord, match="copy_sessions"):
                action()
    assert raw(file) == before
    with SessionManager(f"sqlite:///{file}") as plain:
        with EncryptedStore(open_store(f"sqlite:///{file}.enc"), ONLY_OLD) as target:
            plain.copy_sessions(target)
        assert [info.id for info in plain.list_sessions()] == ["one"]
    with opened(Path(f"{file}.enc")) as manager:
        assert [info.id for info in manager.list_sessions()] == ["one"]


def test_a_store_that_lost_its_header_is_refused(file: Path) -> None:
    two_chats(file)
    change(file, "DELETE FROM rec WHERE key = 'header'")
    with pytest.raises(CorruptRecord, match="header"):
        reads(file)
    change(file, "UPDATE rec SET expires = 0")
    with pytest.raises(CorruptRecord, match="header"):
        reads(file)


@pytest.mark.parametrize(
    ("doc", "error"),
    [
        ("{}", CorruptRecord),
        ('{"format": 1, "store": "x", "names": {}}', CorruptRecord),
        ('{"format": 1, "store": "x", "names": {"old": "!!"}}', CorruptRecord),
        ('{"format": 1, "store": "x", "names": {"old": "AAAA"}}', CorruptRecord),
        ('{"format": 1, "store": "x", "names": []}', CorruptRecord),
        ('{"format": 2, "store": "x", "names": {}}', SchemaTooNew),
    ],
)
def test_a_header_that_is_none_is_refused(
    doc: str, error: type[ThreadloomError], file: Path
) -> None:
    two_chats(file)
    change(file, "UPDATE rec SET doc = ? WHERE key = 'header'", doc)
    with pytest.raises(error):
        reads(file)


def test_reading_an_empty_store_writes_nothing(file: Path) -> None:
    with opened(file) as manager:
        assert manager.list_sessions() == []
        assert manager.get_session("one") is None
        assert manager.search_sessions("words") == []
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT count(*) FROM rec").fetchone() == (0,)


# ── Keys ──────────────────────────────────────────────────────────────────────────────────────
def test_a_key_that_is_missing_is_named(file: Path) -> None:
    two_chats(file)
    with pytest.raises(StoreUnavailable, match="'old'"):
        reads(file, ONLY_NEW)
    with opened(file, BOTH) as manager:
        manager.create_session(id="three")  # with the new key
        assert manager.get_session("one") is not None
    with opened(file, ONLY_NEW) as manager:
        assert manager.get_session("three") is not None
        with pytest.raises(StoreUnavailable, match=r"'old'.*not in the keyring"):
            manager.get_session("one")


def test_other_bytes_under_the_same_id_are_refused_before_anything_is_written(file: Path) -> None:
    two_chats(file)
    wrong = Keyring({"old": NEW})
    before = raw(file)
    with opened(file, wrong) as manager:
        for action in (manager.list_sessions, manager.create_session):
            with pytest.raises(StoreUnavailable, match="'old'"):
                action()
    assert raw(file) == before
    # A second key is only good if it has the bytes that others write with.
    with opened(file, BOTH) as manager:
        manager.create_session()
    with pytest.raises(StoreUnavailable, match="'new'"):
        reads(file, Keyring({"old": OLD, "new": b"\x03" * 32}, current="old"))


def test_a_keyring_never_shows_its_keys() -> None:
    ring = Keyring({"old": OLD, "new": b"sixteen bytes ok"}, current="new")
    assert repr(ring) == "Keyring(current='new', others=['old'])"
    store = EncryptedStore(MemoryStore(), ring)
    for shown in (repr(ring), str(vars(store)), repr(store), f"{SessionManager(store)!r}"):
        assert "sixteen" not in shown
        assert "x01" not in shown
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="pickled"):
            copier(ring)
    assert len(Keyring.generate()) == 32
    assert Keyring.generate() != Keyring.generate()


@pytest.mark.parametrize(
    ("keys", "current"),
    [
        ({}, None),
        ({"a": b"short"}, None),
        ({"a": "x" * 32}, None),
        ({"": OLD}, None),
        ({"é": OLD}, None),
        ({"x" * 65: OLD}, None),
        ({"a\n": OLD}, None),
        ({1: OLD}, None),
        ({"a": OLD, "b": NEW}, None),
        ({"a": OLD}, "b"),
    ],
)
def test_what_is_no_keyring_is_refused(keys: Any, current: str | None) -> None:
    with pytest.raises(InvalidKey) as caught:
        Keyring(keys, current=current)
    assert "x01" not in str(caught.value)


def test_keys_come_in_a_keyring() -> None:
    for keys in (OLD, {"old": OLD}, "old"):
        with pytest.raises(InvalidKey, match="Keyring"):
            SessionManager("memory://", encryption=keys)  # type: ignore[arg-type]


def test_no_two_writings_are_alike(file: Path) -> None:
    with EncryptedStore(MemoryStore(), ONLY_OLD) as store:
        blobs = set()
        for _ in range(50):
            store.execute([Put(("notes",), "k", doc={"same": 1})])
            (records,) = store.inner.execute([Query((), deep=True, blobs=True)])
            (blob,) = (record.blob for record in records if record.blob is not None)
            blobs.add(blob)
        assert len(blobs) == 50


# ── Patches ───────────────────────────────────────────────────────────────────────────────────
class Interferes(MemoryStore):
    """Lets somebody else write before each batch that has a check in it."""

    before: Callable[[], None] | None = None

    def execute(self, ops: Batch, /) -> Results:
        if self.before is not None and any(type(op).__name__ == "Check" for op in ops):
            self.before()
        return super().execute(ops)


def test_a_patch_that_meets_another_begins_afresh() -> None:
    inner = Interferes()
    with EncryptedStore(inner, ONLY_OLD) as store, EncryptedStore(inner, ONLY_OLD) as other:
        store.execute([Put(("notes",), "k", doc={"n": 0})])
        left = [1, 1, 1]

        def meet() -> None:
            inner.before, before = None, inner.before
            if left:
                other.execute([Patch(("notes",), "k", increment={"n": left.pop()})])
            inner.before = before

        inner.before = meet
        store.execute([Patch(("notes",), "k", increment={"n": 10})])
        assert store.execute([Get(("notes",), "k")])[0].doc == {"n": 13}


def test_a_patch_that_always_meets_another_gives_up_and_names_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(translating, "_TRIES", 20)
    inner = Interferes()
    with EncryptedStore(inner, ONLY_OLD) as store, EncryptedStore(inner, ONLY_OLD) as other:
        store.execute([Put(("notes",), "k", doc={"n": 0})])

        def meet() -> None:
            inner.before, before = None, inner.before
            other.execute([Put(("notes",), "k", doc={"n": 0})])
            inner.before = before

        inner.before = meet
        patch = Patch(("notes",), "k", increment={"n": 10})
        with pytest.raises(ExpectationFailed) as caught:
            store.execute([patch])
        assert caught.value.op == patch


def test_a_failed_expectation_is_the_callers_own() -> None:
    with EncryptedStore(MemoryStore(), ONLY_OLD) as store:
        [version] = store.execute([Put(("notes",), "k", doc={"n": 0})])
        for op in (
            Patch(("notes",), "k", set={"a": 1}, expect=version + 99),
            Put(("notes",), "k", expect="absent"),
        ):
            batch = [Patch(("notes",), "k", increment={"n": 1}, expect=version), op]
            with pytest.raises(ExpectationFailed) as caught:
                store.execute(batch)
            assert caught.value.op is op
            assert "notes" in str(caught.value)
        assert store.execute([Get(("notes",), "k")])[0].doc == {"n": 0}


# ── What it does without ──────────────────────────────────────────────────────────────────────
def test_what_it_cannot_do_is_refused_loudly() -> None:
    with EncryptedStore(MemoryStore(), ONLY_OLD) as store:
        assert not store.capabilities.copies_trees
        with pytest.raises(UnsupportedByStore, match="CopyTree"):
            store.execute([CopyTree(("a",), ("b",))])
    with pytest.raises(UnsupportedByStore, match="compare-and-set"):
        EncryptedStore(WithoutCompareAndSet(), ONLY_OLD)


class WithoutCompareAndSet(MemoryStore):
    from dataclasses import replace as _replace

    capabilities = _replace(MemoryStore.capabilities, compare_and_set=False)


def test_dropping_everything_leaves_a_store_that_works() -> None:
    with EncryptedStore(MemoryStore(clock=FrozenClock()), ONLY_OLD) as store:
        now = store.now()
        store.execute([Put(("a",), "1"), Put(("b", "c"), "1"), Put(("d",), "1", expires_at=now)])
        assert store.execute([Put(("e",), "1"), DropTree(()), Count((), deep=True)])[1:] == [3, 0]
        assert store.execute([Count((), deep=True, expired=True)]) == [0]
        store.execute([Put(("a",), "2", doc={"n": 1})])
        assert store.execute([ListNamespaces()]) == [[("a",)]]
        assert store.inner.execute([Get(("threadloom-encryption",), "header")])[0] is not None


def test_listing_and_searching_hold_a_page_and_no_whole_store(file: Path) -> None:
    with EncryptedStore(SQLiteStore(file), ONLY_OLD) as store:
        size = 40_000
        for low in range(0, 800, 100):
            store.execute(
                [
                    Put(("memory", f"s{n}"), "0000000001", blob=b"\x00" * size, text=f"word{n}")
                    for n in range(low, low + 100)
                ]
            )
        for op in (Match((), "word7 word799"), Measure(()), ListNamespaces()):
            tracemalloc.start()
            [found] = store.execute([op])
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert len(found) in (2, 800)
            assert peak < 800 * size / 4, (op, peak)


# ── Rotation ──────────────────────────────────────────────────────────────────────────────────
def everything(store: Any) -> list[Any]:
    """All records but for their versions, living and expired."""
    found = []
    for namespace in store.execute([ListNamespaces()])[0]:
        found += store.execute([Scan(namespace)])[0]
    found += store.execute([Query((), deep=True, expired=True, blobs=True)])[0]
    return [record._replace(version=0) for record in found]


def filled(file: Path, sessions: int = 5) -> None:
    with opened(file) as manager:
        live(manager)
        for number in range(sessions):
            id = f"chat{number}"
            manager.memory(id).add_messages([HumanMessage(f"{id} {n}") for n in range(40)])
        manager._store.execute([Put(("notes",), "brief", doc={"n": 1}, expires_at=1)])


def test_after_a_rotation_the_old_key_can_be_dropped(file: Path) -> None:
    filled(file)
    told: list[tuple[int, int]] = []
    with EncryptedStore(SQLiteStore(file), BOTH) as store:
        before = everything(store)
        report = store.rotate(progress=lambda seen, of: told.append((seen, of)))
        assert (report.key, report.left, report.dropped) == ("new", 0, ("old",))
        assert report.rewritten == len(before)
        after = everything(store)
        assert before[-1].key == "brief"
        assert after[-1]._replace(created_at=before[-1].created_at) == before[-1]
        assert after[:-1] == before[:-1]  # times as well
        assert told[-1][0] <= told[-1][1]
        assert [seen for seen, _ in told[:3]] == sorted(seen for seen, _ in told[:3])
        assert store.rotate().rewritten == 0
    with closing(sqlite3.connect(file)) as connection:
        blobs = connection.execute("SELECT blob FROM rec WHERE blob IS NOT NULL").fetchall()
        assert all(b"\x03new" in blob[:12] for (blob,) in blobs)
    with opened(file, ONLY_NEW) as manager:
        assert len(manager.memory("chat1").messages) == 40
        assert manager.check().ok
    with pytest.raises(StoreUnavailable, match="'new'"):
        reads(file, ONLY_OLD)


async def test_a_rotation_from_an_event_loop(file: Path) -> None:
    filled(file, 1)
    async with EncryptedStore(SQLiteStore(file), BOTH) as store:
        report = await store.arotate()
        assert report.rewritten > 40
        assert report.dropped == ("old",)


def test_a_rotated_record_keeps_its_times_until_it_is_written() -> None:
    clock = FrozenClock()
    inner = MemoryStore(clock=clock)
    EncryptedStore(inner, ONLY_OLD).execute([Put(("notes",), "k", doc={"n": 1})])
    clock.advance(10)
    with EncryptedStore(inner, BOTH) as store:
        [before] = store.execute([Get(("notes",), "k")])
        store.rotate()
        [after] = store.execute([Get(("notes",), "k")])
        assert after._replace(version=before.version) == before
        assert after.version > before.version
        clock.advance(10)
        store.execute([Patch(("notes",), "k", set={"m": 1})])
        [record] = store.execute([Get(("notes",), "k")])
        assert (record.created_at, record.updated_at) == (before.created_at, clock.micros)


def test_remembered_standings_and_stale_versions_notice_a_rotation(file: Path) -> None:
    class State(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]

    def answer(state: State) -> dict[str, Any]:
        return {"messages": [AIMessage("yes")]}

    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    with opened(file) as old, opened(file, BOTH) as new:
        graph: Any = builder.compile(checkpointer=old.checkpointer())
        config = {"configurable": {"thread_id": "t"}}
        graph.invoke({"messages": [HumanMessage("1")]}, config)
        info = old.get_session("t")
        assert info is not None
        new._store.rotate()  # type: ignore[attr-defined]
        with pytest.raises(StoreUnavailable, match="'new'"):
            old.get_session("t")  # it does not have the new key
        newer: Any = builder.compile(checkpointer=new.checkpointer())
        newer.invoke({"messages": [HumanMessage("2")]}, config)
        new._store.rotate()  # type: ignore[attr-defined]
        newer.invoke({"messages": [HumanMessage("3")]}, config)
        assert [m.text for m in new.messages("t")] == ["1", "yes", "2", "yes", "3", "yes"]
        found = new.get_session("t")
        assert found is not None
        assert found.conflicts == 0
        with pytest.raises(SessionConflict):
            new.update_session("t", metadata={"a": 1}, expected_version=info.version)


def test_a_turn_under_way_is_not_disturbed(file: Path) -> None:
    with opened(file) as manager:
        manager.create_session(id="busy")
    both = Keyring({"old": OLD, "new": NEW}, current="old")
    with opened(file, both) as manager, EncryptedStore(SQLiteStore(file), BOTH) as store:
        with manager.turn("busy"):
            report = store.rotate()
            assert (report.left, report.dropped) == (1, ())
            manager.memory("busy").add_messages([HumanMessage("still mine")])
        assert store.rotate().dropped == ("old",)
    with opened(file, ONLY_NEW) as manager:
        info = manager.get_session("busy")
        assert info is not None
        assert (info.status, info.turn_count, info.message_count) == ("idle", 1, 1)


def test_readers_and_writers_go_on_while_keys_are_rotated(file: Path) -> None:
    filled(file, 3)
    over = threading.Event()
    with opened(file, BOTH) as manager, EncryptedStore(SQLiteStore(file), BOTH) as store:

        def read() -> int:
            seen = 0
            while not (over.is_set() and seen):
                assert [m.text for m in manager.messages("chat1")][:2] == ["chat1 0", "chat1 1"]
                assert manager.count_sessions() >= 6
                seen += 1
            return seen

        def write() -> int:
            count = 0
            while not (over.is_set() and count):
                manager.memory("chat2").add_messages([HumanMessage(f"new {count}")])
                manager.update_session("chat0", metadata={"count": count})
                count += 1
            return count

        def rotate() -> Any:
            try:
                return store.rotate()
            finally:
                over.set()

        *_, written, report = all_well(at_once([read, read, write, rotate]))
        assert report.rewritten > 100
        while report.left or not report.dropped:
            report = store.rotate()
            if not report.rewritten and not report.left:
                break
        assert len(manager.memory("chat2").messages) == 40 + written
    with opened(file, ONLY_NEW) as manager:
        assert len(manager.memory("chat2").messages) == 40 + written
        assert manager.check().ok


@pytest.mark.soak(full=30)
def test_a_rotation_that_is_killed_is_resumed(rounds: int, tmp_path: Path) -> None:
    pages: list[int] = []
    filled(tmp_path / "whole.db", 2)
    with EncryptedStore(SQLiteStore(tmp_path / "whole.db"), BOTH) as store:
        store.rotate(progress=lambda seen, of: pages.append(seen))
    assert len(pages) > 20
    for number in range(rounds):
        file = tmp_path / f"{number}.db"
        filled(file, 2)
        with EncryptedStore(SQLiteStore(file), BOTH) as store:
            before = [record._replace(created_at=0) for record in everything(store)]
        with Program("rotating", file, 1 + number * len(pages) // rounds) as program:
            program.end(-9)
        with EncryptedStore(SQLiteStore(file), BOTH) as store:
            assert [r._replace(created_at=0) for r in everything(store)] == before
            report = store.rotate()
            assert report.dropped == ("old",)
            assert report.rewritten <= len(before)
        with EncryptedStore(SQLiteStore(file), ONLY_NEW) as store:
            assert [r._replace(created_at=0) for r in everything(store)] == before


@pytest.mark.parametrize("kind", ["sqlite", "file"])
def test_without_keys_it_is_refused(kind: str, tmp_path: Path) -> None:
    """It never reads as empty, and nothing in clear gets between."""
    url = url_of(kind, tmp_path)
    with SessionManager(url, encryption=KEYS) as sessions:
        sessions.create_session(id="a", name="secret")
    with pytest.raises(StoreUnavailable, match="encryption=Keyring"):
        SessionManager(url)
    with open_store(url) as store:
        for build in (SessionManager, StoreCheckpointer):
            with pytest.raises(StoreUnavailable, match="EncryptedStore"):
                build(store)
        with pytest.raises(StoreUnavailable, match="EncryptedStore"):
            StoreChatMessageHistory(store, "a")
        assert SessionManager(store, encryption=KEYS).get_session("a") is not None


def test_rotation_leaves_nothing_of_the_old_key_in_journals(tmp_path: Path) -> None:
    old = Keyring({"old": b"\x01" * 32}, current="old")
    with SessionManager(f"file:///{tmp_path}/f", encryption=old) as sessions:
        sessions.create_session(id="a")
        sessions.memory("a").append(HumanMessage("x"))
    with FileStore(tmp_path / "f") as store:
        report = EncryptedStore(store, KEYS).rotate()
    assert report.dropped == ("old",)
    (journal,) = (path for path in (tmp_path / "f" / "sessions").rglob("*.jsonl"))
    before = journal.read_bytes()
    with FileStore(tmp_path / "f") as store:
        store.execute([Reclaim()])
    assert journal.read_bytes() == before


@pytest.mark.parametrize("whose", ["session", "message", "item"])
def test_a_check_names_what_cannot_be_opened(whose: str) -> None:
    inner = MemoryStore()
    sessions = SessionManager(EncryptedStore(inner, KEYS))
    for id in ("a", "b"):
        sessions.create_session(id=id, name="x")
        sessions.memory(id).append(HumanMessage("hello"))
        sessions.store.put(("notes", id), "k", {"n": 1})
    assert sessions.check().problems == ()
    (records,) = inner.execute([Query((), deep=True, blobs=True)])
    vault = sessions._store._vault  # type: ignore[attr-defined]
    wanted = {
        "session": (("sessions",), "a"),
        "message": (("memory", "a"), "0000000000"),
        "item": (("notes", "a"), "k"),
    }[whose]
    place = vault.names.place(*wanted)
    (record,) = (r for r in records if (r.namespace, r.key) == place)
    blob = record.blob[:-1] + bytes([record.blob[-1] ^ 1])
    inner.execute([Put(*place, blob=blob)])
    report = sessions.check()
    (problem,) = (problem for problem in report.problems if problem.kind == "file")
    said = problem.detail.partition("damaged (")[2].partition(":")[0].split("/")
    # The name of a session is known by its other records, that of an item by nobody.
    assert ("notes" if whose == "item" else "a") in said
    assert not report.ok
    assert [m.content for m in sessions.messages("b")] == ["hello"]
