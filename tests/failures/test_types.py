"""Types: what was put is what is read, through a graph and through the history."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import enum
import operator
import threading
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Interrupt, Send, interrupt

from threadloom import SerializationError, SessionManager, StoreCheckpointer, UntrustedType
from threadloom.store import Store

from .helpers import Door, chat_graph, config, line_graph, put


class Colour(enum.Enum):
    RED = "r"
    BLUE = ("b", 2)


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclasses.dataclass
class Leaf:
    colour: Colour
    tags: set[str]


@dataclasses.dataclass(frozen=True)
class Branch:
    leaves: tuple[Leaf, ...]
    best: Leaf | None = None

    class Inner(enum.Enum):
        A = 1

    inner: Inner = Inner.A


class Order(pydantic.BaseModel):
    id: UUID
    total: Decimal
    branch: Branch
    lines: list[tuple[str, int]] = []
    point: Point | None = None
    when: dt.datetime | None = None


LEAF = Leaf(Colour.BLUE, {"x", "y"})
BRANCH = Branch((LEAF, Leaf(Colour.RED, set())), LEAF)
ORDER = Order(
    id=UUID(int=7),
    total=Decimal("1.10"),
    branch=BRANCH,
    lines=[("a", 1)],
    point=Point(1, (2,)),
    when=dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Oslo")),
)
VALUES: dict[str, Any] = {
    "tuples": ((), (1,), (1, (2, [3, (4,)])), {"k": (1, 2)}),
    "sets": [{1, 2}, frozenset({("a", 1)}), set()],
    "one, true and one point zero": [1, True, 1.0, 0, False, 0.0, -0.0],
    "dict keys": {1: "int", "1": "str", (1, 2): "tuple", None: 0, Colour.RED: 1},
    "big integers": [2**63, 2**64, -(2**63) - 1, 10**50, -(10**50)],
    "numbers": [1 + 2j, Decimal("0.10"), Decimal("Infinity"), Fraction(1, 3), float("inf")],
    "times": [
        dt.datetime(2026, 1, 1),  # noqa: DTZ001
        dt.datetime(2026, 1, 1, 1, 2, 3, 4, tzinfo=dt.UTC),
        dt.datetime(2026, 7, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
        dt.date(2026, 1, 1),
        dt.time(1, 2, 3, 4),
        dt.timedelta(days=-1, microseconds=1),
    ],
    "bytes": [b"", b"\0\xff", bytearray(b"x")],
    "surrogates": ["\ud800", "a\udfffb", "\0", "🧵", {"\ud800": "\udc00"}],
    "enums": [Colour.RED, Colour.BLUE, Level.LOW, Rights.READ | Rights.WRITE, Branch.Inner.A],
    "nested enums": {"a": [Colour.RED, {"b": (Level.LOW,)}]},
    "records": [Point(1), Point(1, Point(2)), LEAF, BRANCH],
    "models": [ORDER, {"o": [ORDER]}],
    "paths": [Path("/a/b"), UUID(int=1)],
    "nothing": [None, [], {}, (), ""],
    "langgraph's": [Send("n", {"x": (1,)}), Interrupt(value=(1, 2), id="i")],
}


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(same(a, b) and same(x, y) for (a, x), (b, y) in pairs)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (set, frozenset)):
        by = sorted(one, key=repr), sorted(other, key=repr)
        return len(one) == len(other) and all(map(same, *by))
    if isinstance(one, pydantic.BaseModel):
        return same(dict(one.__dict__), dict(other.__dict__))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


class Box(TypedDict, total=False):
    value: Any
    kept: Annotated[list[Any], operator.add]


def box_graph(saver: Any, value: Any) -> Any:
    builder = StateGraph(Box)
    builder.add_node("make", lambda state: {"value": value, "kept": [value]})
    builder.add_node("hold", lambda state: {"kept": [interrupt(state["value"])]})
    builder.add_edge(START, "make")
    builder.add_edge("make", "hold")
    return builder.compile(checkpointer=saver)


@pytest.mark.parametrize("name", VALUES)
def test_a_graphs_state_keeps_every_type(do: Door, file_url: str, name: str) -> None:
    value = VALUES[name]
    with SessionManager(file_url) as sessions:
        graph = box_graph(sessions.checkpointer(), value)
        do(graph, "invoke", {"kept": [value]}, config("t"))
    with SessionManager(file_url) as sessions:
        graph = box_graph(sessions.checkpointer(), value)
        state = do(graph, "get_state", config("t"))
        assert same(state.values["value"], value)
        assert same(state.values["kept"], [value, value])
        assert same(state.interrupts[0].value, value)  # a pending write
        if name == "langgraph's":
            return  # a Send cannot be an answer
        result = do(graph, "invoke", Command(resume=[value]), config("t"))
        assert same(result["kept"], [value, value, [value]])


@pytest.mark.parametrize("name", VALUES)
def test_memory_keeps_every_type_and_hands_out_its_own(do: Door, name: str) -> None:
    value = VALUES[name]
    with SessionManager("memory://") as sessions:
        saver = sessions.checkpointer()
        put(do, saver, "t", "1", x=value)
        one = do(saver, "get_tuple", config("t")).checkpoint["channel_values"]["x"]
        two = do(saver, "get_tuple", config("t")).checkpoint["channel_values"]["x"]
        assert same(one, value)
        assert same(two, value)
        if isinstance(value, (list, dict)):
            assert one is not value
            assert one is not two


@pytest.mark.parametrize("name", [name for name in VALUES if name != "langgraph's"])
def test_a_history_keeps_every_type(do: Door, file_url: str, name: str) -> None:
    value = VALUES[name]
    with SessionManager(file_url) as sessions:
        made = AIMessage("x", additional_kwargs={"value": value}, response_metadata={"v": value})
        do(
            sessions.memory("s"),
            "add_messages",
            [made, ToolMessage("y", tool_call_id="1", artifact=value)],
        )
    with SessionManager(file_url) as sessions:
        one, two = do.history(sessions.memory("s"))
        assert same(one.additional_kwargs["value"], value)
        assert same(one.response_metadata["v"], value)
        assert same(two.artifact, value)


def test_what_is_changed_after_it_was_put_does_not_change_what_is_stored(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    value = {"a": [1]}
    put(do, saver, "t", "1", x=value)
    value["a"].append(2)
    found = do(saver, "get_tuple", config("t")).checkpoint["channel_values"]["x"]
    assert found == {"a": [1]}
    found["a"].append(3)
    again = do(saver, "get_tuple", config("t"))
    assert again.checkpoint["channel_values"]["x"] == {"a": [1]}
    message = AIMessage("x", additional_kwargs={"k": [1]})
    do(sessions.memory("t"), "add_messages", [message])
    message.additional_kwargs["k"].append(2)
    do.history(sessions.memory("t"))[0].additional_kwargs["k"].append(3)
    assert do.history(sessions.memory("t"))[0].additional_kwargs == {"k": [1]}


CALL: Any = {"name": "find", "args": {"q": (1, "ø"), "n": None}, "id": "c1", "type": "tool_call"}
PARTS: Any = [
    {"type": "text", "text": "look"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
    "plain",
]
USAGE: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
MESSAGES: list[BaseMessage] = [
    HumanMessage("hi", name="ana"),
    HumanMessage(PARTS),
    HumanMessage(""),
    HumanMessage([]),
    HumanMessage("lone \ud800 surrogate"),
    HumanMessage("nul \0 and 🧵"),
    HumanMessage([{"type": "text", "text": "\udfff"}]),
    AIMessage("", tool_calls=[CALL], usage_metadata=USAGE, response_metadata={"model": "m"}),
    AIMessage(
        "x",
        invalid_tool_calls=[
            {"name": "f", "args": "{", "id": "c", "error": "bad", "type": "invalid_tool_call"}
        ],
    ),
    AIMessage([{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "so"}]),
    AIMessageChunk(
        "x",
        tool_call_chunks=[
            {"name": "f", "args": '{"a"', "id": "c", "index": 0, "type": "tool_call_chunk"}
        ],
    ),
    AIMessageChunk("last", chunk_position="last", usage_metadata=USAGE),
    SystemMessage("be kind"),
    ToolMessage("done", tool_call_id="c1", status="error", artifact={"rows": [(1, 2)]}),
    ToolMessage(PARTS[:2], tool_call_id="c1"),
    FunctionMessage("r", name="f"),
    ChatMessage("c", role="critic"),
    HumanMessageChunk("h"),
    SystemMessageChunk("s"),
    ToolMessageChunk("t", tool_call_id="c"),
    FunctionMessageChunk("f", name="f"),
    ChatMessageChunk("c", role="r"),
    RemoveMessage(id="gone"),
]


def plain(message: BaseMessage) -> tuple[type, dict[str, Any]]:
    return type(message), message.model_dump()


def test_a_history_keeps_every_kind_of_message(do: Door, url: str) -> None:
    with SessionManager(url) as sessions:
        made = [m.model_copy(update={"id": m.id or f"m{n}"}) for n, m in enumerate(MESSAGES)]
        do(sessions.memory("s"), "add_messages", made)
        assert list(map(plain, do.history(sessions.memory("s")))) == list(map(plain, made))
        assert list(map(plain, do(sessions, "messages", "s"))) == list(map(plain, made))
        info = sessions.get_session("s")
        assert (info.message_count, info.total_tokens) == (len(made), 6)
        timed = do(sessions.memory("s"), "load_with_timestamps")
        assert [plain(item.message) for item in timed] == list(map(plain, made))


def test_a_graph_keeps_every_kind_of_message(do: Door, url: str) -> None:
    class Any_(TypedDict):
        messages: Annotated[list[AnyMessage], operator.add]

    with SessionManager(url) as sessions:
        made = [m.model_copy(update={"id": m.id or f"m{n}"}) for n, m in enumerate(MESSAGES)]
        builder = StateGraph(Any_)
        builder.add_node("say", lambda state: {"messages": made})
        builder.add_edge(START, "say")
        graph = builder.compile(checkpointer=sessions.checkpointer())
        do(graph, "invoke", {"messages": []}, config("t"))
        found = do(graph, "get_state", config("t")).values["messages"]
        assert list(map(plain, found)) == list(map(plain, made))
        assert list(map(plain, do(sessions, "messages", "t"))) == list(map(plain, made))


def test_equal_numbers_of_different_types_are_different_values(do: Door, store: Store) -> None:
    """`1 == True == 1.0`: writing one over the other must be noticed."""
    saver = StoreCheckpointer(store)
    parent = None
    for number, value in enumerate([1, True, 1.0, 0, False, 0.0]):
        put(do, saver, "t", str(number), parent=parent, x=value)
        parent = str(number)
        found = do(saver, "get_tuple", config("t")).checkpoint["channel_values"]["x"]
        assert type(found) is type(value)
    sessions = SessionManager(store)
    history = sessions.memory("t")
    for value in (1, True, 1.0):
        do(history, "add_messages", [AIMessage("x", id="m", additional_kwargs={"v": value})])
        found = do.history(history)[0].additional_kwargs["v"]
        assert type(found) is type(value)


# What cannot be stored


@pytest.mark.parametrize("deep", [False, True])
def test_a_value_that_cannot_be_stored_is_refused_when_it_is_written(
    do: Door, sessions: SessionManager, deep: bool
) -> None:
    saver = sessions.checkpointer()
    bad: Any = threading.Lock()
    value = {"list": [1, (bad,)]} if deep else bad
    good = box_graph(saver, "fine")
    do(good, "invoke", {"kept": ["first"]}, config("t"), durability="sync")
    before = do(good, "get_state", config("t"))
    listed = do(saver, "list", config("t"))
    info = sessions.get_session("t")

    def refuse(state: Any) -> Any:
        return {"value": value}

    builder = StateGraph(Box)
    builder.add_node("bad", refuse)
    builder.add_edge(START, "bad")
    graph = builder.compile(checkpointer=saver)
    with pytest.raises(SerializationError, match="lock") as caught:
        do(graph, "invoke", {"kept": ["x"]}, config("new"), durability="sync")
    assert "'value'" in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert do(graph, "get_state", config("new")).values.get("value") is None

    with pytest.raises(SerializationError, match="'kept'"):
        do(graph, "update_state", config("t"), {"kept": [value]}, as_node="bad")
    after = do(good, "get_state", config("t"))
    assert (after.values, after.config, after.next) == (before.values, before.config, before.next)
    assert do(saver, "list", config("t")) == listed
    assert sessions.get_session("t") == info


def test_a_put_that_is_refused_leaves_the_session_as_it_was(
    do: Door, sessions: SessionManager
) -> None:
    saver = sessions.checkpointer()
    put(do, saver, "t", "1", x=1, y=2)
    named, info = config("t", checkpoint_id="1"), sessions.get_session("t")
    with pytest.raises(SerializationError, match=r"'y'.*lock"):
        put(do, saver, "t", "2", parent="1", x=3, y=threading.Lock())
    with pytest.raises(SerializationError, match=r"'y'.*lock"):
        do(saver, "put_writes", named, [("x", 1), ("y", threading.Lock())], "task")
    with pytest.raises(SerializationError):
        put(do, saver, "other", "1", x=threading.Lock())
    found = do(saver, "get_tuple", config("t"))
    assert found.checkpoint["channel_values"] == {"x": 1, "y": 2}
    assert found.pending_writes == []
    assert sessions.get_session("t") == info
    assert sessions.get_session("other") is None


class Secretive(pydantic.BaseModel):
    word: str


@pytest.mark.parametrize("narrow", ["variable", "allow-list"])
def test_under_an_allow_list_a_users_model_never_becomes_a_dict(
    do: Door, file_url: str, narrow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SessionManager(file_url) as sessions:
        put(do, sessions.checkpointer(), "t", "1", x=[Secretive(word="w")], y=Colour.RED)
    if narrow == "variable":
        monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    with SessionManager(file_url, allow=[Colour]) as sessions:
        saver = sessions.checkpointer()
        if narrow == "allow-list":
            saver = saver.with_allowlist([(Colour.__module__, "Colour")])
        with pytest.raises(UntrustedType, match="Secretive") as caught:
            do(saver, "get_tuple", config("t"))
        assert caught.value.type_name.endswith(":Secretive")
        assert "allow" in str(caught.value)
        with pytest.raises(UntrustedType):
            do(saver, "list", config("t"))
    with SessionManager(file_url, allow=[Colour, Secretive]) as sessions:
        found = do(sessions.checkpointer(), "get_tuple", config("t"))
        assert found.checkpoint["channel_values"] == {
            "x": [Secretive(word="w")],
            "y": Colour.RED,
        }


def test_a_strict_graph_with_its_own_schema_runs(
    do: Door, sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    with SessionManager("memory://") as strict:
        graph = line_graph(strict.checkpointer(), "a")
        do(graph, "invoke", {"log": ["x"]}, config("t"))
        assert do(graph, "invoke", {"log": ["y"]}, config("t"))["log"] == ["x", "a", "y", "a"]


def test_an_error_of_a_node_is_kept_as_its_text(do: Door, sessions: SessionManager) -> None:
    def fail(state: Any) -> Any:
        raise ValueError("boom \ud800")

    graph = line_graph(sessions.checkpointer(), "a", a=fail)
    with pytest.raises(ValueError, match="boom"):
        do(graph, "invoke", {"log": []}, config("t"))
    assert sessions.get_session("t").status == "error"
    (task,) = do(graph, "get_state", config("t")).tasks
    assert "boom" in str(task.error)


def test_metadata_of_a_run_is_kept_and_filtered_by(do: Door, sessions: SessionManager) -> None:
    graph = chat_graph(sessions.checkpointer())
    named = {**config("t"), "metadata": {"order": 1, "when": "now"}}
    do(graph, "invoke", {"messages": [HumanMessage("x")]}, named)
    (newest,) = do(sessions.checkpointer(), "list", config("t"), filter={"order": 1}, limit=1)
    assert newest.metadata["when"] == "now"
    assert asyncio.run(graph.aget_state(config("t"))).metadata["when"] == "now"
