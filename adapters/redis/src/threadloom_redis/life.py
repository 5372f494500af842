"""What is under way, and its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadloom.errors import StoreClosed

CLOSING = 30.0
"""Seconds that closing waits for what is under way."""


class UnderWay:
    """Counts calls that are under way, so that closing can wait for them.

    Args:
        name: what is closed, for people.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = False
        self.renew()

    def renew(self) -> None:
        """Begin anew in the child of a fork, where nothing is under way."""
        self._count = 0
        self._changed = threading.Condition()

    def check(self) -> None:
        """Raise where it was closed.

        Raises:
            StoreClosed: it was.
        """
        if self._closed:
            raise StoreClosed(f"{self._name} was closed")

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one call.

        Raises:
            StoreClosed: it was closed before.
        """
        with self._changed:
            self.check()
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Let nothing begin any more."""
        with self._changed:
            self._closed = True

    def wait(self, seconds: float = CLOSING) -> bool:
        """Wait until nothing is under way; False where that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, seconds)
