"""Every shape of an event comes back as it went in."""

from __future__ import annotations

import types as python_types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import APIKey, APIKeyIn
from google.adk.auth.auth_tool import AuthConfig
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from adk_fakes import APP, USER, text
from threadloom_google_adk import ThreadloomSessionService
from threadloom_google_adk.records import read_event, record_of

SKIPPED = {
    # An event is not stored while it is partial, and an id is never empty.
    (Event, "partial"),
    (Event, "id"),
    # Credentials have rules of their own; one whole example is below.
    (EventActions, "requested_auth_configs"),
}


def example(annotation: Any, depth: int = 0) -> Any:
    """A value of a field's type that is not its default."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return example(arguments[0], depth)
    if origin in (typing.Union, python_types.UnionType):
        return example(next(a for a in arguments if a is not type(None)), depth)
    if origin is typing.Literal:
        return arguments[0]
    if origin in (list, set):
        return origin([example(arguments[0], depth)])
    if origin is dict:
        return {"key": example(arguments[1], depth)}
    if annotation is Any or annotation is object:
        return {"any": [1, None, 0.5, "é", {"deep": True}]}
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return whole(annotation, depth + 1)
        if issubclass(annotation, Enum):
            return list(annotation)[-1]
        return {str: "text", int: 7, float: 0.1, bool: True, bytes: b"\x00\xff\xfe"}.get(
            annotation, {"k": 1} if annotation is dict else "2026-01-01T00:00:00Z"
        )
    return None


def whole(model: type[BaseModel], depth: int = 0) -> Any:
    """A model with all its fields set."""
    if depth > 6:
        return model.model_construct()
    values = {
        name: value
        for name, field in model.model_fields.items()
        if (model, name) not in SKIPPED
        if (value := example(field.annotation, depth)) is not None
    }
    return model.model_validate(values)


def fields_of(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str]]:
    return ((model, name) for name in model.model_fields if (model, name) not in SKIPPED)


SHAPES = [*fields_of(Event), *fields_of(EventActions), *fields_of(types.Part)]


def with_field(model: type[BaseModel], name: str) -> Event:
    """An event in which one field of it, of its actions or of a part is set."""
    value = example(model.model_fields[name].annotation)
    assert value is not None, f"no example of {name}: {model.model_fields[name].annotation}"
    given: dict[str, Any] = {"invocation_id": "i", "author": "a"}
    if model is Event:
        given[name] = value
    elif model is EventActions:
        given["actions"] = EventActions.model_validate({name: value})
    else:
        part = types.Part.model_validate({name: value})
        given["content"] = types.Content(role="model", parts=[part])
    event = Event.model_validate(given)
    return event


async def there_and_back(url: str, events: list[Event]) -> list[Event]:
    """Events through a store, and through other objects than those that wrote them."""
    async with ThreadloomSessionService(url) as service:
        session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
        for event in events:
            await service.append_event(session, event)
        if url == "memory://":
            return await read(service)
    async with ThreadloomSessionService(url) as service:
        return await read(service)


async def read(service: ThreadloomSessionService) -> list[Event]:
    session = await service.get_session(app_name=APP, user_id=USER, session_id="s")
    assert session is not None
    assert len(service.sessions.messages(f"{APP}/{USER}/s")) >= 0
    return session.events


async def test_every_field_that_an_event_may_have(url: str) -> None:
    events = [with_field(model, name) for model, name in SHAPES]
    given = [event.model_copy(deep=True) for event in events]
    found = await there_and_back(url, events)
    for (model, name), one, other in zip(SHAPES, given, found, strict=True):
        assert one == other, f"{model.__name__}.{name}"
        assert repr(one) == repr(other), f"{model.__name__}.{name}"


async def test_events_with_everything(url: str) -> None:
    event = Event.model_validate(
        {
            **{name: example(Event.model_fields[name].annotation) for _, name in fields_of(Event)},
            "actions": whole(EventActions),
            "content": types.Content(role="model", parts=[whole(types.Part)]),
        }
    )
    (found,) = await there_and_back(url, [event.model_copy(deep=True)])
    assert found == event
    assert found.long_running_tool_ids == {"text"}


async def test_credentials_that_a_tool_asks_for(tmp_path: Path) -> None:
    config = AuthConfig(
        auth_scheme=APIKey.model_validate({"in": APIKeyIn.header, "name": "X-Key"}),
        credential_key="key",
    )
    event = text("x", "a")
    event.actions.requested_auth_configs = {"c1": config}
    (found,) = await there_and_back(f"sqlite:///{tmp_path}/s.db", [event.model_copy(deep=True)])
    assert found.actions.requested_auth_configs == {"c1": config}
    assert found == event


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.one_of(
    st.builds(types.Part, text=st.text(), thought=st.none() | st.booleans()),
    st.builds(
        lambda data, kind: types.Part(inline_data=types.Blob(data=data, mime_type=kind)),
        st.binary(),
        st.sampled_from(["image/png", "audio/wav", "text/plain", ""]),
    ),
    st.builds(
        lambda id, name, args: types.Part(
            function_call=types.FunctionCall(id=id, name=name, args=args)
        ),
        st.none() | st.text(),
        st.none() | st.text(),
        st.none() | st.dictionaries(st.text(), JSON, max_size=2),
    ),
    st.builds(
        lambda id, name, value: types.Part(
            function_response=types.FunctionResponse(id=id, name=name, response=value)
        ),
        st.none() | st.text(),
        st.none() | st.text(),
        st.none() | st.dictionaries(st.text(), JSON, max_size=2),
    ),
)
STATES = st.dictionaries(
    st.tuples(
        st.sampled_from(["", "app:", "user:"]), st.text().filter(lambda key: "\0" not in key)
    ).map("".join),
    JSON,
    max_size=3,
)
EVENTS = st.builds(
    lambda author, parts, state, output: Event(
        author=author,
        invocation_id="i",
        content=types.Content(role="model", parts=parts),
        actions=EventActions(state_delta=state),
        output=output,
    ),
    st.sampled_from(["user", "a", ""]),
    st.none() | st.lists(PARTS, max_size=3),
    STATES,
    JSON,
)


@settings(deadline=None)
@given(EVENTS)
def test_any_event_as_a_record(event: Event) -> None:
    assert read_event(record_of(event)) == event


@settings(deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=4))
async def test_any_events_and_their_states(events: list[Event]) -> None:
    async with ThreadloomSessionService("memory://") as service:
        session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
        for event in events:
            await service.append_event(session, event)
        found = await service.get_session(app_name=APP, user_id=USER, session_id="s")
        assert found is not None
        assert found.events == session.events == events
        assert found.state == session.state
        assert service.sessions.messages(f"{APP}/{USER}/s") is not None


@pytest.mark.parametrize("bad", ["\0", "\ud800", float("nan")])
async def test_what_cannot_be_stored_leaves_nothing(url: str, bad: Any) -> None:
    async with ThreadloomSessionService(url) as service:
        session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
        given = text("x", state={"k": 1, "user:k": 1, "app:" + str(bad): bad, "temp:k": 1})
        with pytest.raises((ValueError, TypeError)):
            await service.append_event(session, given)
        found = await service.get_session(app_name=APP, user_id=USER, session_id="s")
        assert found == session
        assert (found.events, found.state) == ([], {})
