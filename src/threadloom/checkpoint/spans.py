"""Spans of logs: how a checkpoint names the elements of a list or the entries of a dict.

A log is a sequence of elements that is only ever added to. A value is a list of spans, each a
range of positions of a log, so that values which have most of their elements in common share
them, wherever they differ: in checkpoints of one graph, of its subgraphs, or in pending writes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from threadloom.keys import DIGITS

_LOG_DIGITS = 5
_SUBGRAPH, _SUBGRAPH_DIGITS = "~", 8
_POSITION_DIGITS = 5
_RUN = "["
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}


class Span(NamedTuple):
    """Positions `start` to `end` (exclusive) of a log."""

    log: str
    start: int
    end: int


Spans = tuple[Span, ...]


def new_log(*, of_subgraph: bool = False) -> str:
    """A name for a log that no other has.

    For two logs of a session the chance is one in 10^9; in 10^14 for those of subgraphs, of which
    a session may have many.
    """
    digits = _SUBGRAPH_DIGITS if of_subgraph else _LOG_DIGITS
    name = "".join(secrets.choice(DIGITS) for _ in range(digits))
    return _SUBGRAPH + name if of_subgraph else name


def number_key(number: int, digits: int = _POSITION_DIGITS) -> str:
    """A number as digits that sort as it counts."""
    found = ""
    for _ in range(digits):
        number, digit = divmod(number, 64)
        found = DIGITS[digit] + found
    return found


def key_number(key: str) -> int:
    """The number that `number_key` made a key of."""
    number = 0
    for digit in key:
        number = number * 64 + _VALUES[digit]
    return number


def element_key(log: str, position: int) -> str:
    """The key of an element's record."""
    return log + number_key(position)


def element_place(key: str) -> tuple[str, int]:
    """Log and position of an element's record."""
    return key[:-_POSITION_DIGITS], key_number(key[-_POSITION_DIGITS:])


def run_key(span: Span) -> str:
    """What stands in a value for a run of elements that a log has."""
    return _RUN + span.log + number_key(span.start) + number_key(span.end)


def runs_among(keys: Iterable[str]) -> list[Span]:
    """The runs of elements among the keys of what a value needs; the others are texts."""
    return [_run(key) for key in keys if key.startswith(_RUN)]


def texts_among(keys: Iterable[str]) -> list[str]:
    """The keys of texts among those of what a value needs."""
    return [key for key in keys if not key.startswith(_RUN)]


def _run(key: str) -> Span:
    size = _POSITION_DIGITS
    return Span(
        key[len(_RUN) : -2 * size], key_number(key[-2 * size : -size]), key_number(key[-size:])
    )


def length(spans: Iterable[Span]) -> int:
    """How many elements spans have."""
    return sum(span.end - span.start for span in spans)


def cut(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """The elements `start` to `end` (exclusive) of spans."""
    found: list[Span] = []
    before = 0
    for span in spans:
        size = span.end - span.start
        low, high = max(start - before, 0), min(end - before, size)
        if low < high:
            found.append(Span(span.log, span.start + low, span.start + high))
        before += size
    return found


def joined(spans: Iterable[Span]) -> Spans:
    """Spans with neighbours that touch made one."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].log == span.log and found[-1].end == span.start:
            found[-1] = found[-1]._replace(end=span.end)
        else:
            found.append(span)
    return tuple(found)


def places(spans: Iterable[Span]) -> list[tuple[str, int]]:
    """Log and position of every element, in order."""
    return [(span.log, at) for span in spans for at in range(span.start, span.end)]


def covered(spans: Iterable[Span]) -> set[tuple[str, int]]:
    """Log and position of every element that some spans have; they may overlap."""
    found: set[tuple[str, int]] = set()
    log, done = "", 0
    for span in sorted(set(spans)):
        if span.log != log:
            log, done = span.log, 0
        found.update((log, at) for at in range(max(span.start, done), span.end))
        done = max(done, span.end)
    return found


def flat(spans: Iterable[Span]) -> list[str | int]:
    """Spans as a flat list of plain values."""
    return [part for span in spans for part in span]


def unflat(parts: Sequence[str | int]) -> Spans:
    """The spans that `flat` was given.

    Raises:
        ValueError: they are none.
    """
    if len(parts) % 3:
        raise ValueError("spans have three parts each")
    found = []
    for at in range(0, len(parts), 3):
        log, start, end = parts[at : at + 3]
        if type(log) is not str or type(start) is not int or type(end) is not int:
            raise ValueError(f"{log!r}, {start!r}, {end!r} is no span")
        found.append(Span(log, start, end))
    return tuple(found)
