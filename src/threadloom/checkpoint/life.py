"""Late writes: telling whether a write belongs to a life of a session that has ended.

A graph run may outlive the deletion of its session. What it writes then must not bring the
session back, while a new life under the same id may begin at any time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.layout import Place
from threadloom.keys import SessionPaths
from threadloom.ops import ABSENT, Check, Expect, Get, Record
from threadloom.plans import Pause, Plan

_PATIENCE = 2.0
"""Seconds that a write waits for a put to begin, where it would begin a new life of an id."""
_LOOKS = 100
_UUID6_EPOCH = 0x01B21DD213814000
"""100-nanosecond intervals between the Gregorian calendar (RFC 9562) and the Unix epoch."""


_under_way: Counter[tuple[str, ...]] = Counter()
_lock = threading.Lock()


@contextmanager
def under_way(paths: SessionPaths) -> Iterator[None]:
    """While a put of a session is under way in this process, writes for it wait with patience."""
    place = _place(paths)
    with _lock:
        _under_way[place] += 1
    try:
        yield
    finally:
        with _lock:
            _under_way[place] -= 1
            if _under_way[place] <= 0:
                del _under_way[place]


def _place(paths: SessionPaths) -> tuple[str, ...]:
    return (*paths.sessions, paths.id)


def check(
    place: Place, checkpoint_id: str, *, patient: bool
) -> Plan[tuple[Record | None, Record | None, Record | None]]:
    """Make sure that a write for a checkpoint is not of a life that has ended.

    Returns the records of the session, of its tombstone and of the head of the checkpoint's
    namespace, as far as they are there.

    A new life of a deleted id begins with a put of the root, which other writes may overtake.
    A `patient` one waits for it, for as long as a put is under way here and then two seconds
    more; a run that has outlived the deletion waits in vain, for its put is refused.
    """
    paths = place.paths
    look = 0
    while look <= _LOOKS:
        session, remains, stored, grave, head = yield [
            Get(paths.sessions, paths.id),
            Get(paths.sessions, paths.id, blob=False, expired=True),
            Get(place.records(), layout.checkpoint_key(checkpoint_id), blob=False),
            index.tombstone(paths),
            place.head(),
        ]
        if session is None:
            head = None
            if stored is not None:
                raise index.deleted(paths.id, f"it expired, and checkpoint {checkpoint_id} with it")
        ended = grave is not None or (session is None and remains is not None)
        if not ended or (session is not None and stored is not None):
            return session, grave, head
        if grave is not None and _older(checkpoint_id, grave):
            raise index.deleted(paths.id, f"checkpoint {checkpoint_id} is gone")
        if session is not None or not patient:
            return session, grave, head
        if not _under_way.get(_place(paths)):
            look += 1
        yield Pause(_PATIENCE / _LOOKS)
    raise index.deleted(paths.id, f"checkpoint {checkpoint_id} never came")


def unchanged(paths: SessionPaths, grave: Record | None) -> Check:
    """The condition that the session was not deleted since its tombstone was looked at."""
    expect: Expect = ABSENT if grave is None else grave.version
    return Check(paths.tombstones, index.TOMBSTONE, expect)


def _older(checkpoint_id: str, grave: Record) -> bool:
    """Whether a checkpoint that is not stored was made before the deletion, as far as known."""
    made = _made_at(checkpoint_id)
    return made is not None and made <= int(grave.body().get("at") or 0)


def _made_at(checkpoint_id: str) -> int | None:
    """When LangGraph made a checkpoint id (a version 6 UUID), in microseconds."""
    try:
        id = UUID(checkpoint_id)
    except ValueError:
        return None
    if id.version != 6:
        return None
    ticks = (id.time_low << 28) | (id.time_mid << 12) | (id.time_hi_version & 0x0FFF)
    return (ticks - _UUID6_EPOCH) // 10
