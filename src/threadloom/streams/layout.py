"""How a stream is stored.

Its items lie in ``("memory", ID, STREAM)`` under their positions, ten digits long, each as the
blob of its record. ``next`` is the stream's own record: the next position, the note that is kept
with the stream, and where the last items are that messages of the chat history show (`Tail`).
Every write to a stream changes this record, so its version is the stream's revision. ``id:ITEM``
says where the item with an id of the framework's is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from threadloom.errors import CorruptRecord
from threadloom.history.storing import position
from threadloom.keys import ITEM_ID, NEXT_POSITION, Namespace, item_key
from threadloom.ops import ABSENT, Delete, Expect, Get, Op, Put, Record
from threadloom.values import Values


class Tail(NamedTuple):
    """The last items that are shown.

    Attributes:
        first: the position of the first of them; what stands before is not looked at again
            when something is added.
        keys: the keys of the messages that show them, in the chat history.
        numbers: the positions, from `first` on, of the items that the conversation consists of,
            where it has ever branched; None where these are all that are stored.
    """

    first: int = 0
    keys: tuple[str, ...] = ()
    numbers: tuple[int, ...] | None = None


class Counter(NamedTuple):
    """A stream's own record.

    Attributes:
        next: the position of the next item; positions are never used again.
        tail: where the last shown items are.
        note: what is kept with the stream, encoded; None for nothing.
        version: the stream's revision; 0 where there is no such stream.
        outdated: whether items have come or gone since the note, if there is one, was written.
    """

    next: int = 0
    tail: Tail = Tail()
    note: bytes | None = None
    version: int = 0
    outdated: bool = False

    @classmethod
    def read(cls, record: Record | None) -> Counter:
        """What a record holds; an empty stream where there is none.

        Raises:
            CorruptRecord: it is damaged.
        """
        if record is None:
            return cls()
        doc = record.body()
        try:
            line = doc.get("line")
            numbers = None if line is None else tuple(map(int, line))
            tail = Tail(int(doc["tail"]), tuple(map(str, doc["shown"])), numbers)
            outdated = doc.get("outdated") is True
            return cls(int(doc["next"]), tail, record.blob, record.version, outdated)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptRecord(
                f"the stream's record {record.namespace}/{record.key} is damaged: {error!r}"
            ) from error

    def put(self, namespace: Namespace) -> Put:
        """What writes the record, if nobody else has written to the stream meanwhile."""
        expect: Expect = self.version or ABSENT
        return Put(namespace, NEXT_POSITION, self.doc(), self.note, expect=expect)

    def doc(self) -> dict[str, Any]:
        """The record's document."""
        tail = self.tail
        doc: dict[str, Any] = {"next": self.next, "tail": tail.first, "shown": list(tail.keys)}
        if tail.numbers is not None:
            doc["line"] = list(tail.numbers)
        if self.outdated:
            doc["outdated"] = True
        return doc


def get_counter(namespace: Namespace) -> Get:
    """Read a stream's own record."""
    return Get(namespace, NEXT_POSITION)


def put_item(
    values: Values, namespace: Namespace, number: int, item: Any, id: str | None, now: int
) -> list[Op]:
    """What stores an item, and where the one with its id is."""
    doc: dict[str, Any] = {"at": now}
    blob = values.dumps(item, where=f"item {number} of a stream")
    if id is None:
        return [Put(namespace, position(number), doc, blob, expect=ABSENT)]
    doc["id"] = id
    return [
        Put(namespace, position(number), doc, blob, expect=ABSENT),
        Put(namespace, item_key(id), {"at": position(number)}, expect=ABSENT),
    ]


def remove_items(records: Sequence[Record]) -> list[Op]:
    """What removes items that were read, with or without their blobs."""
    ops: list[Op] = []
    for record in records:
        ops.append(Delete(record.namespace, record.key, expect=record.version))
        id = record.body().get("id")
        if id is not None:
            ops.append(Delete(record.namespace, item_key(id)))
    return ops


def read_item(values: Values, record: Record) -> Any:
    """The item that a record holds.

    Raises:
        CorruptRecord: the record is damaged.
    """
    if record.blob is None:
        raise CorruptRecord(f"the item {record.namespace}/{record.key} is damaged")
    return values.loads(record.blob)


def same_item(one: Any, other: Any) -> bool:
    """Whether two items are the same in type and value, down to what is inside of lists and dicts.

    For serializers that do not write the same bytes twice.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_item(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_item, one, other))
    if isinstance(one, float) and one != one:
        return bool(other != other)
    return (one == other) is True


def is_item(record: Record) -> bool:
    """Whether a record of a stream is an item."""
    return record.key[0].isdigit()


def is_id(record: Record) -> bool:
    """Whether a record of a stream says where the item with an id is."""
    return record.key.startswith(ITEM_ID)


def number_of(record: Record) -> int:
    """The position of an item."""
    return int(record.key)
