"""The price of safety: the same saver without the copies and comparisons that make it safe.

It hands out the messages that it keeps, and takes for granted that nobody has changed one. A node
that changes a message in place would change every checkpoint that has it, and nothing would be
stored. So it is no way to use Threadloom; it shows what the safe way costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from threadloom.checkpoint.frozen import Message
from threadloom.checkpoint.sameness import Prepared


@contextmanager
def without_copies() -> Iterator[None]:
    """For this process: messages are handed out as they are kept, and never compared."""
    handed: dict[int, tuple[Message, Any]] = {}
    copies = Message.thaw_all

    def thaw_all(some: Sequence[Message]) -> list[Any]:
        missing = [one for one in some if id(one) not in handed]
        for one, value in zip(missing, copies(missing), strict=True):
            handed[id(one)] = one, value
        return [handed[id(one)][1] for one in some]

    def all_same(self: Prepared, values: Sequence[Any]) -> bool:
        return True

    with patch.object(Message, "thaw_all", thaw_all), patch.object(Prepared, "all_same", all_same):
        yield
