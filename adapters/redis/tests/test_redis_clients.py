"""How a store is opened, what it costs, and how it ends."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.exceptions
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, MessagesState, StateGraph

from servers import redis as servers
from servers.cluster import cluster
from threadloom import InvalidKey, SessionManager, open_store
from threadloom.ops import Get, Match, Patch, Put, Query, Reclaim
from threadloom_redis import RedisStore
from threadloom_redis.clients import Client
from threadloom_redis.options import Limits, parse

PROGRAMS = Path(__file__).parent / "redis_programs"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return servers.place(tmp_path)


# ── Opening ───────────────────────────────────────────────────────────────────────────────────
def test_a_url_opens_a_store(url: str) -> None:
    with open_store(url) as store:
        assert isinstance(store, RedisStore)
        assert store.prefix in repr(store)
    with SessionManager(url) as sessions:
        sessions.create_session(id="s", name="Oslo")
    with SessionManager(url) as sessions:
        assert [info.name for info in sessions.list_sessions()] == ["Oslo"]


def test_what_a_url_says() -> None:
    address, limits, prefix = parse(
        "rediss://ana:p%40ss@example.org:7000/3?prefix=a%20b&timeout=2&wait_replicas=1"
        "&ssl_ca_certs=%2Fca.pem&ssl_check_hostname=no",
        Limits(),
    )
    assert address.settings == {
        "host": "example.org", "port": 7000, "db": 3, "username": "ana", "password": "p@ss",
        "ssl": True, "ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False,
    }  # fmt: skip
    assert (limits.timeout, limits.wait_replicas, prefix) == (2.0, 1, "a b")
    assert address.place == "rediss://example.org:7000/3"
    address, _, prefix = parse("redis+cluster://h?tls=yes", Limits(), "given")
    assert (address.cluster, address.settings["ssl"], prefix) == (True, True, "given")
    _, limits, prefix = parse("redis://h?timeout=5&prefix=own", Limits(1, 2), "given")
    assert (limits, prefix) == (Limits(5, 2), "own"), "the URL goes first"


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/x", "redis://h/-1", "redis+cluster://h/1", "redis://h:x", "http://h",
        "redis://h?prefix=", "redis://h?timeout=0", "redis://h?timeout=x", "redis://h?nonsense=1",
        "redis://h?max_connections=0", "redis://h?ssl_ca_certs=x", "redis://h?timeout=inf",
        "rediss://:secret@h?ssl_check_hostname=perhaps", "redis://[bad", "redis://u:secret@[bad]",
    ],
)  # fmt: skip
def test_urls_that_make_no_sense(url: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        RedisStore(url)
    assert "secret" not in str(caught.value)


def test_arguments_that_make_no_sense() -> None:
    for options in ({"prefix": ""}, {"prefix": "a\0"}, {"timeout": -1}, {"wait_replicas": True}):
        with pytest.raises(InvalidKey):
            RedisStore("redis://h", **options)  # type: ignore[arg-type]
    native = redis.asyncio.Redis()
    for client in (native, object(), redis.Redis().pipeline()):
        with pytest.raises(InvalidKey):
            RedisStore(client)  # type: ignore[arg-type]


def test_a_client_of_the_users_stays_theirs(tmp_path: Path) -> None:
    for options in ({"decode_responses": True}, {"protocol": 3}, {"encoding": "latin-1"}):
        with redis.Redis.from_url(servers.server(), **options) as client:
            with RedisStore(client, prefix=f"own{tmp_path}") as store:
                put = Put(("n",), "ü", doc={"ü": 1}, blob=b"\xff\x00", text="täxt")
                store.execute([put])

                async def inside(store: RedisStore = store) -> Any:
                    async with store:
                        return await store.aexecute([Get(("n",), "ü"), Match((), "täxt")])

                record, hits = asyncio.run(inside())
            assert (record.doc, record.blob) == (put.doc, put.blob)
            assert len(hits) == 1
            assert client.ping()


def test_a_client_of_a_cluster(tmp_path: Path) -> None:
    url = cluster().url.removeprefix("redis+cluster")
    with redis.cluster.RedisCluster.from_url(f"redis{url}", decode_responses=True) as client:
        with RedisStore(client, prefix=f"own{tmp_path}") as store:
            store.execute([Put((name,), "k", blob=b"\xff") for name in "abcdef"])
            found = store.execute([Query((), deep=True, blobs=True)])[0]
            assert [record.blob for record in found] == [b"\xff"] * 6
        assert client.ping(target_nodes="random")


# ── What it costs ─────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is sent to Redis, one entry a round trip."""
    packets: list[bytes] = []
    original = redis.connection.AbstractConnection.send_packed_command

    def send(self: Any, command: Any, **options: Any) -> None:
        data = command if isinstance(command, bytes) else b"".join(command)
        packets.append(data)
        original(self, command, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", send)
    return packets


def test_each_step_of_a_graph_is_one_trip(url: str, sent: list[bytes]) -> None:
    with SessionManager(url) as sessions:
        builder = StateGraph(MessagesState)
        builder.add_node("answer", lambda state: {"messages": [("ai", "yes")]})
        builder.add_edge(START, "answer")
        graph = builder.compile(checkpointer=sessions.checkpointer())
        config: Any = {"configurable": {"thread_id": "s"}}
        for turn in range(4):
            sent.clear()
            graph.invoke({"messages": [("user", f"turn {turn}")]}, config)
        # A read to begin with; then a put or a put_writes each: input, its writes, and so on.
        assert len(sent) == 6
        sent.clear()
        assert sessions.checkpointer().get_tuple(config) is not None
        assert len(sent) == 1


def test_round_trips(url: str, sent: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is one; a put and its pending writes are one batch."""
    batches: list[Any] = []
    execute = RedisStore.execute

    def counted(self: RedisStore, ops: Any) -> Any:
        batches.append(ops)
        return execute(self, ops)

    monkeypatch.setattr(RedisStore, "execute", counted)
    with SessionManager(url) as sessions:
        saver = sessions.checkpointer()
        config: Any = {"configurable": {"thread_id": "s", "checkpoint_ns": ""}}

        def put(parent: Any) -> Any:
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = {"x": "v" * 2_000}
            checkpoint["channel_versions"] = {"x": saver.get_next_version(None, None)}
            versions = checkpoint["channel_versions"]
            return saver.put(parent, checkpoint, {"source": "loop", "step": 1}, versions)

        put(put(config))
        parent = saver.get_tuple(config).config

        def trips(work: Any, *args: Any) -> int:
            sent.clear()
            work(*args)
            return len(sent)

        assert trips(saver.put_writes, parent, [("x", 1)], "task") == 1
        assert trips(put, parent) == 1
        batches.clear()
        assert trips(saver.get_tuple, config) == len(batches) <= 3
        sessions.memory("s").append(_message())
        batches.clear()
        assert trips(sessions.memory("s").append, _message()) == len(batches) <= 2
        sessions.list_sessions()
        assert trips(sessions.list_sessions) <= 3
        assert trips(put, saver.get_tuple(config).config) <= 4, "the index is told once"


def _message() -> Any:
    return HumanMessage("hello")


def test_a_page_of_many_sessions_costs_the_page(url: str, sent: list[bytes]) -> None:
    with RedisStore(url) as store:
        for low in range(0, 3_000, 500):
            store.execute(
                [
                    Put(
                        ("sessions",),
                        f"{number:05}",
                        doc={
                            "owner": f"o{number % 3}", "status": "idle", "tags": ["t"],
                            "created_at": number // 5, "updated_at": -number,
                        },
                    )
                    for number in range(low, low + 500)
                ]
            )  # fmt: skip
        page = Query(("sessions",), order_by="created_at", limit=20)
        store.execute([page])
        costs = []
        for query in (
            page,
            page._replace(order_by="updated_at", descending=True),
            page._replace(filter={"owner": "o1"}),
            page._replace(filter={"tags": {"$contains": ["t"]}}, after=(300, "01501")),
            page._replace(filter={"status": "idle"}, descending=True, after=(300, "01501")),
        ):
            sent.clear()
            [found] = store.execute([query])
            assert len(found) == 20
            costs.append((len(sent), sum(packet.count(b"EVALSHA") for packet in sent)))
        assert all(trips <= 3 and scripts <= 22 for trips, scripts in costs), costs


def test_more_callers_than_connections(url: str) -> None:
    with RedisStore(url, max_connections=2) as store:
        store.execute([Put(("n",), "k", doc={"n": 0})])

        def work() -> None:
            for _ in range(5):
                store.execute([Patch(("n",), "k", increment={"n": 1})])

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.execute([Get(("n",), "k")])[0].doc == {"n": 100}


# ── Loops, forks, ends ────────────────────────────────────────────────────────────────────────
def test_a_second_loop_beside_the_native_one(url: str) -> None:
    async def add(store: RedisStore, count: int) -> None:
        batch = [Patch(("n",), "k", increment={"n": 1})]
        await asyncio.gather(*(store.aexecute(batch) for _ in range(count)))

    async def main() -> None:
        async with RedisStore(url) as store:
            await store.aexecute([Put(("n",), "k", doc={"n": 0})])
            other = asyncio.to_thread(lambda: asyncio.run(add(store, 30)))
            await asyncio.gather(add(store, 30), other)
            [record] = await store.aexecute([Get(("n",), "k")])
            assert record.doc == {"n": 60}
            assert store.execute([Get(("n",), "k")]) == [record]

    asyncio.run(main())


@pytest.mark.parametrize("native", [False, True])
def test_a_cancelled_write_waits_for_its_outcome(url: str, native: bool) -> None:
    async def main() -> None:
        store = RedisStore(url)
        if native:
            await store.aopen()
        await store.aexecute([Put(("n",), "k", doc={"n": 0})])
        for turn in range(1, 30):
            batch = [Put(("n",), "k", doc={"n": turn}, blob=bytes(100_000))]
            task = asyncio.ensure_future(store.aexecute(batch))
            for _ in range(turn % 5):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            one = await store.aexecute([Get(("n",), "k")])
            await asyncio.sleep(0.001)
            assert await store.aexecute([Get(("n",), "k")]) == one
        await store.aclose()

    asyncio.run(main())


def test_care_is_shielded_from_signal_handlers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As batches are, it is done on another thread than the main one."""
    threads: list[threading.Thread] = []
    scan = Client.scan

    def seen(self: Client, pattern: bytes) -> Any:
        threads.append(threading.current_thread())
        return scan(self, pattern)

    monkeypatch.setattr(Client, "scan", seen)
    with RedisStore(url) as store:
        assert (store.damage(), store.mend()) == ([], [])
    assert len(threads) == 3
    assert threading.main_thread() not in threads


def _run(program: str, url: str) -> str:
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / program), url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_survives_a_fork(url: str) -> None:
    assert _run("forking.py", url) == "0 70"


def test_never_closed_it_lets_the_interpreter_exit(url: str) -> None:
    since = time.monotonic()
    assert _run("never_closed.py", url) == "1"
    assert time.monotonic() - since < 30


def test_reclaiming_leaves_no_name_of_what_was_deleted(url: str) -> None:
    with SessionManager(url) as sessions:
        sessions.create_session(id="secret-id", name="secret-name", owner="secret-owner")
        sessions.list_sessions()
        sessions.memory("secret-id").set_summary("secret-text")
        sessions.delete_session("secret-id")
    with RedisStore(url) as store:
        store.execute([Reclaim()])
        with redis.Redis.from_url(servers.server()) as client:
            left = b""
            for key in client.scan_iter(match=f"{store.prefix}:*", count=1_000):
                left += key + client.dump(key)
        assert b"secret" not in left


def test_the_readme_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    [block] = re.findall(r"```py\n(.*?)```", readme, re.DOTALL)
    assert "redis://localhost:6379/0?prefix=shop" in block
    exec(block.replace("redis://localhost:6379/0?prefix=shop", url), {})
    assert capsys.readouterr().out == "['A window seat, please.']\n"
