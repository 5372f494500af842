"""One namespace of a thread, checkpoint by checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import TASKS

from threadloom.migrate.base import Source, StoredWrite, made_at
from threadloom.migrate.decoding import Decoder, Raw
from threadloom.migrate.ordering import Order
from threadloom.migrate.reports import Unavailable
from threadloom.migrate.target import Target


class State(NamedTuple):
    """A checkpoint as it is in the source; objects in its values are not built yet."""

    body: dict[str, Any]
    values: dict[str, Any]
    metadata: dict[str, Any]

    @property
    def versions(self) -> dict[str, Any]:
        versions = self.body["channel_versions"]
        assert isinstance(versions, dict)
        return versions


class Walk:
    """One namespace of a thread, in the order of its puts.

    Keeps the state that was read last, and what was built of it: most of it comes again in the
    next one.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        decoder: Decoder,
        thread: str,
        ns: str,
        order: Order,
    ) -> None:
        self.ns = ns
        self.order = order
        self._source = source
        self._target = target
        self._decoder = decoder
        self._thread = thread
        self._last: tuple[str, State] | None = None
        self._before: tuple[str, State] | None = None
        self._values: dict[str, tuple[Any, Any]] = {}
        self._objects: dict[str, dict[Raw, Any]] = {}
        self._first_with: dict[tuple[str, Any], str] = {}

    def read(self, id: str) -> State:
        """A checkpoint, read from the source and checked against those before it.

        Raises:
            Unavailable: it is damaged, or a channel has two values under one version.
        """
        state = self._read(id)
        if self._target.clock is not None:
            self._target.clock.show(_time_of(state))
        if odd := state.values.keys() - state.versions.keys():
            raise Unavailable(f"checkpoint {id}: channel {min(odd)!r} has a value but no version")
        self._before, self._last = self._last, (id, state)
        parent = self._parent(id)
        known = {} if parent is None else parent.versions
        for channel, version in state.versions.items():
            if channel not in state.values:
                continue
            if parent is None or known.get(channel) != version or channel not in parent.values:
                self._check_new(id, state, channel, version)
            else:
                self._check_same(id, channel, parent, state)
        return state

    def build(self, state: State) -> dict[str, Any]:
        """The values of a checkpoint, with what they share with those of the last one."""
        values: dict[str, tuple[Any, Any]] = {}
        objects: dict[str, dict[Raw, Any]] = {}
        for channel, parsed in state.values.items():
            last = self._values.get(channel)
            if last is not None and last[0] == parsed:
                values[channel] = last
                objects[channel] = self._objects[channel]
                continue
            objects[channel] = {}
            built = self._decoder.build(
                parsed, dict(self._objects.get(channel, {})), objects[channel]
            )
            values[channel] = (parsed, built)
        self._values, self._objects = values, objects
        return {channel: built for channel, (_, built) in values.items()}

    def put(self, id: str, state: State, values: dict[str, Any]) -> None:
        """Store a checkpoint with its values, which `build` has built."""
        parent_id = self.order.parents[id]
        parent = self._parent(id)
        new = dict(state.versions)
        if parent is not None:
            for channel, version in parent.versions.items():
                same = (channel in parent.values) == (channel in state.values)
                if same and new.get(channel) == version:
                    del new[channel]
        config = config_of(self._thread, self.ns, parent_id)
        # Branches of the source are no conflicts of the target.
        config["metadata"] = {"checkpoint_id": parent_id or id}
        checkpoint: Any = {**state.body, "channel_values": values}
        metadata: Any = state.metadata
        self._target.saver.put(config, checkpoint, metadata, new)

    def put_writes(self, id: str) -> int:
        """Store the pending writes of a checkpoint; returns how many there are."""
        found = self._source.writes(self._thread, self.ns, id)
        config = config_of(self._thread, self.ns, id)
        for (task, path), writes in _by_task(found):
            self._target.saver.put_writes(
                config,
                [
                    (write.channel, self._decoder.value(write.kind, write.blob))
                    for write in _in_places(id, writes)
                ],
                task,
                path,
            )
        return len(found)

    def _read(self, id: str) -> State:
        row = self._source.checkpoint(self._thread, self.ns, id)
        body = self._decoder.parse(row.kind, row.blob)
        if not isinstance(body, dict) or body.get("id") != id:
            raise Unavailable(f"checkpoint {id} is damaged")
        values = body.pop("channel_values", None) or {}
        for channel, (kind, blob) in row.apart.items():
            values[channel] = self._decoder.parse(kind, blob)
        body = self._decoder.build(body, {}, {})
        versions = body.setdefault("channel_versions", {})
        if not isinstance(values, dict) or not isinstance(versions, dict):
            raise Unavailable(f"checkpoint {id} is damaged")
        if sends := self._sends(id, body):
            values[TASKS] = sends
            versions[TASKS] = max(versions.values(), default=1)
        return State(body, values, row.metadata)

    def _sends(self, id: str, body: dict[str, Any]) -> list[Any]:
        """What the tasks of a step sent, where LangGraph kept it with the checkpoint before it.

        Up to format 3; since then it is the value of a channel.
        """
        parent = self.order.parents[id]
        is_old = isinstance(body.get("v"), int) and body["v"] < 4
        if parent is None or not is_old or not self._source.sends_are_writes:
            return []
        return [
            self._decoder.parse(write.kind, write.blob)
            for write in self._source.writes(self._thread, self.ns, parent)
            if write.channel == TASKS
        ]

    def _parent(self, id: str) -> State | None:
        parent = self.order.parents[id]
        if parent is None:
            return None
        for kept in (self._before, self._last):
            if kept is not None and kept[0] == parent:
                return kept[1]
        self._before = (parent, self._read(parent))
        return self._before[1]

    def _check_new(self, id: str, state: State, channel: str, version: Any) -> None:
        """A version that begins here began nowhere else with another value."""
        first = self._first_with.setdefault((channel, version), id)
        if first != id:
            self._check_same(id, channel, self._read(first), state)

    def _check_same(self, id: str, channel: str, one: State, other: State) -> None:
        values = [state.values.get(channel) for state in (one, other)]
        if values[0] == values[1] or channel not in one.values:
            return
        built = [self._decoder.build(value, {}, {}) for value in values]
        if not _equal(*built):
            raise Unavailable(
                f"checkpoint {id}: channel {channel!r} has another value than before under the "
                "same version (a node changed it in place), and only one can be kept"
            )


def _by_task(
    writes: list[StoredWrite],
) -> Iterator[tuple[tuple[str, str], list[StoredWrite]]]:
    groups: dict[tuple[str, str], list[StoredWrite]] = {}
    for write in writes:
        groups.setdefault((write.task_id, write.task_path), []).append(write)
    yield from groups.items()


def _in_places(id: str, writes: list[StoredWrite]) -> list[StoredWrite]:
    """A task's writes as they were handed to the saver: each at the place of its number.

    Special writes have numbers of their own wherever they stand, so they fill the gaps.
    """
    special = [write for write in writes if write.channel in WRITES_IDX_MAP]
    usual = [write for write in writes if write.channel not in WRITES_IDX_MAP]
    placed: list[StoredWrite] = []
    for write in usual:
        while len(placed) < write.number and special:
            placed.append(special.pop())
        if len(placed) != write.number:
            raise Unavailable(
                f"checkpoint {id}: pending write {write.number} of task {write.task_id} has lost "
                "those before it"
            )
        placed.append(write)
    return [*placed, *special]


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # an array, or whatever else does not compare
        return False


def _time_of(state: State) -> datetime | None:
    try:
        at = datetime.fromisoformat(state.body["ts"])
    except (KeyError, TypeError, ValueError):
        return made_at(str(state.body.get("id")))
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def config_of(thread: str, ns: str | None, id: str | None = None) -> RunnableConfig:
    configurable = {"thread_id": thread}
    if ns is not None:
        configurable["checkpoint_ns"] = ns
    if id is not None:
        configurable["checkpoint_id"] = id
    return {"configurable": configurable}


__all__ = ["State", "Walk", "config_of"]
