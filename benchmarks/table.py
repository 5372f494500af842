"""Tables that line up on a terminal, in a file and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A table of words; the first column is a name, the others are figures."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def plain(self) -> str:
        """For people at a terminal."""
        widths = self._widths()
        rule = "  ".join("─" * width for width in widths)
        lines = [self.title, "", self._line(self.headings, widths, "  "), rule]
        lines += [self._line(row, widths, "  ") for row in self.rows]
        return "\n".join(lines)

    def markdown(self) -> str:
        """For a page."""
        widths = [max(width, 3) for width in self._widths()]
        marks = [
            "-" * width if column == 0 else "-" * (width - 1) + ":"
            for column, width in enumerate(widths)
        ]
        lines = [self.headings, marks, *self.rows]
        return "\n".join(f"| {self._line(line, widths, ' | ', end=False)} |" for line in lines)

    def _widths(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]

    @staticmethod
    def _line(cells: Sequence[str], widths: Sequence[int], between: str, end: bool = True) -> str:
        padded = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        line = between.join(padded)
        return line.rstrip() if end else line
