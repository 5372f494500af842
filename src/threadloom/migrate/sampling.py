"""What threads would take up in an SQLite store: they are brought over into a temporary one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

from threadloom.migrate.carrying import Carrier, Part
from threadloom.migrate.reports import Progress, ThreadReport
from threadloom.migrate.target import SetClock, Target
from threadloom.sessions import SessionManager
from threadloom.stores.registry import open_store

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring

LARGEST_TRIAL = 200_000_000
"""Bytes of the source that are brought over for an estimate, if it has more."""

AnyPart = TypeVar("AnyPart", bound=Part)


class Estimate(NamedTuple):
    """What a trial has shown.

    Attributes:
        bytes: about what all threads would take up; None where none could be brought over.
        trials: the threads that were tried.
        whole: whether those were all.
    """

    bytes: int | None
    trials: dict[str, ThreadReport]
    whole: bool


def estimate(
    begin: Callable[[Target], Carrier],
    threads: Sequence[Part],
    *,
    largest: int = LARGEST_TRIAL,
    encryption: Keyring | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Estimate:
    """Bring threads over into a temporary file and measure it.

    Where they are larger than `largest` together, some of every size stand for all, by their
    share of the bytes; at least one thread is brought over whole.

    Args:
        begin: what brings threads into a target.
        threads: what is to be brought.
        largest: bytes of the source that are brought over at most.
        encryption: keys to encrypt what is stored.
        progress: called after each piece.
    """
    chosen = sample(threads, largest)
    total = sum(thread.bytes for thread in chosen)
    trials: dict[str, ThreadReport] = {}
    with tempfile.TemporaryDirectory(prefix="threadloom-") as folder:
        file = Path(folder) / "trial.db"
        open_store(_url(file)).close()
        empty = file.stat().st_size
        clock = SetClock()
        with open_store(_url(file)) as store:
            manager = SessionManager(store, clock=clock, encryption=encryption)
            target = Target(manager, manager.checkpointer(), clock)
            carrier = begin(target)
            done = 0
            for number, thread in enumerate(chosen):

                def tick(size: int) -> None:
                    nonlocal done
                    done += size
                    if progress is not None:
                        at = Progress(thread.id, number, len(chosen), min(done, total), total)  # noqa: B023
                        progress(at)

                trials[thread.id] = carrier.thread(thread.id, thread.bytes, tick)
        size = file.stat().st_size
    good = sum(report.bytes for report in trials.values() if report.outcome != "failed")
    if threads and not good:
        return Estimate(None, trials, len(chosen) == len(threads))
    wanted = sum(
        thread.bytes
        for thread in threads
        if thread.id not in trials or trials[thread.id].outcome != "failed"
    )
    after = empty + (size - empty) * wanted // good if good else empty
    return Estimate(after, trials, len(chosen) == len(threads))


def sample(threads: Sequence[AnyPart], largest: int) -> Sequence[AnyPart]:
    """All threads if they are small enough, or else some of every size."""
    total = sum(thread.bytes for thread in threads)
    if total <= largest:
        return threads
    by_size = sorted(threads, key=lambda thread: (thread.bytes, thread.id))
    step = -(-total // max(largest, 1))
    chosen: list[AnyPart] = []
    size = 0
    for thread in by_size[min(step // 2, len(by_size) - 1) :: step]:
        if chosen and size + thread.bytes > largest:
            break
        chosen.append(thread)
        size += thread.bytes
    return chosen


def _url(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


__all__ = ["LARGEST_TRIAL", "Estimate", "estimate", "sample"]
