"""The conversation as a graph keeps it: the messages channel of its newest checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from langchain_core.messages import BaseMessage

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.cache import Cache
from threadloom.checkpoint.channels import MISSING, read_value
from threadloom.checkpoint.elements import elements_of, fetch
from threadloom.checkpoint.foreign import as_shown
from threadloom.checkpoint.header import Header, ListRef, decode_header
from threadloom.checkpoint.layout import Head, Place, Stored
from threadloom.errors import CorruptRecord, UnsupportedByStore
from threadloom.keys import SessionPaths, message_key
from threadloom.messages import MESSAGES, messages_in
from threadloom.ops import Get, Record
from threadloom.plans import Plan
from threadloom.values import Values

Growth = tuple[Sequence[int], ...]
"""Pairs of a length of the conversation and the time when it was reached (microseconds)."""

_TRIES = 20


def head_messages(
    values: Values,
    paths: SessionPaths,
    channel: str = MESSAGES,
    *,
    checkpoint_id: str | None = None,
    opaque: bool = False,
) -> Plan[tuple[list[BaseMessage], Growth]]:
    """The messages of the graph's head, in order, and when they came.

    Args:
        values: how values are stored.
        paths: the session's places.
        channel: the channel of the conversation.
        checkpoint_id: another checkpoint than the head.
        opaque: do not rebuild types of the application; enough to look, for ids and counts.

    Raises:
        UnsupportedByStore: the channel is a delta channel, which only its graph can rebuild.
        CorruptRecord: what is stored is damaged.
    """
    place = Place(paths, "")
    for _ in range(_TRIES):
        (record,) = yield [place.head()]
        head = Head.read(record)
        id = checkpoint_id or head.id
        if id is None:
            return [], ()
        (stored,) = yield [Get(place.records(), layout.checkpoint_key(id))]
        if stored is None:
            if checkpoint_id is not None:
                return [], head.growth
            continue
        header = decode_header(stored)
        ref = header.refs.get(channel)
        if ref is None:
            if channel in header.delta:
                raise UnsupportedByStore(
                    f"session {paths.id!r}: channel {channel!r} is a delta channel; only its "
                    "graph can rebuild it, with get_state"
                )
            return [], head.growth
        value = yield from read_value(values, place, header, channel, opaque=opaque)
        if value is not MISSING:
            return messages_in(as_shown(value) if opaque else value), head.growth
        if checkpoint_id is not None:
            return [], head.growth  # gone meanwhile; who asks has an expectation of the head
    raise CorruptRecord(f"session {paths.id!r}: the value of channel {channel!r} is missing")


def shared_with_history(
    paths: SessionPaths, session: Record | None, messages: Sequence[BaseMessage]
) -> Plan[tuple[int, int]]:
    """How many of the graph's messages the chat history has, too, and their tokens there."""
    ids = {message.id for message in messages if message.id}
    if session is None or not ids or not index.has_history(session):
        return (0, 0)
    found = yield [Get(paths.memory_index, message_key(id), blob=False) for id in ids]
    both = [record.body() for record in found if record is not None]
    return (len(both), sum(int(doc.get("tokens") or 0) for doc in both))


def timed(graph: Sequence[BaseMessage], growth: Growth) -> Iterator[tuple[int, BaseMessage]]:
    """The graph's messages with the time when the conversation grew to hold them."""
    steps = iter(growth)
    upto, at = next(steps, (0, 0))
    for number, message in enumerate(graph, start=1):
        while upto < number and (step := next(steps, None)) is not None:
            upto, at = step
        yield at, message


def end_of(
    values: Values, paths: SessionPaths, head: Head | None
) -> Plan[tuple[Stored | None, str | None]]:
    """The checkpoint at the graph's head, and the id of the last message in it, if it has one."""
    if head is None or head.id is None:
        return None, None
    place = Place(paths, "")
    (records,) = yield [place.scan(head.id)]
    stored = layout.group(records).get(head.id)
    ref = None if stored is None else stored.header.refs.get(MESSAGES)
    if stored is None or not isinstance(ref, ListRef) or not ref.spans:
        return stored, None
    last = ref.spans[-1]
    only = ListRef((last._replace(start=last.end - 1),))
    header = stored.header._replace(refs={MESSAGES: only})
    value = yield from read_value(values, place, header, MESSAGES, opaque=True)
    found = [] if value is MISSING else messages_in(value)
    return stored, found[-1].id if found else None


def head_ids(cache: Cache, values: Values, paths: SessionPaths) -> Plan[Collection[str]]:
    """The ids of the messages of the graph's head.

    What this process remembers of them is not read again.
    """
    place = Place(paths, "")
    header = yield from _head_header(place)
    ref = None if header is None else header.refs.get(MESSAGES)
    if isinstance(ref, ListRef):
        held = yield from fetch(cache, values, place, ref.spans)
        elements = elements_of(held, ref.spans)
        if elements is not None:
            return {element.id for element in elements if element.tokens >= 0 and element.id}
    messages, _ = yield from head_messages(values, paths, opaque=True)
    return {message.id for message in messages if message.id}


def _head_header(place: Place) -> Plan[Header | None]:
    """The checkpoint at the head, if it is there."""
    (record,) = yield [place.head()]
    id = Head.read(record).id
    if id is None:
        return None
    (stored,) = yield [Get(place.records(), layout.checkpoint_key(id))]
    return None if stored is None else decode_header(stored)
