"""Instances of classes: dataclasses, pydantic models, named tuples and library objects.

They are taken apart and put together by their raw state, the ``__dict__`` and the slots:
no constructor, validator, ``__setattr__``, property or ``__post_init__`` ever runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from threadloom.errors import CorruptRecord
from threadloom.serde import slots
from threadloom.serde.classes import Plan, fresh, name_of, slots_of
from threadloom.serde.format import (
    DATACLASS,
    MODEL,
    NAMED_TUPLE,
    SCALARS,
    SLOTTED,
    Refused,
    all_str,
    ext,
    trim,
)
from threadloom.serde.opaque import Opaque
from threadloom.serde.resolve import remember

if TYPE_CHECKING:
    from threadloom.serde.reader import Reader
    from threadloom.serde.writer import Writer

logger = logging.getLogger("threadloom.serde")
_told: set[tuple[str, str]] = set()
_MOST_TOLD: Final = 10_000


def tell(cls: type, difference: str) -> None:
    """Log, once, that a class is no longer what it was when its instance was stored."""
    name = name_of(cls)
    if (name, difference) in _told or len(_told) >= _MOST_TOLD:
        return
    _told.add((name, difference))
    logger.warning("stored %s: %s", name, difference)


# --- state --------------------------------------------------------------------------------


def read_state(value: Any, plan: Plan) -> dict[str, Any]:
    """The slots and the ``__dict__`` of an instance, as they are."""
    state: dict[str, Any] = {}
    if plan.has_slots:
        for name, member in slots_of(type(value), plan).items():
            try:
                state[name] = member.__get__(value)
            except AttributeError:
                continue
    if plan.has_dict:
        state.update(object.__getattribute__(value, "__dict__"))
    return state


def write_state(value: Any, cls: type, plan: Plan, state: Mapping[str, Any]) -> None:
    """Set slots and ``__dict__`` directly; what fits nowhere any more is dropped."""
    members = slots_of(cls, plan) if plan.has_slots else {}
    plain = object.__getattribute__(value, "__dict__") if plan.has_dict else None
    for name, item in state.items():
        if name in members:
            members[name].__set__(value, item)
        elif plain is not None:
            plain[name] = item
        else:
            tell(cls, f"there is no room for the attribute {name!r} any more; dropped")


def split(writer: Writer, plan: Plan, state: dict[str, Any]) -> tuple[Any, Any, Any]:
    """State as declared fields, other attributes, and names of fields that are not set."""
    if plan.omit and list(state) == plan.fields:
        return _changed_fields(writer, plan.omit, state), None, None
    if state.keys() == plan.field_set:
        return writer.mapping(state), None, None
    fields = {name: item for name, item in state.items() if name in plan.field_set}
    others = {
        name: item
        for name, item in state.items()
        if name not in plan.field_set and name not in plan.skip
    }
    absent = [name for name in plan.fields if name not in state]
    return writer.mapping(fields), writer.mapping(others) if others else None, absent or None


def _changed_fields(writer: Writer, omit: Mapping[str, Any], state: dict[str, Any]) -> Any:
    """The fields that differ from their default in value or in type."""
    fields: dict[str, Any] = {}
    plain = writer.plain
    for name, item in state.items():
        kind = type(item)
        if name in omit:
            default = omit[name]
            if kind is type(default) and item == default:
                continue
        if plain and kind in SCALARS:
            fields[name] = item
            continue
        try:
            fields[name] = writer.encode(item)
        except Refused as error:
            error.path.append(f".{name}")
            raise
    return fields


def complete(cls: type, plan: Plan, fields: dict[str, Any], absent: Any) -> dict[str, Any]:
    """Stored fields with defaults filled in and removed ones left out, in class order."""
    if len(fields) == len(plan.fields) and plan.field_set.issuperset(fields):
        return fields
    result: dict[str, Any] = {}
    for name in plan.fields:
        if name in fields:
            result[name] = fields[name]
        elif absent and name in absent:
            continue
        elif name in plan.omit:
            result[name] = fresh(plan.omit[name])
        elif name in plan.defaults:
            result[name] = fresh(plan.defaults[name])
            tell(cls, f"the field {name!r} is new; it has its default")
        else:
            tell(cls, f"the field {name!r} is new and has no plain default; it is not set")
    for name in fields:
        if name not in plan.field_set:
            tell(cls, f"the field {name!r} is gone; dropped")
    return result


def as_names(stored: Any, what: str) -> dict[str, Any]:
    """A stored mapping of attributes."""
    if stored is None:
        return {}
    if type(stored) is not dict or not all_str(stored):
        raise CorruptRecord(f"{what} of a stored object are not a mapping of names")
    return stored


def as_list(stored: Any) -> list[str]:
    if stored is None:
        return []
    if type(stored) is not list or not all_str(stored):
        raise CorruptRecord("a list of field names of a stored object is damaged")
    return stored


# --- dataclasses, and library objects with slots ---------------------------------------------


def dump_object(writer: Writer, value: Any, plan: Plan) -> Any:
    remember_if_ours(value, plan)
    fields, others, absent = split(writer, plan, read_state(value, plan))
    return ext(plan.tag, trim([plan.ref, fields, others, absent]))


def remember_if_ours(value: Any, plan: Plan) -> None:
    if type(plan.ref) is str:
        remember(type(value))


def _load_object(reader: Reader, data: bytes, tag: int) -> Any:
    ref, stored, stored_others, absent = reader.parts(data, 2, 4)
    fields = as_names(stored, "the fields")
    others = as_names(stored_others, "the attributes")
    found = reader.class_for(ref, tag)
    if type(found) is str:
        return Opaque(found, {**fields, **others})
    cls, plan = found
    state = complete(cls, plan, fields, as_list(absent))
    result = object.__new__(cls)
    write_state(result, cls, plan, {**state, **others} if others else state)
    return result


# --- named tuples ---------------------------------------------------------------------------


def dump_named_tuple(writer: Writer, value: Any, plan: Plan) -> Any:
    remember_if_ours(value, plan)
    if tuple.__len__(value) != len(plan.fields):
        raise Refused(type(value), "it does not have as many items as fields")
    items = dict(zip(plan.fields, tuple.__iter__(value), strict=True))
    others = read_state(value, plan) if plan.has_dict else {}
    fields, _, _ = split(writer, plan, items)
    return ext(NAMED_TUPLE, trim([plan.ref, fields, writer.mapping(others) if others else None]))


def load_named_tuple(reader: Reader, data: bytes) -> Any:
    ref, stored, stored_others = reader.parts(data, 2, 3)
    fields = as_names(stored, "the fields")
    others = as_names(stored_others, "the attributes")
    found = reader.class_for(ref, NAMED_TUPLE)
    if type(found) is str:
        return Opaque(found, {**fields, **others})
    cls, plan = found
    state = complete(cls, plan, fields, None)
    result = tuple.__new__(cls, [state.get(name) for name in plan.fields])
    if others:
        write_state(result, cls, plan, others)
    return result


# --- pydantic models ------------------------------------------------------------------------


def dump_model(writer: Writer, value: Any, plan: Plan) -> Any:
    remember_if_ours(value, plan)
    state = slots.get_dict(value)
    try:
        fields_set = slots.get_set(value)
    except AttributeError:
        raise Refused(type(value), "it was never initialised") from None
    try:
        extra, private = slots.get_extra(value), slots.get_private(value)
    except AttributeError:  # a RootModel has neither
        extra = private = None
    fields, others, absent = split(writer, plan, state)
    if plan.has_slots and (slotted := _slot_state(value, plan)):
        others = {**(others or {}), **writer.mapping(slotted)}
    stored = fields.keys() if type(fields) is dict else state.keys() & plan.field_set
    parts = [plan.ref, fields]
    if fields_set != stored or extra != plan.extra or private is not None or others or absent:
        parts += [
            None if fields_set == stored else sorted(fields_set ^ stored),
            _stored_extra(writer, extra, plan),
            None if private is None else writer.mapping(private),
            others,
            absent,
        ]
        trim(parts)
    return ext(MODEL, parts)


def _slot_state(value: Any, plan: Plan) -> dict[str, Any]:
    slots = slots_of(type(value), plan)
    return {name: item for name, item in read_state(value, plan).items() if name in slots}


def _stored_extra(writer: Writer, extra: Any, plan: Plan) -> Any:
    """``None`` says: as the class has it; ``0`` says: none although the class has some."""
    if extra is None:
        return None if plan.extra is None else 0
    if not extra and plan.extra is not None:
        return None
    return writer.mapping(extra)


def load_model(reader: Reader, data: bytes) -> Any:
    ref, stored, odd, extra, private, others, absent = reader.parts(data, 2, 7)
    fields = as_names(stored, "the fields")
    found = reader.class_for(ref, MODEL)
    if private is not None:
        private = as_names(private, "the private attributes")
    if extra != 0:
        extra = None if extra is None else as_names(extra, "the extra fields")
    if type(found) is str:
        return Opaque(found, {**fields, **(extra or {}), **as_names(others, "the attributes")})
    cls, plan = found
    fields_set = set(fields)
    if odd is not None:
        fields_set.symmetric_difference_update(as_list(odd))
    state = complete(cls, plan, fields, as_list(absent))
    if type(ref) is str:
        fields_set -= fields.keys() - plan.field_set
        private = _complete_private(plan, private)
    result = object.__new__(cls)
    slots.set_dict(result, state)
    slots.set_set(result, fields_set)
    if extra is None:
        extra = None if plan.extra is None else {}
    slots.set_extra(result, None if extra == 0 else extra)
    slots.set_private(result, private)
    if others:
        write_state(result, cls, plan, as_names(others, "the attributes"))
    return result


def _complete_private(plan: Plan, private: dict[str, Any] | None) -> dict[str, Any] | None:
    """Private attributes that the class has gained get their default."""
    missing = plan.private.keys() - (private or {}).keys()
    if not missing:
        return private
    return {**(private or {}), **{name: fresh(plan.private[name]) for name in missing}}


RECORD_DUMPERS: Final[dict[int, Callable[[Writer, Any, Plan], Any]]] = {
    DATACLASS: dump_object,
    SLOTTED: dump_object,
    NAMED_TUPLE: dump_named_tuple,
    MODEL: dump_model,
}
LOADERS: Final[dict[int, Callable[[Reader, bytes], Any]]] = {
    DATACLASS: lambda reader, data: _load_object(reader, data, DATACLASS),
    SLOTTED: lambda reader, data: _load_object(reader, data, SLOTTED),
    NAMED_TUPLE: load_named_tuple,
    MODEL: load_model,
}
