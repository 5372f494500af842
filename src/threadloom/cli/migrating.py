"""`threadloom migrate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from threadloom import Keyring
from threadloom.cli import output
from threadloom.cli.group import FAILED, OK, USAGE, Fault
from threadloom.cli.output import Column, Size
from threadloom.cli.places import Place, import_modules
from threadloom.errors import ThreadloomError
from threadloom.migrate import MigrationReport, migrate_histories, migrate_langgraph
from threadloom.migrate.base import HoldsNothing
from threadloom.migrate.conversations import HISTORY_ENTRY_POINTS
from threadloom.migrate.files import columns_of
from threadloom.migrate.folders import is_history
from threadloom.migrate.source import is_langgraph
from threadloom.migrate.sources import check_source, has_source, open_histories, open_source
from threadloom.migrate.tables import tables_among
from threadloom.stores.registry import check_url
from threadloom.words.amounts import in_words

_THERE = {False: "written", True: "there"}
_THREADS = (
    Column("thread"),
    Column("outcome"),
    Column("checkpoints", right=True),
    Column("writes", right=True),
    Column("bytes", right=True),
)
_HISTORIES = (
    Column("session"),
    Column("outcome"),
    Column("messages", right=True),
    Column("bytes", right=True),
)


class Old(NamedTuple):
    """What OLD is.

    Attributes:
        source: its path or URL.
        is_history: whether chat histories are to be read, not checkpoints.
        histories: the tables of chat histories in it.
    """

    source: Path | str
    is_history: bool
    histories: tuple[str, ...] = ()


def migrate(
    old: Place,
    new: Place,
    *,
    threads: Sequence[str] | None,
    table: str | None,
    tenant: str | None,
    keys: Keyring | None,
    imports: Sequence[str],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring LangGraph's threads or LangChain's histories over; returns the exit code.

    What became of them is printed.
    """
    found = _look(old, table, keys)
    _check_target(old.path, new)
    import_modules(imports)
    label = "Trying out" if dry_run else "Migrating"
    check_url(new.url)
    target = None if dry_run and not _exists(new) else new.url
    with output.progress(label, quiet=as_json) as show, new.asking_for_keys(keys):
        if found.is_history:
            report = migrate_histories(
                found.source,
                target,
                table=table,
                sessions=threads,
                tenant=tenant,
                encryption=keys,
                dry_run=dry_run,
                progress=show,
            )
        else:
            report = migrate_langgraph(
                found.source,
                target,
                threads=threads,
                tenant=tenant,
                encryption=keys,
                dry_run=dry_run,
                progress=show,
            )
    after = report.bytes_after if dry_run else _size(new)
    left = () if found.is_history else found.histories
    if as_json:
        output.document(
            {
                **report.model_dump(mode="json"),
                "target": new.shown,
                "bytes_after": after,
                "histories_left": left,
            }
        )
        return OK if report.complete else FAILED
    _print(report, old, new, after, of_histories=found.is_history)
    if left:
        output.remark(
            f"{old.shown} holds chat histories as well, which stay there ({', '.join(left)}). To "
            f"bring them over: threadloom migrate {old.shown} {new.shown} --table {quote(left[0])}"
        )
    return OK if report.complete else FAILED


def _print(
    report: MigrationReport, old: Place, new: Place, after: int | None, *, of_histories: bool
) -> None:
    noun = "session" if of_histories else "thread"
    rows: list[tuple[Any, ...]] = []
    for thread in report.threads:
        outcome = f"to be {thread.outcome}" if report.dry_run else thread.outcome
        if thread.outcome in ("failed", "skipped", "refused"):
            outcome = thread.outcome
        counts = (thread.messages,) if of_histories else (thread.checkpoints, thread.writes)
        rows.append((thread.id, outcome, *counts, Size(thread.bytes)))
    output.table(_HISTORIES if of_histories else _THREADS, rows)
    before = in_words(report.bytes_before)
    size = "unknown" if after is None else in_words(after)
    if report.dry_run:
        basis = "" if report.sampled is None else f", by a sample of {report.sampled} {noun}s"
        output.fact(f"Dry run, nothing was stored: {before} would become about {size}{basis}")
    else:
        output.line(f"{old.shown} {before} → {new.shown} {size}")
    if report.items:
        output.fact(f"Items of long-term memory {_THERE[report.dry_run]}: {report.items:,}")
    for thread in report.threads:
        for note in thread.notes:
            output.remark(f"{noun} {thread.id}: {note}")
    for thread in report.threads:
        if thread.reason:
            output.remark(f"threadloom: {noun} {thread.id} {thread.outcome}: {thread.reason}")


def _look(old: Place, table: str | None, keys: Keyring | None) -> Old:
    """Find out what OLD is; what it is not is said before anything is done."""
    if old.path is None:
        return _look_behind(old, table)
    if old.path.is_dir() or (old.path.is_file() and is_history(old.path)):
        return Old(old.path, is_history=True)
    columns = columns_of(old.path)
    histories = tables_among(columns)
    has_checkpoints = is_langgraph(columns)
    if table is not None or (histories and not has_checkpoints):
        return Old(old.path, is_history=True)
    if has_checkpoints:
        return Old(old.path, is_history=False, histories=histories)
    if _is_store(old, keys):
        raise Fault(
            f"{old.shown} is a store of Threadloom already: OLD is what LangGraph or LangChain "
            "wrote, NEW where it goes"
        )
    raise Fault(
        f"{old.shown} holds no checkpoints of LangGraph's SqliteSaver, and no table of LangChain's "
        "chat histories"
    )


def _is_store(old: Place, keys: Keyring | None) -> bool:
    try:
        old.open(keys=keys).close()
    except ThreadloomError:
        return False
    except Fault:  # an encrypted one
        return True
    return True


def _look_behind(old: Place, table: str | None) -> Old:
    scheme = old.url.partition("://")[0].lower()
    if old.folder is not None or not has_source(scheme):
        if old.folder is None:
            check_source(old.url)
        raise Fault(
            f"{old.shown} is no file: migrate reads what LangGraph's savers and LangChain's chat "
            "histories wrote"
        )
    histories: tuple[str, ...] = ()
    if has_source(scheme, HISTORY_ENTRY_POINTS):
        with open_histories(old.url) as found:
            histories = found.tables
    if table is not None:
        return Old(old.url, is_history=True)
    try:
        open_source(old.url).close()
    except HoldsNothing as error:
        if not histories:
            raise Fault(f"{error}; nor is there a table of LangChain's chat histories") from error
        return Old(old.url, is_history=True)
    return Old(old.url, is_history=False, histories=histories)


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
