"""Two checkpointers that work on the same data."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import open_kind
from threadloom import MemoryStore, StoreCheckpointer
from threadloom.store import Store

MakeSaver = Callable[[Store], Any]


def config(thread: str, ns: str, id: str | None = None) -> Any:
    named = {"thread_id": thread, "checkpoint_ns": ns}
    return {"configurable": named | ({"checkpoint_id": id} if id else {})}


class Rig:
    """Two checkpointers on one store; on a file each has a store object of its own."""

    def __init__(self, kind: str, make: MakeSaver = StoreCheckpointer) -> None:
        self._make = make
        self._folder = None if kind == "memory" else tempfile.TemporaryDirectory()
        self._kind = kind
        self.stores: list[Store] = []
        self.savers: list[Any] = []
        self._open()

    def _open(self) -> None:
        if self._folder is None:
            self.stores = self.stores or [MemoryStore()]
            self.savers = [self._make(self.stores[0]) for _ in range(2)]
        else:
            self.stores = [open_kind(self._kind, Path(self._folder.name)) for _ in range(2)]
            self.savers = [self._make(store) for store in self.stores]

    def reopen(self) -> None:
        """Begin anew, as another program would; what is only in memory stays there."""
        if self._folder is not None:
            for store in self.stores:
                store.close()
        self._open()

    def close(self) -> None:
        for store in self.stores:
            store.close()
        if self._folder is not None:
            self._folder.cleanup()


class ByAsyncCalls:
    """A checkpointer whose methods are called by their async names, each in a loop of its own."""

    def __init__(self, saver: StoreCheckpointer) -> None:
        self._saver = saver

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self._saver, f"a{name}")

        def call(*args: Any, **options: Any) -> Any:
            return asyncio.run(self._alone(twin, args, options))

        return call

    async def _alone(self, twin: Any, args: Any, options: Any) -> Any:
        found = twin(*args, **options)
        if hasattr(found, "__anext__"):
            return [item async for item in found]
        return await found
