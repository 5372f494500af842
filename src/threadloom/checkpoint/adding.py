"""The plan that changes a graph's conversation from outside: a checkpoint of source ``update``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from threadloom import index
from threadloom.checkpoint import life, reading, writing
from threadloom.checkpoint.cache import Cache
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.versions import next_version
from threadloom.errors import SessionConflict, UnsupportedByStore
from threadloom.keys import SessionPaths
from threadloom.messages import messages_in
from threadloom.ops import Get
from threadloom.plans import Plan
from threadloom.scope import Scope
from threadloom.values import Values

_TRIES = 100

Edit = Callable[[list[BaseMessage]], list[BaseMessage]]
"""Gives the new conversation for the old one, which it may change."""


def change_messages(
    scope: Scope,
    cache: Cache,
    values: Values,
    paths: SessionPaths,
    channel: str,
    edit: Edit,
    patience: life.Patience,
) -> Plan[list[BaseMessage]]:
    """Put a checkpoint on top of the head in which a channel of messages has changed.

    Returns the conversation as it was before. If nothing changes, nothing is put.

    Raises:
        SessionNotFound: there is no such session, and none begins by itself.
        SessionConflict: the graph is in the middle of a run, such as an interrupt.
        UnsupportedByStore: the channel is a delta channel, which only its graph rebuilds.
    """
    place = Place(paths, "")
    strict = replace(scope, on_conflict="raise")
    for number in range(_TRIES):
        (session,) = yield [Get(paths.sessions, paths.id, blob=False)]
        config = _config(paths)
        found = yield from reading.get_tuple(cache, values, place, config)
        old: Checkpoint = empty_checkpoint() if found is None else found.checkpoint
        if found is not None and found.pending_writes:
            raise SessionConflict(
                f"session {paths.id!r}: its graph is in the middle of a run; resume it before "
                "something else is added to its conversation"
            )
        present = channel in old["channel_values"]
        if not present and channel in old["channel_versions"]:
            raise UnsupportedByStore(
                f"session {paths.id!r}: channel {channel!r} is a delta channel or empty; only its "
                "graph can add to it, with update_state"
            )
        before = messages_in(old["channel_values"].get(channel))
        after = edit(list(before))
        if len(after) == len(before) and all(map(_is, after, before)):
            return before
        if session is None and not scope.implicit:
            raise index.not_found(paths.id)
        version = next_version(old["channel_versions"].get(channel))
        # LangGraph looks for what comes next among the nodes that wait for one of these.
        updated = old.get("updated_channels")
        new: Checkpoint = {
            **old,
            "id": str(uuid6(clock_seq=-2 if found is None else 0)),
            "ts": datetime.now(UTC).isoformat(),
            "channel_values": {**old["channel_values"], channel: after},
            "channel_versions": {**old["channel_versions"], channel: version},
            "updated_channels": None if updated is None else sorted({*updated, channel}),
        }
        metadata: Any = {"source": "update", "step": -1, "parents": {}}
        if found is not None:
            metadata = {
                **found.metadata,
                "source": "update",
                "step": int(found.metadata.get("step") or 0) + 1,
            }
            metadata.pop("run_id", None)
            config = found.config
        try:
            yield from writing.put(
                strict, cache, values, place, config, new, metadata, {channel: version}, patience
            )
        except SessionConflict:
            if number == _TRIES - 1:
                raise
            continue
        return before
    raise AssertionError("unreachable")


def _is(one: object, other: object) -> bool:
    return one is other


def _config(paths: SessionPaths) -> RunnableConfig:
    return {"configurable": {"thread_id": paths.id, "checkpoint_ns": ""}}
