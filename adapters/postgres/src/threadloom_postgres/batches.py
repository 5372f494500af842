"""A batch as statements: one where one can do it, otherwise a transaction of several.

Generators, which yield statements and are sent their results: what sends them may wait on a
thread or on an event loop.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import groupby
from typing import Any

from psycopg import errors, pq

from threadloom import keys
from threadloom.errors import StoreUnavailable, UnsupportedByStore
from threadloom.ops import (
    WRITES,
    Check,
    CopyTree,
    DropTree,
    ExpectationFailed,
    Get,
    Op,
    Patch,
    Put,
    Reclaim,
    Scan,
)
from threadloom.records import patched, patched_expiry
from threadloom_postgres import usual, writes
from threadloom_postgres.places import Schema, space_of
from threadloom_postgres.reads import Reads
from threadloom_postgres.wire import INT8, TEXT, Statement, int8

Work = Generator[Statement, pq.abc.PGresult, list[Any]]

_MOST_AT_ONCE = 32
"""Gets and scans of one statement with scans among them; more take the planner too long."""
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def is_write(ops: Sequence[Op]) -> bool:
    """Whether a batch changes something, or has to hold what it looks at."""
    return any(isinstance(op, WRITES) or type(op) is Check for op in ops)


class Batch:
    """A batch at work.

    Args:
        schema: where the tables are.
        ops: the operations.
        now: the store's time, in microseconds since the epoch.
        begins: whether to begin a transaction for a single statement as well, because
            transactions of this server do not read what is committed unless they are told to.
    """

    def __init__(
        self, schema: Schema, ops: Sequence[Op], now: int, *, begins: bool = False
    ) -> None:
        self._schema = schema
        self._ops = ops
        self._now = now
        self._begins = begins
        self._reads = Reads(schema.quoted, now)

    def work(self) -> Work:
        """Apply it; returns the operations' results."""
        ops = self._ops
        if not ops:
            return []
        if any(type(op) is Reclaim for op in ops):
            if len(ops) > 1:
                raise UnsupportedByStore("tables are reclaimed by a batch of its own")
            return (yield from self._reclaim())
        if not is_write(ops):
            return (yield from self._read())
        if not self._begins:
            try:
                if batch := usual.sort(ops):
                    return (yield from self._write(batch))
                if all(isinstance(op, writes.KINDS) and _is_done_there(op) for op in ops):
                    return (yield from self._apply(ops, locked=False))
            except errors.Error as error:
                if error.sqlstate != writes.ODD:
                    raise
        return (yield from self._within(BEGIN, self._stepwise()))

    def _within(self, begin: str, work: Work) -> Work:
        """A transaction; what fails is rolled back by whoever sends."""
        yield Statement(begin)
        results = yield from work
        yield Statement("COMMIT", writes=begin == BEGIN)
        return results

    # Reading

    def _read(self) -> Work:
        ops = self._ops
        if _is_points(ops):
            return (yield from self._reads.points(ops))  # type: ignore[arg-type, no-any-return]
        if len(ops) == 1:
            return [(yield from self._reads.read(ops[0]))]
        return (yield from self._within(BEGIN_READING, self._read_each(ops)))

    def _read_each(self, ops: Sequence[Op]) -> Work:
        results: list[Any] = []
        for kind, run in groupby(ops, key=lambda op: Get if type(op) is Get else type(op)):
            some = list(run)
            if kind is Get:
                results += yield from self._reads.points(some)  # type: ignore[arg-type]
            else:
                for op in some:
                    found = yield from self._reads.read(op)
                    results.append(found[0] if type(op) is Scan else found)
        return results

    # Writing

    def _apply(self, ops: Sequence[Op], *, locked: bool) -> Work:
        statement = writes.apply(self._schema, ops, self._now, locked=locked)
        try:
            result = yield statement
        except errors.Error as error:
            if number := writes.failing(error):
                raise ExpectationFailed(ops[number - 1]) from error
            raise
        return writes.results(result, ops)

    def _write(self, batch: usual.Usual) -> Work:
        try:
            result = yield usual.write(self._schema, batch, self._now)
        except errors.Error as error:
            if number := writes.failing(error):
                raise ExpectationFailed(batch.failing(number)) from error
            raise
        return usual.results(result, batch)

    def _stepwise(self) -> Work:
        """Neighbours that the function can do at once, and the others one by one."""
        yield writes.lock(self._schema, self._ops, self._now)
        results: list[Any] = []
        for together, run in groupby(self._ops, key=_is_together):
            some = list(run)
            if together:
                results += yield from self._apply(some, locked=True)
                continue
            for op in some:
                if type(op) is Patch:
                    results += yield from self._patch(op)
                elif type(op) is CopyTree:
                    results.append((yield from self._copy(op)))
                else:
                    results += yield from self._read_each([op])
        return results

    def _patch(self, op: Patch) -> Work:
        """A patch of which the server cannot do all: read, changed here, written whole."""
        (found,) = yield from self._reads.points([Get(op.namespace, op.key)])
        write: Op = op._replace(set={})  # of a record that is not there
        if found is not None:
            doc = patched(found.doc, op)
            text = found.text if op.text is None else op.text
            expires = patched_expiry(found.expires_at, op, doc, self._now)
            write = Put(op.namespace, op.key, doc, found.blob, text, expires, op.expect)
        try:
            return (yield from self._apply([write], locked=True))
        except ExpectationFailed as error:
            raise ExpectationFailed(op) from error.__cause__

    def _copy(self, op: CopyTree) -> Generator[Statement, pq.abc.PGresult, int]:
        keys.check_copy(op.source, op.target)
        yield from self._apply([DropTree(op.target)], locked=True)
        names = yield self._reads.spaces(op.source)
        copies = []
        for row in range(names.ntuples):
            source = keys.decode_namespace((names.get_value(row, 0) or b"").decode())
            target = (*op.target, *source[len(op.source) :])
            copies.append((space_of(source), space_of(target)))
        statement = Statement(writes=True)
        arguments = [
            statement.number(self._now),
            statement.whole_array(INT8, [int8(source.part) for source, _ in copies]),
            statement.whole_array(INT8, [int8(source.space) for source, _ in copies]),
            statement.whole_array(INT8, [int8(target.part) for _, target in copies]),
            statement.whole_array(INT8, [int8(target.space) for _, target in copies]),
            statement.whole_array(TEXT, [target.name for _, target in copies]),
        ]
        statement.sql = f"SELECT {self._schema.quoted}.copy_1({', '.join(arguments)})"
        result = yield statement
        return int.from_bytes(result.get_value(0, 0) or b"", "big")

    def _reclaim(self) -> Work:
        look = Statement()
        name = look.text(f"{self._schema.quoted}.records")
        look.sql = (
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class "
            f"WHERE oid = {name}::text::regclass"
        )
        if (yield look).get_value(0, 0) != b"\1":  # the server would warn, and do nothing
            raise StoreUnavailable(
                f"the tables of schema {self._schema.name!r} belong to another role, which alone "
                "may reclaim them: compact as that one"
            )
        for table in ("records", "listed", "spaces"):
            yield Statement(f"VACUUM {self._schema.quoted}.{table}", writes=True, takes_long=True)
        return [None]


def _is_points(ops: Sequence[Op]) -> bool:
    """Whether one statement can read all of it."""
    if all(type(op) is Get for op in ops):
        return True
    return len(ops) <= _MOST_AT_ONCE and all(type(op) in (Get, Scan) for op in ops)


def _is_together(op: Op) -> bool:
    return isinstance(op, writes.KINDS) and type(op) is not Patch


def _is_done_there(op: Op) -> bool:
    return type(op) is not Patch or writes.is_readable(op)
