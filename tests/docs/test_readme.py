"""The README is true: its programs run as they stand, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .programs import ROOT, run_program

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\bmake ([a-z]+)\b")


def program_of(markdown: str) -> str:
    """The ```python blocks as one program; every line keeps its number."""
    lines = [""] * (markdown.count("\n") + 1)
    for block in FENCE.finditer(markdown):
        if block[1] == "python":
            first = markdown.count("\n", 0, block.start(2))
            for offset, line in enumerate(block[2].splitlines()):
                lines[first + offset] = line
    return "\n".join(lines).rstrip("\n") + "\n"


def commands_of(markdown: str) -> set[str]:
    """Targets of make that are named as code, in a block or in a line."""
    code = [block[2] for block in FENCE.finditer(markdown)]
    code += re.findall(r"`([^`\n]+)`", FENCE.sub("", markdown))
    return {target for text in code for target in COMMAND.findall(text)}


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_programs_run(readme: str, tmp_path: Path) -> None:
    source = program_of(readme)
    assert source.strip(), "no ```python block"
    program = tmp_path / "README.py"
    program.write_text(source, encoding="utf-8")
    run_program(program, tmp_path)


def test_the_programs_of_the_guide_run(tmp_path: Path) -> None:
    pages = [ROOT / "docs" / "long-term-memory.md"]
    for page in pages:
        program = tmp_path / f"{page.stem}.py"
        program.write_text(program_of(page.read_text(encoding="utf-8")), encoding="utf-8")
        run_program(program, tmp_path)


def test_the_commands_exist(readme: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {"demo", "test"} <= commands_of(readme)
    assert commands_of(readme) <= targets


def test_the_test_command_is_what_ci_calls(readme: str) -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    called = set(re.findall(r"^\s*step \w+ \d+ make ([a-z]+)$", ci, re.MULTILINE))
    assert called == {"check", "test", "demo"}
    assert "test" in commands_of(readme)


def test_the_files_that_it_links_to_exist(readme: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", FENCE.sub("", readme))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (ROOT / link).exists()] == []


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
