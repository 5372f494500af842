"""`Oracle`: what a store should answer, worked out on a plain dict.

It shares no code with any engine: documents are JSON text, filters and words are evaluated
here once more, and nothing is clever. Only the versions are the engine's own; the oracle
checks that they grow, and remembers them. Those of copies are known once a read has shown one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from threadloom.documents import encode_doc
from threadloom.ops import (
    Check,
    CopyTree,
    Count,
    Delete,
    DropTree,
    Expect,
    Get,
    Hit,
    ListNamespaces,
    Match,
    Measure,
    Measured,
    Namespace,
    Op,
    Patch,
    Put,
    Query,
    Record,
    Scan,
)

Place = tuple[Namespace, str]
_OWN = {"sessions", "memory", "checkpoints"}
_NEW = -1  # the version of what a batch wrote, while only its failure is of interest


class Row(NamedTuple):
    """A stored record; the document is its JSON."""

    doc: str | None
    blob: bytes | None
    text: str | None
    version: int
    created: int
    updated: int
    expires: int | None


class Oracle:
    """A store as a dict from places to rows, and the time as an argument.

    Attributes:
        rows: what is stored, expired rows included.
        highest: the highest version that the engine has given out.
        given: versions that it has given out, in the order in which they became known.
    """

    def __init__(self) -> None:
        self.rows: dict[Place, Row] = {}
        self.highest = 0
        self.given: list[int] = []
        self._copies: dict[int, int] = {}  # a mark of copies, to what their version is above
        self._marks = count(_NEW - 1, -1)

    def failing(self, ops: Iterable[Op], now: int) -> Op | None:
        """The operation that makes this batch fail, if one does.

        That is one whose expectation does not hold, or a copy that is refused.
        """
        trial = Oracle()
        trial.rows = dict(self.rows)
        for op in ops:
            if isinstance(op, (Put, Patch, Delete, Check)) and not trial._holds(op, now):
                return op
            if isinstance(op, CopyTree) and is_refused(op):
                return op
            trial._apply(op, now, _NEW)
        return None

    def check(self, ops: Iterable[Op], results: list[Any], now: int) -> None:
        """Apply a batch that went through, and compare what the engine answered.

        Raises:
            AssertionError: the engine answered something else.
        """
        asked = list(ops)
        assert len(results) == len(asked)
        before = self.highest
        for op, result in zip(asked, results, strict=True):
            version = _NEW
            if isinstance(op, (Put, Patch)) and result is not None:
                self._learn(result, before, op)
                version = result
            elif isinstance(op, CopyTree):
                version = next(self._marks)
                self._copies[version] = before
            else:
                self._learn_of_copies(op, result)
            wanted = self._apply(op, now, version)
            if isinstance(op, Match):
                self._check_hits(op, result, wanted)
            else:
                assert result == wanted, f"{op}\n  gave {result!r}\n  not  {wanted!r}"

    def everything(self, now: int) -> list[Record]:
        """Every living record, in order."""
        return [_record(place, row) for place, row in sorted(self.rows.items()) if _lives(row, now)]

    # Versions

    def _learn(self, version: Any, before: int, op: Op) -> None:
        assert type(version) is int
        assert version > before, f"{op} shows the new version {version} after {before}"
        self.highest = max(self.highest, version)
        self.given.append(version)

    def _learn_of_copies(self, op: Op, result: Any) -> None:
        """Take the version of copies from the first of them that a read shows."""
        for item in result if isinstance(result, list) else [result]:
            record = item.record if isinstance(item, Hit) else item
            if not isinstance(record, Record):
                continue
            row = self.rows.get((record.namespace, record.key))
            if row is not None and (before := self._copies.pop(row.version, None)) is not None:
                self._learn(record.version, before, op)
                for place, other in self.rows.items():
                    if other.version == row.version:
                        self.rows[place] = other._replace(version=record.version)

    # One operation

    def _apply(self, op: Op, now: int, version: int) -> Any:
        match op:
            case Put():
                return self._put(op, now, version)
            case Patch():
                return self._patch(op, now, version)
            case Delete():
                row = self.rows.pop((op.namespace, op.key), None)
                return row is not None and _lives(row, now)
            case DropTree():
                places = [place for place in self.rows if _within(place[0], op.namespace)]
                return sum(_lives(self.rows.pop(place), now) for place in places)
            case CopyTree():
                return self._copy(op, now, version)
            case Check():
                return None
            case Get():
                row = self._living(op.namespace, op.key, now)
                return row and _record((op.namespace, op.key), row, blob=op.blob)
            case Scan():
                found = [
                    record._replace(blob=record.blob if op.blobs else None)
                    for record in self.everything(now)
                    if record.namespace == op.namespace
                    and (op.start is None or record.key >= op.start)
                    and (op.end is None or record.key < op.end)
                ]
                return found[:: -1 if op.reverse else 1][: op.limit]
            case Query():
                return self._query(op, now)
            case Count():
                same = Query(op.namespace, op.deep, op.filter, expired=op.expired)
                return len(self._query(same, now))
            case Match():
                return self._hits(op, now)
            case Measure():
                return self._measured(op, now)
            case ListNamespaces():
                return sorted(
                    {
                        record.namespace
                        for record in self.everything(now)
                        if _within(record.namespace, op.namespace)
                        and not (op.user_only and _hidden(record.namespace, op.namespace))
                    }
                )

    def _measured(self, op: Measure, now: int) -> list[Measured]:
        found: dict[Namespace, Measured] = {}
        for record in self.everything(now):
            if _within(record.namespace, op.namespace):
                parts = (
                    record.key.encode(),
                    b"" if record.doc is None else encode_doc(record.doc),
                    record.blob or b"",
                    (record.text or "").encode(),
                )
                old = found.get(record.namespace, Measured(record.namespace, 0, 0))
                size = old.bytes + sum(map(len, parts))
                found[record.namespace] = Measured(record.namespace, old.records + 1, size)
        return sorted(found.values())

    def _living(self, namespace: Namespace, key: str, now: int) -> Row | None:
        row = self.rows.get((namespace, key))
        return row if row is not None and _lives(row, now) else None

    def _holds(self, op: Put | Patch | Delete | Check, now: int) -> bool:
        expect: Expect = op.expect
        if expect is None or (isinstance(op, Put) and op.keep):
            return True
        row = self._living(op.namespace, op.key, now)
        if expect == "absent":
            return row is None
        return row is not None and expect in ("present", row.version)

    def _put(self, op: Put, now: int, version: int) -> int | None:
        old = self._living(op.namespace, op.key, now)
        if op.keep and old is not None:
            return None
        self.rows[op.namespace, op.key] = Row(
            None if op.doc is None else json.dumps(op.doc),
            op.blob,
            op.text,
            version,
            now if old is None else old.created,
            now,
            op.expires_at,
        )
        return version

    def _patch(self, op: Patch, now: int, version: int) -> int | None:
        old = self._living(op.namespace, op.key, now)
        if old is None:
            return None
        doc = json.loads(old.doc or "{}") | dict(op.set)
        for name, value in op.maximum.items():
            stored = doc.get(name)
            doc[name] = value if stored is None or value > stored else stored
        for name, value in op.increment.items():
            doc[name] = (doc.get(name) or 0) + value
        expires = old.expires if op.expires_at == -1 else op.expires_at
        if op.life is not None:
            life = doc.get(op.life)
            expires = None if life is None else now + life
        self.rows[op.namespace, op.key] = old._replace(
            doc=json.dumps(doc), version=version, updated=now, expires=expires
        )
        return version

    def _copy(self, op: CopyTree, now: int, version: int) -> int:
        self._apply(DropTree(op.target), now, version)
        copies = {
            (op.target + place[0][len(op.source) :], place[1]): row._replace(
                version=version, created=now, updated=now
            )
            for place, row in self.rows.items()
            if _within(place[0], op.source) and _lives(row, now)
        }
        self.rows |= copies
        return len(copies)

    def _query(self, op: Query, now: int) -> list[Record]:
        def position(record: Record) -> tuple[int, Namespace, str]:
            field = 0 if op.order_by is None else (record.doc or {}).get(op.order_by) or 0
            return (field, record.namespace, record.key)

        found = [
            _record(place, row, blob=op.blobs)
            for place, row in self.rows.items()
            if _lives(row, now) != op.expired
            and (_within(place[0], op.namespace) if op.deep else place[0] == op.namespace)
            and not (op.user_only and _hidden(place[0], op.namespace))
        ]
        found = [record for record in found if _passes(record.doc or {}, op.filter or {})]
        found.sort(key=position, reverse=op.descending)
        if op.after is not None:
            edge = (op.after[0], op.namespace, op.after[1])
            found = [
                record
                for record in found
                if (position(record) < edge if op.descending else position(record) > edge)
            ]
        return found[op.offset :][: op.limit]

    def _hits(self, op: Match, now: int) -> list[Record]:
        wanted = set(op.words.lower().split())
        return [
            record._replace(blob=None)
            for record in self.everything(now)
            if _within(record.namespace, op.namespace)
            and wanted & set((record.text or "").lower().split())
        ]

    def _check_hits(self, op: Match, hits: list[Any], wanted: list[Record]) -> None:
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True), f"{op} is not in order: {scores}"
        found = {(hit.record.namespace, hit.record.key): hit.record for hit in hits}
        assert len(found) == len(hits) == min(op.limit, len(wanted)), f"{op} gave {hits!r}"
        every = {(record.namespace, record.key): record for record in wanted}
        for place, record in found.items():
            assert every.get(place) == record, f"{op} gave {record!r}"


def is_refused(op: CopyTree) -> bool:
    """Whether this copy cannot be: into itself, or of session records."""
    return (
        _within(op.source, op.target)
        or _within(op.target, op.source)
        or any(_holds_sessions(place) for place in (op.source, op.target))
    )


def _holds_sessions(place: Namespace) -> bool:
    of_tenant = place[1:] if place and place[0].startswith("~") else place
    return of_tenant in ((), ("sessions",))


def _record(place: Place, row: Row, *, blob: bool = True) -> Record:
    doc = None if row.doc is None else json.loads(row.doc)
    return Record(
        *place,
        doc,
        row.blob if blob else None,
        row.text,
        row.version,
        row.created,
        row.updated,
        row.expires,
    )


def _lives(row: Row, now: int) -> bool:
    return row.expires is None or now < row.expires


def _within(namespace: Namespace, root: Namespace) -> bool:
    return namespace[: len(root)] == root


def _hidden(namespace: Namespace, root: Namespace) -> bool:
    """Whether `user_only` leaves a namespace out: the reserved words, and tenants."""
    if root == ():
        return namespace[0] in _OWN or namespace[0].startswith("~")
    if len(root) == 1 and root[0].startswith("~"):
        return len(namespace) > 1 and namespace[1] in _OWN
    return False


# Filters, written a second time


def _passes(doc: Mapping[str, Any], filter: Mapping[str, Any]) -> bool:
    return all(_fits(doc.get(name), wanted) for name, wanted in filter.items())


def _fits(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(_canonical(value) == _canonical(wanted))
    if not any(name.startswith("$") for name in wanted):
        return isinstance(value, dict) and _passes(value, wanted)
    for name, operand in wanted.items():
        if name in ("$eq", "$ne"):
            holds = (_canonical(value) == _canonical(operand)) is (name == "$eq")
        elif name == "$contains":
            items = value if isinstance(value, list) else None
            sought = operand if isinstance(operand, list) else [operand]
            holds = items is not None and all(
                _canonical(one) in [_canonical(item) for item in items] for one in sought
            )
        elif _kind(value) is None or _kind(value) != _kind(operand):
            holds = False
        else:
            order = (value > operand) - (value < operand)
            holds = {"$gt": order > 0, "$gte": order >= 0, "$lt": order < 0, "$lte": order <= 0}[
                name
            ]
        if not holds:
            return False
    return True


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _canonical(value: Any) -> Any:
    """A value that is equal exactly where the JSON values are: truth is no number."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    return value
