"""Sessions by what listings filter and order by: what of a filter an index of sessions answers.

`split` is for any database. The rest is for engines that keep, or index, records in SQLite: the
table `idx` and queries over it; `rec` has the records by `ns` and `key`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from threadloom.filters import matches
from threadloom.keys import INDEXED_FIELDS, ORDER_FIELDS
from threadloom.ops import Query
from threadloom.stores.likely import conditions

ORDERED = "created_at"
"""An order that the index has."""
ORDERS = {field: field.removesuffix("_at") for field in ORDER_FIELDS}
"""Fields that the index orders by, with their columns."""

_BOUNDS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_PAGE = 500


def enter(
    connection: sqlite3.Connection,
    number: int,
    key: str,
    doc: Mapping[str, Any],
    old: Mapping[str, Any] | None = None,
) -> None:
    """Make the index say what a session's document says.

    Args:
        connection: in a write transaction.
        number: the number of the namespace of sessions.
        key: the session's id.
        doc: its document.
        old: the document that the index knows, if that is at hand.
    """
    created, updated = int(doc.get("created_at") or 0), int(doc.get("updated_at") or 0)
    entries = set(entries_of(doc))
    if old is not None:
        stored = set(entries_of(old))
    else:
        stored = set(
            connection.execute(
                "SELECT field, value FROM idx WHERE ns = ? AND key = ?", (number, key)
            )
        )
    if stored == entries:
        connection.execute(
            "UPDATE idx SET created = ?, updated = ? WHERE ns = ? AND key = ?",
            (created, updated, number, key),
        )
        return
    leave(connection, number, key)
    connection.executemany(
        "INSERT INTO idx (ns, field, value, created, updated, key) VALUES (?, ?, ?, ?, ?, ?)",
        [(number, field, value, created, updated, key) for field, value in entries],
    )


def only_later(old: Mapping[str, Any], doc: Mapping[str, Any]) -> bool:
    """Whether a session's document differs for listings in when it was updated, at most."""
    return (
        old.get("created_at") == doc.get("created_at")
        and type(doc.get("updated_at")) is int
        and set(entries_of(old)) == set(entries_of(doc))
    )


def leave(connection: sqlite3.Connection, number: int, key: str | None = None) -> None:
    """Take a session out of the index, or all sessions of a namespace."""
    if key is None:
        connection.execute("DELETE FROM idx WHERE ns = ?", (number,))
    else:
        connection.execute("DELETE FROM idx WHERE ns = ? AND key = ?", (number, key))


def rows(
    connection: sqlite3.Connection, number: int, op: Query, columns: str, alive: str, now: int
) -> tuple[Iterator[tuple[Any, ...]], dict[str, Any]]:
    """The rows that the index can answer, in order, and the filter that is left to apply.

    Args:
        connection: in a transaction.
        number: the number of the namespace of sessions.
        op: what is asked for; its `order_by` is one of `ORDERS`.
        columns: what to select from the records, as `r`; the key comes first.
        alive: the condition on expiry, with `now` as its parameter.
        now: microseconds since the epoch.
    """
    assert op.order_by is not None
    column = ORDERS[op.order_by]
    field, value, bounds, rest = split(op.filter or {}, op.order_by)
    where = ["i.ns = ?", "i.field = ?", "i.value = ?", alive]
    parameters: list[Any] = [number, field, value, now]
    for operator, bound in bounds:
        where.append(f"i.{column} {operator} ?")
        parameters.append(bound)
    likely, wanted = conditions(rest)
    where += likely
    parameters += wanted
    compare, direction = ("<", "DESC") if op.descending else (">", "ASC")
    page = _PAGE if rest or op.limit is None else min(op.limit + op.offset, _PAGE)

    def found() -> Iterator[tuple[Any, ...]]:
        after = op.after
        while True:
            beyond = "" if after is None else f"AND (i.{column}, i.key) {compare} (?, ?) "
            read = connection.execute(
                f"SELECT i.{column}, {columns} FROM idx i "  # noqa: S608
                "JOIN rec r ON r.ns = i.ns AND r.key = i.key "
                f"WHERE {' AND '.join(where)} {beyond}"
                f"ORDER BY i.{column} {direction}, i.key {direction} LIMIT ?",
                [*parameters, *(after or ()), page],
            ).fetchall()
            yield from (row[1:] for row in read)
            if len(read) < page:
                return
            after = (read[-1][0], read[-1][1])

    return found(), rest


def helps(filter: Mapping[str, Any]) -> bool:
    """Whether the index leaves out sessions that do not pass a filter."""
    field, _, bounds, _ = split(filter, ORDERED)
    return bool(field or bounds)


def entries_of(doc: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a session is found by: pairs of a field and its value; one of empty texts for all."""
    yield ("", "")
    for field in INDEXED_FIELDS:
        value = doc.get(field)
        if isinstance(value, str):
            yield (field, value)
    tags = doc.get("tags")
    for tag in tags if isinstance(tags, (list, tuple)) else ():
        if isinstance(tag, str):
            yield ("tag", tag)


class Split(NamedTuple):
    """What of a filter an index of sessions answers, and what is left.

    Attributes:
        field: one field of `INDEXED_FIELDS`, or ``tag``; empty if there is none.
        value: what it must be, or contain.
        bounds: what the field that orders must be: operators of SQL and their operands.
        rest: the filter that is left to apply.
    """

    field: str
    value: str
    bounds: list[tuple[str, int]]
    rest: dict[str, Any]


def split(filter: Mapping[str, Any], order_by: str) -> Split:
    """What an index of sessions by single values answers of a filter, ordered by a field."""
    field, value = "", ""
    bounds: list[tuple[str, int]] = []
    rest: dict[str, Any] = {}
    for name, wanted in filter.items():
        if name in INDEXED_FIELDS and isinstance(wanted, str) and not field:
            field, value = name, wanted
        elif name == "tags" and not field and (tags := _contained(wanted)):
            field, value = "tag", tags[0]
            if len(tags) > 1:
                rest[name] = wanted
        elif name == order_by and _is_range(wanted):
            bounds += [(_BOUNDS[operator], bound) for operator, bound in wanted.items()]
            if matches({name: 0}, {name: wanted}):
                rest[name] = wanted  # the index has 0 where the field is missing
        else:
            rest[name] = wanted
    return Split(field, value, bounds, rest)


def _is_range(wanted: Any) -> bool:
    """Whether a filter is bounds that the index compares as `threadloom.filters` does."""
    return (
        isinstance(wanted, Mapping)
        and bool(wanted)
        and wanted.keys() <= _BOUNDS.keys()
        and all(type(bound) is int and abs(bound) < 2**63 for bound in wanted.values())
    )


def _contained(wanted: Any) -> list[str]:
    """The strings of a `$contains` that the index can look up; empty if it cannot."""
    if not isinstance(wanted, Mapping) or wanted.keys() != {"$contains"}:
        return []
    tags = wanted["$contains"]
    tags = tags if isinstance(tags, list) else [tags]
    return tags if all(isinstance(tag, str) for tag in tags) else []
