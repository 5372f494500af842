"""The index of many sessions: pages, searches, counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.scenario import Column, Job, Scenario, millis, share
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures
from threadloom import SessionManager

Looks = list[tuple[str, Callable[[], Any]]]
"""What is measured, by its name among the figures."""

FOUND = 40
"""Sessions whose name has the word that is searched for, however many there are."""
OWNERS = 50
PAGE = 20
LOOKS = 15


class Index(Scenario):
    """A store of few sessions, and one of a hundred times as many."""

    name = "index"
    title = "The index of many sessions"
    savers = ("threadloom-sqlite",)
    most_runs = 1

    def about(self, size: Size) -> str:
        few, many = human_number(size.turns), human_number(size.turns * 100)
        return (
            f"A store of {few} sessions and one of {many}: a page of {PAGE} of the newest, a page "
            f"of {PAGE} of one of {OWNERS} owners, a search for a word that {FOUND} names have, a "
            "count, and a count by metadata, which no index helps. LangGraph's savers have no "
            f"index. Each figure is the median of {LOOKS}; the ratio is that of the large store to "
            "the small one."
        )

    def baseline(self, saver: str) -> str:
        return saver

    def measure(self, job: Job) -> Figures:
        figures: Figures = {}
        for kind, count in (("few", job.size.turns), ("many", job.size.turns * 100)):
            folder = job.folder / kind
            folder.mkdir()
            with self.filled(job, folder, count) as looks:
                for name, look in looks:
                    figures[f"{name}_{kind}"] = _median(look)
        return figures

    @contextmanager
    def filled(self, job: Job, folder: Path, count: int) -> Iterator[Looks]:
        """Make so many sessions; what is measured on them."""
        assert job.saver.url is not None
        with SessionManager(job.saver.url(folder)) as sessions:
            _fill(sessions, count)
            yield _looks(sessions, count)

    def columns(self, size: Size) -> list[Column]:
        found: list[Column] = []
        for name, heading in (
            ("page", "page"),
            ("owner", "page of an owner"),
            ("search", "search"),
        ):
            found.append(millis(heading, f"{name}_many"))
            found.append(share("× few", f"{name}_many", f"{name}_few"))
        return [*found, millis("count", "count_many"), millis("count by metadata", "filter_many")]


def session(number: int, count: int) -> tuple[str, str, str, int]:
    """One of so many sessions: id, name, owner, group."""
    every = max(1, count // FOUND)
    rare = " needle" if number % every == 0 and number // every < FOUND else ""
    return f"session-{number}", f"Session {number}{rare}", f"owner-{number % OWNERS}", number % 10


def _fill(sessions: SessionManager, count: int) -> None:
    for number in range(count):
        id, name, owner, group = session(number, count)
        sessions.create_session(id=id, name=name, owner=owner, metadata={"group": group})


def _looks(sessions: SessionManager, count: int) -> Looks:
    def page() -> None:
        assert len(sessions.list_sessions(order_by="updated_at", limit=PAGE)) == min(PAGE, count)

    def owner() -> None:
        found = sessions.list_sessions(owner="owner-1", order_by="updated_at", limit=PAGE)
        assert len(found) == min(PAGE, -(-(count - 1) // OWNERS))

    def search() -> None:
        assert len(sessions.search_sessions("needle")) == min(FOUND, count)

    def counted() -> None:
        assert sessions.count_sessions() == count

    def filtered() -> None:
        assert sessions.count_sessions(metadata={"group": 1}) == -(-(count - 1) // 10)

    return [
        ("page", page),
        ("owner", owner),
        ("search", search),
        ("count", counted),
        ("filter", filtered),
    ]


def _median(look: Callable[[], Any]) -> float:
    """The median of the seconds that something takes."""
    seconds = []
    for _ in range(LOOKS):
        start = perf_counter()
        look()
        seconds.append(perf_counter() - start)
    return median(seconds)


SCENARIO = Index()
