"""A private PgBouncer in transaction mode."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from servers.postgres import PostgresServer
from servers.process import Server, other_user, program


class Bouncer(Server):
    """A PgBouncer before a PostgreSQL.

    Args:
        server: what it stands before.
        connections: to the server, at most.
    """

    name = "pgbouncer"

    def __init__(self, server: PostgresServer, *, connections: int = 4) -> None:
        super().__init__()
        self.user = other_user()
        self._server, self._connections = server, connections

    @property
    def url(self) -> str:
        return self._server.url_for("threadloom", port=self.port)

    def prepare(self) -> None:
        users = self.folder / "users.txt"
        users.write_text('"threadloom" ""\n', "utf-8")
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={self._server.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\n"
            f"pool_mode = transaction\ndefault_pool_size = {self._connections}\n"
            "max_client_conn = 500\n",
            "utf-8",
        )
        self.give_away(users)
        self.give_away(settings)

    def command(self) -> Sequence[str]:
        found = shutil.which("pgbouncer") or program("pgbouncer", "/usr/sbin")
        return [found, str(self.folder / "pgbouncer.ini")]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True
