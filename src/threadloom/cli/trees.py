"""Checkpoints drawn as a tree, and as rows and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from threadloom import CheckpointNode, CheckpointTree
from threadloom.cli.output import Column, Size
from threadloom.words.amounts import counted, in_words
from threadloom.words.branches import Drawn, draw, marks
from threadloom.words.values import in_a_line, plain

COLUMNS = (
    Column("id"),
    Column("parent"),
    Column("namespace"),
    Column("step", right=True),
    Column("source"),
    Column("created"),
    Column("marks"),
    Column("writes", right=True),
    Column("messages", right=True),
    Column("bytes", right=True),
)
_SHORT = 8
_WIDE = 100
"""Columns of a terminal from which on ids are shown whole."""


def picture(tree: CheckpointTree, namespace: str, *, width: int) -> Iterator[Text]:
    """The drawing with what is to be said of each checkpoint, for a terminal of so many columns."""
    for drawn in draw(tree, namespace):
        node = drawn.node
        line = Text(drawn.lead + " ", style="bold green" if node.is_head else "")
        line.append(node.id if width >= _WIDE else f"…{node.id[-_SHORT:]}", style="cyan")
        line.append("  " + ", ".join(_facts(node, wide=width >= _WIDE)))
        for mark in marks(node):
            style = {"head": "bold green", "tip": "yellow"}.get(mark, "bold red")
            line.append(f"  {mark}", style="yellow" if mark == "interrupted" else style)
        for value in node.interrupts:
            line.append(f"\n{_under(drawn)}waits: {in_a_line(value)}", style="yellow")
        for error in node.errors:
            line.append(f"\n{_under(drawn)}failed: {' '.join(error.split())}", style="red")
        yield line


def _under(drawn: Drawn) -> str:
    return drawn.lead[:-1].replace("├─", "│ ") + "    "


def _facts(node: CheckpointNode, *, wide: bool) -> Iterator[str]:
    yield "step ?" if node.step is None else f"step {node.step}"
    if node.source is not None and node.source != "loop":
        yield node.source
    if node.copy_of is not None and wide:
        yield f"copy of …{node.copy_of[-_SHORT:]}"
    if node.messages is not None:
        yield counted(node.messages, "message")
    if wide:
        yield in_words(node.bytes)
        if node.created_at is not None:
            yield f"{node.created_at:%Y-%m-%d %H:%M:%S}"


def row(node: CheckpointNode) -> tuple[Any, ...]:
    """A checkpoint as a row."""
    return (
        node.id,
        node.parent,
        node.namespace,
        node.step,
        node.source,
        node.created_at,
        marks(node),
        node.writes,
        node.messages,
        Size(node.bytes),
    )


def document(node: CheckpointNode) -> dict[str, Any]:
    """A checkpoint as JSON."""
    return {**plain(node), "marks": marks(node)}


__all__ = ["COLUMNS", "document", "picture", "row"]
