"""What is in the file: tables, the format version, and migrations from older versions.

The file is marked by `application_id`, so that a foreign database is never taken for ours,
and carries its format in `user_version`. Opening migrates forward, one step after another in
one transaction; a newer format is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from threadloom.errors import SchemaTooNew, StoreUnavailable

APPLICATION_ID = 0x54484C4D  # "THLM"


def _create(connection: sqlite3.Connection) -> None:
    """Format 1.

    * `state`, one row: `seq` is the last version given out, `tid` the last number of a text,
      `fed` the last of them that the full-text index knows.
    * `ns`: one number a namespace. Numbers are never reused.
    * `rec`: the records. `tid` is set where there is text, and names it in the index.
    * `idx`: sessions by what listings filter and order by; one row a value.
    * `fts`: contentless; its rows are tokens, its row ids are `tid`.
    """
    for statement in (
        """
        CREATE TABLE state (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            seq INTEGER NOT NULL,
            tid INTEGER NOT NULL,
            fed INTEGER NOT NULL
        )
        """,
        "INSERT INTO state VALUES (1, 0, 0, 0)",
        "CREATE TABLE ns (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
        """
        CREATE TABLE rec (
            ns INTEGER NOT NULL,
            key TEXT NOT NULL,
            ver INTEGER NOT NULL,
            created INTEGER NOT NULL,
            updated INTEGER NOT NULL,
            expires INTEGER,
            tid INTEGER,
            doc TEXT,
            text TEXT,
            blob BLOB,
            PRIMARY KEY (ns, key)
        ) WITHOUT ROWID
        """,
        "CREATE UNIQUE INDEX rec_tid ON rec (tid) WHERE tid IS NOT NULL",
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
    ):
        connection.execute(statement)


def _refuse_whole_values(connection: sqlite3.Connection) -> None:
    """Format 1, which was never released, stored every value of a channel whole."""
    rows = connection.execute(
        "SELECT 1 FROM ns WHERE name >= 'checkpoints.' AND name < 'checkpoints/' "
        "OR name LIKE '~%.checkpoints.%' LIMIT 1"
    )
    if rows.fetchone() is not None:
        raise StoreUnavailable(
            "this file holds checkpoints of a development version of Threadloom from before "
            "its first release, which this one cannot read"
        )


def _follow(connection: sqlite3.Connection) -> None:
    """Format 3: what follows from a written record is done by the statement that writes it.

    The state knows each version and number of a text that is given out, and the index of
    sessions when a session was updated. All else that listings go by is written apart.
    """
    connection.execute(
        """
        CREATE TRIGGER rec_given AFTER INSERT ON rec BEGIN
            UPDATE state SET seq = max(seq, new.ver), tid = max(tid, ifnull(new.tid, 0));
        END
        """
    )
    connection.execute(
        """
        CREATE TRIGGER rec_updated AFTER INSERT ON rec
        WHEN EXISTS (
            SELECT 1 FROM idx WHERE ns = new.ns AND key = new.key AND field = '' AND value = ''
        )
        BEGIN
            UPDATE idx SET updated = ifnull(json_extract(new.doc, '$.updated_at'), 0)
            WHERE ns = new.ns AND key = new.key;
        END
        """
    )


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [_create, _refuse_whole_values, _follow]
"""`MIGRATIONS[n]` takes a file from format n to n + 1; format 0 is an empty file."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the file ours if it is empty, bring it to the newest format if it is older.

    Safe when several processes do it at once.

    Raises:
        StoreUnavailable: the file is somebody else's database.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    if known_format(connection, path) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migrate in MIGRATIONS[_format(connection, path) :]:
            migrate(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def known_format(connection: sqlite3.Connection, path: Path) -> int:
    """The file's format, seen at one moment; 0 where it is empty.

    Raises:
        StoreUnavailable: the file is somebody else's database.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    connection.execute("BEGIN")
    try:
        return _format(connection, path)
    finally:
        connection.execute("ROLLBACK")


def _format(connection: sqlite3.Connection, path: Path) -> int:
    # Reading the schema first takes the snapshot that the pragmas then see, too.
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if mark != APPLICATION_ID:
        if tables >= {"checkpoints", "writes"}:
            raise StoreUnavailable(
                f"{path} holds the checkpoints of LangGraph's SqliteSaver. Threadloom does not "
                f"write into it: bring them over with `threadloom migrate {path} NEW`, or give "
                "it a file of its own"
            )
        if tables or mark:
            raise StoreUnavailable(
                f"{path} is a database of another program. Threadloom does not write into it: "
                "give it a file of its own. (What LangChain's chat histories have stored there "
                f"comes over with `threadloom migrate {path} NEW`.)"
            )
        return 0
    check_version(int(version), path)
    return int(version)


def check_version(version: int, path: Path) -> None:
    """Refuse a file whose format is newer than this library knows.

    Raises:
        SchemaTooNew: says which format it has and what to do.
    """
    if version > len(MIGRATIONS):
        raise SchemaTooNew(
            f"{path} has format {version}, this version of Threadloom knows up to "
            f"{len(MIGRATIONS)}. Install a newer one: pip install --upgrade threadloom"
        )


class State(NamedTuple):
    """The row of the table `state`, and the file's format.

    Attributes:
        seq: the last version of a record that was given out.
        tid: the last number of a text that was given out.
        fed: the number of the last text that the full-text index knows.
        format: the file's.
    """

    seq: int
    tid: int
    fed: int
    format: int


STATE = "SELECT s.seq, s.tid, s.fed, v.user_version FROM pragma_user_version v, state s"
"""Reads a `State`."""


def state(connection: sqlite3.Connection, path: Path) -> State:
    """What has been given out, for a write; another process may have changed the format.

    Raises:
        SchemaTooNew: a newer Threadloom wrote the file meanwhile.
    """
    found = State(*connection.execute(STATE).fetchone())
    check_version(found.format, path)
    return found


def give_out(connection: sqlite3.Connection, seq: int, tid: int) -> None:
    """Note the last version and the last number of a text that were given out."""
    connection.execute("UPDATE state SET seq = ?, tid = ?", (seq, tid))


def look_first(path: Path) -> None:
    """Refuse a foreign database before anything is opened that could change it.

    Opening and closing a database that its program left with a write-ahead log would already
    move the log into the file. A file of ours is marked before its first log is written.

    The file is looked at through SQLite alone: closing any other handle of it would drop every
    lock that this process holds on it, and with them the writes of open stores.

    Raises:
        StoreUnavailable: the file is somebody else's database.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    uri = f"{path.as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        try:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
        except sqlite3.DatabaseError:
            return  # no database, or one that is being written: opening it will tell
        if mark == APPLICATION_ID:
            return
        known_format(connection, path)
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:
        raise StoreUnavailable(
            f"{path} is a database of another program (LangGraph's SqliteSaver, for example), "
            "which has not finished writing it. Threadloom does not write into it: give it a "
            "file of its own"
        )
