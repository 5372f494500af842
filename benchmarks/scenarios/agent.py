"""A tool-calling agent: conversations as they are, a thread each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph

from benchmarks import work
from benchmarks.conversations import Message, as_messages, conversations, raw_bytes
from benchmarks.opened import Opened, Turn
from benchmarks.scenario import Column, Job, Scenario, millis, seconds, share, size, times
from benchmarks.scenarios.growth import memory_columns
from benchmarks.sizes import Size
from benchmarks.units import human_number
from benchmarks.work import Figures

Scripts = dict[str, list[Message]]


class Agent(Scenario):
    """An agent and its tools, both of which say what the conversation has them say."""

    name = "agent"
    title = "An agent that calls tools"

    def about(self, size: Size) -> str:
        source = "generated" if size.data is None else "real"
        return (
            f"At most {human_number(size.conversations)} {source} conversations, a thread each, "
            "one after the other: an agent and a tool node that call each other until the user is "
            "answered, seven questions and six tool calls in a conversation on average. “Raw” is "
            "the conversations as JSON."
        )

    def measure(self, job: Job) -> Figures:
        found = conversations(job.size.data, job.size.conversations)
        scripts = {f"conversation-{number}": script for number, script in enumerate(found)}
        turns = list(questions(scripts))
        figures = work.run(
            job.saver,
            job.folder,
            playing(scripts),
            turns,
            total=len(turns),
            early=max(1, len(turns) // 10),
        )
        figures["turn"] = figures["seconds"] / len(turns)
        figures["raw"] = sum(raw_bytes(script) for script in scripts.values())
        return figures

    def columns(self, size_: Size) -> list[Column]:
        return [
            seconds("whole run", "seconds"),
            times("× floor", "seconds"),
            millis("a question", "turn"),
            size("raw", "raw"),
            size("stored", "stored"),
            share("stored / raw", "stored", "raw"),
            *memory_columns(),
        ]


def playing(scripts: Scripts) -> Any:
    """A builder of the agent: the next message of a script is the one after those it has."""

    def script_of(config: RunnableConfig) -> list[Message]:
        return scripts[config["configurable"]["thread_id"]]

    def build(place: Opened) -> Any:
        def agent(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
            done = len(state["messages"])
            return {"messages": as_messages(script_of(config)[done : done + 1])}

        def tools(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
            script, first = script_of(config), len(state["messages"])
            last = first
            while last < len(script) and script[last]["role"] == "tool":
                last += 1
            return {"messages": as_messages(script[first:last])}

        def after(state: MessagesState, config: RunnableConfig) -> str:
            script, done = script_of(config), len(state["messages"])
            role = script[done]["role"] if done < len(script) else "user"
            return {"assistant": "agent", "tool": "tools"}.get(role, END)

        builder = StateGraph(MessagesState)
        builder.add_node("agent", place.node(agent))
        builder.add_node("tools", place.node(tools))
        builder.add_edge(START, "agent")
        builder.add_conditional_edges("agent", place.node(after), ["agent", "tools", END])
        builder.add_conditional_edges("tools", place.node(after), ["agent", "tools", END])
        return builder

    return build


def questions(scripts: Scripts) -> Iterator[Turn]:
    """What the user says, with the instructions before it; all else is the agent's."""
    for thread, script in scripts.items():
        asked: list[Message] = []
        for message in script:
            if message["role"] in ("assistant", "tool"):
                if asked:
                    yield Turn(thread, {"messages": as_messages(asked)})
                asked = []
            else:
                asked.append(message)


SCENARIO = Agent()
