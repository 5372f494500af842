"""Operations that write, as one call of the schema's function `apply_1`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

from psycopg import errors, pq

from threadloom.documents import encode_doc
from threadloom.ops import (
    ABSENT,
    PRESENT,
    Check,
    CopyTree,
    Delete,
    DropTree,
    Expect,
    Namespace,
    Op,
    Patch,
    Put,
    Renew,
)
from threadloom_postgres import documents
from threadloom_postgres.places import Schema, leaf_number, part_of, short_key, space_of, tree_part
from threadloom_postgres.wire import BOOL, BYTEA, INT2, INT8, TEXT, Statement, int8, int8_array

KINDS: Final = (Put, Patch, Check, Delete, Renew, DropTree)
"""What the function can do."""

ISOLATION, EXPECTATION, ODD = "TL001", "TL002", "TL003"
"""The function's errors; its text says what they mean."""

_PUT, _KEEP, _PATCH, _CHECK, _DELETE, _RENEW, _DROP = (
    struct.pack("!h", kind) for kind in range(1, 8)
)
_TRUE, _FALSE = b"\1", b"\0"
_MOST_LOCKS = 256
"""Partitions that a batch locks one by one; with more it has the schema to itself."""

_ABSENT, _PRESENT, _NEVER = -1, -2, 0
"""What the functions take for what no version is."""


class _Row:
    """One operation, as it stands in the arrays."""

    __slots__ = (
        *("blob", "doc", "expect", "expires", "key", "kind", "listing", "long_key", "odd_doc"),
        *("odd_text", "part", "space", "text", "words"),
    )

    def __init__(self, kind: bytes, part: int | None, space: int, key: bytes) -> None:
        self.kind = kind
        self.part = part
        self.space = int8(space)
        self.key = key
        self.listing = _FALSE
        self.long_key: bytes | None = None
        self.expect: bytes | None = None
        self.doc: bytes | None = None
        self.odd_doc: bytes | None = None
        self.blob: bytes | None = None
        self.text: bytes | None = None
        self.odd_text: bytes | None = None
        self.words: bytes | None = None
        self.expires: bytes | None = None


def locks(schema: Schema, ops: Iterable[Op]) -> tuple[int, list[int] | None]:
    """What a batch locks: the schema's own lock, and those of partitions in order.

    None for the latter where the batch must have the schema to itself.
    """
    parts: set[int] = set()
    whole = schema.lock
    for op in ops:
        if isinstance(op, (DropTree, CopyTree)):
            trees = (op.namespace,) if isinstance(op, DropTree) else (op.source, op.target)
            for tree in map(tree_part, trees):
                if tree is None:
                    return whole, None
                parts.add(tree)
        elif isinstance(op, (Put, Patch, Check, Delete, Renew)):
            parts.add(part_of(op.namespace, op.key))
    if len(parts) > _MOST_LOCKS:
        return whole, None
    return whole, sorted(map(schema.lock_of, parts))


def apply(schema: Schema, ops: Sequence[Op], now: int, *, locked: bool = False) -> Statement:
    """The statement that applies a batch.

    Args:
        schema: where to.
        ops: operations of `KINDS`.
        now: the store's time, in microseconds since the epoch.
        locked: whether the transaction has what it needs already.
    """
    rows = [_row(op) for op in ops]
    whole, parts = (None, []) if locked else locks(schema, ops)
    written = dict.fromkeys(op.namespace for op in ops if type(op) is Put)
    leaves = {None if row.part is None else leaf_number(row.part) for row in rows}
    one = leaves.pop() if len(leaves) == 1 else None
    name = "apply_1" if one is None else f"apply_1_{one:02}"
    return _call(schema, name, now, whole, parts, written, rows)


def lock(schema: Schema, ops: Sequence[Op], now: int) -> Statement:
    """The statement that locks what a batch touches, until the transaction ends."""
    return _call(schema, "apply_1", now, *locks(schema, ops), (), ())


def patience(schema: Schema) -> str:
    """How long the functions wait for locks, as their first argument."""
    return f"'{max(1, int(schema.patience * 1_000))}ms'"


def _call(
    schema: Schema,
    function: str,
    now: int,
    whole: int | None,
    parts: Sequence[int] | None,
    written: Iterable[Namespace],
    rows: Sequence[_Row],
) -> Statement:
    statement = Statement(writes=True)
    spaces = [space_of(namespace) for namespace in written]
    arguments = [
        patience(schema),
        statement.number(now),
        statement.add(None if whole is None else int8(whole), INT8),
        statement.array(INT8, [])
        if parts is None
        else statement.whole_array(INT8, [int8(part) for part in parts]),
        statement.array(INT8, [int8(space.part) for space in spaces]),
        statement.array(INT8, [int8(space.space) for space in spaces]),
        statement.array(BOOL, [_TRUE if space.wide else _FALSE for space in spaces]),
        statement.array(TEXT, [space.name for space in spaces]),
        statement.whole_array(INT2, [row.kind for row in rows]),
        statement.array(BOOL, [row.listing for row in rows]),
        statement.array(INT8, [None if row.part is None else int8(row.part) for row in rows]),
        statement.array(INT8, [row.space for row in rows]),
        statement.array(TEXT, [row.key for row in rows]),
        statement.array(TEXT, [row.long_key for row in rows]),
        statement.array(INT8, [row.expect for row in rows]),
        statement.array(TEXT, [row.doc for row in rows]),
        statement.array(BYTEA, [row.odd_doc for row in rows]),
        statement.array(BYTEA, [row.blob for row in rows]),
        statement.array(TEXT, [row.text for row in rows]),
        statement.array(BYTEA, [row.odd_text for row in rows]),
        statement.array(TEXT, [row.words for row in rows]),
        statement.array(INT8, [row.expires for row in rows]),
    ]
    statement.sql = f"SELECT {schema.quoted}.{function}({', '.join(arguments)})"
    return statement


def results(result: pq.abc.PGresult, ops: Sequence[Op]) -> list[Any]:
    """The operations' results."""
    found: list[Any] = list(int8_array(result.get_value(0, 0) or b""))
    for at, op in enumerate(ops):
        if isinstance(op, (Delete, Renew)):
            found[at] = bool(found[at])
    return found


def failing(error: errors.Error) -> int | None:
    """The number of what is not as expected, if that is what an error of a function says."""
    return int(error.diag.message_primary or 0) if error.sqlstate == EXPECTATION else None


def is_readable(op: Patch) -> bool:
    """Whether the function can do a patch, as far as the patch alone goes."""
    return not documents.is_odd(_changes(op))


def _row(op: Op) -> _Row:
    match op:
        case Put():
            row = _point(_KEEP if op.keep else _PUT, op.namespace, op.key)
            if not op.keep:
                row.expect = _expect(op.expect)
            if op.doc is not None:
                row.doc, row.odd_doc = documents.stored(op.doc, listed=row.listing == _TRUE)
            row.blob = None if op.blob is None else bytes(op.blob)
            row.expires = None if op.expires_at is None else int8(op.expires_at)
            row.text, row.odd_text, row.words = documents.text_columns(op.text)
        case Patch():
            row = _point(_PATCH, op.namespace, op.key)
            row.expect = _expect(op.expect)
            row.doc = _changes(op)
            row.expires = None if op.expires_at is None else int8(op.expires_at)
            row.text, row.odd_text, row.words = documents.text_columns(op.text)
        case Check():
            row = _point(_CHECK, op.namespace, op.key)
            row.expect = _expect(op.expect)
        case Delete():
            row = _point(_DELETE, op.namespace, op.key)
            row.expect = _expect(op.expect)
        case Renew():
            row = _point(_RENEW, op.namespace, op.key)
            row.expect = int8(op.version)
            row.expires = int8(op.expires_at)
        case DropTree():
            row = _Row(_DROP, tree_part(op.namespace), 0, space_of(op.namespace).name)
        case _:
            raise TypeError(f"not an operation that writes: {op!r:.80}")
    return row


def _point(kind: bytes, namespace: Namespace, key: str) -> _Row:
    space = space_of(namespace)
    short, whole = short_key(key)
    row = _Row(kind, part_of(namespace, key) if space.wide else space.part, space.space, short)
    row.long_key = whole
    if space.wide:
        row.listing = _TRUE
    return row


def expected(expect: Expect) -> int | None:
    """What is expected of a record, as the functions take it."""
    if expect is None:
        return None
    if expect == ABSENT:
        return _ABSENT
    if expect == PRESENT:
        return _PRESENT
    return expect if type(expect) is int and expect > 0 else _NEVER


def _expect(expect: Expect) -> bytes | None:
    found = expected(expect)
    return None if found is None else int8(found)


def _changes(op: Patch) -> bytes:
    change: dict[str, Any] = {"set": dict(op.set)}
    if op.maximum:
        change["maximum"] = dict(op.maximum)
    if op.increment:
        change["increment"] = dict(op.increment)
    if op.life is not None:
        change["life"] = op.life
    return encode_doc(change)
