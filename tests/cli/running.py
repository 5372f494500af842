"""Runs the command line in this process."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from threadloom.cli.app import app


class Result:
    def __init__(self, *arguments: object) -> None:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit)

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


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
