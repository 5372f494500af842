"""Many sessions at the same time over a small pool of connections."""

from __future__ import annotations

from benchmarks import work
from benchmarks.chat import answering, asking
from benchmarks.on_servers import ON_SERVERS, POOL
from benchmarks.opened import opened
from benchmarks.scenario import Column, Job, Scenario, times
from benchmarks.sizes import Size
from benchmarks.units import NOTHING, human_number
from benchmarks.work import Figures

_OF_A_SERVER = tuple(name for name in ON_SERVERS if name != "threadloom-postgres-store")


class Crowd(Scenario):
    """Turns a second, all sessions together."""

    name = "crowd"
    title = "A crowd on a pool"
    savers = _OF_A_SERVER
    variants = {"short": "Short sessions.", "long": "Longer sessions."}  # noqa: RUF012

    def about(self, size: Size) -> str:
        return (
            f"{size.crowd} sessions at the same time, a thread or a task each, over a pool of "
            f"{POOL} connections: {human_number(self._turns(size, 'short'))} turns each, and "
            f"{human_number(self._turns(size, 'long'))}. Client and server share the machine's "
            "processors."
        )

    def baseline(self, saver: str) -> str:
        return "async-postgres-saver" if ON_SERVERS[saver].asynchronous else "postgres-saver"

    def measure(self, job: Job) -> Figures:
        turns = self._turns(job.size, job.variant)
        work.warm_up(job.saver)
        with opened(job.saver, job.folder) as place:
            graph = answering(job.size.characters)(place).compile(checkpointer=place.saver)
            crowd = [
                list(asking(turns, job.size.characters, (f"session-{number}",)))
                for number in range(job.size.crowd)
            ]
            seconds = place.drive_at_once(graph, crowd)
            for name in ("session-0", f"session-{job.size.crowd - 1}"):
                kept = len(place.head(name).checkpoint["channel_values"]["messages"])
                if kept != 2 * turns:
                    raise AssertionError(f"{name} has {kept} messages instead of {2 * turns}")
        return {"seconds": seconds, "rate": job.size.crowd * turns / seconds}

    def columns(self, size: Size) -> list[Column]:
        def rate(own: Figures, base: Figures | None) -> str:
            return NOTHING if own.get("rate") is None else f"{own['rate']:,.0f}"

        return [Column("turns a second", rate), times("× PostgresSaver", "rate")]

    @staticmethod
    def _turns(size: Size, variant: str) -> int:
        return size.turns_a_thread if variant == "short" else size.turns_a_thread * 5


SCENARIO = Crowd()
