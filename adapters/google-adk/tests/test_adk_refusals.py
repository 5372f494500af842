"""What cannot be stored is refused before anything is, with the errors that are promised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types

from adk_fakes import APP, USER, at, got, new, plain, text
from threadloom import InvalidKey, SerializationError, SessionConflict, SessionStream
from threadloom_google_adk import ThreadloomSessionService, shows
from threadloom_google_adk.records import record_of
from threadloom_google_adk.service import EVENTS

ID = f"{APP}/{USER}/s"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def calls(args: dict[str, Any]) -> Event:
    call = types.FunctionCall(name="f", id="1", args=args)
    content = types.Content(role="model", parts=[types.Part(function_call=call)])
    return Event(author="x", content=content)


def sets(value: Any) -> Event:
    return Event(author="x", actions=EventActions(state_delta={"k": value}))


REFUSED: dict[str, Callable[[], Event]] = {
    "a surrogate in a text": lambda: text("cut \ud83d"),
    "two in a row": lambda: text("\ud83d\ude00"),
    "a surrogate in arguments": lambda: calls({"x": "\ud800"}),
    "a surrogate as a name of an argument": lambda: calls({"\ud800": 1}),
    "a surrogate deep in arguments": lambda: calls({"x": {"\ud800": 1}}),
    "arguments of 200 levels": lambda: calls(nested(200)),
    "arguments of 300 levels": lambda: calls(nested(300)),
    "an object in arguments": lambda: calls({"x": object()}),
    "a surrogate as a name in metadata": lambda: Event(author="x", custom_metadata={"\ud800": 1}),
    "an object in metadata": lambda: Event(author="x", custom_metadata={"x": object()}),
    "a surrogate in the id": lambda: text("x", id="\ud800"),
    "a surrogate in state": lambda: sets("\ud800"),
    "a surrogate as a name in state": lambda: sets({"\ud800": 1}),
    "state of 300 levels": lambda: sets(nested(300)),
    "bytes in state": lambda: sets(b"\xff"),
    "bytes deep in state": lambda: sets([{"x": b"\xff"}]),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_event_that_cannot_be_stored_changes_nothing(
    service: ThreadloomSessionService, name: str
) -> None:
    session = await new(service, state={"mood": "fine"})
    await service.append_event(session, at(1000.0, "hello"))
    before = plain(session)
    with pytest.raises(SerializationError):
        await service.append_event(session, REFUSED[name]())
    assert plain(session) == before == plain(await got(service))
    await service.append_event(session, at(2000.0, "go on"))
    assert [message.text for message in service.sessions.messages(ID)] == ["hello", "go on"]


async def test_what_looks_like_a_surrogate_is_stored(service: ThreadloomSessionService) -> None:
    session = await new(service)
    await service.append_event(session, calls({"\ufffd": ["\ufffd", {"\ufffd": (1, {2})}]}))
    (event,) = await events(service)
    assert event.content is not None
    assert event.content.parts is not None
    assert event.content.parts[0].function_call is not None
    assert event.content.parts[0].function_call.args == {"\ufffd": ["\ufffd", {"\ufffd": [1, [2]]}]}


async def test_what_can_just_be_stored_can_be_read(service: ThreadloomSessionService) -> None:
    """Wherever the limit of nesting is: what is taken is given back."""
    session = await new(service)
    for levels in range(180, 200):
        for event in (calls(nested(levels)), sets(nested(levels))):
            try:
                await service.append_event(session, event)
            except SerializationError:
                assert levels > 180
    found = await got(service)
    assert found is not None
    assert plain(found.events) == plain(session.events)


@pytest.mark.parametrize(
    "value", [b"\xff", {"x": b"\xff"}, {"\ud800": 1}, "\ud800", nested(300), float("nan")]
)
@pytest.mark.parametrize("prefix", ["", "app:", "user:"])
async def test_a_state_that_cannot_be_stored_begins_no_session(
    service: ThreadloomSessionService, prefix: str, value: Any
) -> None:
    with pytest.raises(SerializationError):
        await new(service, state={"k": 1, f"{prefix}x": value})
    assert await got(service) is None
    assert (await new(service)).state == {}


async def test_names_that_cannot_be_stored(service: ThreadloomSessionService) -> None:
    session = await new(service)
    for wrong in ("a\0", "\ud800"):
        for names in ((wrong, USER, "s"), (APP, wrong, "s"), (APP, USER, wrong)):
            app, user, id = names
            assert await got(service, id, app=app, user=user) is None
            await service.delete_session(app_name=app, user_id=user, session_id=id)
            with pytest.raises(InvalidKey):
                await new(service, id, app=app, user=user)
    with pytest.raises(InvalidKey):
        await service.append_event(session, text("x", id="a\0"))
    assert plain(await got(service)) == plain(session)


async def test_what_earlier_versions_have_stored_is_read(
    service: ThreadloomSessionService,
) -> None:
    """They took lone surrogates, and could not read them."""
    session = await new(service)
    parts = [types.Part(text="cut"), types.Part(inline_data=types.Blob(data=b"\xff\xfe"))]
    event = at(1000.0, "x").model_copy(update={"content": types.Content(parts=parts)})
    for number, said in enumerate(["cut \ud83d.", "whole \ud83d\ude00."]):
        record = record_of(event)
        record["id"] = f"e{number}"
        record["content"]["parts"][0]["text"] = said
        stream = service.sessions.stream(ID, EVENTS, shows=shows)
        stream.append([record], ids=[record["id"]], note={"update_time": 1000.0})
    found = await got(service)
    assert found is not None
    texts = [one.content.parts for one in found.events if one.content]
    assert [parts[0].text for parts in texts if parts] == ["cut \ufffd.", "whole \U0001f600."]
    assert {parts[1].inline_data.data for parts in texts if parts} == {b"\xff\xfe"}  # type: ignore[union-attr]
    await service.append_event(found, at(2000.0))
    assert len(await events(service)) == 3
    fork = service.sessions.fork_session(ID)
    assert len(await events(service, fork.id)) == 3
    assert session.events == []


async def events(service: ThreadloomSessionService, id: str = "s") -> list[Event]:
    found = await got(service, id)
    assert found is not None
    return found.events


OTHERS: dict[str, dict[str, Any]] = {
    "another user's": {"owner": "bob"},
    "another application's": {"agent_name": "other"},
    "both": {"owner": "bob", "agent_name": "other"},
}


@pytest.mark.parametrize("whose", OTHERS)
async def test_an_id_that_belongs_to_another_is_taken(
    service: ThreadloomSessionService, whose: str
) -> None:
    service.sessions.create_session(id=ID, **OTHERS[whose])
    before = service.sessions.get_session(ID)
    with pytest.raises(AlreadyExistsError, match="another app or user"):
        await new(service, state={"secret": 1, "user:secret": 1})
    assert service.sessions.get_session(ID) == before
    assert service.sessions.list_streams(ID) == []
    assert await service.get_user_state(app_name=APP, user_id=USER) == {}


@pytest.mark.parametrize("names", [{}, {"owner": USER}, {"owner": USER, "agent_name": APP}])
async def test_an_id_that_belongs_to_nobody_else_is_free(
    service: ThreadloomSessionService, names: dict[str, Any]
) -> None:
    service.sessions.create_session(id=ID, tags=["mine"], **names)
    session = await new(service, state={"k": 1})
    assert plain(await got(service)) == plain(session)
    info = service.sessions.get_session(ID)
    assert info is not None
    assert (info.owner, info.agent_name, info.tags) == (USER, APP, ("mine",))


def before_the_write(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[int], Any]) -> list[int]:
    """Has something done right before each write; returns the numbers of the writes."""
    real: Callable[..., Awaitable[Any]] = SessionStream.aappend
    writes: list[int] = []

    async def late(*args: Any, **options: Any) -> Any:
        writes.append(len(writes))
        meanwhile(writes[-1])
        return await real(*args, **options)

    monkeypatch.setattr(SessionStream, "aappend", late)
    return writes


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("whose", OTHERS)
async def test_an_id_that_another_takes_meanwhile_is_taken(
    service: ThreadloomSessionService, monkeypatch: pytest.MonkeyPatch, whose: str, exists: bool
) -> None:
    """Between the look at what is there and the write."""
    if exists:
        service.sessions.create_session(id=ID)

    def take(write: int) -> None:
        service.sessions.update_session(ID, create=True, **OTHERS[whose])

    before_the_write(monkeypatch, take)
    with pytest.raises(AlreadyExistsError, match="another app or user"):
        await new(service, state={"secret": 1, "user:secret": 1})
    assert service.sessions.list_streams(ID) == []
    assert await service.get_user_state(app_name=APP, user_id=USER) == {}


async def test_a_session_that_changes_meanwhile_is_looked_at_again(
    service: ThreadloomSessionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.sessions.create_session(id=ID)
    writes = before_the_write(
        monkeypatch, lambda n: service.sessions.tag_session(ID, str(n)) if n < 3 else None
    )
    session = await new(service, state={"k": 1})
    assert len(writes) == 4
    assert plain(await got(service)) == plain(session)


async def test_a_session_that_never_rests_is_given_up(
    service: ThreadloomSessionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.sessions.create_session(id=ID)
    writes = before_the_write(monkeypatch, lambda n: service.sessions.tag_session(ID, str(n)))
    with pytest.raises(SessionConflict):
        await new(service)
    assert len(writes) == 100
