"""State of other kinds: pydantic, dataclasses, private keys, plain data, long-term memory."""

from __future__ import annotations

import dataclasses
import operator
from collections import deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import UUID

from langgraph.channels import EphemeralValue, Topic, UntrackedValue
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt
from pydantic import BaseModel, Field

from .harness import WAITED, Run, scenario, thread
from .models import Log, says


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    street: str
    tags: list[str] = Field(default_factory=list)


class Person(BaseModel):
    name: str
    homes: Annotated[list[Address], operator.add] = Field(default_factory=list)
    favourite: Colour | None = None


@dataclasses.dataclass
class Point:
    x: int
    y: int


@dataclasses.dataclass
class Drawing:
    points: Annotated[list[Point], operator.add] = dataclasses.field(default_factory=list)
    title: str = "untitled"


class Pair(NamedTuple):
    left: int
    right: str


@scenario()
async def pydantic_state(run: Run) -> None:
    def node(state: Person) -> dict[str, Any]:
        assert isinstance(state, Person)
        assert all(isinstance(home, Address) for home in state.homes)
        return {"homes": [Address(street=f"{len(state.homes)} street")], "favourite": Colour.BLUE}

    builder = StateGraph(Person)
    builder.add_node("node", node)
    builder.add_node("ask", lambda state: {"name": interrupt(state.homes[-1])})
    builder.add_edge(START, "node")
    builder.add_edge("node", "ask")
    graph = builder.compile(run.saver)
    await run.invoke(graph, Person(name="ana", homes=[Address(street="x", tags=["old"])]))
    waiting = (await run.state(graph)).interrupts
    assert waiting[0].value == Address(street="1 street")
    result = await run.invoke(graph, Command(resume="ben"))
    assert result["favourite"] is Colour.BLUE
    await run.invoke(graph, {"homes": [], "name": "carl"})
    await run.close_of(graph)


@scenario()
async def dataclass_state(run: Run) -> None:
    def node(state: Drawing) -> dict[str, Any]:
        return {"points": [Point(len(state.points), 0)]}

    builder = StateGraph(Drawing)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(run.saver)
    await run.invoke(graph, Drawing(points=[Point(5, 5)]))
    result = await run.invoke(graph, {"title": "named"})
    assert result["points"] == [Point(5, 5), Point(1, 0), Point(2, 0)]
    await run.close_of(graph)


class Data(TypedDict):
    value: Any
    seen: Annotated[list[Any], operator.add]


VALUES: list[Any] = [
    None,
    True,
    1,
    1.0,
    -0.0,
    float("inf"),
    2**63 - 1,
    "",
    "é\u0301 \U0001f600",
    b"\x00\xff",
    (1, (2, [3])),
    {"b": 1, "a": {"z": (), "y": []}},
    {1, 2},
    frozenset({"a"}),
    deque([1, 2]),
    datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
    date(2024, 2, 29),
    timedelta(days=1, microseconds=1),
    Decimal("1.10"),
    UUID(int=7),
    PurePosixPath("a/b"),
    Colour.RED,
    Point(1, 2),
    Address(street="s", tags=["t"]),
]


@scenario(styles=("sync", "async"))
async def plain_data(run: Run) -> None:
    """Types are kept: tuples stay tuples, sets sets, the application's classes themselves."""
    builder = StateGraph(Data)
    builder.add_node("node", lambda state: {"seen": [state["value"], repr(state["value"])]})
    builder.add_edge(START, "node")
    graph = builder.compile(run.saver)
    for value in VALUES:
        await run.invoke(graph, {"value": value})
        found = (await run.state(graph)).values["value"]
        assert type(found) is type(value)
        assert found == value
    await run.close_of(graph)


@scenario()
async def equal_values_of_other_types(run: Run) -> None:
    """1, True and 1.0 are equal and are three values; a channel put again is what it is now."""
    builder = StateGraph(Data)
    builder.add_node("node", says("unused"))
    builder.add_node("pass", lambda state: {"seen": [state["value"]]})
    builder.add_edge(START, "pass")
    graph = builder.compile(run.saver)
    for value in (1, True, 1.0, [1], [True], (1,), {"k": 1}, {"k": 1.0}, 0, False, -0.0, 0.0):
        await run.invoke(graph, {"value": value})
    seen = (await run.state(graph)).values["seen"]
    assert [repr(v) for v in seen[:5]] == ["1", "True", "1.0", "[1]", "[True]"]
    await run.close_of(graph)


class Growing(TypedDict):
    items: list[Any]
    table: dict[str, Any]
    text: str


@scenario()
async def lists_and_dicts_that_change(run: Run) -> None:
    """Plain channels replaced by longer, shorter, edited and reordered values."""

    def node(state: Growing) -> dict[str, Any]:
        return {"text": state["text"] + "x" * 300, "items": [*state["items"], {"n": [1]}]}

    builder = StateGraph(Growing)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(run.saver)
    lists: list[list[Any]] = [[1, 2], [1, 2, 3], [3, 2, 1], [], ["a", ["b"]], ["a", ["b", "c"]]]
    tables: list[dict[str, Any]] = [
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
        {"a": 1},
        {},
        {"c": {"d": [1]}},
        {"c": {"d": [1, 2]}, "e": None},
    ]
    for items, table in zip(lists, tables, strict=True):
        await run.invoke(graph, {"items": items, "table": table, "text": ""})
        now = (await run.state(graph)).values
        assert now["items"] == [*items, {"n": [1]}]
        assert list(now["table"].items()) == list(table.items())
    await run.close_of(graph)


class Public(TypedDict):
    log: Annotated[list[str], operator.add]


class Secret(TypedDict):
    secret: str


@scenario()
async def private_state(run: Run) -> None:
    """A key that only some nodes see is stored, and not in the output."""

    def first(state: Public) -> dict[str, Any]:
        return {"secret": f"s{len(state['log'])}", "log": ["first"]}

    def second(state: Secret) -> dict[str, Any]:
        return {"log": [state["secret"]]}

    builder = StateGraph(Public)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    graph = builder.compile(run.saver, interrupt_before=["second"])
    await run.invoke(graph, {"log": []})
    result = await run.invoke(graph, None)
    assert result == {"log": ["first", "s0"]}
    await run.close_of(graph)


class Channels(TypedDict):
    log: Annotated[list[str], operator.add]
    topic: Annotated[list[str], Topic(str, accumulate=True)]
    once: Annotated[str, EphemeralValue(str)]
    loose: Annotated[str, UntrackedValue(str)]


@scenario(durabilities=WAITED)
async def other_channels(run: Run) -> None:
    """Topics, values for one step only, and values that are never stored."""

    def first(state: Any) -> dict[str, Any]:
        return {"topic": ["t1", "t2"], "once": "now", "loose": "never stored", "log": ["first"]}

    def second(state: Any) -> dict[str, Any]:
        return {"log": [str(state.get("once")), str(state.get("loose")), *state["topic"]]}

    builder = StateGraph(Channels)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    graph = builder.compile(run.saver)
    for _ in range(2):
        result = await run.invoke(graph, {"log": []})
    assert "now" in result["log"]
    for found in await run.stored():
        assert "loose" not in found.checkpoint["channel_values"]
    await run.close_of(graph)


@dataclasses.dataclass
class Who:
    user: str


@scenario()
async def long_term_memory(run: Run) -> None:
    """Nodes read and write the store that was given beside the checkpointer."""

    def node(state: Log, runtime: Runtime[Who]) -> dict[str, Any]:
        assert runtime.store is not None
        place = ("facts", runtime.context.user)
        known = runtime.store.search(place)
        runtime.store.put(place, f"fact {len(known)}", {"said": state["log"][-1]})
        return {"log": [f"{runtime.context.user} knew {len(known)}"]}

    builder = StateGraph(Log, context_schema=Who)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    store = InMemoryStore()
    graph = builder.compile(run.saver, store=store)
    for name in ("one", "two"):
        await run.invoke(graph, {"log": ["hi"]}, thread(name), context=Who("ana"))
    await run.invoke(graph, {"log": ["hi"]}, thread("one"), context=Who("ben"))
    assert [i.value for i in store.search(("facts", "ana"))] == [{"said": "hi"}, {"said": "hi"}]
    await run.close_of(graph, thread("one"), thread("two"))


@scenario()
async def metadata_and_run_ids(run: Run) -> None:
    """What the caller adds to the config is found in the stored metadata."""
    builder = StateGraph(Log)
    builder.add_node("node", says("node"))
    builder.add_edge(START, "node")
    graph = builder.compile(run.saver)
    config = {
        **thread("t", user_id="ana", deep={"a": [1]}, __hidden="x"),
        "metadata": {"purpose": "test", "level": 3, "ok": True},
        "tags": ["one"],
        "run_id": UUID(int=5),
    }
    await run.invoke(graph, {"log": []}, config)
    await run.history(graph, filter={"purpose": "test"})
    await run.close_of(graph)
