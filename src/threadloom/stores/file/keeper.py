"""Journals as one store object has them: read, written, compacted, mended.

Everything here runs while other threads are kept from the records that it touches, and whatever
writes, while other processes are kept from writing them.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from threadloom import keys
from threadloom.ops import Op
from threadloom.plans import Batch, Results
from threadloom.stores.file import files
from threadloom.stores.file.cache import Cache
from threadloom.stores.file.files import Piece
from threadloom.stores.file.folder import Folder, aside
from threadloom.stores.file.journal import Journal, load
from threadloom.stores.file.lines import Changes, Where
from threadloom.stores.file.places import DAMAGED, NEW, TORN, Place, file_name, place_of
from threadloom.stores.file.routing import Route
from threadloom.stores.spaces import Entry, Spaces
from threadloom.stores.working import Work

logger = logging.getLogger("threadloom.stores")

Ask = Callable[[list[Op]], list[Any]]
"""Asks the index."""


class Keeper:
    """The journals of one folder.

    Args:
        folder: the folder.
        to_disk: whether a write waits for the disk.
    """

    def __init__(self, folder: Folder, *, to_disk: bool) -> None:
        self._folder = folder
        self._to_disk = to_disk
        self.cache = Cache()

    # Reading

    def current(self, place: Place, piece: Piece | None = None) -> Journal | None:
        """A journal as it is now, damaged or not; None where there is none."""
        known = self.cache.take(place)
        journal = None
        if known is not None:
            journal = load(place, known.path, known, piece)
        if journal is None:  # not known, or under another name by now
            path = self._folder.find(place)
            if path is None:
                return None
            journal = load(place, path, None, piece)
        if journal is not None:
            self.cache.give(journal)
        return journal

    def wanted(self, place: Place) -> tuple[Path, int] | None:
        """What of a journal has to be read first, from where on; None for nothing."""
        known = self.cache.look(place)
        signature = None if known is None else files.signature(known.path)
        if known is None or signature is None:
            path = self._folder.find(place)
            return None if path is None else (path, 0)
        if signature == known.signature:
            return None
        same = signature.inode == known.signature.inode and signature.size >= known.end
        return known.path, known.end if same else 0

    def weight(self, places: Iterable[Place]) -> int:
        """About how many bytes the journals that are at hand take up."""
        return sum(
            known.weight for place in places if (known := self.cache.look(place)) is not None
        )

    def read(
        self,
        ops: Sequence[tuple[Op, Place]],
        now: int,
        pieces: Mapping[Place, Piece],
    ) -> list[Any]:
        """Answer operations, each on the journal of one place.

        Raises:
            CorruptRecord: one of them is damaged.
        """
        works: dict[Place, Work] = {}
        for place in dict.fromkeys(place for _, place in ops):
            journal = self.current(place, pieces.get(place))
            if journal is not None:
                journal.check()
            works[place] = Work(Spaces() if journal is None else journal.spaces, now, 0)
        return [works[place].apply(op) for op, place in ops]

    def peek(self, ops: Sequence[tuple[Op, Place]], now: int) -> list[Any]:
        """`read`, from the files themselves, whoever is writing to them here."""
        works: dict[Place, Work] = {}
        for place in dict.fromkeys(place for _, place in ops):
            path = self._folder.find(place)
            journal = None if path is None else load(place, path, None, None)
            if journal is not None:
                journal.check()
            works[place] = Work(Spaces() if journal is None else journal.spaces, now, 0)
        return [works[place].apply(op) for op, place in ops]

    # Writing

    def write(
        self, ops: Batch, route: Route, places: Sequence[Place], now: int, ask: Ask
    ) -> Results:
        """Apply a batch to the journals of some places, and write what it changed.

        Raises:
            ExpectationFailed: an `expect` did not hold; nothing was changed.
            CorruptRecord: one of the journals is damaged.
            OSError: nothing was written.
        """
        journals = {place: self._opened(place) for place in places}
        for journal in journals.values():
            journal.check()
        for place in places:  # so that what an interrupt leaves half changed is not kept
            self.cache.take(place)
        joins = route.is_wide or len(journals) != 1
        work = Work(
            _joined(journals.values()) if joins else journals[places[0]].spaces,
            now,
            max((journal.version for journal in journals.values()), default=0),
        )
        changed: Changes = {}
        is_adding = False
        try:
            results = self._apply(work, ops, route, ask)
            changed = work.changed()
            if changed:
                is_adding = True
                self._append(journals, work.version, changed, now, joins=joins)
        except Exception as error:
            if is_adding or isinstance(error, OSError):
                raise  # what was read may be ahead of the files: it is read again
            if not joins:  # otherwise the journals have not seen anything of it yet
                work.undo()
            self._give(journals.values())
            raise
        self._give([self._tidied(journal, now) for journal in journals.values() if journal.row])
        return results

    def _give(self, journals: Iterable[Journal]) -> None:
        for journal in journals:
            if journal.row:
                self.cache.give(journal)

    def _apply(self, work: Work, ops: Batch, route: Route, ask: Ask) -> Results:
        if route.is_wide:
            return [work.apply(op) for op in ops]
        # Whatever looks at more than these journals stands in front of every write.
        across = [op for op, some in zip(ops, route.places, strict=True) if some is None]
        answers = iter(ask(across) if across else ())
        return [
            next(answers) if some is None else work.apply(op)
            for op, some in zip(ops, route.places, strict=True)
        ]

    def _opened(self, place: Place) -> Journal:
        """A journal to write to, without the torn line of a writer that was killed."""
        journal = self.current(place)
        if journal is None:
            return Journal(place, Path())
        if journal.torn and not journal.bad:
            logger.warning(
                "%s: the last line was torn, by a writer that was killed or a power cut; its %d "
                "bytes are kept in %s",
                journal.path,
                len(journal.torn),
                aside(journal.path, TORN).name,
            )
            files.cut(journal.path, journal.end, aside(journal.path, TORN), journal.torn)
            journal.torn = b""
            journal.signature = files.signature(journal.path) or journal.signature
        return journal

    def _append(
        self,
        journals: dict[Place, Journal],
        version: int,
        changed: Changes,
        now: int,
        *,
        joins: bool,
    ) -> None:
        """Add a line to each journal that a batch has changed."""
        parts: dict[Place, dict[Where, Entry | None]] = defaultdict(dict)
        for at, entry in changed.items():
            parts[place_of(keys.partition(*at))][at] = entry
        rows: list[tuple[Place, int, bytes]] = []
        for place, part in parts.items():
            if place not in journals:  # copied to where nothing was
                journals[place] = self._opened(place)
                journals[place].check()
            given = max(version, journals[place].version + 1)
            rows.append((place, given, journals[place].line(given, now, part)))
        done: list[tuple[Path, int]] = []
        try:
            for place, given, data in rows:
                journal, part = journals[place], parts[place]
                self._folder.mark(place)
                done.append((journal.path, journal.end))
                if not journal.row:
                    self._make(journal, part, joins=joins)
                    done[-1] = journal.path, 0
                signature = files.append(journal.path, journal.end, data, to_disk=self._to_disk)
                journal.added(data, given, signature, len(part))
        except BaseException:
            for path, size in reversed(done):
                files.shorten(path, size)
            raise
        if joins:
            for place, part in parts.items():
                journals[place].apply(part)

    def _make(self, journal: Journal, part: Changes, *, joins: bool) -> None:
        """Make the file of a journal that is written for the first time."""
        spaces = journal.spaces
        if joins:
            draft = Journal(journal.place, Path())
            draft.apply(part)
            spaces = draft.spaces
        if journal.path == Path():
            name = file_name(journal.place, spaces)
            journal.path = self._folder.make(journal.place, name, to_disk=self._to_disk)

    def _tidied(self, journal: Journal, now: int) -> Journal:
        """Give a journal the name that it should have, and compact it where that is due.

        The batch is written by now: what fails here is told, and done another time.
        """
        try:
            name = file_name(journal.place, journal.spaces)
            is_nameless = name.startswith("~")
            if name != journal.path.name and (is_nameless or journal.path.name.startswith("~")):
                self._rename(journal, name)
                if is_nameless:
                    self._folder.clear_asides(journal.place)
                    return self.compact(journal, now)
            if journal.is_wasteful:
                return self.compact(journal, now)
        except OSError as error:
            logger.warning("%s could not be tidied up: %s", journal.path, error)
        return journal

    def _rename(self, journal: Journal, name: str) -> None:
        path = journal.path.with_name(name)
        journal.path.rename(path)
        journal.path = path
        if self._to_disk:
            files.sync(path.parent)

    # Care

    def compact(self, journal: Journal, now: int) -> Journal:
        """Write a journal anew without what is dead; the journal as it is then."""
        new, data = journal.compacted(now)
        self._folder.mark(journal.place)
        new.signature = files.replace(
            journal.path, data, aside(journal.path, NEW), sync_folder=self._to_disk
        )
        return new

    def reclaim(self, place: Place, now: int) -> None:
        """Leave nothing of what is dead in a journal or beside it.

        A damaged journal is left alone.
        """
        journal = self.current(place)
        self.cache.take(place)
        if journal is not None:
            if journal.bad:
                return
            name = file_name(place, journal.spaces)
            if name.startswith("~") and name != journal.path.name:
                self._rename(journal, name)
            self.cache.give(self.compact(journal, now))
        self._folder.clear_asides(place)

    def mend(self, place: Place, now: int) -> str | None:
        """Take damaged lines out of a journal; what was done, or None where nothing had to be.

        They go to the end of a file beside it; all lines that are whole stay. A journal without
        any is left as it is, for somebody to look at.
        """
        journal = self.current(place)
        if journal is None or not journal.bad or journal.newer or not journal.records():
            return None
        self.cache.take(place)
        path, bad = journal.path, journal.bad
        lost = [one.raw for one in bad if one.raw]
        if lost:
            with aside(path, DAMAGED).open("ab") as file:
                file.write(b"".join(raw + b"\n" for raw in lost))
        # A version more, for the lines that are taken out may have given some out.
        journal.version += len(bad)
        self.cache.give(self.compact(journal, now))
        done = f"damaged lines were moved to {aside(path, DAMAGED).name}: {len(lost)}"
        return (
            f"{path}: {done if lost else 'goes on without what is missing'} "
            f"(line {bad[0].row}: {bad[0].why})"
        )


def _joined(journals: Iterable[Journal]) -> Spaces:
    """A copy of the records of some journals."""
    joined = Spaces()
    for journal in journals:
        for (namespace, key), entry in journal.records():
            joined.make(namespace).set(key, entry)
    return joined
