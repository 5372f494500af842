"""What goes wrong elsewhere with Redis, and what its data looks like."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Interrupt, Send, interrupt

from redis_load import Talk, graph_on
from servers import redis as servers
from servers.cluster import cluster
from servers.redis import RedisServer
from threadloom import CorruptRecord, SessionManager, StoreUnavailable
from threadloom.ops import Count, Delete, DropTree, Get, ListNamespaces, Match, Put, Query, Scan
from threadloom.testing import FrozenClock
from threadloom_redis import RedisStore
from threadloom_redis.names import Names

SESSIONS = ("sessions",)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return servers.place(tmp_path)


@pytest.fixture
def store(url: str) -> Iterator[RedisStore]:
    with RedisStore(url) as store:
        yield store


@pytest.fixture
def raw() -> Iterator[redis.Redis]:
    """A plain client of the server."""
    with redis.Redis.from_url(servers.server()) as client:
        yield client


def keys_of(store: RedisStore, client: redis.Redis) -> list[bytes]:
    return sorted(client.scan_iter(match=Names(store.prefix).pattern, count=1_000))


def _keys_of_session(store: RedisStore, id: str) -> list[bytes]:
    partition = Names(store.prefix).of(SESSIONS, id)
    return [partition.records, partition.order]


def _talk(store: RedisStore, *ids: str) -> None:
    sessions = SessionManager(store)
    graph = graph_on(sessions)
    for id in ids:
        graph.invoke({"messages": [("user", f"hello {id}")]}, {"configurable": {"thread_id": id}})


# ── The points of "Redis" ─────────────────────────────────────────────────────────────────────
def test_no_modules_are_needed(store: RedisStore, raw: redis.Redis) -> None:
    # Valkey from 9 on has its scripts' language itself as a module, which it comes with.
    assert {module[b"name"] for module in raw.module_list()} <= {b"lua"}
    _talk(store, "a")
    sessions = SessionManager(store)
    assert [match.session.id for match in sessions.search_sessions("hello")] == ["a"]


def test_no_crossslot_on_a_cluster(tmp_path: Path) -> None:
    """Everything of a session is in one slot, whatever its id, and everything works."""
    odd = ["a{b}c", "}{", "{}", "%7B", "a b", "{user}:1", "漢字", "x" * 1_000]
    with RedisStore(servers.place(tmp_path, url=cluster().url)) as store:
        sessions = SessionManager(store)
        _talk(store, *odd)
        for id in odd:
            fork = sessions.fork_session(id)
            sessions.memory(id).set_summary("short")
            sessions.rewind_session(id, messages=0)
            assert [m.content for m in sessions.messages(fork)] == [
                f"hello {id}",
                f"re: hello {id}",
            ]
            assert sessions.delete_session(fork.id)
        store.execute([Put(("a{1}", "b"), "k", doc={}), Put(("a{2}",), "k", doc={})])
        assert store.execute([Count((), deep=True)])[0] > 0
        assert {info.id for info in sessions.list_sessions()} == set(odd)
        assert sessions.check().problems == ()


def test_every_key_of_an_expiring_session_has_a_time_to_live(
    store: RedisStore, raw: redis.Redis
) -> None:
    sessions = SessionManager(store)
    sessions.create_session(id="short", ttl=timedelta(hours=1))
    _talk(store, "short")
    mine = _keys_of_session(store, "short")
    grace = 24 * 3600
    assert [
        key for key in keys_of(store, raw) if not key.startswith(Names(store.prefix).index)
    ] == (sorted(mine))
    for key in mine:
        assert grace < raw.ttl(key) <= grace + 3600, key
    # It moves with the session's life.
    sessions.update_session("short", ttl=timedelta(hours=5))
    assert all(raw.ttl(key) > grace + 4 * 3600 for key in mine)
    sessions.create_session(id="long")
    _talk(store, "long")
    assert [raw.ttl(key) for key in _keys_of_session(store, "long")] == [-1, -1]


def test_an_expiring_namespace_that_is_written_anew_keeps_its_time_to_live(
    store: RedisStore, raw: redis.Redis
) -> None:
    """Also where nothing of what was there stays, and so Redis begins a new set."""
    space, end = ("cache", "u1"), store.now() + 10**9
    store.execute([Put(space, "a", expires_at=end)])
    store.execute([Delete(space, "a"), Put(space, "b", expires_at=end - 10**6)])
    home = Names(store.prefix).of(space, "b")
    assert raw.ttl(home.records) > 0
    assert raw.ttl(home.order) > 0


def test_a_short_scan_behind_what_has_expired(store: RedisStore) -> None:
    space, now = ("cache", "u1"), store.now()
    store.execute([Put(space, f"a{n:03}", expires_at=now + 1) for n in range(120)])
    store.execute([Put(space, f"b{n}") for n in range(3)])
    scans = [Scan(space, limit=1), Scan(space, limit=2, reverse=True), Scan(space, limit=60)]
    found = [[record.key for record in some] for some in store.execute(scans)]
    assert found == [["b0"], ["b2", "b1"], ["b0", "b1", "b2"]]


def test_a_session_that_stops_to_expire_is_kept(store: RedisStore, raw: redis.Redis) -> None:
    now = store.now()
    store.execute([Put(SESSIONS, "s", doc={}, expires_at=now + 10**9), Put(("memory", "s"), "1")])
    mine = _keys_of_session(store, "s")
    assert all(raw.ttl(key) > 0 for key in mine)
    store.execute([Put(SESSIONS, "s", doc={})])
    assert [raw.ttl(key) for key in mine] == [-1, -1]
    store.execute([Delete(SESSIONS, "s")])
    assert [raw.ttl(key) for key in mine] == [-1, -1], "a message is left"
    store.execute([DropTree(("memory", "s"))])
    assert [raw.ttl(key) > 0 for key in mine] == [True, False]
    store.execute([Put(("memory", "s"), "1")])
    assert [raw.ttl(key) for key in mine] == [-1, -1]


def test_items_that_all_expire_leave_nothing_behind(store: RedisStore, raw: redis.Redis) -> None:
    now = store.now()
    store.execute([Put(("cache",), str(n), expires_at=now + 10**9) for n in range(3)])
    partition = Names(store.prefix).of(("cache",), "")
    assert all(raw.ttl(key) > 0 for key in (partition.records, partition.order))
    store.execute([Put(("cache",), "kept")])
    assert [raw.ttl(key) for key in (partition.records, partition.order)] == [-1, -1]


def test_what_redis_has_forgotten_goes_from_listings(tmp_path: Path, raw: redis.Redis) -> None:
    """Redis's own expiry tells nobody; the next lister notices."""
    clock = FrozenClock()
    with RedisStore(servers.place(tmp_path), clock=clock) as store:
        store.execute([Put(SESSIONS, "s", doc={}, expires_at=store.now() + 10), Put(SESSIONS, "t")])
        assert store.execute([Count(SESSIONS)]) == [2]
        for key in _keys_of_session(store, "s"):
            raw.delete(key)
        assert [r.key for r in store.execute([Query(SESSIONS, order_by="created_at")])[0]] == ["t"]
        assert store.execute([Count(SESSIONS), Count(SESSIONS, expired=True)]) == [1, 0]


def test_prefixes_never_meet(tmp_path: Path, raw: redis.Redis) -> None:
    base = servers.place(tmp_path)
    stem = base.rpartition("=")[2]
    names = ["app", "app2", "app:", "app*", "a?p", "[ab]pp", "app{1}", "app%7B1%7D", "app:{=n}:r"]
    stores = [
        RedisStore(servers.server(), prefix=f"{stem}{name}", max_connections=2) for name in names
    ]
    for store in stores:
        _talk(store, "s")
        store.execute([Put(("n",), "k", doc={"of": store.prefix}, text="word")])
    for store in stores:
        assert store.execute([Get(("n",), "k")])[0].doc == {"of": store.prefix}
        assert len(store.execute([Match((), "word")])[0]) == 1
        assert store.execute([Query(SESSIONS)])[0][0].key == "s"
        assert all(key.startswith(f"{Names(store.prefix).prefix}:{{".encode())
                   for key in keys_of(store, raw))  # fmt: skip
    sizes = [len(keys_of(store, raw)) for store in stores]
    SessionManager(stores[0]).delete_session("s")
    stores[0].execute([DropTree(("n",))])
    assert [len(keys_of(store, raw)) for store in stores[1:]] == sizes[1:]
    for store in stores[1:]:
        assert store.execute([Count(SESSIONS)]) == [1]
        store._remake_index()
        assert store.execute([Count(SESSIONS)]) == [1]
        store.close()
    stores[0].close()


def test_send_and_interrupt_come_back_whole(store: RedisStore) -> None:
    def fan(state: Talk) -> list[Send]:
        return [Send("ask", {"messages": [("user", f"q{number}")]}) for number in range(3)]

    def ask(state: dict[str, Any]) -> dict[str, Any]:
        answer = interrupt({"question": state["messages"][0][1], "tags": ("a", 1)})
        return {"messages": [("ai", f"{state['messages'][0][1]}={answer}")]}

    builder = StateGraph(Talk)
    builder.add_node("ask", ask)
    builder.add_conditional_edges(START, fan, ["ask"])
    graph = builder.compile(checkpointer=SessionManager(store).checkpointer())
    config = {"configurable": {"thread_id": "s"}}
    first = graph.invoke({"messages": [("user", "go")]}, config)
    found = sorted(first["__interrupt__"], key=lambda one: one.value["question"])
    assert all(type(one) is Interrupt for one in found)
    assert [one.value for one in found] == [
        {"question": f"q{number}", "tags": ("a", 1)} for number in range(3)
    ]
    assert {one.id for one in graph.get_state(config).interrupts} == {one.id for one in found}
    resume = {one.id: number for number, one in enumerate(found)}
    done = graph.invoke(Command(resume=resume), config)
    assert {m.content for m in done["messages"][1:]} == {"q0=0", "q1=1", "q2=2"}


# ── Data ──────────────────────────────────────────────────────────────────────────────────────
def test_foreign_keys_are_left_alone(store: RedisStore, raw: redis.Redis) -> None:
    near = [
        f"{store.prefix}", f"{store.prefix}:", f"{store.prefix}:other", f"{store.prefix}x:{{=n}}:r",
        f"{store.prefix[:-1]}:{{=n}}:r", "{=n}:r",
    ]  # fmt: skip
    for name in near:
        raw.set(name, "theirs")
    try:
        _talk(store, "s")
        store.execute([Put(("n",), "k", doc={})])
        store._remake_index()
        assert store.execute([ListNamespaces(("n",))]) == [[("n",)]]
        SessionManager(store).delete_session("s")
        store.execute([DropTree(("n",))])
        assert [raw.get(name) for name in near] == [b"theirs"] * len(near)
    finally:
        raw.delete(*near)


def test_a_key_that_belongs_to_something_else_is_named(store: RedisStore, raw: redis.Redis) -> None:
    partition = Names(store.prefix).of(("n",), "")
    raw.set(partition.records, "theirs")
    with pytest.raises(StoreUnavailable, match="belongs to something else"):
        store.execute([Put(("n",), "k")])
    assert raw.get(partition.records) == b"theirs"


@pytest.mark.parametrize("lost", ["records", "order"])
def test_a_session_of_which_a_key_was_evicted_is_damaged_not_empty(
    store: RedisStore, raw: redis.Redis, lost: str
) -> None:
    _talk(store, "s", "t")
    partition = Names(store.prefix).of(SESSIONS, "s")
    raw.delete(getattr(partition, lost))
    sessions = SessionManager(store)
    with pytest.raises(CorruptRecord):
        sessions.get_session("s")
    with pytest.raises(CorruptRecord):
        sessions.messages("s")
    with pytest.raises(CorruptRecord):
        store.execute([Put(("memory", "s"), "x")])
    assert sessions.messages("t")[0].content == "hello t"
    assert [one for one in store.damage() if partition.name in one]
    assert store.mend()
    assert store.damage() == []
    assert [info.id for info in sessions.list_sessions()] == (
        ["s", "t"] if lost == "order" else ["t"]
    )


def test_an_index_that_was_lost_is_made_again(store: RedisStore, raw: redis.Redis) -> None:
    _talk(store, "a", "b", "c")
    SessionManager(store).list_sessions()
    for key in raw.scan_iter(match=Names(store.prefix).index + b"*", count=1_000):
        raw.delete(key)
    found = SessionManager(store).list_sessions()
    assert [info.id for info in found] == ["a", "b", "c"]
    assert [i.id for i in asyncio.run(_listed_natively(store, raw))] == ["a", "b", "c"]


@pytest.mark.parametrize("part", ["ids:", "created:", "updated:", "entered", "partitions"])
def test_an_index_that_was_lost_in_part_is_told_and_made_again(
    store: RedisStore, raw: redis.Redis, part: str
) -> None:
    sessions = SessionManager(store)
    _talk(store, "a", "b", "c")
    store.execute([Put(("users",), "k")])
    assert len(sessions.list_sessions()) == 3
    assert store.damage() == []
    raw.delete(*raw.scan_iter(match=Names(store.prefix).index + part.encode() + b"*", count=1_000))
    assert "the index lacks" in store.damage()[0]
    assert sessions.delete_session("a")
    assert not sessions.check().ok
    assert "the index lacks" in store.mend()[0]
    assert (store.damage(), store.mend()) == ([], [])
    assert [info.id for info in sessions.list_sessions()] == ["b", "c"]
    assert {info.id for info in sessions.list_sessions(order_by="updated_at")} == {"b", "c"}
    assert (sessions.count_sessions(), sessions.check().ok) == (2, True)
    assert [one.namespace for one in store.execute([Query(("users",), deep=True)])[0]] == [
        ("users",)
    ]


def test_an_index_with_what_is_not_there_is_told_and_made_again(
    store: RedisStore, raw: redis.Redis
) -> None:
    sessions = SessionManager(store)
    _talk(store, "a", "b")
    sessions.list_sessions()
    raw.zadd(Names(store.prefix).index + b"ids:", {"none": 0})
    assert "1 too many" in store.damage()[0]
    assert sessions.count_sessions() == 3
    store.mend()
    assert (sessions.count_sessions(), store.damage()) == (2, [])


def test_what_redis_has_forgotten_is_no_damage(store: RedisStore, raw: redis.Redis) -> None:
    _talk(store, "a", "b")
    SessionManager(store).list_sessions()
    raw.delete(*_keys_of_session(store, "a"))
    assert store.damage() == []


async def _listed_natively(store: RedisStore, raw: redis.Redis) -> list[Any]:
    for key in raw.scan_iter(match=Names(store.prefix).index + b"*", count=1_000):
        raw.delete(key)
    async with RedisStore(servers.server(), prefix=store.prefix) as native:
        return await SessionManager(native).alist_sessions()


def test_contents_and_names_of_any_kind(store: RedisStore) -> None:
    long = "ü" * 3_000
    blobs = [b"", b"\x00|\xff", b"1 2 3 - - -|", b"|", bytes(range(256)), b"x" * 1_000_000]
    names = [long, "", "k{}:*", "a\nb", "😀", "|", "- -"]
    for number, blob in enumerate(blobs):
        for name in names:
            put = Put(("n", long), f"{name}{number}", {"ü|": "|"}, blob, f"t|{number}\x00")
            store.execute([put])
            [record] = store.execute([Get(put.namespace, put.key)])
            assert (record.doc, record.blob, record.text) == (put.doc, put.blob, put.text)
    keys = [record.key for record in store.execute([Scan(("n", long))])[0]]
    assert keys == sorted(f"{name}{number}" for number in range(len(blobs)) for name in names)


def test_memory_that_is_full_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    server = RedisServer(options=("--maxmemory", "6mb", "--maxmemory-policy", "noeviction"))
    with RedisStore(server.url, prefix="full") as store:
        blob = bytes(50_000)
        refused = ""
        for number in range(1_000):
            space = ("memory", f"s{number}")
            batch = [*(Put(space, key, blob=blob) for key in "abc"), Put(SESSIONS, f"s{number}")]
            try:
                store.execute(batch)
            except StoreUnavailable as error:
                refused = str(error)
                break
        assert "maxmemory; nothing was written" in refused
        assert 3 < number < 999
        assert store.execute([Get(SESSIONS, f"s{number}"), Scan(space)]) == [None, []]
        assert len(store.execute([Scan(("memory", f"s{number - 1}"))])[0]) == 3
        store.execute([DropTree(("memory", "s1"))])
    server.stop()


def test_evicting_servers_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(options=("--maxmemory", "60mb", "--maxmemory-policy", "allkeys-lru"))
    with RedisStore(server.url) as store:
        store.execute([Get(("n",), "k")])
        store.execute([Get(("n",), "k")])
    assert caplog.text.count("allkeys-lru") == 1
    server.stop()
