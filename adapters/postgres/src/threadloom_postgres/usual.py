"""Batches of the usual kinds, as one call of the schema's function `write_1`.

What a step of a graph writes is of these kinds; anything else is for `writes`, which does the
operations one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias, TypeGuard

from psycopg import pq

from threadloom.documents import encode_doc
from threadloom.ops import Check, Namespace, Patch, Put
from threadloom_postgres import documents
from threadloom_postgres.places import leaf_number, part_of, short_key, space_of
from threadloom_postgres.wire import BOOL, BYTEA, INT8, TEXT, Statement, int8_array
from threadloom_postgres.writes import expected, locks

Usual: TypeAlias = Put | Patch | Check

_KEPT: Final = -3
_SMALL = range(-(2**62), 2**62)
_SPACES = (INT8, INT8, BOOL, TEXT)
_LOOKED = (INT8, INT8, INT8, INT8, TEXT)
_PUTS = (INT8, INT8, INT8, TEXT, TEXT, TEXT, BYTEA, BYTEA, TEXT, BYTEA, TEXT, INT8)
_NO_PATCH = ["NULL"] * 12


def is_usual(ops: Sequence[object]) -> TypeGuard[Sequence[Usual]]:
    """Whether `write_1` can do a batch: nothing in it is unusual, and no record comes twice."""
    patches = 0
    places = set()
    for op in ops:
        if isinstance(op, Put):
            if space_of(op.namespace).wide:
                return False
        elif isinstance(op, Patch):
            patches += 1
            if patches > 1 or not _is_simple(op):
                return False
        elif not isinstance(op, Check):
            return False
        places.add((op.namespace, op.key))
    return len(places) == len(ops)


def _is_simple(op: Patch) -> bool:
    fields = {*op.maximum, *op.increment}
    return (
        op.text is None
        and len(op.maximum) <= 1
        and len(op.increment) <= 1
        and len(fields) == len(op.maximum) + len(op.increment)
        and all(name.isidentifier() for name in (*fields, op.life or "_"))
        and all(
            type(value) is int and value in _SMALL
            for value in (*op.maximum.values(), *op.increment.values())
        )
        and not documents.is_odd(encode_doc(dict(op.set)))
    )


def write(schema: str, quoted: str, ops: Sequence[Usual], now: int) -> Statement:
    """The statement that writes a batch for which `is_usual` holds.

    Args:
        schema: the schema's name.
        quoted: the same, quoted.
        ops: the operations.
        now: the store's time, in microseconds since the epoch.
    """
    statement = Statement(writes=True)
    leaves: set[int] = set()
    looked: list[tuple[Any, ...]] = []
    puts: list[tuple[Any, ...]] = []
    written: dict[Namespace, None] = {}
    patch = _NO_PATCH
    whole, alone = locks(schema, ops)
    head = [statement.number(now), statement.number(whole)]
    head.append("NULL" if alone is None else statement.column(INT8, alone))
    for number, op in enumerate(ops, 1):
        part, space = part_of(op.namespace, op.key), space_of(op.namespace).space
        key, long_key = short_key(op.key)
        leaves.add(leaf_number(part))
        kept = isinstance(op, Put) and op.keep
        expects = _KEPT if kept else expected(op.expect)
        if expects is not None:
            looked.append((number, expects, part, space, key))
        if isinstance(op, Put):
            written[op.namespace] = None
            doc, odd_doc = (
                (None, None) if op.doc is None else documents.stored(op.doc, listed=False)
            )
            blob = None if op.blob is None else bytes(op.blob)
            texts = documents.text_columns(op.text)
            stored = (long_key, doc, odd_doc, blob, *texts, op.expires_at)
            puts.append((number, part, space, key, *stored))
        elif isinstance(op, Patch):
            place = [statement.number(part), statement.number(space), statement.add(key, TEXT)]
            patch = [*place, *_changes(statement, op), statement.number(number)]
            patch.append("true" if space_of(op.namespace).wide else "false")
    spaces = [
        (space.part, space.space, b"\1" if space.wide else b"\0", space.name)
        for space in map(space_of, written)
    ]
    arguments = [
        *head,
        *_columns(statement, _SPACES, spaces),
        *_columns(statement, _LOOKED, looked),
        *_columns(statement, _PUTS, puts),
        *patch,
    ]
    leaf = f"_{leaves.pop():02}" if len(leaves) == 1 else ""
    statement.sql = f"SELECT {quoted}.write_1{leaf}({', '.join(arguments)})"
    return statement


def _changes(statement: Statement, op: Patch) -> Iterable[str]:
    yield statement.add(encode_doc(dict(op.set)), TEXT) + "::jsonb"
    for change in (op.maximum, op.increment):
        if not change:
            yield from ("NULL", "NULL")
        for name, value in change.items():
            yield statement.text(name)
            yield statement.number(value)
    yield "NULL" if op.life is None else statement.text(op.life)
    yield "NULL" if op.expires_at is None else statement.number(op.expires_at)


def _columns(
    statement: Statement, types: Sequence[int], rows: Sequence[tuple[Any, ...]]
) -> list[str]:
    if not rows:
        return ["NULL"] * len(types)
    columns = zip(types, zip(*rows, strict=True), strict=True)
    return [statement.column(type, column) for type, column in columns]


def results(result: pq.abc.PGresult, ops: Sequence[Usual]) -> list[Any]:
    """The operations' results."""
    version, patched, *kept = int8_array(result.get_value(0, 0) or b"")
    found: list[Any] = []
    for number, op in enumerate(ops, 1):
        if isinstance(op, Put):
            found.append(None if number in kept else version)
        elif isinstance(op, Patch):
            found.append(version if patched else None)
        else:
            found.append(None)
    return found
