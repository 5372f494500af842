"""The conversation as a graph keeps it: the messages channel of its newest checkpoint."""

from __future__ import annotations

from langchain_core.messages import BaseMessage

from threadloom.checkpoint import layout
from threadloom.checkpoint.layout import Head, Place
from threadloom.checkpoint.values import Values
from threadloom.conversation import MESSAGES, messages_in
from threadloom.errors import CorruptRecord, UnsupportedByStore
from threadloom.keys import SessionPaths
from threadloom.ops import Get
from threadloom.plans import Plan

Growth = tuple[tuple[int, int], ...]
"""Pairs of a length of the conversation and the time when it was reached (microseconds)."""

_TRIES = 20


def head_messages(
    values: Values, paths: SessionPaths, channel: str = MESSAGES
) -> Plan[tuple[list[BaseMessage], Growth]]:
    """The messages of the graph's head, in order, and when they came.

    Raises:
        UnsupportedByStore: the channel is a delta channel, which only its graph can rebuild.
        CorruptRecord: what is stored is damaged.
    """
    place = Place(paths, "")
    for _ in range(_TRIES):
        (record,) = yield [place.head()]
        head = Head.read(record)
        if head.id is None:
            return [], ()
        (stored,) = yield [Get(place.records(), layout.checkpoint_key(head.id))]
        if stored is None:
            continue
        header = layout.decode_header(stored)
        if channel not in header.versions:
            return [], head.growth
        if channel in header.absent:
            if channel in _delta_channels(values, header):
                raise UnsupportedByStore(
                    f"session {paths.id!r}: channel {channel!r} is a delta channel; only its "
                    "graph can rebuild it, with get_state"
                )
            return [], head.growth
        key = layout.value_key(channel, header.versions[channel])
        (value,) = yield [Get(place.values(), key)]
        if value is not None and value.blob is not None:
            return messages_in(values.loads(value.blob)), head.growth
    raise CorruptRecord(f"session {paths.id!r}: the value of channel {channel!r} is missing")


def _delta_channels(values: Values, header: layout.Header) -> frozenset[str]:
    metadata = values.loads(header.metadata)
    return frozenset(metadata.get("counters_since_delta_snapshot") or ())
