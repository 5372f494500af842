"""The index, whoever dies or is overtaken between two of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from servers import redis as servers
from threadloom.ops import Count, Delete, ListNamespaces, Op, Patch, Put, Query
from threadloom_redis import RedisStore, batches
from threadloom_redis.batches import Untold
from threadloom_redis.names import Names, Partition

SESSIONS = ("sessions",)
PUT = Put(SESSIONS, "s", doc={"owner": "ana", "created_at": 1, "updated_at": 1})
LIST = Query(SESSIONS, filter={"owner": "ana"}, order_by="created_at")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisStore]:
    with RedisStore(servers.place(tmp_path)) as store:
        store.execute([Delete(SESSIONS, "none")])  # a first write: there is an index now
        yield store


@pytest.fixture
def home(store: RedisStore) -> Partition:
    return Names(store.prefix).of(SESSIONS, "s")


def _told(store: RedisStore, home: Partition) -> int:
    [number] = store._client.run(store._index.tell([home], [0]))
    return int(number)


def _write(store: RedisStore, home: Partition, told: int, op: Op = PUT) -> list[Any]:
    """The last step of a writer: what its script answers."""
    request = batches.new_request()
    call = batches.call(home, [op], store.now(), mode="w", told=told, request=request)
    [reply] = store._client.call([call])
    return batches.results(reply, [op], home)


def _listed(store: RedisStore) -> list[str]:
    found, count = store.execute([LIST, Count(SESSIONS)])
    assert len(found) == count
    return [record.key for record in found]


def _pending(store: RedisStore) -> int:
    with redis.Redis.from_url(servers.server()) as client:
        return int(client.zcard(Names(store.prefix).pending))


def test_a_writer_that_died_before_its_write(store: RedisStore, home: Partition) -> None:
    _told(store, home)
    assert _pending(store) == 1
    assert _listed(store) == []
    assert _pending(store) == 0


def test_a_writer_that_died_after_its_write(store: RedisStore, home: Partition) -> None:
    _write(store, home, _told(store, home))
    assert _listed(store) == ["s"]
    assert _pending(store) == 0


def test_a_writer_that_was_overtaken_by_a_lister(store: RedisStore, home: Partition) -> None:
    told = _told(store, home)
    assert _listed(store) == []
    with pytest.raises(Untold) as caught:
        _write(store, home, told)
    assert caught.value.above >= told
    assert _listed(store) == [], "nothing was written"
    _write(store, home, _told(store, home))
    assert _listed(store) == ["s"]


def test_two_writers_and_a_lister_between_them(store: RedisStore, home: Partition) -> None:
    first, second = _told(store, home), _told(store, home)
    _write(store, home, second)
    assert _listed(store) == ["s"]
    with pytest.raises(Untold):
        _write(store, home, first, Patch(SESSIONS, "s", set={"owner": "bo"}))
    store.execute([Patch(SESSIONS, "s", set={"owner": "bo"})])
    assert store.execute([LIST]) == [[]]


def test_a_lister_that_died_before_it_entered(store: RedisStore, home: Partition) -> None:
    _write(store, home, _told(store, home))
    talk = store._index.settle_pending()
    talk.send(store._client.call(next(talk)))  # it asks what is pending, and is sent that
    talk.close()
    settling = store._index.settle([home.name])
    store._client.call(next(settling))
    settling.close()
    assert _pending(store) == 1
    assert _listed(store) == ["s"]
    with pytest.raises(Untold):
        _write(store, home, 0, Delete(SESSIONS, "s"))
    store.execute([Delete(SESSIONS, "s")])
    assert _listed(store) == []


def test_a_lister_that_enters_too_late(store: RedisStore, home: Partition) -> None:
    """What it read is older than what another one has entered meanwhile."""
    _write(store, home, _told(store, home))
    slow = store._index.settle([home.name])
    entering = slow.send(store._client.call(next(slow)))
    store.execute([Patch(SESSIONS, "s", set={"owner": "bo", "updated_at": 5})])
    assert store.execute([LIST._replace(filter={"owner": "bo"}), LIST])[1] == []
    store._client.call(entering)
    slow.close()
    found, other = store.execute([LIST._replace(filter={"owner": "bo"}), LIST])
    assert ([record.key for record in found], other) == (["s"], [])


def test_a_session_whose_id_is_taken_again(store: RedisStore, home: Partition) -> None:
    for number in range(3):
        store.execute([Put(SESSIONS, "s", doc={"owner": "ana", "created_at": number})])
        assert _listed(store) == ["s"]
        store.execute([Delete(SESSIONS, "s")])
        assert _listed(store) == []


def test_writers_help_where_nobody_lists(store: RedisStore) -> None:
    """What is pending stays bounded."""
    for low in range(0, 3_000, 250):
        store.execute(
            [Put(SESSIONS, f"{n:04}", doc={"created_at": n}) for n in range(low, low + 250)]
        )
    assert _pending(store) < 1_600
    assert store.execute([Count(SESSIONS)]) == [3_000]
    assert _pending(store) == 0


def test_a_lister_that_enters_too_late_forgets_nothing(store: RedisStore) -> None:
    """What began while it stood still has been entered by another one since."""
    space = ("users", "u1")
    home = Names(store.prefix).of(space, "k")
    told = _told(store, home)
    slow = store._index.settle([home.name], [b"%d" % told])
    entering = slow.send(store._client.call(next(slow)))
    store.execute([Put(space, "k", doc={})])
    assert store.execute([ListNamespaces()]) == [[space]]
    store._client.call(entering)
    slow.close()
    assert store.execute([ListNamespaces(), Count(("users",), deep=True)]) == [[space], 1]


def test_a_lister_that_enters_too_late_brings_nothing_back(
    store: RedisStore, home: Partition
) -> None:
    told = _told(store, home)
    _write(store, home, told)
    slow = store._index.settle([home.name], [b"%d" % told])
    entering = slow.send(store._client.call(next(slow)))
    store.execute([Delete(SESSIONS, "s")])
    assert _listed(store) == []
    store._client.call(entering)
    slow.close()
    assert store.execute([Count(SESSIONS)]) == [0]


def test_more_partitions_at_once_than_may_be_pending(store: RedisStore) -> None:
    store.execute([Put(("users", f"u{number}"), "k") for number in range(1_200)])
    store.execute([Put(SESSIONS, f"{n:04}", doc={"created_at": n}) for n in range(1_200)])
    assert store.execute([Count(("users",), deep=True), Count(SESSIONS)]) == [1_200, 1_200]
