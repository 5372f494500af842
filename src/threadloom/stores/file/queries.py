"""What the index answers: the operations of the port that look at more than one journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Any

from threadloom import keys
from threadloom.documents import decode_doc
from threadloom.errors import UnsupportedByStore
from threadloom.filters import check_filter, matches
from threadloom.ops import (
    Count,
    Get,
    Hit,
    ListNamespaces,
    Match,
    Measure,
    Measured,
    Namespace,
    Op,
    Query,
    Record,
    Scan,
)
from threadloom.records import arranged
from threadloom.stores import listing
from threadloom.stores.fulltext import expression
from threadloom.stores.likely import conditions

_COLUMNS = "r.key, r.doc, {}, r.text, r.ver, r.created, r.updated, r.expires"
_NO_BLOB, _WITH_BLOB = _COLUMNS.format("NULL"), _COLUMNS.format("r.blob")
_LIVE = "(r.expires IS NULL OR r.expires > ?)"
_DEAD = "(r.expires IS NOT NULL AND r.expires <= ?)"
_BELOW = "(n.name = ? OR (n.name >= ? AND n.name < ?))"
_LARGEST = 2**53


class Queries:
    """Operations on the index at one moment.

    Args:
        connection: in a transaction.
        now: the store's time, in microseconds since the epoch.
    """

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection = connection
        self._sql = connection.execute
        self._now = now

    def apply(self, op: Op) -> Any:
        """Answer one operation."""
        match op:
            case Get():
                return self._get(op)
            case Scan():
                return self._scan(op)
            case Query():
                return self._query(op)
            case Count():
                check_filter(op.filter)
                if not op.filter:
                    return self._count(op)
                query = Query(op.namespace, op.deep, op.filter, expired=op.expired)
                return sum(1 for _ in self._filtered(query))
            case Match():
                return self._match(op)
            case ListNamespaces():
                return sorted(
                    namespace
                    for namespace, _ in self._below(op.namespace, deep=True)
                    if not op.user_only or keys.is_users(namespace, op.namespace)
                )
            case Measure():
                rows = self._sql(
                    "SELECT n.name, count(*), sum(r.size) FROM ns n "  # noqa: S608
                    f"JOIN rec r ON r.ns = n.id WHERE {_BELOW} AND {_LIVE} GROUP BY n.id",
                    (*_range(op.namespace), self._now),
                )
                return sorted(
                    Measured(keys.decode_namespace(name), count, size) for name, count, size in rows
                )
            case _:
                raise UnsupportedByStore(f"unknown operation {op!r}")

    def _below(
        self, namespace: Namespace, *, deep: bool, expired: bool = False
    ) -> list[tuple[Namespace, int]]:
        """The namespaces that hold a record which lives, or one that has expired."""
        where = _BELOW if deep else "n.name = ?"
        rows = self._sql(
            f"SELECT n.name, n.id FROM ns n WHERE {where} AND EXISTS "  # noqa: S608
            f"(SELECT 1 FROM rec r WHERE r.ns = n.id AND {_DEAD if expired else _LIVE})",
            (*(_range(namespace) if deep else _range(namespace)[:1]), self._now),
        )
        return [(keys.decode_namespace(name), number) for name, number in rows]

    def _get(self, op: Get) -> Record | None:
        """The record of a session."""
        row = self._sql(
            f"SELECT {_COLUMNS.format('r.blob' if op.blob else 'NULL')} FROM rec r "  # noqa: S608
            f"WHERE r.ns = (SELECT id FROM ns WHERE name = ?) AND r.key = ? AND (? OR {_LIVE})",
            (keys.encode_namespace(op.namespace), op.key, op.expired, self._now),
        ).fetchone()
        return None if row is None else _record(op.namespace, row)

    def _scan(self, op: Scan) -> list[Record]:
        where = ["r.ns = (SELECT id FROM ns WHERE name = ?)", _LIVE]
        parameters: list[Any] = [keys.encode_namespace(op.namespace), self._now]
        if op.start is not None:
            where.append("r.key >= ?")
            parameters.append(op.start)
        if op.end is not None:
            where.append("r.key < ?")
            parameters.append(op.end)
        rows = self._sql(
            f"SELECT {_COLUMNS.format('r.blob' if op.blobs else 'NULL')} FROM rec r "  # noqa: S608
            f"WHERE {' AND '.join(where)} "
            f"ORDER BY r.key {'DESC' if op.reverse else 'ASC'} LIMIT ?",
            (*parameters, -1 if op.limit is None else _bounded(op.limit)),
        )
        return [_record(op.namespace, row) for row in rows]

    def _query(self, op: Query) -> list[Record]:
        check_filter(op.filter)
        if op.limit is not None and op.limit <= 0:
            return []
        end = None if op.limit is None else op.offset + _bounded(op.limit)
        of_sessions = keys.is_sessions(op.namespace) and not op.deep
        if of_sessions and op.order_by in listing.ORDERS:
            return list(islice(self._sessions(op), op.offset, end))
        if of_sessions or op.order_by is not None or op.after is not None:
            return arranged(self._filtered(op), op)
        # They come in order: what lies behind the page is not read.
        return list(islice(self._filtered(op), op.offset, end))

    def _sessions(self, op: Query) -> Iterator[Record]:
        row = self._sql(
            "SELECT id FROM ns WHERE name = ?", (keys.encode_namespace(op.namespace),)
        ).fetchone()
        if row is None:
            return
        alive = _DEAD if op.expired else _LIVE
        columns = _WITH_BLOB if op.blobs else _NO_BLOB
        rows, rest = listing.rows(self._connection, row[0], op, columns, alive, self._now)
        for found in rows:
            record = _record(op.namespace, found)
            if matches(record.doc, rest):
                yield record

    def _filtered(self, op: Query) -> Iterator[Record]:
        if keys.is_sessions(op.namespace) and not op.deep and listing.helps(op.filter or {}):
            wanted = Query(op.namespace, filter=op.filter, order_by=listing.ORDERED)
            yield from self._sessions(wanted._replace(expired=op.expired, blobs=op.blobs))
            return
        alive = _DEAD if op.expired else _LIVE
        likely, parameters = conditions(op.filter)
        order = "DESC" if op.descending else "ASC"
        spaces = self._below(op.namespace, deep=op.deep, expired=op.expired)
        for namespace, number in sorted(spaces, reverse=op.descending):
            if op.user_only and not keys.is_users(namespace, op.namespace):
                continue
            # Of sessions' records, and no others, the index has the blobs as well.
            blobs = op.blobs and keys.is_sessions(namespace)
            rows = self._sql(
                f"SELECT {_WITH_BLOB if blobs else _NO_BLOB} FROM rec r "  # noqa: S608
                f"WHERE {' AND '.join(('r.ns = ?', alive, *likely))} ORDER BY r.key {order}",
                (number, self._now, *parameters),
            )
            for row in rows:
                record = _record(namespace, row)
                if matches(record.doc, op.filter):
                    yield record

    def _count(self, op: Count) -> int:
        alive = _DEAD if op.expired else _LIVE
        where = _BELOW if op.deep else "n.name = ?"
        (count,) = self._sql(
            f"SELECT count(*) FROM ns n JOIN rec r ON r.ns = n.id "  # noqa: S608
            f"WHERE {where} AND {alive}",
            (*(_range(op.namespace) if op.deep else _range(op.namespace)[:1]), self._now),
        ).fetchone()
        return int(count)

    def _match(self, op: Match) -> list[Hit]:
        wanted = expression(op.words)
        if not wanted or op.limit <= 0:
            return []
        rows = self._sql(
            f"SELECT n.name, -bm25(fts), {_NO_BLOB} FROM fts "  # noqa: S608
            "JOIN rec r ON r.tid = fts.rowid JOIN ns n ON n.id = r.ns "
            f"WHERE fts MATCH ? AND {_BELOW} AND {_LIVE} "
            "ORDER BY bm25(fts), r.updated DESC LIMIT ?",
            (wanted, *_range(op.namespace), self._now, _bounded(op.limit)),
        )
        return [Hit(_record(keys.decode_namespace(row[0]), row[2:]), row[1]) for row in rows]


def journals_below(connection: sqlite3.Connection, namespace: Namespace) -> list[str]:
    """The marks of the journals that hold records at or below a namespace, living or not."""
    rows = connection.execute(
        "SELECT DISTINCT f.place FROM ns n JOIN rec r ON r.ns = n.id "  # noqa: S608
        f"JOIN file f ON f.id = r.file WHERE {_BELOW}",
        _range(namespace),
    )
    return [mark for (mark,) in rows]


def _range(namespace: Namespace) -> tuple[str, str, str]:
    return (keys.encode_namespace(namespace), *keys.below(namespace))


def _bounded(limit: int) -> int:
    return max(0, min(limit, _LARGEST))


def _record(namespace: Namespace, row: tuple[Any, ...]) -> Record:
    key, doc, blob, text, version, created, updated, expires = row
    decoded = None if doc is None else decode_doc(doc)
    return Record(namespace, key, decoded, blob, text, version, created, updated, expires)
