"""`migrate_histories`: what LangChain's chat message histories have stored, as sessions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from threadloom.migrate.appending import HistoryTransfer
from threadloom.migrate.conversations import HistorySource
from threadloom.migrate.reports import MigrationReport, Progress
from threadloom.migrate.sources import open_histories
from threadloom.migrate.steering import bring_all, chosen, try_all
from threadloom.migrate.target import Target, open_target
from threadloom.sessions import SessionManager
from threadloom.store import Store

if TYPE_CHECKING:
    from threadloom.wrappers.keyring import Keyring


def migrate_histories(
    old: str | os.PathLike[str] | HistorySource,
    store_or_manager: str | Store | SessionManager | None,
    *,
    table: str | None = None,
    sessions: Iterable[str] | None = None,
    tenant: str | None = None,
    encryption: Keyring | None = None,
    dry_run: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> MigrationReport:
    """Bring LangChain's chat histories over into sessions, each into the chat history of its own.

    Sources are the SQLite file of a `SQLChatMessageHistory`, a JSON file of a
    `FileChatMessageHistory` or a folder of them (the name without ``.json`` is the session's id),
    and what adapters bring: with ``threadloom[postgres]`` the tables of a
    `PostgresChatMessageHistory`, of `langchain-postgres` or of `langchain-community`, and of a
    `SQLChatMessageHistory`. The source is opened for reading only, and neither
    `langchain-community` nor SQLAlchemy is needed.

    Messages come over in their order with all that is stored of them. One without an id gets one
    that says where it was, such as ``message_store-12`` for row 12, so it is the same in every
    run; so does one that has the id of a message before it. A message's time is its row's
    ``created_at``; where there is none it is the latest that it can be: of files the time of their
    last change, of a server the present one, a microsecond apart for sessions so that they stay in
    the order of their last message.

    Histories that are complete in the target are skipped, and one that was cut short, or that
    grew in the source since, is completed: call it again at any time. A session that went on in
    the target and in the source is refused and left as it is, as is one whose messages were changed
    or removed in the source. A history with a damaged message fails as a whole, the rest goes on. A
    session's `metadata["migrated_from"]` says what it came from.

    Args:
        old: the file or folder, the URL of a database, or a source that is open; that stays open.
        store_or_manager: where to: a URL, a store, or a manager. Times are kept, except through a
            manager, which has a clock of its own. With `dry_run` it may be None.
        table: the table; needed where several have the columns of a history.
        sessions: only these.
        tenant: whose sessions they become; a manager has its own.
        encryption: keys to encrypt what is stored there; a manager has its own.
        dry_run: store nothing there, but say what would become of each history, and how much an
            SQLite store would need (see `migrate_langgraph`).
        progress: called after each batch of messages.

    Returns:
        What became of each history, the one that was written to last at the end; its `threads` are
        the histories.

    Raises:
        StoreUnavailable: the source or the target cannot be used.
        MissingAdapter: nothing that is installed reads such a source; says what to install.
        SessionNotFound: the source has no such session.
        InvalidKey: the arguments make no sense, or there are several tables.
    """
    with ExitStack() as stack:
        source = old if isinstance(old, HistorySource) else stack.enter_context(open_histories(old))
        source.choose(table if table is not None else source.table)
        with source.at_one_moment():
            wanted = chosen(source.sessions(), sessions, noun="session", source=source.name)

        def begin(target: Target) -> HistoryTransfer:
            return HistoryTransfer(source, target, wanted)

        target = open_target(store_or_manager, tenant, encryption, stack, dry_run=dry_run)
        if dry_run or target is None:
            report = try_all(begin, wanted, target, encryption, progress)
        else:
            report = MigrationReport(source="", threads=bring_all(begin(target), wanted, progress))
        return report.model_copy(update={"source": source.name, "bytes_before": source.bytes})


__all__ = ["migrate_histories"]
