"""`threadloom list`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from threadloom import Keyring
from threadloom.cli import output
from threadloom.cli.group import USAGE, Fault
from threadloom.cli.output import Column, Size
from threadloom.cli.places import Place
from threadloom.migrate.base import ThreadSummary
from threadloom.migrate.source import LangGraphFile
from threadloom.models import SessionInfo
from threadloom.sessions import SessionManager

OrderBy = Literal["created_at", "updated_at"]

_PAGE = 500
_SESSIONS = (
    Column("id"),
    Column("name"),
    Column("owner", rank=4),
    Column("tags", rank=5),
    Column("status", rank=1),
    Column("messages", right=True, rank=2),
    Column("turns", right=True, rank=6),
    Column("updated", rank=3),
)
_THREADS = (
    Column("thread"),
    Column("checkpoints", right=True),
    Column("bytes", right=True),
    Column("step", right=True, rank=2),
    Column("updated", rank=1),
)


def list_sessions(
    place: Place,
    *,
    tenant: str | None,
    filters: dict[str, Any],
    limit: int | None,
    order_by: OrderBy,
    as_json: bool,
    keys: Keyring | None = None,
) -> None:
    """Print the sessions of a store."""
    with place.open(tenant, keys) as sessions:
        found = pages(sessions, order_by, limit, filters)
        if as_json:
            content = (session.model_dump(mode="json") for session in found)
            output.stream({"store": place.shown, "format": "threadloom"}, "sessions", content)
            return
        output.table(_SESSIONS, map(_session_row, found), none="No sessions")


def pages(
    sessions: SessionManager, order_by: OrderBy, limit: int | None, filters: dict[str, Any]
) -> Iterator[SessionInfo]:
    """Sessions in order, read page by page."""
    left, cursor = limit, None
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        page = sessions.list_sessions(order_by=order_by, limit=size, after=cursor, **filters)
        yield from page
        cursor = page.cursor
        if cursor is None:
            return
        left = None if left is None else left - len(page)


def _session_row(session: SessionInfo) -> tuple[Any, ...]:
    return (
        session.id,
        session.name,
        session.owner,
        session.tags,
        session.status,
        session.message_count,
        session.turn_count,
        session.updated_at,
    )


def list_threads(
    place: Place,
    *,
    tenant: str | None,
    filters: dict[str, Any],
    limit: int | None,
    order_by: OrderBy,
    as_json: bool,
) -> None:
    """Print the threads in a database of LangGraph's savers, which stays as it is."""
    if tenant is not None:
        filters = {**filters, "tenant": tenant}
    if filters:
        option = {"tags": "tag", "agent_name": "agent"}.get(min(filters), min(filters))
        raise Fault(
            f"{place.shown} is a database of LangGraph, which knows no --{option}. To have it: "
            f"threadloom migrate {place.shown} NEW",
            code=USAGE,
        )
    assert place.path is not None
    with LangGraphFile(place.path) as source, source.at_one_moment():
        threads = source.threads()
    threads.sort(
        key=lambda thread: thread.last_id if order_by == "updated_at" else thread.first_id,
        reverse=order_by == "updated_at",
    )
    if limit is not None:
        threads = threads[:limit]
    if as_json:
        output.document(
            {
                "store": place.shown,
                "format": "langgraph-sqlite",
                "threads": [_thread_document(thread) for thread in threads],
            }
        )
        return
    output.table(_THREADS, (_thread_row(thread) for thread in threads))
    output.line(f"A database of LangGraph. To bring it over: threadloom migrate {place.shown} NEW")


def _thread_row(thread: ThreadSummary) -> tuple[Any, ...]:
    return (thread.id, thread.checkpoints, Size(thread.bytes), thread.last_step, thread.last_at)


def _thread_document(thread: ThreadSummary) -> dict[str, Any]:
    return {
        "id": thread.id,
        "namespaces": thread.namespaces,
        "checkpoints": thread.checkpoints,
        "writes": thread.writes,
        "bytes": thread.bytes,
        "last_step": thread.last_step,
        "created_at": thread.first_at,
        "updated_at": thread.last_at,
    }


__all__ = ["OrderBy", "list_sessions", "list_threads", "pages"]
