"""A chat: one node that answers, and turns of two messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks.opened import Opened, Turn
from benchmarks.texts import text

Edit = Callable[[list[BaseMessage]], Sequence[BaseMessage]]


def answering(characters: int, edit: Edit | None = None) -> Callable[[Opened], Any]:
    """A builder of a graph whose only node answers with a message.

    Args:
        characters: the length of the answers.
        edit: what the node returns besides the answer, given the messages of the state.
    """

    def build(place: Opened) -> Any:
        def answer(state: MessagesState) -> dict[str, Any]:
            messages: list[BaseMessage] = list(state["messages"])
            reply = AIMessage(text(f"answer {len(messages)}", characters))
            more = [] if edit is None else edit(messages)
            return {"messages": [*more, reply]}

        builder = StateGraph(MessagesState)
        builder.add_node("answer", place.node(answer))
        builder.add_edge(START, "answer")
        builder.add_edge("answer", END)
        return builder

    return build


def asking(turns: int, characters: int, threads: Sequence[str] = ("chat",)) -> Iterator[Turn]:
    """Turns of a question each, in every thread before the next turn."""
    for turn in range(turns):
        for thread in threads:
            message = HumanMessage(text(f"question {thread} {turn}", characters))
            yield Turn(thread, {"messages": [message]})
