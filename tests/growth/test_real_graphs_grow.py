"""Real graphs whose state grows and is edited: the same on our stores as in memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.types import Command, interrupt

from graphs.harness import Run, Scenario, Trace, difference, play, thread
from graphs.oracle import in_memory
from threadloom import SQLiteStore, StoreCheckpointer
from threadloom.store import Store

from .exact import same
from .talk import Chat, Windowed, answer, edits_first, one_node, question, replies

Play = Callable[[Run], Coroutine[Any, Any, None]]
PLAYS: dict[str, Play] = {}


def played(play: Play) -> Play:
    PLAYS[play.__name__] = play
    return play


async def turns(run: Run, graph: Any, numbers: range, length: int = 30) -> None:
    for number in numbers:
        await run.invoke(graph, question(number, length))


@played
async def a_long_chat(run: Run) -> None:
    graph = one_node(run.saver, replies())
    number = 60 if run.style == "mixed" else 15
    await turns(run, graph, range(number))
    assert len((await run.state(graph)).values["messages"]) == 2 * number
    await run.history(graph)


@played
async def edits_in_place(run: Run) -> None:
    """The node changes messages of earlier turns, and returns some of them.

    That of this turn may still be on its way to the saver, which then sees it changed or not.
    """

    def node(state: Any) -> dict[str, Any]:
        messages = state["messages"]
        count = len(messages)
        if count == 1:
            return {"messages": [answer(state)]}
        told, quiet = messages[count // 3], messages[count // 2]
        told.content = f"{told.content} told {count}"
        told.additional_kwargs.setdefault("seen", {}).setdefault("at", []).append(count)
        quiet.content = f"{quiet.content} quiet {count}"
        quiet.response_metadata["seen"] = {"at": count}
        return {"messages": [told, answer(state)]}

    graph = one_node(run.saver, node)
    await turns(run, graph, range(12))
    texts = [str(m.content) for m in (await run.state(graph)).values["messages"]]
    assert any("told" in text for text in texts)
    assert any("quiet" in text for text in texts)
    await run.close_of(graph)


@played
async def removals(run: Run) -> None:
    """Some are removed, then all, then one that has just come."""

    def node(state: Any) -> dict[str, Any]:
        messages, said = state["messages"], answer(state)
        if len(messages) == 9:
            return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *messages[-2:], said]}
        if len(messages) % 4 == 1:
            return {"messages": [said, *(RemoveMessage(id=m.id) for m in messages[1:3])]}
        if len(messages) % 5 == 2:
            return {"messages": [RemoveMessage(id=messages[-1].id)]}
        return {"messages": [said]}

    graph = one_node(run.saver, node)
    await turns(run, graph, range(20))
    await run.close_of(graph)


@played
async def a_window(run: Run) -> None:
    graph = one_node(run.saver, replies(), Windowed)
    await turns(run, graph, range(25))
    assert len((await run.state(graph)).values["messages"]) == 20
    await run.close_of(graph)


@played
async def the_first_message_anew(run: Run) -> None:
    graph = one_node(run.saver, edits_first())
    await turns(run, graph, range(15))
    assert (await run.state(graph)).values["messages"][0].content.startswith("first ")
    await run.close_of(graph)


@played
async def files(run: Run) -> None:
    """Entries come, change, go and come again; one is large."""

    def node(state: Any) -> dict[str, Any]:
        count = len(state["messages"])
        new: dict[str, Any] = {f"{count % 5}.txt": f"text {count}" * (count % 7 * 40)}
        if count % 3 == 0:
            new[f"{(count + 2) % 5}.txt"] = None
        if count % 4 == 0:
            new["data"] = {"rows": [count, float(count), count > 4, None], "pair": (1, 2)}
        return {"files": new, "document": f"{count}" * 3_000 if count % 4 == 1 else "short"}

    graph = one_node(run.saver, node)
    await turns(run, graph, range(15))
    assert (await run.state(graph)).values["files"]
    await run.close_of(graph)


@played
async def updates(run: Run) -> None:
    """Between turns the state is changed from outside."""
    graph = one_node(run.saver, replies())
    for number in range(0, 12, 2):
        await turns(run, graph, range(number, number + 1))
        state = await run.state(graph)
        messages = state.values["messages"]
        first = messages[0].model_copy(update={"content": f"edited {number}"})
        await run.update(graph, thread(), {"messages": [first]})
        messages[-1].content = "changed by its reader"
        await run.update(graph, thread(), {"files": {f"{number}": messages[-1]}}, as_node="node")
        if number == 6:
            await run.update(graph, thread(), {"messages": [RemoveMessage(id=messages[1].id)]})
        if number == 8:
            await run.update(graph, thread(), None, as_node="__copy__")
    await run.close_of(graph)


@played
async def time_travel(run: Run) -> None:
    """Branches from old checkpoints, replays and copies of them; the first branch goes on."""
    graph = one_node(run.saver, edits_first())
    await turns(run, graph, range(6))
    history = await run.history(graph)
    tip = history[0].config
    for number, back in enumerate((4, 9, 2)):
        old = history[min(back, len(history) - 1)].config
        await run.invoke(graph, question(100 + number), old)
        await turns(run, graph, range(110 + number * 3, 112 + number * 3))
        await run.update(graph, old, {"messages": [AIMessage("aside", id=f"aside{number}")]})
        await run.invoke(graph, None)
        await run.update(graph, old, None, as_node="__copy__")
        await run.invoke(graph, question(130 + number))
    await run.invoke(graph, question(140), tip)
    await run.close_of(graph)


@played
async def questions_back(run: Run) -> None:
    """A node stops for an answer; what it changed in place before is gone when it resumes."""

    def node(state: Any) -> dict[str, Any]:
        if len(state["messages"]) % 3:
            if len(state["messages"]) > 1:
                state["messages"][0].additional_kwargs["asked"] = True
            said = interrupt({"about": state["messages"][-1].content, "all": state["messages"]})
            return {"messages": [AIMessage(f"heard {said}", id=f"h{len(state['messages'])}")]}
        return {"messages": [answer(state)]}

    graph = one_node(run.saver, node)
    for number in range(8):
        await run.invoke(graph, question(number))
        if (await run.state(graph)).next:
            await run.invoke(graph, Command(resume=f"answer {number}"))
    await run.close_of(graph)


@played
async def many_at_once(run: Run) -> None:
    """Parallel nodes write to the same channels."""
    builder: Any = StateGraph(Chat)
    for name in ("left", "right", "third"):

        def node(state: Any, name: str = name) -> dict[str, Any]:
            count = len(state["messages"])
            return {
                "messages": [AIMessage(f"{name} {count}", id=f"{name}{count}")],
                "files": {name: [count], "shared": None},
            }

        builder.add_node(name, node)
        builder.add_edge(START, name)

    def last(state: Any) -> dict[str, Any]:
        return {"messages": [state["messages"][0], *state["messages"][-1:]]}

    builder.add_node("last", last)
    builder.add_edge(["left", "right", "third"], "last")
    graph = builder.compile(checkpointer=run.saver)
    await turns(run, graph, range(8))
    assert len((await run.state(graph)).values["messages"]) == 32
    await run.close_of(graph)


@played
async def inside_and_outside(run: Run) -> None:
    """A subgraph with a memory of its own shares the messages of its parent."""
    inner = StateGraph(Chat)
    inner.add_node("think", edits_first())
    inner.add_edge(START, "think")
    outer = StateGraph(Chat)
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_edge(START, "inner")
    graph = outer.compile(checkpointer=run.saver)
    await turns(run, graph, range(8))
    await run.close_of(graph)


COMBINATIONS = (("sync", "sync"), ("mixed", "sync"), ("loops", "exit"))


@functools.cache
def expected(name: str, style: str, durability: str) -> Trace:
    return play(Scenario(name, PLAYS[name], ()), in_memory(), style, durability)


@pytest.mark.grid(every=2)
@pytest.mark.parametrize("name", PLAYS)
@pytest.mark.parametrize(("style", "durability"), COMBINATIONS)
def test_the_same_as_in_memory(store: Store, name: str, style: str, durability: str) -> None:
    oracle = expected(name, style, durability)
    found = play(Scenario(name, PLAYS[name], ()), StoreCheckpointer(store), style, durability)
    if found != oracle:
        pytest.fail(f"not as in memory:\n{difference(oracle, found)}", pytrace=False)


def test_two_processes_in_turns(tmp_path: Path) -> None:
    """Two stores on one file take turns on a thread; each is closed and opened now and then."""
    stores = [SQLiteStore(tmp_path / "a.db") for _ in range(2)]
    beside = one_node(in_memory(), edits_first())
    for number in range(24):
        at = number % 2
        if number % 5 == 4:
            stores[at].close()
            stores[at] = SQLiteStore(tmp_path / "a.db")
        graph = one_node(StoreCheckpointer(stores[at]), edits_first())
        found = graph.invoke(question(number), thread())
        assert same(found, beside.invoke(question(number), thread()))
        graph.update_state(thread(), {"messages": [HumanMessage("and", id=f"and{number % 3}")]})
        beside.update_state(thread(), {"messages": [HumanMessage("and", id=f"and{number % 3}")]})
    for store in stores:
        graph = one_node(StoreCheckpointer(store), edits_first())
        ours = [(s.values, s.metadata, s.next) for s in graph.get_state_history(thread())]
        theirs = [(s.values, s.metadata, s.next) for s in beside.get_state_history(thread())]
        assert len(ours) == len(theirs)
        assert all(same(one, other) for one, other in zip(ours, theirs, strict=True))
        store.close()


def test_one_graph_object_over_the_life_of_a_thread(store: Store) -> None:
    """The state that a run gives back may be kept and changed while the thread goes on."""
    ours, beside = (one_node(s, edits_first()) for s in (StoreCheckpointer(store), in_memory()))
    kept: list[Any] = []
    for number in range(20):
        result = ours.invoke(question(number), thread())
        assert same(result, beside.invoke(question(number), thread()))
        kept.append(result)
        for old in kept:
            old["messages"][number % len(old["messages"])].content = "changed by its holder"
            old["messages"].insert(0, old["messages"].pop())
            old["messages"][0].additional_kwargs["scribble"] = number
    values = [[s.values for s in graph.get_state_history(thread())] for graph in (ours, beside)]
    assert same(*values)
