"""The order in which checkpoints are put: parents before their children."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple


class Order(NamedTuple):
    """Checkpoints of one namespace in the order of their puts.

    Attributes:
        ids: the checkpoints.
        parents: what each goes on from; None where it begins, or where the link is cut.
        cut: how many links lead to a checkpoint that is gone, or in a circle.
        by_id: whether this is the order of the ids as well, which is how LangGraph lists them.
    """

    ids: list[str]
    parents: dict[str, str | None]
    cut: int
    by_id: bool


def put_order(links: Mapping[str, str | None]) -> Order:
    """Order checkpoints by id as far as parents come first.

    Ids begin with the time, so a parent sorts behind its child only where a clock was set back.

    Args:
        links: the parent of each checkpoint.
    """
    parents = {id: parent if parent in links else None for id, parent in links.items()}
    cut = sum(bool(parent) and parents[id] is None for id, parent in links.items())
    ids: list[str] = []
    seen: set[str] = set()
    while len(ids) < len(parents):
        left = [id for id in parents if id not in seen]
        if all(parents[id] is not None for id in left):
            # They go in a circle: an id was put again below its own descendants.
            parents[_on_circle(min(left), parents)] = None
            cut += 1
        new = _from_roots(left, parents)
        ids += new
        seen.update(new)
    by_id = all(one < other for one, other in pairwise(ids))
    return Order(ids, parents, cut, by_id)


def _from_roots(ids: Iterable[str], parents: Mapping[str, str | None]) -> list[str]:
    children: dict[str, list[str]] = {}
    ready: list[str] = []
    for id in ids:
        parent = parents[id]
        if parent is None:
            ready.append(id)
        else:
            children.setdefault(parent, []).append(id)
    heapq.heapify(ready)
    found: list[str] = []
    while ready:
        id = heapq.heappop(ready)
        found.append(id)
        for child in children.get(id, ()):
            heapq.heappush(ready, child)
    return found


def _on_circle(id: str, parents: Mapping[str, str | None]) -> str:
    """The smallest id of the circle that the way up from here ends in."""
    passed: set[str] = set()
    at = id
    while at not in passed:
        passed.add(at)
        at = parents[at] or id
    circle = [at]
    while (up := parents[circle[-1]]) is not None and up != at:
        circle.append(up)
    return min(circle)


__all__ = ["Order", "put_order"]
