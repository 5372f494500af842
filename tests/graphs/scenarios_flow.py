"""Branches, joins, fan-out with Send, Command, deferred nodes, caches, and long runs."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal, TypedDict

from langgraph.cache.memory import InMemoryCache
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph
from langgraph.managed import IsLastStep, RemainingSteps
from langgraph.types import CachePolicy, Command, Overwrite, Send

from .harness import WAITED, Run, scenario, thread
from .models import Log, chain_of, says


class Pieces(Log):
    items: list[int]
    total: Annotated[int, operator.add]


@scenario()
async def map_and_reduce(run: Run) -> None:
    """Ten parallel Sends: the order of their writes is the order of the Sends."""
    builder = StateGraph(Pieces)
    builder.add_node("split", lambda state: {"items": [*state["items"], -1]})
    builder.add_node("square", lambda item: {"log": [f"{item}"], "total": item * item})
    builder.add_node("end", lambda state: {"log": ["end"]})
    builder.add_edge(START, "split")
    builder.add_conditional_edges(
        "split", lambda state: [Send("square", item) for item in state["items"]], ["square"]
    )
    builder.add_edge("square", "end")
    graph = builder.compile(run.saver)
    items = [7, 3, 9, 1, 0, 2, 8, 4, 6]
    result = await run.invoke(graph, {"items": items, "log": [], "total": 0})
    assert result["log"] == [*map(str, items), "-1", "end"]
    await run.invoke(graph, {"items": [5]})
    await run.close_of(graph)


@scenario()
async def sends_from_nodes(run: Run) -> None:
    """Commands that send, and sends that send again; arguments of several types."""
    builder = StateGraph(Log)

    def first(state: Log) -> Command[Any]:
        goto = [Send("deep", {"n": (1, "a")}), Send("deep", {"n": frozenset({2})}), "plain"]
        return Command(update={"log": ["first"]}, goto=goto)

    def deep(arg: Any) -> Command[Any]:
        return Command(
            update={"log": [f"deep {type(arg['n']).__name__}"]}, goto=Send("leaf", [arg["n"]])
        )

    builder.add_node("first", first, destinations=("deep", "plain"))
    builder.add_node("deep", deep, destinations=("leaf",))
    builder.add_node("leaf", lambda arg: {"log": [f"leaf {arg!r}"]})
    builder.add_node("plain", says("plain"))
    builder.add_edge(START, "first")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []})
    assert len(result["log"]) == 6
    await run.close_of(graph)


@scenario()
async def conditional_edges(run: Run) -> None:
    def route(state: Log) -> Literal["odd", "even"]:
        return "odd" if len(state["log"]) % 2 else "even"

    builder = StateGraph(Log)
    builder.add_node("odd", says("odd"))
    builder.add_node("even", says("even"))
    builder.add_conditional_edges(START, route)
    builder.add_conditional_edges("odd", lambda s: END if len(s["log"]) > 4 else "even")
    builder.add_edge("even", END)
    graph = builder.compile(run.saver)
    for word in "abc":
        result = await run.invoke(graph, {"log": [word]})
    assert result["log"] == ["a", "odd", "even", "b", "even", "c", "even"]
    await run.close_of(graph)


@scenario(durabilities=WAITED)
async def diamond_with_waiting_edge(run: Run) -> None:
    """A join that waits for two branches of different length."""
    builder = StateGraph(Log)
    for word in ("start", "short", "long1", "long2", "join"):
        builder.add_node(word, says(word))
    builder.add_edge(START, "start")
    builder.add_edge("start", "short")
    builder.add_edge("start", "long1")
    builder.add_edge("long1", "long2")
    builder.add_edge(["short", "long2"], "join")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []})
    assert result["log"] == ["start", "long1", "short", "long2", "join"]
    await run.invoke(graph, {"log": ["again"]})
    await run.close_of(graph)


@scenario()
async def deferred_node(run: Run) -> None:
    builder = StateGraph(Log)
    for word in ("a", "b", "b2"):
        builder.add_node(word, says(word))
    builder.add_node("last", says("last"), defer=True)
    builder.add_edge(START, "a")
    builder.add_edge(START, "b")
    builder.add_edge("b", "b2")
    builder.add_edge("a", "last")
    builder.add_edge("b2", "last")
    graph = builder.compile(run.saver, interrupt_before=["b2"])
    await run.invoke(graph, {"log": []})
    result = await run.invoke(graph, None)
    assert result["log"] == ["a", "b", "b2", "last"]
    await run.close_of(graph)


@scenario()
async def overwritten_value(run: Run) -> None:
    """Overwrite goes past the reducer, from a node, as input and in update_state."""
    builder = chain_of("a")
    builder.add_node("reset", lambda state: {"log": Overwrite([f"{len(state['log'])} before"])})
    builder.add_edge("a", "reset")
    builder.add_node("b", says("b"))
    builder.add_edge("reset", "b")
    graph = builder.compile(run.saver)
    assert (await run.invoke(graph, {"log": ["x", "y"]}))["log"] == ["3 before", "b"]
    await run.update(graph, thread(), {"log": Overwrite(["by hand"])}, as_node="b")
    assert (await run.invoke(graph, {"log": ["z"]}))["log"] == ["3 before", "b"]
    await run.invoke(graph, {"log": Overwrite([])})
    await run.close_of(graph)


class Managed(Log):
    last: IsLastStep
    left: RemainingSteps


@scenario()
async def managed_values(run: Run) -> None:
    builder = StateGraph(Managed)
    builder.add_node("a", lambda s: {"log": [f"{s['last']} {s['left']}"]})
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda s: END if s["left"] <= 3 else "a", ["a", END])
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []}, {**thread(), "recursion_limit": 6})
    assert result["log"] == ["False 5", "False 4", "False 3"]
    await run.close_of(graph)


@scenario()
async def command_moves_and_updates(run: Run) -> None:
    builder = StateGraph(Log)

    def pick(state: Log) -> Command[Literal["left", "right"]]:
        side: Literal["left", "right"] = "left" if len(state["log"]) < 2 else "right"
        return Command(update={"log": [f"to {side}"]}, goto=side)

    builder.add_node("pick", pick)
    builder.add_node("left", lambda state: Command(update={"log": ["left"]}, goto="pick"))
    builder.add_node("right", says("right"))
    builder.add_edge(START, "pick")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []})
    assert result["log"] == ["to left", "left", "to right", "right"]
    # A Command as input, on a thread that has ended and on a new one.
    await run.invoke(graph, Command(update={"log": ["put"]}, goto="right"))
    await run.invoke(graph, Command(update=[("log", ["p"]), ("log", ["q"])]), thread("new"))
    await run.close_of(graph, thread(), thread("new"))


@scenario()
async def cached_nodes(run: Run) -> None:
    """A node whose result is in the cache is not called; its writes are stored all the same."""
    calls: list[str] = []

    def costly(state: Log) -> dict[str, Any]:
        calls.append("called")
        return {"log": [f"costly {len(state['log'])}"]}

    builder = StateGraph(Log)
    builder.add_node("costly", costly, cache_policy=CachePolicy())
    builder.add_node("after", says("after"))
    builder.add_edge(START, "costly")
    builder.add_edge("costly", "after")
    graph = builder.compile(run.saver, cache=InMemoryCache())
    await run.invoke(graph, {"log": ["x"]}, thread("one"))
    await run.invoke(graph, {"log": ["x"]}, thread("two"))
    await run.invoke(graph, {"log": ["x"]}, thread("two"))
    assert calls == ["called", "called"]
    await run.close_of(graph, thread("one"), thread("two"))


class Counted(TypedDict):
    count: int
    log: Annotated[list[str], operator.add]


@scenario(styles=("sync", "async"))
async def fifty_steps(run: Run) -> None:
    builder = StateGraph(Counted)
    builder.add_node("step", lambda s: {"count": s["count"] + 1, "log": [f"step {s['count']}"]})
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda s: "step" if s["count"] % 50 else END)
    graph = builder.compile(run.saver)
    config = {**thread(), "recursion_limit": 100}
    result = await run.invoke(graph, {"count": 0, "log": []}, config)
    assert result["count"] == len(result["log"]) == 50
    assert (await run.invoke(graph, {"count": 50}, config))["count"] == 100
    await run.history(graph, limit=7)
    await run.history(graph, filter={"source": "input"})
    middle = (await run.history(graph, limit=30))[-1]
    await run.history(graph, before=middle.config, limit=5)
    await run.close_of(graph)


@scenario()
async def stopped_by_the_recursion_limit(run: Run) -> None:
    """The run that was cut short goes on where it stopped."""
    graph = chain_of("a", "b", "c", "d").compile(run.saver)
    limited = {**thread(), "recursion_limit": 2}
    await run.invoke(graph, {"log": []}, limited, expect=GraphRecursionError)
    assert (await run.state(graph)).next == ("c",)
    assert (await run.invoke(graph, None))["log"] == ["a", "b", "c", "d"]
    await run.close_of(graph)
