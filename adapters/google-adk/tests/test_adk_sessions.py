"""An ADK session is a session like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.session import Session
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from adk_fakes import APP, USER, ask, call, result, runner, text
from threadloom import CheckpointNotFound, InvalidKey, SessionManager, StoreClosed
from threadloom_google_adk import ThreadloomSessionService, shows
from threadloom_google_adk.service import EVENTS

ID = f"{APP}/{USER}/s"


async def talk(service: ThreadloomSessionService, id: str = "s") -> Session:
    """A session with two questions, of which one needs a tool."""
    await service.create_session(app_name=APP, user_id=USER, session_id=id, state={"mood": "fine"})
    run = runner(service)
    await ask(run, id, "hello")
    await ask(run, id, "the weather in Oslo")
    return await got(service, id)


async def got(service: ThreadloomSessionService, id: str = "s") -> Session:
    session = await service.get_session(app_name=APP, user_id=USER, session_id=id)
    assert session is not None
    return session


def events_of(service: ThreadloomSessionService) -> list[Any]:
    """What is stored of the session's events."""
    return list(service.sessions.stream(ID, EVENTS).read().items)


async def ids(service: ThreadloomSessionService) -> list[str]:
    found = await service.list_sessions(app_name=APP, user_id=USER)
    return [session.id for session in found.sessions]


def said(session: Session) -> list[str]:
    """The texts of a session, as ADK sees it."""
    parts = [
        part for event in session.events if event.content for part in event.content.parts or []
    ]
    return [part.text for part in parts if part.text]


async def test_it_is_listed_with_its_names(service: ThreadloomSessionService) -> None:
    await talk(service)
    await service.create_session(app_name=APP, user_id="ben", session_id="s")
    await service.create_session(app_name="other", user_id=USER, session_id="s")
    sessions = service.sessions
    sessions.create_session(id="plain", agent_name=APP, owner=USER)
    (info,) = sessions.list_sessions(framework="google-adk", agent_name=APP, owner=USER)
    assert info.id == ID
    assert info.message_count == 6
    assert info.total_tokens == 3 * 12
    assert sessions.count_sessions(framework="google-adk") == 3
    assert await ids(service) == ["s"]


async def test_its_messages_are_what_langchain_knows(service: ThreadloomSessionService) -> None:
    session = await talk(service)
    messages = service.sessions.messages(ID)
    kinds = [HumanMessage, AIMessage, HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert [type(message) for message in messages] == kinds
    asked, answer = messages[3], messages[4]
    assert isinstance(asked, AIMessage)
    assert isinstance(answer, ToolMessage)
    (tool_call,) = asked.tool_calls
    assert (tool_call["name"], tool_call["args"]) == ("weather", {"city": "Oslo"})
    assert (answer.tool_call_id, answer.name) == (tool_call["id"], "weather")
    assert (answer.content, messages[5].content) == ("sunny in Oslo", "It is sunny in Oslo.")
    assert [message.id for message in messages] == [event.id for event in session.events]
    assert asked.usage_metadata == {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
    assert asked.name == "forecaster"


async def test_search_finds_it(service: ThreadloomSessionService) -> None:
    await talk(service)
    await service.create_session(app_name=APP, user_id=USER, session_id="empty")
    (match,) = service.sessions.search_sessions("sunny")
    assert match.session.id == ID
    assert "sunny" in match.snippet


async def test_a_fork_goes_on_by_itself(service: ThreadloomSessionService) -> None:
    session = await talk(service)
    fork = service.sessions.fork_session(ID, name="what if")
    assert fork.framework == "google-adk"
    copy = await got(service, fork.id)
    assert copy.id == fork.id
    assert copy.events == session.events
    assert copy.state == session.state
    assert sorted(await ids(service)) == sorted(["s", fork.id])
    await ask(runner(service), fork.id, "and tomorrow")
    assert said(await got(service, fork.id))[-2:] == [
        "and tomorrow",
        "I heard 5: hello | I heard 1: hello | the weather in Oslo | "
        "It is sunny in Oslo. | and tomorrow",
    ]
    assert (await got(service)).events == session.events
    assert len(service.sessions.messages(fork.id)) == 8
    await service.delete_session(app_name=APP, user_id=USER, session_id=fork.id)
    assert await ids(service) == ["s"]


async def test_a_fork_belongs_to_its_application_and_user(
    service: ThreadloomSessionService,
) -> None:
    await talk(service)
    fork = service.sessions.fork_session(ID)
    for app, user, id in (("other", USER, fork.id), (APP, "ben", fork.id), (APP, USER, ID)):
        assert await service.get_session(app_name=app, user_id=user, session_id=id) is None
        await service.delete_session(app_name=app, user_id=user, session_id=id)
    assert sorted(await ids(service)) == sorted(["s", fork.id])


async def test_a_fork_that_is_cut(service: ThreadloomSessionService) -> None:
    session = await talk(service)
    fork = service.sessions.fork_session(ID, messages=2)
    copy = await got(service, fork.id)
    assert copy.events == session.events[:2]
    await ask(runner(service), fork.id, "and now")
    assert said(await got(service, fork.id))[-1] == "I heard 3: hello | I heard 1: hello | and now"


@pytest.mark.parametrize("count", range(7))
async def test_a_rewind_takes_events_back(service: ThreadloomSessionService, count: int) -> None:
    session = await talk(service)
    service.sessions.rewind_session(ID, messages=count)
    back = await got(service)
    assert back.events == session.events[:count]
    assert back.state == session.state  # nothing knows what it was
    await ask(runner(service), "s", "go on")
    after = await got(service)
    assert after.events[:count] == session.events[:count]
    assert said(after)[-2] == "go on"
    assert len(service.sessions.messages(ID)) == count + 2
    assert service.sessions.check().problems == ()


async def test_what_is_held_from_before_a_rewind_is_stale(
    service: ThreadloomSessionService,
) -> None:
    session = await talk(service)
    service.sessions.rewind_session(ID, messages=2)
    with pytest.raises(StaleSessionError):
        await service.append_event(session, text("late"))


async def test_events_that_belong_together_are_not_parted(
    service: ThreadloomSessionService,
) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    for one in (text("go"), call("a", "b"), result("a", "b"), text("done", "x")):
        await service.append_event(session, one)
    assert len(service.sessions.messages(ID)) == 5
    with pytest.raises(CheckpointNotFound):
        service.sessions.rewind_session(ID, messages=3)
    service.sessions.rewind_session(ID, messages=4)
    assert len((await got(service)).events) == 3


async def test_a_rewind_of_adks_own(service: ThreadloomSessionService) -> None:
    await talk(service)
    run = runner(service)
    events = (await got(service)).events
    await run.rewind_async(
        user_id=USER, session_id="s", rewind_before_invocation_id=events[2].invocation_id
    )
    assert [m.text for m in service.sessions.messages(ID)] == ["hello", "I heard 1: hello"]
    await ask(run, "s", "and now")
    after = await got(service)
    assert len(after.events) == len(events) + 3  # ADK keeps what it takes back
    shown = [m.text for m in service.sessions.messages(ID)]
    assert shown[-2:] == ["and now", "I heard 3: hello | I heard 1: hello | and now"]
    assert len(shown) == 4
    assert service.sessions.search_sessions("sunny") == []
    assert service.sessions.check().problems == ()

    service.sessions.rewind_session(ID, messages=2)
    assert (await got(service)).events == events[:2]


async def test_a_rewind_that_is_undone_and_done_again(service: ThreadloomSessionService) -> None:
    """A rewind is an event like others, and another one may take it back."""
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")

    async def after(*given: Event) -> list[str]:
        for one in given:
            await service.append_event(session, one)
        shown = [message.text for message in service.sessions.messages(ID)]
        assert service.sessions.check().problems == ()
        # Who shows all events at once shows the same.
        assert shown == [m.text for group in shows(events_of(service)) for m in group.messages]
        return shown

    def back(to: str, own: str) -> Event:
        return Event(
            author="user",
            invocation_id=own,
            actions=EventActions(rewind_before_invocation_id=to),
        )

    said = [text(f"{part}{n}", invocation_id=f"i{n}") for n in (1, 2) for part in "qa"]
    assert await after(*said) == ["q1", "a1", "q2", "a2"]
    assert await after(back("i2", "r1")) == ["q1", "a1"]
    assert await after(back("r1", "r2")) == ["q1", "a1", "q2", "a2"]
    assert await after(back("r2", "r3")) == ["q1", "a1"]
    assert await after(text("q3", invocation_id="i3")) == ["q1", "a1", "q3"]
    assert await after(back("i3", "r4")) == ["q1", "a1"]


async def test_it_is_deleted_whole(service: ThreadloomSessionService) -> None:
    await talk(service)
    assert service.sessions.delete_session(ID)
    assert await ids(service) == []
    assert await service.get_session(app_name=APP, user_id=USER, session_id="s") is None
    assert service.sessions.search_sessions("sunny") == []
    again = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    assert (again.events, again.state) == ([], {"user:asked": ["Oslo"], "app:asked": 1})


@pytest.mark.parametrize("target", ["memory", "sqlite", "file"])
async def test_it_moves_to_another_store(
    service: ThreadloomSessionService, tmp_path: Path, target: str
) -> None:
    session = await talk(service)
    fork = service.sessions.fork_session(ID, messages=2)
    service.sessions.export_sessions(tmp_path / "all.jsonl")
    url = {
        "memory": "memory://",
        "sqlite": f"sqlite:///{tmp_path}/t.db",
        "file": f"file:///{tmp_path}/t",
    }
    async with ThreadloomSessionService(url[target]) as other:
        assert len(other.sessions.import_sessions(tmp_path / "all.jsonl").moved) == 2
        assert (await got(other)).events == session.events
        assert sorted(await ids(other)) == sorted(["s", fork.id])
        moved = await got(other)
        assert moved.state == {k: v for k, v in session.state.items() if ":" not in k}
        assert moved.last_update_time == session.last_update_time
        await ask(runner(other), "s", "more")
        assert len((await got(other)).events) == len(session.events) + 2
        assert other.sessions.check().problems == ()


async def test_its_state_is_where_others_find_it(service: ThreadloomSessionService) -> None:
    await talk(service)
    sessions = service.sessions
    whole = sessions.load_session(ID)
    assert whole is not None
    assert whole.state == {"mood": "fine", "city": "Oslo"}
    assert sessions.shared_state("google-adk", "app", APP).read() == {"asked": 1}
    user = sessions.shared_state("google-adk", "user", APP, USER)
    assert user.read() == {"asked": ["Oslo"]}
    user.update({"name": "Ana"})
    assert (await got(service)).state["user:name"] == "Ana"
    item = sessions.store.get(("google-adk", "user", APP, USER), "asked")
    assert item is not None
    assert item.value == {"value": ["Oslo"]}


async def test_tenants_see_nothing_of_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with (
        ThreadloomSessionService(url, tenant="one") as one,
        ThreadloomSessionService(url, tenant="two") as two,
    ):
        await talk(one)
        assert await ids(two) == []
        assert await two.get_user_state(app_name=APP, user_id=USER) == {}


async def test_a_manager_stays_its_owners_to_close(tmp_path: Path) -> None:
    with SessionManager(f"sqlite:///{tmp_path}/s.db") as sessions:
        async with ThreadloomSessionService(sessions) as service:
            await talk(service)
        assert sessions.count_sessions() == 1
        with pytest.raises(InvalidKey):
            ThreadloomSessionService(sessions, tenant="x")
    owned = ThreadloomSessionService(f"sqlite:///{tmp_path}/s.db")
    await owned.aclose()
    with pytest.raises(StoreClosed):
        await owned.list_sessions(app_name=APP)


async def test_a_change_of_names_moves_it(service: ThreadloomSessionService) -> None:
    await talk(service)
    service.sessions.update_session(ID, owner="ben")
    assert await ids(service) == []
    assert await service.get_session(app_name=APP, user_id=USER, session_id="s") is None
    (moved,) = (await service.list_sessions(app_name=APP, user_id="ben")).sessions
    found = await service.get_session(app_name=APP, user_id="ben", session_id=moved.id)
    assert found is not None
    await service.append_event(found, text("hi"))


async def test_what_others_say_is_shown_but_no_event(service: ThreadloomSessionService) -> None:
    session = await talk(service)
    service.sessions.memory(ID).add_messages([HumanMessage("from a chain")])
    assert service.sessions.messages(ID)[-1].text == "from a chain"
    assert (await got(service)).events == session.events


async def test_media_in_a_conversation(service: ThreadloomSessionService) -> None:
    await service.create_session(app_name=APP, user_id=USER, session_id="s")
    blob = types.Blob(data=b"\x89PNG\xff", mime_type="image/png")
    await ask(runner(service), "s", types.Part(inline_data=blob))
    event = (await got(service)).events[0]
    assert event.content is not None
    assert event.content.parts is not None
    assert event.content.parts[0].inline_data == blob
    (block,) = service.sessions.messages(ID)[0].content_blocks
    assert block["type"] == "image"


WITHOUT_ADK = """
import sys
from threadloom import SessionManager
with SessionManager(sys.argv[1]) as sessions:
    (info,) = sessions.list_sessions(framework="google-adk", agent_name="forecast", owner="ana")
    assert [m.type for m in sessions.messages(info)] == ["human", "ai", "human", "ai", "tool", "ai"]
    assert sessions.search_sessions("sunny")[0].session == info
    fork = sessions.fork_session(info, messages=2)
    sessions.rewind_session(info, messages=4)
    sessions.export_sessions(sys.argv[2])
    sessions.create_session(id="gone")
    sessions.delete_session("gone")
    assert sessions.check().ok
    print(fork.id)
assert not any(name.startswith("google") for name in sys.modules), "ADK was imported"
"""


async def test_a_process_without_adk_works_on_it(shared_url: str, tmp_path: Path) -> None:
    async with ThreadloomSessionService(shared_url) as service:
        session = await talk(service)
    program = [sys.executable, "-c", WITHOUT_ADK, shared_url, str(tmp_path / "all.jsonl")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    async with ThreadloomSessionService(shared_url) as service:
        assert (await got(service)).events == session.events[:4]
        assert (await got(service, done.stdout.strip())).events == session.events[:2]
    async with ThreadloomSessionService("memory://") as service:
        service.sessions.import_sessions(tmp_path / "all.jsonl")
        assert (await got(service)).events == session.events[:4]


async def test_a_cleared_history_leaves_a_session_that_can_be_used(
    service: ThreadloomSessionService,
) -> None:
    await talk(service)
    await talk(service, "other")
    service.sessions.memory("forecast/ana/s").clear()
    assert (await got(service)).events == []
    assert sorted(await ids(service)) == ["other", "s"]
    await ask(runner(service), "s", "hello")
    assert len((await got(service)).events) == 2


async def test_a_session_that_came_as_json_is_stale_after_a_rewind(
    service: ThreadloomSessionService,
) -> None:
    await talk(service)
    copy = Session.model_validate_json((await got(service)).model_dump_json())
    service.sessions.rewind_session("forecast/ana/s", messages=2)
    with pytest.raises(StaleSessionError):
        await service.append_event(copy, text("late"))
    assert len((await got(service)).events) == 2


async def test_an_id_of_another_framework_is_taken(service: ThreadloomSessionService) -> None:
    service.sessions.stream("forecast/ana/s", framework="other").append(["x"])
    with pytest.raises(AlreadyExistsError, match="other"):
        await service.create_session(app_name=APP, user_id=USER, session_id="s")
    assert await ids(service) == []
