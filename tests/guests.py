"""Stores of LangGraph's, and one of a third party, that Threadloom is a guest in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import AsyncSqliteStore, SqliteStore

from threadloom.clock import Clock, from_micros
from threadloom.stores.langgraph import LangGraphStore

Data = dict[tuple[str, str], dict[str, Any]]


_QUICK = "PRAGMA synchronous = OFF"  # no test cuts the power


class Died(Exception):
    """The plain store was told to die."""


class PlainStore(BaseStore):
    """The least that a third party may write: two methods, one table, no transactions.

    It names namespaces by joining their labels, finds by the beginning of that name, so that
    ``a.b`` is found below ``a.`` as well as ``ab`` below ``a``, and gives what it finds in no
    order that anybody promised.

    Args:
        data: the table; another store object may have it, too.
        lives: how many items it writes before it dies, None for any number.
    """

    def __init__(self, data: Data | None = None, lives: int | None = None) -> None:
        self.data: Data = {} if data is None else data
        self.lives = lives
        self.batches = 0
        self.written = 0
        self.read = 0

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        self.batches += 1
        return [self._apply(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return self.batch(ops)

    def _apply(self, op: Op) -> Result:
        if isinstance(op, PutOp):
            return self._put(op)
        if self.lives is not None and self.written >= self.lives:
            raise Died
        if isinstance(op, GetOp):
            self.read += 1
            value = self.data.get((".".join(op.namespace), op.key))
            return None if value is None else Item(**self._fields((*self._place(op), value)))
        if isinstance(op, SearchOp):
            found = self._below(op.namespace_prefix)[op.offset : op.offset + op.limit]
            self.read += len(found)
            return [SearchItem(**self._fields(one)) for one in found]
        assert isinstance(op, ListNamespacesOp)
        [condition] = op.match_conditions or ()
        names = {name for name, _, _ in self._below(condition.path)}
        return [tuple(name.split(".")) for name in names][op.offset : op.offset + op.limit]

    def _put(self, op: PutOp) -> None:
        if self.lives is not None and self.written >= self.lives:
            raise Died
        self.written += 1
        if op.value is None:
            self.data.pop(self._place(op), None)
        else:
            self.data[self._place(op)] = dict(op.value)

    @staticmethod
    def _place(op: GetOp | PutOp) -> tuple[str, str]:
        return ".".join(op.namespace), op.key

    def _below(self, prefix: Iterable[str]) -> list[tuple[str, str, dict[str, Any]]]:
        begin = ".".join(prefix)
        found = [
            (*place, value) for place, value in self.data.items() if place[0].startswith(begin)
        ]
        return found[::-1]

    @staticmethod
    def _fields(found: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
        name, key, value = found
        times = dict.fromkeys(("created_at", "updated_at"), from_micros(0))
        return {"namespace": tuple(name.split(".")), "key": key, "value": value, **times}


class AsyncOnlyStore(PlainStore):
    """One that works from event loops only."""

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        raise NotImplementedError("use abatch")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        await asyncio.sleep(0)
        return super().batch(ops)


class Guest(LangGraphStore):
    """A `LangGraphStore` that closes what is inside, for tests that open stores by kind."""

    def __init__(self, inner: BaseStore, stack: ExitStack, clock: Clock | None) -> None:
        super().__init__(inner, clock=clock)
        self._stack = stack

    def close(self) -> None:
        super().close()
        self._stack.close()


def open_guest(kind: str, folder: Path, name: str = "a", *, clock: Clock | None = None) -> Guest:
    """Open a store of a kind (see `engines.GUESTS`) in a folder."""
    stack = ExitStack()
    return Guest(_OPENERS[kind](folder / f"{name}.store", stack), stack, clock)


def _sqlite(file: Path, stack: ExitStack) -> SqliteStore:
    store = stack.enter_context(SqliteStore.from_conn_string(str(file)))
    store.conn.execute(_QUICK)
    return store


def async_sqlite(file: Path, stack: ExitStack) -> AsyncSqliteStore:
    """An `AsyncSqliteStore` on a loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context = AsyncSqliteStore.from_conn_string(str(file))

    def on_loop(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def close() -> None:
        on_loop(context.__aexit__(None, None, None))
        on_loop(_end_tasks())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    store: AsyncSqliteStore = on_loop(context.__aenter__())
    on_loop(store.conn.execute_fetchall(_QUICK))
    stack.callback(close)
    return store


async def _end_tasks() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_OPENERS: dict[str, Callable[[Path, ExitStack], BaseStore]] = {
    "langgraph-memory": lambda file, stack: InMemoryStore(),
    "langgraph-plain": lambda file, stack: PlainStore(),
    "langgraph-sqlite": _sqlite,
    "langgraph-aio": async_sqlite,
}
