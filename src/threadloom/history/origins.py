"""Which messages of a chat history stand for items of a stream, and which items these are.

The document of such a message says so, under `OF`. Messages that came by themselves have no origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from threadloom.errors import InvalidKey
from threadloom.keys import decode_id
from threadloom.ops import Record

OF = "of"
"""The field of a message's document with its `Origin`."""


class Origin(NamedTuple):
    """Which items of a stream a message shows.

    Attributes:
        label: the label of the stream.
        first, end: the positions of its items: those from `first` to `end`, exclusive.
        parts: the positions, where some between the first and the last are not among them.
    """

    label: str
    first: int
    end: int
    parts: tuple[int, ...] | None = None

    @classmethod
    def of(cls, label: str, numbers: Sequence[int]) -> Origin:
        """The origin of what shows the items at some positions, in order."""
        first, end = numbers[0], numbers[-1] + 1
        return cls(label, first, end, None if len(numbers) == end - first else tuple(numbers))

    @property
    def numbers(self) -> Sequence[int]:
        """The positions of its items."""
        return range(self.first, self.end) if self.parts is None else self.parts

    def doc(self) -> list[Any]:
        """What the message's document says."""
        whole = [self.label, self.first, self.end]
        return whole if self.parts is None else [*whole, list(self.parts)]


def origin(record: Record) -> Origin | None:
    """Which items of a stream a message shows; None where it came by itself."""
    of = record.body().get(OF)
    if of is None:
        return None
    label, first, end, *parts = of
    return Origin(label, first, end, tuple(parts[0]) if parts else None)


def refuse_shown(record: Record, what: str) -> None:
    """Let messages alone that stand for items of a stream: they change with their items.

    Raises:
        InvalidKey: the record is such a message.
    """
    of = origin(record)
    if of is not None:
        raise InvalidKey(
            f"message {record.body().get('id')!r} shows items of the stream "
            f"{decode_id(of.label)!r} and cannot be {what} by itself: change the stream, or take "
            "the session back with rewind_session(id, messages=n)"
        )
