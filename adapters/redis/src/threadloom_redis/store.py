"""`RedisStore`: the shell around the engine. Clients, event loops, threads, forks."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import redis.exceptions
from langgraph.store.base import IndexConfig, TTLConfig
from redis.cluster import RedisCluster

from threadloom.clock import Clock
from threadloom.errors import InvalidKey, StoreClosed, StoreUnavailable
from threadloom.ops import WRITES, Op
from threadloom.plans import Batch, Results
from threadloom.store import Capabilities, Store
from threadloom.stores import forking
from threadloom.stores.shielding import Shield
from threadloom.stores.waiting import settled
from threadloom_redis.aclients import AsyncClient
from threadloom_redis.attempts import Talk
from threadloom_redis.care import Care
from threadloom_redis.clients import Client
from threadloom_redis.engine import Engine, changes
from threadloom_redis.index import Index, IndexLost
from threadloom_redis.life import CLOSING, UnderWay
from threadloom_redis.names import Names
from threadloom_redis.options import Limits, checked_prefix, parse

logger = logging.getLogger("threadloom.stores")

_READ_THREADS, _WRITE_THREADS = 8, 8


class RedisStore(Store):
    """Keeps everything in Redis or Valkey, one server or a Cluster, without modules.

    Any number of processes on any number of machines may use one prefix. A batch within one
    session is one script, whole or not at all; one over several sessions goes session by session.
    Connects with the first call. Survives `os.fork`. What survives a crash of Redis is what Redis
    was told to save; see the README.

    Args:
        redis: a URL (``redis://``, ``rediss://``, ``redis+cluster://``), or a client
            (`redis.Redis`, `redis.cluster.RedisCluster`) that stays its owner's to close. How the
            client decodes replies does not matter. What a URL says goes before the arguments.
        prefix: what keys begin with; ``threadloom`` by default. Stores with different prefixes
            never see each other.
        timeout: seconds that an answer may take.
        connect_timeout: seconds that connecting may take. A client that was handed in has its own.
        retry_for: seconds for which a call is tried again while Redis cannot be reached.
        max_connections: connections at once.
        wait_replicas: how many replicas must have a write before it returns.
        create: whether a prefix without any key is begun with the first write; otherwise every
            call raises `StoreUnavailable` there, and leaves nothing.
        clock: tells the time for times of records and their expiry; the system's by default.
        index: for semantic search, see `Store`.
        ttl: how long items live, see `Store`.

    Raises:
        InvalidKey: the URL, the client or an option cannot be used.
    """

    capabilities = Capabilities(atomic_everywhere=False, full_text=False, durable=True, shared=True)

    def __init__(
        self,
        redis: str | redis.Redis | RedisCluster = "redis://localhost:6379/0",
        *,
        prefix: str | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        retry_for: float | None = None,
        max_connections: int | None = None,
        wait_replicas: int | None = None,
        create: bool = True,
        clock: Clock | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__(clock=clock, index=index, ttl=ttl)
        given = {
            "timeout": timeout,
            "connect_timeout": connect_timeout,
            "retry_for": retry_for,
            "max_connections": max_connections,
            "wait_replicas": wait_replicas,
        }
        own: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self._address = None
        if isinstance(redis, str):
            self._address, self._limits, prefix = parse(redis, Limits(**own), prefix)
            self._client = Client(self._address, self._limits)
        else:
            self._limits = Limits(**own)
            prefix = checked_prefix(prefix)
            self._client = Client(None, self._limits, redis)
        self.prefix = prefix
        self._names = Names(prefix)
        self._create = create
        self._index = Index(self._names, must_exist=not create)
        self._care = Care(self._client, self._names, self._index)
        self._engine_of_redis = Engine(self._names, self._index, self._limits.patience)
        self._native: AsyncClient | None = None
        self._under_way = UnderWay(repr(self))
        self._looked = False
        self._threads: tuple[ThreadPoolExecutor, ThreadPoolExecutor] | None = None
        self._threads_of = 0
        self._has_ended = False
        self._threads_lock = threading.Lock()
        self._remaking = threading.Lock()
        self._shield = Shield(self._client.place)
        forking.register(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client.place!r}, prefix={self.prefix!r})"

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch; within one partition all or nothing. See `Store.execute`."""
        self._check_open()
        return self._shield.run(lambda: self._execute(ops))

    def _execute(self, ops: Batch) -> Results:
        with self._under_way.one():
            try:
                return self._run(self._talk(ops))
            except IndexLost:
                engine = self._recovered(ops)
            return self._run(self._talk(ops, engine))

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute` for event loops.

        Inside of `async with` its loop talks to Redis itself, any other one through threads of
        the store.
        """
        self._check_open()
        native = self._native
        if native is not None and native.loop is asyncio.get_running_loop():
            return await settled(native.start(self._natively(native, ops)))
        results: Results = await self._hop(ops, self.execute, ops)
        return results

    async def _natively(self, native: AsyncClient, ops: Batch) -> Results:
        try:
            return await native.run(self._talk(ops))
        except IndexLost:
            engine = await self._hop(ops, self._recovered, ops)
        return await native.run(self._talk(ops, engine))

    def _talk(self, ops: Batch, engine: Engine | None = None) -> Talk[Results]:
        return (engine or self._engine_of_redis).apply(list(ops), self.now())

    def _recovered(self, ops: Iterable[Op]) -> Engine:
        """Make the index where there is none; what then answers a batch.

        Raises:
            StoreUnavailable: there is nothing, and there is not to be.
        """
        if self._remake_index(begins=self._create and changes(ops)):
            return self._engine_of_redis
        if not self._create:
            raise StoreUnavailable(
                f"{self._client.place} has nothing of Threadloom under the prefix "
                f"{self.prefix!r:.200}, and create=False makes nothing: check the prefix"
            )
        lacking = Index(self._names, may_lack=True)
        return Engine(self._names, lacking, self._limits.patience)

    def _run(self, talk: Talk[Results]) -> Results:
        if not self._looked:
            self._looked = True
            self._look_at_eviction()
        return self._client.run(talk)

    # Care

    def damage(self) -> list[str]:
        """The sessions, and namespaces of long-term memory, of which something is missing."""
        return self._shield.run(self._damage)

    def _damage(self) -> list[str]:
        with self._under_way.one():
            self._begin()
            return self._care.damage()

    def mend(self) -> list[str]:
        """Make the index again, and what is damaged whole of the records that are left."""
        return self._shield.run(self._mend)

    def _mend(self) -> list[str]:
        with self._under_way.one():
            self._begin()
            done = self._care.mend()
            with self._remaking:
                self._care.remake_from_empty()
            return done

    def _begin(self) -> None:
        """What comes before going over all keys."""
        try:
            self._client.run(self._index.begin(writes=False))
        except IndexLost:
            self._recovered(())

    def _remake_index(self, *, begins: bool = False) -> bool:
        with self._remaking:
            return self._care.remake_index(begins=begins)

    def _look_at_eviction(self) -> None:
        """Warn of a server that throws keys away when its memory is full."""
        try:
            memory = self._client.command("INFO", "memory")
        except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError):
            return  # whoever calls is told, or may not ask
        policy = memory.get("maxmemory_policy") if isinstance(memory, dict) else None
        if policy not in (None, "noeviction"):
            logger.warning(
                "%r evicts keys when its memory is full (maxmemory-policy %s): sessions may go "
                "missing; set it to noeviction",
                *(self, policy),
            )

    # Life

    async def aopen(self) -> None:
        """Open connections that belong to the running event loop.

        On a Cluster, with a client that was handed in, and where writes wait for replicas, there
        are none, and calls go through the store's threads.
        """
        self._check_open()
        address = self._address
        if address is None or address.cluster or self._limits.wait_replicas or self._native:
            return
        self._native = AsyncClient(address, self._limits)

    def close(self) -> None:
        """Wait for what is under way, half a minute at most, then give back connections, threads.

        Called on the very loop that has connections of its own, it does not wait for what that is
        doing: it is finished, and the connections are closed, as the loop goes on. `aclose` waits.
        """
        self._under_way.shut()
        native = self._native
        if native is not None and _end(native):
            self._native = None
        at_rest = self._under_way.wait()
        if not at_rest:
            logger.warning("%r was closed while something was still under way", self)
        self._shield.close()
        with self._threads_lock:
            self._has_ended = True
            threads, self._threads = self._threads, None
        if threads is not None and self._threads_of == os.getpid():
            for pool in threads:
                pool.shutdown(wait=at_rest)
        self._client.close()

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        self._under_way.shut()
        native = self._native
        if native is not None and native.loop is asyncio.get_running_loop():
            self._native = None
            await native.close()
        await asyncio.to_thread(self.close)

    def before_fork(self) -> None:
        self._threads_lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._threads_lock.release()

    def after_fork_in_child(self) -> None:
        self._threads_lock = threading.Lock()
        self._remaking = threading.Lock()
        self._native = None
        self._under_way.renew()
        self._client.renew()

    def _check_open(self) -> None:
        self._under_way.check()

    async def _hop(self, ops: Batch, work: Callable[..., Any], *args: Any) -> Any:
        """Work on one of the store's threads; reads never queue behind writes."""
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool(ops), work, *args)
        except RuntimeError as error:  # closed by somebody else just now
            raise StoreClosed(f"{self!r} was closed") from error
        return await settled(future)

    def _pool(self, ops: Batch) -> ThreadPoolExecutor:
        with self._threads_lock:
            if self._has_ended:
                raise StoreClosed(f"{self!r} was closed")
            if self._threads is None or self._threads_of != os.getpid():
                self._threads = (
                    ThreadPoolExecutor(_READ_THREADS, "threadloom-redis-read"),
                    ThreadPoolExecutor(_WRITE_THREADS, "threadloom-redis-write"),
                )
                self._threads_of = os.getpid()
            return self._threads[any(isinstance(op, WRITES) for op in ops)]


def _end(native: AsyncClient) -> bool:
    """Close the connections of a loop from anywhere; False where it stands still."""
    loop = native.loop
    try:
        here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if loop is here:
        native.start(native.close())
    elif loop.is_running():
        ended = asyncio.run_coroutine_threadsafe(native.close(), loop)
        wait([ended], timeout=CLOSING)
    else:
        return False
    return True


def open_url(url: str, *, clock: Clock | None = None, create: bool = True) -> RedisStore:
    """Open the store of a URL; what `open_store` calls. See `RedisStore` for `create`.

    Raises:
        InvalidKey: the URL or one of its options makes no sense.
    """
    if not isinstance(url, str):
        raise InvalidKey(f"not a URL: {url!r:.80}")
    return RedisStore(url, clock=clock, create=create)
