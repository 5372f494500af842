"""Threads built checkpoint by checkpoint, and what their delta-channel history is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint
from langgraph.checkpoint.base.id import uuid6

Saver = BaseCheckpointSaver[str]
NOTHING = object()


class Line:
    """A thread that is built checkpoint by checkpoint, by the sync or the async methods."""

    def __init__(self, saver: Saver, door: str, name: str = "t", ns: str = "") -> None:
        self.saver = saver
        self.door = door
        self.name = name
        self.ns = ns
        self.versions: dict[str, str] = {}
        self.step = -1

    def put(
        self,
        parent: RunnableConfig | None,
        values: Mapping[str, Any] | None = None,
        *,
        bumped: Sequence[str] = (),
        versions: Mapping[str, str] | None = None,
    ) -> RunnableConfig:
        """A child of `parent` which stores these values anew; what is `bumped` has a new version
        and no value, as a delta channel between two snapshots."""
        self.step += 1
        fresh = {
            channel: self.saver.get_next_version(self.versions.get(channel), None)
            for channel in (*(values or {}), *bumped)
        }
        known = {**(self.versions if versions is None else versions), **fresh}
        self.versions = known
        checkpoint = Checkpoint(
            v=4,
            id=str(uuid6(clock_seq=-1)),
            ts="2024-01-01T00:00:00+00:00",
            channel_values=dict(values or {}),
            channel_versions=known,
            versions_seen={},
            updated_channels=sorted(fresh),
        )
        settings: dict[str, Any] = {"thread_id": self.name, "checkpoint_ns": self.ns}
        if parent is not None:
            settings["checkpoint_id"] = parent["configurable"]["checkpoint_id"]
        config: RunnableConfig = {"configurable": settings}
        metadata: Any = {"source": "loop", "step": self.step, "parents": {}}
        if self.door == "sync":
            return self.saver.put(config, checkpoint, metadata, fresh)
        return asyncio.run(self.saver.aput(config, checkpoint, metadata, fresh))

    def write(
        self,
        at: RunnableConfig,
        *writes: tuple[str, Any],
        task: str | None = None,
        path: str = "",
    ) -> None:
        task = task or str(uuid4())
        if self.door == "sync":
            self.saver.put_writes(at, writes, task, path)
        else:
            asyncio.run(self.saver.aput_writes(at, writes, task, path))

    def walk(self, config: RunnableConfig, *channels: str) -> dict[str, Any]:
        base = BaseCheckpointSaver
        if self.door == "sync":
            own = self.saver.get_delta_channel_history(config=config, channels=channels)
            reference = base.get_delta_channel_history(self.saver, config=config, channels=channels)
        else:
            own = asyncio.run(
                self.saver.aget_delta_channel_history(config=config, channels=channels)
            )
            reference = asyncio.run(
                base.aget_delta_channel_history(self.saver, config=config, channels=channels)
            )
        assert own == reference
        return dict(own)

    def found(self, config: RunnableConfig, channel: str = "c") -> tuple[Any, list[Any]]:
        """The seed (NOTHING if there is none) and the values written since."""
        entry = self.walk(config, channel)[channel]
        assert all(name == channel for _, name, _ in entry["writes"])
        return entry.get("seed", NOTHING), [value for _, _, value in entry["writes"]]


def chain(line: Line, stored: Sequence[Mapping[str, Any] | None]) -> list[RunnableConfig]:
    """One checkpoint per entry, each with the write `at n` on channel c."""
    made: list[RunnableConfig] = []
    for number, values in enumerate(stored):
        bumped = () if values else ("c",)
        made.append(line.put(made[-1] if made else None, values, bumped=bumped))
        line.write(made[-1], ("c", f"at {number}"))
    return made
