"""How a message of a chat history is stored, and read back.

The record of a message lies in ``("memory", ID)`` under its position, ten digits long. Its
document says type, id and time, its text is what search sees, its blob is the message. Where the
content is plain text it is stored once, as the text. Beside it, ``("memory", ID, "~index")``
knows the next position and, by message id, where each message is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import BaseMessage

from threadloom.errors import CorruptRecord, InvalidKey, SerializationError
from threadloom.keys import SessionPaths, decode_id, is_storable, message_key, storable
from threadloom.messages import text_of, tokens_of
from threadloom.ops import Expect, Put, Record
from threadloom.values import Values

OF = "of"
"""The field of a message's document with its `Origin`."""


class Origin(NamedTuple):
    """Which items of a stream a message shows.

    Attributes:
        label: the label of the stream.
        first, end: the positions of its items: those from `first` to `end`, exclusive.
        parts: the positions, where some between the first and the last are not among them.
    """

    label: str
    first: int
    end: int
    parts: tuple[int, ...] | None = None

    @classmethod
    def of(cls, label: str, numbers: Sequence[int]) -> Origin:
        """The origin of what shows the items at some positions, in order."""
        first, end = numbers[0], numbers[-1] + 1
        return cls(label, first, end, None if len(numbers) == end - first else tuple(numbers))

    @property
    def numbers(self) -> Sequence[int]:
        """The positions of its items."""
        return range(self.first, self.end) if self.parts is None else self.parts

    def doc(self) -> list[Any]:
        """What the message's document says."""
        whole = [self.label, self.first, self.end]
        return whole if self.parts is None else [*whole, list(self.parts)]


def origin(record: Record) -> Origin | None:
    """Which items of a stream a message shows; None where it came by itself."""
    of = record.body().get(OF)
    if of is None:
        return None
    label, first, end, *parts = of
    return Origin(label, first, end, tuple(parts[0]) if parts else None)


def refuse_shown(record: Record, what: str) -> None:
    """Let messages alone that stand for items of a stream: they change with their items.

    Raises:
        InvalidKey: the record is such a message.
    """
    of = origin(record)
    if of is not None:
        raise InvalidKey(
            f"message {record.body().get('id')!r} shows items of the stream "
            f"{decode_id(of.label)!r} and cannot be {what} by itself: change the stream, or take "
            "the session back with rewind_session(id, messages=n)"
        )


def position(number: int) -> str:
    """The key of a position: digits that sort as they count."""
    return f"{number:010d}"


def read_message(values: Values, record: Record) -> BaseMessage:
    """The message that a record holds.

    Raises:
        CorruptRecord: the record is damaged.
        UntrustedType: it holds a type that may not be rebuilt here.
    """
    doc = record.body()
    message = values.loads(record.blob) if record.blob is not None else None
    if not isinstance(message, BaseMessage) or (doc.get("content") and record.text is None):
        raise CorruptRecord(f"message {record.namespace}/{record.key} is damaged")
    if doc.get("content"):
        message.__dict__["content"] = record.text
    return message


def put_message(
    values: Values,
    paths: SessionPaths,
    key: str,
    message: BaseMessage,
    at: int,
    expect: Expect,
    *,
    of: Origin | None = None,
) -> Put:
    """What stores a message; `of` says which items of a stream it shows (`Origin`)."""
    where = f"message {message.id}"
    doc: dict[str, Any] = {"type": message.type, "id": storable(message.id or ""), "at": at}
    if of is not None:
        doc[OF] = of.doc()
    if not values.readable:
        return Put(paths.memory, key, doc, values.dumps(message, where=where), expect=expect)
    text = text_of(message)
    if type(message.content) is str and is_storable(text):
        # The text is the content; it is stored once.
        doc["content"] = True
        message = message.model_copy(update={"content": ""})
    blob = values.dumps(message, where=where)
    return Put(paths.memory, key, doc, blob, storable(text), expect=expect)


def put_entry(paths: SessionPaths, message: BaseMessage, key: str) -> Put:
    """What the index of message ids says of a message."""
    doc = {"at": key, "tokens": tokens_of(message)}
    return Put(paths.memory_index, message_key(message.id or ""), doc=doc)


def next_position(counter: Record) -> int:
    """The next position of a history."""
    number = counter.body().get("next")
    if not isinstance(number, int):
        raise CorruptRecord(f"the counter {counter.namespace}/{counter.key} is damaged")
    return number


def is_stored(values: Values, old: Record, put: Put, message: BaseMessage) -> bool:
    """Whether a record holds a message as it is; equality would take 1 for True."""
    if values.readable:
        return (old.blob, old.text) == (put.blob, put.text)
    before = read_message(values, old)
    return type(before) is type(message) and before == message


def with_ids(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Messages that all have an id: one without gets it, on the object itself.

    Raises:
        SerializationError: something is no message.
    """
    found = only_messages(messages)
    for message in found:
        if not message.id:
            message.id = str(uuid4())
    return found


def only_messages(messages: Any) -> list[BaseMessage]:
    if isinstance(messages, (BaseMessage, str)):
        raise SerializationError(
            f"add_messages takes a list of messages, got a {type(messages).__qualname__}"
        )
    for message in messages:
        if not isinstance(message, BaseMessage):
            raise SerializationError(
                "a chat history takes messages such as HumanMessage(text), got a "
                f"{type(message).__qualname__}"
            )
        if message.id is not None and not isinstance(message.id, str):
            raise SerializationError(f"a message's id is a string, got {message.id!r}")
    return list(messages)


def stands_elsewhere(message: BaseMessage) -> InvalidKey:
    """The error for a message in the place of the last one, whose id another one has."""
    return InvalidKey(f"message {message.id!r} stands elsewhere in the history already")
