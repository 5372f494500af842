"""Who may write: one lock between processes for every 64th of the journals, and one for the index.

Locks between threads are taken by `with` statements of C, and a lock between processes belongs
to a file object: wherever an interrupt strikes, both are given back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TypeVar

from filelock import lock_descriptor, unlock_descriptor

from threadloom.errors import StoreUnavailable
from threadloom.stores.file.places import Place

T = TypeVar("T")

STRIPES = 64
INDEX = STRIPES
"""The number of the lock of the index."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.01


class Guard:
    """A lock between threads that knows which thread has it."""

    __slots__ = ("_thread", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._thread = 0

    @property
    def is_mine(self) -> bool:
        """Whether this very thread has it."""
        return self._thread == threading.get_ident() and self.lock.locked()

    def hold(self, work: Callable[[], T]) -> T:
        """Run `work` while nobody else has the lock.

        Raises:
            StoreUnavailable: this very thread has it: a signal handler interrupted it.
        """
        if self.is_mine:
            raise StoreUnavailable(
                "this FileStore is at work in this very thread: a signal handler cannot use a "
                "store that it has interrupted"
            )
        with self.lock:
            self._thread = threading.get_ident()
            try:
                return work()
            finally:
                self._thread = 0


class Locks:
    """The locks of one folder, as one store object uses them.

    Args:
        folder: where the files of the locks are.
        timeout: seconds to wait for another process.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        self._paths = [folder / f"{number:02x}.guard" for number in range(STRIPES)]
        self._paths.append(folder / "index.guard")
        self._timeout = timeout
        self.renew()

    def renew(self) -> None:
        """Begin with locks that nobody has; for a child of a fork."""
        self._doors = [Guard() for _ in self._paths]
        self._records = [Guard() for _ in self._paths]

    def reading(self, numbers: Sequence[int], work: Callable[[], T]) -> T:
        """Run `work` while no other thread touches the records of some stripes."""
        if not numbers:
            return work()
        return self._records[numbers[0]].hold(lambda: self.reading(numbers[1:], work))

    def is_free(self, number: int) -> bool:
        """Whether no thread is at the records of a stripe just now."""
        return not self._records[number].lock.locked()

    def writing(self, numbers: Sequence[int], since: float, work: Callable[[], T]) -> T:
        """Run `work` while nobody else writes to some stripes, in any process.

        Args:
            numbers: in ascending order.
            since: when the caller began to wait (`time.monotonic`).
            work: what to do.

        Raises:
            StoreUnavailable: another process had one of them for too long.
        """
        if not numbers:
            return work()

        def inside() -> T:
            with self._paths[numbers[0]].open("ab", buffering=0) as file:
                self._wait(file, numbers[0], since)
                try:
                    return self.writing(numbers[1:], since, work)
                finally:
                    unlock_descriptor(file.fileno())

        return self._doors[numbers[0]].hold(inside)

    def trying(self, number: int, work: Callable[[bool], T]) -> T:
        """Run `work`, and tell it whether nobody else writes to a stripe meanwhile."""
        with self._paths[number].open("ab", buffering=0) as file:
            locked = lock_descriptor(file.fileno(), blocking=False)
            try:
                return work(locked)
            finally:
                if locked:
                    unlock_descriptor(file.fileno())

    def _wait(self, file: IO[bytes], number: int, since: float) -> None:
        pause = _FIRST_PAUSE
        while not lock_descriptor(file.fileno(), blocking=False):
            if time.monotonic() - since >= self._timeout:
                raise StoreUnavailable(
                    f"{self._paths[number]} was locked by another process for longer than "
                    f"{self._timeout:g} s"
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def rest(self, seconds: float) -> list[Guard]:
        """Take every lock of journals that this thread has not; for a fork, or to close.

        What another thread does not give back in time is left to it. Who has the index's guard may
        be about to take its lock, so that one is left out.
        """
        deadline = time.monotonic() + seconds
        taken = []
        for guard in (*self._doors[:INDEX], *self._records):
            if not guard.is_mine and guard.lock.acquire(
                timeout=max(0.0, deadline - time.monotonic())
            ):
                taken.append(guard)
        return taken


def stripe_of(place: Place) -> int:
    """The number of the lock that the writers of a journal take."""
    return int(place.hash[:4], 16) % STRIPES


def stripes_of(places: Sequence[Place]) -> list[int]:
    """The numbers of the locks of some journals, in the order in which they are taken."""
    return sorted({stripe_of(place) for place in places})
