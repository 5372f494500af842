"""The command line on terminals: a pseudo-terminal, and a screen in this process."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from .running import COMMAND

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SECONDS = 60


def _hear_ctrl_c() -> None:
    """Make the terminal a process's own; whoever started the tests may have Ctrl-C ignored."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """One command that runs on a terminal.

    Args:
        arguments: those of the command line.
        columns: how wide the terminal is.
        folder: where it runs.
        environment: variables beside those of this process.
        program: another program than the command line.
    """

    def __init__(
        self,
        *arguments: object,
        columns: int = 120,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
        program: Sequence[str] = (),
    ) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        known = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self._process = subprocess.Popen(
            [*program] or [sys.executable, "-m", "threadloom", *map(str, arguments)],
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=folder,
            env={**known, "TERM": "xterm-256color", **(environment or {})},
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )
        os.close(other)
        self.raw = ""

    @property
    def text(self) -> str:
        """What was shown, without colours and movements."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def until(self, words: str) -> None:
        """Read until the terminal shows some words."""
        deadline = time.monotonic() + _SECONDS
        while words not in self.text:
            assert self._read(deadline), f"{words!r} never came: {self.text}"

    def type(self, keys: str) -> None:
        """Type something."""
        os.write(self._main, keys.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + _SECONDS
        while self._read(deadline):
            pass
        os.close(self._main)
        return self._process.wait(_SECONDS)

    def _read(self, deadline: float) -> bool:
        """Read a piece; False at the end."""
        ready, _, _ = select.select([self._main], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"it took too long: {self.text}")
        try:
            piece = os.read(self._main, 65536)
        except OSError:  # the other end is closed
            return False
        self.raw += piece.decode(errors="replace")
        return bool(piece)


class Screen(StringIO):
    """What is written to a terminal, in this process."""

    def isatty(self) -> bool:
        return True

    @property
    def raw(self) -> str:
        """All of it, with colours and movements."""
        return self.getvalue()

    @property
    def text(self) -> str:
        """What was shown."""
        return _ESCAPES.sub("", self.raw)


def shown(*arguments: object, columns: int = 120, **environment: str) -> Screen:
    """What a command that goes well shows on a terminal of so many columns."""
    screen = Screen()
    variables = {"TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
    with patch.dict(os.environ, variables), redirect_stdout(screen), redirect_stderr(screen):
        if "NO_COLOR" not in environment:
            os.environ.pop("NO_COLOR", None)
        with pytest.raises(SystemExit) as ended:
            COMMAND([str(argument) for argument in arguments])
    assert not ended.value.code, screen.text
    return screen
