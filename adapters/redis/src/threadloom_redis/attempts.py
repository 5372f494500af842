"""Calls of scripts until they have been answered: what is common to both kinds of clients."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from threadloom.errors import StoreUnavailable
from threadloom_redis.errors import may_pass, never_arrived, translated
from threadloom_redis.scripts import Call

T = TypeVar("T")


class Patience:
    """How long somebody tries again because others write to the same.

    Args:
        seconds: how long.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def check(self, outcome: str = "nothing was written") -> None:
        """Raise once it is over.

        Args:
            outcome: what has happened so far, for people.

        Raises:
            StoreUnavailable: it is over.
        """
        if time.monotonic() > self._until:
            raise beset(outcome)


def beset(outcome: str = "nothing was written") -> StoreUnavailable:
    """What is raised where others leave no time; `outcome` says what has happened so far."""
    return StoreUnavailable(f"others write here without rest; {outcome}; try again")


Replies = list[Any]
Talk = Generator[list[Call], Replies, T]
"""Logic that yields calls, which do not depend on each other, and is sent the replies."""

_SHORTEST, _LONGEST = 0.01, 0.5


class Attempts:
    """Several calls and what has come back of them.

    Args:
        calls: what to call.
        place: where, for people.
        patience: seconds for which calls are tried again that did not get through.

    Attributes:
        replies: what came back, in the order of the calls.
    """

    def __init__(self, calls: Sequence[Call], place: str, patience: float) -> None:
        self.replies: Replies = [None] * len(calls)
        self._calls = calls
        self._open = list(range(len(calls)))
        self._place = place
        self._since = time.monotonic()
        self._patience = patience
        self._tries = 0
        self._lost = False

    def due(self) -> list[Call]:
        """The calls to try now."""
        if not self._tries:
            return list(self._calls)
        return [self._aged(self._calls[at]) for at in self._open]

    def take(self, found: Sequence[Any]) -> float | None:
        """Take replies and exceptions; how many seconds to wait before the next try.

        None where all is answered.

        Raises:
            StoreUnavailable: waiting does not help, or has not helped.
            CorruptRecord: a record is damaged.
        """
        left: list[int] = []
        last: BaseException | None = None
        for at, reply in zip(self._open, found, strict=True):
            if not isinstance(reply, BaseException):
                self.replies[at] = reply
                continue
            self._lost = self._lost or (self._calls[at].writes and not never_arrived(reply))
            last = reply
            if not may_pass(reply):
                raise translated(reply, self._place, unknown=self._lost) from reply
            left.append(at)
        if last is None:
            return None
        self._open = left
        self._tries += 1
        pause = random.uniform(0.5, 1) * min(_LONGEST, _SHORTEST * 2**self._tries)  # noqa: S311
        if self._tries > 1 and time.monotonic() - self._since + pause > self._patience:
            raise translated(last, self._place, unknown=self._lost) from last
        return 0.0 if self._tries == 1 else pause

    def _aged(self, call: Call) -> Call:
        if call.age is None:
            return call
        args = list(call.args)
        args[call.age] = b"%d" % (1 + int((time.monotonic() - self._since) * 1000))
        return call._replace(args=args)
