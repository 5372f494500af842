"""What is wrong in the streams of a session, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from threadloom.errors import CorruptRecord
from threadloom.history.records import Entry
from threadloom.history.storing import origin
from threadloom.keys import NEXT_POSITION
from threadloom.ops import Delete, Op, Patch, Put, Record
from threadloom.streams.layout import Counter, number_of
from threadloom.values import Values


class Damage(NamedTuple):
    """One thing that is wrong.

    Attributes:
        kind: what kind of problem it is (see `Problem`).
        detail: what and where.
        ops: what mends it; nothing where that would be guessing.
    """

    kind: str
    detail: str
    ops: Sequence[Op] = ()


def look(values: Values, records: Sequence[Record], entries: Iterable[Entry]) -> list[Damage]:
    """What is wrong in streams.

    Args:
        values: how items are stored.
        records: the records of all streams of a session.
        entries: the messages of its chat history.
    """
    labels: dict[str, list[Record]] = {}
    for record in records:
        labels.setdefault(record.namespace[-1], []).append(record)
    found: list[Damage] = []
    numbers: dict[str, set[int]] = {}
    for label, own in labels.items():
        items = [record for record in own if record.key[0].isdigit()]
        numbers[label] = {number_of(record) for record in items}
        found += _items(values, label, items)
        found += _ids(label, own, items)
        found += _counter(label, own, numbers[label])
    for entry in entries:
        of = origin(entry.record)
        if of is not None and numbers.get(of.label, set()).isdisjoint(of.numbers):
            detail = f"message {entry.record.key} shows items of {of.label!r} that are not there"
            found.append(Damage("dangling", detail))
    return found


def _items(values: Values, label: str, items: Iterable[Record]) -> list[Damage]:
    found = []
    for record in items:
        try:
            if record.blob is None:
                raise CorruptRecord("it has no content")
            values.loads_opaque(record.blob)
        except CorruptRecord as error:
            found.append(Damage("damaged", f"item {record.key} of the stream {label!r}: {error}"))
    return found


def _ids(label: str, own: Iterable[Record], items: Iterable[Record]) -> list[Damage]:
    keys = {record.key for record in items}
    found = []
    for record in own:
        if record.key.startswith("id:") and record.body().get("at") not in keys:
            detail = f"the stream {label!r} knows {record.key!r}, which is no item"
            gone = Delete(record.namespace, record.key, expect=record.version)
            found.append(Damage("stream", detail, [gone]))
    return found


def _counter(label: str, own: Sequence[Record], numbers: set[int]) -> list[Damage]:
    last = max(numbers, default=-1)
    record = next((record for record in own if record.key == NEXT_POSITION), None)
    if record is None:
        detail = f"the stream {label!r} has lost its own record"
        doc = Counter(last + 1).doc()
        return [Damage("stream", detail, [Put(own[0].namespace, NEXT_POSITION, doc)])]
    try:
        counter = Counter.read(record)
    except CorruptRecord as error:
        return [Damage("damaged", str(error))]
    if counter.next > last:
        return []
    detail = f"the next position of the stream {label!r} would overwrite an item"
    return [Damage("stream", detail, [Patch(record.namespace, record.key, {"next": last + 1})])]
