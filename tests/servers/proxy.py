"""A TCP proxy for tests, which can fail as networks do: swallow, reset, delay."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from servers.started import HOST, at_end

_CHUNK = 65536
_POLL = 0.05


class Proxy:
    """Passes connections on to a port of loopback, until it is told otherwise.

    Attributes:
        port: where it listens.
        delay: seconds that it keeps back what goes either way.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay = 0.0
        self._swallows = threading.Event()
        self._ended = False
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()
        at_end(self.stop)

    def swallow(self) -> None:
        """Take everything and pass nothing on, as a network that is cut."""
        self._swallows.set()

    def heal(self) -> None:
        """Pass on what comes from now on; every connection that there was is broken."""
        self.reset()
        self._swallows.clear()

    def reset(self) -> None:
        """Break every connection."""
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Listen no more, and break every connection."""
        self._ended = True
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((HOST, self._target))
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.add(one)
        back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
        back.start()
        self._pass(client, server)
        back.join()
        for one in (client, server):
            self._sockets.discard(one)
            one.close()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if self.delay:
                    time.sleep(self.delay)
                if not self._swallows.is_set():
                    target.sendall(data)
        while self._swallows.is_set() and not self._ended:
            time.sleep(_POLL)  # the end of a connection is swallowed as well
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
