"""A server's process: started, waited for, ended by its id."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

PATIENCE = 60.0
"""Seconds until a server has to be there, or gone."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def free_port() -> int:
    """A port on loopback that nobody listens on; low enough for the bus of a Cluster, 10,000 up."""
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


def program(name: str, *folders: str) -> str:
    """Where a program is, or the test is skipped."""
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


def other_user() -> str | None:
    """Whom servers run as that refuse to run as root; None where this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


class Server(ABC):
    """One server in a temporary folder; `start` and `stop`, or `with`.

    Attributes:
        port: where it listens, also after it was started again.
        folder: its data and its log.
        process: its process while it runs.
    """

    name = "server"
    user: str | None = None

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes work."""

    def prepare(self) -> None:  # noqa: B027  (most need nothing)
        """Make what must be there before the first start."""

    def start(self) -> Self:
        if not any(self.folder.iterdir()):
            self.give_away(self.folder)
            self.prepare()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user=self.user,
                group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
                cwd=self.folder,
                preexec_fn=_end_with_parent,
            )
        self.wait_for_answers()
        return self

    def wait_for_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {self.log()[-2000:]}")
            time.sleep(0.02)

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", errors="replace")

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process and keep the data, so that it can be started again."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)
        self.process = None

    def stop(self) -> None:
        """End it, and remove its data."""
        self.end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def give_away(self, path: Path) -> None:
        if self.user is not None:
            shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)

    def run(self, *command: str, **options: Any) -> None:
        """Run a program of the server's to its end, as its user."""
        done = subprocess.run(
            command,
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            **options,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _end_with_parent() -> None:
    # A test process that is killed takes its servers with it.
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
