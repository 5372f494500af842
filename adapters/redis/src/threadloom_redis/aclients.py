"""Redis as one event loop calls it, inside of `async with store`.

One server only. redis-py's asynchronous client of a Cluster closes the connections of all calls
that are under way when one of them fails; there the store's threads do better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from threadloom.errors import StoreClosed
from threadloom_redis.attempts import Attempts, Replies, T, Talk
from threadloom_redis.clients import AT_ONCE, RAW
from threadloom_redis.life import CLOSING
from threadloom_redis.options import Address, Limits
from threadloom_redis.scripts import Call


class AsyncClient:
    """Calls scripts on the loop that made it.

    Args:
        address: where Redis is.
        limits: how long things may take.
    """

    def __init__(self, address: Address, limits: Limits) -> None:
        self.loop = asyncio.get_running_loop()
        self._limits = limits
        self._place = address.place
        self._client: Any = redis.asyncio.Redis(
            **address.settings,
            socket_timeout=limits.timeout,
            socket_connect_timeout=limits.connect_timeout,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
        )
        self._slots = asyncio.Semaphore(limits.max_connections)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def run(self, talk: Talk[T]) -> T:
        """Drive logic to its end; its result."""
        try:
            calls = next(talk)
            while True:
                try:
                    replies = await self.call(calls)
                except Exception as error:
                    calls = talk.throw(error)
                else:
                    calls = talk.send(replies)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            talk.close()

    async def call(self, calls: Sequence[Call]) -> Replies:
        """Call scripts; replies in order.

        Raises:
            StoreUnavailable: Redis could not be reached, or refuses.
        """
        attempts = Attempts(calls, self._place, self._limits.retry_for)
        while True:
            pause = attempts.take(await self._once(attempts.due()))
            if pause is None:
                return attempts.replies
            await asyncio.sleep(pause)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work on the loop that closing waits for."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Wait for what was started, for a while, then close all connections for good."""
        if tasks := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=CLOSING)
        self._ended = True
        await self._client.aclose()

    async def _once(self, calls: Sequence[Call]) -> list[Any]:
        if self._ended:
            raise StoreClosed(f"the store in {self._place} was closed")
        if len(calls) == 1:
            return [await self._single(calls[0])]
        replies: list[Any] = []
        for start in range(0, len(calls), AT_ONCE):
            part = calls[start : start + AT_ONCE]
            async with self._slots:
                try:
                    replies += await self._pipe(part)
                except Exception as error:
                    replies += [error] * len(part)
        return replies

    async def _single(self, call: Call) -> Any:
        async with self._slots:
            try:
                try:
                    return await self._client.execute_command(*call.by_hash, **RAW)
                except NoScriptError:
                    return await self._client.execute_command(*call.whole, **RAW)
            except Exception as error:
                return error

    async def _pipe(self, calls: Sequence[Call]) -> list[Any]:
        replies = await self._send(calls, whole=False)
        missing = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            again = await self._send([calls[at] for at in missing], whole=True)
            for at, reply in zip(missing, again, strict=True):
                replies[at] = reply
        return replies

    async def _send(self, calls: Sequence[Call], *, whole: bool) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command(*(call.whole if whole else call.by_hash), **RAW)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies
