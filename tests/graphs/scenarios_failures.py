"""Nodes that fail: what is kept of the step, what is repeated, what the state says."""

from __future__ import annotations

from collections import Counter
from typing import Any, TypedDict

from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from .harness import Run, scenario, thread
from .models import Log, chain_of, says


class Trouble(Exception):
    pass


@scenario()
async def fails_then_goes_on(run: Run) -> None:
    """The error is in the state; `invoke(None)` tries the node again and only that node."""
    calls: Counter[str] = Counter()

    def shaky(state: Log) -> dict[str, Any]:
        calls["shaky"] += 1
        if calls["shaky"] < 3:
            raise Trouble(f"attempt {calls['shaky']}")
        return {"log": ["shaky"]}

    def before(state: Log) -> dict[str, Any]:
        calls["before"] += 1
        return {"log": ["before"]}

    builder = StateGraph(Log)
    builder.add_node("before", before)
    builder.add_node("shaky", shaky)
    builder.add_node("after", says("after"))
    builder.add_edge(START, "before")
    builder.add_edge("before", "shaky")
    builder.add_edge("shaky", "after")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"log": []}, expect=Trouble)
    state = await run.state(graph)
    assert state.next == ("shaky",)
    assert "attempt 1" in str(state.tasks[0].error)
    await run.stored()
    await run.invoke(graph, None, expect=Trouble)
    assert "attempt 2" in str((await run.state(graph)).tasks[0].error)
    assert (await run.invoke(graph, None))["log"] == ["before", "shaky", "after"]
    assert calls == {"before": 1, "shaky": 3}
    await run.close_of(graph)


@scenario()
async def finished_sibling_is_not_repeated(run: Run) -> None:
    """One of three parallel nodes fails after the others are done; they never run again."""
    calls: Counter[str] = Counter()

    def steady(name: str) -> Any:
        def node(state: Log) -> dict[str, Any]:
            calls[name] += 1
            return {"log": [name]}

        return node

    def failing(state: Log) -> dict[str, Any]:
        calls["failing"] += 1
        if calls["failing"] < 3:
            raise Trouble("not yet")
        return {"log": ["failing"]}

    builder = StateGraph(Log)
    for name, node in (("a", steady("a")), ("b", steady("b")), ("failing", failing)):
        builder.add_node(name, node)
        builder.add_edge(START, name)
    graph = builder.compile(run.saver)
    # One worker takes the tasks in their order, so both others have ended when this one fails.
    config = {**thread(), "max_concurrency": 1}
    await run.invoke(graph, {"log": []}, config, expect=Trouble)
    await run.stored()
    state = await run.state(graph)
    assert [bool(t.error) for t in state.tasks] == [False, False, True]
    await run.invoke(graph, None, config, expect=Trouble)
    await run.state(graph)
    assert (await run.invoke(graph, None, config))["log"] == ["a", "b", "failing"]
    assert calls == {"a": 1, "b": 1, "failing": 3}
    await run.close_of(graph)


@scenario()
async def retried_until_it_works(run: Run) -> None:
    calls: Counter[str] = Counter()

    def shaky(state: Log) -> dict[str, Any]:
        calls["shaky"] += 1
        if calls["shaky"] < 3:
            raise Trouble("again")
        return {"log": ["shaky"]}

    policy = RetryPolicy(
        initial_interval=0.0, backoff_factor=1.0, jitter=False, retry_on=Trouble, max_attempts=3
    )
    builder = StateGraph(Log)
    builder.add_node("shaky", shaky, retry_policy=policy)
    builder.add_edge(START, "shaky")
    graph = builder.compile(run.saver)
    assert (await run.invoke(graph, {"log": []}))["log"] == ["shaky"]
    assert calls["shaky"] == 3
    await run.close_of(graph)


@scenario()
async def new_input_after_a_failure(run: Run) -> None:
    """Fresh input instead of None drops what the failed step had left."""
    fail = [True]

    def shaky(state: Log) -> dict[str, Any]:
        if fail.pop() if fail else False:
            raise Trouble("once")
        return {"log": ["shaky"]}

    builder = chain_of("a")
    builder.add_node("shaky", shaky)
    builder.add_edge("a", "shaky")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"log": ["one"]}, expect=Trouble)
    result = await run.invoke(graph, {"log": ["two"]})
    assert result["log"] == ["one", "a", "two", "a", "shaky"]
    await run.close_of(graph)


@scenario()
async def error_in_a_subgraph(run: Run) -> None:
    calls: Counter[str] = Counter()

    def shaky(state: Log) -> dict[str, Any]:
        calls["shaky"] += 1
        if calls["shaky"] == 1:
            raise Trouble("inside")
        return {"log": ["inner"]}

    def first(state: Log) -> dict[str, Any]:
        calls["first"] += 1
        return {"log": ["first"]}

    inner = StateGraph(Log)
    inner.add_node("first", first)
    inner.add_node("shaky", shaky)
    inner.add_edge(START, "first")
    inner.add_edge("first", "shaky")
    outer = StateGraph(Log)
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "sub")
    graph = outer.compile(run.saver)
    await run.invoke(graph, {"log": []}, expect=Trouble)
    await run.state(graph, subgraphs=True)
    await run.stored()
    assert (await run.invoke(graph, None))["log"] == ["first", "inner"]
    if run.durability != "exit":
        assert calls == {"first": 1, "shaky": 2}
    await run.close_of(graph)


class Single(TypedDict):
    x: int


@scenario(durabilities=("sync", "async"))
async def two_writers_of_a_single_value(run: Run) -> None:
    """A step that cannot be applied raises and leaves the thread where it was."""
    builder = StateGraph(Single)
    builder.add_node("a", lambda state: {"x": 1})
    builder.add_node("b", lambda state: {"x": 2})
    builder.add_edge(START, "a")
    builder.add_edge(START, "b")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"x": 0}, expect=InvalidUpdateError)
    await run.invoke(graph, None, expect=InvalidUpdateError)
    stored = await run.stored()
    assert stored[0].checkpoint["channel_values"]["x"] == 0


@scenario()
async def failing_router(run: Run) -> None:
    """A node's conditional edge raises after the node: what was written before is kept."""
    calls: Counter[str] = Counter()

    def node(state: Log) -> dict[str, Any]:
        calls["node"] += 1
        return {"log": ["node"]}

    def route(state: Log) -> str:
        calls["route"] += 1
        if calls["route"] == 1:
            raise Trouble("which way")
        return "b"

    builder = StateGraph(Log)
    builder.add_node("node", node)
    builder.add_node("b", says("b"))
    builder.add_edge(START, "node")
    builder.add_conditional_edges("node", route, ["b"])
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"log": []}, expect=Trouble)
    await run.state(graph)
    await run.invoke(graph, None)
    assert calls["node"] == 1
    await run.close_of(graph, thread())
