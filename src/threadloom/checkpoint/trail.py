"""Checkpoints of a namespace, read from the newest on and only as far as somebody asks."""

from __future__ import annotations

from collections.abc import Mapping

from threadloom.checkpoint import layout
from threadloom.checkpoint.layout import Place, Stored
from threadloom.garbage import without_collection
from threadloom.keys import AFTER_PARTS
from threadloom.ops import Record, Scan
from threadloom.plans import Plan

_FIRST, _LARGEST = 64, 4096
"""Records of the first page, and of the largest."""


class Trail:
    """The checkpoints of one namespace; whoever walks back from one reads them page by page.

    Pages are read one after the other, so what is written because of them needs an expectation
    of the session's record as it was before the first.

    Args:
        place: the namespace.
        stored: all of its checkpoints by id, where they have been read.
    """

    def __init__(self, place: Place, stored: Mapping[str, Stored] | None = None) -> None:
        self.place = place
        self._known = dict(stored or {})
        self._is_whole = stored is not None
        self._page = _FIRST

    def find(self, id: str) -> Plan[Stored | None]:
        """A checkpoint, or None."""
        key = layout.checkpoint_key(id)
        read: list[Record] = []
        # Its pending writes sort behind it: they may fill more than one page.
        end = key + AFTER_PARTS
        while id not in self._known and not self._is_whole:
            limit = self._page
            self._page = min(2 * limit, _LARGEST)
            (page,) = yield [Scan(self.place.records(), end=end, reverse=True, limit=limit)]
            read += page
            with without_collection(len(read)):
                self._known = layout.group(read) | self._known
            if len(page) < limit or page[-1].key < key:
                break  # it is not there
            end = page[-1].key
        return self._known.get(id)

    def above(self, stored: Stored) -> Plan[Stored | None]:
        """The parent of a checkpoint, or None."""
        return None if stored.parent is None else (yield from self.find(stored.parent))

    def path(self, stored: Stored) -> Plan[list[Stored]]:
        """A checkpoint and its ancestors, nearest first."""
        found = [stored]
        seen = {stored.id}
        while (above := (yield from self.above(found[-1]))) is not None and above.id not in seen:
            found.append(above)
            seen.add(above.id)
        return found

    def all(self) -> Plan[Mapping[str, Stored]]:
        """All of them, by id."""
        if not self._is_whole:
            (records,) = yield [Scan(self.place.records())]
            self._known = layout.group(records) | self._known
            self._is_whole = True
        return self._known
