"""Small graphs whose state grows, each node answering from what it sees alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from .measures import prose

WINDOW = 20
Node = Callable[[Any], dict[str, Any]]


def merged(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    """A reducer of files: new entries replace old ones, and None deletes."""
    both = {**(old or {}), **(new or {})}
    return {name: text for name, text in both.items() if text is not None}


def windowed(old: list[Any], new: list[Any]) -> list[Any]:
    """A reducer that keeps the newest messages."""
    return add_messages(old, new)[-WINDOW:]  # type: ignore[return-value,index]


class Chat(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    files: Annotated[dict[str, Any], merged]
    document: str


class Windowed(TypedDict):
    messages: Annotated[list[AnyMessage], windowed]


def question(turn: int, length: int = 30) -> dict[str, Any]:
    return {"messages": [HumanMessage(f"{turn} {prose(('q', turn), length)}", id=f"q{turn}")]}


def answer(state: Any, length: int = 30) -> BaseMessage:
    """The answer to the last message."""
    asked = str(state["messages"][-1].content).split(" ", 1)[0]
    return AIMessage(f"re {asked} {prose(('a', asked), length)}", id=f"a{asked}")


def replies(length: int = 30) -> Node:
    return lambda state: {"messages": [answer(state, length)]}


def edits_first(length: int = 30) -> Node:
    """Answers, and writes the first message anew."""

    def node(state: Any) -> dict[str, Any]:
        count = len(state["messages"])
        first = HumanMessage(f"first {prose(('first', count), length)}", id="q0")
        return {"messages": [first, answer(state, length)]}

    return node


def one_node(saver: Any, node: Any, schema: Any = Chat, **options: Any) -> Any:
    builder = StateGraph(schema)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(checkpointer=saver, **options)


def config(thread: str = "t", **more: Any) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


def talk(graph: Any, turns: range, length: int = 30, thread: str = "t") -> Any:
    """Run these turns; the last result."""
    result = None
    for turn in turns:
        result = graph.invoke(question(turn, length), config(thread))
    return result
