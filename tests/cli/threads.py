"""Twenty-two threads, made by real graphs on LangGraph's savers."""

from __future__ import annotations

import asyncio
import decimal
import operator
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from .shapes import Bag, Leg, Mood, Plan

LONG = 150
Config = dict[str, Any]
Graph = Any


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


class Anything(TypedDict):
    value: Any
    count: int


class Word(TypedDict):
    word: str


def extend(value: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*value, *(item for write in writes for item in write)]


class Often(TypedDict):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=3)]
    plain: int


class Rare(TypedDict):
    log: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=1000)]


def config(name: str, **more: Any) -> Config:
    return {"configurable": {"thread_id": name, **more}}


def says(word: str) -> Callable[[Any], dict[str, Any]]:
    return lambda state: {"log": [word]}


def asks(word: str) -> Callable[[Any], dict[str, Any]]:
    return lambda state: {"log": [f"{word}={interrupt(word)}"]}


def line(schema: Any, **nodes: Callable[[Any], Any]) -> StateGraph[Any]:
    builder = StateGraph(schema)
    before = START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder


def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"answer {len(state['messages'])}")]}


async def aanswer(state: MessagesState) -> dict[str, Any]:
    return answer(state)


def chat() -> StateGraph[Any]:
    return line(MessagesState, answer=answer)


def questions() -> StateGraph[Any]:
    return line(Log, first=says("first"), one=asks("one"), two=asks("two"), last=says("last"))


def around(sub: Any) -> StateGraph[Any]:
    return line(Log, before=says("before"), sub=sub, after=says("after"))


def inherited() -> StateGraph[Any]:
    return around(line(Log, in1=says("in1"), ask=asks("deep"), in2=says("in2")).compile())


def own() -> StateGraph[Any]:
    return around(line(Log, in1=says("in1"), in2=says("in2")).compile(checkpointer=True))


def broken() -> StateGraph[Any]:
    def breaks(state: Log) -> dict[str, Any]:
        if "mend" not in state["log"]:
            raise ValueError("it broke")
        return {"log": ["whole"]}

    return line(Log, first=says("first"), breaks=breaks)


def fan() -> StateGraph[Any]:
    def one(state: Word) -> dict[str, Any]:
        word = state["word"]
        return {"log": [f"{word}!" if word != "b" else f"b={interrupt('b?')}"]}

    builder = StateGraph(Log)
    builder.add_node("start", says("start"))
    builder.add_node("one", one)
    builder.add_edge(START, "start")
    builder.add_conditional_edges(
        "start", lambda state: [Send("one", {"word": word}) for word in "abc"], ["one"]
    )
    return builder


def often() -> StateGraph[Any]:
    return line(Often, a=says("a"), b=says("b"), c=lambda state: {"log": ["c"], "plain": 1})


def rare() -> StateGraph[Any]:
    return line(Rare, a=says("a"), b=says("b"))


EVERYTHING: dict[str, Any] = {
    "at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "for": timedelta(days=1, seconds=2),
    "price": decimal.Decimal("1.50"),
    "id": uuid.UUID(int=7),
    "set": {"a", "b", "c"},
    "bytes": b"\x00\xff",
    "path": Path("a") / "b",
    "document": Document(page_content="text", metadata={"page": 1}),
    "nested": [{"x": [1, None, True, 2.5]}],
    1: "one",
}
SHAPES: dict[str, Any] = {
    "leg": Leg("Oslo", "Bergen"),
    "bag": Bag(2.5, ["socks"]),
    "plan": Plan(title="Trip", mood=Mood.calm, bags=[Bag(1.0)]),
    "mood": Mood.hurried,
}


def holds(value: Any) -> Callable[[], StateGraph[Any]]:
    def build() -> StateGraph[Any]:
        return line(
            Anything,
            keep=lambda state: {"value": value, "count": 1},
            more=lambda state: {"count": state["count"] + 1},
        )

    return build


def turns(graph: Graph, name: str, count: int, **more: Any) -> None:
    for number in range(count):
        graph.invoke({"messages": [HumanMessage(f"question {number}")]}, config(name), **more)


def _fork(graph: Graph, name: str) -> None:
    turns(graph, name, 3)
    old = list(graph.get_state_history(config(name)))[4]
    graph.update_state(old.config, {"messages": [HumanMessage("otherwise")]}, as_node="answer")
    turns(graph, name, 1)


def _travel(graph: Graph, name: str) -> None:
    turns(graph, name, 3)
    history = list(graph.get_state_history(config(name)))
    graph.invoke(None, history[5].config)
    graph.invoke({"messages": [HumanMessage("from there")]}, history[3].config)


def _copy(graph: Graph, name: str) -> None:
    turns(graph, name, 2)
    graph.update_state(graph.get_state(config(name)).config, None, as_node="__copy__")


def _fails(graph: Graph, name: str) -> None:
    with suppress(ValueError):
        graph.invoke({"log": []}, config(name))


def _mended(graph: Graph, name: str) -> None:
    _fails(graph, name)
    graph.update_state(config(name), {"log": ["mend"]}, as_node="first")
    graph.invoke(None, config(name))


def _answered(graph: Graph, name: str, answers: str, start: Any = None) -> None:
    graph.invoke({"log": []} if start is None else start, config(name))
    for word in answers:
        graph.invoke(Command(resume=word), config(name))


def _several(graph: Graph, name: str, **more: Any) -> None:
    for word in "xyz":
        graph.invoke({"log": [word]}, config(name), **more)


Made = tuple[Callable[[], StateGraph[Any]], Callable[[Graph, str], Any]]
THREADS: dict[str, Made] = {
    "long": (chat, lambda graph, name: turns(graph, name, LONG)),
    "sync": (chat, lambda graph, name: turns(graph, name, 2, durability="sync")),
    "exit": (chat, lambda graph, name: turns(graph, name, 3, durability="exit")),
    "owned": (
        chat,
        lambda graph, name: graph.invoke(
            {"messages": [("user", "hi")]},
            {**config(name, user_id="ana"), "metadata": {"tier": "gold", "retries": 2}},
        ),
    ),
    "interrupted": (questions, lambda graph, name: _answered(graph, name, "")),
    "half answered": (questions, lambda graph, name: _answered(graph, name, "x")),
    "answered": (questions, lambda graph, name: _answered(graph, name, "xy")),
    "forked": (chat, _fork),
    "travelled": (chat, _travel),
    "copied": (chat, _copy),
    "updated": (
        chat,
        lambda graph, name: graph.update_state(config(name), {"messages": [("user", "alone")]}),
    ),
    "inherited": (inherited, lambda graph, name: _answered(graph, name, "")),
    "inherited/done": (inherited, lambda graph, name: _answered(graph, name, "x")),
    "own": (own, _several),
    "often": (often, _several),
    "rare": (rare, _several),
    "rare exit": (rare, lambda graph, name: _several(graph, name, durability="exit")),
    "failed": (broken, _fails),
    "mended": (broken, _mended),
    "fan": (fan, lambda graph, name: _answered(graph, name, "")),
    "everything": (holds(EVERYTHING), lambda graph, name: graph.invoke({"count": 0}, config(name))),
    "shapes": (holds(SHAPES), lambda graph, name: graph.invoke({"count": 0}, config(name))),
}
ASYNC: dict[str, Made] = {
    "async": (
        lambda: line(MessagesState, answer=aanswer),
        lambda graph, name: graph.ainvoke({"messages": [HumanMessage("hi")]}, config(name)),
    ),
    "async interrupted": (
        questions,
        lambda graph, name: graph.ainvoke({"log": []}, config(name), durability="async"),
    ),
}
RESUMED = ["interrupted", "half answered", "inherited", "fan", "async interrupted"]
"""Threads that wait for answers."""


def build(path: Path) -> None:
    """Make the database, by both savers."""
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        saver = SqliteSaver(connection)
        for name, (builder, run) in THREADS.items():
            run(builder().compile(checkpointer=saver), name)

    async def more() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            for name, (builder, run) in ASYNC.items():
                await run(builder().compile(checkpointer=saver), name)

    asyncio.run(more())


ALL = {**THREADS, **ASYNC}
SMALL = [name for name in ALL if name != "long"]
"""Threads that are compared quickly."""
