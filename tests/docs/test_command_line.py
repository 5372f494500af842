"""docs/command-line.md is what the commands say, and its examples are commands."""

from __future__ import annotations

import re
import shlex

from threadloom.cli.app import app

from .command_line import HEAD, PAGE, page


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
