"""The index of many sessions, on servers."""

from __future__ import annotations

from benchmarks.scenarios.index import Index


class Listing(Index):
    """As `index`."""

    name = "listing"
    title = "The index of many sessions, on PostgreSQL and Redis"
    savers = ("threadloom-postgres", "threadloom-redis")


SCENARIO = Listing()
