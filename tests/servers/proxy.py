"""A network between a client and a server that a test can cut."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Passes bytes on, both ways, until it is cut: then nothing arrives and nobody is told.

    Args:
        port: of the server on loopback.

    Attributes:
        port: where clients connect.
        messages: how often a client has sent something, which is how often it waited for an answer.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self.messages = 0
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._cut = threading.Event()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._work, name="proxy")

    def start(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._ends.set()
        self._thread.join()
        for one in list(self._peers):
            one.close()
        self._listener.close()
        self._selector.close()

    def cut(self) -> None:
        """From now on nothing passes: bytes stay where they are, connections hang."""
        self._cut.set()

    def mend(self) -> None:
        """Everything passes again, also what has waited."""
        self._cut.clear()

    def _work(self) -> None:
        while not self._ends.is_set():
            if self._cut.is_set():
                self._ends.wait(0.02)
                continue
            for key, _ in self._selector.select(0.02):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if self._cut.is_set():
                    break
                if one is self._listener:
                    self._accept()
                elif one in self._peers:
                    self._pass_on(one)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        self._clients.add(client)
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        other = self._peers[one]
        try:
            data = one.recv(1 << 16)
            self.messages += bool(data) and one in self._clients
            if data:
                other.settimeout(5)
                other.sendall(data)
                return
        except OSError:
            pass
        for end in (one, other):
            self._peers.pop(end, None)
            self._clients.discard(end)
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
            end.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
