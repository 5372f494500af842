"""Delta channels: values that are rebuilt from a snapshot and the writes after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages
from langgraph.types import Command, Overwrite, Send, StateUpdate, interrupt

from .harness import Run, scenario, thread
from .models import Log, says


def extend(value: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*value, *(item for write in writes for item in write)]


def merge(value: dict[str, Any], writes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    merged = dict(value)
    for write in writes:
        merged.update(write)
    return merged


class Rare(TypedDict):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=1000)]


class Often(TypedDict):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=3)]


class Always(TypedDict):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=1)]


class Several(TypedDict):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=2)]
    table: Annotated[dict[str, Any], DeltaChannel(merge, snapshot_frequency=5)]
    plain: int


class Chat(TypedDict):
    messages: Annotated[list[Any], DeltaChannel(_messages_delta_reducer, snapshot_frequency=4)]


class PlainChat(TypedDict):
    messages: Annotated[list[Any], add_messages]


def line(schema: Any, *words: str) -> StateGraph[Any]:
    builder = StateGraph(schema)
    before = START
    for word in words:
        builder.add_node(word, says(word))
        builder.add_edge(before, word)
        before = word
    return builder


async def walked(run: Run, *channels: str, name: str = "t") -> None:
    """At every checkpoint the saver's own walk equals the one of the base class."""
    base = BaseCheckpointSaver
    for found in await run.stored(thread(name)):
        config = found.config
        own = await run.call(
            lambda config=config: run.saver.get_delta_channel_history(
                config=config, channels=channels
            ),
            lambda config=config: run.saver.aget_delta_channel_history(
                config=config, channels=channels
            ),
        )
        reference = await run.call(
            lambda config=config: base.get_delta_channel_history(
                run.saver, config=config, channels=channels
            ),
            lambda config=config: base.aget_delta_channel_history(
                run.saver, config=config, channels=channels
            ),
        )
        assert own == reference
        run.record("walk", own)


def grows(schema: type[Any]) -> None:
    async def each(run: Run) -> None:
        graph = line(schema, "a", "b").compile(run.saver)
        for turn in range(4):
            result = await run.invoke(graph, {"log": [f"in {turn}"]})
        expected = [word for turn in range(4) for word in (f"in {turn}", "a", "b")]
        assert result["log"] == expected
        assert (await run.state(graph)).values["log"] == expected
        await walked(run, "log")
        await run.close_of(graph)

    each.__name__ = f"turns_with_snapshots_{schema.__name__.lower()}"
    scenario()(each)


for _schema in (Rare, Often, Always):
    grows(_schema)


@scenario()
async def several_channels(run: Run) -> None:
    def node(state: Several) -> dict[str, Any]:
        count = state["plain"]
        return {"log": [f"{count}"], "table": {f"k{count}": (count,)}, "plain": count + 1}

    builder = StateGraph(Several)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(run.saver)
    await run.invoke(graph, {"plain": 0})
    for _ in range(4):
        result = await run.invoke(graph, {"table": {"k0": "changed"}})
    assert list(result["table"]) == ["k0", "k1", "k2", "k3", "k4"]
    await walked(run, "table", "log", "missing")
    await run.close_of(graph)


@scenario()
async def branches_do_not_mix(run: Run) -> None:
    graph = line(Rare, "a").compile(run.saver)
    await run.invoke(graph, {"log": ["root"]})
    fork_at = (await run.state(graph)).config
    for name in ("left", "right"):
        result = await run.invoke(graph, {"log": [name]}, fork_at)
        assert result["log"] == ["root", "a", name, "a"]
    result = await run.invoke(graph, {"log": ["more"]})
    assert result["log"] == ["root", "a", "right", "a", "more", "a"]
    await walked(run, "log")
    await run.close_of(graph)


@scenario(durabilities=("sync", "async"))
async def run_again_and_copied(run: Run) -> None:
    graph = line(Often, "a", "b", "c").compile(run.saver)
    await run.invoke(graph, {"log": ["in"]})
    middle = next(s for s in await run.history(graph) if s.next == ("b",))
    assert (await run.invoke(graph, None, middle.config))["log"] == ["in", "a", "b", "c"]
    copy = await run.update(graph, middle.config, None, as_node="__copy__")
    assert (await run.invoke(graph, None, copy))["log"] == ["in", "a", "b", "c"]
    await walked(run, "log")
    await run.close_of(graph)


@scenario()
async def changed_by_hand(run: Run) -> None:
    graph = line(Often, "a", "b").compile(run.saver)
    await run.update(graph, thread(), {"log": ["first"]}, as_node="b")
    assert (await run.state(graph)).values["log"] == ["first"]
    await run.invoke(graph, {"log": ["in"]})
    for word in "xyz":
        await run.update(graph, thread(), {"log": [word]}, as_node="b")
    steps = [[StateUpdate({"log": ["p"]}, "a"), StateUpdate({"log": ["q"]}, "b")]]
    await run.bulk_update(graph, thread(), steps)
    result = await run.invoke(graph, {"log": ["end"]})
    assert result["log"][:3] == ["first", "in", "a"]
    await walked(run, "log")
    await run.close_of(graph)


@scenario()
async def overwritten(run: Run) -> None:
    builder = line(Rare, "a")
    builder.add_node("reset", lambda state: {"log": Overwrite([str(len(state["log"]))])})
    builder.add_edge("a", "reset")
    graph = builder.compile(run.saver)
    for word in "xy":
        result = await run.invoke(graph, {"log": [word]})
    assert result["log"] == ["3"]
    await walked(run, "log")
    await run.close_of(graph)


@scenario()
async def parallel_writes_in_order(run: Run) -> None:
    """Twelve tasks of one step: rebuilt in the order in which they were applied."""
    words = list("lakdjbhcgief")
    builder = StateGraph(Rare)
    builder.add_node("piece", lambda word: {"log": [word]})
    builder.add_node("end", says("end"))
    builder.add_conditional_edges(START, lambda s: [Send("piece", w) for w in words], ["piece"])
    builder.add_edge("piece", "end")
    graph = builder.compile(run.saver)
    result = await run.invoke(graph, {"log": []})
    assert result["log"] == [*words, "end"]
    assert (await run.state(graph)).values["log"] == [*words, "end"]
    await walked(run, "log")
    await run.close_of(graph)


@scenario()
async def question_in_between(run: Run) -> None:
    builder = line(Rare, "a")
    builder.add_node("ask", lambda s: {"log": [f"{interrupt('?')} of {len(s['log'])}"]})
    builder.add_edge("a", "ask")
    graph = builder.compile(run.saver)
    for turn in range(2):
        await run.invoke(graph, {"log": [f"in {turn}"]})
        await run.state(graph)
        result = await run.invoke(graph, Command(resume="yes"))
    assert result["log"] == ["in 0", "a", "yes of 2", "in 1", "a", "yes of 5"]
    await walked(run, "log")
    await run.close_of(graph)


@scenario()
async def conversation(run: Run) -> None:
    """Messages get ids that stay; replaced and removed ones are rebuilt so."""

    def node(state: Chat) -> dict[str, Any]:
        count = len(state["messages"])
        drop = [RemoveMessage(id="h0")] if count == 5 else []
        return {"messages": [*drop, AIMessage(f"counter {count}", id="counter")]}

    builder = StateGraph(Chat)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(run.saver)
    for turn in range(5):
        result = await run.invoke(graph, {"messages": [HumanMessage(f"{turn}", id=f"h{turn}")]})
    ids = [m.id for m in result["messages"]]
    assert ids == ["counter", "h1", "h2", "h3", "h4"]
    assert [m.id for m in (await run.state(graph)).values["messages"]] == ids
    await walked(run, "messages")
    await run.close_of(graph)


@scenario()
async def ids_that_stay(run: Run) -> None:
    """Messages given without ids have the same ones at every reading."""
    builder = StateGraph(Chat)
    builder.add_node("node", lambda state: {"messages": [AIMessage("ok")]})
    builder.add_edge(START, "node")
    graph = builder.compile(run.saver)
    for word in "ab":
        await run.invoke(graph, {"messages": [{"role": "user", "content": word}]})
    first = [m.id for m in (await run.state(graph)).values["messages"]]
    second = [m.id for m in (await run.state(graph)).values["messages"]]
    assert first == second
    assert None not in first
    await run.close_of(graph)


@scenario()
async def reducer_changed_to_delta(run: Run) -> None:
    """A thread begun with a plain channel goes on with a delta channel: the old value is the seed,
    and the first write after the change is kept."""
    for number, (old, new) in enumerate(((Log, Rare), (PlainChat, Chat))):
        config = thread(f"t{number}")
        key = "log" if old is Log else "messages"

        def value(text: str, key: str = key) -> list[Any]:
            return [text] if key == "log" else [HumanMessage(text, id=text)]

        def node(state: Any, key: str = key) -> dict[str, Any]:
            made = f"out {len(state[key])}"
            return {key: [made] if key == "log" else [AIMessage(made, id=made)]}

        graphs = []
        for schema in (old, new):
            builder = StateGraph(schema)
            builder.add_node("node", node)
            builder.add_edge(START, "node")
            graphs.append(builder.compile(run.saver))
        before, after = graphs
        for word in ("a", "b"):
            await run.invoke(before, {key: value(word)}, config)
        assert len((await run.state(after, config)).values[key]) == 4
        await run.update(after, config, {key: value("by hand")})
        assert len((await run.state(after, config)).values[key]) == 5
        await run.invoke(after, {key: value("c")}, config)
        result = await run.invoke(after, {key: value("d")}, config)
        assert len(result[key]) == 9
        await walked(run, key, name=f"t{number}")
        await run.close_of(after, config)


@scenario(durabilities=("sync",), styles=("sync", "mixed"))
async def durabilities_in_turn(run: Run) -> None:
    graph = line(Often, "a", "b").compile(run.saver)
    expected: list[str] = []
    for turn, durability in enumerate(("exit", "sync", "exit", "async", "exit", "exit")):
        result = await run.invoke(graph, {"log": [f"{turn}"]}, durability=durability)
        expected += [f"{turn}", "a", "b"]
        assert result["log"] == expected
        assert (await run.state(graph)).values["log"] == expected
    await walked(run, "log")
    await run.close_of(graph)
