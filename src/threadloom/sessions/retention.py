"""Plans that remove what is old: sessions, and checkpoints of sessions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from threadloom import index
from threadloom.checkpoint.upkeep import Policy, Removed, prune
from threadloom.errors import InvalidKey
from threadloom.keys import SESSIONS
from threadloom.models import PruneReport, SessionInfo, SessionRef, id_of
from threadloom.ops import ABSENT, Expect, ExpectationFailed, Get, Query, Record
from threadloom.plans import Plan, check_fence
from threadloom.scope import Scope
from threadloom.sessions.arguments import duration
from threadloom.sessions.plans import Filters, ids, store_filter
from threadloom.sessions.turns import is_on
from threadloom.sweeping import sweep
from threadloom.values import Values

_LOOKS = 20
"""How often sessions are looked at again that have changed meanwhile."""


def delete_sessions(scope: Scope, filters: Filters, *, dry_run: bool) -> Plan[list[str]]:
    """Delete the sessions that pass a filter, each all or nothing; their ids.

    A session with a turn under way is spared, and one that changes meanwhile is looked at again.

    Raises:
        InvalidKey: no filter is given, or one makes no sense.
    """
    wanted = store_filter(filters)
    if not wanted:
        raise InvalidKey("delete_sessions wants a filter, such as owner=…; nothing was deleted")
    return (yield from _sweep(scope, wanted, include_running=False, dry_run=dry_run))


def cleanup_stale(
    scope: Scope,
    older_than: timedelta,
    *,
    dry_run: bool,
    include_running: bool,
    together: bool,
) -> Plan[int]:
    """Delete sessions without activity for longer than a time, and expired ones; how many.

    Items of long-term memory that have expired go as well; `together` as in `sweep`.

    Raises:
        InvalidKey: the time is no duration, or not positive.
    """
    age = duration(older_than, "older_than")
    wanted: dict[str, object] = {"updated_at": {"$lt": scope.now() - age}}
    found = yield from _sweep(scope, wanted, include_running=include_running, dry_run=dry_run)
    expired: list[Record]
    (expired,) = yield [Query((*scope.root, SESSIONS), expired=True)]
    gone = 0
    for record in expired:
        gone += 1 if dry_run else (yield from _erase(scope, record.key, ABSENT))
    if not dry_run:
        yield from sweep(scope.root, tenants=False, together=together)
    return len(found) + gone


def prune_sessions(
    scope: Scope,
    values: Values,
    chosen: Iterable[SessionRef] | None,
    *,
    keep_last: int | None,
    older_than: timedelta | None,
    dry_run: bool,
) -> Plan[PruneReport]:
    """Remove old checkpoints of sessions; see `SessionManager.prune`.

    Raises:
        SessionNotFound: one of those that are named is no session.
        InvalidKey: a number or a time makes no sense.
    """
    if isinstance(chosen, (str, SessionInfo)):
        raise InvalidKey(f"prune takes a list of sessions, got {chosen!r:.80}")
    if keep_last is not None and (isinstance(keep_last, bool) or keep_last < 1):
        raise InvalidKey(f"keep_last is 1 or more: the head always stays; got {keep_last!r}")
    before = None if older_than is None else scope.now() - duration(older_than, "older_than")
    policy = Policy(keep_last or 1, before, dry_run=dry_run)
    names = (yield from ids(scope)) if chosen is None else [id_of(item) for item in chosen]
    changed: list[str] = []
    total = Removed()
    for name in names:
        paths = scope.paths(name)
        (session,) = yield [Get(paths.sessions, paths.id)]
        if session is None and chosen is not None:
            raise index.not_found(name)
        if session is None or (yield from is_on(scope, session)):
            continue
        removed = yield from prune(scope, values, paths, policy)
        if removed.checkpoints:
            changed.append(name)
            total = Removed(*map(sum, zip(total, removed, strict=True)))
    return PruneReport(
        sessions=tuple(changed),
        checkpoints=total.checkpoints,
        records=total.records,
        bytes=total.bytes,
        dry_run=dry_run,
    )


def _sweep(
    scope: Scope, wanted: dict[str, object], *, include_running: bool, dry_run: bool
) -> Plan[list[str]]:
    """Delete the sessions that pass a filter; their ids, oldest created first."""
    found: list[str] = []
    seen: set[tuple[str, int]] = set()
    for _ in range(_LOOKS):
        records: list[Record]
        (records,) = yield [Query((*scope.root, SESSIONS), filter=wanted, order_by="created_at")]
        fresh = [record for record in records if (record.key, record.version) not in seen]
        if not fresh:
            break
        for record in fresh:
            seen.add((record.key, record.version))
            if not include_running and (yield from is_on(scope, record)):
                continue
            if dry_run or (yield from _erase(scope, record.key, record.version)):
                found.append(record.key)
        if dry_run:
            break
    return found


def _erase(scope: Scope, id: str, expect: Expect) -> Plan[bool]:
    """Delete a session that is still as it was seen; whether it was."""
    try:
        yield index.erase(scope.paths(id), scope.now(), expect)
    except ExpectationFailed as error:
        check_fence(error)
        return False
    return True
