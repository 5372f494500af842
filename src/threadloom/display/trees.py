"""How the checkpoints of a session look in a notebook: a drawing, from the first one down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import NamedTuple

from threadloom import CheckpointNode, CheckpointTree
from threadloom.display.markup import HUES, Html, safe, tag
from threadloom.words.amounts import counted, in_words
from threadloom.words.branches import Drawn, draw, marks
from threadloom.words.values import in_a_line

_ROW, _COLUMN, _TOP, _DOT = 24, 20, 14, 5
_LETTER = 6.3
"""About how wide a letter is, in pixels."""
_LONG_RUN = 6
"""So many checkpoints that merely follow each other are drawn as one line…"""
_FEW = 40
"""…in a tree of more than so many."""
_MOST = 400
"""Rows of all drawings of a session."""
_LONGEST = 90
"""Characters of what an interrupt or an error says."""
_SVG = "http://www.w3.org/2000/svg"
_HUES = {"head": "green", "tip": "amber", "interrupted": "amber", "error": "red"}


class _Row(NamedTuple):
    """One line of the drawing: a checkpoint, or a run of them that is left out.

    Attributes:
        drawn: the checkpoint; the last one of a run.
        parent: the checkpoint that it hangs on.
        hidden: how many a run leaves out; 0 for a checkpoint.
    """

    drawn: Drawn
    parent: str | None
    hidden: int = 0


def picture(tree: CheckpointTree) -> Html:
    """All checkpoints of a session, namespace by namespace."""
    if not tree.nodes:
        return tag("div", "No checkpoints: no graph has run in this session", css="dim")
    parts = [_summary(tree)]
    left = _MOST
    for number, namespace in enumerate(tree.namespaces):
        if left <= 0:
            more = counted(len(tree.namespaces) - number, "more namespace")
            parts.append(tag("div", f"… {more} of subgraphs", css="dim"))
            break
        if namespace:
            parts.append(tag("div", "subgraph ", tag("code", namespace), style="margin-top:8px"))
        rows = list(_rows(tree, namespace))
        parts.append(_svg(rows[:left]))
        if len(rows) > left:
            parts.append(tag("div", f"… {counted(len(rows) - left, 'more line')}", css="dim"))
        left -= len(rows) + 1
    return Html("".join(parts))


def _summary(tree: CheckpointTree) -> Html:
    branches = len(tree.tips())
    parts = [
        counted(len(tree.nodes), "checkpoint"),
        f"{branches} {'branch' if branches == 1 else 'branches'}",
        in_words(sum(node.bytes for node in tree.nodes)),
    ]
    return tag("div", tag("b", " · ".join(parts)))


def _rows(tree: CheckpointTree, namespace: str) -> Iterator[_Row]:
    """The lines of a drawing, long runs of checkpoints that merely follow each other left out."""
    drawn = list(draw(tree, namespace))
    if len(drawn) <= _FEW:
        yield from (_Row(item, item.node.parent) for item in drawn)
        return
    children = tree.children(namespace)
    run: list[Drawn] = []
    for item in drawn:
        follows = bool(run) and item.node.parent == run[-1].node.id
        if _is_plain(item.node, children) and (follows or not run):
            run.append(item)
            continue
        yield from _shortened(run)
        run = []
        if _is_plain(item.node, children):
            run.append(item)
        else:
            yield _Row(item, item.node.parent)
    yield from _shortened(run)


def _is_plain(node: CheckpointNode, children: dict[str | None, list[CheckpointNode]]) -> bool:
    return len(children.get(node.id, ())) == 1 and node.parent is not None and not marks(node)


def _shortened(run: Sequence[Drawn]) -> Iterator[_Row]:
    if len(run) <= _LONG_RUN:
        yield from (_Row(item, item.node.parent) for item in run)
        return
    first, *between, last = run
    yield _Row(first, first.node.parent)
    yield _Row(between[-1], first.node.id, len(between))
    yield _Row(last, between[-1].node.id)


def _svg(rows: Sequence[_Row]) -> Html:
    places = {row.drawn.node.id: number for number, row in enumerate(rows)}
    depths = {row.drawn.node.id: row.drawn.depth for row in rows}
    left = _COLUMN * (max(depths.values(), default=0) + 1) + 8
    labels = [_label(row) for row in rows]
    width = left + round(_LETTER * max(map(_width, labels), default=0)) + 10
    height = _ROW * len(rows) + 4
    lines = "".join(_edges(rows, places, depths))
    dots = "".join(_mark(row, number) for number, row in enumerate(rows))
    texts = "".join(_text(parts, left, number) for number, parts in enumerate(labels))
    return Html(
        f'<svg xmlns="{_SVG}" role="img" aria-label="Checkpoints" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" style="max-width:none;font:12px sans-serif">'
        f"{lines}{dots}{texts}</svg>"
    )


def _edges(rows: Sequence[_Row], places: dict[str, int], depths: dict[str, int]) -> Iterator[str]:
    for number, row in enumerate(rows):
        if row.parent is None or row.parent not in places:
            continue
        x, y = _x(row.drawn.depth), _y(number)
        from_x, from_y = _x(depths[row.parent]), _y(places[row.parent])
        turn = f"V{y - _ROW / 2:g}Q{from_x:g} {y:g} {x:g} {y:g}" if x != from_x else f"V{y:g}"
        dashes = ' stroke-dasharray="2 4"' if row.hidden else ""
        yield (
            f'<path d="M{from_x:g} {from_y:g}{turn}" fill="none" stroke="{HUES["grey"]}" '
            f'stroke-width="1.6"{dashes}/>'
        )


def _mark(row: _Row, number: int) -> str:
    if row.hidden:
        return ""
    node = row.drawn.node
    hue = HUES[_hue(node)]
    fill = hue if node.is_head or node.interrupts or node.errors else "none"
    at = f'cx="{_x(row.drawn.depth):g}" cy="{_y(number):g}"'
    return (
        f'<circle {at} r="{_DOT}" fill="{fill}" stroke="{hue}" stroke-width="2">'
        f"<title>{safe(_told(node))}</title></circle>"
    )


def _hue(node: CheckpointNode) -> str:
    found = marks(node)
    return next(
        (_HUES[mark] for mark in ("error", "interrupted", "head", "tip") if mark in found), "grey"
    )


def _label(row: _Row) -> list[tuple[str, str]]:
    """What stands beside a checkpoint: parts with their classes."""
    if row.hidden:
        return [(f"… {counted(row.hidden, 'checkpoint')} …", "dim")]
    node = row.drawn.node
    parts = [("step ?" if node.step is None else f"step {node.step}", "")]
    if node.source not in (None, "loop"):
        parts.append((str(node.source), ""))
    if node.messages is not None:
        parts.append((counted(node.messages, "message"), ""))
    parts.append((in_words(node.bytes), "dim"))
    if node.created_at is not None:
        parts.append((f"{node.created_at.astimezone(UTC):%H:%M:%S}", "dim"))
    parts.append((node.id, "dim"))
    parts += ((mark, _HUES[mark]) for mark in marks(node))
    parts += ((f"waits: {_short(in_a_line(value))}", "amber") for value in node.interrupts)
    parts += ((f"failed: {_short(' '.join(error.split()))}", "red") for error in node.errors)
    return parts


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _width(parts: Sequence[tuple[str, str]]) -> int:
    return sum(len(text) + 3 for text, _ in parts)


def _text(parts: Sequence[tuple[str, str]], left: int, number: int) -> str:
    spans = (
        f'<tspan dx="{0 if not at else 10}"{_look(kind)}>{safe(text)}</tspan>'
        for at, (text, kind) in enumerate(parts)
    )
    return f'<text x="{left}" y="{_y(number) + 4:g}" fill="currentColor">{"".join(spans)}</text>'


def _look(kind: str) -> str:
    if kind == "dim":
        return ' opacity=".62"'
    return f' fill="{HUES[kind]}"' if kind else ""


def _told(node: CheckpointNode) -> str:
    parts = [node.id, f"parent {node.parent}" if node.parent else "no parent"]
    if node.copy_of:
        parts.append(f"copy of {node.copy_of}")
    if node.writes:
        parts.append(counted(node.writes, "pending write"))
    if node.created_at is not None:
        parts.append(node.created_at.isoformat())
    return ", ".join(parts)


def _x(depth: int) -> float:
    return _COLUMN * depth + _COLUMN / 2


def _y(number: int) -> float:
    return _ROW * number + _TOP


__all__ = ["picture"]
