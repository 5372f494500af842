"""The conversation of a session, whichever door it came in by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from typing import Literal, TypeVar

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.head_messages import Growth, head_messages, timed
from threadloom.errors import CorruptRecord, InvalidKey
from threadloom.history import plans as history
from threadloom.keys import SessionPaths, message_key
from threadloom.messages import MESSAGES
from threadloom.models import MessageList
from threadloom.ops import Get
from threadloom.plans import Plan
from threadloom.values import Values

Source = Literal["auto", "history", "graph"]
T = TypeVar("T")


def messages(
    values: Values,
    paths: SessionPaths,
    *,
    limit: int | None,
    before: str | None,
    source: Source,
    channel: str,
    opaque: bool = False,
) -> Plan[MessageList]:
    """The newest messages, oldest first, of the chat history, the graph, or both.

    Both doors together are merged by message id: a message that came in by both shows once,
    where the graph has it. Otherwise the order is that of time, and each door keeps its own.
    """
    if source not in ("auto", "history", "graph"):
        raise InvalidKey(f"source is 'auto', 'history' or 'graph', not {source!r}")
    (session,) = yield [Get(paths.sessions, paths.id)]
    if session is None or (limit is not None and limit <= 0):
        return MessageList()
    doc = session.body()
    graph: list[BaseMessage] = []
    growth: Growth = ()
    if source != "history":
        graph, growth = yield from head_messages(values, paths, channel, opaque=opaque)
        if not graph and channel == MESSAGES and doc.get("graph_messages"):
            (again,) = yield [Get(paths.sessions, paths.id, blob=False)]
            if again is not None and again.version == session.version:
                raise CorruptRecord(f"session {paths.id!r}: the graph's messages are missing")
    if source == "graph" or (graph and not doc.get("history_messages")):
        return _page(timed(graph, growth), limit, before)
    if not graph:
        pairs = yield from history.load(values, paths, limit=limit, before=before, opaque=opaque)
        return MessageList.of((at, message) for message, at in pairs)
    pairs = yield from history.load(values, paths, opaque=opaque)
    own = [(message_key(message.id or ""), at, message) for message, at in pairs]
    return _page(_merged(graph, growth, own), limit, before)


def merged(
    graph: Sequence[BaseMessage], growth: Growth, own: Iterable[tuple[str, int, T]]
) -> list[BaseMessage | T]:
    """The conversation of both doors in order.

    Args:
        graph: the graph's messages.
        growth: when the graph's conversation grew.
        own: what the chat history has: keys of message ids, times, and what stands for them.
    """
    return [item for _, item in _merged(graph, growth, own)]


def _merged(
    graph: Sequence[BaseMessage], growth: Growth, own: Iterable[tuple[str, int, T]]
) -> Iterator[tuple[int, BaseMessage | T]]:
    known = {message_key(message.id) for message in graph if message.id}
    alone: list[tuple[int, BaseMessage | T]] = [
        (at, item) for key, at, item in own if key not in known
    ]
    return merge(timed(graph, growth), alone, key=lambda pair: pair[0])


def _page(
    conversation: Iterable[tuple[int, BaseMessage]], limit: int | None, before: str | None
) -> MessageList:
    found = list(conversation)
    if before is not None:
        places = [at for at, (_, message) in enumerate(found) if message.id == before]
        found = found[: places[0]] if places else []
    return MessageList.of(found if limit is None else found[-limit:])


__all__ = ["MESSAGES", "Source", "messages"]
