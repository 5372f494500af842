"""Agents with a model that is written down, for the tests and the programs that they start."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Mapping, Sequence
from typing import Annotated, Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
    UsageDetails,
    tool,
)

USAGE: UsageDetails = {"input_token_count": 5, "output_token_count": 2, "total_token_count": 7}


class Model(FunctionInvocationLayer, ChatMiddlewareLayer, BaseChatClient):
    """Says how many messages it was given; at the word "weather" it asks a tool first.

    Attributes:
        seen: the messages of every call, oldest first.
    """

    OTEL_PROVIDER_NAME = "written-down"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[Message]] = []

    def _inner_get_response(
        self,
        *,
        messages: Sequence[Message],
        stream: bool,
        options: Mapping[str, Any],
        **kwargs: Any,
    ) -> Awaitable[ChatResponse] | ResponseStream[ChatResponseUpdate, ChatResponse]:
        self.seen.append(list(messages))
        contents = self._answer(messages)
        if stream:
            return self._build_response_stream(self._updates(contents))

        async def respond() -> ChatResponse:
            return ChatResponse(messages=[Message("assistant", contents)], usage_details=USAGE)

        return respond()

    def _answer(self, messages: Sequence[Message]) -> list[Content]:
        last = messages[-1]
        called = sum(c.type == "function_call" for m in messages for c in m.contents)
        if last.role == "user" and "weather" in last.text:
            cities = last.text.split()[1:]
            return [
                Content.from_function_call(
                    f"call-{called + at}", "weather", arguments={"city": city}
                )
                for at, city in enumerate(cities)
            ]
        results = [str(c.result) for c in last.contents if c.type == "function_result"]
        told = " and ".join(results) or f"{len(messages)} messages until now"
        return [Content.from_text(told)]

    async def _updates(self, contents: Sequence[Content]) -> AsyncIterable[ChatResponseUpdate]:
        for content in contents:
            if content.type == "text":
                for word in (content.text or "").split(" "):
                    part = Content.from_text(f"{word} ")
                    yield ChatResponseUpdate(contents=[part], role="assistant")
            else:
                yield ChatResponseUpdate(contents=[content], role="assistant")
        used = Content.from_usage(USAGE)
        yield ChatResponseUpdate(contents=[used], role="assistant")


@tool(approval_mode="never_require")
def weather(city: Annotated[str, "a city"]) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def forecaster(*providers: Any, model: Model | None = None, **options: Any) -> Agent:
    """An agent called Forecaster, with a tool."""
    options.setdefault("tools", [weather])
    return Agent(
        client=model or Model(),
        name="Forecaster",
        context_providers=list(providers),
        **options,
    )
