"""Late writes: telling whether a write belongs to a life of a session that has ended.

A graph run may outlive the deletion of its session. What it writes then must not bring the
session back, while a new life under the same id may begin at any time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.layout import Place
from threadloom.clock import now_micros
from threadloom.fences import fence_of
from threadloom.keys import LEASE, SessionPaths
from threadloom.ops import ABSENT, Check, Expect, Get, Record
from threadloom.plans import Pause, Plan
from threadloom.scope import Scope
from threadloom.store import Store

_PATIENCE = 2.0
"""Seconds that a write waits for a put to begin, where it would begin a new life of an id."""
_LOOK_EVERY = 0.02
_LONGEST = 60.0
"""Seconds that it waits at most, however long a put is under way."""
_UUID6_EPOCH = 0x01B21DD213814000
"""100-nanosecond intervals between the Gregorian calendar (RFC 9562) and the Unix epoch."""


def is_turn_dead(scope: Scope, paths: SessionPaths, session: Record | None) -> Plan[bool]:
    """Whether the turn that a session's record tells of died; it is none any more then.

    Whoever writes inside the turn finds out by its fence.
    """
    if session is None or not index.is_running(session) or fence_of(paths) is not None:
        return False
    (lease,) = yield [Get(paths.tombstones, LEASE)]
    return lease is not None and not index.lasts(lease, scope.now())


class PutsUnderWay:
    """The puts of roots that are under way in this process on one store: they begin lives.

    Needs no lock, for a fork or an interrupt may come at any moment: what it does are single
    operations on one dict, and a child does not see what its parent was doing.
    """

    def __init__(self) -> None:
        self._puts: dict[object, tuple[int, int, tuple[str, ...]]] = {}

    @contextmanager
    def one(self, paths: SessionPaths) -> Iterator[None]:
        """While a put of a session is under way, writes for it wait with patience."""
        token = object()
        try:
            self._puts[token] = (os.getpid(), threading.get_ident(), _place(paths))
            yield
        finally:
            self._puts.pop(token, None)

    def any(self, paths: SessionPaths, *, blocked: int | None) -> bool:
        """Whether a put of a session is under way.

        Those that a thread drives which is `blocked` for as long as this one waits do not count.
        """
        here, place = os.getpid(), _place(paths)
        return any(
            process == here and thread != blocked and where == place
            for process, thread, where in list(self._puts.values())
        )


def _place(paths: SessionPaths) -> tuple[str, ...]:
    return (*paths.sessions, paths.id)


_by_store: WeakKeyDictionary[Store, PutsUnderWay] = WeakKeyDictionary()


def puts_under_way(store: Store) -> PutsUnderWay:
    """The one account of the puts under way on a store."""
    return _by_store.setdefault(store, PutsUnderWay())


class Patience:
    """How a write waits for a put that it has overtaken.

    Args:
        puts: the puts under way on the store.
        blocked: the thread that waits, where waiting blocks it.
    """

    def __init__(self, puts: PutsUnderWay, *, blocked: int | None) -> None:
        self._puts = puts
        self._blocked = blocked

    def waits(self, paths: SessionPaths) -> Iterator[Pause]:
        """The pauses between looks: while a put is under way, and a little longer."""
        began = busy = time.monotonic()
        while True:
            now = time.monotonic()
            if self._puts.any(paths, blocked=self._blocked):
                busy = now
            if now > min(busy + _PATIENCE, began + _LONGEST):
                return
            yield Pause(_LOOK_EVERY)


class Found(NamedTuple):
    """The records of a session, as far as they are there.

    Attributes:
        session: its record.
        remains: its record, even if it has expired.
        grave: its tombstone.
        head: the head of the checkpoint's namespace.
    """

    session: Record | None
    remains: Record | None
    grave: Record | None
    head: Record | None


def check(place: Place, checkpoint_id: str, patience: Patience | None) -> Plan[Found]:
    """Make sure that a write for a checkpoint is not of a life that has ended.

    An id that was deleted has a tombstone; one that expired and lives again has a record that
    says when that began. A new life begins with a put of the root, which other writes may
    overtake. One with `patience` waits for it, for as long as such a put is under way here and
    then two seconds more, a minute at most; a run that has outlived the end waits in vain, for
    its put is refused.

    Raises:
        SessionDeleted: the life of the checkpoint has ended.
    """
    paths = place.paths
    pauses = None
    while True:
        session, remains, stored, grave, head = yield [
            Get(paths.sessions, paths.id),
            index.remains(paths),
            Get(place.records(), layout.checkpoint_key(checkpoint_id), blob=False),
            index.tombstone(paths),
            place.head(),
        ]
        if session is None:
            head = None
            if stored is not None:
                raise index.deleted(paths.id, f"it expired, and checkpoint {checkpoint_id} with it")
        early = session is not None and _made_before(checkpoint_id, session.body().get("began"))
        ended = grave is not None or early or (session is None and remains is not None)
        if not ended or (session is not None and stored is not None):
            return Found(session, remains, grave, head)
        if grave is not None and _made_before(checkpoint_id, grave.body().get("at")):
            raise index.deleted(paths.id, f"checkpoint {checkpoint_id} is gone")
        if patience is None or (session is not None and not early and grave is None):
            return Found(session, remains, grave, head)
        pauses = pauses or patience.waits(paths)
        pause = next(pauses, None)
        if pause is None:
            break
        yield pause
    raise index.deleted(paths.id, f"checkpoint {checkpoint_id} never came")


def unchanged(paths: SessionPaths, grave: Record | None) -> Check:
    """The condition that the session was not deleted since its tombstone was looked at."""
    expect: Expect = ABSENT if grave is None else grave.version
    return Check(paths.tombstones, index.TOMBSTONE, expect)


def before(checkpoint_id: str) -> int:
    """A time just before a checkpoint was made, or now, in microseconds."""
    made = made_at(checkpoint_id)
    return now_micros(None) if made is None else made - 1


def _made_before(checkpoint_id: str, at: object) -> bool:
    """Whether a checkpoint was made before a time (in microseconds), as far as known."""
    made = made_at(checkpoint_id)
    return made is not None and made <= int(at if isinstance(at, int) else 0)


def made_at(checkpoint_id: str) -> int | None:
    """When LangGraph made a checkpoint id (a version 6 UUID), in microseconds."""
    try:
        id = UUID(checkpoint_id)
    except ValueError:
        return None
    if id.version != 6:
        return None
    ticks = (id.time_low << 28) | (id.time_mid << 12) | (id.time_hi_version & 0x0FFF)
    return (ticks - _UUID6_EPOCH) // 10
