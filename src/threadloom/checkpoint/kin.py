"""What a write may refer to of the conversation at the graph's head, instead of storing it again.

LangGraph hands the conversation around: to subgraphs as their input, to tasks by `Send`, and back
as what a subgraph wrote. Where this process knows the head that it put last, such lists become
runs of its elements. That the head's record is still there is expected by the write itself, so
what it refers to is there; from then on sweeps count the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from itertools import islice
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Command, Send
from pydantic import BaseModel

from threadloom.checkpoint import layout
from threadloom.checkpoint.cache import Cache, Held
from threadloom.checkpoint.changes import Base, Piece, pieces_of
from threadloom.checkpoint.elements import has_elements
from threadloom.checkpoint.header import ListRef
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.spans import cut, run_key
from threadloom.checkpoint.standing import Standing
from threadloom.messages import MESSAGES
from threadloom.ops import Check, ExpectationFailed
from threadloom.serde import Runs
from threadloom.serde.format import SCALARS
from threadloom.values import Values

_LEAST = 8
"""Lists are looked at that have so many messages, and runs of so many are referred to."""
_DEEPEST = 5
_MOST_ITEMS = 256


class Kin:
    """The conversation at the graph's head, as this process has put it.

    Attributes:
        base: its messages.
        used: whether anything has been found in it.
    """

    def __init__(self, root: Held, standing: Standing, place: Place, base: Base) -> None:
        self._root = root
        self._standing = standing
        self._place = place
        self.base = base
        self.used = False

    def check(self) -> Check:
        """What must be true where the write is applied."""
        key = layout.checkpoint_key(self._standing.id)
        return Check(self._place.records(), key, self._standing.version)

    def forget(self) -> None:
        """Do without it: the head has gone, perhaps."""
        if self.used and self._root.standing is self._standing:
            self._root.forget_standing()

    def has_some_of(self, values: list[Any]) -> bool:
        """Whether a run of a list's messages is in it."""
        return _is_long(values) and self._shares(pieces_of(self.base, values))

    def runs(self, value: Any) -> Runs:
        """The lists in a value that have runs of it: for each what it consists of."""
        found = {}
        for values in _lists_in(value):
            pieces = pieces_of(self.base, values)
            if self._shares(pieces):
                found[id(values)] = list(self._runs(pieces))
        return found

    def _shares(self, pieces: list[Piece]) -> bool:
        shares = any(piece.old and piece.end - piece.start >= _LEAST for piece in pieces)
        self.used = self.used or shares
        return shares

    def _runs(self, pieces: list[Piece]) -> Iterator[tuple[str | None, int, int]]:
        at = 0
        for piece in pieces:
            size = piece.end - piece.start
            if not piece.old or size < _LEAST:
                yield None, at, at + size
                at += size
                continue
            for span in cut(self.base.spans, piece.start, piece.end):
                size = span.end - span.start
                yield run_key(span), at, at + size
                at += size


def kin_of(cache: Cache, values: Values, place: Place) -> Kin | None:
    """What a write to a namespace may refer to; None where that is not known or too little."""
    if not cache.guarded or not values.readable:
        return None
    graph = Place(place.paths, "")
    root = cache.held(values, graph)
    standing = root.standing
    ref = None if standing is None else standing.header.refs.get(MESSAGES)
    if standing is None or not isinstance(ref, ListRef) or not has_elements(root, ref.spans):
        return None
    base = Base(root, ref.spans)
    return Kin(root, standing, graph, base) if base.size >= _LEAST else None


@contextmanager
def kept_for(kin: Kin | None) -> Iterator[None]:
    """Around a write: where it fails because something has changed, it is tried without kin."""
    try:
        yield
    except ExpectationFailed:
        if kin is not None:
            kin.forget()
        raise


def _lists_in(value: Any) -> Iterator[list[Any]]:
    """The long lists of messages in a value, as far as they are near its surface."""
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for item in level:
            if type(item) is list and _is_long(item):
                yield item
            elif len(below) < _MOST_ITEMS:
                below += _parts(item)
        level = below[:_MOST_ITEMS]


def _parts(value: Any) -> list[Any]:
    if type(value) in SCALARS or isinstance(value, BaseMessage):
        return []
    if isinstance(value, (list, tuple)):
        return list(value[:_MOST_ITEMS])
    if isinstance(value, dict):
        return list(islice(value.values(), _MOST_ITEMS))
    if isinstance(value, Send):
        return [value.arg]
    if isinstance(value, Command):
        return [value.update, value.goto]
    if isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type)):
        return list(vars(value).values()) if hasattr(value, "__dict__") else []
    return []


def is_conversation(values: list[Any]) -> bool:
    """Whether a list is one of messages, as far as its first item tells."""
    return bool(values) and isinstance(values[0], BaseMessage)


def _is_long(values: list[Any]) -> bool:
    return len(values) >= _LEAST and is_conversation(values)
