"""Which records are nearest to a query."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from threadloom import items, vectors
from threadloom.ops import Record
from threadloom.plans import Outside


class Found(NamedTuple):
    """A record that a search found, with its score if it has one."""

    record: Record
    score: float | None = None


def nearest(query: Sequence[float], records: Sequence[Record], offset: int, limit: int) -> Outside:
    """The step of a plan that ranks records; it gives one page, a list of `Found`.

    The nearest comes first, and of equally near ones as they came. Behind them, as they came,
    is whatever has no vector of the query's length.

    Args:
        query: a vector of length 1.
        records: with their blobs.
        offset: how many to leave out.
        limit: how many to give at most.
    """

    def rank() -> list[Any]:
        stored = [items.decode(record) for record in records]
        scores = vectors.scores(
            query, [extra.vectors if extra.dims == len(query) else b"" for extra in stored]
        )
        places = sorted(range(len(records)), key=lambda at: _backwards(scores[at]))
        return [Found(records[at], scores[at]) for at in places[offset : offset + limit]]

    return Outside(rank, lambda: asyncio.to_thread(rank))


def _backwards(score: float | None) -> float:
    return 2.0 if score is None else -score
