"""What is in the index: the records of all journals without their blobs, in an SQLite file.

It is a cache: whatever is wrong with it, it is made again from the journals.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from threadloom import keys
from threadloom.documents import decode_doc
from threadloom.ops import Namespace
from threadloom.stores import listing
from threadloom.stores.file.files import Signature
from threadloom.stores.file.lines import Where
from threadloom.stores.file.places import Place
from threadloom.stores.fulltext import indexed
from threadloom.stores.spaces import Entry

FORMAT = 1
_APPLICATION_ID = 0x54484C58  # "THLX"
_CHECKED = 32 * 1024 * 1024
"""Bytes up to which an index is looked at for damage when it is opened."""


class OutOfDate(sqlite3.DatabaseError):
    """The file is no index, or one of another format."""


class Known(NamedTuple):
    """How the index knows a journal.

    Attributes:
        number: names it in the records.
        signature: of the file when it was read.
        end: up to which byte it was read.
        n: the number of the last line.
        guard: the last bytes before the end.
        is_open: whether the last line has no end yet.
        is_dead: whether something in it was replaced or removed.
    """

    number: int
    signature: Signature
    end: int
    n: int
    guard: bytes
    is_open: bool
    is_dead: bool


def open_index(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection to the index, which is made where there is none.

    Raises:
        sqlite3.DatabaseError: it is damaged, or something else.
    """
    connection = sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        if not mark:
            _create(connection)
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (mark, version) != (_APPLICATION_ID, FORMAT):
            raise OutOfDate(f"{path} is no index of this format")
        if path.stat().st_size <= _CHECKED:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found[0] != "ok":
                raise OutOfDate(f"{path} is damaged: {found[0]}")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        connection.execute("ROLLBACK")
        return
    for statement in (
        """
        CREATE TABLE file (
            id INTEGER PRIMARY KEY,
            place TEXT NOT NULL UNIQUE,
            inode TEXT NOT NULL,
            size INTEGER NOT NULL,
            modified INTEGER NOT NULL,
            end INTEGER NOT NULL,
            n INTEGER NOT NULL,
            guard BLOB NOT NULL,
            is_open INTEGER NOT NULL,
            is_dead INTEGER NOT NULL
        )
        """,
        "CREATE TABLE ns (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
        """
        CREATE TABLE rec (
            tid INTEGER PRIMARY KEY AUTOINCREMENT,
            ns INTEGER NOT NULL,
            key TEXT NOT NULL,
            file INTEGER NOT NULL,
            ver INTEGER NOT NULL,
            created INTEGER NOT NULL,
            updated INTEGER NOT NULL,
            expires INTEGER,
            size INTEGER NOT NULL,
            doc TEXT,
            text TEXT,
            blob BLOB,
            UNIQUE (ns, key)
        )
        """,
        "CREATE INDEX rec_file ON rec (file)",
        """
        CREATE TABLE idx (
            ns INTEGER NOT NULL,
            key TEXT NOT NULL,
            field TEXT NOT NULL,
            value TEXT NOT NULL,
            created INTEGER NOT NULL,
            updated INTEGER NOT NULL,
            PRIMARY KEY (ns, key, field, value)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX idx_created ON idx (ns, field, value, created, key)",
        "CREATE INDEX idx_updated ON idx (ns, field, value, updated, key)",
        "CREATE VIRTUAL TABLE fts USING fts5 (words, content='', tokenize='ascii')",
        f"PRAGMA application_id = {_APPLICATION_ID}",
        f"PRAGMA user_version = {FORMAT}",
    ):
        connection.execute(statement)
    connection.execute("COMMIT")


def known(connection: sqlite3.Connection, place: Place) -> Known | None:
    """How a journal is known; None if it is not."""
    row = connection.execute(
        "SELECT id, inode, size, modified, end, n, guard, is_open, is_dead FROM file "
        "WHERE place = ?",
        (place.mark,),
    ).fetchone()
    if row is None:
        return None
    number, inode, size, modified, *rest = row
    end, n, guard, is_open, is_dead = rest
    signature = Signature(int(inode), size, modified)
    return Known(number, signature, end, n, guard, bool(is_open), bool(is_dead))


def known_in(connection: sqlite3.Connection, shard: str) -> dict[str, Signature]:
    """The journals of a shard that are known, by their marks."""
    low = shard.replace("/", "!")
    rows = connection.execute(
        "SELECT place, inode, size, modified FROM file WHERE place >= ? AND place < ?",
        (low, low + "g"),  # behind every hexadecimal digit
    )
    return {mark: Signature(int(inode), size, modified) for mark, inode, size, modified in rows}


def marks(connection: sqlite3.Connection, *, only_dead: bool = False) -> list[str]:
    """The marks of the journals that are known."""
    where = "WHERE is_dead" if only_dead else ""
    return [mark for (mark,) in connection.execute(f"SELECT place FROM file {where}")]  # noqa: S608


def note(connection: sqlite3.Connection, place: Place, now: Known) -> int:
    """Remember how a journal stands; its number."""
    connection.execute(
        "INSERT INTO file (place, inode, size, modified, end, n, guard, is_open, is_dead) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (place) DO UPDATE SET "
        "inode = excluded.inode, size = excluded.size, modified = excluded.modified, "
        "end = excluded.end, n = excluded.n, guard = excluded.guard, "
        "is_open = excluded.is_open, is_dead = excluded.is_dead",
        (
            *(place.mark, str(now.signature.inode), now.signature.size, now.signature.modified),
            *(now.end, now.n, now.guard, now.is_open, now.is_dead),
        ),
    )
    row = connection.execute("SELECT id FROM file WHERE place = ?", (place.mark,)).fetchone()
    return int(row[0])


def doubt(connection: sqlite3.Connection) -> None:
    """Let every journal count as changed."""
    connection.execute("UPDATE file SET inode = '0', size = -1, n = 0")


def forget(connection: sqlite3.Connection, place: Place) -> None:
    """A journal is not there any more."""
    found = known(connection, place)
    if found is not None:
        Entering(connection, found.number).leave_others(())
        connection.execute("DELETE FROM file WHERE id = ?", (found.number,))


class Entering:
    """Brings the records of one journal in.

    Args:
        connection: in a write transaction.
        number: the journal's.
    """

    def __init__(self, connection: sqlite3.Connection, number: int) -> None:
        self._sql = connection.execute
        self._connection = connection
        self._number = number
        self._namespaces: dict[Namespace, int] = {}

    def enter(self, changes: Mapping[Where, Entry | None]) -> int:
        """Make the index say what changes leave behind; how many records are new."""
        new = 0
        emptied: set[tuple[Namespace, int]] = set()
        for (namespace, key), entry in changes.items():
            number = self._number_of(namespace)
            row = self._sql(
                "SELECT tid, text, doc FROM rec WHERE ns = ? AND key = ?", (number, key)
            ).fetchone()
            if entry is None:
                if row is not None:
                    self._leave(namespace, number, key, row)
                emptied.add((namespace, number))
            elif row is None:
                self._add(namespace, number, key, entry)
                new += 1
            else:
                self._change(namespace, number, key, entry, row)
        for namespace, number in emptied:
            self._forget_if_empty(namespace, number)
        return new

    def leave_others(self, kept: Iterable[Where]) -> None:
        """Remove every record of the journal but some."""
        stay = {(keys.encode_namespace(namespace), key) for namespace, key in kept}
        rows = self._sql(
            "SELECT n.name, n.id, r.key, r.tid, r.text FROM rec r JOIN ns n ON n.id = r.ns "
            "WHERE r.file = ?",
            (self._number,),
        ).fetchall()
        emptied = set()
        for name, number, key, tid, text in rows:
            if (name, key) not in stay:
                namespace = keys.decode_namespace(name)
                self._leave(namespace, number, key, (tid, text))
                emptied.add((namespace, number))
        for namespace, number in emptied:
            self._forget_if_empty(namespace, number)

    def _number_of(self, namespace: Namespace) -> int:
        if namespace not in self._namespaces:
            name = keys.encode_namespace(namespace)
            self._sql("INSERT OR IGNORE INTO ns (name) VALUES (?)", (name,))
            row = self._sql("SELECT id FROM ns WHERE name = ?", (name,)).fetchone()
            self._namespaces[namespace] = row[0]
        return self._namespaces[namespace]

    def _add(self, namespace: Namespace, number: int, key: str, entry: Entry) -> None:
        tid = self._sql(
            "INSERT INTO rec (ns, key, file, ver, created, updated, expires, size, doc, text, blob)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, key, *self._columns(namespace, key, entry)),
        ).lastrowid
        if entry.text is not None:
            self._sql("INSERT INTO fts (rowid, words) VALUES (?, ?)", (tid, indexed(entry.text)))
        if keys.is_sessions(namespace):
            listing.enter(self._connection, number, key, _doc(entry))

    def _change(
        self, namespace: Namespace, number: int, key: str, entry: Entry, row: tuple[Any, ...]
    ) -> None:
        tid, text, _ = row
        if text != entry.text:
            self._forget_text(tid, text)
            if entry.text is not None:
                self._sql(
                    "INSERT INTO fts (rowid, words) VALUES (?, ?)", (tid, indexed(entry.text))
                )
        self._sql(
            "UPDATE rec SET file = ?, ver = ?, created = ?, updated = ?, expires = ?, size = ?, "
            "doc = ?, text = ?, blob = ? WHERE tid = ?",
            (*self._columns(namespace, key, entry), tid),
        )
        if keys.is_sessions(namespace):
            listing.enter(self._connection, number, key, _doc(entry))

    def _leave(self, namespace: Namespace, number: int, key: str, row: tuple[Any, ...]) -> None:
        self._forget_text(row[0], row[1])
        self._sql("DELETE FROM rec WHERE tid = ?", (row[0],))
        if keys.is_sessions(namespace):
            listing.leave(self._connection, number, key)

    def _forget_text(self, tid: int, text: str | None) -> None:
        if text is not None:
            self._sql(
                "INSERT INTO fts (fts, rowid, words) VALUES ('delete', ?, ?)", (tid, indexed(text))
            )

    def _forget_if_empty(self, namespace: Namespace, number: int) -> None:
        # A namespace's name holds its session's id, so it goes with the last record.
        if self._sql("SELECT 1 FROM rec WHERE ns = ? LIMIT 1", (number,)).fetchone() is None:
            self._sql("DELETE FROM ns WHERE id = ?", (number,))
            self._namespaces.pop(namespace, None)

    def _columns(self, namespace: Namespace, key: str, entry: Entry) -> tuple[Any, ...]:
        text = "" if entry.text is None else entry.text
        parts = (key.encode(), entry.doc or b"", entry.blob or b"", text.encode())
        return (
            *(self._number, entry.version, entry.created_at, entry.updated_at, entry.expires_at),
            sum(map(len, parts)),
            None if entry.doc is None else entry.doc.decode(),
            entry.text,
            # A scan of session records shows their blobs, and goes by the index.
            entry.blob if keys.is_sessions(namespace) else None,
        )


def _doc(entry: Entry) -> dict[str, Any]:
    return {} if entry.doc is None else decode_doc(entry.doc)
