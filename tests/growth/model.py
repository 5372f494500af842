"""What a checkpointer must show, as plain dicts of pictures of what was put."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP

from .exact import exact, header


@dataclass
class Kept:
    """One checkpoint. Its values are those of its namespace at its `present` versions."""

    parent: str | None
    body: dict[str, Any]
    versions: dict[str, Any]
    metadata: dict[str, Any]
    present: dict[str, Any]


@dataclass
class Space:
    """One checkpoint namespace; `checkpoints` are in put order."""

    checkpoints: dict[str, Kept] = field(default_factory=dict)
    values: dict[tuple[str, Any], Any] = field(default_factory=dict)
    writes: dict[str, dict[tuple[str, int], tuple[str, str, Any]]] = field(default_factory=dict)
    head: str | None = None

    def put(
        self,
        parent: str | None,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
        new_versions: Mapping[str, Any],
    ) -> None:
        known = checkpoint["channel_values"]
        present: dict[str, Any] = {}
        for channel, version in checkpoint["channel_versions"].items():
            if channel in new_versions:
                if channel not in known:
                    continue
                self.values[channel, version] = exact(known[channel])
            elif (channel, version) not in self.values:
                if channel not in known:
                    continue
                self.values[channel, version] = exact(known[channel])
            present[channel] = version
        id = checkpoint["id"]
        if id not in self.checkpoints:
            self.head = id
        body = {name: item for name, item in checkpoint.items() if name != "channel_values"}
        self.checkpoints[id] = Kept(
            parent,
            header(body),
            dict(checkpoint["channel_versions"]),
            copy.deepcopy(dict(metadata)),
            present,
        )

    def put_writes(
        self, id: str, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> None:
        mine = self.writes.setdefault(id, {})
        for position, (channel, value) in enumerate(writes):
            number = WRITES_IDX_MAP.get(channel, position)
            if number < 0 or (task_id, number) not in mine:
                mine[task_id, number] = (task_path, channel, exact(value))

    def remove(self, gone: Iterable[str]) -> None:
        """Remove checkpoints, their writes, and the values that only they had."""
        for id in gone:
            del self.checkpoints[id]
            self.writes.pop(id, None)
        for kept in self.checkpoints.values():
            if kept.parent not in self.checkpoints:
                kept.parent = None
        used = {pair for kept in self.checkpoints.values() for pair in kept.present.items()}
        self.values = {pair: value for pair, value in self.values.items() if pair in used}
        if self.head not in self.checkpoints:
            self.head = next(reversed(self.checkpoints), None)

    def picture(self, thread: str, ns: str, id: str) -> dict[str, Any]:
        """What reading a checkpoint must give, as `exact.picture` shows it."""
        kept = self.checkpoints[id]
        ordered = sorted(
            (path, task, number, channel, value)
            for (task, number), (path, channel, value) in self.writes.get(id, {}).items()
        )
        return {
            "config": (thread, ns, id),
            "parent": None if kept.parent is None else (thread, ns, kept.parent),
            "metadata": exact(kept.metadata),
            "body": kept.body,
            "values": {c: self.values[c, version] for c, version in kept.present.items()},
            "writes": [(task, channel, value) for _, task, _, channel, value in ordered],
        }


class Model:
    """Threads, and in each its checkpoint namespaces."""

    def __init__(self) -> None:
        self.threads: dict[str, dict[str, Space]] = {}

    def space(self, thread: str, ns: str) -> Space:
        return self.threads.setdefault(thread, {}).setdefault(ns, Space())

    def spaces(self) -> list[tuple[str, str, Space]]:
        """Every namespace that holds a checkpoint."""
        return [
            (thread, ns, space)
            for thread, spaces in self.threads.items()
            for ns, space in spaces.items()
            if space.checkpoints
        ]

    def places(self) -> list[tuple[str, str, str]]:
        """Every checkpoint."""
        return [(thread, ns, id) for thread, ns, space in self.spaces() for id in space.checkpoints]

    def delete_for_runs(self, runs: set[str]) -> None:
        for _, _, space in self.spaces():
            space.remove(
                [id for id, k in space.checkpoints.items() if k.metadata.get("run_id") in runs]
            )

    def prune(self, thread: str) -> None:
        for space in self.threads.get(thread, {}).values():
            space.remove([id for id in space.checkpoints if id != space.head])

    def copy_thread(self, source: str, target: str) -> None:
        self.threads[target] = copy.deepcopy(self.threads[source])

    def delete_thread(self, thread: str) -> None:
        self.threads.pop(thread, None)
