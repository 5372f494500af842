"""One scenario after the other on ADK's own services and on ours: equal results."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.platform import time as platform_time
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from adk_fakes import APP, USER, call, event, result, text
from threadloom import SessionConflict, SessionManager
from threadloom_google_adk import ThreadloomSessionService

Scenario = Callable[[BaseSessionService], Awaitable[Any]]


def at(second: float, said: str = "x", author: str = "user", **fields: Any) -> Event:
    """An event that is the same on every service."""
    return text(said, author, timestamp=second, **{"id": f"e{second}", **fields})


async def new(
    service: BaseSessionService,
    id: str | None = "s",
    state: dict[str, Any] | None = None,
    app: str = APP,
    user: str = USER,
) -> Session:
    return await service.create_session(app_name=app, user_id=user, state=state, session_id=id)


async def got(
    service: BaseSessionService, id: str = "s", app: str = APP, user: str = USER, **config: Any
) -> Session | None:
    return await service.get_session(
        app_name=app,
        user_id=user,
        session_id=id,
        config=GetSessionConfig(**config) if config else None,
    )


async def listed(service: BaseSessionService, user: str | None = USER) -> list[Session]:
    response = await service.list_sessions(app_name=APP, user_id=user)
    return response.sessions


def plain(value: Any) -> Any:
    """Sessions and events without the marks of the service that made them."""
    if isinstance(value, (Session, Event)):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


async def create_and_get(service: BaseSessionService) -> Any:
    made = await new(service, state={"k": 1, "deep": {"a": [1, None, {"b": 0.1}]}})
    return made, await got(service), await got(service, "other"), await got(service, app="other")


async def an_id_of_its_own(service: BaseSessionService) -> Any:
    made = [await new(service, id) for id in (None, "", "   ")]
    assert len({session.id for session in made}) == 3
    assert all(len(session.id) == 36 for session in made)
    return [(await got(service, session.id)) == await got(service, session.id) for session in made]


async def an_id_that_is_taken(service: BaseSessionService) -> Any:
    await new(service, state={"k": 1, "app:k": 1})
    await new(service, user="ben")
    refused = []
    for id in ("s", " s "):
        with pytest.raises(AlreadyExistsError) as error:
            await new(service, id, state={"k": 2, "app:k": 2, "user:k": 2})
        refused.append(str(error.value))
    return refused, await got(service), await listed(service, None)


async def states_by_their_prefixes(service: BaseSessionService) -> Any:
    state = {"k": 1, "app:k": 2, "user:k": 3, "temp:k": 4, "x:k": 5, "app:": 6, "user:a:b": 7}
    made = await new(service, state=state)
    same = await new(service, "t")
    others = await new(service, user="ben"), await new(service, app="other")
    users = [
        await service.get_user_state(app_name=app, user_id=user)
        for app, user in ((APP, USER), (APP, "ben"), ("other", USER), (APP, "nobody"))
    ]
    return made, await got(service), same, others, users


async def changes_of_state(service: BaseSessionService) -> Any:
    session = await new(service, state={"k": 1, "kept": "yes", "user:k": 1})
    other = await new(service, "t")
    delta = {"k": None, "user:k": {"new": None}, "app:k": [None], "temp:k": "gone", "list": []}
    given = at(1500.0, state=delta)
    returned = await service.append_event(session, given)
    assert returned is given
    late = await service.append_event(session, at(1501.0, state={"k": {"x": 1}}))
    return session, returned, late, await got(service), await got(service, "t"), other


async def nested_values_are_replaced(service: BaseSessionService) -> Any:
    session = await new(service, state={"d": {"a": 1, "b": 2}, "app:d": {"a": 1}})
    await service.append_event(session, at(2000.0, state={"d": {"b": 3}, "app:d": {}}))
    return session, await got(service)


async def numbers_stay_what_they_are(service: BaseSessionService) -> Any:
    numbers = {"sum": 0.1 + 0.2, "long": 2**70, "one": 1.0, "true": True, "text": "ö \U0001f600"}
    session = await new(service, state=numbers)
    await service.append_event(
        session, at(2000.0, state={f"app:{k}": v for k, v in numbers.items()})
    )
    found = await got(service)
    assert found is not None
    return repr(sorted(found.state.items())), found


async def temporary_state(service: BaseSessionService) -> Any:
    session = await new(service, state={"temp:a": 1})
    given = at(2000.0, state={"temp:b": 2, "k": 3})
    await service.append_event(session, given)
    return session.state, given.actions.state_delta, await got(service)


async def events_in_their_order(service: BaseSessionService) -> Any:
    session = await new(service)
    for second in (1100.0, 1100.0, 1101.5):
        await service.append_event(session, at(second, id=f"{second}/{len(session.events)}"))
    await service.append_event(session, call("c1", id="e5", timestamp=1102.0))
    await service.append_event(session, result("c1", id="e6", timestamp=1103.0))
    return session, await got(service)


async def newest_events(service: BaseSessionService) -> Any:
    session = await new(service)
    for second in range(2001, 2006):
        await service.append_event(session, at(float(second)))
    return [await got(service, num_recent_events=count) for count in (0, 1, 3, 5, 9)]


async def events_since(service: BaseSessionService) -> Any:
    session = await new(service)
    for second in range(2001, 2006):
        await service.append_event(session, at(float(second)))
    since = [await got(service, after_timestamp=s) for s in (0.0, 1.0, 2002.0, 2002.5, 2005.0, 9e9)]
    both = [
        await got(service, after_timestamp=2003.0, num_recent_events=count)
        for count in (0, 1, 2, 5)
    ]
    return since, both


async def partial_events(service: BaseSessionService) -> Any:
    session = await new(service)
    given = at(2000.0, partial=True, state={"k": 1, "temp:k": 1})
    assert await service.append_event(session, given) is given
    await service.append_event(session, at(2001.0, partial=False))
    return session, given, await got(service)


async def times_of_updates(service: BaseSessionService) -> Any:
    session = await new(service)
    times = [session.last_update_time]
    for second in (1500.25, 1600.123456):
        await service.append_event(session, at(second))
        found = await got(service)
        assert found is not None
        times += [session.last_update_time, found.last_update_time]
    return times, [s.last_update_time for s in await listed(service)]


async def lists(service: BaseSessionService) -> Any:
    made = [await new(service, id, state={"n": id, "user:last": id}) for id in ("c", "a", "b")]
    await new(service, "z", state={"user:k": "ben's"}, user="ben")
    await new(service, "z", state={"app:k": 1}, app="other")
    await service.append_event(made[0], at(9000.0, state={"app:k": "all"}))
    await service.append_event(made[1], at(8000.0))
    await new(service, "late")
    return await listed(service), await listed(service, None), await listed(service, "nobody")


async def equal_times_in_a_list(service: BaseSessionService) -> Any:
    for user, id in (("ben", "b"), ("ana", "b"), ("ana", "a"), ("ben", "a")):
        await service.append_event(await new(service, id, user=user), at(3000.0))
    return [(s.user_id, s.id) for s in await listed(service, None)]


async def deletions(service: BaseSessionService) -> Any:
    session = await new(service, state={"k": 1, "user:k": 2, "app:k": 3})
    await service.append_event(session, at(2000.0))
    await new(service, user="ben")
    await service.delete_session(app_name=APP, user_id=USER, session_id="s")
    await service.delete_session(app_name=APP, user_id=USER, session_id="s")
    await service.delete_session(app_name=APP, user_id=USER, session_id="never")
    with pytest.raises(SessionNotFoundError) as error:
        await service.append_event(session, at(2001.0))
    again = await new(service)
    return str(error.value), await listed(service, None), again


async def an_event_for_no_session(service: BaseSessionService) -> Any:
    with pytest.raises(SessionNotFoundError) as error:
        await service.append_event(Session(id="s", app_name=APP, user_id=USER), at(2000.0))
    return str(error.value), await listed(service, None)


async def names_with_odd_characters(service: BaseSessionService) -> Any:
    names = [
        ("a/b", "c", "d"),
        ("a", "b/c", "d"),
        ("a", "b", "c/d"),
        ("a%2Fb", "ü", "%"),
        ("~", ".", ".."),
    ]
    for app, user, id in names:
        session = await new(service, id, app=app, user=user, state={"user:me": user})
        await service.append_event(session, at(2000.0, said=id))
    return [await got(service, id, app=app, user=user) for app, user, id in names]


async def actions_without_content(service: BaseSessionService) -> Any:
    session = await new(service)
    actions = EventActions(
        state_delta={"k": 1},
        artifact_delta={"file": 3},
        transfer_to_agent="other",
        escalate=True,
        skip_summarization=False,
    )
    await service.append_event(
        session,
        Event(id="e1", author="user", invocation_id="i", actions=actions, timestamp=2000.0),
    )
    return session, await got(service)


async def bytes_and_blobs(service: BaseSessionService) -> Any:
    session = await new(service)
    parts = [
        types.Part(inline_data=types.Blob(data=bytes(range(256)), mime_type="image/png")),
        types.Part(text="thinking", thought=True, thought_signature=b"\xff\xfe"),
    ]
    await service.append_event(session, event(parts, id="e1", timestamp=2000.0))
    return await got(service)


async def whoever_reads_gets_a_copy(service: BaseSessionService) -> Any:
    session = await new(service, state={"k": [1]})
    session.state["k"].append(2)
    session.state["more"] = 1
    found = await got(service)
    assert found is not None
    found.state["k"].append(3)
    found.events.append(at(1.0))
    return await got(service)


SCENARIOS: list[Scenario] = [
    create_and_get,
    an_id_of_its_own,
    an_id_that_is_taken,
    states_by_their_prefixes,
    changes_of_state,
    nested_values_are_replaced,
    numbers_stay_what_they_are,
    temporary_state,
    events_in_their_order,
    newest_events,
    events_since,
    partial_events,
    times_of_updates,
    lists,
    equal_times_in_a_list,
    deletions,
    an_event_for_no_session,
    names_with_odd_characters,
    actions_without_content,
    bytes_and_blobs,
    whoever_reads_gets_a_copy,
]


async def outcome(scenario: Scenario, service: BaseSessionService) -> Any:
    """What a scenario gives, by a clock that moves a second a look."""
    seconds = itertools.count(1000)
    platform_time.set_time_provider(lambda: float(next(seconds)))
    try:
        return plain(await scenario(service))
    finally:
        platform_time.reset_time_provider()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_it_gives_what_adks_own_services_give(
    scenario: Scenario, service: ThreadloomSessionService, tmp_path: Path
) -> None:
    ours = await outcome(scenario, service)
    in_memory = await outcome(scenario, InMemorySessionService())
    in_sqlite = await outcome(scenario, SqliteSessionService(str(tmp_path / "adk.db")))
    assert ours == in_sqlite
    assert ours == in_memory


# What ADK's services do differently from each other: ours does the better of the two.


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
