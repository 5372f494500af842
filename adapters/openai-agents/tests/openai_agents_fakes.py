"""An agent of the SDK whose model is a function: no network, and the same answers every time."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from agents import Agent, Model, ModelResponse, Usage, function_tool, set_tracing_disabled
from agents.models.fake_id import FAKE_RESPONSES_ID
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

set_tracing_disabled(True)

Answer = Callable[[list[Any]], Sequence[Any]]


def says(text: str, id: str = FAKE_RESPONSES_ID) -> ResponseOutputMessage:
    """What a model says; the id is the one that models behind other APIs give everything."""
    part = ResponseOutputText(text=text, type="output_text", annotations=[])
    return ResponseOutputMessage(
        id=id, content=[part], role="assistant", status="completed", type="message"
    )


def calls(name: str, arguments: str, id: str) -> ResponseFunctionToolCall:
    """A call of a tool."""
    return ResponseFunctionToolCall(
        name=name, arguments=arguments, call_id=id, id=FAKE_RESPONSES_ID, type="function_call"
    )


def text_of(item: Any) -> str:
    """The text of an item, in any of the forms that a message may have."""
    content = item.get("content") if isinstance(item, dict) else None
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or () if isinstance(part, dict))


def weather_answer(items: list[Any]) -> Sequence[Any]:
    """Asks for the weather of the last word of a question, and tells how many there were."""
    last = items[-1]
    if last.get("type") == "function_call_output":
        return [says(f"It is {last['output']}.")]
    asked = [item for item in items if item.get("role") == "user"]
    text = text_of(asked[-1])
    if "weather" in text:
        city = text.split()[-1]
        return [says("I look."), calls("weather", f'{{"city": "{city}"}}', f"call_{len(items)}")]
    return [says(f"You have asked {len(asked)} times.")]


class FakeModel(Model):
    """A model whose answers a function makes of what it is given.

    Attributes:
        seen: what it was given, call by call.
    """

    def __init__(self, answer: Answer = weather_answer) -> None:
        self.answer = answer
        self.seen: list[list[Any]] = []

    def _next(self, given: Any) -> list[Any]:
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        self.seen.append(items)
        return list(self.answer(items))

    async def get_response(
        self, system_instructions: str | None, input: Any, *args: Any, **options: Any
    ) -> ModelResponse:
        usage = Usage(requests=1, input_tokens=3, output_tokens=4, total_tokens=7)
        return ModelResponse(output=self._next(input), usage=usage, response_id=None)

    async def stream_response(
        self, system_instructions: str | None, input: Any, *args: Any, **options: Any
    ) -> AsyncIterator[Any]:
        response = Response(
            id=f"resp_{len(self.seen)}",
            created_at=0,
            model="fake",
            object="response",
            output=self._next(input),
            tool_choice="none",
            tools=[],
            parallel_tool_calls=False,
        )
        yield ResponseCompletedEvent(
            type="response.completed", response=response, sequence_number=0
        )


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def guide(answer: Answer = weather_answer, **options: Any) -> tuple[Agent[Any], FakeModel]:
    """An agent with a tool, and its model."""
    model = FakeModel(answer)
    return Agent(name="guide", model=model, tools=[weather], **options), model


def scripted(*answers: Sequence[Any]) -> Answer:
    """Answers one after the other, whatever is asked."""
    remaining = itertools.chain(answers)
    return lambda items: next(remaining)
