"""What is new in a list or a dict, against the value that the parent checkpoint has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.cache import Element, Held
from threadloom.checkpoint.comparing import (
    BLOCK,
    differing,
    first_differing,
    last_differing,
    same,
)
from threadloom.checkpoint.elements import folded
from threadloom.checkpoint.frozen import Frozen
from threadloom.checkpoint.layout import Logs
from threadloom.checkpoint.spans import Span, Spans, cut, joined, length, new_log

MOST_SPANS = 32
"""A list in more spans is written anew."""
_LOOK_AHEAD = 8
_SPARE_ENTRIES = 32
"""A dict is written anew when it has so many entries that hold no more than those that do."""
PLAIN_KEYS = frozenset({str, int, bool, type(None), bytes})
"""Types of keys of which a dict's entries are kept one by one: equal means the same."""


class Base:
    """The value to compare with.

    Attributes:
        spans: where its elements are.
        is_dict: whether they are entries of a dict.
        size: how many elements it has.
    """

    __slots__ = ("_elements", "_held", "is_dict", "size", "spans")

    def __init__(self, held: Held, spans: Spans, *, is_dict: bool = False) -> None:
        self.spans = spans
        self.is_dict = is_dict
        self.size = length(spans)
        self._held = held
        self._elements: list[Element] | None = None

    @property
    def elements(self) -> list[Element]:
        """All its elements, in order."""
        if self._elements is None:
            self._elements = self.part(0, self.size)
        return self._elements

    def part(self, start: int, end: int) -> list[Element]:
        """The elements `start` to `end` (exclusive)."""
        found: list[Any] = []
        for log, first, last in cut(self.spans, start, end):
            found += self._held.logs[log][first:last]
        return found

    def first_differing(self, start: int, values: Sequence[Any]) -> int | None:
        """The first value that may differ from the elements from `start` on; None if none does."""
        for stretch in self._stretches(start, len(values)):
            some = values[stretch.done : stretch.done + stretch.size]
            if not self._is_same(stretch, some):
                found = first_differing(self._frozen(stretch), some)
                if found is not None:
                    return stretch.done + found
        return None

    def last_differing(self, start: int, values: Sequence[Any]) -> int | None:
        """The last value that may differ from the elements from `start` on; None if none does."""
        for stretch in reversed(self._stretches(start, len(values))):
            some = values[stretch.done : stretch.done + stretch.size]
            if not self._is_same(stretch, some):
                found = last_differing(self._frozen(stretch), some)
                if found is not None:
                    return stretch.done + found
        return None

    def _stretches(self, start: int, count: int) -> list[_Stretch]:
        """Elements in pieces that are compared at once; blocks of their log where they can be."""
        found: list[_Stretch] = []
        done = 0
        for log, first, last in cut(self.spans, start, start + count):
            at = first
            while at < last:
                size = min(BLOCK - at % BLOCK, last - at)
                found.append(_Stretch(log, at, size, done))
                at += size
                done += size
        return found

    def _is_same(self, stretch: _Stretch, values: Sequence[Any]) -> bool:
        if stretch.at % BLOCK == 0:
            block = self._held.shelf.block(stretch.log, stretch.at, stretch.size)
            if block is not None:
                return block.same(values)
        return same(self._frozen(stretch), values)

    def _frozen(self, stretch: _Stretch) -> list[Frozen]:
        elements = self._held.logs[stretch.log][stretch.at : stretch.at + stretch.size]
        return [element.frozen for element in elements]  # type: ignore[union-attr, misc]


class _Stretch(NamedTuple):
    """Elements of one log, and how many come before them in what is compared."""

    log: str
    at: int
    size: int
    done: int


class Addition(NamedTuple):
    """A value that is added to a log."""

    log: str
    position: int
    number: int


class Piece(NamedTuple):
    """A run of a new list: elements of the base where `old`, else new values."""

    old: bool
    start: int
    end: int


class Change(NamedTuple):
    """The spans of a new value, and what has to be added to logs for them.

    Attributes:
        pieces: what a new list consists of, in order.
        spans: the new value's.
        logs: where elements go next.
        added: where new values go, with their number in the list (or among the dict's changes).
        removed: which elements of the base are not in the new value.
    """

    pieces: list[Piece]
    spans: Spans
    logs: Logs
    added: list[Addition]
    removed: list[int]

    @property
    def each_once(self) -> bool:
        """Whether no element of the base appears twice."""
        runs = sorted((piece.start, piece.end) for piece in self.pieces if piece.old)
        return all(before[1] <= after[0] for before, after in pairwise(runs))


NewLog = Callable[[], str]


def list_change(
    base: Base | None, logs: Logs | None, values: Sequence[Any], new_log: NewLog = new_log
) -> Change:
    """How a list differs from the base.

    Args:
        base: what it is compared with.
        logs: where new elements go.
        values: the list.
        new_log: names a new log.
    """
    if base is None or not base.size:
        known = None if base is None else logs
        return _place([Piece(False, 0, len(values))], None, known, new_log)
    change = _place(_pieces(base, values), base, logs, new_log)
    if len(change.spans) <= MOST_SPANS:
        return change
    fresh = _place([Piece(False, 0, len(values))], None, None, new_log)
    return fresh._replace(removed=list(range(base.size)))


def placed(pieces: list[Piece], base: Base, new_log: NewLog) -> Change | None:
    """A list of these pieces in logs of its own; None where it has too many."""
    change = _place(pieces, base, None, new_log)
    return change if len(change.spans) <= MOST_SPANS else None


def _pieces(base: Base, values: Sequence[Any]) -> list[Piece]:
    old, new = base.size, len(values)
    short = min(old, new)
    prefix = base.first_differing(0, values[:short])
    if prefix is None:
        return [Piece(True, 0, short), Piece(False, short, new)]
    room = short - prefix
    last = base.last_differing(old - room, values[new - room :])
    suffix = room if last is None else room - 1 - last
    middle = _match(base, values, prefix, new - suffix)
    return [Piece(True, 0, prefix), *middle, Piece(True, old - suffix, old)]


def _match(base: Base, values: Sequence[Any], start: int, end: int) -> list[Piece]:
    """Find values `start` to `end` among the base's elements: messages wherever they are."""
    elements = base.elements
    by_id: dict[str, list[int]] | None = None
    pieces: list[Piece] = []
    expected = index = start
    while index < end:
        value = values[index]
        found: int | None = None
        candidates = list(range(expected, min(expected + _LOOK_AHEAD, len(elements))))
        if isinstance(value, BaseMessage) and value.id:
            if by_id is None:
                by_id = {}
                for at, element in enumerate(elements):
                    if element.id is not None:
                        by_id.setdefault(element.id, []).append(at)
            candidates = by_id.get(value.id, [])
        for at in candidates:
            frozen = elements[at].frozen
            if frozen is not None and same([frozen], [value]):
                found = at
                break
        if found is None:
            pieces.append(Piece(False, index, index + 1))
            index += 1
            expected += 1
            continue
        # What follows it there mostly follows it here.
        room = min(end - index, len(elements) - found) - 1
        more = base.first_differing(found + 1, values[index + 1 : index + 1 + room])
        count = 1 + (room if more is None else more)
        pieces.append(Piece(True, found, found + count))
        index += count
        expected = found + count
    return pieces


def _place(pieces: list[Piece], base: Base | None, logs: Logs | None, new_log: NewLog) -> Change:
    """Give new values their places: at the end of the main log, or in the side log."""
    logs = logs or Logs(new_log(), 0, "", 0)
    pieces = [piece for piece in pieces if piece.start < piece.end]
    last_old = max((at for at, piece in enumerate(pieces) if piece.old), default=-1)
    spans: list[Span] = []
    added: list[Addition] = []
    for at, piece in enumerate(pieces):
        if piece.old:
            assert base is not None
            spans += cut(base.spans, piece.start, piece.end)
            continue
        count = piece.end - piece.start
        if at > last_old:
            log, first = logs.main, logs.main_next
            logs = logs._replace(main_next=first + count)
        else:
            log, first = logs.side or new_log(), logs.side_next
            logs = logs._replace(side=log, side_next=first + count)
        spans.append(Span(log, first, first + count))
        added += [Addition(log, first + n, piece.start + n) for n in range(count)]
    removed: list[int] = []
    if base is not None and pieces[:1] != [Piece(True, 0, base.size)]:
        kept = [False] * base.size
        for piece in pieces:
            if piece.old:
                kept[piece.start : piece.end] = [True] * (piece.end - piece.start)
        removed = [at for at, stays in enumerate(kept) if not stays]
    return Change(pieces, joined(spans), logs, added, removed)


class Entry(NamedTuple):
    """A change of a dict: a key that is set, or deleted."""

    key: Any
    deleted: bool = False


def dict_change(
    base: Base | None,
    logs: Logs | None,
    values: dict[Any, Any],
    new_log: NewLog = new_log,
) -> tuple[Change, list[Entry]]:
    """How a dict differs from the base; the entries are what `Change.added` counts."""
    if base is not None and (entries := _entries(base, values)) is not None:
        change = _place([Piece(False, 0, len(entries))], None, logs, new_log)
        spans = joined((*base.spans, *change.spans))
        total = length(spans)
        if total <= 2 * len(values) + _SPARE_ENTRIES and len(spans) <= MOST_SPANS:
            return change._replace(spans=spans), entries
    entries = [Entry(key) for key in values]
    return _place([Piece(False, 0, len(entries))], None, None, new_log), entries


def _entries(base: Base, values: dict[Any, Any]) -> list[Entry] | None:
    """What to set and delete; None where that does not lead to the same dict."""
    known = folded(base.elements)
    kinds = {key: type(key) for key in known}
    if any(kinds.get(key, type(key)) is not type(key) for key in values):
        return None
    both = [key for key in values if key in known]
    frozen: list[Frozen] = [known[key].frozen for key in both]  # type: ignore[misc]
    changed = differing(frozen, [values[key] for key in both])
    entries = [Entry(key, deleted=True) for key in known if key not in values]
    entries += [Entry(both[at]) for at in changed]
    entries += [Entry(key) for key in values if key not in known]
    after = [key for key in known if key in values] + [key for key in values if key not in known]
    return entries if after == list(values) else None
