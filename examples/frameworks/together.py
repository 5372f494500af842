"""Seven frameworks, one store: their sessions are listed, searched, continued and deleted together.

LangGraph, LangChain, the OpenAI Agents SDK, Google ADK, the Claude Agent SDK, Pydantic AI and the
Microsoft Agent Framework keep their sessions in one SQLite file. Needs the adapters (see
`adapters/README.md`) and no network: the models are written down in `models.py`.
"""

from __future__ import annotations

import asyncio
from tempfile import TemporaryDirectory
from typing import Any

from agent_framework import Agent as FrameworkAgent
from agents import Agent, Runner, function_tool, set_tracing_disabled
from google.adk.agents import LlmAgent
from google.adk.runners import Runner as ADKRunner
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from models import ADKModel, AgentFrameworkModel, OpenAIModel, pydantic_model
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.conversation import Conversation

from threadloom import SessionManager, compose_id
from threadloom_agent_framework import ThreadloomHistoryProvider
from threadloom_claude_agent_sdk import ThreadloomSessionStore
from threadloom_google_adk import ThreadloomSessionService
from threadloom_openai_agents import ThreadloomSession
from threadloom_pydantic_ai import ThreadloomConversationStore


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


async def openai_agents(sessions: SessionManager) -> None:
    agent = Agent(name="guide", model=OpenAIModel(), tools=[function_tool(weather)])
    session = ThreadloomSession("openai", sessions, agent_name="guide", owner="ana")
    await Runner.run(agent, "What is the weather in Oslo?", session=session)


async def google_adk(sessions: SessionManager) -> None:
    service = ThreadloomSessionService(sessions)
    await service.create_session(app_name="forecast", user_id="ana", session_id="adk")
    agent = LlmAgent(name="forecaster", model=ADKModel(), tools=[weather])
    runner = ADKRunner(app_name="forecast", agent=agent, session_service=service)
    asked = types.Content(role="user", parts=[types.Part(text="What is the weather in Bergen?")])
    async for _ in runner.run_async(user_id="ana", session_id="adk", new_message=asked):
        pass


async def claude_agent_sdk(sessions: SessionManager) -> None:
    # `ClaudeAgentOptions(session_store=store)` makes the SDK do this; it needs its model, though.
    store = ThreadloomSessionStore(sessions, agent_name="helper", owner="ana")
    key: Any = {"project_key": "forecast", "session_id": "claude"}
    asked = {"role": "user", "content": "What is the weather in Narvik?"}
    said = {"id": "m1", "role": "assistant", "content": [{"type": "text", "text": "Rain there."}]}
    entries: Any = [
        {"type": "user", "uuid": "1", "parentUuid": None, "message": asked},
        {"type": "assistant", "uuid": "2", "parentUuid": "1", "message": said},
    ]
    await store.append(key, entries)


async def pydantic_ai(sessions: SessionManager) -> None:
    store = ThreadloomConversationStore(sessions, agent_name="guide")
    agent = PydanticAgent(pydantic_model, tools=[weather])
    conversation = Conversation(conversation_id="pydantic")
    result = await agent.run("What is the weather in Bodø?", conversation=conversation)
    await store.save(result, scope="ana")


async def agent_framework(sessions: SessionManager) -> None:
    provider = ThreadloomHistoryProvider(sessions, agent_name="guide", owner="ana")
    agent = FrameworkAgent(
        client=AgentFrameworkModel(), name="guide", tools=[weather], context_providers=[provider]
    )
    session = agent.create_session(session_id="framework")
    await agent.run("What is the weather in Tromsø?", session=session)


def langgraph(sessions: SessionManager) -> Any:
    def reply(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"I have read {len(state['messages'])} messages.")]}

    builder = StateGraph(MessagesState)
    builder.add_node("reply", reply)
    builder.add_edge(START, "reply")
    graph = builder.compile(checkpointer=sessions.checkpointer())
    trip = sessions.create_session(id="graph", owner="ana")
    graph.invoke({"messages": [HumanMessage("What is the weather in Hamar?")]}, trip.config)
    return graph


async def main() -> None:
    with TemporaryDirectory() as folder, SessionManager(f"sqlite:///{folder}/s.db") as sessions:
        graph = langgraph(sessions)
        sessions.create_session(id="chain", owner="ana")
        sessions.memory("chain").add_messages([HumanMessage("What is the weather in Moss?")])
        await openai_agents(sessions)
        await google_adk(sessions)
        await claude_agent_sdk(sessions)
        await pydantic_ai(sessions)
        await agent_framework(sessions)

        print("One list:")
        for session in sessions.list_sessions(owner="ana"):
            framework = session.framework or "LangGraph, LangChain"
            print(f"  {session.id:<18} {framework:<22} {session.message_count} messages")

        print("One search:")
        for match in sessions.search_sessions("rain"):
            print(f"  {match.session.id:<18} {match.snippet}")

        print("A graph goes on where the OpenAI Agents SDK began:")
        begun = sessions.get_session("openai")
        assert begun is not None
        asked = [*sessions.messages(begun), HumanMessage("And tomorrow?")]
        graph.invoke({"messages": asked}, begun.config)
        for message in sessions.messages(begun):
            print(f"  {message.type}: {message.text or message.tool_calls}")

        print("One deletion:")
        sessions.delete_session(compose_id("forecast", "ana", "adk"))
        print(
            f"  {len(sessions.delete_sessions(owner='ana'))} more, {sessions.count_sessions()} left"
        )


if __name__ == "__main__":
    set_tracing_disabled(True)
    asyncio.run(main())
