"""A private Redis (or Valkey)."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence

from servers.process import Server, program


class RedisServer(Server):
    """A Redis on its own port.

    Args:
        settings: of the server, with ``_`` for ``-``; by default nothing is written to disk.
    """

    name = "redis"

    def __init__(self, **settings: str | int) -> None:
        super().__init__()
        self._settings = {"save": "", "appendonly": "no", **settings}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        found = shutil.which("redis-server") or program("valkey-server")
        options = [
            part
            for name, value in self._settings.items()
            for part in (f"--{name.replace('_', '-')}", str(value))
        ]
        return [
            *(found, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.folder), *options),
        ]

    def answers(self) -> bool:
        import redis

        with redis.Redis(port=self.port, socket_timeout=5) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def restart(self, *, crash: bool = False) -> None:
        """Stop it, in order or by SIGKILL, and start it again on the same port and data."""
        self.end(signal.SIGKILL if crash else signal.SIGTERM)
        self.start()
