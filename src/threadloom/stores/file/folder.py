"""The folder of a store: its mark, its journals, and which of them the index has not seen."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import orjson

from threadloom.errors import CorruptRecord, SchemaTooNew, StoreUnavailable
from threadloom.stores.file import files, places
from threadloom.stores.file.places import ASIDE, SUFFIX, Place

FORMAT = 1
MARK = "threadloom.json"
_KIND = "file store"
_LOCKS, _CHANGED, _INDEX = "locks", "changed", "index.db"

_NOT_KEPT = f"{_INDEX}*\n{_LOCKS}/\n{_CHANGED}/\n"
"""What is of no use in another copy of the folder, for git."""


class Folder:
    """The files of one store.

    Args:
        root: the folder. It is made if it is missing; the one that it is in is not.

    Raises:
        StoreUnavailable: it cannot be made or read, or holds something else.
        SchemaTooNew: a newer Threadloom wrote it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.locks = root / _LOCKS
        self.index = root / _INDEX
        self._changed = root / _CHANGED
        self._mark = root / MARK
        self._seen: files.Signature | None = None
        self._identity: tuple[int, int] | None = None
        try:
            self._prepare()
        except OSError as error:
            if isinstance(error, StoreUnavailable):
                raise
            raise StoreUnavailable(
                f"{root} cannot be opened for reading and writing: {error}"
            ) from error

    def _prepare(self) -> None:
        if not self.root.parent.is_dir():
            raise StoreUnavailable(f"the folder {self.root.parent} does not exist")
        if self.root.exists() and not self.root.is_dir():
            raise StoreUnavailable(f"{self.root} is a file, not a folder")
        self.root.mkdir(exist_ok=True)
        if not self._mark.exists():
            others = [path.name for path in self.root.iterdir() if not path.name.startswith(".")]
            if others and not self._mark.exists():  # another process may have made it just now
                raise StoreUnavailable(
                    f"{self.root} holds {sorted(others)[0]!r} and no {MARK}: it is a folder of "
                    "something else. Threadloom does not write into it: give it a folder of its own"
                )
            mark = orjson.dumps({"threadloom": _KIND, "format": FORMAT}) + b"\n"
            aside = self.root / f".{MARK}.{secrets.token_hex(4)}"
            (self.root / ".gitignore").write_text(_NOT_KEPT)
            (self.root / ".gitattributes").write_text("*.jsonl -text\n")
            files.replace(self._mark, mark, aside, sync_folder=True)
        found = self.root.stat()
        self._identity = found.st_dev, found.st_ino
        self.check()
        self.locks.mkdir(exist_ok=True)
        self._changed.mkdir(exist_ok=True)

    def check(self) -> None:
        """The folder is still the one that was opened, and in a format that is known.

        Raises:
            StoreUnavailable: it was deleted or replaced.
            SchemaTooNew: a newer Threadloom has migrated it.
        """
        signature = files.signature(self._mark)
        if signature is not None and signature == self._seen:
            return
        found = self.root.stat() if signature is not None else None
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise StoreUnavailable(
                f"{self.root} was deleted or replaced while it was open; close this store and "
                "open it again"
            )
        try:
            mark = orjson.loads(self._mark.read_bytes())
            kind, format = mark["threadloom"], int(mark["format"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptRecord(f"{self._mark} is damaged: {error}") from error
        if kind != _KIND:
            raise StoreUnavailable(f"{self.root} is a folder of something else: {kind!r:.80}")
        if format > FORMAT:
            raise SchemaTooNew(
                f"{self.root} has format {format}, this version of Threadloom knows up to "
                f"{FORMAT}. Install a newer one: pip install --upgrade threadloom"
            )
        self._seen = signature

    # Journals

    def find(self, place: Place) -> Path | None:
        """The journal of a place; None where it has none.

        Raises:
            CorruptRecord: it has two.
        """
        for _ in range(2):  # a journal may be renamed while its folder is read
            found = [
                name for name in self._names(place.shard) if name.endswith(f"~{place.hash}{SUFFIX}")
            ]
            paths = [path for name in found if (path := self.root / place.shard / name).exists()]
            if len(paths) > 1:
                raise CorruptRecord(
                    f"{paths[0]} and {paths[1].name} are journals of the same records; take one "
                    "of them away"
                )
            if paths:
                return paths[0]
        return None

    def make(self, place: Place, name: str, *, to_disk: bool) -> Path:
        """Make an empty journal; its path."""
        path = self.root / place.shard / name
        missing = [
            folder
            for folder in path.relative_to(self.root).parents
            if not (self.root / folder).exists()
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if to_disk:  # each name in the folder above it
            for made in (path.relative_to(self.root), *missing):
                files.sync((self.root / made).parent)
        return path

    def _names(self, shard: str) -> list[str]:
        try:
            return os.listdir(self.root / shard)  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []

    def folders(self) -> Iterator[str]:
        """The folders below which shards lie."""
        yield places.SESSION_FOLDER
        yield places.OTHER_FOLDER
        for tenant in self._names(places.TENANT_FOLDER):
            for kind in (places.SESSION_FOLDER, places.OTHER_FOLDER):
                yield f"{places.TENANT_FOLDER}/{tenant}/{kind}"

    def shards(self) -> Iterator[tuple[str, int]]:
        """The folders that journals lie in, and when each was changed, in nanoseconds."""
        for folder in self.folders():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        yield f"{folder}/{entry.name}", entry.stat().st_mtime_ns

    def journals(self, shard: str) -> Iterator[tuple[Place, str, files.Signature]]:
        """The journals in a shard, with their names."""
        folder = shard.rpartition("/")[0]
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            with os.scandir(self.root / shard) as entries:
                for entry in entries:
                    place = places.of_name(folder, entry.name)
                    if place is not None and place.shard == shard:
                        yield place, entry.name, files.signed(entry.stat())

    def everything(self) -> Iterator[Place]:
        """The places of all journals."""
        for shard, _ in self.shards():
            for place, _, _ in self.journals(shard):
                yield place

    def clear_asides(self, place: Place) -> None:
        """Remove what lies beside a journal."""
        for name in self._names(place.shard):
            if name.endswith(ASIDE) and f"~{place.hash}." in name:
                (self.root / place.shard / name).unlink(missing_ok=True)

    def asides(self) -> Iterator[Place]:
        """The places beside whose journal something lies."""
        for shard, _ in self.shards():
            folder = shard.rpartition("/")[0]
            for name in self._names(shard):
                if name.endswith(ASIDE) and (
                    place := places.of_name(folder, name.rpartition(SUFFIX)[0] + SUFFIX)
                ):
                    yield place

    # What the index has not seen

    def mark(self, place: Place) -> None:
        """Note that a journal is about to change; while its writers are locked out."""
        path = self._changed / place.mark
        if not path.exists():
            path.touch()

    def unmark(self, place: Place) -> None:
        """Note that the index knows a journal; while its writers are locked out."""
        (self._changed / place.mark).unlink(missing_ok=True)

    def marked(self) -> list[Place]:
        """The journals that have changed since the index looked."""
        return [
            place for name in self._names(_CHANGED) if (place := places.of_mark(name)) is not None
        ]

    def size(self) -> int:
        """The bytes of all files in the folder."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                found = files.signature(Path(folder, name))
                total += 0 if found is None else found.size
        return total


def aside(journal: Path, suffix: str) -> Path:
    """What lies beside a journal under this suffix."""
    return journal.with_name(journal.name + suffix)
