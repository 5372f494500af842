"""Journals that were read, kept up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

from threadloom.stores.file.journal import Journal
from threadloom.stores.file.places import Place

MOST = 64 * 1024 * 1024
"""Bytes of memory, as far as they can be told."""


class Cache:
    """The journals that were used last.

    A journal that is being changed is taken out meanwhile, so that one that an interrupt left
    half changed is never seen again.

    Args:
        most: bytes that are kept; the journal that was used last is kept in any case.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget everything; also for a child of a fork."""
        self._lock = threading.Lock()
        self._journals: OrderedDict[Place, Journal] = OrderedDict()
        self._weights: dict[Place, int] = {}
        self._total = 0

    def look(self, place: Place) -> Journal | None:
        """A journal, which stays where it is."""
        return self._journals.get(place)

    def take(self, place: Place) -> Journal | None:
        """A journal, which is not kept any more."""
        with self._lock:
            self._total -= self._weights.pop(place, 0)
            return self._journals.pop(place, None)

    def give(self, journal: Journal) -> None:
        """Keep a journal."""
        with self._lock:
            place, weight = journal.place, journal.weight
            self._total += weight - self._weights.get(place, 0)
            self._weights[place] = weight
            self._journals[place] = journal
            self._journals.move_to_end(place)
            if self._total > self._most:
                self._total = sum(self._weights.values())  # an interrupt may have left it wrong
            while self._total > self._most and len(self._journals) > 1:
                oldest, _ = self._journals.popitem(last=False)
                self._total -= self._weights.pop(oldest, 0)
