"""Opening Threadloom on a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path

from benchmarks.saver import Parts


def threadloom(url: Callable[[Path], str]) -> Callable[[Path], AbstractContextManager[Parts]]:
    """Opens a manager on the URL of a folder."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Parts]:
        from threadloom import SessionManager

        with SessionManager(url(folder)) as sessions:
            yield Parts(sessions.checkpointer(), sessions.delete_session)

    return opened


def threadloom_async(
    url: Callable[[Path], str],
) -> Callable[[Path], AbstractAsyncContextManager[Parts]]:
    """The same for an event loop."""

    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[Parts]:
        from threadloom import SessionManager

        async with SessionManager(url(folder)) as sessions:
            yield Parts(sessions.checkpointer(), sessions.adelete_session)

    return opened
