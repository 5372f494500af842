"""`threadloom migrate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from threadloom.cli import output
from threadloom.cli.group import FAILED, OK, USAGE, Fault
from threadloom.cli.output import Column, Size
from threadloom.cli.places import Place, import_modules
from threadloom.display.words import in_words
from threadloom.errors import ThreadloomError
from threadloom.migrate import MigrationReport, migrate_langgraph
from threadloom.migrate.source import holds_checkpoints
from threadloom.migrate.sources import check_source, has_source
from threadloom.stores.registry import check_url

_THERE = {False: "written", True: "there"}
_THREADS = (
    Column("thread"),
    Column("outcome"),
    Column("checkpoints", right=True),
    Column("writes", right=True),
    Column("bytes", right=True),
)


def migrate(
    old: Place,
    new: Place,
    *,
    threads: Sequence[str] | None,
    tenant: str | None,
    imports: Sequence[str],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring LangGraph's threads over and print what became of them; returns the exit code."""
    source = _source(old)
    _check_target(old.path, new)
    import_modules(imports)
    label = "Trying out" if dry_run else "Migrating"
    check_url(new.url)
    with output.progress(label, quiet=as_json) as show:
        report = migrate_langgraph(
            source,
            None if dry_run and not _exists(new) else new.url,
            threads=threads,
            tenant=tenant,
            dry_run=dry_run,
            progress=show,
        )
    after = report.bytes_after if dry_run else _size(new)
    if as_json:
        output.document(
            {**report.model_dump(mode="json"), "target": new.shown, "bytes_after": after}
        )
    else:
        _print(report, old, new, after)
    return OK if report.complete else FAILED


def _print(report: MigrationReport, old: Place, new: Place, after: int | None) -> None:
    rows: list[tuple[Any, ...]] = []
    for thread in report.threads:
        outcome = f"to be {thread.outcome}" if report.dry_run else thread.outcome
        if thread.outcome in ("failed", "skipped", "refused"):
            outcome = thread.outcome
        rows.append((thread.id, outcome, thread.checkpoints, thread.writes, Size(thread.bytes)))
    output.table(_THREADS, rows)
    before = in_words(report.bytes_before)
    size = "unknown" if after is None else in_words(after)
    if report.dry_run:
        basis = "" if report.sampled is None else f", by a sample of {report.sampled} threads"
        output.fact(f"Dry run, nothing was stored: {before} would become about {size}{basis}")
    else:
        output.line(f"{old.shown} {before} → {new.shown} {size}")
    if report.items:
        output.fact(f"Items of long-term memory {_THERE[report.dry_run]}: {report.items:,}")
    for thread in report.threads:
        for note in thread.notes:
            output.remark(f"thread {thread.id}: {note}")
    for thread in report.threads:
        if thread.reason:
            output.remark(f"threadloom: thread {thread.id} {thread.outcome}: {thread.reason}")


def _source(old: Place) -> Path | str:
    if old.path is None:
        if old.folder is None and has_source(old.url.partition("://")[0].lower()):
            return old.url
        if old.folder is None:
            check_source(old.url)
        raise Fault(f"{old.shown} is no file: migrate reads what LangGraph's savers wrote")
    if not holds_checkpoints(old.path):
        with suppress(ThreadloomError), closing(old.open()):
            raise Fault(
                f"{old.shown} is a store of Threadloom already: OLD is what LangGraph wrote, NEW "
                "where it goes"
            )
        raise Fault(f"{old.shown} holds no checkpoints of LangGraph's SqliteSaver")
    return old.path


def _check_target(source: Path | None, new: Place) -> None:
    """Refuse a target that could not be used before anything is read."""
    if new.path is None:
        return
    if source is not None and new.path.exists() and new.path.samefile(source):
        raise Fault("OLD and NEW are the same file: migrate into a new one", code=USAGE)
    if not new.path.parent.is_dir():
        raise Fault(f"the folder {new.path.parent} does not exist: make it first")
    if new.path.is_dir():
        raise Fault(f"{new.shown} is a folder: name a file in it")
    if not os.access(new.path if new.path.exists() else new.path.parent, os.W_OK):
        raise Fault(f"{new.shown} cannot be written: choose another place, or see to its rights")


def _exists(new: Place) -> bool:
    return new.path is None or (new.path.is_file() and new.path.stat().st_size > 0)


def _size(new: Place) -> int | None:
    return new.path.stat().st_size if new.path is not None and new.path.is_file() else None


__all__ = ["migrate"]
