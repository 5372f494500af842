"""A tool-calling agent for the demo: real graph, real tools, scripted model.

LangChain's fake chat model stands in for a model, so that nothing needs a key or a network.
Everything else is what an application would write.
"""

import os
import time
from pathlib import Path

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send

JOURNAL = Path("journal.txt")
"""Every tool writes a line here when it really runs: what has been done in the world."""


def journal(line: str) -> None:
    with JOURNAL.open("a") as file:
        file.write(line + "\n")


@tool
def find_flights(city: str) -> str:
    """Look for flights to a city."""
    journal(f"looked for flights to {city}")
    return f"SK 1466 to {city}, 9:05, 129 EUR"


@tool
def book_flight(flight: str) -> str:
    """Book a flight. Done twice, it costs twice."""
    journal(f"booked flight {flight}")
    return f"{flight} is booked, reference K7QX2"


@tool
def book_hotel(name: str) -> str:
    """Book a hotel. The booking system is slow today."""
    if "HOTEL_IS_SLOW" in os.environ:
        time.sleep(600)
    journal(f"booked hotel {name}")
    return f"two nights at {name}, reference 4417"


def call(tool: str, id: str, **args: str) -> dict:
    return {"name": tool, "args": args, "id": id, "type": "tool_call"}


def build(replies: list[AIMessage]) -> StateGraph:
    """The agent: model, tools side by side, model again, until it has nothing to call."""
    model = GenericFakeChatModel(messages=iter(replies))

    def think(state: MessagesState) -> dict:
        return {"messages": [model.invoke(state["messages"])]}

    def next_steps(state: MessagesState) -> list[Send] | str:
        calls = state["messages"][-1].tool_calls
        return [Send("tools", [one]) for one in calls] or END

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("tools", ToolNode([find_flights, book_flight, book_hotel]))
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", next_steps, ["tools", END])
    builder.add_edge("tools", "think")
    return builder
