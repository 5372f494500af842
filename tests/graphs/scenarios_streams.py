"""What is streamed, in every mode."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from .harness import Run, scenario
from .models import Log, ScriptedChat, chain_of, says

MODES = ("values", "updates", "custom", "debug", "checkpoints", "tasks")


def talkative() -> StateGraph[Any]:
    """Nodes that write to the custom stream, one of which asks."""

    def loud(state: Log) -> dict[str, Any]:
        get_stream_writer()({"progress": len(state["log"])})
        return {"log": ["loud"]}

    def ask(state: Log) -> dict[str, Any]:
        get_stream_writer()("asking")
        return {"log": [interrupt("name?")]}

    builder = StateGraph(Log)
    builder.add_node("loud", loud)
    builder.add_node("ask", ask)
    builder.add_node("end", says("end"))
    builder.add_edge(START, "loud")
    builder.add_edge("loud", "ask")
    builder.add_edge("ask", "end")
    return builder


def one_mode(mode: str) -> None:
    async def each(run: Run) -> None:
        graph = talkative().compile(run.saver)
        first = await run.stream(graph, {"log": ["in"]}, stream_mode=mode)
        second = await run.stream(graph, Command(resume="ana"), stream_mode=mode)
        assert first
        assert second
        await run.stream(graph, None, stream_mode=mode)
        await run.close_of(graph)

    each.__name__ = f"mode_{mode}"
    scenario()(each)


for _mode in MODES:
    one_mode(_mode)


@scenario()
async def all_modes_together(run: Run) -> None:
    graph = talkative().compile(run.saver)
    modes = list(MODES)
    chunks = await run.stream(graph, {"log": []}, stream_mode=modes)
    assert {mode for mode, _ in chunks} == set(MODES)
    await run.stream(graph, Command(resume="ana"), stream_mode=modes)
    await run.close_of(graph)


@scenario()
async def tokens(run: Run) -> None:
    """Chunks of messages, with the metadata of where they come from."""
    model = ScriptedChat(script=[AIMessage("one two three"), AIMessage("four five")])
    builder = StateGraph(MessagesState)

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def aask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder.add_node("ask", aask if run.style == "async" else ask)
    builder.add_edge(START, "ask")
    graph = builder.compile(run.saver)
    for turn in range(2):
        new = {"messages": [("user", f"turn {turn}")]}
        chunks = await run.stream(graph, new, stream_mode="messages")
        assert len(chunks) > 2
    stored = (await run.state(graph)).values["messages"]
    assert [m.content for m in stored] == ["turn 0", "one two three ", "turn 1", "four five "]
    await run.close_of(graph)


@scenario()
async def subgraphs_in_the_stream(run: Run) -> None:
    child = talkative().compile()
    parent = chain_of("before")
    parent.add_node("child", child)
    parent.add_edge("before", "child")
    graph = parent.compile(run.saver)
    options: dict[str, Any] = {"stream_mode": ["updates", "values", "custom"], "subgraphs": True}
    await run.stream(graph, {"log": []}, **options)
    chunks = await run.stream(graph, Command(resume="ana"), **options)
    assert any(namespace for namespace, _, _ in chunks)
    await run.close_of(graph)


@scenario()
async def checkpoints_of_subgraphs(run: Run) -> None:
    child = talkative().compile(checkpointer=True)
    parent = chain_of("before")
    parent.add_node("child", child)
    parent.add_edge("before", "child")
    graph = parent.compile(run.saver)
    options: dict[str, Any] = {"stream_mode": ["debug", "checkpoints"], "subgraphs": True}
    await run.stream(graph, {"log": []}, **options)
    await run.stream(graph, Command(resume="ana"), **options)
    await run.close_of(graph)


@scenario()
async def parallel_updates(run: Run) -> None:
    """Parallel tasks race for their place in the stream; what they stream is the same."""
    builder = StateGraph(Log)
    builder.add_node("piece", lambda word: {"log": [word]})
    builder.add_conditional_edges(START, lambda s: [Send("piece", w) for w in s["log"]], ["piece"])
    graph = builder.compile(run.saver)
    chunks = await run.stream(
        graph, {"log": list("hgfedcba")}, stream_mode="updates", ordered=False
    )
    assert len(chunks) == 8
    await run.close_of(graph)
