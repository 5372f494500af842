"""The session's own record: what is in it, how it begins, how activity touches it.

Every write to a session goes with a change of this record in the same batch, so the index
is never behind and never ahead. The functions here only make operations; plans yield them.

Besides what `SessionInfo` shows, the document holds what its counts are made of: messages
and tokens by door (`graph_…` for the messages channel of the graph's head, `history_…` for
the chat history), and how many messages came in by both (`shared_…`); the tokens that turns
added (`turn_tokens`); the labels of its streams (`streams`); the life without activity (`ttl`);
and, where the id lived before and expired, when this life began (`began`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from threadloom import fences
from threadloom.clock import from_micros, now_micros
from threadloom.documents import encode_doc
from threadloom.errors import SessionDeleted, SessionNotFound
from threadloom.keys import FENCE, LEASE, SessionPaths, storable
from threadloom.models import SessionContext, SessionInfo, SessionOrigin
from threadloom.ops import (
    ABSENT,
    KEEP_EXPIRY,
    PRESENT,
    Delete,
    DropTree,
    Expect,
    Get,
    Op,
    Patch,
    Put,
    Record,
)

TOMBSTONE = "deleted"
TOMBSTONE_LIFE = 30 * 24 * 3600 * 1_000_000
"""How long a tombstone lives, in microseconds: 30 days."""

OF_A_TURN = ("turn_id", "turn_started_at", "turn_life")
"""The fields that only a session with a turn has."""

TURN_LIFE = "turn_life"
"""The field with a session's life while a turn is on: never shorter than the turn's lease."""

Doc = dict[str, Any]


def new_doc(now: int, **fields: Any) -> Doc:
    """The document of a session that begins now; `fields` overrides the defaults."""
    return {
        "name": "",
        "owner": None,
        "tags": [],
        "agent_name": None,
        "metadata": {},
        "context": {},
        "created_at": now,
        "updated_at": now,
        "ttl": None,
        "status": "idle",
        **fields,
    }


def begin(paths: SessionPaths, doc: Doc, content: Sequence[Op] = ()) -> list[Op]:
    """Create a session with what it holds; nothing of an earlier life under this id is left.

    Fails with `ExpectationFailed` if the session exists.
    """
    fenced = fences.checks(paths)
    # A turn of an earlier life that is over has nothing to say in this one.
    over = [] if fenced else [Delete(paths.tombstones, FENCE), Delete(paths.tombstones, LEASE)]
    return [
        *fenced,
        *over,
        DropTree(paths.memory),
        DropTree(paths.checkpoints),
        *content,
        Put(
            paths.sessions,
            paths.id,
            doc=doc,
            text=searchable(doc.get("name")),
            expires_at=_expiry(doc),
            expect=ABSENT,
        ),
    ]


def touch(
    paths: SessionPaths,
    session: Record | None,
    now: int,
    content: Sequence[Op] = (),
    *,
    implicit: bool,
    owner: str | None = None,
    expect: Expect = PRESENT,
    set: Mapping[str, Any] | None = None,
    increment: Mapping[str, int] | None = None,
    turn: Literal["begins", "ends"] | None = None,
    fenced: bool = True,
    is_activity: bool = True,
) -> list[Op]:
    """A write to a session: what is written, and then its record, made or changed.

    Content comes first and the session's record last, so that on an engine without atomic
    batches a crash leaves what was there before, and perhaps something that nobody refers to.

    Args:
        paths: the session's places.
        session: its record as it was read, or None.
        now: microseconds since the epoch.
        content: the operations of the write.
        implicit: whether a session may begin without `create_session`.
        owner: the owner of a session that begins here.
        expect: what must be true of an existing record when the batch is applied.
        set: fields of the document to replace.
        increment: fields of the document to add to.
        turn: whether a turn begins or ends with it; otherwise the status stays as it is while
            one is on.
        is_activity: whether it makes the session younger, and live longer.
        fenced: whether it has to show that the turn is still on which it belongs to.

    Raises:
        SessionNotFound: there is no such session and it may not begin by itself.
    """
    if session is None:
        if not implicit:
            raise not_found(paths.id)
        doc = new_doc(now, **{"owner": owner, **(set or {})})
        for name, value in (increment or {}).items():
            doc[name] = doc.get(name, 0) + value
        return begin(paths, doc, content)
    fields = set or {}
    runs = is_running(session) if turn is None else turn == "begins"
    if runs and turn is None and "status" in fields:
        fields = {name: value for name, value in fields.items() if name != "status"}
    return [
        *(fences.checks(paths) if fenced else ()),
        *content,
        Patch(
            paths.sessions,
            paths.id,
            set=fields,
            maximum={"updated_at": now} if is_activity else {},
            increment=increment or {},
            text=searchable(fields["name"]) if "name" in fields else None,
            expires_at=KEEP_EXPIRY,
            expect=expect,
            life=(TURN_LIFE if runs else "ttl") if is_activity else None,
        ),
    ]


def remains(paths: SessionPaths) -> Get:
    """Read what an expired session may have left, where the next one under its id begins."""
    return Get(paths.sessions, paths.id, blob=False, expired=True)


def after(remains: Record | None, began: int | None = None) -> Doc:
    """What the record of a session says that begins where another one expired.

    Args:
        remains: what `remains` read.
        began: when the new life began, in microseconds; now by default.
    """
    if remains is None:
        return {}
    # By the system's clock, which the ids of checkpoints are made of, whatever ours says.
    return {"began": now_micros(None) if began is None else began}


def searchable(name: str | None) -> str:
    """What full-text search sees of a session: its name."""
    return storable(name or "")


def bury(paths: SessionPaths, now: int) -> Op:
    """Leave a tombstone, so that a late write is known for what it is."""
    # By the system's clock, which the ids of checkpoints are made of, whatever ours says.
    at = now_micros(None)
    return Put(paths.tombstones, TOMBSTONE, doc={"at": at}, expires_at=now + TOMBSTONE_LIFE)


def erase(paths: SessionPaths, now: int, expect: Expect) -> list[Op]:
    """Delete everything of a session, in one batch."""
    return [
        *fences.checks(paths),
        Delete(paths.sessions, paths.id, expect=expect),
        DropTree(paths.memory),
        DropTree(paths.checkpoints),
        Delete(paths.tombstones, FENCE),
        Delete(paths.tombstones, LEASE),
        bury(paths, now),
    ]


def tombstone(paths: SessionPaths) -> Get:
    """Read the session's tombstone."""
    return Get(paths.tombstones, TOMBSTONE)


def not_found(id: str) -> SessionNotFound:
    """The error for an id that is no session."""
    return SessionNotFound(f"there is no session {id!r}: create_session begins one")


def deleted(id: str, what: str) -> SessionDeleted:
    """The error for a late write."""
    return SessionDeleted(
        f"session {id!r} was deleted or pruned while something was still writing to it, and the "
        f"late write was refused: {what}"
    )


def is_running(session: Record) -> bool:
    """Whether a turn is on, as far as the session's record says."""
    return bool(session.doc and session.doc.get("turn_id"))


def lasts(lease: Record, now: int) -> bool:
    """Whether a lease has not run out.

    One that lasts longer than it can was given out by a clock that has been put back since; by a
    little more it may be where two machines do not agree on the time.
    """
    doc = lease.body()
    until, length = doc.get("until"), doc.get("length")
    if not isinstance(until, int) or not isinstance(length, int):
        return False
    return now < until <= now + 2 * length


def without_turn(session: Record) -> Record:
    """The record of a session as if no turn was on."""
    doc = {name: item for name, item in session.body().items() if name not in OF_A_TURN}
    return session._replace(doc=doc)


def has_history(record: Record) -> bool:
    """Whether a session's chat history holds messages."""
    return bool(record.body().get("history_messages"))


def message_total(doc: Mapping[str, Any]) -> int:
    """How many messages the conversation has, both doors together."""
    return _total(doc, "messages")


def _total(doc: Mapping[str, Any], unit: str) -> int:
    graph, history, shared = (
        int(doc.get(f"{door}_{unit}") or 0) for door in ("graph", "history", "shared")
    )
    return graph + history - shared


def info(record: Record) -> SessionInfo:
    """The session that a record describes."""
    doc = record.body()
    origin = doc.get("origin")
    started = doc.get("turn_started_at")
    return SessionInfo(
        id=record.key,
        name=doc.get("name") or "",
        owner=doc.get("owner"),
        tags=tuple(doc.get("tags") or ()),
        agent_name=doc.get("agent_name"),
        framework=doc.get("framework"),
        metadata=doc.get("metadata") or {},
        context=SessionContext(**(doc.get("context") or {})),
        created_at=from_micros(doc.get("created_at") or record.created_at),
        updated_at=from_micros(doc.get("updated_at") or record.updated_at),
        expires_at=None if record.expires_at is None else from_micros(record.expires_at),
        message_count=message_total(doc),
        turn_count=int(doc.get("turn_count") or 0),
        total_tokens=_total(doc, "tokens") + int(doc.get("turn_tokens") or 0),
        status=doc.get("status") or "idle",
        turn_id=doc.get("turn_id"),
        turn_started_at=None if started is None else from_micros(started),
        origin=None if origin is None else SessionOrigin(**origin),
        conflicts=int(doc.get("conflicts") or 0),
        version=record.version,
    )


def size(record: Record) -> int:
    """The bytes of a session's record, as `Measure` counts them."""
    doc = b"" if record.doc is None else encode_doc(record.doc)
    parts = (record.key.encode(), doc, record.blob or b"", (record.text or "").encode())
    return sum(map(len, parts))


def infos(records: Iterable[Record]) -> list[SessionInfo]:
    """The sessions that records describe."""
    return [info(record) for record in records]


def _expiry(doc: Mapping[str, Any]) -> int | None:
    ttl = doc.get("ttl")
    return None if ttl is None else int(doc["updated_at"]) + int(ttl)
