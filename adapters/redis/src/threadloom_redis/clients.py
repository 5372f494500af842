"""Redis as threads call it: one server, a Cluster, or a client that the user has."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import AskError, MovedError, NoScriptError
from redis.retry import Retry

from threadloom.errors import InvalidKey, StoreClosed, StoreUnavailable
from threadloom_redis.attempts import Attempts, Replies, T, Talk
from threadloom_redis.options import Address, Limits
from threadloom_redis.scripts import MARK, Call

RAW = {"NEVER_DECODE": True}
"""An option of redis-py: replies are bytes, whatever the client is set to."""
AT_ONCE = 200
"""Calls in one round trip."""
_WAIT_SHARE = 0.5
_ELSEWHERE = (AskError, MovedError, redis.ConnectionError, redis.TimeoutError)
"""What says that a slot is, or may be, with another node."""


class Client:
    """Calls scripts, from any thread.

    Args:
        address: where Redis is; None where the user has a client.
        limits: how long things may take.
        given: the user's client; it stays theirs.

    Raises:
        InvalidKey: `given` is no client that can be used.
    """

    def __init__(self, address: Address | None, limits: Limits, given: Any = None) -> None:
        self.limits = limits
        self._address = address
        self._given = None if given is None else _checked(given)
        self.place = address.place if address is not None else _place_of(given)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(limits.max_connections)
        self._client: Any = self._given
        self._ended = False

    @property
    def cluster(self) -> bool:
        if self._given is not None:
            return isinstance(self._given, RedisCluster)
        return self._address is not None and self._address.cluster

    def run(self, talk: Talk[T]) -> T:
        """Drive logic to its end; its result."""
        try:
            calls = next(talk)
            while True:
                try:
                    replies = self.call(calls)
                except Exception as error:
                    calls = talk.throw(error)
                else:
                    calls = talk.send(replies)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            talk.close()

    def call(self, calls: Sequence[Call]) -> Replies:
        """Call scripts; replies in order.

        Raises:
            StoreUnavailable: Redis could not be reached, or refuses.
        """
        attempts = Attempts(calls, self.place, self.limits.retry_for)
        while True:
            pause = attempts.take(self._once(attempts.due()))
            if pause is None:
                return attempts.replies
            time.sleep(pause)

    def scan(self, pattern: bytes) -> Iterator[list[bytes]]:
        """The keys that match a glob, in portions; some may come twice."""
        client = self._open()
        nodes = [client]
        if self.cluster:
            nodes = [client.get_redis_connection(node) for node in client.get_primaries()]
        for node in nodes:
            cursor: int | bytes = 0
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", 2_000)
                with self._slot():
                    cursor, found = node.execute_command(*command, **RAW)
                yield list(found)
                if int(cursor) == 0:
                    break

    def command(self, *args: Any, **options: Any) -> Any:
        """Any command of one server; on a Cluster, of some node."""
        client = self._open()
        if self.cluster:
            options["target_nodes"] = RedisCluster.RANDOM
        with self._slot():
            return client.execute_command(*args, **options)

    def close(self) -> None:
        """Close what was opened here; nothing is opened any more."""
        with self._lock:
            self._ended = True
            client, self._client = self._client, None
        if client is not None and self._given is None:
            client.close()

    def renew(self) -> None:
        """Begin anew in the child of a fork; connections are the parent's."""
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.limits.max_connections)
        if self._given is None:
            self._client = None

    def _open(self) -> Any:
        client = self._client
        if client is not None:
            return client
        with self._lock:
            if self._ended:
                raise StoreClosed(f"the store in {self.place} was closed")
            if self._client is None:
                assert self._address is not None
                self._client = _made(self._address, self.limits)
            return self._client

    @contextmanager
    def _slot(self) -> Iterator[None]:
        slots = self._slots
        if not slots.acquire(timeout=self.limits.timeout):
            raise StoreUnavailable(
                f"{self.place}: {self.limits.max_connections} connections are busy, and none "
                "became free in time"
            )
        try:
            yield
        finally:
            slots.release()

    def _once(self, calls: Sequence[Call]) -> list[Any]:
        """Replies, or what was raised instead."""
        with self._slot():
            try:
                client = self._open()
                if len(calls) == 1 and not (calls[0].waits and self.limits.wait_replicas):
                    return [self._single(client, calls[0])]
                if not self.cluster:
                    return self._together(client, calls)
                return self._by_node(client, calls)
            except Exception as error:
                return [error] * len(calls)

    def _single(self, client: Any, call: Call) -> Any:
        try:
            return client.execute_command(*call.by_hash, **RAW)
        except NoScriptError:
            return client.execute_command(*call.whole, **RAW)

    def _together(self, client: Any, calls: Sequence[Call]) -> list[Any]:
        replies: list[Any] = []
        for start in range(0, len(calls), AT_ONCE):
            part = calls[start : start + AT_ONCE]
            try:
                replies += self._pipe(client, part)
            except Exception as error:
                replies += [error] * len(part)
        return replies

    def _pipe(self, client: Any, calls: Sequence[Call]) -> list[Any]:
        replies = self._send(client, calls, whole=False)
        missing = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            again = self._send(client, [calls[at] for at in missing], whole=True)
            for at, reply in zip(missing, again, strict=True):
                replies[at] = reply
        return replies

    def _send(self, client: Any, calls: Sequence[Call], *, whole: bool) -> list[Any]:
        wanted = self.limits.wait_replicas if any(call.waits for call in calls) else 0
        with client.pipeline(transaction=False) as pipe:
            known: set[bytes] = set()
            for call in calls:
                first = whole and call.script.sha not in known
                known.add(call.script.sha)
                pipe.execute_command(*(call.whole if first else call.by_hash), **RAW)
            if wanted:
                milliseconds = int(self.limits.timeout * _WAIT_SHARE * 1000)
                pipe.execute_command("WAIT", wanted, milliseconds)
            replies: list[Any] = pipe.execute(raise_on_error=False)
        if wanted:
            got = replies.pop()
            if isinstance(got, Exception):
                raise got
            told = [_is_told(call, reply) for call, reply in zip(calls, replies, strict=True)]
            if got < wanted and any(told):
                raise StoreUnavailable(
                    f"{self.place}: nothing was written, only {got} of {wanted} replicas have what "
                    "the index was told"
                )
            if got < wanted and any(_is_done(reply) for reply in replies):
                raise StoreUnavailable(
                    f"{self.place}: it is written, but only {got} of {wanted} replicas have it"
                )
        return replies

    def _by_node(self, client: Any, calls: Sequence[Call]) -> list[Any]:
        """Calls in a Cluster: those of one node in one round trip."""
        nodes: defaultdict[str, list[int]] = defaultdict(list)
        for at, call in enumerate(calls):
            nodes[client.get_node_from_key(call.keys[0]).name].append(at)
        replies: list[Any] = [None] * len(calls)
        for name, places in nodes.items():
            node = client.get_redis_connection(client.get_node(node_name=name))
            found = self._together(node, [calls[at] for at in places])
            for at, reply in zip(places, found, strict=True):
                if isinstance(reply, _ELSEWHERE):
                    # The Cluster's client looks where the slot is now.
                    try:
                        reply = self._single(client, calls[at])
                    except Exception as error:
                        reply = error
                replies[at] = reply
        return replies


def _is_told(call: Call, reply: Any) -> bool:
    return call.script is MARK and not isinstance(reply, Exception) and len(reply) > 1


def _is_done(reply: Any) -> bool:
    return not isinstance(reply, Exception) and reply[0] == b"OK"


def _made(address: Address, limits: Limits) -> Any:
    settings: dict[str, Any] = {
        **address.settings,
        "socket_timeout": limits.timeout,
        "socket_connect_timeout": limits.connect_timeout,
        "socket_keepalive": True,
    }
    if address.cluster:
        settings["max_connections"] = limits.max_connections
        settings["retry"] = Retry(ExponentialBackoff(cap=0.2, base=0.02), 2)
        return RedisCluster(**settings)
    return redis.Redis(
        **settings, max_connections=limits.max_connections, retry=Retry(NoBackoff(), 0)
    )


def _checked(given: Any) -> Any:
    if isinstance(given, (redis.asyncio.Redis, redis.asyncio.RedisCluster)):
        raise InvalidKey(
            "a client of redis.asyncio belongs to one event loop, and a store is for all: pass a "
            "redis.Redis or a URL (inside `async with store` calls are native)"
        )
    if isinstance(given, redis.client.Pipeline) or not isinstance(
        given, (redis.Redis, RedisCluster)
    ):
        raise InvalidKey(
            f"a store needs a URL, a redis.Redis or a redis.cluster.RedisCluster, got {given!r:.80}"
        )
    return given


def _place_of(given: Any) -> str:
    if isinstance(given, RedisCluster):
        return "the Redis Cluster of the client"
    settings = given.connection_pool.connection_kwargs
    host = settings.get("host") or settings.get("path")
    if host is None:
        return "the Redis of the client"
    port = f":{settings['port']}" if "port" in settings else ""
    return f"redis://{host}{port}/{settings.get('db') or 0}"
