"""Models that are written down, one for each framework, so that `together.py` needs no network.

Each asks its tool `weather` for what it is asked about, and then says what the tool said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from agent_framework import (
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    Content,
    FunctionInvocationLayer,
    Message,
)
from agents import Model, ModelResponse, Usage
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)
from pydantic_ai.messages import ModelResponse as PydanticResponse
from pydantic_ai.messages import TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel


class OpenAIModel(Model):
    """For the OpenAI Agents SDK."""

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        items = args[1] if len(args) > 1 else options["input"]
        last = items[-1] if isinstance(items, list) else {}
        if last.get("type") == "function_call_output":
            text = ResponseOutputText(text=last["output"], type="output_text", annotations=[])
            answer: Any = ResponseOutputMessage(
                id=f"msg_{len(items)}",
                content=[text],
                role="assistant",
                status="completed",
                type="message",
            )
        else:
            answer = ResponseFunctionToolCall(
                name="weather",
                arguments='{"city": "Oslo"}',
                call_id="call_1",
                type="function_call",
            )
        return ModelResponse(output=[answer], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("this model does not stream")


class ADKModel(BaseLlm):
    """For Google ADK."""

    model: str = "written-down"

    async def generate_content_async(
        self, llm_request: Any, stream: bool = False
    ) -> AsyncIterator[LlmResponse]:
        last = llm_request.contents[-1].parts[-1]
        if last.function_response is not None:
            part = types.Part(text=last.function_response.response["result"])
        else:
            call = types.FunctionCall(name="weather", args={"city": "Bergen"})
            part = types.Part(function_call=call)
        used = types.GenerateContentResponseUsageMetadata(total_token_count=12)
        yield LlmResponse(content=types.Content(role="model", parts=[part]), usage_metadata=used)


class AgentFrameworkModel(FunctionInvocationLayer, ChatMiddlewareLayer, BaseChatClient):
    """For the Microsoft Agent Framework."""

    OTEL_PROVIDER_NAME = "written-down"

    def _inner_get_response(self, *, messages: Sequence[Message], **options: Any) -> Any:
        results = [c.result for c in messages[-1].contents if c.type == "function_result"]
        content = (
            Content.from_text(str(results[0]))
            if results
            else Content.from_function_call("call-1", "weather", arguments={"city": "Tromsø"})
        )

        async def respond() -> ChatResponse:
            return ChatResponse(messages=[Message("assistant", [content])])

        return respond()


def _pydantic_answer(messages: list[Any], info: Any) -> PydanticResponse:
    last = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        return PydanticResponse(parts=[TextPart(str(last.content))])
    return PydanticResponse(parts=[ToolCallPart("weather", {"city": "Bodø"}, "call-1")])


pydantic_model = FunctionModel(_pydantic_answer)
"""For Pydantic AI."""
