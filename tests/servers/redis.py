"""Redis servers of tests, one a process by default, each in a temporary folder.

`THREADLOOM_TEST_REDIS_URL` names one that runs already; tests that stop or starve a server start
their own.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from servers.started import HOST, Started, free_port, program, temporary_folder

PACKAGE = "redis-server"


class RedisServer:
    """A server on a free port.

    Args:
        append_only: whether each write is on disk before it is answered.
        options: further arguments of the server.
    """

    def __init__(self, *, append_only: bool = False, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.folder = temporary_folder("redis")
        self._argv = [
            *(program("redis-server", PACKAGE), "--port", str(self.port), "--bind", HOST),
            *("--dir", str(self.folder), "--save", "", "--databases", "1"),
            *("--appendonly", "yes" if append_only else "no", "--appendfsync", "always"),
            *options,
        ]
        self._process: Started | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, on the port and with the data that it had."""
        self._process = Started(self._argv, log=self.folder / "server.log")
        self._process.wait_until(lambda: answers(self.port))

    def stop(self) -> None:
        """Stop it in good order."""
        assert self._process is not None
        self._process.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()

    def pause(self, *, on: bool) -> None:
        """Let it stand still, or go on."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP if on else signal.SIGCONT)


def answers(port: int) -> bool:
    """Whether a server at a port of loopback has loaded its data and answers."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as client:
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


@cache
def server() -> str:
    """The URL of the server that the tests of this process share."""
    given = os.environ.get("THREADLOOM_TEST_REDIS_URL")
    return given or RedisServer().url


def place(folder: Path | str, name: str = "sessions", *, url: str | None = None) -> str:
    """The URL of a place of its own in the shared server; the same for the same name."""
    address = server() if url is None else url
    prefix = f"t{blake2b(f'{folder}/{name}'.encode(), digest_size=8).hexdigest()}"
    return f"{address}{'&' if '?' in address else '?'}prefix={quote(prefix)}"


def lent(name: str) -> str:
    """The URL of a place for a test; there is nothing to be made, so each has its own."""
    return place(name)
