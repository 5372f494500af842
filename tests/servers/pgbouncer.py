"""PgBouncer for tests: in transaction mode, in front of a server of `servers.postgres`."""

from __future__ import annotations

import os
import shutil
from functools import cache

from servers import postgres
from servers.started import HOST, Started, free_port, listens, program, temporary_folder


class PgBouncer:
    """A pooler of this process's own, on loopback.

    Args:
        server: what it is in front of.
        size: connections that it has to a database.
    """

    def __init__(self, server: postgres.Postgres, *, size: int = 10) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        folder = temporary_folder("pgbouncer", owner=user)
        self.port = free_port()
        settings = folder / "pgbouncer.ini"
        users = folder / "users"
        users.write_text(f'"{postgres.USER}" ""\n', "utf-8")
        settings.write_text(
            f"[databases]\n* = host={HOST} port={server.port}\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {self.port}\n"
            f"unix_socket_dir =\nauth_type = trust\nauth_file = {users}\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nmax_client_conn = 200\n",
            "utf-8",
        )
        if user is not None:
            for file in (settings, users):
                shutil.chown(file, user)
        self._process = Started(
            [program("pgbouncer", "pgbouncer"), str(settings)], log=folder / "log", user=user
        )
        self._process.wait_until(lambda: listens(self.port))

    def url(self, schema: str) -> str:
        """The URL of a schema behind it."""
        return f"postgresql://{postgres.USER}@{HOST}:{self.port}/postgres?schema={schema}"

    def stop(self) -> None:
        self._process.stop()


@cache
def pooler() -> PgBouncer:
    """The pooler that tests of this process share, in front of the server that they share."""
    return PgBouncer(postgres.server())


def place(name: str) -> str:
    """The URL of a schema of its own for a name, through the pooler."""
    return pooler().url(postgres.schema_of(name))


def lent(name: str) -> str:
    """The URL of a schema for the rest of a test, through the pooler."""
    return pooler().url(postgres.lent_schema(name))
