"""HTML that is safe to show: whatever is stored is escaped, and nothing is loaded or run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

from threadloom.words.printable import visible

HUES = {
    "green": "#2f9e5b",
    "blue": "#3b7dd8",
    "violet": "#8d63d2",
    "amber": "#c98a1b",
    "red": "#d2483f",
    "grey": "#8a8f98",
}
"""Colours that can be read on white and on black."""

STATUS_HUES = {"idle": "grey", "running": "blue", "interrupted": "amber", "error": "red"}

# Everything else is inherited from the notebook, so that its theme decides.
_STYLE = """
.threadloom{font-size:13px;line-height:1.45;max-width:1100px;text-align:left}
div.threadloom table{border-collapse:collapse;margin:4px 0;display:table;font-size:13px}
div.threadloom tr>th,div.threadloom tr>td{text-align:left!important;vertical-align:top;
 padding:3px 14px 3px 0;border:0;border-bottom:1px solid rgba(128,128,128,.28);
 background:none;white-space:normal}
div.threadloom tr>th{font-weight:600;opacity:.75}
div.threadloom tr>.right{text-align:right!important;font-variant-numeric:tabular-nums}
.threadloom .dim{opacity:.62}
div.threadloom code{background:none;padding:0;font-size:12px}
.threadloom .pill{display:inline-block;padding:0 7px;border-radius:9px;font-size:11px;
 line-height:17px;border:1px solid;white-space:nowrap}
.threadloom .text{white-space:pre-wrap;overflow-wrap:anywhere}
.threadloom summary{cursor:pointer;opacity:.7}
""".replace("\n", "")


_LONGEST = 2_000
"""Characters of a text in one line."""


class Html(str):
    """Markup; every other text is escaped before it becomes part of any."""

    __slots__ = ()


class Column(NamedTuple):
    """One column of a table: its title, and whether its cells stand to the right."""

    title: str
    right: bool = False


def page(*parts: Html) -> str:
    """What a notebook is given: the parts one below the other, with how they look."""
    return f'<div class="threadloom"><style>{_STYLE}</style>{"".join(parts)}</div>'


def safe(value: object) -> Html:
    """Any text as part of markup, in one line; of a very long one its beginning."""
    if isinstance(value, Html):
        return value
    text = str(value)
    return Html(escape(visible(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …")))


def block(value: str) -> Html:
    """A text of several lines as part of markup."""
    lines = value.replace("\r\n", "\n").split("\n")
    return Html("\n".join(escape(visible(line.expandtabs(4))) for line in lines))


def tag(name: str, *content: object, css: str = "", style: str = "", title: str = "") -> Html:
    """An element around what is inside.

    Args:
        name: of the element.
        content: markup, or what is made text.
        css: its class.
        style: its own style.
        title: what a reader sees who points at it.
    """
    given = {"class": css, "style": style, "title": visible(title)}
    attributes = "".join(f' {key}="{escape(item)}"' for key, item in given.items() if item)
    return Html(f"<{name}{attributes}>{''.join(map(safe, content))}</{name}>")


def joined(parts: Iterable[object], by: str = " ") -> Html:
    """Parts with something between them."""
    return Html(escape(by).join(map(safe, parts)))


def pill(text: str, hue: str = "grey") -> Html:
    """A word that stands out."""
    return tag("span", text, css="pill", style=f"color:{HUES[hue]};border-color:{HUES[hue]}")


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], *, more: int = 0) -> Html:
    """A table.

    Args:
        columns: what is in a row.
        rows: of cells: markup, or what `cell` makes markup.
        more: how many rows are left out.
    """
    sides = ["right" if column.right else "" for column in columns]
    head = [tag("th", column.title, css=side) for column, side in zip(columns, sides, strict=True)]
    body = [
        tag("tr", *(tag("td", cell(item), css=css) for item, css in zip(row, sides, strict=True)))
        for row in rows
    ]
    found = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))
    return found if more <= 0 else Html(found + tag("div", f"… {more:,} more", css="dim"))


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """A table of names and what there is to say; what is empty is left out."""
    rows = [
        tag("tr", tag("td", name, css="dim"), tag("td", cell(item)))
        for name, item in pairs
        if item not in (None, "", (), {})
    ]
    return tag("table", tag("tbody", *rows))


def cell(value: object) -> Html:
    """What stands in a cell."""
    if value is None:
        return Html("–")
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bool):
        return safe("yes" if value else "no")
    if isinstance(value, int):
        return safe(f"{value:,}")
    if isinstance(value, (tuple, list)):
        return joined(value, ", ")
    return safe(value)


def moment(at: datetime) -> Html:
    """A time to the minute; pointed at, to the microsecond."""
    known = at.astimezone(UTC)
    return tag("span", f"{known:%Y-%m-%d %H:%M}", title=known.isoformat())


__all__ = [
    "HUES",
    "STATUS_HUES",
    "Column",
    "Html",
    "block",
    "cell",
    "facts",
    "joined",
    "moment",
    "page",
    "pill",
    "safe",
    "table",
    "tag",
]
