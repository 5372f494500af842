"""A LangGraph graph keeps its state in a session, and stops for an answer half-way."""

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from threadloom import SessionManager


def suggest(state: MessagesState) -> dict:
    return {"messages": [("ai", "The night train leaves at 23:05. Shall I book it?")]}


def book(state: MessagesState) -> dict:
    answer = interrupt("Shall I book it?")
    result = "Booked." if answer == "yes" else "As you like."
    return {"messages": [("user", answer), ("ai", result)]}


builder = StateGraph(MessagesState)
builder.add_node("suggest", suggest)
builder.add_node("book", book)
builder.add_edge(START, "suggest")
builder.add_edge("suggest", "book")

with SessionManager("sqlite:///sessions.db") as sessions:
    trip = sessions.create_session(name="Oslo", owner="ana", tags=["travel"])
    graph = builder.compile(checkpointer=sessions.checkpointer(), store=sessions.store)

    graph.invoke({"messages": [("user", "How do I get to Oslo?")]}, trip.config)
    print("waiting for an answer:", sessions.get_session(trip).status)

    graph.invoke(Command(resume="yes"), trip.config)
    for message in sessions.messages(trip):
        print(f"{message.type}: {message.text}")

    print("checkpoints:", sum(1 for _ in graph.get_state_history(trip.config)))
