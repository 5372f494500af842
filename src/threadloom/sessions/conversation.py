"""The conversation of a session, whichever door it came in by."""

from __future__ import annotations

from heapq import merge
from typing import Literal

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.head_messages import Growth, head_messages
from threadloom.errors import CorruptRecord, InvalidKey
from threadloom.history import plans as history
from threadloom.keys import SessionPaths
from threadloom.messages import MESSAGES
from threadloom.ops import Get
from threadloom.plans import Plan
from threadloom.values import Values

Source = Literal["auto", "history", "graph"]
Timed = tuple[int, BaseMessage]


def messages(
    values: Values,
    paths: SessionPaths,
    *,
    limit: int | None,
    before: str | None,
    source: Source,
    channel: str,
) -> Plan[list[BaseMessage]]:
    """The newest messages, oldest first, of the chat history, the graph, or both.

    Both doors together are merged by message id: a message that came in by both shows once,
    where the graph has it. Otherwise the order is that of time, and each door keeps its own.
    """
    if source not in ("auto", "history", "graph"):
        raise InvalidKey(f"source is 'auto', 'history' or 'graph', not {source!r}")
    (session,) = yield [Get(paths.sessions, paths.id)]
    if session is None or (limit is not None and limit <= 0):
        return []
    doc = session.body()
    graph: list[BaseMessage] = []
    growth: Growth = ()
    if source != "history":
        graph, growth = yield from head_messages(values, paths, channel)
        if not graph and channel == MESSAGES and doc.get("graph_messages"):
            (again,) = yield [Get(paths.sessions, paths.id, blob=False)]
            if again is not None and again.version == session.version:
                raise CorruptRecord(f"session {paths.id!r}: the graph's messages are missing")
    if source == "graph" or (graph and not doc.get("history_messages")):
        return _page(graph, limit, before)
    if not graph:
        pairs = yield from history.load(values, paths, limit=limit, before=before)
        return [message for message, _ in pairs]
    pairs = yield from history.load(values, paths)
    known = {message.id for message in graph if message.id}
    own = [(at, message) for message, at in pairs if message.id not in known]
    both = merge(_timed(graph, growth), own, key=lambda timed: timed[0])
    return _page([message for _, message in both], limit, before)


def _timed(graph: list[BaseMessage], growth: Growth) -> list[Timed]:
    """The graph's messages with the time when the conversation grew to hold them."""
    timed: list[Timed] = []
    steps = iter(growth)
    upto, at = next(steps, (0, 0))
    for number, message in enumerate(graph, start=1):
        while upto < number and (step := next(steps, None)) is not None:
            upto, at = step
        timed.append((at, message))
    return timed


def _page(messages: list[BaseMessage], limit: int | None, before: str | None) -> list[BaseMessage]:
    if before is not None:
        places = [at for at, message in enumerate(messages) if message.id == before]
        messages = messages[: places[0]] if places else []
    return messages if limit is None else messages[-limit:]


__all__ = ["MESSAGES", "Source", "messages"]
