"""Graphs inside graphs, with every way of keeping their state."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from .harness import Run, scenario, thread
from .models import Log, chain_of, says


def asks(word: str) -> Any:
    """A node that stops for an answer and logs it."""

    def node(state: Log) -> dict[str, Any]:
        answer = interrupt(f"{word}, after {len(state['log'])}")
        return {"log": [f"{word}={answer}"]}

    return node


def asking_graph(*words: str, name: str = "q") -> StateGraph[Any]:
    builder = chain_of(f"{name}0")
    before = f"{name}0"
    for word in words:
        builder.add_node(word, asks(word))
        builder.add_edge(before, word)
        before = word
    return builder


def around(sub: Any, name: str = "sub") -> StateGraph[Any]:
    builder = chain_of("before")
    builder.add_node(name, sub)
    builder.add_node("after", says("after"))
    builder.add_edge("before", name)
    builder.add_edge(name, "after")
    return builder


async def paused_and_resumed(run: Run, graph: Any, answers: str) -> Any:
    """Run to the first question, look inside, answer one after the other."""
    result = await run.invoke(graph, {"log": []})
    for answer in answers:
        assert "__interrupt__" in result
        await run.state(graph, subgraphs=True)
        result = await run.invoke(graph, Command(resume=answer))
    assert "__interrupt__" not in result
    return result


@scenario()
async def inherited(run: Run) -> None:
    """The usual way: the child keeps its state under the parent's task."""
    graph = around(asking_graph("one", "two").compile()).compile(run.saver)
    result = await paused_and_resumed(run, graph, "xy")
    assert result["log"][-3:] == ["one=x", "two=y", "after"]
    await run.close_of(graph)
    # A second turn starts the child anew.
    await paused_and_resumed(run, graph, "zw")
    await run.close_of(graph)


@scenario()
async def own_memory(run: Run) -> None:
    """checkpointer=True: the child remembers from turn to turn."""
    child = asking_graph("one").compile(checkpointer=True)
    graph = around(child).compile(run.saver)
    for answer in "xyz":
        await paused_and_resumed(run, graph, answer)
    await run.state(graph, subgraphs=True)
    await run.close_of(graph)


# langgraph 1.2.22 fails by itself on a child without memory when the durability is "sync".
@scenario(durabilities=("async", "exit"))
async def no_memory(run: Run) -> None:
    """checkpointer=False: nothing of the child is kept."""
    child = chain_of("inner1", "inner2").compile(checkpointer=False)
    graph = around(child).compile(run.saver)
    for _ in range(2):
        await run.invoke(graph, {"log": ["in"]})
    stored = await run.stored()
    assert {t.config["configurable"]["checkpoint_ns"] for t in stored} == {""}
    await run.close_of(graph)


@scenario()
async def two_deep(run: Run) -> None:
    """A question in the innermost of three graphs, seen from all levels."""
    inner = asking_graph("deep", name="i").compile()
    middle = around(inner, "inner").compile()
    graph = around(middle, "middle").compile(run.saver)
    await run.invoke(graph, {"log": []})
    top = await run.state(graph, subgraphs=True)
    below = top.tasks[0].state
    assert below.tasks[0].state.tasks[0].interrupts[0].value.startswith("deep")
    if run.durability != "exit":
        await run.history(graph, below.config)
        await run.history(graph, below.tasks[0].state.config)
    result = await run.invoke(graph, Command(resume="yes"))
    assert "deep=yes" in result["log"]
    assert result["log"][-2:] == ["after", "after"]
    await run.close_of(graph)


@scenario()
async def own_memory_two_deep(run: Run) -> None:
    inner = chain_of("leaf").compile(checkpointer=True)
    middle = around(inner, "inner").compile(checkpointer=True)
    graph = around(middle, "middle").compile(run.saver)
    for word in "ab":
        await run.invoke(graph, {"log": [word]})
    await run.close_of(graph)


@scenario()
async def same_child_many_times(run: Run) -> None:
    """Sends to one subgraph: a namespace per task, several questions at once."""
    child = StateGraph(Log)
    child.add_node("ask", lambda s: {"log": [f"{s['log'][0]}={interrupt(s['log'][0])}"]})
    child.add_edge(START, "ask")
    parent = StateGraph(Log)
    parent.add_node("child", child.compile())
    parent.add_conditional_edges(
        START, lambda s: [Send("child", {"log": [w]}) for w in s["log"]], ["child"]
    )
    graph = parent.compile(run.saver)
    await run.invoke(graph, {"log": ["p", "q", "r"]})
    waiting = (await run.state(graph, subgraphs=True)).interrupts
    assert [i.value for i in waiting] == ["p", "q", "r"]
    await run.invoke(graph, Command(resume={waiting[1].id: "2"}))
    assert [i.value for i in (await run.state(graph)).interrupts] == ["p", "r"]
    result = await run.invoke(graph, Command(resume={waiting[0].id: "1", waiting[2].id: "3"}))
    assert result["log"] == ["p", "q", "r", "p", "p=1", "q", "q=2", "r", "r=3"]
    await run.close_of(graph)


@scenario()
async def called_inside_a_node(run: Run) -> None:
    """The child is invoked by the node's code, not added as a node."""
    child = asking_graph("inner").compile()

    def node(state: Log) -> dict[str, Any]:
        found = child.invoke({"log": [f"given {len(state['log'])}"]})
        return {"log": [found["log"][-1]]}

    graph = around(node).compile(run.saver)
    result = await paused_and_resumed(run, graph, "k")
    assert result["log"] == ["before", "inner=k", "after"]
    await run.close_of(graph)


class Other(TypedDict):
    kept: Annotated[list[str], operator.add]


@scenario()
async def other_state_of_its_own(run: Run) -> None:
    """Different keys inside; the wrapper keeps them apart; the child has memory of its own."""
    inner = StateGraph(Other)
    inner.add_node("leaf", lambda state: {"kept": [f"leaf {len(state['kept'])}"]})
    inner.add_edge(START, "leaf")
    child = inner.compile(checkpointer=True)

    def wrap(state: Log) -> dict[str, Any]:
        return {"log": child.invoke({"kept": state["log"][-1:]})["kept"][-1:]}

    graph = around(wrap).compile(run.saver)
    for word in "ab":
        result = await run.invoke(graph, {"log": [word]})
    assert result["log"][-2:] == ["leaf 3", "after"]
    await run.close_of(graph)


@scenario()
async def command_to_the_parent(run: Run) -> None:
    """A child's node ends the child and moves the parent on."""

    def leave(state: Log) -> Command[Any]:
        return Command(graph=Command.PARENT, update={"log": ["left"]}, goto="other")

    inner = StateGraph(Log)
    inner.add_node("leave", leave)
    inner.add_edge(START, "leave")
    outer = StateGraph(Log)
    outer.add_node("sub", inner.compile(), destinations=("other",))
    outer.add_node("other", asks("other"))
    outer.add_edge(START, "sub")
    graph = outer.compile(run.saver)
    result = await paused_and_resumed(run, graph, "o")
    assert result["log"] == ["left", "other=o"]
    await run.close_of(graph)


@scenario()
async def breakpoint_inside(run: Run) -> None:
    """A static breakpoint in the child stops the whole run; None goes on."""
    child = chain_of("i1", "i2", "i3").compile(interrupt_before=["i2"], interrupt_after=["i2"])
    graph = around(child).compile(run.saver)
    await run.invoke(graph, {"log": []})
    await run.state(graph, subgraphs=True)
    await run.invoke(graph, None)
    await run.state(graph, subgraphs=True)
    result = await run.invoke(graph, None)
    assert result["log"][-2:] == ["i3", "after"]
    await run.close_of(graph)


@scenario(durabilities=("sync", "async"))
async def changed_while_paused(run: Run) -> None:
    """update_state on the child's own namespace while it waits."""
    graph = around(asking_graph("inner").compile()).compile(run.saver)
    await run.invoke(graph, {"log": []})
    below = (await run.state(graph, subgraphs=True)).tasks[0].state
    await run.update(graph, below.config, {"log": ["slipped in"]})
    await run.state(graph, subgraphs=True)
    result = await run.invoke(graph, Command(resume="late"))
    assert "slipped in" in result["log"]
    assert "inner=late" in result["log"]
    await run.close_of(graph)


@scenario(durabilities=("sync", "async"))
async def replayed_from_the_parent(run: Run) -> None:
    """The child is found again by the parent's checkpoint, also for a child with memory."""
    for number, memory in enumerate((None, True)):
        config = thread(f"t{number}")
        graph = around(asking_graph("inner").compile(checkpointer=memory)).compile(run.saver)
        for turn in "ab":
            await run.invoke(graph, {"log": [turn]}, config)
            await run.invoke(graph, Command(resume=turn), config)
        history = await run.history(graph, config)
        early = [s for s in history if s.next == ("sub",)][-1]
        result = await run.invoke(graph, None, early.config)
        assert "__interrupt__" in result
        await run.state(graph, config, subgraphs=True)
        result = await run.invoke(graph, Command(resume="replayed"), config)
        assert "inner=replayed" in result["log"]
        await run.close_of(graph, config)


@scenario(durabilities=("sync", "async"))
async def forked_from_the_child(run: Run) -> None:
    """Time travel to a checkpoint of the child itself: the parent goes on from there."""
    graph = around(asking_graph("one", "two").compile(checkpointer=True)).compile(run.saver)
    await run.invoke(graph, {"log": []})
    first = (await run.state(graph, subgraphs=True)).tasks[0].state
    await run.invoke(graph, Command(resume="1"))
    await run.invoke(graph, Command(resume="2"))
    result = await run.invoke(graph, None, first.config)
    assert "__interrupt__" in result
    await run.invoke(graph, Command(resume="other 1"))
    result = await run.invoke(graph, Command(resume="other 2"))
    assert "two=other 2" in result["log"]
    await run.close_of(graph)
