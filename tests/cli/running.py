"""Runs the command line in this process, where nothing is a terminal."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any
from unittest.mock import patch

from typer.main import get_command

from threadloom.cli.app import app

COMMAND = get_command(app)
"""Made once: that takes a tenth of a second."""


class Result:
    def __init__(self, *arguments: object) -> None:
        out, err = (TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(2))
        given = [str(argument) for argument in arguments]
        with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "stdin", StringIO()):
            try:
                COMMAND(given)
            except SystemExit as ended:
                self.code = ended.code
        self.out, self.err = _written(out), _written(err)

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


def _written(stream: TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


def fails(code: int, *arguments: object) -> str:
    """The line that a command fails with; the same with --json."""
    result = Result(*arguments)
    assert (result.code, result.out) == (code, "")
    assert result.err.count("\n") == 1
    assert result.err.startswith("threadloom: ")
    in_json = Result(*arguments, "--json")
    assert (in_json.code, in_json.out) == (code, "")
    told = json.loads(in_json.err)
    assert (told["exit_code"], told["message"]) == (code, result.err[12:-1])
    return result.err


def told(*arguments: object) -> Any:
    """The JSON document of a command that goes well."""
    result = Result(*arguments, "--json")
    assert (result.code, result.err) == (0, ""), result.err
    return result.document


def rows(*arguments: object) -> list[list[str]]:
    """What a command that goes well gives to a pipe, line by line."""
    result = Result(*arguments)
    assert (result.code, result.err) == (0, ""), result.err
    return result.rows
