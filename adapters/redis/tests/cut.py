"""A TCP proxy before Redis that can be cut like a cable: nothing answers, nothing ends."""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType
from typing import Self

_POLL = 0.02


class Cut:
    """Passes bytes on between a port of its own and another one of loopback.

    Args:
        port: where the server listens.

    Attributes:
        port: where clients connect.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """From now on nothing gets through, in either direction."""
        self._cut.set()

    def join(self) -> None:
        """Let everything through again, also what was held back."""
        self._cut.clear()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        pairs: dict[socket.socket, socket.socket] = {}
        while not self._end.is_set():
            if self._cut.is_set():
                self._end.wait(_POLL)
                continue
            ready, _, _ = select.select([self._listener, *pairs], [], [], _POLL)
            for one in ready:
                if one is self._listener:
                    client, _ = self._listener.accept()
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5.0)
                    pairs[client], pairs[server] = server, client
                elif one in pairs:
                    self._pass_on(one, pairs)
        for one in [self._listener, *pairs]:
            one.close()

    def _pass_on(self, one: socket.socket, pairs: dict[socket.socket, socket.socket]) -> None:
        try:
            data = one.recv(65_536)
            if data:
                pairs[one].sendall(data)
                return
        except OSError:
            pass  # one side has gone; so goes the other
        for side in (pairs.pop(one), one):
            pairs.pop(side, None)
            side.close()
