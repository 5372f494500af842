"""Memory that is full: reading, listing and making room go on, writing does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from servers.redis import RedisServer
from threadloom import SessionManager, StoreUnavailable
from threadloom.ops import CopyTree, Count, Delete, DropTree, Get, Put, Query, Scan
from threadloom_redis import RedisStore

SESSIONS, SPACE, USERS = ("sessions",), ("memory", "s1", "x"), ("users", "u")


@pytest.fixture
def raw() -> Iterator[redis.Redis]:
    """A server of its own."""
    server = RedisServer(options=("--maxmemory-policy", "noeviction"))
    with redis.Redis.from_url(server.url) as client:
        yield client
    server.stop()


def test_room_can_be_made(raw: redis.Redis) -> None:
    port = raw.connection_pool.connection_kwargs["port"]
    with RedisStore(f"redis://127.0.0.1:{port}/0") as store:
        sessions = SessionManager(store)
        ids = [sessions.create_session(name=name, owner="ana").id for name in "abc"]
        store.execute([Put(SPACE, key, blob=bytes(9)) for key in "abc"])
        store.execute([Put(USERS, key) for key in "abc"])
        assert len(sessions.list_sessions(owner="ana")) == 3
        sessions.rename_session(ids[0], "d")  # the next one who lists has something to bring in
        raw.config_set("maxmemory", "500kb")  # less than it has

        assert {info.name for info in sessions.list_sessions(owner="ana")} == {"b", "c", "d"}
        for write in (Put(SPACE, "d"), Put(("new",), "a"), CopyTree(SPACE, ("copy",))):
            with pytest.raises(StoreUnavailable, match="nothing was written"):
                store.execute([write])
        with pytest.raises(StoreUnavailable, match="nothing was written"):
            store.execute([Delete(SPACE, "a"), Put(SPACE, "d", blob=bytes(99))])
        with pytest.raises(StoreUnavailable, match="nothing was written"):
            sessions.create_session(name="e")

        assert store.execute([Delete(SPACE, "a"), Delete(SPACE, "none")]) == [True, False]
        assert [one.key for one in store.execute([Scan(SPACE)])[0]] == ["b", "c"]
        assert store.execute([DropTree(SPACE), Get(SPACE, "b")]) == [2, None]
        assert store.execute([DropTree(("users",))]) == [3]
        assert sessions.delete_session(ids[0])
        assert {info.id for info in sessions.list_sessions(owner="ana")} == {*ids[1:]}
        assert store.execute([Count(SESSIONS), Query(("users",), deep=True)]) == [2, []]

        raw.config_set("maxmemory", "0")
        store.execute([Put(SPACE, "d")])
        assert store.damage() == []
