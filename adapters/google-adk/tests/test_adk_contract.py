"""One scenario after the other on ADK's own services and on ours: equal results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import BaseSessionService
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from adk_fakes import (
    APP,
    USER,
    Scenario,
    at,
    call,
    event,
    got,
    listed,
    new,
    outcome,
    result,
)
from threadloom_google_adk import ThreadloomSessionService


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


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_it_gives_what_adks_own_services_give(
    scenario: Scenario, service: ThreadloomSessionService, tmp_path: Path
) -> None:
    ours = await outcome(scenario, service)
    in_memory = await outcome(scenario, InMemorySessionService())
    in_sqlite = await outcome(scenario, SqliteSessionService(str(tmp_path / "adk.db")))
    assert ours == in_sqlite
    assert ours == in_memory
