"""What a scenario is. One more is one module in `scenarios/` and one line in its registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.saver import Saver
from benchmarks.savers import SAVERS, SYNCHRONOUS
from benchmarks.sizes import Size
from benchmarks.units import NOTHING, human_bytes, human_millis, human_ratio, human_seconds
from benchmarks.work import Figures

Cell = Callable[[Figures, Figures | None], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a scenario's table.

    Attributes:
        heading: what stands above it.
        cell: what stands in it, given a saver's figures and those of its baseline.
    """

    heading: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class Job:
    """What one fresh process is to measure.

    Attributes:
        saver: the saver.
        variant: which of the scenario's variants.
        size: how much work.
        folder: an empty folder for this process alone.
        prepared: the folder that `Scenario.prepare` has filled; to be left as it is.
    """

    saver: Saver
    variant: str
    size: Size
    folder: Path
    prepared: Path | None = None


class Scenario(ABC):
    """One kind of work that all savers do.

    Attributes:
        name: what the command line calls it.
        title: the heading of its tables.
        savers: the savers that take part unless `--only` names others.
        variants: the ways the work is done, by name, each with a line that explains it.
        most_runs: the most runs that are worth their time; None for as many as asked for.
        prepares: whether `prepare` fills a folder first, once a saver and variant; then only
            durable savers take part.
    """

    name: str
    title: str
    savers: tuple[str, ...] = SYNCHRONOUS
    variants: dict[str, str] = {"": ""}  # noqa: RUF012  (never changed)
    most_runs: int | None = None
    prepares: bool = False

    @abstractmethod
    def about(self, size: Size) -> str:
        """A paragraph that says what is done and measured."""

    @abstractmethod
    def measure(self, job: Job) -> Figures:
        """Do the work in this process, which nothing else uses."""

    @abstractmethod
    def columns(self, size: Size) -> list[Column]:
        """The columns of the table."""

    def prepare(self, job: Job) -> Figures | None:
        """Fill `job.folder` for the processes that measure."""
        raise NotImplementedError

    def baseline(self, saver: str) -> str:
        """The name of the saver that this one's ratios refer to."""
        return SAVERS[saver].floor


def seconds(heading: str, key: str) -> Column:
    """A time in seconds."""
    return Column(heading, lambda own, base: human_seconds(own.get(key)))


def millis(heading: str, key: str) -> Column:
    """A time in milliseconds."""
    return Column(heading, lambda own, base: human_millis(own.get(key)))


def size(heading: str, key: str) -> Column:
    """A number of bytes."""
    return Column(heading, lambda own, base: human_bytes(own.get(key)))


def times(heading: str, key: str) -> Column:
    """A figure as a multiple of the baseline's."""
    return Column(heading, lambda own, base: human_ratio(own.get(key), (base or {}).get(key)))


def share(heading: str, key: str, whole: str) -> Column:
    """A figure as a multiple of another one of the same saver."""
    return Column(heading, lambda own, base: human_ratio(own.get(key), own.get(whole)))


def rise(heading: str, last: str, early: str) -> Column:
    """How much a figure rose, as a multiple of the rise of the baseline's."""

    def cell(own: Figures, base: Figures | None) -> str:
        if base is None:
            return NOTHING
        if own[last] <= own[early]:
            return "none"
        return human_ratio(own[last] - own[early], base[last] - base[early])

    return Column(heading, cell)


def difference(heading: str, last: str, first: str) -> Column:
    """How many bytes one figure is above another one of the same saver."""

    def cell(own: Figures, base: Figures | None) -> str:
        if own.get(last) is None or own.get(first) is None:
            return human_bytes(None)
        return human_bytes(max(0, own[last] - own[first]))

    return Column(heading, cell)
