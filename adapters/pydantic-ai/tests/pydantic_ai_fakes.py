"""An agent without a network, and conversations of plain texts."""

from __future__ import annotations

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from threadloom_pydantic_ai import ThreadloomConversationStore


def _answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Asks the tool for what the user named, then says how much it was told so far."""
    usage = RequestUsage(input_tokens=10, output_tokens=5)
    last = messages[-1]
    results = [part for part in last.parts if isinstance(part, ToolReturnPart)]
    prompts = [
        str(part.content)
        for message in messages
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]
    if results:
        text = f"{results[0].content} after {len(prompts)} questions: {', '.join(prompts)}"
        return ModelResponse([TextPart(text)], usage=usage)
    return ModelResponse(
        [ToolCallPart("weather", {"city": prompts[-1]}, f"call-{len(prompts)}")], usage=usage
    )


def make_agent() -> Agent[None, str]:
    agent = Agent(FunctionModel(_answer), system_prompt="You know the weather.")

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"sun in {city}"

    return agent


async def take_turn(
    store: ThreadloomConversationStore, id: str, prompt: str, *, scope: str | None = None
) -> str:
    """One turn of the agent in a conversation; what it said."""
    conversation = await store.load(id, scope=scope) or Conversation(conversation_id=id)
    result = await make_agent().run(prompt, conversation=conversation)
    await store.save(result, scope=scope)
    return result.output


def user(text: str) -> ModelRequest:
    return ModelRequest([UserPromptPart(text)])


def says(text: str) -> ModelResponse:
    return ModelResponse([TextPart(text)])


def nothing() -> ModelRequest:
    """A request of which nothing is shown."""
    return ModelRequest([], instructions="go on")
