"""Whose manager it is: the caller's, or one that an adapter has opened itself."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from threadloom import SessionManager


class Opened:
    """Something that stands on a session manager, and closes it where it has opened it.

    Attributes:
        sessions: the manager.
    """

    sessions: SessionManager
    _owned: bool

    def _open(self, store: SessionManager | str) -> None:
        self._owned = not isinstance(store, SessionManager)
        self.sessions = store if isinstance(store, SessionManager) else SessionManager(store)

    async def aclose(self) -> None:
        """Close the store if it was opened here, by its URL; a manager stays its owner's."""
        if self._owned:
            await self.sessions.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
