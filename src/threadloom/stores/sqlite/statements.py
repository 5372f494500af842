"""The operations of the port as SQL; those on single records are `points`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

from threadloom import keys
from threadloom.documents import decode_doc
from threadloom.errors import UnsupportedByStore
from threadloom.filters import check_filter, matches
from threadloom.garbage import without_collection
from threadloom.ops import (
    Check,
    CopyTree,
    Count,
    Delete,
    DropTree,
    Get,
    Hit,
    ListNamespaces,
    Match,
    Measure,
    Namespace,
    Op,
    Query,
    Record,
    Scan,
)
from threadloom.records import arranged
from threadloom.stores.sqlite import listing, places, points, search
from threadloom.stores.sqlite.likely import conditions
from threadloom.stores.sqlite.schema import State

_COLUMNS = "r.key, r.doc, r.blob, r.text, r.ver, r.created, r.updated, r.expires"
_NO_BLOB = "r.key, r.doc, NULL, r.text, r.ver, r.created, r.updated, r.expires"
_LIVE = "(r.expires IS NULL OR r.expires > ?)"
_LARGEST = 2**53
_DEAD = "(r.expires IS NOT NULL AND r.expires <= ?)"


class Transaction:
    """Operations against one connection at one moment.

    Args:
        connection: in a transaction, but for a batch that is one statement.
        now: the store's time, in microseconds since the epoch.
        numbers: the numbers of namespaces.
        state: what was given out before, in a write transaction.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: int,
        numbers: places.Numbers | None = None,
        state: State | None = None,
    ) -> None:
        self._sql = connection.execute
        self._connection = connection
        self._now = now
        self._writes = state is not None
        self._state = state or State(0, 0, 0, 0)
        self._numbers = numbers or places.Numbers(connection)

    def apply_all(self, ops: Sequence[Op]) -> list[Any]:
        """Run a batch; neighbours that name single records go at once."""
        results: list[Any] = []
        for kind, run in groupby(ops, key=_together):
            if kind is None:
                results += [self.apply(op) for op in run]
                continue
            while some := list(islice(run, points.MOST)):
                if kind is Get:
                    results += points.read(self._connection, some, self._now)  # type: ignore[arg-type]
                else:
                    results += self._write(some)
        return results

    def _write(self, ops: Sequence[Any]) -> list[Any]:
        batch = points.Stepwise(self._connection, self._now, self._numbers, self._state)
        results = batch.apply_all(ops)
        self._state = self._state._replace(tid=batch.state.tid)
        return results

    @property
    def tid(self) -> int:
        """The number of a text that was given out last."""
        return self._state.tid

    def apply(self, op: Op) -> Any:
        """Run one operation that names no single record, or removes one."""
        match op:
            case Scan():
                return self._scan(op)
            case Delete():
                if op.expect is not None:
                    self._write([Check(op.namespace, op.key, op.expect)])
                return self._delete(op.namespace, op.key)
            case DropTree():
                return sum(
                    self._clear(namespace, number)
                    for namespace, number in self._below(op.namespace, deep=True)
                )
            case CopyTree():
                return self._copy(op)
            case Query():
                return self._query(op)
            case Count():
                return self._count(op)
            case Match():
                return self._match(op)
            case ListNamespaces():
                return places.list_namespaces(self._connection, op, self._now)
            case Measure():
                return places.measure(self._connection, op, self._now)
            case _:
                raise UnsupportedByStore(f"unknown operation {op!r}")

    # Namespaces

    def _below(self, namespace: Namespace, *, deep: bool) -> list[tuple[Namespace, int]]:
        found: list[tuple[Namespace, int]] = []
        number = self._numbers.find(namespace) if namespace else None
        if number is not None:
            found.append((namespace, number))
        if deep:
            rows = self._sql(
                "SELECT name, id FROM ns WHERE name >= ? AND name < ?", keys.below(namespace)
            )
            found += [(keys.decode_namespace(name), number) for name, number in rows]
        return found

    # Reading

    def _scan(self, op: Scan) -> list[Record]:
        where = ["r.ns = (SELECT id FROM ns WHERE name = ?)"]
        parameters: list[Any] = [keys.encode_namespace(op.namespace)]
        if op.start is not None:
            where.append("r.key >= ?")
            parameters.append(op.start)
        if op.end is not None:
            where.append("r.key < ?")
            parameters.append(op.end)
        where.append(_LIVE)
        parameters += [self._now, -1 if op.limit is None else _bounded(op.limit)]
        with without_collection():
            rows = self._sql(
                f"SELECT {_COLUMNS if op.blobs else _NO_BLOB} FROM rec r "  # noqa: S608
                f"WHERE {' AND '.join(where)} "
                f"ORDER BY r.key {'DESC' if op.reverse else 'ASC'} LIMIT ?",
                parameters,
            )
            return points.records(op.namespace, rows.fetchall())

    # Writing

    def _delete(self, namespace: Namespace, key: str) -> bool:
        number = self._numbers.find(namespace)
        if number is None:
            return False
        row = self._sql(
            "DELETE FROM rec WHERE ns = ? AND key = ? RETURNING expires, tid, text", (number, key)
        ).fetchone()
        if row is None:
            return False
        if row[1] is not None:
            search.forget(self._connection, [row[1:]])
        if keys.is_sessions(namespace):
            listing.leave(self._connection, number, key)
        self._forget_if_empty(namespace, number)
        return row[0] is None or bool(row[0] > self._now)

    def _clear(self, namespace: Namespace, number: int) -> int:
        rows = self._sql(
            "SELECT tid, text FROM rec WHERE ns = ? AND tid IS NOT NULL", (number,)
        ).fetchall()
        search.forget(self._connection, rows)
        (count,) = self._sql(
            f"SELECT count(*) FROM rec r WHERE r.ns = ? AND {_LIVE}",  # noqa: S608
            (number, self._now),
        ).fetchone()
        self._sql("DELETE FROM rec WHERE ns = ?", (number,))
        listing.leave(self._connection, number)
        self._forget_if_empty(namespace, number)
        return int(count)

    def _copy(self, op: CopyTree) -> int:
        keys.check_copy(op.source, op.target)
        for namespace, number in self._below(op.target, deep=True):
            self._clear(namespace, number)
        copied = 0
        for namespace, number in self._below(op.source, deep=True):
            there = (*op.target, *namespace[len(op.source) :])
            target = self._numbers.make(there)
            # Each text gets a number of its own; the index will be fed with them.
            count = self._sql(
                "INSERT INTO rec "  # noqa: S608
                "(ns, key, ver, created, updated, expires, tid, doc, text, blob) "
                "SELECT ?, r.key, ?, ?, ?, r.expires, "
                "CASE WHEN r.tid IS NOT NULL THEN ? + count(r.tid) OVER (ORDER BY r.key) END, "
                f"r.doc, r.text, r.blob FROM rec r WHERE r.ns = ? AND {_LIVE}",
                (
                    *(target, self._state.seq + 1, self._now, self._now, self._state.tid),
                    *(number, self._now),
                ),
            ).rowcount
            (texts,) = self._sql("SELECT count(tid) FROM rec WHERE ns = ?", (target,)).fetchone()
            self._state = self._state._replace(tid=self._state.tid + texts)
            copied += count
            self._forget_if_empty(there, target)
        return copied

    def _forget_if_empty(self, namespace: Namespace, number: int) -> None:
        # A namespace's name holds its session's id, so it goes with the last record.
        if self._sql("SELECT 1 FROM rec WHERE ns = ? LIMIT 1", (number,)).fetchone() is None:
            self._numbers.forget(namespace, number)

    # Queries

    def _query(self, op: Query) -> list[Record]:
        check_filter(op.filter)
        if op.limit is not None and op.limit <= 0:
            return []
        if keys.is_sessions(op.namespace) and not op.deep and op.order_by in listing.ORDERS:
            return self._query_sessions(op)
        return arranged(self._filtered(op), op)

    def _filtered(self, op: Query) -> Iterator[Record]:
        alive = _DEAD if op.expired else _LIVE
        likely, parameters = conditions(op.filter)
        for namespace, number in self._below(op.namespace, deep=op.deep):
            if op.user_only and not keys.is_users(namespace, op.namespace):
                continue
            rows = self._sql(
                f"SELECT {_COLUMNS if op.blobs else _NO_BLOB} FROM rec r "  # noqa: S608
                f"WHERE {' AND '.join(('r.ns = ?', alive, *likely))}",
                (number, self._now, *parameters),
            )
            for row in rows:
                found = points.record(namespace, row)
                if matches(found.doc, op.filter):
                    yield found

    def _query_sessions(self, op: Query) -> list[Record]:
        number = self._numbers.find(op.namespace)
        if number is None:
            return []
        alive = _DEAD if op.expired else _LIVE
        columns = _COLUMNS if op.blobs else _NO_BLOB
        rows, rest = listing.rows(self._connection, number, op, columns, alive, self._now)
        passing = (
            found
            for found in (points.record(op.namespace, row) for row in rows)
            if matches(found.doc, rest)
        )
        end = None if op.limit is None else op.offset + _bounded(op.limit)
        return list(islice(passing, op.offset, end))

    def _count(self, op: Count) -> int:
        check_filter(op.filter)
        if op.filter:
            return self._count_passing(op, op.filter)
        total = 0
        for _, number in self._below(op.namespace, deep=op.deep):
            (count,) = self._sql(
                f"SELECT count(*) FROM rec r "  # noqa: S608
                f"WHERE r.ns = ? AND {_DEAD if op.expired else _LIVE}",
                (number, self._now),
            ).fetchone()
            total += count
        return total

    def _count_passing(self, op: Count, filter: Mapping[str, Any]) -> int:
        alive = _DEAD if op.expired else _LIVE
        number = self._numbers.find(op.namespace) if op.namespace else None
        if keys.is_sessions(op.namespace) and not op.deep and listing.helps(filter):
            if number is None:
                return 0
            query = Query(op.namespace, filter=filter, order_by=listing.ORDERED)
            found, rest = listing.rows(
                self._connection, number, query, "r.key, r.doc", alive, self._now
            )
            return sum(matches(_decoded(doc), rest) for _, doc in found)
        likely, parameters = conditions(filter)
        return sum(
            matches(_decoded(doc), filter)
            for _, number in self._below(op.namespace, deep=op.deep)
            for (doc,) in self._sql(
                "SELECT doc FROM rec r "  # noqa: S608
                f"WHERE {' AND '.join(('r.ns = ?', alive, *likely))}",
                (number, self._now, *parameters),
            )
        )

    # Full text

    def _match(self, op: Match) -> list[Hit]:
        expression = search.expression(op.words)
        if not expression or op.limit <= 0:
            return []
        if self._writes:
            search.feed(self._connection)
        low, high = keys.below(op.namespace)
        rows = self._sql(
            f"SELECT n.name, -bm25(fts), {_NO_BLOB} FROM fts "  # noqa: S608
            "JOIN rec r ON r.tid = fts.rowid JOIN ns n ON n.id = r.ns "
            "WHERE fts MATCH ? AND (n.name = ? OR (n.name >= ? AND n.name < ?)) "
            f"AND {_LIVE} ORDER BY bm25(fts), r.updated DESC LIMIT ?",
            (
                expression,
                keys.encode_namespace(op.namespace),
                low,
                high,
                self._now,
                op.limit,
            ),
        )
        return [Hit(points.record(keys.decode_namespace(row[0]), row[2:]), row[1]) for row in rows]


def _together(op: Op) -> type | None:
    if type(op) is Get:
        return Get
    return points.Stepwise if type(op) in points.KINDS else None


def _decoded(doc: str | None) -> dict[str, Any] | None:
    return None if doc is None else decode_doc(doc)


def _bounded(limit: int) -> int:
    return max(0, min(limit, _LARGEST))
