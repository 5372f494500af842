"""The pages of the project: their programs, commands, links and headings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from .programs import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "adapters/*.md", "adapters/*/*.md")
    for path in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^```(\w*)([^\n`]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'\btitle="([^"]+)"')
_LINK = re.compile(r"\]\(([^)\s]*)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)


class Block(NamedTuple):
    """Code of a page: its language, the file that it is said to be, and its first line's number."""

    language: str
    title: str
    code: str
    line: int


def blocks_of(markdown: str) -> list[Block]:
    """The fenced blocks of a page."""
    found = []
    for block in _FENCE.finditer(markdown):
        title = _TITLE.search(block[2])
        line = markdown.count("\n", 0, block.start(3))
        found.append(Block(block[1], title[1] if title else "", block[3], line))
    return found


def program_of(markdown: str) -> str:
    """The ```python blocks as one program, but for files of their own; lines keep their numbers."""
    lines = [""] * (markdown.count("\n") + 1)
    for block in blocks_of(markdown):
        if block.language == "python" and not block.title:
            for offset, line in enumerate(block.code.splitlines()):
                lines[block.line + offset] = line
    return "\n".join(lines).rstrip("\n") + "\n"


def files_of(markdown: str) -> dict[str, str]:
    """The blocks that are files of their own, by their names."""
    return {block.title: block.code for block in blocks_of(markdown) if block.title}


def shell_lines_of(markdown: str) -> list[str]:
    """What is typed into a shell, without prompts and remarks."""
    kinds = ("sh", "console", "")
    lines = [
        line
        for block in blocks_of(markdown)
        if block.language in kinds
        for line in block.code.replace("\\\n", " ").splitlines()
        if block.language != "console" or line.startswith("$ ")
    ]
    return [re.sub(r"(^|\s)#.*", "", line.removeprefix("$ ")).strip() for line in lines]


def prose_of(markdown: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", markdown)


def links_of(markdown: str) -> list[str]:
    """Where the links and pictures of a page lead."""
    return _LINK.findall(re.sub(r"`[^`\n]+`", "", prose_of(markdown)))


def anchors_of(markdown: str) -> list[str]:
    """The anchors that headings of a page have, in the repository's view and on the site."""
    found: list[str] = []
    for heading in _HEADING.findall(prose_of(markdown)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.append(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
    return found


def read(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    """How a test calls a page."""
    return page.relative_to(ROOT).as_posix()
