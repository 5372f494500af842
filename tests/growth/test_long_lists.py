"""Long lists and dicts through hundreds of changes, and values that only look like them."""

from __future__ import annotations

import collections
import enum
import random
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from threadloom import StoreCheckpointer
from threadloom.store import Store

from .exact import exact
from .states import NS, assert_is, put
from .talk import config


def element(chosen: random.Random) -> Any:
    number = chosen.randrange(1_000)
    return chosen.choice(
        [
            lambda: HumanMessage(f"m{number}" * chosen.choice([1, 200]), id=f"m{number}"),
            lambda: AIMessage("", additional_kwargs={"n": {"m": [number]}}),
            lambda: {"row": [number, float(number)]},
            lambda: chosen.choice([0, 1, True, False, 1.0, None, "1"]),
        ]
    )()


def edited(items: list[Any], chosen: random.Random) -> list[Any]:
    """The list after a change that a reducer or a node might make."""
    at, to = sorted(chosen.randrange(len(items) + 1) for _ in range(2))
    new = [element(chosen) for _ in range(chosen.randrange(1, 4))]
    kind = chosen.randrange(12)
    if kind < 4:
        items.extend(new)
        return items
    if kind == 4 and items:
        items[at % len(items)] = new[0]
        return items
    if kind == 5 and at < len(items) and isinstance(items[at], HumanMessage):
        items[at].content = f"{items[at].content}!"
        items[at].additional_kwargs["edited"] = [at]
        return items
    parts = {
        6: [*items[:at], *items[at + 1 :]],
        7: [*new, *items],
        8: [*items[:at], *new, *items[at:]],
        9: items[-150:],
        10: [*items[to:], *items[at:to], *items[:at]],
        11: [*items, *items[at : at + 3]],
    }
    return parts.get(kind, [*items, *new])


def changed(entries: dict[Any, Any], chosen: random.Random) -> dict[Any, Any]:
    """The dict after a change."""
    key: Any = chosen.choice([f"k{chosen.randrange(80)}", chosen.randrange(20), (1, "a")])
    kind = chosen.randrange(10)
    if kind < 5:
        entries[key] = element(chosen)
        return entries
    if kind < 7:
        return {name: item for name, item in entries.items() if name != key}
    if kind == 7:
        return {name: entries[name] for name in sorted(entries, key=str)}
    if kind == 8:
        return {key: element(chosen), **entries}
    return {**entries, **{f"k{chosen.randrange(80)}": element(chosen) for _ in range(10)}}


@pytest.mark.soak(full=2_000)
@pytest.mark.parametrize("seed", [1, 2])
def test_hundreds_of_changes(store: Store, rounds: int, seed: int) -> None:
    """Every version stays what it was, however the next ones were made from it."""
    chosen = random.Random(seed)
    puts = rounds // 2
    live: dict[str, Any] = {"messages": [element(chosen) for _ in range(60)], "files": {}}
    expected: list[Any] = []
    saver = StoreCheckpointer(store)
    for number in range(puts):
        live["messages"] = edited(live["messages"], chosen)
        live["files"] = changed(live["files"], chosen)
        parent = f"{number - 1:05d}" if number else None
        put(saver, f"{number:05d}", dict(live), parent=parent)
        expected.append(exact(live))
        if chosen.random() < 0.3:
            if chosen.random() < 0.3:
                saver = StoreCheckpointer(store)
            found = saver.get_tuple(config(**NS))
            assert found is not None
            live = found.checkpoint["channel_values"]
            assert exact(live) == expected[-1]
    del live
    for reader in (saver, StoreCheckpointer(store)):
        for number, wanted in enumerate(expected):
            found = reader.get_tuple(config(**NS, checkpoint_id=f"{number:05d}"))
            assert found is not None
            assert exact(found.checkpoint["channel_values"]) == wanted, number


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: Any


LOOKALIKES: list[Any] = [
    collections.OrderedDict(a=1, b=[2]),
    collections.defaultdict(list, {"a": [1]}),
    collections.deque([1, 2], maxlen=2),
    (1, 2),
    Point(1, [2]),
    [Point(1, 2), (1, 2), [1, 2]],
    {1, 2},
    frozenset({1}),
    bytearray(b"12"),
    [[1], [1], [[]]],
    [[], {}, (), "", b"", None],
    {"": {}, None: [], (1, ("a",)): 1, b"": 2, 1.5: 3},
    [Colour.RED, Colour.RED.value],
    [
        AIMessageChunk(content="a", id="1"),
        AIMessage("a", id="1"),
        AIMessage(content="a", id="1", name=None),
    ],
    (HumanMessage("a"),),
    {"a": HumanMessage("a" * 5_000), "b": [HumanMessage("a" * 5_000)]},
    "x" * 100_000,
    b"x" * 100_000,
    ["x" * 20_000, b"x" * 20_000, ["x" * 20_000]],
    float("nan"),
    [float("nan"), -0.0, 0.0, 0, False],
]


@pytest.mark.parametrize("number", range(len(LOOKALIKES)))
def test_every_kind_of_value_beside_a_list_and_a_dict(store: Store, number: int) -> None:
    """A channel changes its kind from version to version."""
    saver = StoreCheckpointer(store)
    value = LOOKALIKES[number]
    try:
        plain: list[Any] = list(value)[:50]
    except TypeError:
        plain = [value]
    row = [value, plain, [value], {"a": value}, value, dict.fromkeys("ab", plain), value]
    for at, item in enumerate(row):
        put(saver, f"{at}", {"c": item}, parent=f"{at - 1}" if at else None)
    for at, item in enumerate(row):
        assert_is(saver, {"c": item}, f"{at}")
        assert_is(StoreCheckpointer(store), {"c": item}, f"{at}")
