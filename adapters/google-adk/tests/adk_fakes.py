"""A model that needs no network, an agent with a tool, and short ways to say things."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.platform import time as platform_time
from google.adk.runners import Runner
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig
from google.adk.sessions.session import Session
from google.adk.tools import LongRunningFunctionTool, ToolContext
from google.genai import types

APP, USER = "forecast", "ana"

Scenario = Callable[[BaseSessionService], Awaitable[Any]]


class FakeModel(BaseLlm):
    """Asks for the weather where it is asked for it, and otherwise says what it was told."""

    model: str = "fake-1"

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        said = [part for content in llm_request.contents for part in content.parts or []]
        last = said[-1]
        if last.function_response is not None:
            response = last.function_response.response or {}
            part = types.Part(text=f"It is {response.get('result', response)}.")
        elif "weather" in (last.text or ""):
            city = (last.text or "").split()[-1]
            part = types.Part(function_call=types.FunctionCall(name="weather", args={"city": city}))
        elif "approve" in (last.text or ""):
            part = types.Part(function_call=types.FunctionCall(name="approve", args={}))
        else:
            texts = [part.text for part in said if part.text]
            part = types.Part(text=f"I heard {len(texts)}: {' | '.join(texts)}")
        yield LlmResponse(
            content=types.Content(role="model", parts=[part]),
            model_version="fake-1",
            usage_metadata=types.GenerateContentResponseUsageMetadata(
                prompt_token_count=10, candidates_token_count=2, total_token_count=12
            ),
        )


def weather(city: str, tool_context: ToolContext) -> str:
    """The weather in a city."""
    tool_context.state["city"] = city
    tool_context.state["user:asked"] = [*tool_context.state.get("user:asked", []), city]
    tool_context.state["app:asked"] = tool_context.state.get("app:asked", 0) + 1
    tool_context.state["temp:secret"] = "never stored"
    return f"sunny in {city}"


def approve() -> dict[str, str]:
    """Asks a human."""
    return {"status": "pending"}


def agent() -> LlmAgent:
    tools: list[Any] = [weather, LongRunningFunctionTool(approve)]
    return LlmAgent(name="forecaster", model=FakeModel(), instruction="Be brief.", tools=tools)


def runner(service: BaseSessionService) -> Runner:
    return Runner(app_name=APP, agent=agent(), session_service=service)


async def ask(
    run: Runner, session_id: str, text: str | types.Part, user: str = USER
) -> list[Event]:
    """What a turn of an agent brings."""
    part = types.Part(text=text) if isinstance(text, str) else text
    content = types.Content(role="user", parts=[part])
    found = run.run_async(user_id=user, session_id=session_id, new_message=content)
    return [event async for event in found]


def text(said: str, author: str = "user", **fields: Any) -> Event:
    """An event with a text."""
    return event([types.Part(text=said)], author, **fields)


def event(
    parts: list[types.Part],
    author: str = "forecaster",
    *,
    state: dict[str, Any] | None = None,
    role: str | None = None,
    **fields: Any,
) -> Event:
    """An event with parts."""
    role = role or ("user" if author == "user" else "model")
    actions = EventActions(state_delta=state or {})
    content = types.Content(role=role, parts=parts)
    fields = {"invocation_id": "i1", "actions": actions, **fields}
    return Event(author=author, content=content, **fields)


def call(*ids: str, author: str = "forecaster", name: str = "weather", **fields: Any) -> Event:
    """An event with calls."""
    found = [
        types.Part(function_call=types.FunctionCall(id=id, name=name, args={"of": id}))
        for id in ids
    ]
    return event(found, author, **fields)


def result(*ids: str, author: str = "forecaster", name: str = "weather", **fields: Any) -> Event:
    """An event with results of calls."""
    found = [
        types.Part(
            function_response=types.FunctionResponse(
                id=id, name=name, response={"result": f"of {id}"}
            )
        )
        for id in ids
    ]
    return event(found, author, role="user", **fields)


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


async def outcome(scenario: Scenario, service: BaseSessionService) -> Any:
    """What a scenario gives, by a clock that moves a second a look."""
    seconds = itertools.count(1000)
    platform_time.set_time_provider(lambda: float(next(seconds)))
    try:
        return plain(await scenario(service))
    finally:
        platform_time.reset_time_provider()
