"""How results look: tables for people, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from threadloom.migrate import Progress as Step
from threadloom.words.amounts import in_words
from threadloom.words.printable import visible

_STYLES = {
    "interrupted": "yellow",
    "running": "cyan",
    "error": "red",
    "failed": "red",
    "refused": "yellow",
    "migrated": "green",
    "updated": "green",
    "deleted": "red",
}
_GAP = 2


class Size(int):
    """A number of bytes: in words for people, in digits for pipes."""


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: what stands above it.
        right: whether it stands to the right.
        rank: where a terminal is too narrow for all columns, those of the highest rank go first;
            those of rank 0 stay.
    """

    title: str
    right: bool = False
    rank: int = 0


def document(content: Any) -> None:
    """Print one JSON document."""
    _write(json.dumps(content, ensure_ascii=False, indent=2, default=_plain) + "\n")


def _write(text: str) -> None:
    """Print JSON; what is no Unicode, such as a name of a file in another encoding, as JSON can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)
    sys.stdout.write(text)


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, none: str = "") -> None:
    """Print rows: as a table on a terminal, otherwise separated by tabs and without headings.

    Args:
        columns: what is in a row.
        rows: printed as they come, where there is no terminal.
        none: what a terminal shows where there are no rows.
    """
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(visible(_text(cell, people=False)) for cell in row) + "\n")
        return
    if not _show_table(Console(), columns, rows) and none:
        line(none)


def _show_table(console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> bool:
    """Print rows as a table that fits; whether there are any."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    if not cells:
        return False
    widths = [
        max(cell_len(column.title), *(row[at].cell_len for row in cells), 0)
        for at, column in enumerate(columns)
    ]
    places = list(range(len(columns)))
    while sum(widths[at] + _GAP for at in places) - _GAP > console.width:
        least = max(places, key=lambda at: columns[at].rank)
        if not columns[least].rank:
            break
        places.remove(least)
    chosen = [columns[at] for at in places]
    console.print(_table(chosen, ([row[at] for at in places] for row in cells)))
    return True


def _table(columns: Sequence[Column], rows: Iterable[Sequence[Text]]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
        )
    for row in rows:
        shown.add_row(*row)
    return shown


def rows_for_people(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table on stderr, where a question about it follows; on a terminal only."""
    if sys.stderr.isatty():
        _show_table(Console(stderr=True), columns, rows)


def line(text: str) -> None:
    """Print one line about a result; on a terminal only, for pipes it would be in the way."""
    if sys.stdout.isatty():
        Console(highlight=False).print(Text(visible(text)))


def fact(text: str) -> None:
    """Print one line that is asked for, wherever the output goes; stderr where that is a pipe."""
    if sys.stdout.isatty():
        line(text)
    else:
        remark(text)


def remark(text: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(visible(text) + "\n")


class Line(NamedTuple):
    """A piece of text that may have several lines.

    Attributes:
        text: what it says.
        style: how it looks on a terminal.
        indent: by how many columns.
    """

    text: str
    style: str = ""
    indent: int = 0


def lines(content: Iterable[Line]) -> None:
    """Print pieces of text: wrapped and coloured on a terminal, otherwise as they are."""
    console = Console(highlight=False) if sys.stdout.isatty() else None
    for piece in content:
        shown = [visible(part) for part in piece.text.split("\n")]
        if console is None:
            sys.stdout.writelines(" " * piece.indent + part + "\n" for part in shown)
            continue
        if not piece.text:
            console.print()
            continue
        text = Text("\n".join(shown), style=piece.style)
        console.print(Padding(text, (0, 0, 0, piece.indent), expand=False), overflow="fold")


def stream(before: dict[str, Any], name: str, items: Iterable[Any]) -> None:
    """Print one JSON document whose last member is a long list, item by item.

    Args:
        before: its other members.
        name: the name of the list.
        items: what is in it; read as it is printed.
    """
    head = "".join(f"  {json.dumps(key)}: {_encoded(item)},\n" for key, item in before.items())
    sys.stdout.write(f"{{\n{head}  {json.dumps(name)}: [")
    mark = "\n"
    for item in items:
        sys.stdout.write(f"{mark}    {_encoded(item)}")
        mark = ",\n"
    sys.stdout.write("]\n}\n" if mark == "\n" else "\n  ]\n}\n")


def _encoded(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False, default=_plain)


@contextmanager
def counting(
    label: str, *, quiet: bool = False
) -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress bar for work on sessions: how many, how many a second, until when."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        _EndColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=None)

        def show(done: int, total: int, id: str) -> None:
            bars.update(task, completed=done, total=total)

        yield show


class _RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text("" if not task.speed else f"{task.speed:,.0f}/s", style="progress.data.speed")


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
    if isinstance(value, Text):
        return value
    text = visible(_text(value, people=True))
    return Text(text, style=_STYLES.get(text, "") if isinstance(value, str) else "")


def _text(value: Any, *, people: bool) -> str:
    if value is None:
        return "–" if people else ""
    if isinstance(value, Text):
        return value.plain
    if isinstance(value, Size):
        return in_words(value) if people else str(int(value))
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}" if people else _plain(value)
    if isinstance(value, (tuple, list)):
        return (", " if people else ",").join(map(str, value))
    return str(value)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"no JSON for a {type(value).__name__}")


__all__ = [
    "Column",
    "Line",
    "Size",
    "counting",
    "document",
    "fact",
    "line",
    "lines",
    "progress",
    "remark",
    "rows_for_people",
    "stream",
    "table",
]
