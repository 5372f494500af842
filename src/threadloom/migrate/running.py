"""`migrate_langgraph`: threads of LangGraph's savers as sessions, and items of its stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext

from threadloom.errors import InvalidKey, SessionNotFound
from threadloom.itemstore import ItemStore
from threadloom.migrate.base import Source, ThreadSummary
from threadloom.migrate.decoding import Decoder
from threadloom.migrate.memory import bring_items
from threadloom.migrate.reports import MigrationReport, Progress, Refused, ThreadReport
from threadloom.migrate.sampling import LARGEST_TRIAL, Estimate, estimate
from threadloom.migrate.sources import open_source
from threadloom.migrate.transfer import Transfer, look
from threadloom.migrate.walking import SetClock, Target
from threadloom.sessions import SessionManager
from threadloom.store import Store
from threadloom.stores.registry import is_store_at, open_store


def migrate_langgraph(
    old: str | os.PathLike[str] | Source,
    store_or_manager: str | Store | SessionManager | None,
    *,
    threads: Iterable[str] | None = None,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> MigrationReport:
    """Bring the threads of LangGraph's savers over into sessions, and the items of its stores.

    Sources are the file of a `SqliteSaver` or `AsyncSqliteSaver`, and what adapters bring: with
    ``threadloom[postgres]`` the database of a `PostgresSaver` and of LangGraph's `PostgresStore`.
    The source is opened for reading only. Every checkpoint of every namespace comes over with
    its id, parent, metadata, channel versions and pending writes, so that an interrupted run
    goes on in the target. Threads that are complete in the target are skipped, and one that was
    cut short, or that went on in the source since, is completed: call it again at any time.
    A session's `metadata["migrated_from"]` says what it came from. Items come over with their
    times and with what is left of their lives; one that is in the target and younger stays.

    Values whose classes LangGraph does not know are built only if their module is imported and
    they are data classes (pydantic, dataclass, enum, named tuple): import what the application
    stores before. A thread that has others fails, and the rest goes on.

    Args:
        old: the file that LangGraph wrote, the URL of a database, or a source that is open; that
            stays open.
        store_or_manager: where to: a URL, a store, or a manager. The times of sessions are
            those of the source, except through a manager, which has a clock of its own. With
            `dry_run` it may be None.
        threads: only these, and no items.
        tenant: whose sessions they become; a manager has its own.
        dry_run: store nothing there, but say what would become of each thread, and how much
            an SQLite store would need: threads are brought over into a temporary file, or some
            of them where the source is larger than 200 MB.
        progress: called after each checkpoint.

    Raises:
        StoreUnavailable: the source or the target cannot be used.
        MissingAdapter: nothing that is installed reads such a source; says what to install.
        SessionNotFound: the source has no such thread.
        InvalidKey: the arguments make no sense.
    """
    with nullcontext(old) if isinstance(old, Source) else open_source(old) as source:
        wanted = _chosen(source, threads)
        if store_or_manager is None and not dry_run:
            raise InvalidKey("only a dry run goes without a store")
        with ExitStack() as stack:
            target = _target(store_or_manager, tenant, stack, create=not dry_run)
            if dry_run:
                items = source.count_items() if threads is None else 0
                return _try(source, wanted, target, progress).model_copy(update={"items": items})
            assert target is not None
            reports = _run(Transfer(source, target, Decoder()), wanted, progress)
            memory = _memory(store_or_manager, tenant, target, stack)
            items = bring_items(source, *memory) if threads is None else 0
        return MigrationReport(
            source=source.name, threads=tuple(reports), items=items, bytes_before=source.bytes
        )


def _chosen(source: Source, threads: Iterable[str] | None) -> list[ThreadSummary]:
    if isinstance(threads, str):
        raise InvalidKey(f"threads is a list of ids, not the text {threads!r}")
    found = source.threads()
    if threads is None:
        return found
    by_id = {thread.id: thread for thread in found}
    wanted = list(dict.fromkeys(threads))
    for id in wanted:
        if id not in by_id:
            raise SessionNotFound(f"{source.name} has no thread {id!r}")
    return [by_id[id] for id in wanted]


def _target(
    given: str | Store | SessionManager | None,
    tenant: str | None,
    stack: ExitStack,
    *,
    create: bool,
) -> Target | None:
    """Where threads go; what was opened for it is closed with the stack. None for nowhere yet."""
    if given is None:
        return None
    if isinstance(given, str) and not create and not is_store_at(given):
        return None
    if isinstance(given, SessionManager):
        if tenant is not None:
            raise InvalidKey("a manager has its tenant already")
        return Target(given, given.checkpointer(), None)
    store = stack.enter_context(open_store(given)) if isinstance(given, str) else given
    clock = SetClock()
    manager = SessionManager(store, tenant=tenant, clock=clock)
    return Target(manager, manager.checkpointer(), clock)


def _memory(
    given: str | Store | SessionManager | None,
    tenant: str | None,
    target: Target,
    stack: ExitStack,
) -> tuple[ItemStore, SetClock | None]:
    """Where items go, and the clock that tells their times, if it can be set.

    A URL is opened once more for them: the times of items are those of the store's own clock.
    """
    if not isinstance(given, str) or given.startswith("memory:"):
        return target.manager.store, None
    clock = SetClock()
    store = stack.enter_context(open_store(given, clock=clock))
    return SessionManager(store, tenant=tenant).store, clock


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
    source: Source,
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
        source=source.name,
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


__all__ = ["migrate_langgraph"]
