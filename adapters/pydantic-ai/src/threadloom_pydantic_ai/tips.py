"""Where entries are that were handed out lately, so that they are found at once."""

from __future__ import annotations

import threading


class Tips:
    """Remembers to which conversations entries belong, as many as it may; safe from any thread.

    Args:
        limit: how many entries; the ones that were remembered first are forgotten.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def put(self, conversation_id: str, *entry_ids: str | None) -> None:
        """Remember where entries are; None is none."""
        with self._lock:
            for id in entry_ids:
                if id is not None:
                    self._known.pop(id, None)
                    self._known[id] = conversation_id
            while len(self._known) > self._limit:
                del self._known[next(iter(self._known))]

    def get(self, entry_id: str) -> str | None:
        """The conversation that an entry was last seen in."""
        return self._known.get(entry_id)
