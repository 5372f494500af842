"""What is wrong in the streams of a session, and what mends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from threadloom.errors import CorruptRecord
from threadloom.history.origins import Origin, origin
from threadloom.history.records import Entry
from threadloom.keys import NEXT_POSITION
from threadloom.ops import Delete, Op, Patch, Put, Record
from threadloom.streams.layout import Counter, Tail, is_id, is_item, number_of
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
    shown = [(of, entry) for entry in entries if (of := origin(entry.record)) is not None]
    labels: dict[str, list[Record]] = {}
    for record in records:
        labels.setdefault(record.namespace[-1], []).append(record)
    found: list[Damage] = []
    numbers: dict[str, set[int]] = {}
    for label, own in labels.items():
        items = [record for record in own if is_item(record)]
        numbers[label] = {number_of(record) for record in items}
        found += _items(values, label, items)
        found += _ids(label, own, items)
        groups = [(of, entry) for of, entry in shown if of.label == label]
        found += _counter(label, own, numbers[label], groups)
    by_item: dict[tuple[str, int], Origin] = {}
    for of, entry in shown:
        where = f"message {entry.record.key} shows items of {of.label!r}"
        if numbers.get(of.label, set()).isdisjoint(of.numbers):
            found.append(Damage("dangling", f"{where} that are not there"))
        if any(by_item.setdefault((of.label, number), of) != of for number in of.numbers):
            found.append(Damage("dangling", f"{where} that others show as well"))
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
        if is_id(record) and record.body().get("at") not in keys:
            detail = f"the stream {label!r} knows {record.key!r}, which is no item"
            gone = Delete(record.namespace, record.key, expect=record.version)
            found.append(Damage("stream", detail, [gone]))
    return found


def _counter(
    label: str,
    own: Sequence[Record],
    numbers: set[int],
    groups: Sequence[tuple[Origin, Entry]],
) -> list[Damage]:
    last = max(numbers, default=-1)
    record = next((record for record in own if record.key == NEXT_POSITION), None)
    if record is None:
        detail = f"the stream {label!r} has lost its own record"
        end = max((of for of, _ in groups), key=lambda of: of.end, default=Origin(label, 0, 0))
        keys = tuple(entry.record.key for of, entry in groups if of == end)
        covered = {number for of, _ in groups for number in of.numbers}
        # Where items between the shown ones are not shown, it has branched: what stands behind
        # may belong to another branch.
        straight = covered.issuperset(number for number in numbers if number < end.end)
        line = None if straight else tuple(end.numbers)
        doc = Counter(last + 1, Tail(end.first, keys, line)).doc()
        return [Damage("stream", detail, [Put(own[0].namespace, NEXT_POSITION, doc)])]
    try:
        counter = Counter.read(record)
    except CorruptRecord as error:
        return [Damage("damaged", str(error))]
    if counter.next > last:
        return []
    detail = f"the next position of the stream {label!r} would overwrite an item"
    return [Damage("stream", detail, [Patch(record.namespace, record.key, {"next": last + 1})])]
