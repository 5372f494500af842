"""Server programs: started on a free port of loopback, waited for, stopped by process id."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HOST = "127.0.0.1"
_POLL = 0.02
_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
"""Bytes that must be free in memory for a server's data to go there."""
_ends: list[Callable[[], None]] = []


class ServerMissing(RuntimeError):
    """A server program is not installed: says which Debian package has it."""


class ServerFailed(RuntimeError):
    """A server did not come up, or went away: says what it logged."""


def program(name: str, package: str, *folders: str) -> str:
    """The path of a server program, looked for on PATH and then in further folders.

    Raises:
        ServerMissing: it is not installed.
    """
    for path in (None, "/usr/sbin", *folders):
        if found := shutil.which(name, path=path):
            return found
    raise ServerMissing(f"{name} is not installed (Debian: apt-get install {package})")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def temporary_folder(prefix: str, *, owner: str | None = None, quick: bool = False) -> Path:
    """A folder that goes when this process ends; on request it belongs to another user.

    A quick one is in memory, where the system has a place for that with room enough.
    """
    place = _MEMORY if quick and _has_room(_MEMORY) else None
    folder = Path(tempfile.mkdtemp(prefix=f"threadloom-{prefix}-", dir=place))
    if owner is not None:
        shutil.chown(folder, owner)
    at_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder


def _has_room(place: Path) -> bool:
    return os.access(place, os.W_OK) and shutil.disk_usage(place).free > _ROOM


def at_end(end: Callable[[], None]) -> None:
    """Call something when this process ends (not in children that it forked), latest first."""
    if not _ends:
        atexit.register(_end_all, os.getpid())
    _ends.append(end)


def _end_all(of: int) -> None:
    if os.getpid() != of:
        return
    while _ends:
        _ends.pop()()


class Started:
    """A server process of this test process.

    Args:
        argv: the program and its arguments; it must stay in the foreground.
        log: where its output goes.
        user: whom it runs as, where this process is root and the program refuses that.
        stop_by: the signal that it ends on in good order.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        user: str | None = None,
        stop_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._log = log
        self._stop_by = stop_by
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user if os.geteuid() == 0 else None,
            )
        at_end(self.stop)  # in good order, or it leaves memory behind that is shared system-wide

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait until the server answers.

        Raises:
            ServerFailed: it ended, or did not answer in time; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.runs or time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(f"{self._process.args!r} did not start:\n{self._tail()}")
            time.sleep(_POLL)

    def stop(self, *, seconds: float = 30.0) -> None:
        """End it in good order, and by force where that takes too long."""
        if self.runs:
            self._process.send_signal(self._stop_by)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would, and wait for it."""
        if self.runs:
            self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
        self._process.send_signal(number)

    def _tail(self) -> str:
        return self._log.read_text("utf-8", errors="replace")[-4_000:]


def listens(port: int) -> bool:
    """Whether somebody accepts connections at a port of loopback."""
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((HOST, port)) == 0
