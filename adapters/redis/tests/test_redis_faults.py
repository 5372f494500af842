"""What was written stays written while Redis, or the way to it, goes and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cut import Cut
from redis_load import Load
from servers import redis as servers
from servers.cluster import Cluster
from servers.redis import PACKAGE, RedisServer, answers
from servers.started import Started, free_port, program
from threadloom import SessionManager, StoreUnavailable
from threadloom.ops import Count, Get, Patch, Put, Query
from threadloom_redis import RedisStore

PROGRAMS = Path(__file__).parent / "redis_programs"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server with a log on disk that nobody else uses."""
    own = RedisServer(append_only=True)
    yield own
    own.stop()


@pytest.mark.soak(full=10)
def test_a_server_that_restarts(server: RedisServer, tmp_path: Path, rounds: int) -> None:
    for number in range(rounds):
        with RedisStore(servers.place(tmp_path, str(number), url=server.url)) as store:
            load = Load(store)

            def restart(power: bool = bool(number % 2)) -> None:
                server.kill() if power else server.stop()
                server.start()

            load.during(restart)
            assert load.errors == [], "so short an absence is bridged"
            load.check()


@pytest.mark.soak(full=20)
def test_connections_that_are_killed(server: RedisServer, tmp_path: Path, rounds: int) -> None:
    with redis.Redis.from_url(server.url) as admin:
        for number in range(rounds):
            with RedisStore(servers.place(tmp_path, str(number), url=server.url)) as store:
                load = Load(store)

                def kill() -> None:
                    for _ in range(40):
                        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                        time.sleep(0.005)

                load.during(kill)
                assert load.errors == []
                load.check()


@pytest.mark.soak(full=100)
def test_a_write_whose_answer_was_lost_happens_once(
    server: RedisServer, tmp_path: Path, rounds: int
) -> None:
    """Connections die at every moment of a counter's increments, and each counts once."""
    with (
        redis.Redis.from_url(server.url) as admin,
        RedisStore(servers.place(tmp_path, url=server.url)) as store,
    ):
        store.execute([Put(("notes",), "k", doc={"n": 0})])

        async def count() -> None:
            for number in range(rounds):
                tasks = [
                    asyncio.ensure_future(
                        store.aexecute([Patch(("notes",), "k", increment={"n": 1})])
                    )
                    for _ in range(10)
                ]
                await asyncio.sleep(0.0005 * (number % 7))
                await asyncio.to_thread(
                    admin.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"
                )
                versions = await asyncio.gather(*tasks)
                assert len({version for [version] in versions}) == 10

        asyncio.run(count())
        [record] = store.execute([Get(("notes",), "k")])
        assert record.doc == {"n": 10 * rounds}


def test_a_network_that_is_cut(server: RedisServer, tmp_path: Path) -> None:
    """Nothing hangs, what fails says so, and sessions go on when the network is back."""
    with Cut(server.port) as cable:
        url = f"redis://127.0.0.1:{cable.port}/0?timeout=1&connect_timeout=1&retry_for=2"
        with RedisStore(servers.place(tmp_path, url=url)) as store:
            load = Load(store)

            def cut() -> None:
                cable.cut()
                time.sleep(10)
                cable.join()

            load.during(cut)
            assert load.errors
            assert all(isinstance(error, StoreUnavailable) for error in load.errors)
            assert load.longest < 15, "a turn is a few calls, and each is bounded"
            load.check()


def test_a_cut_network_tells_what_is_not_known(server: RedisServer, tmp_path: Path) -> None:
    with Cut(server.port) as cable:
        url = f"redis://:secret@127.0.0.1:{cable.port}/0?timeout=0.3&retry_for=0.3"
        given = servers.place(tmp_path, url=url.replace(":secret@", ""))
        with RedisStore(given) as store:
            store.execute([Put(("notes",), "k", doc={})])
            cable.cut()
            since = time.monotonic()
            with pytest.raises(StoreUnavailable, match="whether it was written is not known"):
                store.execute([Put(("notes",), "k", doc={"n": 1})])
            with pytest.raises(StoreUnavailable) as caught:
                asyncio.run(store.aexecute([Get(("notes",), "k")]))
            assert "written" not in str(caught.value)
            assert isinstance(caught.value.__cause__, redis.exceptions.RedisError)
            assert time.monotonic() - since < 5
            cable.join()
            assert store.execute([Get(("notes",), "k")])[0] is not None


def test_a_primary_of_a_cluster_that_dies(tmp_path: Path) -> None:
    cluster = Cluster()
    with RedisStore(servers.place(tmp_path, url=cluster.url), retry_for=30, timeout=5) as store:
        load = Load(store, threads=6)

        def kill() -> None:
            # Copies to replicas are not waited for; those of a moment without writes are there.
            dead = cluster.primaries()[0]
            dead.kill()
            cluster.wait_for_failover(dead)

        load.during(kill, turns=3)
        for session, said in load.said.items():
            lost = [text for text in said if text not in _stored(store, session)]
            assert len(lost) <= 1, "only what the replica had not got yet"
        listed = {info.id for info in SessionManager(store).list_sessions()}
        assert listed == set(load.said)
    for node in cluster.nodes:
        node.kill()


def _stored(store: RedisStore, session: str) -> set[str]:
    messages = SessionManager(store).messages(session)
    return {str(message.content) for message in messages}


@pytest.mark.soak(full=30)
def test_a_client_that_is_killed(server: RedisServer, tmp_path: Path, rounds: int) -> None:
    """All or nothing of a batch is there, and the index is what the sessions are."""
    url = servers.place(tmp_path, url=server.url)
    with RedisStore(url) as store:
        for number in range(rounds):
            with subprocess.Popen(
                [sys.executable, str(PROGRAMS / "creating.py"), url, str(number)],
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(0.002 * (number % 10))
                os.kill(process.pid, signal.SIGKILL)
            listed = store.execute([Query(("sessions",), order_by="created_at")])[0]
            [ids] = store.execute([Query(("sessions",))])
            assert sorted(record.key for record in listed) == [record.key for record in ids]
            assert store.execute([Count(("sessions",))]) == [len(ids)]
            for record in listed:
                found = store.execute(
                    [Get(("memory", record.key), key) for key in ("1", "2", "next")]
                )
                assert all(found), f"{record.key} is there in part"
                assert found[2].doc == {"n": record.body()["n"]}
            memories = store.execute([Count(("memory",), deep=True)])[0]
            assert memories == 3 * len(listed)


def test_behind_sentinel(tmp_path: Path) -> None:
    """A pool that Sentinel manages finds the new primary after a failover."""
    primary = RedisServer()
    replica = RedisServer(options=("--replicaof", "127.0.0.1", str(primary.port)))
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor mymaster 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds mymaster 500\n"
        "sentinel failover-timeout mymaster 3000\n"
    )
    argv = [program("redis-server", PACKAGE), str(config), "--sentinel", "--port", str(port)]
    sentinel = Started([*argv, "--bind", "127.0.0.1"], log=tmp_path / "sentinel.log")
    sentinel.wait_until(lambda: answers(port))
    with redis.Sentinel([("127.0.0.1", port)], socket_timeout=2).sentinels[0] as asked:
        sentinel.wait_until(lambda: len(asked.sentinel_slaves("mymaster")) == 1)
    manager = redis.Sentinel([("127.0.0.1", port)], socket_timeout=2)
    client = manager.master_for("mymaster")
    with RedisStore(client, wait_replicas=1, retry_for=30) as store:
        store.execute([Put(("notes",), "k", doc={"n": 1})])
    with RedisStore(client, retry_for=30) as store:
        primary.kill()
        store.execute([Patch(("notes",), "k", increment={"n": 1})])
        assert store.execute([Get(("notes",), "k")])[0].doc == {"n": 2}
    client.close()
    for one in manager.sentinels:
        one.close()
    sentinel.stop()
    replica.stop()
