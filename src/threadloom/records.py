"""What every engine does alike with records, so that all give the same results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from threadloom.ops import (
    ABSENT,
    KEEP_EXPIRY,
    PRESENT,
    Doc,
    Expect,
    Namespace,
    Patch,
    Put,
    Query,
    Record,
    Renew,
)


def holds(expect: Expect, version: int | None) -> bool:
    """Whether an expectation is true of a record at `version`; None where there is none."""
    if expect is None:
        return True
    if expect == ABSENT:
        return version is None
    if expect == PRESENT:
        return version is not None
    return version == expect


def copied(record: Record, namespace: Namespace) -> Put:
    """What writes a record once more, to a namespace that does not have it."""
    return Put(
        namespace, record.key, doc=record.doc, blob=record.blob, text=record.text, expect=ABSENT
    )


def patched(doc: Doc | None, op: Patch) -> Doc:
    """A document after a patch."""
    changed = {**(doc or {}), **op.set}
    for name, value in op.maximum.items():
        stored = changed.get(name)
        changed[name] = value if stored is None else max(stored, value)
    for name, value in op.increment.items():
        changed[name] = (changed.get(name) or 0) + value
    return changed


def patched_expiry(expires_at: int | None, op: Patch, doc: Doc, now: int) -> int | None:
    """When a record expires after a patch that left `doc` behind."""
    if op.life is not None:
        life = doc.get(op.life)
        return now + life if isinstance(life, int) else None
    return expires_at if op.expires_at == KEEP_EXPIRY else op.expires_at


def renewed(op: Renew, version: int, expires_at: int | None, now: int) -> bool:
    """Whether a renewal changes a record that is at `version` and expires at `expires_at`."""
    return version == op.version and expires_at is not None and now < expires_at < op.expires_at


def arranged(records: Iterable[Record], op: Query) -> list[Record]:
    """Records that pass a query's filter, in its order and cut to its page."""

    def place(record: Record) -> tuple[Any, ...]:
        value = 0 if op.order_by is None else (record.doc or {}).get(op.order_by) or 0
        return (value, record.namespace, record.key)

    found = sorted(records, key=place, reverse=op.descending)
    if op.after is not None:
        edge = (op.after[0], op.namespace, op.after[1])
        found = [
            record
            for record in found
            if (place(record) < edge if op.descending else place(record) > edge)
        ]
    end = None if op.limit is None else op.offset + max(0, op.limit)
    return found[op.offset : end]
