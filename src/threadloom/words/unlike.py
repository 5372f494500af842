"""What differs between two texts, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

MARKS = {"added": "+", "removed": "-", "changed": "~"}
"""What stands before a change of a kind."""


def unlike(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Lines that differ, with one around them: the mark of each, and the line behind its mark.

    Marks are ``+`` and ``-``, a space where nothing differs, and ``…`` for what is left out in
    between. An empty text has no lines.
    """
    old, new = (part.split("\n") if part else [] for part in (before, after))
    begun = False
    for number, line in enumerate(difflib.unified_diff(old, new, n=1, lineterm="")):
        if number < 2:  # the names of files
            continue
        if line.startswith("@@"):
            if begun:
                yield "…", "…"
            continue
        begun = True
        yield line[0], f"{line[0]} {line[1:]}"


__all__ = ["MARKS", "unlike"]
