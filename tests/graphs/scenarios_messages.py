"""Conversations that are edited: removals, replacements, messages changed in place."""

from __future__ import annotations

import time
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from .harness import WAITED, Run, scenario, thread


def one_node(saver: Any, node: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(saver)


def second_node(saver: Any, node: Any) -> Any:
    """Once the first node is done, the put of the run's input is, too."""
    builder = StateGraph(MessagesState)
    builder.add_node("first", lambda state: None)
    builder.add_node("node", node)
    builder.add_edge(START, "first")
    builder.add_edge("first", "node")
    return builder.compile(saver)


def texts(messages: list[Any]) -> list[str]:
    return [str(m.content) for m in messages]


async def talk(run: Run, graph: Any, *words: str) -> Any:
    result = None
    for word in words:
        result = await run.invoke(graph, {"messages": [HumanMessage(word, id=f"h-{word}")]})
    return result


@scenario()
async def remove_one(run: Run) -> None:
    """The node forgets the oldest message once there are more than three."""

    def node(state: MessagesState) -> dict[str, Any]:
        drop = [RemoveMessage(id=str(m.id)) for m in state["messages"][:-3]]
        return {"messages": [*drop, AIMessage(f"after {len(state['messages'])}")]}

    graph = one_node(run.saver, node)
    result = await talk(run, graph, "a", "b", "c", "d")
    assert texts(result["messages"])[-2:] == ["d", "after 5"]
    assert len(result["messages"]) == 4
    await run.close_of(graph)


@scenario()
async def remove_all_then_go_on(run: Run) -> None:
    def node(state: MessagesState) -> dict[str, Any]:
        if len(state["messages"]) < 4:
            return {"messages": [AIMessage("more")]}
        summary = SystemMessage(f"summary of {len(state['messages'])}")
        return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), summary]}

    graph = one_node(run.saver, node)
    result = await talk(run, graph, "a", "b", "c", "d")
    assert texts(result["messages"]) == ["summary of 5", "d", "more"]
    await run.close_of(graph)


@scenario()
async def same_id_replaces(run: Run) -> None:
    """A message in the middle is replaced every turn; older checkpoints keep the old text."""

    def node(state: MessagesState) -> dict[str, Any]:
        count = len(state["messages"])
        return {"messages": [AIMessage(f"counter {count}", id="counter")]}

    graph = one_node(run.saver, node)
    result = await talk(run, graph, "a", "b", "c")
    assert texts(result["messages"]) == ["a", "counter 4", "b", "c"]
    ends = [s for s in await run.history(graph) if not s.next]
    assert [texts(s.values["messages"])[1] for s in ends] == ["counter 4", "counter 3", "counter 1"]
    await run.close_of(graph)


@scenario()
async def summary_put_in_front(run: Run) -> None:
    def node(state: MessagesState) -> dict[str, Any]:
        kept = state["messages"][-2:]
        front = SystemMessage(f"{len(state['messages'])} so far", id="front")
        return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), front, *kept, AIMessage("ok")]}

    graph = one_node(run.saver, node)
    result = await talk(run, graph, "a", "b", "c", "d")
    assert texts(result["messages"]) == ["5 so far", "ok", "d", "ok"]
    await run.close_of(graph)


@scenario(durabilities=WAITED)
async def changed_in_place_and_returned(run: Run) -> None:
    """The same object with new content: what was put is what must be read."""

    def node(state: MessagesState) -> dict[str, Any]:
        time.sleep(0.05)  # what the step before wrote is stored on another thread meanwhile
        first = state["messages"][0]
        first.content = f"{first.content}!"
        first.additional_kwargs["seen"] = len(state["messages"])
        first.additional_kwargs.setdefault("all", []).append(len(state["messages"]))
        return {"messages": [first, AIMessage("ok")]}

    graph = second_node(run.saver, node)
    result = await talk(run, graph, "a", "b", "c")
    assert texts(result["messages"])[0] == "a!!!"
    assert result["messages"][0].additional_kwargs == {"seen": 5, "all": [1, 3, 5]}
    ends = [s for s in await run.history(graph) if not s.next]
    assert [texts(s.values["messages"])[0] for s in ends] == ["a!!!", "a!!", "a!"]
    await run.close_of(graph)


@scenario(durabilities=WAITED)
async def changed_in_place_and_kept_quiet(run: Run) -> None:
    """Changed but not returned: the step's put of the channel carries the change along."""

    def node(state: MessagesState) -> dict[str, Any]:
        state["messages"][0].content = f"{state['messages'][0].content}?"
        return {"messages": [AIMessage("ok")]}

    graph = second_node(run.saver, node)
    await talk(run, graph, "a", "b", "c")
    await run.close_of(graph)


@scenario()
async def what_was_read_is_not_shared(run: Run) -> None:
    """A reader may change what it was given; nobody else may see that."""
    graph = one_node(run.saver, lambda state: {"messages": [AIMessage("ok", id="ok")]})
    message = HumanMessage("a", id="h", additional_kwargs={"tags": ["kept"]})
    result = await run.invoke(graph, {"messages": [message]})
    message.additional_kwargs["tags"].append("given in")
    result["messages"][0].additional_kwargs["tags"].append("result")
    result["messages"].append(HumanMessage("intruder"))
    for _ in range(2):
        state = await run.state(graph)
        assert state.values["messages"][0].additional_kwargs == {"tags": ["kept"]}
        state.values["messages"][0].additional_kwargs["tags"].append("state")
        state.values["messages"][1].content = "forged"
        state.values["messages"].clear()
    for snapshot in await run.history(graph):
        for found in snapshot.values.get("messages", []):
            found.content = "forged"
    for stored in await run.stored():
        for value in stored.checkpoint["channel_values"].values():
            if isinstance(value, list):
                value.clear()
        stored.metadata["step"] = 99
        stored.checkpoint["channel_versions"].clear()
    state = await run.state(graph)
    assert texts(state.values["messages"]) == ["a", "ok"]
    await run.invoke(graph, {"messages": [HumanMessage("b", id="h2")]})
    await run.close_of(graph)


@scenario()
async def messages_without_ids(run: Run) -> None:
    """Ids are given on the way; from then on they stay what they are."""
    graph = one_node(run.saver, lambda state: {"messages": [AIMessage("ok"), ("ai", "and more")]})
    await run.invoke(graph, {"messages": [("user", "a"), {"role": "user", "content": "b"}]})
    first = (await run.state(graph)).values["messages"]
    await run.invoke(graph, {"messages": "c"})
    second = (await run.state(graph)).values["messages"]
    assert [m.id for m in second[: len(first)]] == [m.id for m in first]
    assert len({m.id for m in second}) == len(second) == 7
    await run.close_of(graph)


@scenario()
async def edited_by_hand(run: Run) -> None:
    """update_state replaces, removes and adds messages between turns."""
    graph = one_node(run.saver, lambda state: {"messages": [AIMessage("ok")]})
    await talk(run, graph, "a", "b")
    await run.update(graph, thread(), {"messages": [HumanMessage("A", id="h-a")]})
    await run.update(graph, thread(), {"messages": [RemoveMessage(id="h-b")]}, as_node="node")
    await run.update(graph, thread(), {"messages": [SystemMessage("new", id="s")]})
    result = await talk(run, graph, "c")
    assert texts(result["messages"]) == ["A", "ok", "ok", "new", "c", "ok"]
    await run.close_of(graph)
