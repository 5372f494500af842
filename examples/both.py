"""A graph and a chain in one session: one index, one conversation, one store."""

import warnings

from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SessionManager


def reply(state: MessagesState) -> dict:
    return {"messages": [("ai", "Take the night train.")]}


builder = StateGraph(MessagesState)
builder.add_node("reply", reply)
builder.add_edge(START, "reply")

with SessionManager("sqlite:///sessions.db") as sessions:
    trip = sessions.create_session(id="oslo", name="Oslo", owner="ana")

    graph = builder.compile(checkpointer=sessions.checkpointer())
    graph.invoke({"messages": [("user", "How do I get to Oslo?")]}, trip.config)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # langchain-core announces a successor of this class
        chain = RunnableWithMessageHistory(
            ChatPromptTemplate.from_messages(
                [MessagesPlaceholder("history"), ("human", "{question}")]
            )
            | FakeListChatModel(responses=["A rain jacket."]),
            sessions.memory,
            input_messages_key="question",
            history_messages_key="history",
        )
    chain.invoke({"question": "What do I pack?"}, trip.config)

    print("The conversation, whichever door it came in by:")
    for message in sessions.messages(trip):
        print(f"  {message.type}: {message.text}")

    for session in sessions.list_sessions(owner="ana"):
        print(f"{session.id}: {session.turn_count} turn, {session.message_count} messages")

    sessions.delete_session(trip)
    print("left:", sessions.get_session("oslo"), sessions.messages("oslo"))
