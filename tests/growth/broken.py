"""Checkpointers that break one promise each, the way a rewrite of their storage might."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import CheckpointTuple

from threadloom import StoreCheckpointer

from .exact import exact


def _replaced(checkpoint: Any, **values: Any) -> Any:
    return {**checkpoint, "channel_values": {**checkpoint["channel_values"], **values}}


def _key(config: Any) -> tuple[Any, Any]:
    inner = config["configurable"]
    return inner["thread_id"], inner.get("checkpoint_ns", "")


class Altered(StoreCheckpointer):
    """Shows every checkpoint altered, whichever way it is read."""

    def altered(self, found: CheckpointTuple) -> CheckpointTuple:
        raise NotImplementedError

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        found = super().get_tuple(config)
        return None if found is None else self.altered(found)

    def list(self, config: Any, **options: Any) -> Iterator[CheckpointTuple]:
        yield from (self.altered(found) for found in super().list(config, **options))


class LosesAWrite(StoreCheckpointer):
    """Stores all pending writes of a task but the last of several."""

    def put_writes(self, config: Any, writes: Any, *more: Any) -> None:
        super().put_writes(config, list(writes)[: max(1, len(writes) - 1)], *more)


class ReplaysWrites(Altered):
    """A task that is replayed gets a second set of writes."""

    _times = 0

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        self._times += 1
        super().put_writes(config, writes, f"{task_id}#{self._times:05d}", task_path)

    def altered(self, found: CheckpointTuple) -> CheckpointTuple:
        writes = [(task.split("#")[0], c, v) for task, c, v in found.pending_writes or []]
        return found._replace(pending_writes=writes)


class SharesWhatItReads(StoreCheckpointer):
    """Hands out the values of its cache."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cache: dict[Any, Any] = {}

    def put(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        self._cache.clear()
        return super().put(config, checkpoint, *more)

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        found = super().get_tuple(config)
        if found is not None:
            values = found.checkpoint["channel_values"]
            for channel, value in values.items():
                version = found.checkpoint["channel_versions"][channel]
                key = (*_key(config), channel, version)
                values[channel] = self._cache.setdefault(key, value)
        return found


class SharesNestedDicts(SharesWhatItReads):
    """Copies messages that it hands out, but not what is in their `additional_kwargs`."""

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        found = super().get_tuple(config)
        if found is not None:
            values = found.checkpoint["channel_values"]
            for channel, value in values.items():
                if isinstance(value, list):
                    values[channel] = [
                        item.model_copy() if isinstance(item, BaseMessage) else copy.deepcopy(item)
                        for item in value
                    ]
                else:
                    values[channel] = copy.deepcopy(value)
        return found


class KeepsWhatItWasGiven(Altered):
    """Reads from the objects that were put."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._given: dict[Any, Any] = {}

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        for channel, version in new_versions.items():
            if channel in checkpoint["channel_values"]:
                value = checkpoint["channel_values"][channel]
                self._given[(*_key(config), channel, version)] = value
        return super().put(config, checkpoint, metadata, new_versions)

    def altered(self, found: CheckpointTuple) -> CheckpointTuple:
        values = found.checkpoint["channel_values"]
        for channel in values:
            key = (*_key(found.config), channel, found.checkpoint["channel_versions"][channel])
            if key in self._given:
                values[channel] = copy.deepcopy(self._given[key])
        return found


class KnowsElementsByIdentity(StoreCheckpointer):
    """Takes an element that it has stored before for unchanged."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stored: dict[int, tuple[Any, Any]] = {}

    def put(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        messages = checkpoint["channel_values"].get("messages")
        if isinstance(messages, list):
            frozen = [self._stored.setdefault(id(m), (m, copy.deepcopy(m)))[1] for m in messages]
            checkpoint = _replaced(checkpoint, messages=frozen)
        return super().put(config, checkpoint, *more)


class OnlyAppends(StoreCheckpointer):
    """Stores the tail of a list that is no shorter than its parent's, whatever came before."""

    def put(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        before = self.get_tuple(config)
        for channel in ("messages", "plain"):
            new = checkpoint["channel_values"].get(channel)
            old = before and before.checkpoint["channel_values"].get(channel)
            if isinstance(new, list) and isinstance(old, list) and len(new) > len(old):
                checkpoint = _replaced(checkpoint, **{channel: [*old, *new[len(old) :]]})
        return super().put(config, checkpoint, *more)


class TakesEqualForTheSame(StoreCheckpointer):
    """Leaves out what equals the parent's value: `1` for `True`, any order of a dict."""

    def put(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        before = self.get_tuple(config)
        if before is not None:
            for channel, old in before.checkpoint["channel_values"].items():
                if checkpoint["channel_values"].get(channel) == old:
                    checkpoint = _replaced(checkpoint, **{channel: old})
        return super().put(config, checkpoint, *more)


class ForgetsTheOrderOfEntries(StoreCheckpointer):
    """Gives the entries of a dict in the order in which their keys came first."""

    def put(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        before = self.get_tuple(config)
        new = checkpoint["channel_values"].get("files")
        old = before and before.checkpoint["channel_values"].get("files")
        if isinstance(new, dict) and isinstance(old, dict):
            order = [*(key for key in old if key in new), *(key for key in new if key not in old)]
            checkpoint = _replaced(checkpoint, files={key: new[key] for key in order})
        return super().put(config, checkpoint, *more)


class IgnoresUnknownVersions(StoreCheckpointer):
    """Stores what is called new, and nothing else."""

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        known = {c: v for c, v in checkpoint["channel_values"].items() if c in new_versions}
        left: Any = {**checkpoint, "channel_values": known}
        return super().put(config, left, metadata, new_versions)


class NeverReplaces(StoreCheckpointer):
    """Keeps the first value of a channel's version."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._first: dict[Any, Any] = {}

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        first = {}
        for channel, version in new_versions.items():
            if channel in checkpoint["channel_values"]:
                value = copy.deepcopy(checkpoint["channel_values"][channel])
                key = (*_key(config), channel, version)
                first[channel] = self._first.setdefault(key, value)
        return super().put(config, _replaced(checkpoint, **first), metadata, new_versions)


class TrustsItsCache(StoreCheckpointer):
    """Does not look whether somebody else has put meanwhile."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heads: dict[Any, CheckpointTuple] = {}

    def put(self, config: Any, *more: Any) -> Any:
        self._heads.pop(_key(config), None)
        return super().put(config, *more)

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        if config["configurable"].get("checkpoint_id"):
            return super().get_tuple(config)
        if _key(config) not in self._heads:
            found = super().get_tuple(config)
            if found is None:
                return None
            self._heads[_key(config)] = found
        return copy.deepcopy(self._heads[_key(config)])


class KnowsValuesByVersion(Altered):
    """Caches the value of a channel's version for good."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._values_seen: dict[Any, Any] = {}

    def altered(self, found: CheckpointTuple) -> CheckpointTuple:
        values = found.checkpoint["channel_values"]
        for channel, value in values.items():
            key = (*_key(found.config), channel, found.checkpoint["channel_versions"][channel])
            values[channel] = copy.deepcopy(self._values_seen.setdefault(key, copy.deepcopy(value)))
        return found


class ForgetsWhichFieldsWereSet(Altered):
    """Rebuilds messages from all their fields."""

    def altered(self, found: CheckpointTuple) -> CheckpointTuple:
        messages = found.checkpoint["channel_values"].get("messages")
        if isinstance(messages, list):
            found.checkpoint["channel_values"]["messages"] = [
                item.model_copy(update=dict(item.__dict__)) for item in messages
            ]
        return found


class FillsInIds(Altered):
    """Shows a pending message with an id that it got later."""

    def altered(self, found: CheckpointTuple) -> CheckpointTuple:
        for _, _, value in found.pending_writes or []:
            for item in value if isinstance(value, list) else ():
                if isinstance(item, BaseMessage) and item.id is None:
                    item.id = "given"
        return found


class ChangesItsInput(StoreCheckpointer):
    """Gives ids to the messages that are put."""

    def put(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        for item in checkpoint["channel_values"].get("messages") or []:
            item.id = item.id or "given"
        return super().put(config, checkpoint, *more)


class CountsOnTheParent(StoreCheckpointer):
    """Reads an element that the parent's list has at that place as the parent's."""

    def list(self, config: Any, **options: Any) -> Iterator[CheckpointTuple]:
        for found in super().list(config, **options):
            parent = self.get_tuple(found.parent_config) if found.parent_config else None
            if parent:
                mine = found.checkpoint["channel_values"].get("messages")
                old = parent.checkpoint["channel_values"].get("messages")
                if isinstance(mine, list) and isinstance(old, list):
                    for at, (one, other) in enumerate(zip(mine, old, strict=False)):
                        same_kind = isinstance(one, BaseMessage) and isinstance(other, BaseMessage)
                        if same_kind and exact(one.content) == exact(other.content):
                            mine[at] = other
            yield found


BROKEN = [
    LosesAWrite,
    ReplaysWrites,
    SharesWhatItReads,
    SharesNestedDicts,
    KeepsWhatItWasGiven,
    KnowsElementsByIdentity,
    OnlyAppends,
    TakesEqualForTheSame,
    ForgetsTheOrderOfEntries,
    IgnoresUnknownVersions,
    NeverReplaces,
    TrustsItsCache,
    KnowsValuesByVersion,
    ForgetsWhichFieldsWereSet,
    FillsInIds,
    ChangesItsInput,
    CountsOnTheParent,
]
