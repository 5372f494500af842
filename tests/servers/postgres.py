"""PostgreSQL for tests: one server a process, a schema a place.

`place` gives the URL of a schema that is new at first and the same for the same name. With
``THREADLOOM_TEST_POSTGRES_URL`` set, the server behind it is used instead of one of our own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from psycopg import sql

from servers.started import HOST, ServerFailed, Started, free_port, program, temporary_folder

USER = "threadloom"
_OURS = "THREADLOOM_TEST_POSTGRES_URL"
_BIN = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "150",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10s",
    "log_min_messages": "warning",
    "listen_addresses": HOST,
}


_TRIES, _PAUSE = 50, 0.1


class Postgres:
    """A server of this process's own, on loopback, with its data in a temporary folder.

    Args:
        settings: of the server, above those that make tests quick.
        durable: commit to disk, for tests that kill the server.

    Attributes:
        port: where it listens.
    """

    def __init__(self, *, durable: bool = False, **settings: str) -> None:
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = temporary_folder("postgres", owner=self._user, quick=not durable)
        self._data = self._folder / "data"
        self.port = free_port()
        subprocess.run(
            [
                *(program("initdb", "postgresql", *_BIN), "--pgdata", str(self._data)),
                *("--username", USER, "--auth", "trust", "--encoding", "UTF8"),
                *("--locale", "C.UTF-8", "--no-sync"),
            ],
            check=True,
            user=self._user,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
        )
        durably = {"fsync": "on", "full_page_writes": "on"} if durable else {}
        self._settings = {**_SETTINGS, **durably, **settings, "port": str(self.port)}
        self._settings["unix_socket_directories"] = str(self._folder)
        self._start()

    def _start(self) -> None:
        options = [part for item in self._settings.items() for part in ("-c", "=".join(item))]
        self._process = Started(
            [program("postgres", "postgresql", *_BIN), "-D", str(self._data), *options],
            log=self._folder / "log",
            user=self._user,
            stop_by=signal.SIGINT,  # a fast shutdown: does not wait for clients
        )
        self._process.wait_until(self._answers)

    def _answers(self) -> bool:
        ready = [program("pg_isready", "postgresql-client", *_BIN), "-q", "-h", HOST]
        return subprocess.run([*ready, "-p", str(self.port)], check=False).returncode == 0

    def url(self, database: str = "postgres", *, user: str = USER, **options: str) -> str:
        """The URL of a database, with options."""
        query = f"?{urlencode(options)}" if options else ""
        return f"postgresql://{user}@{HOST}:{self.port}/{database}{query}"

    def stop(self) -> None:
        """Shut it down as an operator does, clients or not."""
        self._process.stop()

    def kill(self) -> None:
        """End it, and all of its children, as a power cut would."""
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        children = [int(child) for child in listed.read_text("ascii").split()]
        self._process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def start(self) -> None:
        """Start it again after `stop` or `kill`."""
        for attempt in range(_TRIES):
            try:
                return self._start()
            except ServerFailed:  # what is left of the killed one still holds its memory
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE)

    def restart(self) -> None:
        """Shut it down and start it again."""
        self.stop()
        self.start()


@cache
def server() -> Postgres:
    """The server that tests of this process share."""
    return Postgres()


def database_url() -> str:
    """The URL of the database that tests share, without a schema."""
    return os.environ.get(_OURS) or server().url()


def schema_of(name: str) -> str:
    """A name for a schema, the same for the same name."""
    return f"t_{sha256(name.encode()).hexdigest()[:24]}"


def place(name: str) -> str:
    """The URL of a schema of its own for a name: new and empty at first."""
    return url_of(schema_of(name))


def url_of(schema: str) -> str:
    """The URL of a schema in the database that tests share."""
    url = database_url()
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"


# Making tables takes longer than most tests do, so those of a test that has ended are emptied and
# lent to another one.
_lent: dict[str, str] = {}
_given_back: list[str] = []


def lent_schema(name: str) -> str:
    """A schema for the rest of a test: new, or another test's whose tables were emptied."""
    if name not in _lent:
        new = schema_of(f"{os.getpid()} {name}")
        _lent[name] = next(filter(_emptied, _given_back_ones()), new)
    return _lent[name]


def lent(name: str) -> str:
    """The URL of a schema for the rest of a test."""
    return url_of(lent_schema(name))


def give_back() -> None:
    """The test has ended: what was lent may be lent again."""
    _given_back.extend(_lent.values())
    _lent.clear()


def _given_back_ones() -> Iterator[str]:
    while _given_back:
        yield _given_back.pop()


def _emptied(schema: str) -> bool:
    """Whether a schema has tables, and they could be emptied: nobody holds on to them."""
    with psycopg.connect(database_url(), autocommit=True) as connection:
        found = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relkind = 'r' AND c.relname <> 'about'",
            [schema],
        ).fetchall()
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '1s'")
                for (table,) in found:
                    name = sql.Identifier(schema, table)
                    connection.execute(sql.SQL("DELETE FROM {}").format(name))
        except psycopg.errors.LockNotAvailable:
            return False
    return bool(found)
