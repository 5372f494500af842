"""Pydantic AI's messages, entries and records as JSON, by the framework's own adapters.

What is stored is what the framework itself would write to a file, so a later version of it reads
what an earlier one stored, by the same rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic_ai.conversation_store import ConversationEntry, ConversationRecord
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter
from pydantic_core import ValidationError

from threadloom import CorruptRecord, InvalidKey, SerializationError, check_field_names

# As a list, because an adapter of a dataclass alone takes no settings.
_RECORDS = TypeAdapter(
    list[ConversationRecord],
    config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"),
)


def dump_messages(messages: Iterable[ModelMessage]) -> list[Any]:
    """Messages as JSON.

    Raises:
        InvalidKey: they are no list.
        SerializationError: one is no message, or holds something that the framework cannot write
            as JSON.
    """
    if not isinstance(messages, Iterable) or isinstance(messages, (str, bytes, Mapping)):
        raise InvalidKey(
            "messages are a list, such as result.new_messages(), got a "
            f"{type(messages).__qualname__}"
        )
    return _dump(ModelMessagesTypeAdapter, list(messages), "a message")


def load_messages(items: Sequence[Any]) -> list[ModelMessage]:
    """The messages that JSON was made of.

    Raises:
        CorruptRecord: it is none.
    """
    return _load(ModelMessagesTypeAdapter, items, "a message")


def dump_entry(entry: ConversationEntry) -> dict[str, Any]:
    """An entry of a conversation as JSON; errors are those of `dump_messages`."""
    (message,) = dump_messages([entry.message])
    return {"id": entry.id, "parent_id": entry.parent_id, "kind": entry.kind, "message": message}


def load_entries(items: Sequence[Any]) -> list[ConversationEntry]:
    """The entries that JSON was made of; errors are those of `load_messages`."""
    messages = load_messages([item["message"] for item in items])
    return [
        ConversationEntry(
            id=item["id"], parent_id=item["parent_id"], message=message, kind=item["kind"]
        )
        for item, message in zip(items, messages, strict=True)
    ]


def dump_record(record: ConversationRecord) -> Any:
    """What a store keeps of a conversation besides its entries; errors as in `dump_messages`."""
    (dumped,) = _dump(_RECORDS, [record], f"the record of {record.conversation_id!r}")
    return dumped


def load_record(item: Any) -> ConversationRecord:
    """The record that JSON was made of; errors are those of `load_messages`."""
    record: ConversationRecord
    (record,) = _load(_RECORDS, [item], "the record of a conversation")
    return record


def _dump(adapter: TypeAdapter[list[Any]], values: list[Any], what: str) -> list[Any]:
    try:
        # What is not of the declared types is only warned of otherwise, and could not be read.
        dumped: list[Any] = adapter.dump_python(values, mode="json", warnings="error")
        if "\ufffd" in json.dumps(dumped, ensure_ascii=False):  # pydantic may have put it there
            check_field_names(adapter.dump_python(values))
    except ValueError as error:  # which errors of Unicode and of pydantic are
        raise SerializationError(f"{what} cannot be stored as JSON: {error}") from error
    return dumped


def _load(adapter: TypeAdapter[list[Any]], items: Sequence[Any], what: str) -> list[Any]:
    try:
        return adapter.validate_python(list(items))
    except ValidationError as error:
        raise CorruptRecord(f"{what} is not what Pydantic AI stores: {error}") from error
