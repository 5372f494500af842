"""Streams where messages of the chat history go: what showed them goes as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from threadloom.errors import CheckpointNotFound
from threadloom.history.origins import Origin, origin
from threadloom.history.records import Entry
from threadloom.history.storing import position
from threadloom.keys import NEXT_POSITION, Namespace, SessionPaths
from threadloom.ops import Op, Patch, Record
from threadloom.records import copied
from threadloom.streams.layout import Counter, Tail, is_id, is_item, number_of, remove_items


class CutStream(NamedTuple):
    """A stream of which only the beginning stays.

    Attributes:
        counter: its own record.
        tail: where the last items are that are shown then.
        kept: the records that stay, without its own.
        gone: the items that go.
    """

    counter: Record
    tail: Tail
    kept: Sequence[Record]
    gone: Sequence[Record]

    def ops(self) -> list[Op]:
        """What cuts it where it is."""
        fields = self.counter_doc()
        return [
            *remove_items(self.gone),
            Patch(self.counter.namespace, NEXT_POSITION, set=fields, expect=self.counter.version),
        ]

    def counter_doc(self) -> dict[str, object]:
        """What its own record says then; positions go on counting."""
        counter = Counter.read(self.counter)
        outdated = counter.outdated or bool(self.gone)
        return counter._replace(tail=self.tail, outdated=outdated).doc()


def cut(
    streams: Iterable[Record], kept: Sequence[Entry], removed: Sequence[Entry]
) -> list[CutStream]:
    """The streams that lose items where some messages of a chat history go.

    Args:
        streams: the records of all streams.
        kept: the messages that stay.
        removed: those that go.

    Raises:
        CheckpointNotFound: one item would be shown by half.
    """
    stay = [(of, entry) for entry in kept if (of := origin(entry.record)) is not None]
    go = [of for entry in removed if (of := origin(entry.record)) is not None]
    found: list[CutStream] = []
    for label in dict.fromkeys(of.label for of in go):
        own = [(of, entry) for of, entry in stay if of.label == label]
        parted = {of for of, _ in own}.intersection(go)
        if parted:
            raise CheckpointNotFound(
                f"the stream {label!r} has no item that ends there: some messages that go belong "
                "together with one that stays"
            )
        last = max((of for of, _ in own), key=lambda of: of.end, default=Origin(label, 0, 0))
        tail = Tail(last.first, tuple(e.record.key for of, e in own if of == last))
        records = [record for record in streams if record.namespace[-1] == label]
        found += _cut_one(records, last, tail)
    return found


def _cut_one(records: Sequence[Record], last: Origin, tail: Tail) -> list[CutStream]:
    """A stream behind the last group that stays."""
    end = position(last.end)
    counter = next((record for record in records if record.key == NEXT_POSITION), None)
    if counter is None:
        return []
    items = [record for record in records if is_item(record)]
    gone = [record for record in items if record.key >= end]
    left = {record.key for record in items} - {record.key for record in gone}
    ids = [r for r in records if is_id(r) and r.body().get("at") in left]
    kept = [record for record in items if record.key < end]
    if Counter.read(counter).tail.numbers is not None:
        there = {number_of(record) for record in kept}
        tail = tail._replace(numbers=tuple(number for number in last.numbers if number in there))
    return [CutStream(counter, tail, [*kept, *ids], gone)]


def copies(
    streams: Sequence[Record], cuts: Sequence[CutStream], target: SessionPaths, depth: int
) -> list[Op]:
    """What writes streams to another session, cut where they are.

    Args:
        streams: the records of all streams.
        cuts: those that lose items.
        target: the other session's places.
        depth: how many labels lead to a session's memory.
    """

    def there(namespace: Namespace) -> Namespace:
        return (*target.memory, *namespace[depth:])

    cut_places = {one.counter.namespace for one in cuts}
    ops: list[Op] = [
        copied(record, there(record.namespace))
        for record in streams
        if record.namespace not in cut_places
    ]
    for one in cuts:
        ops += [copied(record, there(record.namespace)) for record in one.kept]
        counter = one.counter._replace(doc=one.counter_doc())
        ops.append(copied(counter, there(counter.namespace)))
    return ops
