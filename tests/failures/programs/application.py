"""application.py URL: an application with classes of its own stores two sessions."""

import sys
from typing import Annotated, Any, TypedDict

import shop
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from threadloom import SessionManager


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    order: Any


def say(state: State) -> dict[str, Any]:
    order = shop.Order(number=7, kind=shop.Kind.BOOK, lines=[shop.Line("x", 2)])
    return {"messages": [AIMessage("ok", additional_kwargs={"order": order})], "order": order}


builder = StateGraph(State)
builder.add_node("say", say)
builder.add_edge(START, "say")
with SessionManager(sys.argv[1]) as sessions:
    graph = builder.compile(checkpointer=sessions.checkpointer())
    for id in ("one", "two"):
        for text in ("hi", "again"):
            config: Any = {"configurable": {"thread_id": id}, "metadata": {"run_id": text}}
            graph.invoke({"messages": [HumanMessage(text)]}, config)
        message = AIMessage("h", additional_kwargs={"order": shop.Line("y", 1)})
        sessions.memory(id).append(message)
