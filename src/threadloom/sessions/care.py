"""Plans that look after what is stored: where the bytes are."""

from __future__ import annotations

from collections.abc import Iterable

from threadloom import index
from threadloom.keys import (
    CHECKPOINTS,
    MEMORY,
    OWN_MARK,
    SESSIONS,
    Namespace,
    SessionPaths,
)
from threadloom.models import KindStats, StorageStats
from threadloom.ops import Count, Get, Measure, Measured
from threadloom.plans import Plan
from threadloom.scope import Scope

_OWN = {"logs": "elements", "texts": "texts", "values": "values"}


def stats(
    scope: Scope, paths: SessionPaths | None, *, file_bytes: int | None
) -> Plan[StorageStats]:
    """What a tenant's sessions take up, or one of them.

    Raises:
        SessionNotFound: there is no such session.
    """
    depth = len(scope.root)
    if paths is None:
        count, *found = yield [
            Count((*scope.root, SESSIONS)),
            *(Measure((*scope.root, label)) for label in (SESSIONS, MEMORY, CHECKPOINTS)),
        ]
        return _summed([item for page in found for item in page], depth, count, file_bytes)
    session, memory, checkpoints = yield [
        Get(paths.sessions, paths.id),
        Measure(paths.memory),
        Measure(paths.checkpoints),
    ]
    if session is None:
        raise index.not_found(paths.id)
    parts = [Measured(paths.sessions, 1, index.size(session)), *memory, *checkpoints]
    return _summed(parts, depth, 1, file_bytes)


def _summed(
    found: Iterable[Measured], depth: int, sessions: int, file_bytes: int | None
) -> StorageStats:
    kinds: dict[str, tuple[int, int]] = {}
    for item in found:
        kind = _kind(item.namespace[depth:])
        records, size = kinds.get(kind, (0, 0))
        kinds[kind] = (records + item.records, size + item.bytes)
    rows = [KindStats(kind=kind, records=n, bytes=size) for kind, (n, size) in kinds.items()]
    return StorageStats(
        sessions=sessions,
        records=sum(row.records for row in rows),
        bytes=sum(row.bytes for row in rows),
        file_bytes=file_bytes,
        kinds=tuple(sorted(rows, key=lambda row: (-row.bytes, row.kind))),
    )


def _kind(namespace: Namespace) -> str:
    """The kind of records in a namespace below a tenant's root."""
    word, *rest = namespace
    if word == SESSIONS:
        return "other" if rest else "sessions"
    if word == MEMORY:
        is_stream = len(rest) > 1 and not rest[1].startswith(OWN_MARK)
        return "items" if is_stream else "messages"
    last = rest[-1] if rest else ""
    if len(rest) > 2 and last.startswith(OWN_MARK):
        return _OWN.get(last[len(OWN_MARK) :], "other")
    return "checkpoints"
