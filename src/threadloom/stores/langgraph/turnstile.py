"""A lock that threads and event loops wait for in one line."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager

from threadloom.errors import StoreUnavailable


class Turnstile:
    """Lets one through at a time, in the order of arrival.

    It knows no event loop: whoever waits on one is woken there, a thread is woken as a thread.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._line: deque[Future[None]] = deque()
        self._inside: Future[None] | None = None
        self._thread = 0

    def is_mine(self) -> bool:
        """Whether the calling thread is inside."""
        return self._thread == threading.get_ident()

    @contextmanager
    def pass_through(self) -> Iterator[None]:
        """Wait for the turn on this thread.

        Raises:
            StoreUnavailable: this thread is inside already.
        """
        if self.is_mine():
            raise StoreUnavailable(
                "this store is at work in this very thread: a signal handler, or a store that "
                "is called back, cannot use a store that it has interrupted"
            )
        ticket: Future[None] = Future()
        try:
            self._enter(ticket)
            ticket.result()
            self._thread = threading.get_ident()
            yield
        finally:
            if self.is_mine():
                self._thread = 0
            self._leave(ticket)

    @asynccontextmanager
    async def apass_through(self) -> AsyncIterator[None]:
        """Wait for the turn on the running event loop."""
        ticket: Future[None] = Future()
        try:
            self._enter(ticket)
            if not ticket.done():
                await asyncio.wrap_future(ticket)
            yield
        finally:
            self._leave(ticket)

    def _enter(self, ticket: Future[None]) -> None:
        with self._mutex:
            if self._inside is not None:
                self._line.append(ticket)
                return
            self._inside = ticket
        ticket.set_result(None)

    def _leave(self, ticket: Future[None]) -> None:
        """Go away: from inside, from the line, or before either."""
        with self._mutex:
            if self._inside is not ticket:
                if ticket in self._line:
                    self._line.remove(ticket)
                return
            self._inside = None
            while self._line:
                following = self._line.popleft()
                if following.set_running_or_notify_cancel():
                    self._inside = following
                    following.set_result(None)
                    break
