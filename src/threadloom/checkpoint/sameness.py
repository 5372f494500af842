"""Whether values are exactly what they were: many at once, as fast as it can be told for certain.

Equality alone does not show that a value is as it was: ``1 == True``, a subclass may be equal
to its base, and so are dicts of another order. So types and keys are compared as well, for
many elements at once, and nested containers also have to pack to the same MessagePack. Packing
alone writes a ``bytearray`` as ``bytes`` and an ``ormsgpack.Fragment`` as whatever it says; but
no tree holds bytes, and a ``Fragment`` is equal to nothing else.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from itertools import chain
from math import copysign
from operator import is_, is_not
from typing import Any, Final, Protocol

from langchain_core import messages

from threadloom.serde import slots
from threadloom.serde.classes import plan_of
from threadloom.serde.format import pack

_STRICT: Final = frozenset({type(None), str, list, dict})
"""Types whose values equal no scalar or tree of another type."""

CONTAINERS: Final = frozenset({list, dict})
_JUST_SET: Final = frozenset({set})
_JUST_DICT: Final = frozenset({dict})
JUST_STR: Final = frozenset({str})
_MESSAGE_KINDS: Final = ("Human", "AI", "System", "Tool", "Chat", "Function")
_CLASSES: Final = (
    messages.RemoveMessage,
    *(getattr(messages, f"{kind}Message") for kind in _MESSAGE_KINDS),
    *(getattr(messages, f"{kind}MessageChunk") for kind in _MESSAGE_KINDS),
)

_new = object.__new__


def parts_one_by_one(values: Sequence[Any]) -> list[Any]:
    """Extra fields, names of set fields, private attributes, ``__dict__`` and class of each."""
    gets = (slots.get_extra, slots.get_set, slots.get_private, slots.get_dict, type)
    return [get(value) for value in values for get in gets]


def children_one_by_one(values: Sequence[Any]) -> list[Any]:
    """The items of lists and the values of dicts; if keys are not exactly text, those, too."""
    inside: list[Any] = []
    for value in values:
        if type(value) is dict:
            inside += () if JUST_STR.issuperset(map(type, value)) else value
            inside += value.values()
        elif type(value) is list:
            inside += value
    return inside


def _as_collected(values: Sequence[Any]) -> list[Any]:
    """Both of the above as CPython's garbage collector sees it: several times faster."""
    return gc.get_referents(*values)


def _collector_agrees(classes: Iterable[type]) -> bool:
    """Whether this Python's garbage collector sees things as expected."""
    for cls in classes:
        value: Any = _new(cls)
        slots.set_dict(value, {"dict": 1})
        slots.set_set(value, {"set"})
        slots.set_extra(value, {"extra": 1})
        slots.set_private(value, {"private": 1})
        expected, found = parts_one_by_one([value]), _as_collected([value])
        if len(found) != 5 or not all(map(is_, expected, found)):
            return False
    tree, key = {"one": "1", "two": "2"}, type("Text", (str,), {"__slots__": ()})("two")
    return (
        _as_collected([tree, {**tree}, dict(tree), ["3"]]) == ["1", "2"] * 3 + ["3"]
        and len(_as_collected([{"one": "1", key: "2"}])) > 2
        and not _as_collected(["text", 1, 1.5, True, None, {}, []])
    )


def _keys_of(cls: type) -> tuple[str, ...]:
    """The fields of a class of messages; nothing if it is not built as expected."""
    plan = plan_of(cls)
    usual = plan and type(plan.ref) is int and not plan.has_slots and not plan.skip
    return tuple(plan.fields) if plan and usual else ()


KEYS: Final = {cls: keys for cls in _CLASSES if (keys := _keys_of(cls))}
_FAST: Final = _collector_agrees(KEYS)
_parts: Final = _as_collected if _FAST else parts_one_by_one
_children: Final = _as_collected if _FAST else children_one_by_one


def same_values(given: list[Any], own: list[Any]) -> bool:
    """Whether values are exactly what is in ``own``, a list of trees and scalars."""
    if given != own:
        return False
    kinds = set(map(type, given))
    if not kinds <= _STRICT and any(map(is_not, map(type, given), map(type, own))):
        return False
    return _as_deep(given, own, floats=float in kinds)


def _as_deep(given: list[Any], own: list[Any], *, floats: bool) -> bool:
    """Whether values that are equal, and of equal types, are so in what equality overlooks."""
    if floats:
        pairs = [pair for pair in zip(given, own, strict=True) if type(pair[0]) is float]
        if any(copysign(1, one) != copysign(1, other) for one, other in pairs):
            return False
    return not _children(given) or pack(_filled(given)) == pack(_filled(own))


def _filled(values: list[Any]) -> list[Any]:
    return [value for value in values if value and type(value) in CONTAINERS]


class MessageParts(Protocol):
    """What a message was made of."""

    cls: type
    names: frozenset[str]
    keys: tuple[str, ...]
    state: dict[str, Any]
    extra: Any
    private: Any


class Prepared:
    """What is needed of messages to compare all of them at once, side by side.

    To collect it takes longer than to compare it, so it is kept for messages that stay together.
    """

    __slots__ = (
        *("classes", "extras", "floats", "keys", "kinds"),
        *("lengths", "names", "own", "privates"),
    )

    def __init__(self, some: Sequence[MessageParts]) -> None:
        self.classes = [one.cls for one in some]
        self.names = [one.names for one in some]
        self.keys = list(chain.from_iterable([one.keys for one in some]))
        self.lengths = [len(one.keys) for one in some]
        self.own = _children([one.state for one in some])
        self.kinds = list(map(type, self.own))
        self.floats = float in set(self.kinds)
        self.extras = [one.extra for one in some]
        self.privates = [one.private for one in some]

    def extended(self, more: Prepared) -> Prepared:
        """The same for these messages and others behind them."""
        both = object.__new__(Prepared)
        both.classes = self.classes + more.classes
        both.names = self.names + more.names
        both.keys = self.keys + more.keys
        both.lengths = self.lengths + more.lengths
        both.own = self.own + more.own
        both.kinds = self.kinds + more.kinds
        both.floats = self.floats or more.floats
        both.extras = self.extras + more.extras
        both.privates = self.privates + more.privates
        return both

    def all_same(self, values: Sequence[Any]) -> bool:
        """Whether values surely are as they were; may raise what a foreign object raises."""
        classes = self.classes
        if any(map(is_not, map(type, values), classes)):
            return False
        parts = _parts(values)
        if len(parts) != 5 * len(classes) or parts[4::5] != classes:
            return False
        sets = parts[1::5]
        if not _JUST_SET.issuperset(map(type, sets)) or sets != self.names:
            return False
        kinds = list(map(type, chain.from_iterable(sets)))
        if kinds.count(str) != len(kinds):
            return False
        states = parts[3::5]
        if not _JUST_DICT.issuperset(map(type, states)):
            return False
        # The keys are exactly text: dicts with others have more children than expected.
        if list(map(len, states)) != self.lengths:
            return False
        if list(chain.from_iterable(states)) != self.keys:
            return False
        given = _children(states)
        if given != self.own or list(map(type, given)) != self.kinds:
            return False
        if not _as_deep(given, self.own, floats=self.floats):
            return False
        return same_values(parts[0::5] + parts[2::5], self.extras + self.privates)
