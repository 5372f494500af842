"""How a migration goes, whatever it brings over: the choice, the run, the dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from threadloom.errors import InvalidKey, SessionNotFound
from threadloom.migrate.carrying import Carrier, Part
from threadloom.migrate.reports import MigrationReport, Progress, ThreadReport
from threadloom.migrate.sampling import LARGEST_TRIAL, Estimate, estimate
from threadloom.migrate.target import Target

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring

AnyPart = TypeVar("AnyPart", bound=Part)


def chosen(
    found: list[AnyPart], wanted: Iterable[str] | None, *, noun: str, source: str
) -> list[AnyPart]:
    """Those that are wanted, in that order; all of them where that is None.

    Raises:
        InvalidKey: a text is no list of ids.
        SessionNotFound: there is no such one.
    """
    if isinstance(wanted, str):
        raise InvalidKey(f"{noun}s is a list of ids, not the text {wanted!r}")
    if wanted is None:
        return found
    by_id = {part.id: part for part in found}
    ids = list(dict.fromkeys(wanted))
    for id in ids:
        if id not in by_id:
            raise SessionNotFound(f"{source} has no {noun} {id!r}")
    return [by_id[id] for id in ids]


def bring_all(
    carrier: Carrier, parts: Sequence[Part], progress: Callable[[Progress], None] | None
) -> tuple[ThreadReport, ...]:
    """Bring everything over, one after another."""
    total = sum(part.bytes for part in parts)
    finished = 0
    reports: list[ThreadReport] = []
    for number, part in enumerate(parts):
        done = 0

        def tick(size: int) -> None:
            nonlocal done
            done += size
            if progress is not None:
                progress(Progress(part.id, number, len(parts), finished + done, total))  # noqa: B023

        reports.append(carrier.thread(part.id, part.bytes, tick))
        finished += part.bytes
        if progress is not None:
            progress(Progress(part.id, number + 1, len(parts), finished, total))
    return tuple(reports)


def try_all(
    begin: Callable[[Target], Carrier],
    parts: Sequence[Part],
    target: Target | None,
    encryption: Keyring | None,
    progress: Callable[[Progress], None] | None,
) -> MigrationReport:
    """What would become of everything; nothing is stored in the target.

    Args:
        begin: what brings parts into a target.
        parts: what is to be brought.
        target: where to; None for a store that is not there yet.
        encryption: keys to encrypt what is stored.
        progress: called now and then.
    """
    standing: dict[str, ThreadReport] = {}
    if target is not None:
        carrier = begin(target)
        for part in parts:
            outcome, reason = carrier.standing(part.id)
            standing[part.id] = ThreadReport(
                id=part.id, outcome=outcome, bytes=part.bytes, reason=reason
            )
    found = estimate(begin, parts, largest=LARGEST_TRIAL, encryption=encryption, progress=progress)
    return MigrationReport(
        source="",
        dry_run=True,
        threads=tuple(_would_be(part, standing.get(part.id), found) for part in parts),
        bytes_after=found.bytes,
        sampled=None if found.whole else len(found.trials),
    )


def _would_be(part: Part, standing: ThreadReport | None, found: Estimate) -> ThreadReport:
    """What would become of one: what the target says, and whether it can be read."""
    trial = found.trials.get(part.id)
    if standing is not None and standing.outcome in ("refused", "skipped", "failed"):
        return standing
    if trial is not None and trial.outcome == "failed":
        return trial
    return ThreadReport(
        id=part.id,
        outcome="migrated" if standing is None else standing.outcome,
        bytes=part.bytes,
        notes=() if trial is None else trial.notes,
        **part.counts,  # type: ignore[arg-type]
    )


__all__ = ["bring_all", "chosen", "try_all"]
