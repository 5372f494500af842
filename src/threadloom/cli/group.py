"""What every command does about errors: one line, what to do next, and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from threadloom.errors import ThreadloomError
from threadloom.words.printable import visible

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_STOPPED = "interrupted; run it again to go on"


class Fault(Exception):
    """What a user has to know: the message says it in one line, and what to do next."""

    def __init__(self, message: str, *, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class _ReaderGone(Exception):
    """Nobody reads the output any more. Of a `BrokenPipeError` typer would make a failure."""


class _Interrupted(Exception):
    """Ctrl-C. A `KeyboardInterrupt` typer would end without a word."""


class Commands(TyperGroup):
    """Commands whose errors are lines on stderr, or JSON there if ``--json`` was asked for."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except KeyboardInterrupt as error:
            raise _Interrupted from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            result = super().main(
                given,
                prog_name or "threadloom",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except (_ReaderGone, BrokenPipeError):
            # Whoever reads has seen enough, as with `threadloom list x.db | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(OK)
        except (_Interrupted, KeyboardInterrupt):
            _tell(_STOPPED, "KeyboardInterrupt", INTERRUPTED, as_json="--json" in given)
            sys.exit(INTERRUPTED)
        except Exception as error:
            code, message = _told(error)
            if message:
                _tell(message, type(error).__name__, code, as_json="--json" in given)
            sys.exit(code)
        if not standalone_mode:
            return result
        sys.exit(result if isinstance(result, int) else OK)


def _told(error: Exception) -> tuple[int, str]:
    """The exit code and the line for an error; what is no user's mistake is raised again."""
    if isinstance(error, Fault):
        return error.code, str(error)
    if isinstance(error, typer.Abort):
        return INTERRUPTED, _STOPPED
    if callable(told := getattr(error, "format_message", None)):
        # The parser's own errors, wherever this version of typer has their classes.
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "threadloom"
        message = str(told()).replace("Value error, ", "").rstrip(".")
        return USAGE, f"{message}. See: {command} --help"
    if isinstance(error, ThreadloomError):
        return FAILED, str(error) or type(error).__name__
    if isinstance(error, OSError):
        if error.filename is None or error.strerror is None:
            return FAILED, str(error) or type(error).__name__
        why = error.strerror[:1].lower() + error.strerror[1:]
        return FAILED, f"{error.filename}: {why}. Check the path and its rights"
    raise error


def _tell(message: str, kind: str, code: int, *, as_json: bool) -> None:
    line = visible(" ".join(message.split()))
    if as_json:
        sys.stderr.write(json.dumps({"error": kind, "message": line, "exit_code": code}) + "\n")
    else:
        sys.stderr.write(f"threadloom: {line}\n")


__all__ = ["FAILED", "INTERRUPTED", "OK", "USAGE", "Commands", "Fault"]
