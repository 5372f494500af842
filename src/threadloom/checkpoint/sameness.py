"""Whether values are exactly what they were: many at once, as fast as it can be told for certain.

Equality alone does not show that a value is as it was: ``1 == True``, a subclass may be equal
to its base, and so are dicts of another order. So values also have to pack to the same
MessagePack, which takes no subclasses. Packing alone writes a ``bytearray`` as ``bytes`` and an
``ormsgpack.Fragment`` as whatever it says; but no tree holds bytes, and a ``Fragment`` is equal
to nothing else. Scalars that may be bytes are compared by type instead.
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
    if float in kinds:
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
    state: dict[str, Any]
    extra: Any
    private: Any


class _Trees:
    """Trees to be compared with as many others at once.

    Attributes:
        own: the trees, or what is in them where others surely are of the same type.
    """

    __slots__ = ("_count", "_packed", "own")

    def __init__(self, trees: list[Any], own: list[Any]) -> None:
        self._count = len(trees)
        self._packed = pack(trees)[_head(len(trees)) :]
        self.own = own

    def extended(self, more: _Trees) -> _Trees:
        """These trees and others behind them."""
        both = _new(_Trees)
        both._count = self._count + more._count
        both._packed = self._packed + more._packed
        both.own = self.own + more.own
        return both

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes besides the trees."""
        return 8 * len(self.own) + len(self._packed)

    def pack_alike(self, given: list[Any]) -> bool:
        """Whether as many others pack to the same; raises where one cannot be packed."""
        packed = pack(given)
        expected = _head(self._count) + len(self._packed)
        return len(packed) == expected and packed.endswith(self._packed)


def _head(count: int) -> int:
    """How many bytes MessagePack writes before the items of a list."""
    return 1 if count < 16 else 3 if count < 65_536 else 5


class Prepared:
    """What is needed of messages to compare all of them at once.

    To collect it takes longer than to compare it, so it is kept for messages that stay together.
    """

    __slots__ = ("_classes", "_extras", "_names", "_privates", "_states")

    def __init__(self, some: Sequence[MessageParts]) -> None:
        self._classes = [one.cls for one in some]
        self._names = [one.names for one in some]
        states, extras = [one.state for one in some], [one.extra for one in some]
        privates = [one.private for one in some]
        self._states = _Trees(states, _children(states))
        self._extras = _Trees(extras, extras)
        self._privates = _Trees(privates, privates)

    def extended(self, more: Prepared) -> Prepared:
        """The same for these messages and others behind them."""
        both = _new(Prepared)
        both._classes = self._classes + more._classes
        both._names = self._names + more._names
        both._states = self._states.extended(more._states)
        both._extras = self._extras.extended(more._extras)
        both._privates = self._privates.extended(more._privates)
        return both

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes besides the messages."""
        trees = self._states.size + self._extras.size + self._privates.size
        return 16 * len(self._classes) + trees

    def all_same(self, values: Sequence[Any]) -> bool:
        """Whether values surely are as they were; may raise what a foreign object raises."""
        classes = self._classes
        if any(map(is_not, map(type, values), classes)):
            return False
        parts = _parts(values)
        if len(parts) != 5 * len(classes) or parts[4::5] != classes:
            return False
        sets = parts[1::5]
        if not _JUST_SET.issuperset(map(type, sets)) or sets != self._names:
            return False
        kinds = list(map(type, chain.from_iterable(sets)))
        if kinds.count(str) != len(kinds):
            return False
        states, extras, privates = parts[3::5], parts[0::5], parts[2::5]
        return (
            self._states.pack_alike(states)  # so they are dicts whose keys are exactly text
            and self._extras.pack_alike(extras)
            and self._privates.pack_alike(privates)
            and _children(states) == self._states.own
            and extras == self._extras.own
            and privates == self._privates.own
        )
