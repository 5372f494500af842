"""Batches of the usual kinds, as one call of the schema's function `write_1`.

What a step of a graph writes is of these kinds: puts, checks and one patch, all in one partition.
Anything else is for `writes`, which does the operations one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from psycopg import pq

from threadloom.documents import encode_doc
from threadloom.ops import Check, Op, Patch, Put
from threadloom_postgres import documents
from threadloom_postgres.places import Schema, leaf_number, part_of, short_key, space_of
from threadloom_postgres.wire import BYTEA, INT8, TEXT, Statement, int8_array
from threadloom_postgres.writes import expected, patience

_KEPT: Final = -3
_SMALL = range(-(2**62), 2**62)
_SPACES = (INT8, TEXT)
_LOOKED = (INT8, INT8, TEXT)
_PUTS = (INT8, TEXT, TEXT, TEXT, BYTEA, BYTEA, TEXT, BYTEA, TEXT, INT8)
_PATCH = 10
_MOST = 500
"""Operations that are written at once; of more, the server would put blobs into a file first."""


class Usual(NamedTuple):
    """A batch, sorted.

    Attributes:
        ops: all of it.
        part: the partition.
        keeping: puts that write only where nothing is.
        putting: the other puts.
        patch: the patch, if there is one.
        fields: what it sets, encoded.
        looked: all of which something is expected, but for those that keep.
    """

    ops: Sequence[Op]
    part: int
    keeping: Sequence[Put]
    putting: Sequence[Put]
    patch: Patch | None
    fields: bytes
    looked: Sequence[Put | Patch | Check]

    def failing(self, number: int) -> Op:
        """The operation whose expectation has failed, by the number that the function tells."""
        return self.looked[number - len(self.keeping) - 1]


def sort(ops: Sequence[Op]) -> Usual | None:
    """What `write_1` is to do for a batch; None where something in it is unusual."""
    part: int | None = None
    keeping: list[Put] = []
    putting: list[Put] = []
    looked: list[Put | Patch | Check] = []
    patch: Patch | None = None
    fields = b""
    places = set()
    if len(ops) > _MOST:
        return None
    for op in ops:
        if not isinstance(op, (Put, Patch, Check)):
            return None
        own = part_of(op.namespace, op.key)
        if part is None:
            part = own
        elif part != own:
            return None
        places.add((op.namespace, op.key))
        if isinstance(op, Put):
            if space_of(op.namespace).wide:
                return None
            (keeping if op.keep else putting).append(op)
            if op.keep:
                continue
        elif isinstance(op, Patch):
            if patch is not None or not _is_simple(op):
                return None
            patch, fields = op, encode_doc(dict(op.set))
            if documents.is_odd(fields):
                return None
        if op.expect is not None:
            looked.append(op)
    if part is None or len(places) < len(ops):
        return None
    return Usual(ops, part, keeping, putting, patch, fields, looked)


def _is_simple(op: Patch) -> bool:
    changes = (*op.maximum.items(), *op.increment.items())
    return (
        op.text is None
        and len(op.maximum) <= 1
        and len(op.increment) <= 1
        and len(dict(changes)) == len(changes)
        and all(name.isidentifier() for name, _ in changes)
        and all(type(value) is int and value in _SMALL for _, value in changes)
        and (op.life is None or op.life.isidentifier())
    )


def write(schema: Schema, usual: Usual, now: int) -> Statement:
    """The statement that writes a batch.

    Args:
        schema: where to.
        usual: the batch.
        now: the store's time, in microseconds since the epoch.
    """
    statement = Statement(writes=True)
    puts = (*usual.keeping, *usual.putting)
    spaces = dict.fromkeys(space_of(op.namespace) for op in puts)
    looked = [
        *((_KEPT, *_place(op)) for op in usual.keeping),
        *((expected(op.expect), *_place(op)) for op in usual.looked),
    ]
    arguments = [
        patience(schema),
        statement.number(now),
        statement.number(schema.lock),
        statement.number(schema.lock_of(usual.part)),
        statement.number(usual.part),
        *_columns(statement, _SPACES, [(space.space, space.name) for space in spaces]),
        *_columns(statement, _LOOKED, looked),
        *_columns(statement, _PUTS, [_row(op) for op in puts]),
        *(
            ["NULL"] * _PATCH
            if usual.patch is None
            else _patch(statement, usual.patch, usual.fields)
        ),
    ]
    leaf = leaf_number(usual.part)
    statement.sql = f"SELECT {schema.quoted}.write_1_{leaf:02}({', '.join(arguments)})"
    return statement


def _place(op: Put | Patch | Check) -> tuple[int, bytes]:
    return space_of(op.namespace).space, short_key(op.key)[0]


def _row(op: Put) -> tuple[Any, ...]:
    key, long_key = short_key(op.key)
    doc, odd_doc = (None, None) if op.doc is None else documents.stored(op.doc, listed=False)
    blob = None if op.blob is None else bytes(op.blob)
    texts = documents.text_columns(op.text)
    return (space_of(op.namespace).space, key, long_key, doc, odd_doc, blob, *texts, op.expires_at)


def _patch(statement: Statement, op: Patch, fields: bytes) -> Iterable[str]:
    space = space_of(op.namespace)
    yield statement.number(space.space)
    yield statement.add(short_key(op.key)[0], TEXT)
    yield f"{statement.add(fields, TEXT)}::jsonb"
    for change in (op.maximum, op.increment):
        if not change:
            yield from ("NULL", "NULL")
        for name, value in change.items():
            yield statement.text(name)
            yield statement.number(value)
    yield "NULL" if op.life is None else statement.text(op.life)
    yield "NULL" if op.expires_at is None else statement.number(op.expires_at)
    yield "true" if space.wide else "false"


def _columns(
    statement: Statement, types: Sequence[int], rows: Sequence[tuple[Any, ...]]
) -> list[str]:
    if not rows:
        return ["NULL"] * len(types)
    columns = zip(types, zip(*rows, strict=True), strict=True)
    return [statement.column(type, column) for type, column in columns]


def results(result: pq.abc.PGresult, usual: Usual) -> list[Any]:
    """The operations' results."""
    version, patched, *kept = int8_array(result.get_value(0, 0) or b"")
    was_kept = iter(kept)
    found: list[Any] = []
    for op in usual.ops:
        if isinstance(op, Put):
            found.append(None if op.keep and next(was_kept) else version)
        else:
            found.append(version if patched and isinstance(op, Patch) else None)
    return found


__all__ = ["Usual", "results", "sort", "write"]
