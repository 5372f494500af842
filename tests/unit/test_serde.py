"""The codec: what was put is what is read, type for type."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime as dt
import enum
import functools
import gc
import ipaddress
import math
import pathlib
import re
import struct
import sys
import threading
import types
import uuid
import weakref
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import ormsgpack
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core import agents, documents, messages, outputs, prompt_values
from langchain_core.documents.base import Blob
from langchain_core.messages.base import TextAccessor
from langchain_core.runnables.utils import AddableDict
from langgraph import types as lg
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.store.base import GetOp, Item, SearchItem

from threadloom.errors import SerializationError, UntrustedType
from threadloom.serde import Codec, Opaque

CODEC = Codec(strict=False)
STANDARD = ("builtins", "collections", "pathlib", "pathlib._local")
PYDANTIC_STATE = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


def assert_same(put: Any, got: Any, path: str = "value") -> None:
    """Equal in type, content and order at every depth; NaN equals NaN, -0.0 is not 0.0."""
    assert type(put) is type(got), f"{path}: {type(put)} became {type(got)}"
    mutable = (list, dict, set, deque, bytearray, pydantic.BaseModel)
    assert put is not got or not isinstance(put, mutable), f"{path}: one object is shared"
    if isinstance(put, enum.Enum) or put is None:
        assert put is got, path
        return
    if isinstance(put, pydantic.BaseModel):
        for name in PYDANTIC_STATE:
            assert_same(getattr(put, name), getattr(got, name), f"{path}.{name}")
    if isinstance(put, float):
        assert struct.pack("d", put) == struct.pack("d", got), path
    elif isinstance(put, dict):
        assert len(put) == len(got), path
        for one, other in zip(dict.items(put), dict.items(got), strict=True):
            assert_same(one, other, f"{path}[{one[0]!r}]")
    elif isinstance(put, (set, frozenset)):
        assert len(put) == len(got), path
        rest = list(got)
        for item in put:
            match = next(other for other in rest if type(other) is type(item) and other == item)
            assert_same(item, match, f"{path}{{}}")
            rest.remove(match)
    elif isinstance(put, (list, tuple, deque)):
        assert len(put) == len(got), path
        for index, (one, other) in enumerate(zip(put, got, strict=True)):
            assert_same(one, other, f"{path}[{index}]")
    elif isinstance(put, (str, bytes, bytearray, int)):
        assert put == got, path
    if isinstance(put, deque):
        assert put.maxlen == got.maxlen
    if isinstance(put, defaultdict):
        assert put.default_factory is got.default_factory
    if isinstance(put, (dt.datetime, dt.time)):
        assert (put.isoformat(), put.fold, repr(put)) == (got.isoformat(), got.fold, repr(got))
        assert_same(put.tzinfo, got.tzinfo, f"{path}.tzinfo")
    state = {
        name
        for cls in type(put).__mro__
        for name, item in vars(cls).items()
        if type(item) is types.MemberDescriptorType and name not in PYDANTIC_STATE
    }
    for name in sorted(state) if type(put).__module__ not in STANDARD else ():
        has = hasattr(put, name)
        assert has == hasattr(got, name), f"{path}.{name}"
        if has and not isinstance(put, (deque, defaultdict)):
            assert_same(getattr(put, name), getattr(got, name), f"{path}.{name}")
    if hasattr(put, "__dict__"):
        caches = {n for c in type(put).__mro__ for n, i in vars(c).items() if is_cache(i)}
        assert_same(
            {name: item for name, item in vars(put).items() if name not in caches},
            dict(vars(got)),
            f"{path}.__dict__",
        )


def is_cache(item: Any) -> bool:
    return isinstance(item, functools.cached_property)


def round_trip(value: Any) -> Any:
    return CODEC.loads(CODEC.dumps(value))


T = TypeVar("T")


# --- the application's classes ----------------------------------------------------------------


class Color(enum.Enum):
    RED = 1
    GREEN = "green"
    CRIMSON = 1


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Mixed(str, enum.Enum):  # noqa: UP042 - the older spelling is what is tested
    A = "a"


class Perm(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    EXEC = enum.auto()
    RW = READ | WRITE


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5
    tags: list[str] = dataclasses.field(default_factory=list)
    total: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.total = 7
        self._hidden = {"not": ("a", "field")}


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: tuple[Any, ...] = ()


@dataclasses.dataclass(slots=True)
class HalfSet:
    here: int
    unset: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Cached:
    n: int

    @functools.cached_property
    def lock(self) -> Any:
        return threading.Lock()


@dataclasses.dataclass
class SlotsAndDict(HalfSet):
    more: Any = None


class Outer:
    @dataclasses.dataclass
    class Inner:
        value: Any

    class Model(pydantic.BaseModel):
        n: int = 3

    class Shade(enum.Enum):
        DARK = 1


class Pair(NamedTuple):
    left: Any
    right: Any = None


Old = namedtuple("Old", "a b")


class PairPlus(Old):
    """A named tuple's subclass with an instance ``__dict__``."""


class Model(pydantic.BaseModel):
    a: int
    b: list[Any] = pydantic.Field(default_factory=list)
    c: Any = None
    _secret: Any = pydantic.PrivateAttr(default=None)
    _unset: int = pydantic.PrivateAttr()


class Child(Model):
    nested: Outer.Model = Outer.Model()
    aliased: int = pydantic.Field(default=1, alias="otherName")


class Extra(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    a: int = 1


class WithCache(pydantic.BaseModel):
    n: int

    @functools.cached_property
    def lock(self) -> Any:
        return threading.Lock()


@pydantic.dataclasses.dataclass
class Checked:
    n: int
    other: tuple[int, ...] = (1,)


@dataclasses.dataclass
class Pseudo(Generic[T]):
    item: T
    start: dataclasses.InitVar[int] = 3
    shared: ClassVar[list[int]] = []

    def __post_init__(self, start: int) -> None:
        self.begun = start


class Root(pydantic.RootModel[list[Any]]):
    pass


class Sensitive(pydantic.BaseModel):
    text: pydantic.SecretStr
    raw: pydantic.SecretBytes
    url: pydantic.HttpUrl
    dsn: pydantic.PostgresDsn
    at: dt.datetime


class Box(pydantic.BaseModel, Generic[T]):
    item: T


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(validate_assignment=True)
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 0:
            raise ValueError("negative")
        return value


class MyDict(dict): ...


class MyList(list): ...


class MyTuple(tuple): ...


class MySet(set): ...


class MyFrozenSet(frozenset): ...


class MyStr(str): ...


class MyBytes(bytes): ...


class MyByteArray(bytearray): ...


class MyInt(int): ...


class MyFloat(float): ...


class MyComplex(complex): ...


class MyDeque(deque): ...


class MyOrdered(OrderedDict): ...


class MyDefault(defaultdict): ...


class MyCounter(Counter): ...


class SlottedStr(str):
    __slots__ = ("note",)


class Lying(dict):
    """Everything that could be asked lies; only the stored items count."""

    def __iter__(self) -> Any:
        return iter(())

    def items(self) -> Any:
        return ()

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError("asked")


def with_attributes(value: Any, **attributes: Any) -> Any:
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def cached(kind: Any) -> Any:
    value = kind(n=3)
    assert value.lock
    return value


def model_with_private() -> Model:
    model = Model(a=1, b=[(1, 2)], c=Color.RED)
    model._secret = {"k": (1,)}
    return model


def with_deleted_field() -> Any:
    message = messages.AIMessage("x")
    del message.__dict__["name"]
    return message


def without_extra() -> Any:
    message = messages.HumanMessage("x")
    object.__setattr__(message, "__pydantic_extra__", None)
    return message


def reordered() -> Any:
    message = messages.HumanMessage("x", id="1")
    message.__dict__ = dict(reversed(message.__dict__.items()))
    return message


NOW = dt.datetime(2024, 3, 31, 2, 30, 15, 123456, tzinfo=dt.UTC)
OSLO = ZoneInfo("Europe/Oslo")

PLAIN: dict[str, Any] = {
    "none": None,
    "true": True,
    "one": 1,
    "one-point": 1.0,
    "minus-zero": -0.0,
    "nan": math.nan,
    "inf": [math.inf, -math.inf],
    "64-bit": [2**63 - 1, -(2**63), 2**64 - 1],
    "beyond": [2**64, -(2**63) - 1, 10**300, -(10**300)],
    "text": "æøå 🙂 \x00 end",
    "surrogate": "a\udc80b\ud800",
    "surrogate-key": {"\udc80": 1, "b": "\ud800", "c": [{"\ud800": ()}]},
    "high-char": "\uffff \U0010ffff",
    "bytes": b"\x00\xff",
    "bytearray": [bytearray(b"abc"), b"abc"],
    "tuple": [(), (1,), [1], (1, (2, [3, (4,)]))],
    "dict-order": {"z": 1, "a": 2, "m": {"y": 1, "b": 2}},
    "odd-keys": {1: "a", "1": "b", None: "c", 2.5: "d", (1, 2): "e", b"1": "f", (): "g"},
    "true-key": {True: 1, "True": 2},
    "enum-key": {Color.RED: 1, Frozen(1, (2,)): 2, Word.YES: 3},
    "keys-of-subclass": {MyStr("a"): 1, MyInt(3): 2},
    "sets": [{1, "1", (1,)}, frozenset({frozenset({1}), "x"}), set(), frozenset()],
    "deque": [deque([1, (2,)], maxlen=5), deque(), deque([1], maxlen=1)],
    "ordered": OrderedDict([("b", 1), ("a", (2,)), (3, 4)]),
    "default": [defaultdict(list, {"a": [1]}), defaultdict(None, {1: 2}), defaultdict(int)],
    "counter": Counter({"a": 2, 1: -3}),
    "complex": [complex(1, -0.0), complex(math.inf, 2)],
    "decimal": [Decimal("1.10"), Decimal("-0"), Decimal("1E+99"), Decimal("Infinity")],
    "fraction": [Fraction(1, 3), Fraction(-(10**40), 7)],
    "range": [range(3), range(10, 0, -2), range(10**30)],
    "slice": slice(1, None, (2,)),
    "datetime": [
        NOW,
        NOW.replace(tzinfo=None),
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=OSLO, fold=1),
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=OSLO, fold=0),
        NOW.astimezone(dt.timezone(dt.timedelta(hours=-5, microseconds=3), "X")),
        NOW.astimezone(dt.timezone(dt.timedelta(minutes=90))),
        dt.datetime(1, 1, 1),  # noqa: DTZ001 - naive on purpose
        dt.datetime.max.replace(tzinfo=dt.UTC),
    ],
    "pydantic-zone": pydantic.TypeAdapter(dt.datetime).validate_python("2024-01-01T00:00+02:00"),
    "date": [dt.date.min, dt.date(2024, 2, 29)],
    "time": [dt.time(1, 2, 3, 4), dt.time(1, tzinfo=dt.UTC, fold=1), dt.time(2, tzinfo=OSLO)],
    "timedelta": [dt.timedelta(days=-1, microseconds=1), dt.timedelta.max],
    "zones": [dt.UTC, OSLO, dt.timezone(dt.timedelta(hours=1), "CET\udc80")],
    "uuid": [
        uuid.UUID(int=5),
        uuid.UUID(int=6, is_safe=uuid.SafeUUID.unsafe),
        uuid.UUID(int=7, is_safe=uuid.SafeUUID.safe),
    ],
    "paths": [
        pathlib.PurePosixPath("/a/ b"),
        pathlib.PureWindowsPath("C:\\x\\y"),
        pathlib.Path("rel/../x"),
        pathlib.PurePosixPath("bad\udcff"),
        pathlib.PurePosixPath(),
    ],
    "patterns": [
        re.compile("(?i)a+", re.MULTILINE),
        re.compile(b"x\xff", re.DOTALL),
        re.compile("a", re.ASCII),
    ],
    "addresses": [
        ipaddress.ip_address("1.2.3.4"),
        ipaddress.ip_address("fe80::1%eth0"),
        ipaddress.ip_interface("1.2.3.4/24"),
        ipaddress.ip_interface("::1/64"),
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("2001:db8::/32"),
    ],
}

CLASSES: dict[str, Any] = {
    "enums": [Color.RED, Color.GREEN, Color.CRIMSON, Level.HIGH, Word.YES, Mixed.A],
    "nested-enum": Outer.Shade.DARK,
    "flags": [Perm.READ, Perm.RW, Perm.READ | Perm.EXEC, Perm(0), Bits.ONE | Bits.TWO, Bits(0)],
    "flag-unknown-bit": Bits(9),
    "dataclass": [Point(1), Point(2, 3.0, ["a"])],
    "frozen": Frozen(1, (2, [3])),
    "half-set": [HalfSet(1), with_attributes(HalfSet(2), unset=3)],
    "slots-and-dict": with_attributes(SlotsAndDict(1, more=[(1,)]), note="extra"),
    "cached-property": cached(Cached),
    "nested-classes": [Outer.Inner({"a": (1,)}), Outer.Model(n=4)],
    "named-tuples": [Pair(1), Pair(1, [2]), Old(1, (2,))],
    "named-tuple-dict": with_attributes(PairPlus(1, 2), note=(3,)),
    "model": [Model(a=1), Model(a=2, b=[]), Model(a=1, c=Frozen(1)), model_with_private()],
    "child": [Child(a=1), Child(a=1, otherName=4, nested=Outer.Model(n=9))],
    "model-construct": [Model.model_construct(b=1), Model.model_construct({"a"}, a="not an int")],
    "extra": [Extra(), Extra(a=2, z=(1, 2), y=Color.RED)],
    "root": Root([1, (2,), {"a": 1}]),
    "sensitive": Sensitive(
        text="s", raw=b"r", url="https://a.b/c?d=é", dsn="postgres://u:p@h1,h2/db", at=NOW
    ),
    "cached-model": cached(WithCache),
    "pydantic-dataclass": Checked(n="3"),
    "pseudo-fields": Pseudo(item=(1,), start=4),
    "generic": [Box[int](item=1), Box(item="x")],
    "invalid-now": Strict.model_construct(number=-1),
    "mutable-raw": [MyByteArray(b"abc"), MyDeque([1, (2,)], 5), MyDeque([1])],
    "subclasses": [
        MyDict(a=(1,)),
        MyList([1, (2,)]),
        MyTuple((1, [2])),
        MySet({1}),
        MyFrozenSet({2}),
        MyStr("a\udc80"),
        MyBytes(b"b"),
        MyInt(2**70),
        MyFloat(-0.0),
        MyComplex(1, -0.0),
        MyOrdered([("b", 1), ("a", 2)]),
        MyDefault(list, {1: [2]}),
        MyCounter("aab"),
    ],
    "attributes": [
        with_attributes(MyDict({1: 2}), note=(1,)),
        with_attributes(MyStr("a"), note=MyInt(1)),
        with_attributes(SlottedStr("a"), note=[1]),
    ],
}

MESSAGES: dict[str, Any] = {
    "base": messages.BaseMessage("x", type="custom"),
    "base-chunk": messages.BaseMessageChunk("x", type="custom"),
    "human": messages.HumanMessage("hello", id="1", name="ana"),
    "human-blocks": messages.HumanMessage(
        [{"type": "text", "text": "a"}, {"type": "image", "base64": "xx", "mime_type": "image/png"}]
    ),
    "human-extra": messages.HumanMessage("x", example=True, other=(1, 2)),
    "human-chunk": messages.HumanMessageChunk("x"),
    "ai": messages.AIMessage(
        "hi",
        tool_calls=[{"name": "t", "args": {"a": (1,)}, "id": "c", "type": "tool_call"}],
        invalid_tool_calls=[
            {"name": "t", "args": "{", "id": "d", "error": "e", "type": "invalid_tool_call"}
        ],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model": "m"},
        additional_kwargs={"k": [1]},
    ),
    "ai-set-to-default": messages.AIMessage("hi", tool_calls=[], additional_kwargs={}),
    "ai-chunk": messages.AIMessageChunk(
        "h",
        tool_call_chunks=[
            {"name": "t", "args": '{"a', "id": "c", "index": 0, "type": "tool_call_chunk"}
        ],
        chunk_position="last",
    ),
    "system": messages.SystemMessage("s"),
    "system-chunk": messages.SystemMessageChunk("s"),
    "chat": messages.ChatMessage("c", role="r"),
    "chat-chunk": messages.ChatMessageChunk("c", role="r"),
    "tool": messages.ToolMessage("t", tool_call_id="c", artifact={"rows": [(1, Point(1))]}),
    "tool-error": messages.ToolMessage("t", tool_call_id="c", status="error"),
    "tool-chunk": messages.ToolMessageChunk("t", tool_call_id="c"),
    "function": messages.FunctionMessage("f", name="n"),
    "function-chunk": messages.FunctionMessageChunk("f", name="n"),
    "remove": messages.RemoveMessage(id="1"),
    "like-defaults": [
        messages.HumanMessage.model_construct(content="x", name=False, additional_kwargs=()),
        messages.HumanMessage.model_construct(content="x", response_metadata=OrderedDict()),
        messages.HumanMessage.model_construct(content="x", type=MyStr("human")),
    ],
    "without-a-field": with_deleted_field(),
    "without-content": messages.HumanMessage.model_construct(id="1"),
    "without-extra": without_extra(),
    "other-order": reordered(),
    "surrogate": messages.HumanMessage("").model_copy(
        update={"content": "a\ud800", "id": "\ud801"}
    ),
    "text-accessor": messages.AIMessage("some text").text,
}

LIBRARY: dict[str, Any] = {
    "document": documents.Document("text", id="1", metadata={"a": (1,)}),
    "blob": Blob.from_data(b"x", mime_type="text/plain"),
    "agent-action": agents.AgentAction("tool", {"a": 1}, "log"),
    "agent-action-log": agents.AgentActionMessageLog(
        tool="t", tool_input="i", log="l", message_log=[messages.AIMessage("x")]
    ),
    "agent-finish": agents.AgentFinish({"a": 1}, "log"),
    "agent-step": agents.AgentStep(action=agents.AgentAction("t", "i", "l"), observation=(1,)),
    "prompt-values": [
        prompt_values.StringPromptValue(text="x"),
        prompt_values.ChatPromptValue(messages=[messages.HumanMessage("x")]),
        prompt_values.ChatPromptValueConcrete(messages=[messages.HumanMessage("x")]),
        prompt_values.ImagePromptValue(image_url={"url": "u"}),
    ],
    "generations": [
        outputs.Generation(text="x"),
        outputs.GenerationChunk(text="x"),
        outputs.ChatGeneration(message=messages.AIMessage("x")),
        outputs.ChatGenerationChunk(message=messages.AIMessageChunk("x")),
        outputs.ChatResult(generations=[]),
        outputs.LLMResult(generations=[[outputs.Generation(text="x")]]),
    ],
    "addable-dict": AddableDict(a=(1,)),
    "send": [
        lg.Send("n", {"a": (1,)}),
        lg.Send("n", None, timeout=lg.TimeoutPolicy(run_timeout=1.5)),
    ],
    "interrupt": [lg.Interrupt(("v",), id="i"), lg.Interrupt(1, response_schema={"type": "x"})],
    "command": [
        lg.Command(),
        lg.Command(update={"a": Color.RED}, goto=[lg.Send("n", 1), "m"], resume=(1,)),
        lg.Command(graph=lg.Command.PARENT, goto=()),
    ],
    "overwrite": lg.Overwrite((1,)),
    "delta-snapshot": _DeltaSnapshot([1, (2,)]),
    "items": [
        Item(value={"a": (1,)}, key="k", namespace=("a", "b"), created_at=NOW, updated_at=NOW),
        SearchItem(("a",), "k", {"v": 1}, NOW, NOW, score=0.5),
        GetOp(("a",), "k"),
    ],
    "snapshot": lg.StateSnapshot(
        {"a": 1},
        ("n",),
        {"configurable": {"thread_id": "1"}},
        None,
        None,
        None,
        (lg.PregelTask("i", "n", ("a", 1), result={"x": 1}),),
        (),
    ),
}

TABLE = {**PLAIN, **CLASSES, **MESSAGES, **LIBRARY}


@pytest.mark.parametrize("name", TABLE)
def test_every_type_comes_back_as_it_was(name: str) -> None:
    value = TABLE[name]
    assert_same(value, round_trip(value))
    assert_same({"deep": [(value,)]}, round_trip({"deep": [(value,)]}))


@pytest.mark.parametrize("name", TABLE)
def test_writing_changes_nothing_and_gives_the_same_bytes_again(name: str) -> None:
    value = TABLE[name]
    first = CODEC.dumps(value)
    assert CODEC.dumps(value) == first
    assert_same(value, CODEC.loads(first))


def test_the_table_has_every_message_class() -> None:
    covered = {type(value) for value in MESSAGES.values()}
    declared = {
        item
        for name in messages.__all__
        if isinstance(item := getattr(messages, name), type)
        and issubclass(item, messages.BaseMessage)
    }
    assert declared <= covered
    assert type(MESSAGES["text-accessor"]) is TextAccessor


def test_the_comparison_of_these_tests_can_fail() -> None:
    pairs: list[tuple[Any, Any]] = [
        (1, True),
        ((1,), [1]),
        (0.0, -0.0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (deque([1], 2), deque([1], 3)),
        (MyStr("a"), "a"),
        (HalfSet(1), with_attributes(HalfSet(1), unset=3)),
        (Model(a=1, b=[]), Model(a=1)),
        (model_with_private(), Model(a=1, b=[(1, 2)], c=Color.RED)),
        (with_attributes(MyDict(), note=1), MyDict()),
    ]
    for one, other in pairs:
        with pytest.raises(AssertionError):
            assert_same(one, other)


def test_nan_decimal_keeps_its_text() -> None:
    assert str(round_trip(Decimal("-sNaN12"))) == "-sNaN12"


# --- generated values --------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs", "Lu"]), max_size=4)
    | st.binary()
)
hashable = st.recursive(
    scalars | st.decimals(allow_nan=False) | st.uuids() | st.dates() | st.sampled_from(Color),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
values = st.recursive(
    hashable | st.binary().map(bytearray) | st.datetimes() | st.timedeltas() | st.fractions(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=3)
        | st.lists(inner, max_size=3).map(deque)
        | st.builds(Outer.Inner, inner)
        | st.builds(Pair, inner, inner)
        | st.builds(lambda item: Model(a=1, c=item), inner)
        | st.builds(lambda item: messages.ToolMessage("x", tool_call_id="1", artifact=item), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(values)
def test_any_nested_value_comes_back_as_it_was(value: Any) -> None:
    assert_same(value, round_trip(value))


# --- exceptions, and what cannot be stored -------------------------------------------------------


def test_exceptions_become_their_repr_as_in_langgraph() -> None:
    assert round_trip([ValueError("x"), KeyboardInterrupt()]) == [
        "ValueError('x')",
        "KeyboardInterrupt()",
    ]
    assert round_trip(ValueError("\ud800")) == repr(ValueError("\ud800"))


class Plain:
    """Neither data class nor built-in."""


class MyDateTime(dt.datetime): ...


REFUSED: dict[str, Any] = {
    "function": round_trip,
    "lambda": lambda: 1,
    "builtin-function": len,
    "class": Point,
    "module": math,
    "lock": threading.Lock(),
    "generator": (i for i in range(3)),
    "memoryview": memoryview(b"x"),
    "object": object(),
    "instance": Plain(),
    "datetime-subclass": MyDateTime(2024, 1, 1),
    "extension": ormsgpack.Ext(3, b"x"),
    **({"fragment": ormsgpack.Fragment(b"\xc0")} if hasattr(ormsgpack, "Fragment") else {}),
    "opaque": Opaque("a:B", 1),
    "exception-class": ValueError,
    "default-factory": defaultdict(lambda: 1),
    "factory-of-the-application": defaultdict(MyDict),
    "other-zone": dt.datetime(2024, 1, 1, tzinfo=type("Zone", (dt.tzinfo,), {})()),
    "dict-view": {}.keys(),
    "proxy": types.MappingProxyType({}),
    "struct-sequence": sys.version_info,
    "userdict": collections.UserDict(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stored_is_refused_by_place_and_type(name: str) -> None:
    value = REFUSED[name]
    with pytest.raises(SerializationError) as caught:
        CODEC.dumps({"a": [1, (value,)]}, where="channel 'x'")
    text = str(caught.value)
    assert text.startswith("cannot store channel 'x'['a'][1][0]")
    assert f"{type(value).__module__}.{type(value).__qualname__}" in text


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({(1,): Plain()}, "value[<tuple>]"),
        ({3: Plain()}, "value[3]"),
        (Outer.Inner([Plain()]), "value['value'][0]"),
        (messages.HumanMessage("x", additional_kwargs={"k": Plain()}), ".additional_kwargs['k']"),
    ],
)
def test_the_error_names_the_place(value: Any, place: str) -> None:
    with pytest.raises(SerializationError, match=re.escape(place)):
        CODEC.dumps(value)


def test_an_open_file_is_refused(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "x").open("w") as file, pytest.raises(SerializationError, match="_io"):
        CODEC.dumps([file])


def test_cycles_are_refused() -> None:
    own_list: list[Any] = []
    own_list.append(own_list)
    own_dict: dict[str, Any] = {}
    own_dict["self"] = {"again": own_dict}
    own_model = Model(a=1)
    own_model.c = [own_model]
    for value in (own_list, own_dict, own_model):
        with pytest.raises(SerializationError, match="contains itself"):
            CODEC.dumps(value)


@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, lambda v: {1: v}, Outer.Inner],
    ids=["list", "tuple", "dict", "odd-dict", "dataclass"],
)
def test_deep_nesting(wrap: Any) -> None:
    value: Any = None
    for _ in range(200):
        value = wrap(value)
    again = round_trip(value)
    for _ in range(200):
        assert type(again) is type(value)
        again = again.value if isinstance(again, Outer.Inner) else next(iter(_children(again)))
    assert again is None
    with pytest.raises(SerializationError, match="deeper than 200"):
        CODEC.dumps(wrap(value))
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError, match="deeper than 200"):
        CODEC.dumps(value)
    while isinstance(value, list) and value:  # or its own clean-up would recurse
        value = value.pop()


def _children(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def test_lying_subclasses_are_read_by_their_base() -> None:
    value = Lying()
    dict.__setitem__(value, "a", 1)
    again = round_trip(value)
    assert type(again) is Lying
    assert dict(dict.items(again)) == {"a": 1}


# --- messages are small ---------------------------------------------------------------------


def test_defaults_of_messages_are_not_stored_and_come_back_fresh() -> None:
    message = messages.AIMessage("text", id="1")
    data = CODEC.dumps(message)
    assert len(data) < 40
    assert b"tool_calls" not in data
    assert b"AIMessage" not in data
    one, two = CODEC.loads(data), CODEC.loads(data)
    one.tool_calls.append("x")
    one.additional_kwargs["a"] = 1
    assert_same(message, two)


def test_a_page_of_messages_is_not_larger_than_langgraphs() -> None:
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    page = [messages.HumanMessage("x" * 400, id=str(n)) for n in range(20)]
    assert len(CODEC.dumps(page)) < 0.85 * len(JsonPlusSerializer().dumps_typed(page)[1])


# --- classes that their name does not lead to ---------------------------------------------------


def make_local(**options: bool) -> Any:
    @dataclasses.dataclass(**options)
    class Local:
        n: int

    return Local


def test_a_local_class_loads_in_this_process() -> None:
    value = make_local()(3)
    assert_same(value, round_trip(value))


def test_local_classes_of_one_name_are_not_mixed_up() -> None:
    def make(field: str) -> Any:
        return dataclasses.make_dataclass("Twin", [field], namespace={"__module__": __name__})

    one, same, other = make("n"), make("n"), make("text")
    for cls in (one, same, other):
        cls.__module__, cls.__qualname__ = __name__, "make.<locals>.Twin"
    first = CODEC.dumps(one(1))
    assert_same(one(1), CODEC.loads(first))
    assert_same(same(2), round_trip(same(2)))  # made again by the same function
    data = CODEC.dumps(other("x"))
    for stored in (first, data):
        with pytest.raises(UntrustedType, match="several classes"):
            CODEC.loads(stored)
    assert_same(other("x"), Codec(allow=[other]).loads(data))
    del other, cls
    gc.collect()
    assert type(CODEC.loads(first)) in (one, same)


@pytest.mark.parametrize("slots", [False, True])
def test_a_stored_class_is_not_kept_alive(slots: bool) -> None:
    local = make_local(slots=slots)
    gc.collect()
    data = CODEC.dumps(local(3))
    CODEC.loads(data)
    reference = weakref.ref(local)
    del local
    gc.collect()
    assert reference() is None
    assert CODEC.loads_opaque(data).value == {"n": 3}


def test_a_parametrised_generic_in_no_namespace() -> None:
    value = Box[dict[str, int]](item={"a": 1})
    assert vars(sys.modules[__name__]).get("Box[dict[str, int]]") is None
    assert_same(value, round_trip(value))


# --- threads, copies ---------------------------------------------------------------------------


def test_one_codec_serves_many_threads() -> None:
    value = [TABLE["ai"], TABLE["dataclass"], TABLE["flags"], "\ud800"]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                assert_same(value, round_trip(value))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_codec_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        CODEC.strict = True
    with pytest.raises(AttributeError, match="cannot be changed"):
        del CODEC.strict
    assert copy.deepcopy(CODEC) is CODEC
    assert copy.copy(CODEC) is CODEC


# --- NumPy ---------------------------------------------------------------------------------------


def test_numpy() -> None:
    np = pytest.importorskip("numpy")
    base = np.arange(12, dtype="f8").reshape(3, 4)
    arrays = [
        base,
        np.asfortranarray(base),
        base[::2, ::-1],
        base.T,
        np.zeros((0, 3)),
        np.array(5),
        np.array(["a", "bc"]),
        np.array([b"a"]),
        np.array(["2024-01-01"], dtype="M8[ns]"),
        np.array([1], dtype=">i4"),
        np.array([True]),
        np.array([1 + 2j]),
        np.array([1], dtype=np.longlong),
    ]
    for array in arrays:
        again = round_trip({"a": array})["a"]
        assert type(again) is np.ndarray
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert again.tobytes() == array.tobytes()
        assert again.flags.writeable
    assert round_trip(np.asfortranarray(base)).flags.f_contiguous
    for scalar in (
        *(np.float64(1.5), np.float32(2), np.int8(-1), np.bool_(True), np.str_("x")),
        *(np.bytes_(b"x"), np.datetime64("2024-01-01", "D"), np.complex64(1j), np.longlong(3)),
    ):
        again = round_trip(scalar)
        assert type(again) is type(scalar)
        assert again == scalar
        assert again.dtype == scalar.dtype
    for bad in (np.array([object()]), np.array([(1, 2)], dtype="i4,f8"), np.ma.array([1])):
        with pytest.raises(SerializationError):
            CODEC.dumps(bad)


def test_an_opaque_value_is_readable() -> None:
    value = Opaque("shop:Order", {"id": 3, "lines": [1]})
    assert repr(value) == "<Order(id=3, lines=[1])>"
    assert repr(Opaque("shop:Color", "RED")) == "<Color 'RED'>"
    assert hash(value) == hash(Opaque("shop:Order", {"lines": [1], "id": 3}))
    assert hash(value) != hash(Opaque("shop:Order", {"lines": [2], "id": 3}))
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.value = 1  # type: ignore[misc]


@pytest.mark.parametrize(("width", "depth"), [(1, 100), (20, 60), (40, 30), (60, 20), (150, 10)])
def test_what_was_stored_can_be_read_however_it_nests(width: int, depth: int) -> None:
    value: Any = None
    for _ in range(width):
        inner: Any = 1
        for _ in range(depth):
            inner = [inner]
        value = (value, inner)
    if width == 1:
        assert CODEC.loads(CODEC.dumps(value)) == value
    else:
        with pytest.raises(SerializationError, match="deep"):
            CODEC.dumps(value)
