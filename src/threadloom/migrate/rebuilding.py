"""Messages as LangChain's chat histories store them, as messages again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from pydantic import ValidationError

from threadloom.migrate.conversations import StoredMessage
from threadloom.migrate.reports import Unavailable


class Rebuilt(NamedTuple):
    """The messages of a history.

    Attributes:
        messages: all with an id, and no two with the same.
        renamed: how many had the id of one before them, and got another.
    """

    messages: list[BaseMessage]
    renamed: int


def rebuild(rows: Iterable[StoredMessage]) -> Rebuilt:
    """The messages of a history, by LangChain's `messages_from_dict`.

    A message without an id gets that of its place. So does one whose id a message before it has:
    LangChain's histories keep both, and so both are kept. What comes later changes no id.

    Raises:
        Unavailable: one of them is no message; says which.
    """
    messages: list[BaseMessage] = []
    seen: set[str] = set()
    renamed = 0
    for row in rows:
        message = _message(row)
        if not message.id or message.id in seen:
            renamed += bool(message.id)
            message.id = _free(row.id, seen)
        seen.add(message.id)
        messages.append(message)
    return Rebuilt(messages, renamed)


def digest(rows: Sequence[StoredMessage]) -> str:
    """What changes with what is stored."""
    found = sha256()
    for row in rows:
        text = row.text.encode() if isinstance(row.text, str) else row.text or b""
        found.update(b"%d %s %d " % (len(row.id), row.id.encode(), len(text)) + text)
    return found.hexdigest()[:32]


def is_same(one: BaseMessage, other: BaseMessage) -> bool:
    """Whether two messages are the same in all that LangChain's histories keep."""
    return _canonical(one) == _canonical(other)


def _message(row: StoredMessage) -> BaseMessage:
    if row.text is None:
        raise Unavailable(f"{row.place} is empty")
    try:
        found = json.loads(row.text)
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"{row.place} is no JSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("data"), dict):
        raise Unavailable(f"{row.place} is no message: it has no type and data")
    try:
        (message,) = messages_from_dict([found])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Unavailable(f"{row.place} is no message: {where}: {first['msg']}") from error
    except KeyError as error:
        raise Unavailable(f"{row.place} is no message: it has no {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Unavailable(f"{row.place} is no message: {error}") from error
    return message


def _free(id: str, seen: set[str]) -> str:
    found, number = id, 1
    while found in seen:
        number += 1
        found = f"{id}-{number}"
    return found


def _canonical(message: BaseMessage) -> str:
    # In JSON, 1 is not True, and not a number is itself.
    return json.dumps(message_to_dict(message), sort_keys=True, default=repr)


__all__ = ["Rebuilt", "digest", "is_same", "rebuild"]
