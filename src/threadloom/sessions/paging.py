"""A conversation page by page, from its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from langchain_core.messages import BaseMessage

from threadloom.checkpoint import layout
from threadloom.checkpoint.channels import MISSING, read_value
from threadloom.checkpoint.foreign import as_shown
from threadloom.checkpoint.header import Header, ListRef
from threadloom.checkpoint.layout import Head, Place
from threadloom.checkpoint.spans import Spans, cut, length
from threadloom.errors import CheckpointNotFound, CorruptRecord
from threadloom.history.records import FIRST, LAST
from threadloom.history.storing import read_message
from threadloom.keys import SessionPaths
from threadloom.messages import messages_in
from threadloom.ops import Get, Scan
from threadloom.plans import Plan
from threadloom.sessions.conversation import Source, messages
from threadloom.values import Values

PAGE = 200


class Walk(Protocol):
    """A conversation that is walked through."""

    def page(self) -> Plan[Sequence[BaseMessage]]:
        """The next messages; none at the end."""


class _Whole:
    """One that has been read."""

    def __init__(self, found: Sequence[BaseMessage]) -> None:
        self._left = found

    def page(self) -> Plan[Sequence[BaseMessage]]:
        yield []
        found, self._left = self._left, ()
        return found


class _History:
    """A chat history, which may grow meanwhile."""

    def __init__(self, values: Values, paths: SessionPaths, opaque: bool) -> None:
        self._values = values
        self._paths = paths
        self._opaque = opaque
        self._start = FIRST

    def page(self) -> Plan[Sequence[BaseMessage]]:
        (records,) = yield [Scan(self._paths.memory, self._start, LAST, limit=PAGE)]
        if records:
            self._start = records[-1].key + FIRST  # the next one behind it
        return [read_message(self._values, record, opaque=self._opaque) for record in records]


class _Graph:
    """The conversation of a graph's head, which stays as it was."""

    def __init__(
        self, values: Values, place: Place, header: Header, channel: str, spans: Spans, opaque: bool
    ) -> None:
        self._values = values
        self._place = place
        self._header = header
        self._channel = channel
        self._spans = spans
        self._opaque = opaque
        self._at = 0

    def page(self) -> Plan[Sequence[BaseMessage]]:
        found: list[BaseMessage] = []
        while not found and self._at < length(self._spans):
            some = tuple(cut(self._spans, self._at, self._at + PAGE))
            header = self._header._replace(refs={self._channel: ListRef(some)})
            value = yield from read_value(
                self._values, self._place, header, self._channel, opaque=self._opaque
            )
            if value is MISSING:
                yield from self._tell()
            self._at += PAGE
            found = messages_in(as_shown(value) if self._opaque else value)
        return found

    def _tell(self) -> Plan[None]:
        id = str(self._header.checkpoint["id"])
        where = f"session {self._place.paths.id!r}"
        (record,) = yield [Get(self._place.records(), layout.checkpoint_key(id), blob=False)]
        if record is None:
            raise CheckpointNotFound(
                f"{where}: checkpoint {id} was pruned while its messages were read: begin again"
            )
        raise CorruptRecord(f"{where}: messages of checkpoint {id} are missing")


def begin(
    values: Values, paths: SessionPaths, source: Source, channel: str, opaque: bool
) -> Plan[Walk]:
    """Begin to walk through a conversation; see `SessionManager.iter_messages`."""
    place = Place(paths, "")
    session, head_record = yield [Get(paths.sessions, paths.id), place.head()]
    if session is None:
        return _Whole(())
    has_history = bool(session.body().get("history_messages"))
    head = Head.read(head_record)
    if source == "history" or (source == "auto" and head.id is None):
        return _History(values, paths, opaque)
    if head.id is not None and (source == "graph" or (source == "auto" and not has_history)):
        (records,) = yield [place.scan(head.id)]
        stored = layout.group(records).get(head.id)
        ref = None if stored is None else stored.header.refs.get(channel)
        if stored is not None and isinstance(ref, ListRef):
            return _Graph(values, place, stored.header, channel, ref.spans, opaque)
    found = yield from messages(
        values, paths, limit=None, before=None, source=source, channel=channel, opaque=opaque
    )
    return _Whole(found)
