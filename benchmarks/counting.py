"""Round trips to a server, counted on the wire: no driver has to be trusted or changed."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

_HOST = "127.0.0.1"
_CHUNK = 1 << 16


class Counter:
    """A way to a server of loopback that counts.

    A round trip is a message of the client after which the server answers, however many packets
    either takes.

    Args:
        to: the server's port.

    Attributes:
        port: where clients connect instead.
        trips: round trips so far.
        sent, received: bytes so far, as the clients see it.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server((_HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.trips = self.sent = self.received = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection((_HOST, self._to))
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked = threading.Event()
            for one, other, asks in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._pass_on, args=(one, other, asked, asks), daemon=True
                ).start()

    def _pass_on(
        self, one: socket.socket, other: socket.socket, asked: threading.Event, asks: bool
    ) -> None:
        with one, other:
            while True:
                try:
                    data = one.recv(_CHUNK)
                    if not data:
                        return
                    self._count(len(data), asked, asks)
                    other.sendall(data)
                except OSError:  # the other side has gone
                    return

    def _count(self, size: int, asked: threading.Event, asks: bool) -> None:
        with self._lock:
            if asks:
                self.sent += size
                asked.set()
                return
            self.received += size
            if asked.is_set():
                asked.clear()
                self.trips += 1
