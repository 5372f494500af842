"""A saver that is open, driven by `invoke` or by `ainvoke` alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import wraps
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.saver import Parts, Saver


class Turn(NamedTuple):
    """One call of a graph."""

    thread: str
    value: Any


class Opened:
    """A saver and how it is used; scenarios never ask whether it is asynchronous."""

    def __init__(
        self, spec: Saver, folder: Path, parts: Parts, runner: asyncio.Runner | None
    ) -> None:
        self.spec = spec
        self.folder = folder
        self.saver = parts.saver
        self._delete_session = parts.delete_session
        self._runner = runner

    def node(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function as a node of a graph; a coroutine function where `ainvoke` runs it."""
        if self._runner is None:
            return function

        @wraps(function)
        async def node(*args: Any, **options: Any) -> Any:
            return function(*args, **options)

        return node

    def drive(
        self,
        graph: Any,
        turns: Iterable[Turn],
        *,
        keep: bool = False,
        after: Callable[[int], None] | None = None,
    ) -> list[float]:
        """Call a graph turn by turn.

        Args:
            graph: a compiled graph.
            turns: what it is called with; made outside of the time that is measured.
            keep: whether the caller keeps the last result while the next turn runs.
            after: called with the number of turns so far, outside of the measured time.

        Returns:
            The seconds of each turn.
        """
        after = after or _nothing
        if self._runner is None:
            return _drive(graph, turns, keep, after)
        return self._runner.run(_adrive(graph, turns, keep, after))

    def drive_at_once(self, graph: Any, crowd: Sequence[Sequence[Turn]]) -> float:
        """Call a graph for many threads at the same time, each turn by turn.

        Args:
            graph: a compiled graph.
            crowd: the turns of each thread.

        Returns:
            The seconds until the last one has ended.
        """
        start = perf_counter()
        if self._runner is None:
            with ThreadPoolExecutor(len(crowd)) as threads:
                list(threads.map(lambda turns: _drive(graph, turns, False, _nothing), crowd))
        else:
            self._runner.run(_at_once(graph, crowd))
        return perf_counter() - start

    def head(self, thread: str) -> Any:
        """The last checkpoint of a thread."""
        return self._call("get_tuple", {"configurable": {"thread_id": thread, "checkpoint_ns": ""}})

    def listed(self, thread: str, limit: int) -> list[Any]:
        """The last checkpoints of a thread."""
        config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        if self._runner is None:
            return list(self.saver.list(config, limit=limit))

        async def collect() -> list[Any]:
            return [found async for found in self.saver.alist(config, limit=limit)]

        found: list[Any] = _finish(self._runner, collect())
        return found

    def delete_thread(self, thread: str) -> None:
        """Delete the checkpoints of a thread."""
        self._call("delete_thread", thread)

    @property
    def has_sessions(self) -> bool:
        """Whether the saver belongs to sessions that can be deleted whole."""
        return self._delete_session is not None

    def delete_session(self, thread: str) -> None:
        """Delete the session of a thread."""
        assert self._delete_session is not None
        result = self._delete_session(thread)
        if self._runner is not None:
            _finish(self._runner, result)

    def stored(self) -> int | None:
        """The stored bytes now; also to be asked after close."""
        return self.spec.stored(self.saver, self.folder)

    def _call(self, name: str, argument: Any) -> Any:
        if self._runner is None:
            return getattr(self.saver, name)(argument)
        return _finish(self._runner, getattr(self.saver, f"a{name}")(argument))


@contextmanager
def opened(spec: Saver, folder: Path) -> Iterator[Opened]:
    """Open a saver on a folder, and close it."""
    context = spec.open(folder)
    if not isinstance(context, AbstractAsyncContextManager):
        with context as parts:
            yield Opened(spec, folder, parts, None)
        return
    with asyncio.Runner() as runner:
        parts = runner.run(_enter(context))
        try:
            yield Opened(spec, folder, parts, runner)
        finally:
            runner.run(_leave(context))


async def _enter(context: AbstractAsyncContextManager[Parts]) -> Parts:
    return await context.__aenter__()


async def _leave(context: AbstractAsyncContextManager[Parts]) -> None:
    await context.__aexit__(None, None, None)


def _finish(runner: asyncio.Runner, work: Awaitable[Any]) -> Any:
    """Wait for something and return its result, but not as the result of a task.

    `Runner.run` puts its signal handler back when the task is done, and `signal.signal` then
    makes a text of the handler, with the task and its result: that would be measured as well.
    """
    found = []

    async def main() -> None:
        found.append(await work)

    runner.run(main())
    return found[0]


def _nothing(turn: int) -> None:
    return None


def _config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


def _drive(
    graph: Any, turns: Iterable[Turn], keep: bool, after: Callable[[int], None]
) -> list[float]:
    seconds = []
    kept = None
    for number, turn in enumerate(turns, 1):
        config = _config(turn.thread)
        start = perf_counter()
        if keep:
            kept = graph.invoke(turn.value, config)
        else:
            graph.invoke(turn.value, config)
        seconds.append(perf_counter() - start)
        after(number)
    del kept
    return seconds


async def _at_once(graph: Any, crowd: Sequence[Sequence[Turn]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for turns in crowd:
            tasks.create_task(_adrive(graph, turns, False, _nothing))


async def _adrive(
    graph: Any, turns: Iterable[Turn], keep: bool, after: Callable[[int], None]
) -> list[float]:
    seconds = []
    kept = None
    for number, turn in enumerate(turns, 1):
        config = _config(turn.thread)
        start = perf_counter()
        if keep:
            kept = await graph.ainvoke(turn.value, config)
        else:
            await graph.ainvoke(turn.value, config)
        seconds.append(perf_counter() - start)
        after(number)
    del kept
    return seconds
