"""docs/command-line.md is what the commands say, and what pages type into a shell are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from threadloom.cli.app import app

from .command_line import HEAD, PAGE, page
from .pages import PAGES, name_of, read, shell_lines_of


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.docs.command_line writes it"


def test_the_examples_name_commands_and_their_options() -> None:
    text = page()
    [block] = re.findall(r"^```\n(.*?)^```", HEAD, re.MULTILINE | re.DOTALL)
    known = set(re.findall(r"^## threadloom (\w+)$", text, re.MULTILINE))
    assert len(known) == len(app.registered_commands)
    for line in block.splitlines():
        words = shlex.split(line.partition("#")[0].partition("|")[0])
        assert words[0] == "threadloom"
        assert words[1] in known
        section = text.partition(f"## threadloom {words[1]}\n")[2].partition("\n## ")[0]
        assert [word for word in words if word.startswith("--") and word not in section] == []


def wrong_with(line: str) -> str | None:
    """What is wrong with a line that calls `threadloom`; None where nothing is."""
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0])[1:]
    group: Any = get_command(app)
    name, *arguments = words or [""]
    command = group.commands.get(name)
    if command is None:
        return None if words in (["--install-completion"], ["--help"]) else f"no command {name!r}"
    takes = {name: param for param in command.params for name in param.opts + param.secondary_opts}
    takes |= {"--help": None}
    places = 0
    while arguments:
        word = arguments.pop(0)
        option, _, given = word.partition("=")
        if not word.startswith("--"):
            places += 1
        elif option not in takes:
            return f"{name} has no option {option}"
        elif takes[option] is not None and not takes[option].is_flag and not given:
            if not arguments:
                return f"{option} needs a value"
            del arguments[0]
    kinds = [param for param in command.params if param.param_type_name == "argument"]
    least = sum(param.required for param in kinds)
    most = places if any(param.nargs < 0 for param in kinds) else len(kinds)
    return None if least <= places <= most else f"{name} does not take {places} arguments"


def calls_of(path: Path) -> list[str]:
    lines = [line.removeprefix(".venv/bin/") for line in shell_lines_of(read(path))]
    return [line for line in lines if line.split(" ")[0] == "threadloom"]


@pytest.mark.parametrize("path", [path for path in PAGES if calls_of(path)], ids=name_of)
def test_what_pages_type_are_commands(path: Path) -> None:
    found = {line: wrong_with(line) for line in calls_of(path)}
    assert {line: why for line, why in found.items() if why} == {}


def test_lines_that_are_wrong_are_noticed() -> None:
    assert wrong_with("threadloom list x.db --owner ana") is None
    assert wrong_with("threadloom lists x.db") == "no command 'lists'"
    assert wrong_with("threadloom list x.db --owned-by ana") == "list has no option --owned-by"
    assert wrong_with("threadloom list x.db --owner") == "--owner needs a value"
    assert wrong_with("threadloom show x.db") == "show does not take 1 arguments"
    assert len([path for path in PAGES if calls_of(path)]) > 3
