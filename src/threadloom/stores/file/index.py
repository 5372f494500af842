"""The index over all journals: a cache in an SQLite file, made true before it answers.

What the index has not seen is found in two ways:

* Whoever writes to a journal leaves a mark in the folder `changed` first, which goes when the
  index has read that journal while nobody wrote. So everything that stores did is noticed at
  once, whoever did it, and whether or not they lived to see it.
* What was done by other means (journals copied in, synced, edited, taken away) shows in the
  folders: at its first answer a store object compares how every journal stands (inode, size, time)
  with what the index knows; after that, the journals of folders in which something was added,
  renamed or removed since. A journal that was edited in place while stores are open is noticed
  by whoever opens the folder next, and at once by reads and writes of that session itself.

An index that is missing, damaged or was replaced is made again. One process at a time brings it
up to date; of a damaged journal it knows the lines that are whole.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from threadloom.errors import CorruptRecord, StoreUnavailable
from threadloom.ops import Namespace, Op
from threadloom.stores.file import files, places, table
from threadloom.stores.file.folder import Folder
from threadloom.stores.file.journal import Reader
from threadloom.stores.file.locks import INDEX, Guard, Locks, stripe_of
from threadloom.stores.file.places import Place
from threadloom.stores.file.queries import Queries, journals_below

T = TypeVar("T")

logger = logging.getLogger("threadloom.stores")

_TRIES = 3
_FINE, _COARSE = 20_000_000, 2_000_000_000
"""Nanoseconds in which a folder may change twice and show the same time."""
_AT_ONCE = 500
"""Journals that are brought in by one transaction."""


class Index:
    """The index of one folder, as one store object uses it.

    Args:
        folder: the folder.
        locks: its locks.
        timeout: seconds to wait for another process.
    """

    def __init__(self, folder: Folder, locks: Locks, timeout: float) -> None:
        self._folder = folder
        self._locks = locks
        self._timeout = timeout
        self.guard = Guard()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._settled: dict[str, int] | None = None
        self._warned: set[tuple[Place, files.Signature]] = set()

    def read(self, ops: Sequence[Op], now: int, since: float) -> list[Any]:
        """Answer operations that look at more than one journal, as of one moment."""
        return self._use(lambda db: [Queries(db, now).apply(op) for op in ops], since)

    def places(self, namespaces: Iterable[Namespace], since: float) -> list[Place]:
        """The journals that hold records at or below some namespaces."""
        asked = list(namespaces)
        found = self._use(lambda db: [journals_below(db, name) for name in asked], since)
        return _places(mark for marks in found for mark in marks)

    def wasteful(self, since: float) -> list[Place]:
        """The journals in which something is dead."""
        return _places(self._use(lambda db: table.marks(db, only_dead=True), since))

    def reclaim(self, since: float) -> None:
        """Leave nothing in the file of what the journals have forgotten."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO fts (fts) VALUES ('optimize')")
            db.execute("COMMIT")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            db.execute("BEGIN")

        self._use(work, since)

    def discard(self, since: float) -> None:
        """Trust nothing that the index knows of journals: all are read again."""

        def forget() -> None:
            table.doubt(self._open(since))
            self._settled = None

        try:
            self.guard.hold(forget)
        except sqlite3.Error as error:
            raise _translated(error, self._folder.index) from error

    def close(self) -> None:
        """Close the connection; the next answer opens it anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def renew(self) -> None:
        """Begin anew in the child of a fork; the connection was closed before."""
        self.guard = Guard()
        self._connection = None

    # Being true

    def _use(self, work: Callable[[sqlite3.Connection], T], since: float) -> T:
        def inside() -> T:
            for number in range(_TRIES):
                try:
                    db = self._fresh(since)
                    db.execute("BEGIN")
                    try:
                        return work(db)
                    finally:
                        db.execute("ROLLBACK")
                except (sqlite3.Error, CorruptRecord) as error:
                    # CorruptRecord: what the index holds is no JSON any more.
                    if not _is_damage(error) or number == _TRIES - 1:
                        raise _translated(error, self._folder.index) from error
                    logger.warning("the index is damaged and is made again: %s", error)
                    self._locks.writing([INDEX], since, self._remove)
            raise AssertionError("unreachable")

        return self.guard.hold(inside)

    def _fresh(self, since: float) -> sqlite3.Connection:
        db = self._open(since)
        stale, folders = self._stale(db)
        if stale or self._folder.marked():
            for _ in range(_TRIES):
                if self._locks.writing([INDEX], since, partial(self._catch_up, stale)):
                    break
                db = self._open(since)  # it was replaced meanwhile
                stale, folders = self._stale(db)
            db = self._open(since)
        self._settled = folders
        return db

    def _open(self, since: float) -> sqlite3.Connection:
        """A connection to the file that has the name of the index now."""
        identity = _identity(self._folder.index)
        if self._connection is not None and identity == self._identity:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return self._connection
        self.close()
        self._settled = None

        def create() -> sqlite3.Connection:
            connection = table.open_index(self._folder.index, self._timeout)
            self._identity = _identity(self._folder.index)
            return connection

        # Not while somebody removes a damaged one: its files go one after the other.
        self._connection = self._locks.writing([INDEX], since, create)
        return self._connection

    def _remove(self) -> None:
        self.close()
        self._settled = None
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._folder.index}{suffix}").unlink(missing_ok=True)

    def _stale(self, db: sqlite3.Connection) -> tuple[set[Place], dict[str, int]]:
        """Journals that do not stand as the index knows them, and how their folders stand."""
        now = time.time_ns()
        stale: set[Place] = set()
        folders: dict[str, int] = {}
        seen: set[str] = set()
        for shard, changed in self._folder.shards():
            grain = _FINE if changed % 1_000_000_000 else _COARSE
            # In a folder that has just changed more may happen under the same time.
            folders[shard] = changed if changed < now - grain else 0
            if self._settled is not None and self._settled.get(shard) == changed:
                continue
            known = table.known_in(db, shard)
            there: set[str] = set()
            for place, _, signature in self._folder.journals(shard):
                there.add(place.mark)
                if known.get(place.mark) != signature:
                    stale.add(place)
            stale.update(_places(known.keys() - there))
            seen |= there
        if self._settled is None:
            stale.update(_places(set(table.marks(db)) - seen))
        else:
            for shard in self._settled.keys() - folders.keys():
                stale.update(_places(table.known_in(db, shard)))
        return stale, folders

    def _catch_up(self, stale: set[Place]) -> bool:
        """Bring in what has changed; False where the file is not the index any more."""
        db = self._connection
        if db is None or _identity(self._folder.index) != self._identity:
            return False
        groups: dict[int, list[Place]] = defaultdict(list)
        marked = self._folder.marked()
        for place in dict.fromkeys([*marked, *stale]):
            groups[stripe_of(place)].append(place)
        for number, group in groups.items():
            for start in range(0, len(group), _AT_ONCE):
                part = group[start : start + _AT_ONCE]
                self._locks.trying(number, partial(self._bring, db, part))
        return True

    def _bring(self, db: sqlite3.Connection, group: list[Place], locked: bool) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            for place in group:
                self._bring_one(db, place)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if locked:  # otherwise somebody may be writing behind what was read
            for place in group:
                self._folder.unmark(place)

    def _bring_one(self, db: sqlite3.Connection, place: Place) -> None:
        try:
            path = self._folder.find(place)
        except CorruptRecord as error:
            logger.warning("%s", error)  # whoever reads these records is told
            return
        known = table.known(db, place)
        if path is None:
            table.forget(db, place)
            return
        if known is not None and self._bring_more(db, place, path, known):
            return
        piece = files.read(path)
        if piece is None:
            table.forget(db, place)
            return
        reader = Reader(place)
        changes = {at: entry for at, entry in reader.read(piece).items() if entry is not None}
        number = table.note(
            db, place, _known(reader, piece, reader.writes != len(changes) or not reader.row)
        )
        entering = table.Entering(db, number)
        entering.leave_others(changes)
        entering.enter(changes)
        self._warn(reader, path, piece)

    def _bring_more(
        self, db: sqlite3.Connection, place: Place, path: Path, known: table.Known
    ) -> bool:
        """Bring in what was added to a journal, if nothing else has happened to it."""
        signature = files.signature(path)
        if signature is None or signature.inode != known.signature.inode:
            return False
        if signature == known.signature:
            return True
        if signature.size < known.end or signature.size == known.signature.size:
            return False
        reader = Reader(place)
        reader.end, reader.n, reader.guard = known.end, known.n, known.guard
        reader.row, reader.is_open = max(1, known.n), known.is_open
        piece = files.read(path, known.end)
        if piece is None or not reader.fits(piece) or not known.n:
            return False
        changes = reader.read(piece)
        if reader.bad:
            return False
        new = table.Entering(db, known.number).enter(changes)
        table.note(db, place, _known(reader, piece, known.is_dead or new != reader.writes))
        return True

    def _warn(self, reader: Reader, path: Path, piece: files.Piece) -> None:
        seen = (reader.place, piece.signature)
        if reader.bad and seen not in self._warned:
            self._warned.add(seen)
            logger.warning(
                "%s, line %d is damaged: %s; searches and listings show what the other lines say",
                path,
                reader.bad[0].row,
                reader.bad[0].why,
            )


def _known(reader: Reader, piece: files.Piece, is_dead: bool) -> table.Known:
    # A damaged journal is read from its beginning each time.
    n = 0 if reader.bad else reader.n
    return table.Known(
        0, piece.signature, reader.end, n, reader.guard, reader.is_open, bool(is_dead)
    )


def _places(marks: Iterable[str]) -> list[Place]:
    return [place for mark in marks if (place := places.of_mark(mark)) is not None]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_damage(error: Exception) -> bool:
    if not isinstance(error, sqlite3.Error):
        return True
    name = getattr(error, "sqlite_errorname", "") or ""
    says = str(error)
    return (
        isinstance(error, table.OutOfDate)
        or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ"))
        or says.startswith(("Could not decode to UTF-8", "no such table", "no such column"))
    )


def _translated(error: Exception, path: Path) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return StoreUnavailable(f"the disk of {path} is full; the index cannot be brought up")
    return StoreUnavailable(f"the index {path}: {error}")
