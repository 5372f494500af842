"""What is said when Redis is not there, is another one, or refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis
import redis.asyncio
import redis.exceptions

from servers import redis as servers
from servers.cluster import cluster
from servers.redis import RedisServer
from servers.started import free_port
from threadloom import StoreUnavailable
from threadloom.ops import Get, Put, Query
from threadloom_redis import RedisStore
from threadloom_redis.errors import translated

PROGRAMS = Path(__file__).parent / "redis_programs"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return servers.place(tmp_path)


def test_nobody_is_there(tmp_path: Path) -> None:
    url = f"redis://ana:secret@127.0.0.1:{free_port()}/0?retry_for=0.2"
    with RedisStore(url) as store:
        for call in (
            lambda: store.execute([Get(("n",), "k")]),
            lambda: store.execute([Put(("n",), "k")]),
            lambda: asyncio.run(store.aexecute([Query((), deep=True)])),
            store.damage,
        ):
            with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
                call()
            assert "secret" not in f"{caught.value}{caught.value.__cause__}{store!r}"
            assert "not known" not in str(caught.value), "it was never sent"


def test_a_cluster_that_is_not_there() -> None:
    with (
        RedisStore(f"redis+cluster://127.0.0.1:{free_port()}?retry_for=0.1") as store,
        pytest.raises(StoreUnavailable),
    ):
        store.execute([Get(("n",), "k")])


def test_passwords() -> None:
    server = RedisServer(options=("--requirepass", "right"))
    address = server.url.removeprefix("redis://")
    for given in ("", ":wrong@"):
        with RedisStore(f"redis://{given}{address}") as store:
            with pytest.raises(StoreUnavailable, match=r"Redis (refuses|wants)") as caught:
                store.execute([Put(("n",), "k")])
            assert "wrong" not in str(caught.value)
    with RedisStore(f"redis://:right@{address}") as store:
        store.execute([Put(("n",), "k")])
    server.stop()


def test_a_node_of_a_cluster_is_no_server() -> None:
    url = cluster().url.replace("redis+cluster", "redis")
    with (
        RedisStore(f"{url}?retry_for=0.1") as store,
        pytest.raises(StoreUnavailable, match=r"redis\+cluster://"),
    ):
        store.execute([Put((f"n{number}",), "k") for number in range(20)])


def test_a_server_that_is_no_cluster() -> None:
    url = servers.server().replace("redis://", "redis+cluster://").removesuffix("/0")
    with RedisStore(f"{url}?retry_for=0.1") as store, pytest.raises(StoreUnavailable):
        store.execute([Get(("n",), "k")])


_IN_A_SCRIPT = "Error running script (call to f_c101): @user_script:413: @user_script"
"""What Redis 6.2 says before what went wrong."""


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (redis.exceptions.BusyLoadingError("LOADING Redis is loading"), "still loading"),
        (redis.exceptions.ReadOnlyError("You can't write"), "replica"),
        (redis.exceptions.OutOfMemoryError("used memory"), "nothing was written"),
        (redis.exceptions.ClusterDownError("CLUSTERDOWN Hash slot not served"), "is down"),
        (redis.exceptions.MovedError("1 127.0.0.1:7000"), r"redis\+cluster"),
        (redis.exceptions.ResponseError("MISCONF Redis is configured to save"), "cannot save"),
        (redis.exceptions.ResponseError("NOREPLICAS Not enough"), "fewer replicas"),
        (
            redis.exceptions.ResponseError(f"{_IN_A_SCRIPT}: 413: -OOM command"),
            "nothing was written",
        ),
        (redis.exceptions.ResponseError(f"{_IN_A_SCRIPT}: 16: WRONGTYPE"), "something else"),
        (redis.exceptions.NoPermissionError("no permissions"), "does not allow"),
        (redis.exceptions.AuthenticationError("invalid password"), "password"),
        (redis.exceptions.ResponseError("ERR something else"), "something else"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_redis_says_is_told(said: Exception, meant: str) -> None:
    found = translated(said, "redis://h:1/0", unknown=True)
    assert isinstance(found, StoreUnavailable)
    with pytest.raises(StoreUnavailable, match=meant):
        raise found
    assert "not known" not in str(found), "Redis has answered"


def test_replicas_that_are_missing_are_told(tmp_path: Path) -> None:
    """Of the index before anything is written, so that a failover leaves nothing unlisted."""
    url = servers.place(tmp_path)
    with RedisStore(url, wait_replicas=1, timeout=0.4) as store, RedisStore(url) as other:
        put = Put(("n",), "k", doc={"n": 1})
        with pytest.raises(StoreUnavailable, match="nothing was written, only 0 of 1 replicas"):
            store.execute([put])
        assert store.execute([Get(("n",), "k")]) == [None]
        other.execute([Put(("n",), "k")])
        with pytest.raises(StoreUnavailable, match="it is written, but only 0 of 1 replicas"):
            store.execute([put])
        assert store.execute([Get(("n",), "k")])[0].doc == {"n": 1}


def test_a_replica_that_is_there_is_waited_for(tmp_path: Path) -> None:
    primary = RedisServer(options=("--repl-diskless-sync-delay", "0"))
    port = str(primary.port)
    replica = RedisServer(options=("--replicaof", "127.0.0.1", port, "--replica-priority", "1"))
    with RedisStore(primary.url, wait_replicas=1, timeout=20) as store:
        store.execute([Put(("n",), "k", doc={"n": 1})])
    with RedisStore(replica.url, retry_for=0.1) as store:
        assert store.execute([Get(("n",), "k")])[0].doc == {"n": 1}
        with pytest.raises(StoreUnavailable, match="replica"):
            store.execute([Put(("n",), "k")])
    replica.stop()
    primary.stop()
