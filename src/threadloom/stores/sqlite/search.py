"""The full-text index: fed in bulk behind a watermark, exact at every search.

A text that is written gets a number (`tid`) above all before it. The index knows every text
up to the watermark `state.fed`, which is stored in the file and moves in the transaction
that feeds, so any number of processes agree on it. Text beyond the watermark costs nothing
until a search, a close, or `BACKLOG` texts have gathered; then each write feeds so many, so that
none pays for all of a large batch, such as a fork.

The index keeps no copy of the text; to forget a text it must be told its tokens again, so
whoever overwrites or deletes a record says what it held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from threadloom.errors import StoreUnavailable
from threadloom.stores.fulltext import indexed

BACKLOG = 256


def forget(connection: sqlite3.Connection, texts: Iterable[tuple[int, str]]) -> None:
    """Take texts, which come with their numbers, out of the index where they are in."""
    (fed,) = connection.execute("SELECT fed FROM state").fetchone()
    connection.executemany(
        "INSERT INTO fts (fts, rowid, words) VALUES ('delete', ?, ?)",
        ((tid, indexed(text)) for tid, text in texts if tid <= fed),
    )


def feed(connection: sqlite3.Connection, *, at_least: int = 1, at_most: int | None = None) -> None:
    """Bring the index up to date, or nearer to it, if `at_least` texts wait.

    Needs a write transaction.
    """
    fed, tid = connection.execute("SELECT fed, tid FROM state").fetchone()
    if tid - fed < at_least:
        return
    rows = connection.execute(
        "SELECT tid, text FROM rec WHERE tid > ? ORDER BY tid LIMIT ?",
        (fed, -1 if at_most is None else at_most),
    ).fetchall()
    connection.executemany(
        "INSERT INTO fts (rowid, words) VALUES (?, ?)",
        ((number, indexed(text)) for number, text in rows),
    )
    if len(rows) == at_most:
        connection.execute("UPDATE state SET fed = ?", (rows[-1][0],))
    else:
        connection.execute("UPDATE state SET fed = tid")


def reclaim(connection: sqlite3.Connection) -> list[None]:
    """Leave nothing of forgotten texts in the file, nor of deleted records in its log.

    The index notes what it was told to forget beside what it had written before; merging all of
    it leaves both out. What SQLite frees it overwrites itself (`PRAGMA secure_delete`).

    Raises:
        StoreUnavailable: somebody reads what was there before, and the log must keep it for them.
    """
    connection.execute("BEGIN IMMEDIATE")
    feed(connection)
    connection.execute("INSERT INTO fts (fts) VALUES ('optimize')")
    connection.execute("COMMIT")
    ((is_busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if is_busy:
        raise StoreUnavailable(
            "deleted text is still in the write-ahead log, which somebody reads: a backup, a copy "
            "or a shell that is in the middle of something. Compact again when it has ended"
        )
    return [None]


def waiting(connection: sqlite3.Connection) -> bool:
    """Whether there are texts that the index does not know."""
    (behind,) = connection.execute("SELECT tid > fed FROM state").fetchone()
    return bool(behind)
