"""Having a turn: the block that takes, renews and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from types import TracebackType
from typing import Final, TypeVar
from uuid import uuid4

from langchain_core.runnables import RunnableConfig

from threadloom import fences
from threadloom.errors import InvalidKey, SessionBusy, ThreadloomError, UnsupportedByStore
from threadloom.fences import Fence
from threadloom.keys import SessionPaths, check_id
from threadloom.plans import Pause, Plan, arun, run
from threadloom.scope import Scope
from threadloom.sessions import turns
from threadloom.sessions.arguments import duration
from threadloom.sessions.turns import Taken
from threadloom.store import Store

logger = logging.getLogger("threadloom.sessions")
T = TypeVar("T")

DEFAULT_LEASE: Final = timedelta(seconds=30)
_RENEWALS: Final = 3
"""How often a lease is renewed while it lasts."""
_FIRST_LOOK, _LAST_LOOK = 0.02, 0.25
"""Seconds between looks of somebody who waits."""


class Turn:
    """A turn that is under way.

    Attributes:
        id: its id.
        session_id: the session that it is a turn of.
    """

    def __init__(self, id: str, paths: SessionPaths, fence: Fence) -> None:
        self.id = id
        self.session_id = paths.id
        self._fence = fence
        self._tokens = 0
        self._lost = threading.Event()

    @property
    def config(self) -> RunnableConfig:
        """A fresh config that names the session to graphs and chains.

        For graphs it carries the fence as well, also into threads that were started by hand.
        """
        return {
            "configurable": {
                "thread_id": self.session_id,
                "session_id": self.session_id,
                fences.CONFIG_KEY: self._fence.version,
            }
        }

    @property
    def lost(self) -> bool:
        """Whether it is known that the turn was taken over, or its session deleted."""
        return self._lost.is_set()

    def add_tokens(self, number: int) -> None:
        """Count tokens that no stored message tells of; they are stored when the turn ends.

        Raises:
            InvalidKey: it is no number of tokens.
        """
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise InvalidKey(f"a number of tokens is 0 or more, got {number!r}")
        self._tokens += number

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, session_id={self.session_id!r})"


class TurnHolder:
    """What `SessionManager.turn` gives: enter it once, by `with` or by `async with`."""

    def __init__(
        self,
        store: Store,
        scope: Scope,
        paths: SessionPaths,
        *,
        turn_id: str | None,
        wait: float | timedelta | None,
        lease: timedelta,
    ) -> None:
        self._store, self._scope, self._paths = store, scope, paths
        self._id = str(uuid4()) if turn_id is None else check_id(turn_id, "a turn id")
        self._wait = _seconds(wait)
        self._lease = duration(lease, "lease")
        self._entered = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: Turn | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._process = 0

    def __enter__(self) -> Turn:
        return self._begin(run(self._take(), self._store))

    async def __aenter__(self) -> Turn:
        return self._begin(await self._atake())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        turn = self._leave()
        if self._process != os.getpid():
            return  # a forked child leaves its parent's turn alone
        if self._thread is not None:
            self._thread.join()
        with self._outcome(turn, error):
            run(self._end(turn, error), self._store)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        turn = self._leave()
        if self._process != os.getpid():
            return
        with self._outcome(turn, error):
            await _to_its_end(asyncio.ensure_future(self._aend(turn, error)))

    async def _aend(self, turn: Turn, error: BaseException | None) -> None:
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        await arun(self._end(turn, error), self._store)

    def _take(self) -> Plan[Taken]:
        self._enter_once()
        for pause in self._pauses():
            taken = yield from turns.take(self._scope, self._paths, self._id, self._lease)
            if taken is not None:
                return taken
            yield Pause(pause)
        raise self._busy()

    async def _atake(self) -> Taken:
        self._enter_once()
        for pause in self._pauses():
            plan = turns.take(self._scope, self._paths, self._id, self._lease)
            attempt = asyncio.ensure_future(arun(plan, self._store))
            try:
                taken = await _to_its_end(attempt)
            except asyncio.CancelledError:
                # It may have been taken all the same; nobody is going to end it.
                if not attempt.cancelled() and attempt.exception() is None:
                    if (late := attempt.result()) is not None:
                        await _to_its_end(
                            asyncio.ensure_future(arun(self._given_up(late), self._store))
                        )
                raise
            if taken is not None:
                return taken
            await asyncio.sleep(pause)
        raise self._busy()

    def _enter_once(self) -> None:
        if self._entered:
            raise InvalidKey("a turn is entered once: call turn() again for another one")
        self._entered = True
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    def _pauses(self) -> Iterator[float]:
        """Seconds between looks, for as long as it may wait."""
        deadline = time.monotonic() + self._wait
        pause = _FIRST_LOOK
        while True:
            left = deadline - time.monotonic()
            yield max(0.0, min(left, random.uniform(0.5, 1) * pause))  # noqa: S311
            if left <= 0:
                return
            pause = min(_LAST_LOOK, 2 * pause)

    def _busy(self) -> SessionBusy:
        return SessionBusy(
            f"session {self._paths.id!r} has another turn under way; waited "
            f"{self._wait:g} s for it (wait=SECONDS waits longer)"
        )

    def _given_up(self, taken: Taken) -> Plan[None]:
        return turns.end(self._scope, self._paths, taken.fence, failed=False, tokens=0)

    def _begin(self, taken: Taken) -> Turn:
        fence = Fence(taken.fence)
        self._process = os.getpid()
        self._turn = Turn(taken.turn_id, self._paths, fence)
        fences.enter(self._paths, fence)
        # A thread also below an event loop: a loop that is blocked does not lose the turn.
        self._thread = threading.Thread(
            target=self._keep, args=(self._turn,), name="threadloom-turn", daemon=True
        )
        self._thread.start()
        return self._turn

    def _leave(self) -> Turn:
        assert self._turn is not None
        self._ended.set()
        fences.leave(self._paths, self._turn._fence)
        return self._turn

    def _end(self, turn: Turn, error: BaseException | None) -> Plan[None]:
        return turns.end(
            self._scope,
            self._paths,
            turn._fence.version,
            failed=error is not None and not isinstance(error, GeneratorExit),
            tokens=turn._tokens,
        )

    @contextlib.contextmanager
    def _outcome(self, turn: Turn, error: BaseException | None) -> Iterator[None]:
        """Where the block failed, that counts; what goes wrong at the end is logged."""
        try:
            yield
            turn._fence.ended = True
        except ThreadloomError as at_the_end:
            if error is None:
                raise
            logger.warning(
                "session %r: its turn failed, and could not be ended: %s",
                self._paths.id,
                at_the_end,
            )

    def _renew(self, turn: Turn) -> Plan[bool]:
        return turns.renew(self._scope, self._paths, turn._fence.version, self._lease)

    def _keep(self, turn: Turn) -> None:
        while not self._ended.wait(self._lease / 1_000_000 / _RENEWALS):
            try:
                if not self._is_renewed(turn):
                    turn._lost.set()
                    return
            except Exception as error:  # the next time may go better
                logger.warning("session %r: its turn was not renewed: %s", self._paths.id, error)

    def _is_renewed(self, turn: Turn) -> bool:
        try:
            return run(self._renew(turn), self._store)
        except UnsupportedByStore:
            if self._loop is None:
                raise
            # A store that only an event loop can use: on that of the turn.
            work = arun(self._renew(turn), self._store)
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(self._lease / 1e6)


async def _to_its_end(task: asyncio.Future[T]) -> T:
    """Await something also where whoever awaits is cancelled, and then tell."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


def _seconds(wait: float | timedelta | None) -> float:
    if wait is None:
        return 0.0
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise InvalidKey(f"wait is a number of seconds or a timedelta, 0 or more; got {wait!r}")
    return float(seconds)
