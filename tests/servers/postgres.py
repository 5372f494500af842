"""A private PostgreSQL."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from servers.process import Server, other_user, program


class PostgresServer(Server):
    """A PostgreSQL with one database, `threadloom`, whose superuser has the same name.

    Args:
        fsync: whether commits reach the disk; off is faster, and loses data with the machine only.
        settings: further settings of the server.
    """

    name = "postgres"

    def __init__(self, *, fsync: bool = True, **settings: str | int) -> None:
        super().__init__()
        self.user = other_user()
        self._settings = {"fsync": "on" if fsync else "off", "max_connections": 200, **settings}

    @property
    def url(self) -> str:
        return self.url_for("threadloom")

    def url_for(self, user: str, *, port: int | None = None) -> str:
        """The URL for another role, or through another port (a proxy's, a bouncer's)."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/threadloom"

    def prepare(self) -> None:
        self.run(
            *(_program("initdb"), "-D", str(self.folder / "data"), "-U", "threadloom"),
            *("-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"),
        )
        start = [*self.command(True), "postgres"]
        self.run(*start, input="CREATE DATABASE threadloom\n")

    def command(self, single: bool = False) -> Sequence[str]:
        where = ["--single"] if single else []
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        if not single:
            options += [f"-p{self.port}", "-clisten_addresses=127.0.0.1", f"-k{self.folder}"]
        return [_program("postgres"), *where, "-D", str(self.folder / "data"), *options]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def restart(self, *, crash: bool = False) -> None:
        """Stop it, at once or as after a crash, and start it again on the same port."""
        self.end(signal.SIGQUIT if crash else signal.SIGINT)
        self.start()


def _program(name: str) -> str:
    return program(
        name,
        *(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
    )
