"""`threadloom prune` and `threadloom check`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from threadloom import CheckReport, Keyring, PruneReport, SessionNotFound
from threadloom.cli import finding, output
from threadloom.cli.asking import ask
from threadloom.cli.group import FAILED, OK, USAGE, Fault
from threadloom.cli.listing import pages
from threadloom.cli.output import Column, Size
from threadloom.cli.places import Place
from threadloom.sessions import SessionManager
from threadloom.words.amounts import counted, in_words

_PRUNED = (Column("session"), Column("checkpoints", right=True), Column("bytes", right=True))
_PROBLEMS = (Column("session"), Column("kind"), Column("fixed"), Column("what"))
Show = Callable[[int, int, str], None]


# ── prune ─────────────────────────────────────────────────────────────────────────────────────
def prune(
    place: Place,
    ids: Sequence[str],
    *,
    keep_last: int | None,
    older_than: timedelta | None,
    dry_run: bool,
    yes: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> None:
    """Remove old checkpoints, after a question that says how many."""
    if keep_last is None and older_than is None:
        raise Fault("prune what? Give --keep-last N, --older-than AGE, or both", code=USAGE)
    with place.sessions(tenant, keys) as sessions:
        if ids:
            chosen = [info.id for info in finding.all_sessions(sessions, place, ids)]
        else:
            chosen = [info.id for info in pages(sessions, "created_at", None, {})]

        def pruned(label: str, *, dry: bool) -> list[PruneReport]:
            with output.counting(label, quiet=as_json) as show:
                return _each(sessions, chosen, keep_last, older_than, dry=dry, show=show)

        if dry_run or not yes:
            found = pruned("Looking", dry=True)
        if not dry_run:
            if not yes:
                if any(report.checkpoints for report in found):
                    ask(f"Remove {_sum(found)}? It cannot be undone.", yes=False)
            found = pruned("Pruning", dry=False)
    _tell(place, found, dry_run=dry_run, as_json=as_json)


def _each(
    sessions: SessionManager,
    ids: Sequence[str],
    keep_last: int | None,
    older_than: timedelta | None,
    *,
    dry: bool,
    show: Show | None,
) -> list[PruneReport]:
    found: list[PruneReport] = []
    for number, id in enumerate(ids, start=1):
        try:
            report = sessions.prune([id], keep_last=keep_last, older_than=older_than, dry_run=dry)
        except SessionNotFound:
            continue  # it was there a moment ago
        if report.checkpoints:
            found.append(report)
        if show is not None:
            show(number, len(ids), id)
    return found


def _sum(found: Sequence[PruneReport]) -> str:
    checkpoints = sum(report.checkpoints for report in found)
    size = in_words(sum(report.bytes for report in found))
    return f"{counted(checkpoints, 'checkpoint')} of {counted(len(found), 'session')}, {size}"


def _tell(place: Place, found: Sequence[PruneReport], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        whole = PruneReport(
            sessions=tuple(id for report in found for id in report.sessions),
            checkpoints=sum(report.checkpoints for report in found),
            records=sum(report.records for report in found),
            bytes=sum(report.bytes for report in found),
            dry_run=dry_run,
        )
        output.document({"store": place.shown, **whole.model_dump(mode="json")})
        return
    rows = [(report.sessions[0], report.checkpoints, Size(report.bytes)) for report in found]
    output.table(_PRUNED, rows)
    if dry_run:
        output.fact(f"Dry run, nothing was removed: it would be {_sum(found)}")
    else:
        output.line(f"Removed {_sum(found)}")


# ── check ─────────────────────────────────────────────────────────────────────────────────────
def check(
    place: Place,
    id: str | None,
    *,
    fix: bool,
    yes: bool,
    tenant: str | None,
    keys: Keyring | None,
    as_json: bool,
) -> int:
    """Look for damage, and mend it after a question; returns the exit code."""
    with place.sessions(tenant, keys) as sessions:
        chosen = None if id is None else finding.session(sessions, place, id).id
        report = _checked(sessions, chosen, "Checking", fix=False, quiet=as_json)
        if fix and not report.ok:
            if not as_json and not yes:
                output.rows_for_people(_PROBLEMS, _rows(report))
            what = counted(len(report.problems), "problem")
            ask(f"{what} found. Mend what can be mended without guessing?", yes=yes)
            report = _checked(sessions, chosen, "Mending", fix=True, quiet=as_json)
    if as_json:
        content = report.model_dump(mode="json")
        output.document({"store": place.shown, "ok": report.ok, **content})
    else:
        output.table(_PROBLEMS, _rows(report))
        left = sum(not problem.fixed for problem in report.problems)
        found = f"{counted(left, 'problem')} left" if left else "nothing is wrong"
        output.line(f"{counted(report.sessions, 'session')}: {found}")
        if left and not fix:
            output.line(f"To mend what can be mended: threadloom check {place.shown} --fix")
    return OK if report.ok else FAILED


def _checked(
    sessions: SessionManager, id: str | None, label: str, *, fix: bool, quiet: bool
) -> CheckReport:
    with output.counting(label, quiet=quiet) as show:
        return sessions.check(id, fix=fix, progress=show)


def _rows(report: CheckReport) -> list[tuple[str, str, str, str]]:
    return [
        (problem.session_id, problem.kind, "fixed" if problem.fixed else "", problem.detail)
        for problem in report.problems
    ]


__all__ = ["check", "prune"]
