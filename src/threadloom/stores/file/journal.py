"""A journal as it was read: what it holds, up to where, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from threadloom import keys
from threadloom.errors import CorruptRecord, SchemaTooNew
from threadloom.garbage import without_collection
from threadloom.stores.file import files, lines
from threadloom.stores.file.files import GUARD, Piece, Signature
from threadloom.stores.file.lines import BadLine, Changes, NewerLine, Where
from threadloom.stores.file.places import Place, place_of
from threadloom.stores.spaces import Entry, Spaces

_BOM = b"\xef\xbb\xbf"
_SMALL = 64 * 1024
"""A journal of fewer bytes is not worth a compaction."""
_PART = 64 * 1024
"""Bytes of records in one line of a compacted journal."""
_OVERHEAD = 1_000


class Bad(NamedTuple):
    """A line that is damaged."""

    row: int
    raw: bytes
    why: str


class Reader:
    """Reads the lines of one journal, in one go or as they come.

    Args:
        place: the journal's; records of other places are damage.

    Attributes:
        end: up to which byte lines have been read; behind it there may be a torn one.
        row: the number of the last of them, counted.
        n: the number that it says it has.
        version: the last version that was given out.
        guard: the last bytes before `end`.
        is_open: whether the last line has no end yet.
        torn: the bytes behind `end`.
        bad: the damaged lines.
        newer: what is said of a journal of a newer format; empty for others.
        writes: how many records were written or removed, in all lines.
    """

    __slots__ = (
        *("_known", "bad", "end", "guard", "is_open", "n", "newer"),
        *("place", "row", "torn", "version", "writes"),
    )

    def __init__(self, place: Place) -> None:
        self.place = place
        self.end = self.row = self.n = self.version = self.writes = 0
        self.guard = self.torn = b""
        self.is_open = False
        self.bad: list[Bad] = []
        self.newer = ""
        self._known: set[tuple[str, ...]] = set()

    def fits(self, piece: Piece) -> bool:
        """Whether a piece goes on where this reader is."""
        return piece.start == self.end and piece.guard == self.guard

    def read(self, piece: Piece) -> dict[Where, Entry | None]:
        """What the lines of a piece that fits leave behind."""
        changes: dict[Where, Entry | None] = {}
        data = piece.data
        if self.is_open and data:
            self.is_open = False
            if data[:1] == b"\n":
                self._pass(data[:1])
                data = data[1:]
            else:
                self._complain(data.partition(b"\n")[0], "it goes on behind its checksum")
        *whole, rest = data.split(b"\n")
        self.torn = b""
        with without_collection(len(data) // 100):
            for raw in whole:
                self._take(raw, changes)
                self._pass(raw[-GUARD:] + b"\n", len(raw) + 1)
        if rest:
            self._take_rest(rest, changes)
        return changes

    def _take_rest(self, raw: bytes, changes: dict[Where, Entry | None]) -> None:
        """A last line without an end is whole, or torn, or about to be written."""
        try:
            if self.row:
                lines.decode(raw)
            else:
                lines.check_header(raw)
        except BadLine:
            if self.row == 1:  # a journal gets its first line aside, before it has its name
                self.row += 1
                self._complain(raw, "it is torn, and it is the first")
            elif raw[:1] == b"{" and b"\0" not in raw:
                self.torn = raw
            else:  # nobody writes that; a power cut may leave it
                self.row += 1
                self._complain(raw, "it is no line, nor the beginning of one")
            return
        self._take(raw, changes)
        self._pass(raw[-GUARD:], len(raw))
        self.is_open = True

    def _pass(self, last: bytes, size: int | None = None) -> None:
        self.end += len(last) if size is None else size
        self.guard = (self.guard + last)[-min(GUARD, self.end) :]

    def _take(self, raw: bytes, changes: dict[Where, Entry | None]) -> None:
        self.row += 1
        raw = raw.removesuffix(b"\r")  # what editors and version control add does no harm
        if self.row == 1:
            raw = raw.removeprefix(_BOM)
        elif not raw:
            return
        try:
            if self.row == 1:
                self.n = 1
                lines.check_header(raw)
                return
            line = lines.decode(raw)
            self._check(line)
        except NewerLine as error:
            self.newer = str(error)
            self._complain(raw, str(error))
        except BadLine as error:
            self._complain(raw, str(error))
        else:
            self.n, self.version = line.n, max(self.version, line.version)
            self.writes += len(line.changes)
            changes.update(line.changes)

    def _check(self, line: lines.Line) -> None:
        for at, _ in line.changes:
            self._check_place(at)
        between = line.n - self.n - 1
        if between < 0:
            raise BadLine(f"it is line {line.n}, which was there already")
        damaged = sum(1 for bad in self.bad if bad.raw and bad.row >= self.row - between)
        if between > damaged:
            self._complain(b"", f"{between - damaged} lines in front of it are missing")

    def _check_place(self, at: Where) -> None:
        namespace, key = at
        if namespace in self._known:
            return
        if place_of(keys.partition(namespace, key)) != self.place:
            raise BadLine("it belongs to another journal")
        if not keys.is_sessions(namespace):
            self._known.add(namespace)

    def _complain(self, raw: bytes, why: str) -> None:
        self.bad.append(Bad(self.row, raw, why))


class Journal(Reader):
    """The records of one partition, as its journal says.

    Attributes:
        path: the file.
        signature: of the file when it was read last.
        spaces: the records.
    """

    __slots__ = ("_look_at", "path", "signature", "spaces")

    def __init__(self, place: Place, path: Path) -> None:
        super().__init__(place)
        self.path = path
        self.signature = Signature(0, 0, 0)
        self.spaces = Spaces()
        self._look_at = _SMALL

    def take(self, piece: Piece) -> None:
        """Read a piece that fits."""
        self.apply(self.read(piece))
        self.signature = piece.signature

    def apply(self, changes: Changes) -> None:
        """Make the records say what a batch left behind."""
        spaces = self.spaces
        for (namespace, key), entry in changes.items():
            if entry is not None:
                spaces.make(namespace).set(key, entry)
                continue
            space = spaces.get(namespace)
            if space is not None and key in space.entries:
                space.remove(key)
                if not space.order:
                    spaces.remove(namespace)

    def check(self) -> None:
        """Refuse a damaged journal.

        Raises:
            CorruptRecord: names file and line.
            SchemaTooNew: a newer Threadloom wrote it.
        """
        if self.newer:
            raise SchemaTooNew(
                f"{self.path}: {self.newer}. Install a newer one: pip install --upgrade threadloom"
            )
        if self.bad:
            more = f"; {len(self.bad) - 1} more" if len(self.bad) > 1 else ""
            raise CorruptRecord(f"{self.told(self.bad[0])}{more}")

    def told(self, bad: Bad) -> str:
        """A damaged line, with its file."""
        return (
            f"{self.path}, line {bad.row} is damaged: {bad.why}. SessionManager.check(fix=True) "
            "moves such lines aside where others are whole"
        )

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes up."""
        return 2 * self.end + _OVERHEAD

    @property
    def is_wasteful(self) -> bool:
        """Whether more than half of a file that is not small is dead."""
        if self.end < self._look_at:
            return False
        living = sum(lines.weight(at, entry) for at, entry in self.records())
        self._look_at = max(2 * living, self.end + self.end // 8)
        return self.end > 2 * living

    def records(self) -> list[tuple[Where, Entry]]:
        """All records, in order."""
        return [
            ((namespace, key), space.entries[key])
            for namespace, space in self.spaces.below(())
            for key in space.order
        ]

    def line(self, version: int, now: int, changes: Changes) -> bytes:
        """The line that a batch adds, with what has to stand in front of it."""
        begin = b"" if self.row else lines.HEADER + b"\n"
        if self.is_open:
            begin = b"\n"
        return begin + lines.encode(max(self.n, 1) + 1, version, now, changes) + b"\n"

    def added(self, data: bytes, version: int, signature: Signature, writes: int) -> None:
        """Note that the file has one more line, which the records know already."""
        self.is_open, self.torn = False, b""
        self.n = max(self.n, 1) + 1
        self.row = max(self.row, 1) + 1
        self.version, self.signature = version, signature
        self.writes += writes
        self._pass(data[-GUARD:], len(data))

    def compacted(self, now: int) -> tuple[Journal, bytes]:
        """The journal as it is without what is dead, and the bytes of its file."""
        rows = [lines.HEADER]
        for part in lines.parts(self.records(), _PART):
            rows.append(lines.encode(len(rows) + 1, self.version, now, part))
        data = b"\n".join(rows) + b"\n"
        new = Journal(self.place, self.path)
        new.spaces = self.spaces
        new.row = new.n = len(rows)
        new.version = self.version
        new.writes = len(self.records())
        new._look_at = max(_SMALL, 2 * len(data))
        new._pass(data[-GUARD:], len(data))
        return new, data


def load(place: Place, path: Path, known: Journal | None, piece: Piece | None) -> Journal | None:
    """The journal as it is now; None where there is no such file.

    Args:
        place: the journal's place.
        path: its file.
        known: how it was; it is changed.
        piece: what was read of it meanwhile.
    """
    signature = files.signature(path)
    if signature is None:
        return None
    if known is not None and known.path == path and known.signature == signature:
        return known
    if known is not None and known.path == path and not known.bad:
        same = known.signature.inode == signature.inode
        if same and signature.size >= known.end and signature.size != known.signature.size:
            if piece is None or not known.fits(piece):
                piece = files.read(path, known.end)
            if piece is not None and known.fits(piece):
                known.take(piece)
                if not known.bad:
                    return known
    if piece is None or piece.start or piece.signature != signature:
        piece = files.read(path)
    if piece is None:
        return None
    journal = Journal(place, path)
    journal.take(piece)
    return journal
