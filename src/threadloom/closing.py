"""`with` and `async with` for whatever can be closed."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Leaving `with` closes; leaving `async with` closes without blocking the loop."""

    def close(self) -> None:
        """Give back what is held."""

    async def aclose(self) -> None:
        """`close`, from an event loop."""
        self.close()

    def open(self) -> None:
        """Make ready what `with` is to find ready; mostly nothing."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def aopen(self) -> None:
        """`open`, for the running event loop: also what can only be used there."""

    async def __aenter__(self) -> Self:
        await self.aopen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
