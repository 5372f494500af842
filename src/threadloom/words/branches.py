"""Checkpoints in the order in which a tree of them is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from threadloom import CheckpointNode, CheckpointTree


class Drawn(NamedTuple):
    """One checkpoint of the drawing.

    Attributes:
        depth: how many branches it is away from the way to the head.
        lead: what leads to it, as text; ends with its mark.
        node: the checkpoint.
    """

    depth: int
    lead: str
    node: CheckpointNode


def draw(tree: CheckpointTree, namespace: str) -> Iterator[Drawn]:
    """A namespace from its first checkpoint on.

    What leads to the head goes straight down; a branch stands indented under the checkpoint that
    it leaves.
    """
    children = tree.children(namespace)
    main = _way_to_head(tree, namespace)
    later = [(0, "", "", node) for node in reversed(children.get(None, []))]
    while later:
        depth, first, then, node = later.pop()
        while True:
            yield Drawn(depth, first + ("●" if node.is_head else "○"), node)
            below = children.get(node.id, [])
            if not below:
                break
            # Straight on goes what leads to the head; off the main way, what came last.
            on = next((child for child in below if child.id in main), below[-1])
            branches = [child for child in below if child is not on]
            if branches:
                later.append((depth, then, then, on))
                later += [
                    (depth + 1, f"{then}├─", f"{then}│ ", child) for child in reversed(branches)
                ]
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


def marks(node: CheckpointNode) -> list[str]:
    """What stands out: head, tip (of another branch), interrupted, error."""
    found = ["head"] if node.is_head else ["tip"] if node.is_tip else []
    if node.interrupts:
        found.append("interrupted")
    if node.errors:
        found.append("error")
    return found


__all__ = ["Drawn", "draw", "marks"]
