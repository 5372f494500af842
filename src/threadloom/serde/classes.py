"""What kind of class is it, and how is an instance taken apart and put together?

A ``Plan`` holds what the writer and the reader need to know of a class. It is computed
once a class. Nothing here creates an instance or reads an attribute of one.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from enum import Enum, Flag
from functools import cached_property
from types import MappingProxyType, MemberDescriptorType
from typing import Any, Final
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from threadloom.serde.format import BUILTIN, DATACLASS, ENUM, FLAG, MODEL, NAMED_TUPLE, SLOTTED
from threadloom.serde.opaque import Opaque

BASES: Final[dict[type, str]] = {
    kind: kind.__name__
    for kind in (
        *(Counter, defaultdict, OrderedDict, dict, list, deque, set, frozenset, tuple),
        *(str, bytes, bytearray, int, float, complex),
    )
}
"""The built-in types whose subclasses can be stored."""

MISSING: Final[Any] = object()
_HEAP_TYPE: Final = 1 << 9
_SAFE_FACTORIES: Final = frozenset({list, dict, set, tuple, frozenset})
_OMITTABLE: Final = frozenset({type(None), str, int, bool, list, dict, set, tuple})
_MODEL_SLOTS: Final = frozenset(
    {
        "__dict__",
        "__weakref__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    }
)
# What ``type`` itself says of a class: a metaclass is not asked.
_mro = type.__dict__["__mro__"].__get__
_flags = type.__dict__["__flags__"].__get__
_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_dict_offset = type.__dict__["__dictoffset__"].__get__
_namespace = type.__dict__["__dict__"].__get__


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How the instances of one class are stored.

    Attributes:
        tag: the kind of class, as its extension tag.
        ref: the name the class is stored under: ``module:qualname``, or a number for a
            class of our own table.
        fields: the declared fields, in order.
        defaults: what a field has that is not stored; only what is safe to make here.
        omit: defaults that are not written at all (only for classes of our own table).
        members: the slots; empty for an application's class, because a cached
            descriptor would keep its class alive (``slots_of`` finds them).
        has_slots: whether there are any.
        has_dict: whether instances have a ``__dict__``.
        skip: names in ``__dict__`` that are caches and are not stored.
        base: the built-in type that a ``BUILTIN`` extends.
        extra: what ``__pydantic_extra__`` is when nothing is stored: ``None`` or ``{}``.
        private: defaults of pydantic's private attributes.
        finalizer: the class has ``__del__``.
    """

    tag: int
    ref: int | str
    fields: list[str]
    field_set: frozenset[str]
    defaults: Mapping[str, Any]
    omit: Mapping[str, Any]
    members: Mapping[str, Any]
    has_slots: bool
    has_dict: bool
    skip: frozenset[str]
    base: type | None
    extra: Any
    private: Mapping[str, Any]
    finalizer: bool


_INSTANCE_FIELD: Final[Any] = vars(Plan)["__dataclass_fields__"]["tag"]._field_type
_plans: WeakKeyDictionary[type, Plan] = WeakKeyDictionary()
_known: dict[type, Plan] = {}


def plan_of(cls: type) -> Plan | None:
    """The plan of a class, or ``None`` if its instances cannot be stored."""
    plan = _known.get(cls)
    if plan is None:
        plan = _plans.get(cls)
    if plan is None:
        plan = make_plan(cls, name_of(cls))
        if plan is not None:
            _plans[cls] = plan
    return plan


def add_known(cls: type, code: int) -> Plan:
    """Give a library's class its number; whoever calls this vouches for the class."""
    plan = make_plan(cls, code)
    if plan is None:
        raise TypeError(f"{cls!r} cannot be stored")
    _known[cls] = plan
    return plan


def is_known(cls: type) -> bool:
    return cls in _known


def name_of(cls: type) -> str:
    return f"{_module(cls)}:{_qualname(cls)}"


def is_class(thing: Any) -> bool:
    """``isinstance(thing, type)`` that does not ask the thing itself."""
    return type in _mro(type(thing))


def lookup(cls: type, name: str) -> Any:
    """A class attribute as it stands in a ``__dict__`` of the MRO, unbound."""
    for parent in _mro(cls):
        namespace = _namespace(parent)
        if name in namespace:
            return namespace[name]
    return MISSING


def namespace_of(cls: type) -> Mapping[str, Any]:
    result: Mapping[str, Any] = _namespace(cls)
    return result


def slots_of(cls: type, plan: Plan) -> Mapping[str, Any]:
    """The member descriptors of a class's slots by name."""
    return plan.members if plan.members or not plan.has_slots else _find_slots(cls)


def _find_slots(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for parent in reversed(_mro(cls)):
        if parent in BASES:  # their members are content, not attributes
            continue
        for name, item in _namespace(parent).items():
            if type(item) is MemberDescriptorType and name not in _MODEL_SLOTS:
                if item.__objclass__ is parent and _flags(parent) & _HEAP_TYPE:
                    found[name] = item
    return found


def make_plan(cls: type, ref: int | str) -> Plan | None:
    """Look at a class. ``ref`` as a number marks one of our own table."""
    known = type(ref) is int
    tag, base = _kind(cls, known)
    if not tag:
        return None
    fields, defaults = _fields(cls, tag)
    slots = {} if tag in (ENUM, FLAG) else _find_slots(cls)
    if tag == SLOTTED:
        fields = list(slots)
    omit = {}
    if known:
        omit = {name: item for name, item in defaults.items() if _may_omit(item)}
    names = {name for parent in _mro(cls) for name in _namespace(parent)}
    caches = {name for name in names if type(lookup(cls, name)) is cached_property}
    config = lookup(cls, "model_config") if tag == MODEL else {}
    return Plan(
        tag=tag,
        ref=ref,
        fields=fields,
        field_set=frozenset(fields),
        defaults=MappingProxyType(defaults),
        omit=omit,
        members=slots if known else {},
        has_slots=bool(slots),
        has_dict=_dict_offset(cls) != 0,
        skip=frozenset(caches),
        base=base,
        extra={} if config.get("extra") == "allow" else None,
        private=_defaults(_private_attributes(cls)) if tag == MODEL else {},
        finalizer=lookup(cls, "__del__") is not MISSING,
    )


def _kind(cls: type, known: bool) -> tuple[int, type | None]:
    parents = _mro(cls)
    if Enum in parents:
        return (FLAG if Flag in parents else ENUM), None
    if BaseException in parents or cls is Opaque:
        return 0, None
    if any(not _is_python_class(parent) for parent in parents):
        return 0, None
    if BaseModel in parents:
        return MODEL, None
    if tuple in parents:
        fields = lookup(cls, "_fields")
        if type(fields) is tuple and all(type(name) is str for name in fields):
            return NAMED_TUPLE, None
    for parent in parents:
        if parent in BASES:
            return (BUILTIN, parent) if cls not in BASES else (0, None)
    if lookup(cls, "__dataclass_fields__") is not MISSING:
        return DATACLASS, None
    return (SLOTTED if known else 0), None


def _is_python_class(cls: type) -> bool:
    """Whether a class (of an MRO) keeps no state of its own in C."""
    if cls is object or cls in BASES:
        return True
    return bool(_flags(cls) & _HEAP_TYPE) and "n_sequence_fields" not in _namespace(cls)


def _fields(cls: type, tag: int) -> tuple[list[str], dict[str, Any]]:
    if tag == NAMED_TUPLE:
        return list(lookup(cls, "_fields")), dict(lookup(cls, "_field_defaults"))
    declared: Mapping[str, Any] = {}
    if tag == MODEL:
        declared = lookup(cls, "__pydantic_fields__")
        if declared is MISSING:  # pydantic before 2.10
            declared = lookup(cls, "model_fields")
    elif tag == DATACLASS:
        declared = {
            name: field
            for name, field in lookup(cls, "__dataclass_fields__").items()
            if field._field_type is _INSTANCE_FIELD
        }
    return list(declared), _defaults(declared)


def _defaults(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that can be had without calling anybody's code."""
    found = {}
    for name, field in declared.items():
        if field.default is not PydanticUndefined and field.default is not dataclasses.MISSING:
            found[name] = field.default
            continue
        for factory in _SAFE_FACTORIES:
            if field.default_factory is factory:
                found[name] = factory()
    return found


def _private_attributes(cls: type) -> Mapping[str, Any]:
    found = lookup(cls, "__private_attributes__")
    return found if isinstance(found, dict) else {}


def _may_omit(default: Any) -> bool:
    kind = type(default)
    return kind in _OMITTABLE and (kind not in _SAFE_FACTORIES or not default)


def fresh(default: Any) -> Any:
    """A default for one more instance: never the same list twice."""
    return type(default)(default) if type(default) in (list, dict, set) else default
