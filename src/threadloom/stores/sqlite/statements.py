"""One operation of the port as SQL, inside a transaction that the store has begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import groupby, islice
from typing import Any, NamedTuple

from threadloom import keys
from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import UnsupportedByStore
from threadloom.filters import matches
from threadloom.ops import (
    Check,
    Count,
    Delete,
    DropTree,
    Expect,
    ExpectationFailed,
    Get,
    Hit,
    ListNamespaces,
    Match,
    Measure,
    Namespace,
    Op,
    Patch,
    Put,
    Query,
    Record,
    Scan,
)
from threadloom.records import arranged, holds, patched, patched_expiry
from threadloom.stores.sqlite import listing, places, points, search

_COLUMNS = "r.key, r.doc, r.blob, r.text, r.ver, r.created, r.updated, r.expires"
_NO_BLOB = "r.key, r.doc, NULL, r.text, r.ver, r.created, r.updated, r.expires"
_LIVE = "(r.expires IS NULL OR r.expires > ?)"
_MOST = 2**53
_MOST_PARAMETERS = 900
_DEAD = "(r.expires IS NOT NULL AND r.expires <= ?)"


class Transaction:
    """Operations against one connection at one moment.

    Args:
        connection: inside a transaction; a write transaction where `version` is given.
        now: the store's time, in microseconds since the epoch.
        version: the version that records written here get.
        numbers: the numbers of namespaces.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: int,
        version: int = 0,
        numbers: places.Numbers | None = None,
    ) -> None:
        self._sql = connection.execute
        self._connection = connection
        self._now = now
        self._version = version
        self._numbers = numbers or places.Numbers(connection)

    def apply_all(self, ops: Sequence[Op]) -> list[Any]:
        """Run a batch; neighbouring `Get`s of one namespace are one statement."""
        results: list[Any] = []
        for kind, run in groupby(ops, key=_together):
            if kind is None:
                results += [self.apply(op) for op in run]
            else:
                results += self._get_all(kind, [op.key for op in run])  # type: ignore[union-attr]
        return results

    def apply(self, op: Op) -> Any:
        """Run one operation and return its result."""
        match op:
            case Get():
                return self._get_all(_Like(op.namespace, op.blob, op.expired), [op.key])[0]
            case Scan():
                return self._scan(op)
            case Put():
                return self._put(op)
            case Patch():
                return self._patch(op)
            case Delete():
                self._expect(op, op.expect)
                return self._delete(op.namespace, op.key)
            case DropTree():
                return sum(
                    self._clear(namespace, number)
                    for namespace, number in self._below(op.namespace, deep=True)
                )
            case Check():
                return self._expect(op, op.expect)
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

    def _get_all(self, like: _Like, names: list[str]) -> list[Any]:
        namespace = like.namespace
        number = self._numbers.find(namespace)
        if number is None:
            return [None] * len(names)
        found: dict[str, Record] = {}
        for start in range(0, len(names), _MOST_PARAMETERS):
            part = names[start : start + _MOST_PARAMETERS]
            rows = self._sql(
                f"SELECT {_COLUMNS if like.blob else _NO_BLOB} FROM rec r WHERE r.ns = ? "  # noqa: S608
                f"AND r.key IN ({','.join('?' * len(part))}) AND (? OR {_LIVE})",
                [number, *part, like.expired, self._now],
            )
            found.update((row[0], points.record(namespace, row)) for row in rows)
        # A key that is asked for twice is handed out twice, never shared.
        handed: list[Record | None] = []
        seen: set[str] = set()
        for name in names:
            record = found.get(name)
            handed.append(deepcopy(record) if record is not None and name in seen else record)
            seen.add(name)
        return handed

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
        rows = self._sql(
            f"SELECT {_COLUMNS if op.blobs else _NO_BLOB} FROM rec r "  # noqa: S608
            f"WHERE {' AND '.join(where)} "
            f"ORDER BY r.key {'DESC' if op.reverse else 'ASC'} LIMIT ?",
            parameters,
        )
        return [points.record(op.namespace, row) for row in rows]

    # Writing

    def _expect(self, op: Check | Delete | Put | Patch, expect: Expect) -> None:
        if expect is None:
            return
        number = self._numbers.find(op.namespace)
        row = None
        if number is not None:
            row = self._sql(
                f"SELECT r.ver FROM rec r WHERE r.ns = ? AND r.key = ? AND {_LIVE}",  # noqa: S608
                (number, op.key, self._now),
            ).fetchone()
        if not holds(expect, None if row is None else row[0]):
            raise ExpectationFailed(op)

    def _put(self, op: Put) -> int | None:
        number = self._numbers.make(op.namespace)
        old = self._sql(
            "SELECT ver, created, expires, tid, text FROM rec WHERE ns = ? AND key = ?",
            (number, op.key),
        ).fetchone()
        live = old is not None and (old[2] is None or old[2] > self._now)
        if op.keep:
            if live:
                return None
        elif op.expect is not None:
            self._expect(op, op.expect)
        created = old[1] if live else self._now
        tid, text = (None, None) if old is None else (old[3], old[4])
        tid = self._text_number(tid, text, op.text)
        self._sql(
            "INSERT OR REPLACE INTO rec "
            "(ns, key, ver, created, updated, expires, tid, doc, text, blob) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                op.key,
                self._version,
                created,
                self._now,
                op.expires_at,
                tid,
                None if op.doc is None else encode_doc(op.doc).decode(),
                op.text,
                op.blob,
            ),
        )
        if keys.is_sessions(op.namespace):
            listing.enter(self._connection, number, op.key, dict(op.doc or {}))
        return self._version

    def _text_number(self, tid: int | None, old: str | None, new: str | None) -> int | None:
        """The number of a record's text after it changes from `old`, numbered `tid`."""
        if tid is not None and old == new:
            return tid
        if tid is not None and old is not None:
            search.forget(self._connection, tid, old)
        if new is None:
            return None
        (number,) = self._sql("UPDATE state SET tid = tid + 1 RETURNING tid").fetchone()
        return int(number)

    def _patch(self, op: Patch) -> int | None:
        self._expect(op, op.expect)
        number = self._numbers.find(op.namespace)
        if number is None:
            return None
        row = self._sql(
            "SELECT r.doc, r.expires, r.tid, r.text FROM rec r "  # noqa: S608
            f"WHERE r.ns = ? AND r.key = ? AND {_LIVE}",
            (number, op.key, self._now),
        ).fetchone()
        if row is None:
            return None
        doc = patched(None if row[0] is None else decode_doc(row[0]), op)
        text = row[3] if op.text is None else op.text
        self._sql(
            "UPDATE rec SET doc = ?, text = ?, tid = ?, ver = ?, updated = ?, expires = ? "
            "WHERE ns = ? AND key = ?",
            (
                encode_doc(doc).decode(),
                text,
                self._text_number(row[2], row[3], text),
                self._version,
                self._now,
                patched_expiry(row[1], op, doc, self._now),
                number,
                op.key,
            ),
        )
        if keys.is_sessions(op.namespace):
            listing.enter(self._connection, number, op.key, doc)
        return self._version

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
            search.forget(self._connection, row[1], row[2])
        if keys.is_sessions(namespace):
            listing.leave(self._connection, number, key)
        self._forget_if_empty(namespace, number)
        return row[0] is None or bool(row[0] > self._now)

    def _clear(self, namespace: Namespace, number: int) -> int:
        rows = self._sql(
            "SELECT tid, text FROM rec WHERE ns = ? AND tid IS NOT NULL", (number,)
        ).fetchall()
        for tid, text in rows:
            search.forget(self._connection, tid, text)
        (count,) = self._sql(
            f"SELECT count(*) FROM rec r WHERE r.ns = ? AND {_LIVE}",  # noqa: S608
            (number, self._now),
        ).fetchone()
        self._sql("DELETE FROM rec WHERE ns = ?", (number,))
        listing.leave(self._connection, number)
        self._forget_if_empty(namespace, number)
        return int(count)

    def _forget_if_empty(self, namespace: Namespace, number: int) -> None:
        # A namespace's name holds its session's id, so it goes with the last record.
        if self._sql("SELECT 1 FROM rec WHERE ns = ? LIMIT 1", (number,)).fetchone() is None:
            self._numbers.forget(namespace, number)

    # Queries

    def _query(self, op: Query) -> list[Record]:
        if op.limit is not None and op.limit <= 0:
            return []
        if keys.is_sessions(op.namespace) and not op.deep and op.order_by in listing.ORDERS:
            return self._query_sessions(op)
        return arranged(self._filtered(op), op)

    def _filtered(self, op: Query) -> Iterator[Record]:
        for namespace, number in self._below(op.namespace, deep=op.deep):
            if op.user_only and not keys.is_users(namespace, op.namespace):
                continue
            rows = self._sql(
                f"SELECT {_NO_BLOB} FROM rec r "  # noqa: S608
                f"WHERE r.ns = ? AND {_DEAD if op.expired else _LIVE}",
                (number, self._now),
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
        rows, rest = listing.rows(self._connection, number, op, _NO_BLOB, alive, self._now)
        passing = (
            found
            for found in (points.record(op.namespace, row) for row in rows)
            if matches(found.doc, rest)
        )
        end = None if op.limit is None else op.offset + _bounded(op.limit)
        return list(islice(passing, op.offset, end))

    def _count(self, op: Count) -> int:
        if op.filter:
            return len(
                self._query(Query(op.namespace, op.deep, filter=op.filter, expired=op.expired))
            )
        total = 0
        for _, number in self._below(op.namespace, deep=op.deep):
            (count,) = self._sql(
                f"SELECT count(*) FROM rec r "  # noqa: S608
                f"WHERE r.ns = ? AND {_DEAD if op.expired else _LIVE}",
                (number, self._now),
            ).fetchone()
            total += count
        return total

    # Full text

    def _match(self, op: Match) -> list[Hit]:
        expression = search.expression(op.words)
        if not expression or op.limit <= 0:
            return []
        if self._version:
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


class _Like(NamedTuple):
    """What reads of one statement have in common."""

    namespace: Namespace
    blob: bool
    expired: bool


def _together(op: Op) -> _Like | None:
    return _Like(op.namespace, op.blob, op.expired) if type(op) is Get else None


def _bounded(limit: int) -> int:
    return max(0, min(limit, _MOST))
