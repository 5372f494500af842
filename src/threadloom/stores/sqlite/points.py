"""Operations on single records, a whole batch of them at once.

Most batches name every record that they touch. These are read by one statement, the operations
are applied to what it gave, and one statement writes what changed: each statement costs more
than a row of it, most of all where other threads compute meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from threadloom import keys
from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import CorruptRecord
from threadloom.ops import Check, Expect, ExpectationFailed, Get, Namespace, Op, Patch, Put, Record
from threadloom.records import holds, patched, patched_expiry
from threadloom.stores import listing
from threadloom.stores.sqlite import schema, search
from threadloom.stores.sqlite.places import Numbers
from threadloom.stores.sqlite.schema import STATE, State

MOST = 128
"""Operations that go at once."""
KINDS = frozenset({Put, Patch, Check})
"""What `Stepwise` and `AtOnce` can do."""

_Place = tuple[Namespace, str]


def are_reads(ops: Sequence[Op]) -> bool:
    """Whether `read` can answer a batch."""
    return 0 < len(ops) <= MOST and all(type(op) is Get for op in ops)


def are_writes(ops: Sequence[Op]) -> bool:
    """Whether `AtOnce` may be able to apply a batch."""
    return 0 < len(ops) <= MOST and KINDS.issuperset(map(type, ops))


def read(connection: sqlite3.Connection, ops: Sequence[Get], now: int) -> list[Record | None]:
    """Records as they are at one moment, in the order in which they are asked for."""
    parameters: list[Any] = []
    for number, op in enumerate(ops):
        parameters += (number, keys.encode_namespace(op.namespace), op.key, op.blob)
    rows = connection.execute(
        "SELECT v.column1, r.key, r.doc, CASE WHEN v.column4 THEN r.blob END, r.text, r.ver, "  # noqa: S608
        "r.created, r.updated, r.expires "
        f"FROM (VALUES {_marks('(?,?,?,?)', len(ops))}) v "
        "CROSS JOIN ns n ON n.name = v.column2 "
        "CROSS JOIN rec r ON r.ns = n.id AND r.key = v.column3",
        parameters,
    ).fetchall()
    found: list[Record | None] = [None] * len(ops)
    for number, *row in rows:
        op = ops[number]
        if op.expired or row[-1] is None or row[-1] > now:
            found[number] = record(op.namespace, row)
    return found


def record(namespace: Namespace, row: Sequence[Any]) -> Record:
    """A record from its columns: key, document, blob, text, version and times.

    Raises:
        CorruptRecord: it is damaged.
    """
    key, doc, blob, text, version, created, updated, expires = row
    try:
        decoded = None if doc is None else decode_doc(doc)
    except CorruptRecord as error:
        raise CorruptRecord(f"the record {namespace}/{key!r} is damaged: {error}") from error
    if blob is not None and not isinstance(blob, bytes):
        raise CorruptRecord(f"the record {namespace}/{key!r} is damaged: its blob is no bytes")
    return Record(namespace, key, decoded, blob, text, version, created, updated, expires)


def records(namespace: Namespace, rows: Sequence[Sequence[Any]]) -> list[Record]:
    """Records of one namespace from their columns, as `record` makes them."""
    make = tuple.__new__
    return [
        make(Record, (namespace, *row))
        if row[1] is None and type(row[2]) in _BLOBS
        else record(namespace, row)
        for row in rows
    ]


_BLOBS = frozenset({bytes, type(None)})


class _Row:
    """A record while a batch is applied to it; what is not needed of a stored one is None."""

    __slots__ = ("blob", "changed", "created", "doc", "expires", "text", "tid", "ver")

    def __init__(
        self,
        ver: int,
        created: int,
        expires: int | None,
        tid: int | None,
        doc: str | None,
        text: str | None,
        blob: bytes | None,
    ) -> None:
        self.ver = ver
        self.created = created
        self.expires = expires
        self.tid = tid
        self.doc = doc
        self.text = text
        self.blob = blob
        self.changed = False


class _Writing:
    """A batch of puts, patches and checks against one connection.

    Args:
        connection: in a write transaction, or in none for `AtOnce`.
        now: the store's time, in microseconds since the epoch.
        numbers: the numbers of namespaces.
        state: what was given out before, if that is known.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: int,
        numbers: Numbers,
        state: State | None = None,
    ) -> None:
        self._connection = connection
        self._now = now
        self._numbers = numbers
        self._state = state
        self._version = 0
        self._tid = 0
        self._rows: dict[_Place, _Row | None] = {}
        self._wrote = False

    @property
    def state(self) -> State:
        """What has been given out after the batch: nothing, where it changed nothing."""
        assert self._state is not None
        if not self._wrote:
            return self._state
        return self._state._replace(seq=self._version, tid=self._tid)

    def _forget(self, number: int, text: str) -> None:
        """A text that the index may know is not there any more."""
        raise NotImplementedError

    def _list(self, place: _Place, doc: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        """A session's document has changed, from `old` if that is known."""
        raise NotImplementedError

    def _apply_all(self, ops: Sequence[Put | Patch | Check]) -> list[Any]:
        assert self._state is not None
        self._version = self._state.seq + 1
        self._tid = self._state.tid
        return [self._apply((op.namespace, op.key), op) for op in ops]

    def _load(self, ops: Sequence[Put | Patch | Check]) -> None:
        whole: dict[_Place, bool] = {}
        for op in ops:
            place = op.namespace, op.key
            whole[place] = whole.get(place, False) or type(op) is Patch
        self._rows = dict.fromkeys(whole)
        parameters: list[Any] = []
        namespaces: dict[int, Namespace] = {}
        for (namespace, key), wanted in whole.items():
            number = self._numbers.find(namespace)
            if number is not None:
                namespaces[number] = namespace
                parameters += (number, key, wanted)
        statement = f"SELECT NULL, NULL, *, NULL, NULL, NULL FROM ({STATE})"  # noqa: S608
        if parameters:
            statement += (
                " UNION ALL SELECT r.ns, r.key, r.ver, r.created, r.expires, r.tid, "  # noqa: S608
                "CASE WHEN v.column3 THEN r.doc END, "
                "CASE WHEN v.column3 OR r.tid IS NOT NULL THEN r.text END, "
                "CASE WHEN v.column3 THEN r.blob END "
                f"FROM (VALUES {_marks('(?,?,?)', len(parameters) // 3)}) v "
                "CROSS JOIN rec r ON r.ns = v.column1 AND r.key = v.column2"
            )
        for number, key, *row in self._connection.execute(statement, parameters).fetchall():
            if number is None:
                self._state = self._state or State(*row[:4])
            else:
                self._rows[namespaces[number], key] = _Row(*row)

    def _apply(self, place: _Place, op: Put | Patch | Check) -> int | None:
        row = self._rows[place]
        live = row if row is not None and _lives(row, self._now) else None
        if type(op) is Put:
            return self._put(place, op, row, live)
        if type(op) is Patch:
            return self._patch(place, op, live)
        self._expect(op, op.expect, live)
        return None

    def _expect(self, op: Op, expect: Expect, live: _Row | None) -> None:
        if not holds(expect, None if live is None else live.ver):
            raise ExpectationFailed(op)

    def _put(self, place: _Place, op: Put, row: _Row | None, live: _Row | None) -> int | None:
        if op.keep:
            if live is not None:
                return None
        else:
            self._expect(op, op.expect, live)
        doc = None if op.doc is None else encode_doc(op.doc).decode()
        tid = self._text_number(row, op.text)
        created = self._now if live is None else live.created
        new = _Row(self._version, created, op.expires_at, tid, doc, op.text, op.blob)
        new.changed = True
        self._rows[place] = new
        if keys.is_sessions(op.namespace):
            self._list(place, op.doc or {}, None)
        return self._version

    def _patch(self, place: _Place, op: Patch, live: _Row | None) -> int | None:
        self._expect(op, op.expect, live)
        if live is None:
            return None
        old = None if live.doc is None else decode_doc(live.doc)
        doc = patched(old, op)
        if op.text is not None:
            live.tid = self._text_number(live, op.text)
            live.text = op.text
        live.doc = encode_doc(doc).decode()
        live.expires = patched_expiry(live.expires, op, doc, self._now)
        live.ver = self._version
        live.changed = True
        if keys.is_sessions(op.namespace):
            self._list(place, doc, old)
        return self._version

    def _text_number(self, row: _Row | None, text: str | None) -> int | None:
        """The number of a record's text after it changes to `text`."""
        if row is not None and row.tid is not None:
            if row.text == text:
                return row.tid
            if row.text is not None:
                self._forget(row.tid, row.text)
        if text is None:
            return None
        self._tid += 1
        return self._tid

    def _store(self, state: State | None = None) -> bool:
        """Write what changed; False where all is not as `state` says any more."""
        values: list[Any] = []
        count = 0
        for (namespace, key), row in self._rows.items():
            if row is not None and row.changed:
                number = self._numbers.make(namespace)
                values += (number, key, row.ver, row.created, self._now, row.expires)
                values += (row.tid, row.doc, row.text, row.blob)
                count += 1
        if not count:
            return True
        statement = (
            "INSERT OR REPLACE INTO rec "  # noqa: S608
            "(ns, key, ver, created, updated, expires, tid, doc, text, blob) "
            f"SELECT * FROM (VALUES {_marks('(?,?,?,?,?,?,?,?,?,?)', count)})"
        )
        if state is not None:
            # Also the index must be as it was: what it knows has to be taken out of it.
            statement += f" WHERE ({STATE}) = (?, ?, ?, ?)"
            values += (state.seq, state.tid, state.fed, state.format)
        self._wrote = self._connection.execute(statement, values).rowcount == count
        return self._wrote


class Stepwise(_Writing):
    """A batch in a write transaction; `state` is given."""

    def __init__(
        self, connection: sqlite3.Connection, now: int, numbers: Numbers, state: State
    ) -> None:
        super().__init__(connection, now, numbers, state)
        self._forgotten: list[tuple[int, str]] = []
        self._listed: list[tuple[_Place, Mapping[str, Any], Mapping[str, Any] | None]] = []

    def apply_all(self, ops: Sequence[Put | Patch | Check]) -> list[Any]:
        """Run it; the results are the operations', in order."""
        self._numbers.find_all({op.namespace for op in ops})
        self._load(ops)
        results = self._apply_all(ops)
        if self._forgotten:
            search.forget(self._connection, self._forgotten)
        self._store()
        for (namespace, key), doc, old in self._listed:
            listing.enter(self._connection, self._numbers.make(namespace), key, doc, old)
        return results

    def _forget(self, number: int, text: str) -> None:
        self._forgotten.append((number, text))

    def _list(self, place: _Place, doc: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        self._listed.append((place, doc, old))


class AtOnce(_Writing):
    """A batch by one statement that reads and one that writes, and is a transaction."""

    def apply_all(self, ops: Sequence[Put | Patch | Check], seq: int) -> list[Any] | None:
        """Run it; the results are the operations', in order.

        None, and nothing was done, where somebody else has written since version `seq` was given
        out, or where one statement cannot do it.
        """
        numbers = self._numbers.known
        if not all(
            numbers.get(op.namespace) is not None if type(op) is Put else op.namespace in numbers
            for op in ops
        ):
            return None
        self._load(ops)
        state = self._state
        if state is None or state.seq != seq or state.format != len(schema.MIGRATIONS):
            return None
        try:
            results = self._apply_all(ops)
        except _Unfit:
            return None
        if self._tid - state.fed >= search.BACKLOG or not self._store(state):
            return None
        return results

    def _forget(self, number: int, text: str) -> None:
        if self._state is None or number <= self._state.fed:
            raise _Unfit

    def _list(self, place: _Place, doc: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        # The statement that writes notes a session's time, and nothing else of it.
        if old is None or not listing.only_later(old, doc):
            raise _Unfit


class _Unfit(Exception):
    """A batch needs more than one statement to be written."""


def _lives(row: _Row, now: int) -> bool:
    return row.expires is None or row.expires > now


def _marks(one: str, count: int) -> str:
    return ",".join([one] * count)
