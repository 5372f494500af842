"""The commands that the README and other pages name exist."""

from __future__ import annotations

import re

import pytest

from .pages import PAGES, blocks_of, name_of, program_of, prose_of, read
from .programs import ROOT

COMMAND = re.compile(r"\bmake ([a-z]+)\b")


def commands_of(markdown: str) -> set[str]:
    """Targets of make that are named as code, in a block or in a line."""
    code = [block.code for block in blocks_of(markdown)]
    code += re.findall(r"`([^`\n]+)`", prose_of(markdown))
    return {target for text in code for target in COMMAND.findall(text)}


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_commands_exist(readme: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "test", "docs"} <= commands_of(readme)
    for page in PAGES:
        assert commands_of(read(page)) <= targets, name_of(page)


def test_the_test_command_is_what_ci_calls(readme: str) -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    called = set(re.findall(r"^\s*step \w+ \d+ make ([a-z]+)$", ci, re.MULTILINE))
    assert called == {"check", "docs", "test", "demo"}
    assert "test" in commands_of(readme)


SAMPLE = """# Title

```python
a = 1
```

```sh
make demo
```

Then `make test`, and make no haste.

```python
b = a
raise ValueError
```
"""


def test_blocks_keep_their_line_numbers() -> None:
    lines = program_of(SAMPLE).splitlines()
    assert lines == [line if line in {"a = 1", "b = a", "raise ValueError"} else ""
                     for line in SAMPLE.splitlines()[: len(lines)]]  # fmt: skip
    assert lines[-1] == "raise ValueError"


def test_only_code_is_a_command() -> None:
    assert commands_of(SAMPLE) == {"demo", "test"}
