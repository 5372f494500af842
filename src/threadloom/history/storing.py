"""How a message of a chat history is stored, and read back.

The record of a message lies in ``("memory", ID)`` under its position, ten digits long. Its
document says type, id and time, its text is what search sees, its blob is the message. Where the
content is plain text it is stored once, as the text. Beside it, ``("memory", ID, "~index")``
knows the next position and, by message id, where each message is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.foreign import as_shown
from threadloom.errors import CorruptRecord, InvalidKey, SerializationError
from threadloom.history.origins import OF, Origin
from threadloom.keys import SessionPaths, is_storable, message_key, storable
from threadloom.messages import text_of, tokens_of
from threadloom.ops import Expect, Put, Record
from threadloom.values import Values


def position(number: int) -> str:
    """The key of a position: digits that sort as they count."""
    return f"{number:010d}"


def read_message(values: Values, record: Record, *, opaque: bool = False) -> BaseMessage:
    """The message that a record holds.

    Args:
        values: how values are stored.
        record: the record.
        opaque: leave types of the application as they are stored.

    Raises:
        CorruptRecord: the record is damaged.
        UntrustedType: it holds a type that may not be rebuilt here.
    """
    doc = record.body()
    load = (lambda data: as_shown(values.loads_opaque(data))) if opaque else values.loads
    message = load(record.blob) if record.blob is not None else None
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
