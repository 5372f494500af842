"""A store with sessions of every kind, made by real graphs and chains, with types of its own."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from threadloom import SessionManager


class Booking(BaseModel):
    """A class that the command line's process does not have."""

    city: str
    nights: int


class OwnMessage(AIMessage):
    """A message of the application's own."""

    mood: str = "calm"


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    booking: Booking
    visits: int


_numbers = itertools.count(1)


def _id() -> str:
    return str(UUID(int=next(_numbers)))


def answer(state: State) -> dict[str, Any]:
    text = str(state["messages"][-1].content)
    if "break" in text:
        raise ValueError("no more rooms")
    if "sure" in text:
        return {"messages": [AIMessage(interrupt({"ask": "Shall I book?"}), id=_id())]}
    if "weather" in text:
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": "call-1"}
        return {
            "messages": [
                AIMessage("Let me look.", tool_calls=[call], id=_id()),
                ToolMessage("Rain\nand wind", name="weather", tool_call_id="call-1", id=_id()),
                AIMessage("Take an umbrella ☂", id=_id()),
            ]
        }
    visits = state.get("visits", 0) + 1
    return {
        "messages": [AIMessage(f"answer {visits} to {text}", id=_id())],
        "booking": Booking(city="Oslo", nights=visits),
        "visits": visits,
    }


def graph_on(sessions: SessionManager) -> Any:
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


def says(graph: Any, info: Any, *texts: str) -> None:
    for text in texts:
        graph.invoke({"messages": [HumanMessage(text, id=_id())]}, info.config)


def build(path: Path) -> None:
    """Make the store."""
    with SessionManager(f"sqlite:///{path}") as sessions:
        graph = graph_on(sessions)
        trip = sessions.create_session(
            id="oslo-trip", name="Oslo trip", owner="ana", tags=["travel", "2026"]
        )
        says(graph, trip, "Hello", "What is the weather?", "Thanks")
        sessions.rewind_session(trip, messages=2)
        says(graph, trip, "Hello again")
        says(graph, sessions.create_session(id="waiting", owner="bo"), "Are you sure?")
        with suppress(ValueError):
            says(graph, sessions.create_session(id="broken", owner="bo"), "Please break")
        chat = sessions.create_session(id="chat", name="Only a chat\x1b[31m", agent_name="guide")
        memory = sessions.memory(chat)
        memory.add_messages(
            [
                HumanMessage("What about Bergen?", id="m1"),
                OwnMessage("Bergen is wet", id="m2", mood="grim"),
                HumanMessage([{"type": "text", "text": "See:"}, {"type": "image", "url": "x"}]),
            ]
        )
        both = sessions.create_session(id="both")
        says(graph, both, "By the graph")
        sessions.memory(both).add_user_message("By the chain")
        SessionManager(sessions.checkpointer().store, tenant="acme").create_session(id="theirs")
