"""Operations that read, as statements.

Each is a generator: it yields a statement, is sent its result, and returns the operation's. What a
filter leaves to `threadloom.filters` may need more rows than a page has: then the statement is
sent once more, for more of them, so that each answer is of one moment.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from psycopg import pq

from threadloom import keys
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
from threadloom.stores.likely import leaves
from threadloom_postgres import documents
from threadloom_postgres.places import LONGEST_KEY, leaf_of, part_of, short_key, space_of, tree_part
from threadloom_postgres.rows import COLUMNS, KEY, WITHOUT_BLOB, columns, integer, record, records
from threadloom_postgres.wire import BOOL, INT8, TEXT, Statement, int8

Reading = Generator[Statement, pq.abc.PGresult, Any]

_BY_PLACE = f"string_to_array(r.name, '.') COLLATE \"C\" {{0}}, {KEY} {{0}}"
_MORE = 50
_SOME = 4
"""Rows of the list that are read beyond those that are asked for: some may have expired."""
_MANY = 4_096
"""Up to so many rows of the list are looked up one by one."""
_LARGEST = 2**53


class Reads:
    """Reading from the tables of a schema at one moment.

    Args:
        schema: its name, quoted.
        now: the store's time, in microseconds since the epoch.
    """

    def __init__(self, schema: str, now: int) -> None:
        self._schema = schema
        self._now = now

    def read(self, op: Op) -> Reading:
        """One operation."""
        match op:
            case Query():
                return self._query(op)
            case Count():
                return self._count(op)
            case Match():
                return self._match(op)
            case ListNamespaces():
                return self._namespaces(op)
            case Measure():
                return self._measure(op)
            case Get() | Scan():
                return self.points([op])
            case _:
                raise UnsupportedByStore(f"unknown operation {op!r:.80}")

    # Get and Scan

    def points(self, ops: Sequence[Get | Scan]) -> Reading:
        """Any number of gets and scans by one statement. Returns a list of their results."""
        statement = Statement()
        parts: list[str] = []
        gets: dict[int, list[tuple[int, Get]]] = {}
        for number, op in enumerate(ops):
            if isinstance(op, Get):
                gets.setdefault(part_of(op.namespace, op.key), []).append((number, op))
            else:
                parts.append(self._scan(statement, number, op))
        if len(gets) > _MOST_PARTS:
            parts.append(self._gets(statement, [pair for group in gets.values() for pair in group]))
        else:
            for part, group in gets.items():
                parts.append(self._gets_of(statement, part, group))
        statement.sql = " UNION ALL ".join(f"({part})" for part in parts)
        result = yield statement
        found: list[Any] = [[] if isinstance(op, Scan) else None for op in ops]
        again: set[int] = set()
        for row in range(result.ntuples):
            number = integer(result, row, 0)
            op = ops[number]
            one = record(result, row, 1, op.namespace)
            if isinstance(op, Scan):
                found[number].append(one)
                if len(one.key) * 4 > LONGEST_KEY and len(one.key.encode()) > LONGEST_KEY:
                    again.add(number)
            elif op.expired or one.expires_at is None or one.expires_at > self._now:
                found[number] = one
        for number in again:  # long keys that begin alike stand in no order
            exact = Statement()
            scan = ops[number]
            assert isinstance(scan, Scan)
            exact.sql = self._scan(exact, number, scan, exactly=True)
            found[number] = records((yield exact), scan.namespace, 1)
        return found

    def _gets_of(self, to: Statement, part: int, ops: Sequence[tuple[int, Get]]) -> str:
        """Records of one partition."""
        if len(ops) == 1:
            ((number, op),) = ops
            key, _ = short_key(op.key)
            return (
                f"SELECT {number}, {COLUMNS if op.blob else WITHOUT_BLOB} "
                f"FROM {self._schema}.{leaf_of(part)} r WHERE r.part = {to.number(part)} "
                f"AND r.space = {to.number(space_of(op.namespace).space)} "
                f"AND r.key = {to.text(key)}"
            )
        return self._gets(to, ops, leaf_of(part), f"r.part = {to.number(part)}")

    def _gets(
        self,
        to: Statement,
        ops: Sequence[tuple[int, Get]],
        table: str = "records",
        part: str = "r.part = g.part",
    ) -> str:
        """Records one by one, as in `_first`."""
        parts = to.array(INT8, [int8(part_of(op.namespace, op.key)) for _, op in ops])
        spaces = to.array(INT8, [int8(space_of(op.namespace).space) for _, op in ops])
        texts = to.array(TEXT, [short_key(op.key)[0] for _, op in ops])
        blobs = to.array(BOOL, [b"\1" if op.blob else b"\0" for _, op in ops])
        numbers = to.array(INT8, [int8(number) for number, _ in ops])
        return (
            f"SELECT g.number::int4, {columns('CASE WHEN g.blob THEN r.blob END')} "
            f"FROM unnest({numbers}::int8[], {parts}::int8[], {spaces}::int8[], {texts}::text[], "
            f"{blobs}::bool[]) AS g (number, part, space, key, blob) "
            f"CROSS JOIN LATERAL (SELECT * FROM {self._schema}.{table} r "
            f"WHERE {part} AND r.space = g.space AND r.key = g.key OFFSET 0) r"
        )

    def _scan(self, to: Statement, number: int, op: Scan, *, exactly: bool = False) -> str:
        key = KEY if exactly else "r.key"
        bounds = [bound.encode() for bound in (op.start, op.end) if bound is not None]
        if not exactly and any(len(bound) > LONGEST_KEY for bound in bounds):
            key = KEY
        where = [self._alive(to)]
        if op.start is not None:
            where.append(f"{key} >= {to.text(op.start)}")
        if op.end is not None:
            where.append(f"{key} < {to.text(op.end)}")
        return (
            f"SELECT {number}, {COLUMNS if op.blobs else WITHOUT_BLOB} "
            f"FROM {self._in(to, op.namespace)} WHERE {' AND '.join(where)} "
            f"ORDER BY {key} {'DESC' if op.reverse else 'ASC'} {_limit(to, op.limit)}"
        )

    # Where records are

    def _alive(self, to: Statement, *, expired: bool = False) -> str:
        now = to.number(self._now)
        return f"r.expires <= {now}" if expired else f"(r.expires IS NULL OR r.expires > {now})"

    def _in(self, to: Statement, namespace: Namespace) -> str:
        """The records of one namespace, as `r`."""
        space = space_of(namespace)
        if not space.wide:
            return (
                f"(SELECT {to.text(space.name)}::text AS name, r.* "
                f"FROM {self._schema}.{leaf_of(space.part)} r "
                f"WHERE r.part = {to.number(space.part)} AND r.space = {to.number(space.space)}) r"
            )
        return (
            f"(SELECT {to.text(space.name)}::text AS name, r.* FROM {self._schema}.listed l "
            f"JOIN {self._schema}.records r "
            "ON r.part = l.part AND r.space = l.space AND r.key = l.key "
            f"WHERE l.space = {to.number(space.space)} AND l.entry = '') r"
        )

    def _below(self, to: Statement, namespace: Namespace, *, user_only: bool = False) -> str:
        """The records of a namespace and of all below it, as `r`."""
        where = self._named(to, namespace, user_only=user_only)
        part = tree_part(namespace)
        if part is not None:
            where += f" AND s.part = {to.number(part)}"
        table = "records" if part is None else leaf_of(part)
        narrow = (
            f"SELECT s.name, r.* FROM {self._schema}.spaces s JOIN {self._schema}.{table} r "
            f"ON r.part = s.part AND r.space = s.space WHERE NOT s.wide AND {where}"
        )
        if part is not None:
            return f"({narrow}) r"
        return (
            f"({narrow} UNION ALL SELECT s.name, r.* FROM {self._schema}.spaces s "
            f"JOIN {self._schema}.listed l ON l.space = s.space AND l.entry = '' "
            f"JOIN {self._schema}.records r "
            "ON r.part = l.part AND r.space = l.space AND r.key = l.key "
            f"WHERE s.wide AND {where}) r"
        )

    def _named(self, to: Statement, namespace: Namespace, *, user_only: bool) -> str:
        """The condition on a space `s` that it is a namespace, or below it."""
        where = ["TRUE"]
        if namespace:
            name = keys.encode_namespace(namespace)
            first, low, high = to.text(name), to.text(name + "."), to.text(name + "/")
            where.append(
                f"left(s.name, 400) BETWEEN left({first}, 400) AND left({high}, 400) "
                f"AND (s.name = {first} OR s.name >= {low} AND s.name < {high})"
            )
        if user_only and keys.is_users((*namespace, "x"), namespace):
            label = f"split_part(s.name, '.', {len(namespace) + 1})"
            if not keys.is_users((*namespace, keys.SESSIONS), namespace):
                where.append(f"{label} NOT IN ('sessions', 'memory', 'checkpoints')")
            if not namespace:
                where.append(f"left({label}, 1) <> '{keys.TENANT_MARK}'")
        return " AND ".join(where)

    # Query and Count

    def _query(self, op: Query) -> Reading:
        check_filter(op.filter)
        if op.limit is not None and op.limit <= 0:
            return []
        if keys.is_sessions(op.namespace) and not op.deep and op.order_by in listing.ORDERS:
            return (yield from self._listed(op))
        if op.order_by is not None or op.after is not None:
            result = yield self._filtered(op, None)
            return arranged(_passing(records(result, None, 1), op.filter), op)
        return (yield from _paged(op, op.filter, lambda rows: self._filtered(op, rows)))

    def _filtered(self, op: Query, rows: int | None) -> Statement:
        """Records that may pass a filter, in the order of their places."""
        statement = Statement()
        if op.deep:
            source = self._below(statement, op.namespace, user_only=op.user_only)
        else:
            source = self._in(statement, op.namespace)
        where = [self._alive(statement, expired=op.expired), *_likely(statement, op.filter)]
        order = _BY_PLACE.format("DESC" if op.descending else "ASC")
        statement.sql = (
            f"SELECT r.name, {COLUMNS if op.blobs else WITHOUT_BLOB} FROM {source} "
            f"WHERE {' AND '.join(where)} ORDER BY {order} {_limit(statement, rows)}"
        )
        return statement

    def _listed(self, op: Query) -> Reading:
        """Sessions, by the index of them."""
        assert op.order_by is not None
        wanted = listing.split(op.filter or {}, op.order_by)
        if not keys.is_storable(wanted.value):
            wanted = listing.Split("", "", [], dict(op.filter or {}))

        if op.limit is not None and not op.expired:
            end = op.offset + min(op.limit, _LARGEST)
            rows = end + (_MORE if wanted.rest else _SOME)
            while rows <= _MANY:
                result = yield self._first(op, wanted, rows)
                passing = list(islice(_passing(records(result, None, 1), wanted.rest), end))
                if len(passing) == end or result.ntuples < rows:
                    return passing[op.offset :]
                rows *= 8

        def page(rows: int | None) -> Statement:
            statement = Statement()
            self._page(statement, op, wanted, rows)
            return statement

        return (yield from _paged(op, wanted.rest, page))

    def _first(self, op: Query, wanted: listing.Split, rows: int) -> Statement:
        """So many of the list, each with its record if that is alive and may pass.

        The list is read first and the records one by one, whatever the planner thinks of it: as
        a join it would read all records once it has statistics, for it takes their number for
        what is to be expected of the list.
        """
        to = Statement()
        where, order = self._on_list(to, op, wanted)
        alive = [self._alive(to), *_likely(to, wanted.rest)]
        to.sql = (
            f"SELECT {to.text(space_of(op.namespace).name)}::text, "
            f"{COLUMNS if op.blobs else WITHOUT_BLOB} FROM ("
            f"SELECT * FROM {self._schema}.listed l WHERE {where} ORDER BY {order} "
            f"{_limit(to, rows)}) l LEFT JOIN LATERAL ("
            f"SELECT * FROM {self._schema}.records r "
            "WHERE r.part = l.part AND r.space = l.space AND r.key = l.key "
            f"AND {' AND '.join(alive)} OFFSET 0) r ON TRUE ORDER BY {order}"
        )
        return to

    def _page(self, to: Statement, op: Query, wanted: listing.Split, rows: int | None) -> None:
        """All of the list, or so many whose records are alive and may pass."""
        where, order = self._on_list(to, op, wanted)
        alive = [self._alive(to, expired=op.expired), *_likely(to, wanted.rest)]
        to.sql = (
            f"SELECT {to.text(space_of(op.namespace).name)}::text, "
            f"{COLUMNS if op.blobs else WITHOUT_BLOB} FROM {self._schema}.listed l "
            f"JOIN {self._schema}.records r "
            "ON r.part = l.part AND r.space = l.space AND r.key = l.key "
            f"WHERE {where} AND {' AND '.join(alive)} ORDER BY {order} {_limit(to, rows)}"
        )

    def _on_list(self, to: Statement, op: Query, wanted: listing.Split) -> tuple[str, str]:
        """What is looked for on the list, as a condition on `l`, and its order."""
        assert op.order_by is not None
        column = listing.ORDERS[op.order_by]
        entry = documents.entry(wanted.field, wanted.value) if wanted.field else ""
        where = [
            f"l.space = {to.number(space_of(op.namespace).space)}",
            f"l.entry = {to.text(entry)}",
            *(f"l.{column} {operator} {to.number(bound)}" for operator, bound in wanted.bounds),
        ]
        if op.after is not None:
            compare = "<" if op.descending else ">"
            value, (key, _) = to.number(op.after[0]), short_key(op.after[1])
            where.append(f"(l.{column}, l.key) {compare} ({value}, {to.text(key)})")
        way = "DESC" if op.descending else "ASC"
        return " AND ".join(where), f"l.{column} {way}, l.key {way}"

    def _count(self, op: Count) -> Reading:
        check_filter(op.filter)
        if not op.filter:
            statement = Statement()
            source = (self._below if op.deep else self._in)(statement, op.namespace)
            alive = self._alive(statement, expired=op.expired)
            statement.sql = f"SELECT count(*) FROM {source} WHERE {alive}"
            return integer((yield statement), 0, 0)
        query = Query(op.namespace, deep=op.deep, filter=op.filter, expired=op.expired)
        if keys.is_sessions(op.namespace) and not op.deep:
            found = yield from self._query(query._replace(order_by=listing.ORDERED))
        else:
            found = yield from self._query(query)
        return len(found)

    # Full text, namespaces

    def _match(self, op: Match) -> Reading:
        wanted = documents.search(op.words)
        if not wanted or op.limit <= 0:
            return []
        statement = Statement()
        source = self._below(statement, op.namespace)
        search = f"{statement.text(wanted)}::text::tsquery"
        score = f"ts_rank(r.words, {search})"
        statement.sql = (
            f"SELECT float8send({score}), r.name, {WITHOUT_BLOB} FROM {source} "
            f"WHERE r.words @@ {search} AND {self._alive(statement)} "
            f"ORDER BY {score} DESC, r.updated DESC {_limit(statement, op.limit)}"
        )
        result = yield statement
        return [
            Hit(one, _float(result.get_value(row, 0)))
            for row, one in enumerate(records(result, None, 2))
        ]

    def _namespaces(self, op: ListNamespaces) -> Reading:
        statement = Statement()
        named = self._named(statement, op.namespace, user_only=op.user_only)
        alive = self._alive(statement)
        statement.sql = (
            f"SELECT s.name FROM {self._schema}.spaces s WHERE {named} AND CASE WHEN s.wide "
            f"THEN (SELECT TRUE FROM {self._schema}.listed l JOIN {self._schema}.records r "
            "ON r.part = l.part AND r.space = l.space AND r.key = l.key "
            f"WHERE l.space = s.space AND l.entry = '' AND {alive} LIMIT 1) "
            f"ELSE (SELECT TRUE FROM {self._schema}.records r "
            f"WHERE r.part = s.part AND r.space = s.space AND {alive} LIMIT 1) END"
        )
        result = yield statement
        return sorted(_name(result, row) for row in range(result.ntuples))

    def spaces(self, namespace: Namespace) -> Statement:
        """The names of a namespace and of all below it that hold records, or may."""
        statement = Statement()
        named = self._named(statement, namespace, user_only=False)
        statement.sql = f"SELECT s.name FROM {self._schema}.spaces s WHERE {named}"
        return statement

    def _measure(self, op: Measure) -> Reading:
        statement = Statement()
        source = self._below(statement, op.namespace)
        statement.sql = (
            f"SELECT r.name, count(*), sum(octet_length({KEY})"
            f" + coalesce(octet_length(r.odd_doc), {self._schema}.json_size(r.doc), 0)"
            " + coalesce(octet_length(r.blob), 0)"
            " + coalesce(octet_length(r.text), octet_length(r.odd_text), 0))::int8 "
            f"FROM {source} WHERE {self._alive(statement)} GROUP BY r.name"
        )
        result = yield statement
        return sorted(
            Measured(_name(result, row), integer(result, row, 1), integer(result, row, 2))
            for row in range(result.ntuples)
        )


_MOST_PARTS = 8
"""Partitions that one statement names each by itself."""


def _paged(
    op: Query, rest: Mapping[str, Any] | None, page: Callable[[int | None], Statement]
) -> Reading:
    """The page of a query whose statement may give more than passes its filter."""
    end = None if op.limit is None else op.offset + min(op.limit, _LARGEST)
    rows = end if end is None or not rest else end + _MORE
    while True:
        result = yield page(rows)
        passing = list(islice(_passing(records(result, None, 1), rest), end))
        if rows is None or end is None or len(passing) == end or result.ntuples < rows:
            return passing[op.offset :]
        rows *= 8


def _passing(found: Iterable[Record], filter: Mapping[str, Any] | None) -> Iterator[Record]:
    return (one for one in found if matches(one.doc, filter))


def _likely(to: Statement, filter: Mapping[str, Any] | None) -> Iterator[str]:
    for path, wanted in leaves(filter):
        for name in reversed(path):
            wanted = {name: wanted}
        held = to.text(orjson.dumps(wanted))
        yield f"(r.odd_doc IS NOT NULL OR r.doc @> {held}::text::jsonb)"


def _limit(to: Statement, limit: int | None) -> str:
    return "" if limit is None else f"LIMIT {to.number(max(0, limit))}"


def _name(result: pq.abc.PGresult, row: int) -> Namespace:
    return keys.decode_namespace((result.get_value(row, 0) or b"").decode())


def _float(data: bytes | None) -> float:
    return float(struct.unpack("!d", data or b"")[0])
