"""The manager behind a store or a history: the caller's, or one of its own."""

from __future__ import annotations

from typing import Self

from threadloom import SessionManager


class Owning:
    """Has a manager, and closes it if it was made here.

    Attributes:
        sessions: the manager, for everything that sessions can do besides.
    """

    def __init__(self, store: SessionManager | str) -> None:
        self._own = isinstance(store, str)
        self.sessions = SessionManager(store) if isinstance(store, str) else store

    def close(self) -> None:
        """Close the manager if a URL was given; one that was handed in stays open."""
        if self._own:
            self.sessions.close()

    async def aclose(self) -> None:
        """`close`, from an event loop."""
        if self._own:
            await self.sessions.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
