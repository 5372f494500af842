"""Plans about turns: one at a time a session, by a lease that must be renewed, and fenced.

The lease says who has the turn and until when; the fence (`threadloom.fences`) is a record that
each turn makes anew. While a turn is on, the session's record has its id and the status
``running``. A turn begins and ends with a change of the graph's head record as well, so that
whoever remembers how the graph stood looks again.
"""

from __future__ import annotations

from typing import NamedTuple

from threadloom import index
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.standing import run_status, touch_head
from threadloom.errors import InvalidKey, SessionBusy, SessionConflict
from threadloom.keys import FENCE, LEASE, SESSIONS, SessionPaths
from threadloom.models import SessionInfo, SessionPage, SessionStatus
from threadloom.ops import (
    ABSENT,
    PRESENT,
    Check,
    Delete,
    ExpectationFailed,
    Get,
    Op,
    Patch,
    Put,
    Query,
    Record,
)
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope

STATUSES = ("idle", "running", "interrupted", "error")


class Taken(NamedTuple):
    """A turn that was taken."""

    turn_id: str
    fence: int
    info: SessionInfo


def take(scope: Scope, paths: SessionPaths, turn_id: str, lease: int) -> Plan[Taken | None]:
    """Begin a turn; None where another one is on.

    Args:
        scope: the tenant's scope.
        paths: the session's places.
        turn_id: the turn's.
        lease: how long it lasts without being renewed, in microseconds.

    Raises:
        SessionNotFound: there is no such session.
    """

    def attempt() -> Plan[Taken | None]:
        session, held, fence = yield [
            Get(paths.sessions, paths.id),
            Get(paths.tombstones, LEASE),
            Get(paths.tombstones, FENCE),
        ]
        if session is None:
            raise index.not_found(paths.id)
        now = scope.now()
        if held is not None and index.lasts(held, now):
            return None
        ops: list[Op] = [
            Put(
                paths.tombstones,
                FENCE,
                doc={"turn_id": turn_id},
                expect=ABSENT if fence is None else fence.version,
            ),
            Put(
                paths.tombstones,
                LEASE,
                doc={"until": now + lease, "length": lease},
                expect=ABSENT if held is None else held.version,
            ),
            touch_head(paths),
        ]
        ttl = session.body().get("ttl")
        fields = {
            "status": "running",
            "turn_id": turn_id,
            "turn_started_at": now,
            index.TURN_LIFE: None if ttl is None else max(int(ttl), 3 * lease),
        }
        touched = index.touch(
            paths,
            session,
            now,
            ops,
            implicit=False,
            expect=session.version,
            set=fields,
            increment={"turn_count": 1},
            turn="begins",
            fenced=False,  # a turn that is over does not keep the next one away
        )
        *_, made, after = yield [
            *touched,
            Get(paths.tombstones, FENCE),
            Get(paths.sessions, paths.id),
        ]
        if made is None or after is None:  # read a moment later, as after an answer that was lost
            raise index.not_found(paths.id)
        return Taken(turn_id, made.version, index.info(after))

    return retrying(attempt)


def renew(scope: Scope, paths: SessionPaths, fence: int, lease: int) -> Plan[bool]:
    """Go on having a turn; False where it was taken over or its session is gone.

    The session's record changes only where it would soon expire: whoever saves by its version
    is not to be disturbed.
    """
    (session,) = yield [Get(paths.sessions, paths.id, blob=False)]
    if session is None:
        return False
    now = scope.now()
    lives = session.expires_at is None or session.expires_at > now + 2 * lease
    try:
        yield [
            Check(paths.tombstones, FENCE, fence),
            Patch(paths.tombstones, LEASE, set={"until": now + lease, "length": lease}),
            Check(paths.sessions, paths.id, PRESENT)
            if lives
            else Patch(paths.sessions, paths.id, life=index.TURN_LIFE, expect=PRESENT),
        ]
    except ExpectationFailed:
        return False
    return True


def end(scope: Scope, paths: SessionPaths, fence: int, *, failed: bool, tokens: int) -> Plan[None]:
    """End a turn.

    Raises:
        SessionConflict: it was taken over, or its session is gone.
    """

    def attempt() -> Plan[None]:
        session, head = yield [Get(paths.sessions, paths.id), Place(paths, "").head()]
        if session is None:
            raise SessionConflict(f"session {paths.id!r} went away during its turn")
        ops: list[Op] = [
            Check(paths.tombstones, FENCE, fence),
            Delete(paths.tombstones, FENCE),
            Delete(paths.tombstones, LEASE),
            touch_head(paths),
        ]
        yield index.touch(
            paths,
            session,
            scope.now(),
            ops,
            implicit=False,
            expect=session.version,
            fenced=False,
            set={
                "status": "error" if failed else run_status(head),
                **dict.fromkeys(index.OF_A_TURN),
            },
            increment={"turn_tokens": tokens} if tokens else {},
            turn="ends",
        )

    return retrying(attempt)


def set_status(
    scope: Scope, paths: SessionPaths, status: SessionStatus, turn_id: str | None
) -> Plan[SessionInfo]:
    """Say how a session stands, for code that does without `turn()`.

    Raises:
        SessionNotFound: there is no such session.
        SessionBusy: another turn is on, or a living lease has it and `turn_id` is not given.
        InvalidKey: there is no such status.
    """
    if status not in STATUSES:
        raise InvalidKey(f"status is one of {', '.join(STATUSES)}, not {status!r}")

    def attempt() -> Plan[SessionInfo]:
        session, held = yield [Get(paths.sessions, paths.id), Get(paths.tombstones, LEASE)]
        if session is None:
            raise index.not_found(paths.id)
        now = scope.now()
        doc = session.body()
        running = doc.get("turn_id")
        if turn_id is not None and running is not None and running != turn_id:
            raise SessionBusy(f"session {paths.id!r} has the turn {running!r}, not {turn_id!r}")
        is_held = held is not None and index.lasts(held, now)
        if is_held and running is not None and turn_id is None and status != "running":
            raise SessionBusy(f"session {paths.id!r} has the turn {running!r} under way")
        # Of a turn that died; it would make of the next one a dead one as well.
        over = [] if held is None or is_held else [Delete(paths.tombstones, LEASE, held.version)]
        fields: dict[str, object] = {"status": status, **dict.fromkeys(index.OF_A_TURN)}
        if status == "running":
            # The same turn goes on: its clock does.
            goes_on = running is not None and turn_id in (None, running)
            fields["turn_id"] = running if goes_on else turn_id or "manual"
            fields["turn_started_at"] = doc.get("turn_started_at") if goes_on else now
            fields[index.TURN_LIFE] = doc.get(index.TURN_LIFE if goes_on else "ttl")
        touched = index.touch(
            paths,
            session,
            now,
            [*over, touch_head(paths)],
            implicit=False,
            expect=session.version,
            set=fields,
            turn="begins" if status == "running" else "ends",
        )
        *_, after = yield [*touched, Get(paths.sessions, paths.id)]
        return index.info(after)

    return retrying(attempt)


def get_status(paths: SessionPaths) -> Plan[SessionStatus | None]:
    """How a session stands, or None."""
    (session,) = yield [Get(paths.sessions, paths.id, blob=False)]
    return None if session is None else index.info(session).status


def is_on(scope: Scope, session: Record) -> Plan[bool]:
    """Whether a turn is on that is alive: its lease lasts, or it was said by hand."""
    if not index.is_running(session):
        return False
    (held,) = yield [Get(scope.paths(session.key).tombstones, LEASE)]
    return held is None or index.lasts(held, scope.now())


def running(scope: Scope) -> Plan[SessionPage]:
    """The sessions with a turn under way, the newest turn first."""
    records = yield from _running(scope)
    records = sorted(records, key=lambda record: (-_started(record), record.key))
    return SessionPage(index.infos(records))


def stuck(scope: Scope, threshold: int) -> Plan[SessionPage]:
    """Those whose turn began more than a time ago or was not renewed, the oldest turn first."""
    records = yield from _running(scope)
    places = [scope.paths(record.key) for record in records]
    leases = yield [Get(paths.tombstones, LEASE) for paths in places] if places else []
    now = scope.now()
    found = [
        record
        for record, lease in zip(records, leases, strict=True)
        if _started(record) < now - threshold or (lease is not None and not index.lasts(lease, now))
    ]
    return SessionPage(
        index.infos(sorted(found, key=lambda record: (_started(record), record.key)))
    )


def _running(scope: Scope) -> Plan[list[Record]]:
    (records,) = yield [
        Query((*scope.root, SESSIONS), filter={"status": "running"}, order_by="created_at")
    ]
    return list(records)


def _started(record: Record) -> int:
    return int(record.body().get("turn_started_at") or 0)
