"""Checkpoints drawn as a tree, and as rows and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from threadloom import CheckpointNode, CheckpointTree
from threadloom.cli.output import Column, Size, counted, in_words
from threadloom.cli.values import in_a_line, plain

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


class Drawn:
    """One line of the drawing: what leads to a checkpoint, and the checkpoint."""

    __slots__ = ("lead", "node")

    def __init__(self, lead: str, node: CheckpointNode) -> None:
        self.lead = lead
        self.node = node


def draw(tree: CheckpointTree, namespace: str) -> Iterator[Drawn]:
    """A namespace from its first checkpoint on.

    What leads to the head goes straight down; a branch stands indented under the checkpoint that
    it leaves.
    """
    children = tree.children(namespace)
    main = _way_to_head(tree, namespace)
    later = [("", "", node) for node in reversed(children.get(None, []))]
    while later:
        first, then, node = later.pop()
        while True:
            yield Drawn(first + ("●" if node.is_head else "○"), node)
            below = children.get(node.id, [])
            if not below:
                break
            # Straight on goes what leads to the head; off the main way, what came last.
            on = next((child for child in below if child.id in main), below[-1])
            branches = [child for child in below if child is not on]
            if branches:
                later.append((then, then, on))
                later += [(f"{then}├─", f"{then}│ ", child) for child in reversed(branches)]
                break
            first, node = then, on


def _way_to_head(tree: CheckpointTree, namespace: str) -> set[str]:
    known = {node.id: node for node in tree.of(namespace)}
    found: set[str] = set()
    node = tree.head(namespace)
    while node is not None and node.id not in found:
        found.add(node.id)
        node = None if node.parent is None else known.get(node.parent)
    return found


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


def marks(node: CheckpointNode) -> list[str]:
    """What stands out: head, tip (of another branch), interrupted, error."""
    found = ["head"] if node.is_head else ["tip"] if node.is_tip else []
    if node.interrupts:
        found.append("interrupted")
    if node.errors:
        found.append("error")
    return found


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


__all__ = ["COLUMNS", "document", "draw", "marks", "picture", "row"]
