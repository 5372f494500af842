"""Events and states of ADK as JSON, and back."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from google.adk.events.event import Event
from google.adk.sessions.state import State
from pydantic_core import PydanticSerializationError, to_jsonable_python

from threadloom import SerializationError, check_field_names

logger = logging.getLogger(__name__)


def record_of(event: Event) -> dict[str, Any]:
    """An event as JSON, in the form of ADK's HTTP API, without what is not to be stored.

    Raises:
        SerializationError: it cannot be written as JSON, or what is written could not be read.
    """
    try:
        # By other names some schemes of credentials are not recognised when they are read.
        record = event.model_dump(mode="json", exclude_none=True, by_alias=True)
        delta = record["actions"]["stateDelta"]
        record["actions"]["stateDelta"] = {
            key: value for key, value in delta.items() if not key.startswith(State.TEMP_PREFIX)
        }
        text = _json(record)
        if "\ufffd" in text:  # pydantic may have put it there, see below
            check_field_names(event.model_dump())
        # One event that cannot be read would take the whole session along.
        Event.model_validate_json(text.encode())
    except ValueError as error:  # which all errors of pydantic and of Unicode are
        raise SerializationError(
            f"the event {event.id!r:.80} cannot be stored: {error!s:.300}"
        ) from error
    return record


def read_event(record: Any) -> Event:
    """The event that `record_of` made a record of.

    A lone surrogate, which only earlier versions have stored, is read as U+FFFD.
    """
    text = _json(record)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    # As JSON, because only then bytes are read from their base64.
    return Event.model_validate_json(data)


def _json(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False)


class Delta(NamedTuple):
    """Changes of state, by whose they are, without prefixes and as JSON."""

    session: dict[str, Any]
    app: dict[str, Any]
    user: dict[str, Any]

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> Delta:
        """Part a state by its prefixes; what begins with ``temp:`` is left out.

        Raises:
            SerializationError: a value has no form as JSON.
        """
        delta = cls({}, {}, {})
        for key, value in (state or {}).items():
            if key.startswith(State.APP_PREFIX):
                delta.app[key.removeprefix(State.APP_PREFIX)] = _jsonable(key, value)
            elif key.startswith(State.USER_PREFIX):
                delta.user[key.removeprefix(State.USER_PREFIX)] = _jsonable(key, value)
            elif not key.startswith(State.TEMP_PREFIX):
                delta.session[key] = _jsonable(key, value)
        return delta

    @staticmethod
    def merged(
        session: Mapping[str, Any], app: Mapping[str, Any], user: Mapping[str, Any]
    ) -> dict[str, Any]:
        """States as one, with the prefixes that `of` takes away."""
        return {
            **session,
            **{State.APP_PREFIX + key: value for key, value in app.items()},
            **{State.USER_PREFIX + key: value for key, value in user.items()},
        }


def _jsonable(key: str, value: Any) -> Any:
    """A value of a state as JSON; objects without such a form are described, as ADK does it.

    Raises:
        SerializationError: there is no text for it either, as for bytes that are not UTF-8.
    """
    try:
        try:
            return to_jsonable_python(value)
        except PydanticSerializationError:
            logger.warning("The state %r has parts that are not JSON; their text is stored.", key)
            return to_jsonable_python(value, serialize_unknown=True, bytes_mode="base64")
    except ValueError as error:
        raise SerializationError(
            f"the state {key!r:.80} cannot be stored: {error!s:.300}"
        ) from error
