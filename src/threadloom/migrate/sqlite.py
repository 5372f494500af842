"""`migrate_sqlite`: the threads of LangGraph's SQLite savers, as sessions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from threadloom.errors import InvalidKey, SessionNotFound
from threadloom.migrate.decoding import Decoder
from threadloom.migrate.reports import MigrationReport, Progress, Refused, ThreadReport
from threadloom.migrate.sampling import LARGEST_TRIAL, Estimate, estimate
from threadloom.migrate.source import LangGraphFile, ThreadSummary
from threadloom.migrate.transfer import SetClock, Target, Transfer, look
from threadloom.sessions import SessionManager
from threadloom.store import Store
from threadloom.stores.registry import open_store


def migrate_sqlite(
    old_path: str | os.PathLike[str],
    store_or_manager: str | Store | SessionManager | None,
    *,
    threads: Iterable[str] | None = None,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> MigrationReport:
    """Bring the threads of a `SqliteSaver` or `AsyncSqliteSaver` over into sessions.

    The source is opened for reading only. Every checkpoint of every namespace comes over with
    its id, parent, metadata, channel versions and pending writes, so that an interrupted run
    goes on in the target. Threads that are complete in the target are skipped, and one that was
    cut short, or that went on in the source since, is completed: call it again at any time.
    A session's `metadata["migrated_from"]` says what it came from.

    Values whose classes LangGraph does not know are built only if their module is imported and
    they are data classes (pydantic, dataclass, enum, named tuple): import what the application
    stores before. A thread that has others fails, and the rest goes on.

    Args:
        old_path: the file that LangGraph wrote.
        store_or_manager: where to: a URL, a store, or a manager. The times of sessions are
            those of the source, except through a manager, which has a clock of its own. With
            `dry_run` it may be None.
        threads: only these.
        tenant: whose sessions they become; a manager has its own.
        dry_run: store nothing there, but say what would become of each thread, and how much
            an SQLite store would need: threads are brought over into a temporary file, or some
            of them where the source is larger than 200 MB.
        progress: called after each checkpoint.

    Raises:
        StoreUnavailable: the source or the target cannot be used.
        SessionNotFound: the source has no such thread.
        InvalidKey: the arguments make no sense.
    """
    with LangGraphFile(Path(old_path)) as source:
        wanted = _chosen(source, threads)
        if store_or_manager is None and not dry_run:
            raise InvalidKey("only a dry run goes without a store")
        target, owned = _target(store_or_manager, tenant)
        try:
            if dry_run:
                return _try(source, wanted, target, progress)
            assert target is not None
            reports = _run(Transfer(source, target, Decoder()), wanted, progress)
        finally:
            if owned is not None:
                owned.close()
        return MigrationReport(
            source=str(source.path), threads=tuple(reports), bytes_before=source.bytes
        )


def _chosen(source: LangGraphFile, threads: Iterable[str] | None) -> list[ThreadSummary]:
    if isinstance(threads, str):
        raise InvalidKey(f"threads is a list of ids, not the text {threads!r}")
    found = source.threads()
    if threads is None:
        return found
    by_id = {thread.id: thread for thread in found}
    wanted = list(dict.fromkeys(threads))
    for id in wanted:
        if id not in by_id:
            raise SessionNotFound(f"{source.path} has no thread {id!r}")
    return [by_id[id] for id in wanted]


def _target(
    given: str | Store | SessionManager | None, tenant: str | None
) -> tuple[Target | None, Store | None]:
    """Where threads go, and the store to close afterwards."""
    if given is None:
        return None, None
    if isinstance(given, SessionManager):
        if tenant is not None:
            raise InvalidKey("a manager has its tenant already")
        return Target(given, given.checkpointer(), None), None
    store = open_store(given) if isinstance(given, str) else given
    clock = SetClock()
    try:
        manager = SessionManager(store, tenant=tenant, clock=clock)
    except BaseException:
        if isinstance(given, str):
            store.close()
        raise
    target = Target(manager, manager.checkpointer(), clock)
    return target, store if isinstance(given, str) else None


def _run(
    transfer: Transfer,
    threads: list[ThreadSummary],
    progress: Callable[[Progress], None] | None,
) -> list[ThreadReport]:
    total = sum(thread.bytes for thread in threads)
    finished = 0
    reports: list[ThreadReport] = []
    for number, thread in enumerate(threads):
        done = 0

        def tick(size: int) -> None:
            nonlocal done
            done += size
            if progress is not None:
                progress(Progress(thread.id, number, len(threads), finished + done, total))  # noqa: B023

        reports.append(transfer.thread(thread.id, thread.bytes, tick))
        finished += thread.bytes
        if progress is not None:
            progress(Progress(thread.id, number + 1, len(threads), finished, total))
    return reports


def _try(
    source: LangGraphFile,
    threads: list[ThreadSummary],
    target: Target | None,
    progress: Callable[[Progress], None] | None,
) -> MigrationReport:
    standing: dict[str, ThreadReport] = {}
    if target is not None:
        for thread in threads:
            with source.at_one_moment():
                outline = source.outline(thread.id)
            try:
                outcome, reason = look(target, thread.id, outline).outcome, ""
            except Refused as refusal:
                outcome, reason = "refused", str(refusal)
            standing[thread.id] = ThreadReport(
                id=thread.id, outcome=outcome, bytes=thread.bytes, reason=reason
            )
    found = estimate(source, threads, largest=LARGEST_TRIAL, progress=progress)
    return MigrationReport(
        source=str(source.path),
        dry_run=True,
        threads=tuple(_would_be(thread, standing.get(thread.id), found) for thread in threads),
        bytes_before=source.bytes,
        bytes_after=found.bytes,
        sampled=None if found.whole else len(found.trials),
    )


def _would_be(
    thread: ThreadSummary, standing: ThreadReport | None, found: Estimate
) -> ThreadReport:
    """What would become of a thread: what the target says, and whether it can be read."""
    trial = found.trials.get(thread.id)
    if standing is not None and standing.outcome in ("refused", "skipped"):
        return standing
    if trial is not None and trial.outcome == "failed":
        return trial
    outcome = "migrated" if standing is None else standing.outcome
    return ThreadReport(
        id=thread.id,
        outcome=outcome,
        checkpoints=thread.checkpoints,
        writes=thread.writes,
        bytes=thread.bytes,
        notes=() if trial is None else trial.notes,
    )


__all__ = ["migrate_sqlite"]
