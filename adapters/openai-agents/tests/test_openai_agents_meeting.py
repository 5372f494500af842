"""One conversation, begun in the SDK and continued by a LangGraph graph, and the other way."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Runner
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from openai_agents_fakes import guide
from threadloom import SessionManager
from threadloom_openai_agents import ThreadloomSession, to_items


def population(city: str) -> str:
    """How many live in a city."""
    return f"many in {city}"


def graph_of(sessions: SessionManager) -> Any:
    """A graph with a tool; its model counts what it was given."""

    def model(state: MessagesState) -> dict[str, Any]:
        messages = state["messages"]
        last = messages[-1]
        if isinstance(last, ToolMessage):
            return {"messages": [AIMessage(f"There are {last.text}.")]}
        if "live" in last.text:
            call = {"name": "population", "args": {"city": last.text.split()[-1]}, "id": "call_g"}
            return {"messages": [AIMessage("", tool_calls=[call])]}
        return {"messages": [AIMessage(f"I have read {len(messages)} messages.")]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", ToolNode([population]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=sessions.checkpointer())


async def test_a_graph_goes_on(sessions: SessionManager) -> None:
    agent, _ = guide()
    session = ThreadloomSession("trip", sessions, agent_name="guide")
    await Runner.run(agent, "weather in Oslo", session=session)
    items = await session.get_items()
    before = sessions.messages("trip")
    info = sessions.get_session("trip")

    graph = graph_of(sessions)
    question = HumanMessage("and how many live in Oslo")
    result = graph.invoke({"messages": [*sessions.messages("trip"), question]}, info.config)
    result = graph.invoke({"messages": [("user", "go on")]}, info.config)

    shown = sessions.messages("trip")
    assert [message.id for message in shown] == [message.id for message in result["messages"]]
    assert shown[: len(before)] == before
    types = [message.type for message in shown]
    assert types == ["human", "ai", "tool", "ai", "human", "ai", "tool", "ai", "human", "ai"]
    assert shown[-1].text == "I have read 9 messages."
    assert sessions.get_session("trip").message_count == len(shown)
    # What the SDK has is what it had: what the graph added is no item of its own.
    assert await session.get_items() == items
    fork = sessions.fork_session("trip")
    assert sessions.messages(fork) == shown
    assert await ThreadloomSession(fork, sessions).get_items() == items
    assert not sessions.check().problems


async def test_an_agent_goes_on(sessions: SessionManager) -> None:
    graph, info = graph_of(sessions), sessions.create_session(name="by graph")
    graph.invoke({"messages": [("user", "how many live in Rome")]}, info.config)
    conversation = sessions.messages(info)

    agent, model = guide()
    session = ThreadloomSession("by agent", sessions)
    await session.add_items(to_items(conversation))
    result = await Runner.run(agent, "weather in Rome", session=session)

    assert result.final_output == "It is rain in Rome."
    call = {"type": "function_call", "call_id": "call_g", "name": "population"}
    assert model.seen[0] == [
        {"role": "user", "content": "how many live in Rome"},
        {**call, "arguments": '{"city": "Rome"}'},
        {"type": "function_call_output", "call_id": "call_g", "output": "many in Rome"},
        {"role": "assistant", "content": "There are many in Rome."},
        {"role": "user", "content": "weather in Rome"},
    ]
    shown = sessions.messages(session.session_id)
    assert [m.type for m in shown] == [*(m.type for m in conversation), "human", "ai", "tool", "ai"]
    for ours, theirs in zip(shown, conversation, strict=False):
        assert (ours.text, ours.name) == (theirs.text, theirs.name)
        assert getattr(ours, "tool_calls", None) == getattr(theirs, "tool_calls", None)


@pytest.mark.parametrize("there", [True, False])
async def test_there_and_back(sessions: SessionManager, there: bool) -> None:
    """Each goes on after the other; the first session stays as it is."""
    agent, model = guide()
    first = ThreadloomSession("first", sessions)
    await Runner.run(agent, "weather in Oslo", session=first)
    graph = graph_of(sessions)
    info = sessions.create_session(id="graph") if there else sessions.get_session("first")
    graph.invoke({"messages": [*sessions.messages("first"), HumanMessage("hello")]}, info.config)
    last = ThreadloomSession("last", sessions)
    await last.add_items(to_items(sessions.messages(info)))
    await Runner.run(agent, "and now?", session=last)
    assert [message.type for message in sessions.messages("last")] == [
        *("human", "ai", "tool", "ai", "human", "ai"),
        *("human", "ai"),
    ]
    assert model.seen[-1][-2:] == [
        {"role": "assistant", "content": "I have read 5 messages."},
        {"role": "user", "content": "and now?"},
    ]
    assert not sessions.check().problems
