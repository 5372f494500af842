"""`SessionAdapter`: what adapters of other frameworks have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any
from weakref import WeakValueDictionary

from langgraph.store.base import BaseStore

from threadloom.closing import Closing
from threadloom.errors import InvalidKey
from threadloom.sessions.manager import SessionManager


class SessionAdapter(Closing):
    """Stands on a manager: the caller's, or one of its own, which is closed with it.

    A base class, put before that of the framework. A manager that was handed in, or a store, stays
    its owner's to close.

    Args:
        store: a `SessionManager`, or what one is made of: the URL of a store, or a store.
        **options: of the `SessionManager`, where one is made.

    Attributes:
        sessions: the manager, for everything that sessions can do besides.

    Raises:
        InvalidKey: it is none of these, the URL makes no sense, or a manager is given options.
        MissingAdapter: the URL needs a package that is not installed.
        StoreUnavailable: the store cannot be opened.
    """

    sessions: SessionManager

    def __init__(self, store: SessionManager | BaseStore | str, **options: Any) -> None:
        self._opened: SessionManager | None = None
        if isinstance(store, SessionManager):
            if options:
                raise InvalidKey(f"a manager has its options already, got {sorted(options)}")
            self.sessions = store
        elif isinstance(store, (str, BaseStore)):
            self.sessions = self._opened = SessionManager(store, **options)
        else:
            raise InvalidKey(
                "sessions are in a SessionManager, in a store or at a store's URL such as "
                f"'sqlite:///sessions.db', got a {type(store).__name__}"
            )
        self._queues: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    def close(self) -> None:
        """Close the store, if it was opened here, by its URL."""
        if self._opened is not None:
            self._opened.close()

    async def aclose(self) -> None:
        """`close`, from an event loop."""
        if self._opened is not None:
            await self._opened.aclose()

    def open(self) -> None:
        """Make the store ready, if it was opened here; `with` does it, and nobody has to."""
        if self._opened is not None:
            self._opened.open()

    async def aopen(self) -> None:
        """`open`, for the running event loop."""
        if self._opened is not None:
            await self._opened.aopen()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        SessionAdapter.close(self)  # a framework may want another `close`, which is awaited

    def _one_by_one(self, *name: Hashable) -> AbstractAsyncContextManager[None]:
        """Lets the tasks of one event loop that ask by one name in one after the other, in order.

        It only saves them from conflicts with each other: what keeps other loops, threads and
        processes apart is the revision of what they write.
        """
        place = (asyncio.get_running_loop(), *name)
        return self._queues.setdefault(place, asyncio.Lock())
