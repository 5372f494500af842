"""The chat that grows, on servers."""

from __future__ import annotations

from benchmarks.savers import ON_SERVERS
from benchmarks.scenario import Column, seconds, size, times
from benchmarks.scenarios.growth import Growth, turn_columns
from benchmarks.sizes import Size
from benchmarks.units import human_number


class Servers(Growth):
    """As `growth`, beside LangGraph's savers on PostgreSQL."""

    name = "servers"
    title = "A chat that grows, on PostgreSQL and Redis"
    savers = tuple(ON_SERVERS)
    variants = {"dropped": ""}  # noqa: RUF012  (never changed)

    def about(self, size: Size) -> str:
        return (
            f"The same chat of {human_number(size.turns)} turns, with servers on the same machine "
            "that are started for each row. “Stored” is tables and indexes, or Redis's dataset."
        )

    def baseline(self, saver: str) -> str:
        return "async-postgres-saver" if ON_SERVERS[saver].asynchronous else "postgres-saver"

    def columns(self, size_: Size) -> list[Column]:
        peer = "× PostgresSaver"
        found = turn_columns(size_.early, size_.turns)
        return [
            seconds("whole run", "seconds"),
            times(peer, "seconds"),
            seconds("CPU", "processor"),
            found[0],
            found[2],
            times(peer, "last"),
            size("stored", "stored"),
            times(peer, "stored"),
        ]


SCENARIO = Servers()
