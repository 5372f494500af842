"""The index of many sessions, on servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.saver import Parts
from benchmarks.scenario import Job
from benchmarks.scenarios.index import OWNERS, PAGE, Index, Looks, session
from benchmarks.sizes import Size

_SPACE = ("sessions",)
_AT_ONCE = 1_000


class Listing(Index):
    """As `index`, beside an index that an application keeps by hand in LangGraph's store."""

    name = "listing"
    title = "The index of many sessions, on PostgreSQL and Redis"
    savers = ("postgres-store", "threadloom-postgres", "threadloom-redis")

    def about(self, size: Size) -> str:
        return (
            f"{super().about(size)} LangGraph's PostgresStore has what an application would keep "
            "in it by hand, an item a session; it neither searches for words nor counts, so it is "
            "asked for all items of a group, to count them."
        )

    @contextmanager
    def filled(self, job: Job, folder: Path, count: int) -> Iterator[Looks]:
        if job.saver.url is not None:
            with super().filled(job, folder, count) as looks:
                yield looks
            return
        opened: Any = job.saver.open(folder)
        with opened as parts:
            _fill(parts, count)
            yield _looks(parts, count)


def _fill(parts: Parts, count: int) -> None:
    from langgraph.store.base import PutOp

    for start in range(0, count, _AT_ONCE):
        ops = []
        for number in range(start, min(start + _AT_ONCE, count)):
            id, name, owner, group = session(number, count)
            ops.append(PutOp(_SPACE, id, {"name": name, "owner": owner, "group": group}))
        parts.saver.batch(ops)


def _looks(parts: Parts, count: int) -> Looks:
    search = parts.saver.search

    def page() -> None:
        assert len(search(_SPACE, limit=PAGE)) == min(PAGE, count)

    def owner() -> None:
        found = search(_SPACE, filter={"owner": "owner-1"}, limit=PAGE)
        assert len(found) == min(PAGE, -(-(count - 1) // OWNERS))

    def filtered() -> None:
        assert len(search(_SPACE, filter={"group": 1}, limit=count)) == -(-(count - 1) // 10)

    return [("page", page), ("owner", owner), ("filter", filtered)]


SCENARIO = Listing()
