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
from functools import cached_property
from itertools import islice
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Command, Send
from pydantic import BaseModel

from threadloom.checkpoint import layout
from threadloom.checkpoint.cache import Cache, Held
from threadloom.checkpoint.changes import Base, Change, NewLog, Piece, placed
from threadloom.checkpoint.elements import has_elements
from threadloom.checkpoint.header import ListRef
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.spans import cut, run_key
from threadloom.checkpoint.standing import Standing
from threadloom.messages import MESSAGES
from threadloom.ops import Check, ExpectationFailed
from threadloom.serde import LISTS, Runs
from threadloom.serde.format import SCALARS
from threadloom.values import Values

_LEAST = 8
"""Lists are looked at that have so many messages, and runs of so many are referred to."""
_DEEPEST = 5
_MOST_ITEMS = 256
_MOST_PIECES = 64
_MOST_AT_ONCE = 4_096


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

    def change(self, values: list[Any], new_log: NewLog) -> Change | None:
        """A list as runs of it and what is new; None where it has nothing in common with it."""
        pieces = self._pieces(values) if _is_long(values) else []
        change = placed(pieces, self.base, new_log) if pieces else None
        self.used = self.used or change is not None
        return change

    def runs(self, value: Any) -> Runs:
        """The lists in a value that have runs of it: for each what it consists of."""
        found = {}
        for values in _lists_in(value):
            if pieces := self._pieces(values):
                found[id(values)] = list(self._runs(pieces))
        self.used = self.used or bool(found)
        return found

    @cached_property
    def _ids(self) -> list[str | None]:
        return [element.id for element in self.base.elements]

    @cached_property
    def _by_id(self) -> dict[str, int]:
        return {id: at for at, id in enumerate(self._ids) if id is not None}

    def _pieces(self, values: list[Any]) -> list[Piece]:
        """What a list of messages consists of; empty where no run is long enough.

        Messages are found by their ids, and compared only where many follow each other as they
        do there: the list may be any.
        """
        pieces: list[Piece] = []
        size, at, new = len(values), 0, 0
        while at < size and len(pieces) < _MOST_PIECES:
            start = self._by_id.get(_id_of(values[at]))
            alike = 1 if start is None else self._alike(start, values, at)
            same = 0
            if start is not None and alike >= _LEAST:
                differing = self.base.first_differing(start, values[at : at + alike])
                same = alike if differing is None else differing
            if start is None or same < _LEAST:
                at += max(alike, 1) if same == 0 else same + 1
                continue
            if new < at:
                pieces.append(Piece(False, new, at))
            pieces.append(Piece(True, start, start + same))
            at = new = at + same
        if pieces and new < size:
            pieces.append(Piece(False, new, size))
        return pieces

    def _alike(self, start: int, values: list[Any], at: int) -> int:
        """How many messages follow each other by their ids as they do there."""
        ids = self._ids
        most = min(len(ids) - start, len(values) - at, _MOST_AT_ONCE)
        for count in range(most):
            if _id_of(values[at + count]) != ids[start + count]:
                return count
        return most

    def _runs(self, pieces: list[Piece]) -> Iterator[tuple[str | None, int, int]]:
        at = 0
        for piece in pieces:
            size = piece.end - piece.start
            if not piece.old:
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
            if type(item) in LISTS and _is_long(item):
                yield item
            elif len(below) < _MOST_ITEMS:
                below += _parts(item)
        level = below[:_MOST_ITEMS]


def _parts(value: Any) -> list[Any]:
    """What is in a value whose class says for certain what that is."""
    kind = type(value)
    if kind in LISTS or kind is tuple:
        return list(value[:_MOST_ITEMS])
    if kind is dict:
        return list(islice(value.values(), _MOST_ITEMS))
    if kind is Send:
        return [value.arg]
    if kind is Command:
        return [value.update, value.goto]
    if kind in SCALARS or issubclass(kind, BaseMessage):
        return []
    if issubclass(kind, BaseModel) or is_dataclass(kind):
        fields = getattr(value, "__dict__", None)
        return list(islice(fields.values(), _MOST_ITEMS)) if type(fields) is dict else []
    return []


def _is_long(values: list[Any]) -> bool:
    return len(values) >= _LEAST and isinstance(values[0], BaseMessage)


def _id_of(value: Any) -> Any:
    return value.id if isinstance(value, BaseMessage) else None
