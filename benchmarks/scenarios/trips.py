"""Round trips to the server, counted and not timed."""

from __future__ import annotations

from benchmarks.chat import answering, asking
from benchmarks.on_servers import ON_SERVERS, counted
from benchmarks.opened import opened
from benchmarks.scenario import Column, Job, Scenario, size
from benchmarks.sizes import Size
from benchmarks.units import NOTHING
from benchmarks.work import Figures

_TURNS = 10


class Trips(Scenario):
    """What a turn and a read ask the server, in the middle of a conversation."""

    name = "trips"
    title = "Round trips"
    savers = tuple(name for name, saver in ON_SERVERS.items() if not saver.asynchronous)
    most_runs = 1

    def about(self, size: Size) -> str:
        return (
            f"Counted on the wire over {_TURNS} turns of a chat that is under way: a turn is one "
            "read, three puts and two puts of pending writes for every saver. “Read” is a "
            "`get_tuple` after them."
        )

    def baseline(self, saver: str) -> str:
        return saver

    def measure(self, job: Job) -> Figures:
        with counted(job.saver.server) as counter, opened(job.saver, job.folder) as place:
            graph = answering(job.size.characters)(place).compile(checkpointer=place.saver)
            turns = list(asking(3 * _TURNS, job.size.characters))
            place.drive(graph, turns[: 2 * _TURNS])
            before = counter.trips, counter.sent, counter.received
            place.drive(graph, turns[2 * _TURNS :])
            after = counter.trips, counter.sent, counter.received
            trips, sent, received = (b - a for a, b in zip(before, after, strict=True))
            place.head(turns[0].thread)
            reading = counter.trips - after[0]
        return {
            "trips": trips / _TURNS,
            "sent": sent / _TURNS,
            "received": received / _TURNS,
            "reading": reading,
        }

    def columns(self, size_: Size) -> list[Column]:
        def number(key: str) -> Column:
            def cell(own: Figures, base: Figures | None) -> str:
                return NOTHING if own.get(key) is None else f"{own[key]:g}"

            return Column({"trips": "round trips a turn", "reading": "a read"}[key], cell)

        return [
            number("trips"),
            number("reading"),
            size("sent a turn", "sent"),
            size("received a turn", "received"),
        ]


SCENARIO = Trips()
