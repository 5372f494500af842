"""What ADK's own services do differently from each other: ours does the better of the two."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.sessions.base_session_service import BaseSessionService
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService

from adk_fakes import (
    APP,
    USER,
    at,
    got,
    listed,
    new,
    outcome,
    plain,
)
from threadloom import SessionConflict, SessionManager, SessionStream
from threadloom_google_adk import ThreadloomSessionService


async def test_blanks_around_an_id_do_not_count(service: ThreadloomSessionService) -> None:
    """ADK's own services do so in newer versions; older ones keep them."""
    session = await new(service, "  s \n")
    assert session.id == "s"
    await service.append_event(session, at(2000.0))
    for id in ("s", " s", "s\t"):
        assert plain(await got(service, id)) == plain(session)
    with pytest.raises(AlreadyExistsError):
        await new(service, "s ")
    await service.delete_session(app_name=APP, user_id=USER, session_id=" s ")
    assert await got(service) is None


async def test_an_equal_event_is_stored_once(service: ThreadloomSessionService) -> None:
    async def deliver(service: BaseSessionService) -> Any:
        session = await new(service)
        first = at(2000.0, state={"k": 1, "user:k": 1})
        await service.append_event(session, first)
        await service.append_event(session, at(2001.0, state={"k": 2, "user:k": 2}))
        assert await service.append_event(session, first) is first
        again = first.model_copy(deep=True)
        assert await service.append_event(session, again) is again
        fresh = await got(service, num_recent_events=0)
        assert fresh is not None
        await service.append_event(fresh, first)
        return session, await got(service)

    assert await outcome(deliver, service) == await outcome(deliver, InMemorySessionService())


async def test_an_equal_event_of_a_stale_writer_is_no_error(
    service: ThreadloomSessionService,
) -> None:
    session = await new(service)
    lost = session.model_copy(deep=True)  # the answer to its append never came
    await service.append_event(session, at(2000.0, state={"temp:k": 1}))
    await service.append_event(lost, at(2000.0, state={"temp:k": 1}))
    found = await got(service)
    assert found is not None
    assert len(found.events) == 1


async def test_another_event_with_the_same_id_is_refused(service: ThreadloomSessionService) -> None:
    session = await new(service)
    await service.append_event(session, at(2000.0, "one"))
    before = plain(session)
    with pytest.raises(SessionConflict, match=r"another event with the id 'e2000\.0'"):
        await service.append_event(session, at(2000.0, "two", state={"k": 1, "app:k": 1}))
    assert plain(session) == before
    assert plain(await got(service)) == before


async def test_a_stale_session_is_refused_and_nothing_of_it_is_stored(
    service: ThreadloomSessionService, tmp_path: Path
) -> None:
    async def race(service: BaseSessionService) -> Any:
        session = await new(service)
        stale = await got(service)
        assert stale is not None
        await service.append_event(session, at(2000.0, state={"k": 1}))
        with pytest.raises(StaleSessionError):
            await service.append_event(stale, at(2001.0, state={"k": 2, "app:k": 2, "user:k": 2}))
        fresh = await got(service)
        assert fresh is not None
        await service.append_event(fresh, at(2002.0, state={"k": 3}))
        return fresh, await got(service), await listed(service)

    sqlite = SqliteSessionService(str(tmp_path / "adk.db"))
    assert await outcome(race, service) == await outcome(race, sqlite)


async def test_a_stale_session_is_refused_whatever_the_times_say(
    service: ThreadloomSessionService,
) -> None:
    session = await new(service)
    stale = await got(service)
    assert stale is not None
    await service.append_event(session, at(1.0))  # a clock that is behind
    given = at(2.0, state={"k": 1, "temp:k": 1})
    with pytest.raises(StaleSessionError):
        await service.append_event(stale, given)
    assert stale.events == []
    assert stale.state == {}
    assert given.actions.state_delta == {"k": 1, "temp:k": 1}


async def test_a_session_that_came_as_json_goes_on(service: ThreadloomSessionService) -> None:
    session = await new(service)
    await service.append_event(session, at(2000.0))
    copy = Session.model_validate_json(session.model_dump_json())
    older = copy.model_copy(deep=True, update={"last_update_time": 1.0})
    await service.append_event(copy, at(2001.0))  # its times fit
    other = Session.model_validate_json(session.model_dump_json())
    with pytest.raises(StaleSessionError):
        await service.append_event(other, at(2002.0))
    with pytest.raises(StaleSessionError):
        await service.append_event(older, at(2002.0))
    older.events.append(at(2001.0))
    await service.append_event(older, at(2003.0))  # its last event fits
    found = await got(service)
    assert found is not None
    assert [event.timestamp for event in found.events] == [2000.0, 2001.0, 2003.0]


async def test_what_cannot_be_is_not_there(service: ThreadloomSessionService) -> None:
    for app, user, id in (("", "u", "s"), ("a", "", "s"), ("a", "u", ""), ("a", "u", "x" * 2000)):
        assert await got(service, id, app=app, user=user) is None
        await service.delete_session(app_name=app, user_id=user, session_id=id)
    assert await service.get_user_state(app_name=APP, user_id="") == {}
    assert (await service.list_sessions(app_name="", user_id="")).sessions == []


async def test_state_that_is_not_json_is_stored_as_adk_does(
    service: ThreadloomSessionService, tmp_path: Path
) -> None:
    def strange() -> None: ...

    async def store(service: BaseSessionService) -> Any:
        value = {"when": datetime(2026, 1, 1, tzinfo=UTC), "tuple": (1, 2), "set": {1}}
        session = await new(service, state=value)
        await service.append_event(session, at(2000.0, state={"user:f": strange}))
        return await got(service)

    sqlite = SqliteSessionService(str(tmp_path / "adk.db"))
    assert await outcome(store, service) == await outcome(store, sqlite)


async def test_sessions_that_may_not_begin_by_themselves_begin_here(url: str) -> None:
    with SessionManager(url, implicit_sessions=False) as sessions:
        service = ThreadloomSessionService(sessions)
        session = await new(service, state={"k": 1})
        await service.append_event(session, at(2000.0))
        assert plain(await got(service)) == plain(session)
        assert [info.framework for info in sessions.list_sessions()] == ["google-adk"]
        with pytest.raises(AlreadyExistsError):
            await new(service)


async def test_only_who_was_too_late_is_told_to_read_again(
    service: ThreadloomSessionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that is over is no stale session, and no session that is there already."""

    async def refuse(*_: object, **__: object) -> None:
        raise SessionConflict("the turn is over")

    session = await new(service)
    monkeypatch.setattr(SessionStream, "aappend", refuse)
    with pytest.raises(SessionConflict, match="the turn is over"):
        await service.append_event(session, at(2000.0))
    with pytest.raises(SessionConflict, match="the turn is over"):
        await new(service, "other")
