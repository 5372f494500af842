"""What most scenarios do: run a graph turn by turn, and measure time, bytes and memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from benchmarks.chat import answering, asking
from benchmarks.opened import Opened, Turn, opened
from benchmarks.process import memory_now, memory_peak
from benchmarks.saver import Saver

Figures = dict[str, Any]

AROUND = 15
POINTS_OF_A_CURVE = 40


def run(
    saver: Saver,
    folder: Path,
    build: Callable[[Opened], Any],
    turns: Iterable[Turn],
    *,
    total: int,
    early: int,
    keep: bool = False,
) -> Figures:
    """Open a saver, run a graph through all turns, close.

    Args:
        saver: the saver.
        folder: where its files go.
        build: makes a `StateGraph` whose nodes went through `Opened.node`.
        turns: the turns.
        total: how many there are.
        early: the turn whose time is compared with that of the last.
        keep: whether the caller keeps the last result.

    Returns:
        `seconds` to open, run and close, and of the `processor` in them, `early` and `last`, the
        seconds of a turn there (median of 15), `stored` bytes after close, resident memory
        `before`, `after` (results dropped, before close) and at its `peak`, and two curves:
        `times` and `bytes` by turn.
    """
    points = set(logarithmic(total, POINTS_OF_A_CURVE))
    sizes: list[tuple[int, int]] = []
    warm_up(saver)
    before = memory_now()

    processor = process_time()
    start = perf_counter()
    with opened(saver, folder) as place:
        graph = build(place).compile(checkpointer=place.saver)
        opening = perf_counter() - start

        def sample(turn: int) -> None:
            stored = place.stored() if turn in points else None
            if stored is not None:
                sizes.append((turn, stored))

        seconds = place.drive(graph, turns, keep=keep, after=sample)
        after = memory_now()
        start = perf_counter()
    closing = perf_counter() - start
    processor = process_time() - processor
    if len(seconds) != total:
        raise AssertionError(f"{len(seconds)} turns were run instead of {total}")
    return {
        "seconds": opening + sum(seconds) + closing,
        "processor": processor,
        "early": around(seconds, early),
        "last": around(seconds, total),
        "stored": place.stored(),
        "before": before,
        "after": after,
        "peak": max(memory_peak() or 0, after or 0) or None,
        "times": [(turn, around(seconds, turn)) for turn in sorted(points) if middle(turn, total)],
        "bytes": sizes,
    }


def warm_up(saver: Saver) -> None:
    """Have all modules imported and all code run once, on a store that is thrown away."""
    with tempfile.TemporaryDirectory() as folder, opened(saver, Path(folder)) as place:
        graph = answering(10)(place).compile(checkpointer=place.saver)
        place.drive(graph, asking(5, 10, ("warm-up",)))


def around(seconds: list[float], turn: int) -> float:
    """The median of the 15 turns around a turn, or of the nearest at the ends."""
    first = max(0, min(turn - 1 - AROUND // 2, len(seconds) - AROUND))
    return median(seconds[first : first + AROUND])


def middle(turn: int, total: int) -> bool:
    """Whether a turn has as many turns before it as a median looks at; all have in short runs."""
    return total <= AROUND or turn > AROUND // 2


def logarithmic(last: int, count: int) -> list[int]:
    """At most so many whole numbers from 1 to `last`, evenly spread on a log scale."""
    if count < 2:
        return [last]
    return sorted({round(last ** (step / (count - 1))) for step in range(count)})
