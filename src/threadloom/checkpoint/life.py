"""Late writes: telling whether a write belongs to a life of a session that has ended.

A graph run may outlive the deletion of its session. What it writes then must not bring the
session back, while a new life under the same id may begin at any time.
"""

from __future__ import annotations

from uuid import UUID

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.layout import Place
from threadloom.keys import SessionPaths
from threadloom.ops import ABSENT, Check, Expect, Get, Record
from threadloom.plans import Pause, Plan

_PATIENCE = 2.0
"""Seconds that a write waits for the put which begins a new life of a deleted id."""
_LOOKS = 100
_UUID6_EPOCH = 0x01B21DD213814000
"""100-nanosecond intervals between the Gregorian calendar (RFC 9562) and the Unix epoch."""


def check(
    place: Place, checkpoint_id: str, *, patient: bool
) -> Plan[tuple[Record | None, Record | None, Record | None]]:
    """Make sure that a write for a checkpoint is not of a life that has ended.

    Returns the records of the session, of its tombstone and of the head of the checkpoint's
    namespace, as far as they are there.

    A new life of a deleted id begins with a put of the root, which other writes may overtake.
    A `patient` one waits for it; a run that has outlived the deletion waits in vain, for its
    put is refused.
    """
    paths = place.paths
    for look in range(_LOOKS + 1):
        session, stored, grave, head = yield [
            Get(paths.sessions, paths.id),
            Get(place.records(), layout.checkpoint_key(checkpoint_id), blob=False),
            index.tombstone(paths),
            place.head(),
        ]
        if session is None:
            head = None  # of an expired life
        if grave is None or (session is not None and stored is not None):
            return session, grave, head
        if _older(checkpoint_id, grave):
            raise index.deleted(paths.id, f"checkpoint {checkpoint_id} is gone")
        if session is not None or not patient:
            return session, grave, head
        if look < _LOOKS:
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
