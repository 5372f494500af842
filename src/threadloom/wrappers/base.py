"""`Wrapper`: a store around a store."""

from __future__ import annotations

from langgraph.store.base import BaseStore

from threadloom.errors import InvalidKey
from threadloom.store import Store


class Wrapper(Store):
    """A store that does its work with another one.

    It tells the other's time and has its capabilities. Whoever made the outer store owns
    both: closing it closes the one inside. LangGraph's interface goes through `execute` of the
    outer store, so nothing gets past it.

    Args:
        inner: the store that does the work.

    Attributes:
        inner: the store inside.

    Raises:
        InvalidKey: `inner` is no Threadloom store.
    """

    def __init__(self, inner: Store) -> None:
        given: object = inner
        if not isinstance(given, Store):
            hint = (
                "wrap it in LangGraphStore(store) first"
                if isinstance(given, BaseStore)
                else "open_store(url) opens one"
            )
            raise InvalidKey(
                f"a {type(self).__name__} goes around a Threadloom store, not around a "
                f"{type(given).__name__}; {hint}"
            )
        super().__init__(clock=inner.clock)
        self._configure(inner._settings)
        self.inner = inner
        self.capabilities = inner.capabilities

    def now(self) -> int:
        """The time of the store inside."""
        return self.inner.now()

    def file_bytes(self) -> int | None:
        """The size of the files of the store inside."""
        return self.inner.file_bytes()

    def damage(self) -> list[str]:
        """What the engine inside finds damaged in its files."""
        return self.inner.damage()

    def mend(self) -> list[str]:
        """Mend what the engine inside can mend of its files."""
        return self.inner.mend()

    def setup(self) -> None:
        """Set the store inside up."""
        self.inner.setup()

    async def asetup(self) -> None:
        """Set the store inside up."""
        await self.inner.asetup()

    def close(self) -> None:
        """Close the store inside."""
        self.inner.close()

    def open(self) -> None:
        """Make the store inside ready."""
        self.inner.open()

    async def aopen(self) -> None:
        """Make the store inside ready for the running event loop."""
        await self.inner.aopen()

    async def aclose(self) -> None:
        """Close the store inside."""
        await self.inner.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"
