"""Frozen elements: fresh copies, and no change that goes unnoticed."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import gc
import struct
import threading
from typing import Any

import numpy as np
import ormsgpack
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core import messages

from threadloom.checkpoint import frozen as module
from threadloom.checkpoint import sameness
from threadloom.checkpoint.comparing import (
    Block,
    differing,
    first_differing,
    last_differing,
    same,
)
from threadloom.checkpoint.frozen import Frozen, freeze, thaw
from threadloom.serde import Codec

CODEC = Codec(strict=False)
MODEL_PARTS = ("__dict__", *pydantic.BaseModel.__slots__[1:])
MUTABLE = (list, dict, set, bytearray, collections.deque, pydantic.BaseModel)


class Text(str):
    __slots__ = ()


class Color(enum.StrEnum):
    RED = "red"


class Liar:
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Angry:
    def __eq__(self, other: object) -> bool:
        raise ValueError("not comparable")

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    x: Any
    y: Any = None
    _hidden: Any = pydantic.PrivateAttr(default_factory=list)


def chill(value: Any) -> Frozen:
    return freeze(value, CODEC.dumps, CODEC.loads)


def build(cls: Any) -> Any:
    """A message of any class."""
    if cls is messages.RemoveMessage:
        return cls(id="m")
    given = {"content": "text", "tool_call_id": "1", "role": "user", "name": "f", "id": "m"}
    return cls(**{name: item for name, item in given.items() if name in cls.model_fields})


def raw(value: Any) -> list[Any]:
    """What an instance consists of, or a container holds."""
    if isinstance(value, pydantic.BaseModel):
        return [object.__getattribute__(value, name) for name in MODEL_PARTS]
    if isinstance(value, Point):
        return [value.__dict__]
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return (
        list(value) if isinstance(value, (list, tuple, set, frozenset, collections.deque)) else []
    )


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, float):
        assert struct.pack("d", one) == struct.pack("d", other)
    elif isinstance(one, (set, frozenset)):
        assert sorted(map(_key, one)) == sorted(map(_key, other))
    else:
        inside, others = raw(one), raw(other)
        assert len(inside) == len(others)
        for item, its in zip(inside, others, strict=True):
            assert_same(item, its)
        if not inside and not isinstance(one, (pydantic.BaseModel, Point)):
            assert one == other


def _key(item: Any) -> tuple[str, str]:
    return type(item).__name__, repr(item)


def mutables(value: Any) -> dict[int, Any]:
    """Every mutable object that can be reached, by its identity."""
    found: dict[int, Any] = {}
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, (*MUTABLE, Point)):
            if id(item) in found:
                continue
            found[id(item)] = item
        rest += raw(item)
    return found


def mutate(item: Any) -> None:
    """Change a mutable object in place."""
    if isinstance(item, dict):
        item["an addition"] = 1
    elif isinstance(item, (list, collections.deque, bytearray)):
        item.append(1)
    elif isinstance(item, set):
        item.add("an addition")
    elif isinstance(item, Point):
        item.x = [item.x]
    else:
        object.__setattr__(item, "__pydantic_private__", {"an addition": 1})


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["", "\u0100\u0140\u0180", "\ud800", "naïve", -0.0, 0.0, 0, 1, True, 1.0]),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
exotic = st.one_of(
    st.binary(max_size=4),
    st.binary(max_size=4).map(bytearray),
    st.tuples(scalars),
    st.sets(st.integers(), max_size=3),
    st.sampled_from([Text("a"), Color.RED, 1j]).map(copy.copy),
    st.builds(Point, trees),
    st.builds(Model, x=trees, more=trees),
    st.dictionaries(st.integers(), scalars, max_size=2),
    trees.map(lambda tree: collections.defaultdict(list, a=tree)),
    trees.map(lambda tree: collections.deque([tree])),
)
anything = st.one_of(
    trees,
    exotic,
    st.lists(st.one_of(trees, exotic), max_size=2),
    st.dictionaries(st.text(max_size=3), st.one_of(trees, exotic), max_size=2),
)


@st.composite
def any_message(draw: st.DrawFn, content: st.SearchStrategy[Any] = anything) -> Any:
    cls = draw(st.sampled_from(list(sameness.KEYS)))
    value = build(cls)
    if draw(st.booleans()):
        return value
    state = value.__dict__
    for name in draw(st.lists(st.sampled_from(sorted(state)), max_size=3, unique=True)):
        state[name] = draw(content)
    parts = draw(
        st.sets(st.sampled_from(["set", "extra", "private", "other", "order"]), max_size=2)
    )
    if "set" in parts:
        some = st.sets(st.sampled_from([*sorted(state), "unknown"]))
        object.__setattr__(value, "__pydantic_fields_set__", draw(some))
    if "extra" in parts:
        object.__setattr__(
            value, "__pydantic_extra__", draw(st.none() | st.just({"e": draw(content)}))
        )
    if "private" in parts:
        object.__setattr__(value, "__pydantic_private__", {"_p": draw(content)})
    if "other" in parts:
        state["other"] = draw(content)
    if "order" in parts:
        state["content"] = state.pop("content")
    return value


elements = st.one_of(anything, any_message(), any_message(trees))


@settings(max_examples=400, deadline=None)
@given(st.lists(elements, max_size=5))
def test_a_copy_is_what_the_codec_makes(values: list[Any]) -> None:
    cold = [chill(value) for value in values]
    expected = [CODEC.loads(CODEC.dumps(value)) for value in values]
    for _ in range(2):
        for got, due in zip(thaw(cold), expected, strict=True):
            assert_same(got, due)
    assert all(type(one.size) is int and one.size > 0 for one in cold)


@settings(max_examples=300, deadline=None)
@given(elements)
def test_copies_share_nothing_mutable(value: Any) -> None:
    cold = chill(value)
    first, second = thaw([cold, cold])
    own = [mutables(first), mutables(second), mutables(value)]
    for name in {name for cls in type(cold).__mro__ for name in getattr(cls, "__slots__", ())}:
        own.append(mutables(getattr(cold, name)))
    sets = [set(found) for found in own[:3]] + [set().union(*map(set, own[3:]))]
    assert sum(map(len, sets)) == len(set().union(*sets))


@settings(max_examples=300, deadline=None)
@given(elements, st.data())
def test_every_change_in_place_is_noticed(value: Any, data: st.DataObject) -> None:
    cold = chill(value)
    (copied,) = thaw([cold])
    victims = list(mutables(copied).values())
    if not victims:
        return
    victim = data.draw(st.sampled_from(range(len(victims))))
    mutate(victims[victim])
    assert differing([cold], [copied]) == [0]
    many = thaw([cold] * 200)
    mutate(list(mutables(many[150]).values())[victim])
    assert 150 in differing([cold] * 200, many)
    if type(cold) is not module.Encoded:
        assert differing([cold] * 200, many) == [150]
        assert differing([cold] * 2, [value, *thaw([cold])]) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(any_message(trees) | trees, max_size=6))
def test_nothing_changed(values: list[Any]) -> None:
    cold = [chill(value) for value in values]
    fast = [index for index, one in enumerate(cold) if type(one) is not module.Encoded]
    for given_back in (values, thaw(cold), tuple(thaw(cold))):
        assert not set(differing(cold, given_back)) & set(fast)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(elements, st.none() | elements), min_size=1, max_size=6))
def test_the_first_and_the_last_that_differ(pairs: list[tuple[Any, Any]]) -> None:
    """By halves, and by a prepared block, they are found where looking at each finds them."""
    cold = [chill(one) for one, _ in pairs]
    values = [
        fresh if other is None else other
        for fresh, (_, other) in zip(thaw(cold), pairs, strict=True)
    ]
    changed = [at for at in range(len(cold)) if differing([cold[at]], [values[at]])]
    assert first_differing(cold, values) == (changed[0] if changed else None)
    assert last_differing(cold, values) == (changed[-1] if changed else None)
    assert same(cold, values) is Block(cold).same(values) is (not changed)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(elements, elements), min_size=1, max_size=4))
def test_another_value_is_told_apart(pairs: list[tuple[Any, Any]]) -> None:
    cold = [chill(one) for one, _ in pairs]
    changed = differing(cold, [other for _, other in pairs])
    for index, (mine, (_, other)) in enumerate(zip(thaw(cold), pairs, strict=True)):
        if index not in changed:
            assert_same(mine, CODEC.loads(CODEC.dumps(other)))


@settings(max_examples=100, deadline=None)
@given(st.lists(any_message(trees), min_size=1, max_size=8), st.data())
def test_a_block_grows(values: list[Any], data: st.DataObject) -> None:
    cold = [chill(value) for value in values]
    size = data.draw(st.integers(0, len(cold)))
    changed = thaw(cold)
    grown = Block(cold[:size]).extended(cold[size:])
    assert grown.length == len(cold)
    assert grown.same(thaw(cold)) is Block(cold).same(thaw(cold))
    mutate(changed[data.draw(st.integers(0, len(cold) - 1))])
    assert not grown.same(changed)
    assert not grown.same(thaw(cold)[:-1])


LOOKALIKES = [
    (1, [True, 1.0, np.int64(1), Liar(), Angry(), ormsgpack.Fragment(b"\x01")]),
    (True, [1, 1.0, Liar()]),
    (1.0, [1, True, np.float64(1.0)]),
    (0.0, [-0.0, 0, False]),
    (-0.0, [0.0, 0]),
    (None, [Liar(), False, ormsgpack.Fragment(b"\xc0")]),
    ("red", [Text("red"), Color.RED, np.str_("red"), Liar(), ormsgpack.Fragment(b"\xa3red")]),
    ([], [(), Liar(), collections.UserList(), ormsgpack.Fragment(b"\x90"), np.array([]), {}]),
    ([1], [(1,), [True], [1.0], [Liar()], np.array([1]), [ormsgpack.Fragment(b"\x01")]]),
    ({}, [collections.OrderedDict(), collections.defaultdict(list), collections.Counter(), []]),
    ({"a": 1}, [collections.OrderedDict(a=1), {"a": True}, {Text("a"): 1}, {"a": Liar()}]),
    ({"a": 1, "b": 1}, [{"b": 1, "a": 1}]),
    ({"a": None, "b": None}, [{"b": None, "a": None}]),
    (
        {"a": {"b": "x"}},
        [{"a": {"b": b"x"}}, {"a": {"b": bytearray(b"x")}}, {"a": {"b": Text("x")}}],
    ),
    ({"a": {"b": 1, "c": 1}}, [{"a": {"c": 1, "b": 1}}, {"a": {"b": 1, Text("c"): 1}}]),
    ({"a": b"x"}, [{"a": bytearray(b"x")}, {"a": memoryview(b"x")}]),
    (b"x", [bytearray(b"x"), memoryview(b"x"), np.bytes_(b"x")]),
]
CASES = [(one, other) for one, others in LOOKALIKES for other in others]


@pytest.mark.parametrize(("one", "other"), CASES, ids=map(str, range(len(CASES))))
def test_lookalikes(one: Any, other: Any) -> None:
    assert differing([chill(one)], [other]) == [0]
    assert differing([chill([one])], [[other]]) == [0]
    assert differing([chill({"deep": [{"er": one}]})], [{"deep": [{"er": other}]}]) == [0]
    for name in ("content", "id", "additional_kwargs", "usage_metadata"):
        value = messages.AIMessage("text")
        value.__dict__[name] = copy.copy(one)
        cold = [chill(value)] * 100
        given_back = thaw(cold)
        given_back[70].__dict__[name] = other
        assert differing(cold, given_back) == [70]
    for name in ("__pydantic_extra__", "__pydantic_private__"):
        value = messages.AIMessage("text")
        object.__setattr__(value, name, {"x": one})
        cold = [chill(value)]
        (copied,) = thaw(cold)
        object.__setattr__(copied, name, {"x": other})
        assert differing(cold, [copied]) == [0]


def _replace_dict(value: Any) -> None:
    object.__setattr__(value, "__dict__", collections.OrderedDict(value.__dict__))


def _reorder(value: Any) -> None:
    for name in ("name", "id"):
        value.__dict__[name] = value.__dict__.pop(name)
    value.__dict__["name"] = value.__dict__.pop("name")


def _odd_key(value: Any) -> None:
    value.__dict__[Text("id")] = value.__dict__.pop("id")


def _part(name: str, part: Any) -> Any:
    return lambda value: object.__setattr__(value, name, part)


@pytest.mark.parametrize(
    "change",
    [
        _replace_dict,
        _reorder,
        _odd_key,
        lambda value: value.__dict__.pop("id"),
        lambda value: value.__dict__.update(other=None),
        lambda value: value.__pydantic_fields_set__.discard("content"),
        lambda value: value.__pydantic_fields_set__.add("name"),
        _part("__pydantic_fields_set__", frozenset({"content"})),
        _part("__pydantic_fields_set__", {Text("content")}),
        _part("__pydantic_fields_set__", {"content": None}.keys()),
        _part("__pydantic_extra__", None),
        _part("__pydantic_extra__", collections.OrderedDict()),
        _part("__pydantic_extra__", {"more": 1}),
        _part("__pydantic_extra__", ormsgpack.Fragment(b"\x80")),
        _part("__pydantic_private__", ormsgpack.Fragment(b"\xc0")),
        _part("__pydantic_private__", {}),
        _part("__pydantic_private__", Liar()),
        lambda value: object.__delattr__(value, "__pydantic_private__"),
        lambda value: object.__delattr__(value, "__pydantic_extra__"),
    ],
)
@pytest.mark.parametrize("cls", [messages.HumanMessage, messages.AIMessage])
def test_every_part_of_a_message_counts(cls: Any, change: Any) -> None:
    cold = [chill(cls("text"))] * 100
    assert type(cold[0]) is module.Message
    given_back = thaw(cold)
    change(given_back[99])
    assert differing(cold, given_back) == [99]


def test_another_class_with_the_same_content() -> None:
    class Mine(messages.HumanMessage):
        pass

    cold = [chill(messages.HumanMessage("text"))]
    for cls in (Mine, messages.SystemMessage, messages.HumanMessageChunk):
        assert differing(cold, [cls(content="text")]) == [0]
    assert differing(cold, [messages.HumanMessage.__new__(messages.HumanMessage)]) == [0]


def test_only_common_positions_are_compared() -> None:
    cold = [chill(value) for value in (1, "two", [3], messages.HumanMessage("4"), {5})]
    assert differing(cold, []) == differing([], [1]) == thaw([]) == []
    assert differing(cold, [1, "zwei"]) == [1]
    assert differing(cold, [0, "two", [4], messages.HumanMessage("4"), {6}, 7]) == [0, 2, 4]


def test_what_is_fast_and_what_is_not() -> None:
    assert type(chill("text")) is type(chill(2**100)) is type(chill(b"x")) is module._Scalar
    assert type(chill({"a": [1, {"b": None}]})) is module._Tree
    for cls in sameness.KEYS:
        assert type(chill(build(cls))) is module.Message
    value: Any
    for value in ((1,), {1: 2}, [b"x"], [2**64], ["\ud800"], messages.HumanMessage("\ud800")):
        assert type(chill(value)) is module.Encoded
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(Exception, match="nests"):
        chill(cycle)


def test_a_known_body_is_not_made_again() -> None:
    def refuse(value: Any) -> bytes:
        raise AssertionError

    body = CODEC.dumps((1, 2))
    assert thaw([freeze((1, 2), refuse, CODEC.loads, body)]) == [(1, 2)]


def test_the_slow_way_to_look_inside_is_as_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sameness, "_parts", sameness.parts_one_by_one)
    monkeypatch.setattr(sameness, "_children", sameness.children_one_by_one)
    cold = [chill(messages.AIMessage("text", additional_kwargs={"a": [1]}))] * 3
    for change in (_replace_dict, _reorder, _odd_key):
        given_back = thaw(cold)
        assert differing(cold, given_back) == []
        change(given_back[1])
        assert differing(cold, given_back) == [1]
    for one, other in CASES:
        assert differing([chill([one])], [[other]]) == [0]


@pytest.fixture(autouse=True)
def _collecting() -> Any:
    yield
    gc.enable()


@pytest.mark.parametrize("collecting", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_garbage_collection_is_as_before(collecting: bool, fails: bool) -> None:
    seen = []

    def decode(body: bytes) -> Any:
        seen.append(gc.isenabled())
        if fails:
            raise KeyError
        return CODEC.loads(body)

    cold = [freeze((1,), CODEC.dumps, decode)] * 100
    if not collecting:
        gc.disable()
    if fails:
        with pytest.raises(KeyError):
            thaw(cold)
    else:
        thaw(cold)
    assert gc.isenabled() is collecting
    assert not any(seen)


def test_garbage_collection_survives_two_threads() -> None:
    inside, leave = threading.Barrier(2), threading.Event()

    def decode(body: bytes) -> Any:
        if body == b"wait" and not inside.broken and not leave.is_set():
            inside.wait(30)
            leave.wait(30)
        return None

    cold = [freeze((1,), CODEC.dumps, decode, b"wait")] * 100
    other = threading.Thread(target=thaw, args=(cold,))
    other.start()
    inside.wait(30)
    assert not gc.isenabled()
    leave.set()
    thaw(cold)
    other.join(30)
    assert gc.isenabled()
    crowd = [threading.Thread(target=lambda: [thaw(cold) for _ in range(50)]) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(30)
    assert gc.isenabled()
