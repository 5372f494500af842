"""`migrate_langgraph`: threads of LangGraph's savers as sessions, and items of its stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING

from threadloom.itemstore import ItemStore
from threadloom.migrate.base import Source
from threadloom.migrate.decoding import Decoder
from threadloom.migrate.memory import bring_items
from threadloom.migrate.reports import MigrationReport, Progress
from threadloom.migrate.sources import open_source
from threadloom.migrate.steering import bring_all, chosen, try_all
from threadloom.migrate.target import SetClock, Target, open_target
from threadloom.migrate.transfer import Transfer
from threadloom.sessions import SessionManager
from threadloom.store import Store
from threadloom.stores.registry import open_store

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring


def migrate_langgraph(
    old: str | os.PathLike[str] | Source,
    store_or_manager: str | Store | SessionManager | None,
    *,
    threads: Iterable[str] | None = None,
    tenant: str | None = None,
    encryption: Keyring | None = None,
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
        encryption: keys to encrypt what is stored there; a manager has its own.
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

        def begin(target: Target) -> Transfer:
            return Transfer(source, target, Decoder())

        wanted = chosen(source.threads(), threads, noun="thread", source=source.name)
        with ExitStack() as stack:
            target = open_target(store_or_manager, tenant, encryption, stack, dry_run=dry_run)
            if dry_run or target is None:
                report = try_all(begin, wanted, target, encryption, progress)
                items = source.count_items() if threads is None else 0
            else:
                report = MigrationReport(
                    source="", threads=bring_all(begin(target), wanted, progress)
                )
                memory = _memory(store_or_manager, tenant, encryption, target, stack)
                items = bring_items(source, *memory) if threads is None else 0
        return report.model_copy(
            update={"source": source.name, "items": items, "bytes_before": source.bytes}
        )


def _memory(
    given: str | Store | SessionManager | None,
    tenant: str | None,
    encryption: Keyring | None,
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
    return SessionManager(store, tenant=tenant, encryption=encryption).store, clock


__all__ = ["migrate_langgraph"]
