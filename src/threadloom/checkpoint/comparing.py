"""Which of many values differ from what was frozen: all at once, by halves, and by blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from threadloom.checkpoint.frozen import Frozen, Message, runs
from threadloom.checkpoint.sameness import Prepared

BLOCK: Final = 128
"""Elements compared by one call: few enough to stay in the processor's cache."""


def differing(frozen: Sequence[Frozen], values: Sequence[Any]) -> list[int]:
    """The positions, up to the shorter length, whose value may differ from what was frozen.

    A value that differs in anything, in type, order or depth, is always among them; one with
    a NaN may be.
    """
    own, given = list(frozen), list(values)
    del own[len(given) :], given[len(own) :]
    result: list[int] = []
    for start, end, kind in runs(own):
        for at in range(start, end, BLOCK):
            until = min(at + BLOCK, end)
            changed = kind.changed(own[at:until], given[at:until])
            result += [at + index for index in changed]
    return result


def same(frozen: Sequence[Frozen], values: Sequence[Any]) -> bool:
    """Whether equally many values surely are what was frozen."""
    own, given = list(frozen), list(values)
    return all(kind.surely_same(own[start:end], given[start:end]) for start, end, kind in runs(own))


def first_differing(frozen: Sequence[Frozen], values: Sequence[Any]) -> int | None:
    """The first of equally many values that may differ; None if all surely are the same."""
    if same(frozen, values):
        return None
    low, high = 0, len(frozen)  # all below `low` are the same, some below `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        if same(frozen[low:middle], values[low:middle]):
            low = middle
        else:
            high = middle
    return low


def last_differing(frozen: Sequence[Frozen], values: Sequence[Any]) -> int | None:
    """The last of equally many values that may differ; None if all surely are the same."""
    if same(frozen, values):
        return None
    low, high = 0, len(frozen)  # all from `high` on are the same, some from `low` on is not
    while high - low > 1:
        middle = (low + high) // 2
        if same(frozen[middle:high], values[middle:high]):
            high = middle
        else:
            low = middle
    return low


class Block:
    """Elements that stay together in a log: `same`, with what that takes prepared once.

    Attributes:
        length: how many there are.
    """

    __slots__ = ("_frozen", "_prepared", "length")

    def __init__(self, frozen: Sequence[Frozen]) -> None:
        self.length = len(frozen)
        self._frozen = list(frozen)
        messages = all(type(one) is Message for one in frozen)
        self._prepared = Prepared(frozen) if messages else None  # type: ignore[arg-type]

    def extended(self, more: Sequence[Frozen]) -> Block:
        """These elements and others behind them."""
        if self._prepared is None:
            return Block([*self._frozen, *more])
        added = Block(more)
        both = object.__new__(Block)
        both.length = self.length + added.length
        both._frozen = self._frozen + added._frozen
        prepared = added._prepared
        both._prepared = None if prepared is None else self._prepared.extended(prepared)
        return both

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes besides the elements."""
        return 8 * self.length + (0 if self._prepared is None else self._prepared.size)

    def same(self, values: Sequence[Any]) -> bool:
        """Whether as many values as there are elements surely are the same."""
        if self._prepared is None:
            return same(self._frozen, values)
        try:
            return self._prepared.all_same(values)
        except Exception:
            return False  # a foreign object that cannot be compared
