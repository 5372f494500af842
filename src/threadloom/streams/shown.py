"""What an adapter gives to have its items shown: a function, and the groups that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage


class Shown(NamedTuple):
    """Messages that show a number of items.

    Attributes:
        end: how many of the given items have been shown with this group, those of earlier groups
            and those that nothing shows included.
        messages: what shows them, in order. One without an id gets one, and keeps it.
    """

    end: int
    messages: Sequence[BaseMessage]


Shows = Callable[[Sequence[Any]], Iterable[Shown]]
"""Shows items, in order, as groups of messages; depends on nothing but the items."""
