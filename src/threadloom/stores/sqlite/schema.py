"""What is in the file: tables, the format version, and migrations from older versions.

The file is marked by `application_id`, so that a foreign database is never taken for ours,
and carries its format in `user_version`. Opening migrates forward, one step after another in
one transaction; a newer format is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

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
            field TEXT NOT NULL,
            value TEXT NOT NULL,
            created INTEGER NOT NULL,
            updated INTEGER NOT NULL,
            key TEXT NOT NULL,
            PRIMARY KEY (ns, key, field, value)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX idx_created ON idx (ns, field, value, created, key)",
        "CREATE INDEX idx_updated ON idx (ns, field, value, updated, key)",
        "CREATE VIRTUAL TABLE fts USING fts5 (words, content='', tokenize='ascii')",
    ):
        connection.execute(statement)


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [_create]
"""`MIGRATIONS[n]` takes a file from format n to n + 1; format 0 is an empty file."""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the file ours if it is empty, bring it to the newest format if it is older.

    Safe when several processes do it at once.

    Raises:
        StoreUnavailable: the file is somebody else's database.
        SchemaTooNew: a newer Threadloom wrote it.
    """
    if _format(connection, path) == len(MIGRATIONS):
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


def _format(connection: sqlite3.Connection, path: str) -> int:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if mark != APPLICATION_ID:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if tables >= {"checkpoints", "writes"}:
            raise StoreUnavailable(
                f"{path} holds the checkpoints of LangGraph's SqliteSaver. Threadloom does not "
                "write into it: give it a file of its own"
            )
        if tables or mark:
            raise StoreUnavailable(
                f"{path} is a database of another program. Threadloom does not write into it: "
                "give it a file of its own"
            )
        return 0
    check_version(int(version), path)
    return int(version)


def check_version(version: int, path: str) -> None:
    """Refuse a file whose format is newer than this library knows.

    Raises:
        SchemaTooNew: says which format it has and what to do.
    """
    if version > len(MIGRATIONS):
        raise SchemaTooNew(
            f"{path} has format {version}, this version of Threadloom knows up to "
            f"{len(MIGRATIONS)}. Install a newer one: pip install --upgrade threadloom"
        )
