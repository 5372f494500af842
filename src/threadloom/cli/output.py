"""How results look: tables for people, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from threadloom.migrate import Progress as Step

_STYLES = {
    "interrupted": "yellow",
    "running": "cyan",
    "error": "red",
    "failed": "red",
    "refused": "yellow",
    "migrated": "green",
    "updated": "green",
}


class Size(int):
    """A number of bytes: in words for people, in digits for pipes."""


class Column(NamedTuple):
    """One column of a table."""

    title: str
    right: bool = False


def document(content: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=2, default=_plain) + "\n")


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows: as a table on a terminal, otherwise separated by tabs and without headings."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(_visible(_text(cell, people=False)) for cell in row) + "\n")
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
        )
    for row in rows:
        shown.add_row(*(_cell(cell) for cell in row))
    Console().print(shown)


def line(text: str) -> None:
    """Print one line about a result; on a terminal only, for pipes it would be in the way."""
    if sys.stdout.isatty():
        Console(highlight=False).print(Text(_visible(text)))


def fact(text: str) -> None:
    """Print one line that is asked for, wherever the output goes; stderr where that is a pipe."""
    if sys.stdout.isatty():
        line(text)
    else:
        remark(text)


def in_words(size: int) -> str:
    """A number of bytes as people say it."""
    return decimal(size)


def counted(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def remark(text: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(_visible(text) + "\n")


@contextmanager
def progress(label: str, *, quiet: bool = False) -> Iterator[Callable[[Step], None] | None]:
    """A progress bar on stderr, with rate and end time; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        _EndColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=None)

        def show(step: Step) -> None:
            bars.update(
                task,
                description=f"{label} {step.threads_done}/{step.threads}",
                completed=step.bytes_done,
                total=step.bytes,
            )

        yield show


class _EndColumn(ProgressColumn):
    """The time of day when it will be done."""

    def render(self, task: Task) -> Text:
        if task.finished or task.time_remaining is None:
            return Text("")
        end = datetime.now(UTC).astimezone() + timedelta(seconds=task.time_remaining)
        return Text(f"until {end:%H:%M:%S}", style="progress.remaining")


def _cell(value: Any) -> Text:
    text = _visible(_text(value, people=True))
    return Text(text, style=_STYLES.get(text, "") if isinstance(value, str) else "")


def _text(value: Any, *, people: bool) -> str:
    if value is None:
        return "–" if people else ""
    if isinstance(value, Size):
        return decimal(value) if people else str(int(value))
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}" if people else _plain(value)
    if isinstance(value, (tuple, list)):
        return (", " if people else ",").join(map(str, value))
    return str(value)


def _visible(text: str) -> str:
    """Text without what would steer a terminal or break a line."""
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"no JSON for a {type(value).__name__}")


__all__ = [
    "Column",
    "Size",
    "counted",
    "document",
    "fact",
    "in_words",
    "line",
    "progress",
    "remark",
    "table",
]
