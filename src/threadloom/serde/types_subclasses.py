"""Enums, and the application's subclasses of built-in types."""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from threadloom.errors import CorruptRecord
from threadloom.serde.classes import BASES, Plan, lookup
from threadloom.serde.format import BUILTIN, ENUM, FLAG, Refused, ext, trim
from threadloom.serde.opaque import Opaque
from threadloom.serde.types_plain import deque_items, factory_name, factory_of, pairs_of
from threadloom.serde.types_records import as_names, read_state, remember_if_ours, write_state

if TYPE_CHECKING:
    from threadloom.serde.reader import Reader
    from threadloom.serde.writer import Writer


# --- enums ----------------------------------------------------------------------------------


def dump_enum(writer: Writer, value: Any, plan: Plan) -> Any:
    remember_if_ours(value, plan)
    name = value._name_
    if lookup(type(value), "_member_map_").get(name) is not value:
        if plan.tag == FLAG:
            return ext(FLAG, [plan.ref, value._value_])
        raise Refused(type(value), "it is not a member of its enum")
    return ext(plan.tag, [plan.ref, writer.encode(name)])


def load_enum(reader: Reader, data: bytes) -> Any:
    return _member(reader, reader.parts(data, 2, 2), ENUM)


def load_flag(reader: Reader, data: bytes) -> Any:
    return _member(reader, reader.parts(data, 2, 2), FLAG)


def _member(reader: Reader, parts: list[Any], tag: int) -> Any:
    ref, stored = parts
    member: Any
    found = reader.class_for(ref, tag)
    if type(stored) is not str and not (tag == FLAG and type(stored) is int):
        raise CorruptRecord("a stored enum member has no name")
    if type(found) is str:
        return Opaque(found, stored)
    cls, _ = found
    if type(stored) is str:
        member = lookup(cls, "_member_map_").get(stored)
    else:
        member = lookup(cls, "_value2member_map_").get(stored)
        member = _combine(cls, int(stored)) if member is None else member
    if type(member) is not cls:
        return reader.refuse(ref, f"the enum has no member {stored!r} here", stored)
    return member


def _combine(cls: type, value: int) -> Any:
    """A combination of flags that this process has not met: made as ``enum`` itself does,
    but without asking the class (``_missing_`` and ``__new__`` can be the application's)."""
    mask, mixin = lookup(cls, "_flag_mask_"), lookup(cls, "_member_type_")
    keep = lookup(cls, "_boundary_") is enum.KEEP
    if value < 0 or mixin not in (object, int) or (value & ~mask and not keep):
        return None
    flag: Any = object.__new__(cls) if mixin is object else int.__new__(cls, value)
    singles = {
        member._value_: name
        for name, member in lookup(cls, "_member_map_").items()
        if member._name_ == name and member._value_.bit_count() == 1
    }
    bits = [1 << place for place in range(value.bit_length()) if value >> place & 1]
    names = [singles[bit] for bit in bits if bit in singles]
    rest = sum(bit for bit in bits if bit not in singles)
    text = "|".join([*names, str(rest)] if rest else names) if names else None
    object.__setattr__(flag, "_value_", value)
    object.__setattr__(flag, "_name_", text)
    return lookup(cls, "_value2member_map_").setdefault(value, flag)


# --- subclasses of built-in types -------------------------------------------------------------


def _ordered_items(value: Any) -> list[tuple[Any, Any]]:
    return [(key, dict.__getitem__(value, key)) for key in OrderedDict.__iter__(value)]


_CONTENT: Final[dict[type, Callable[[Writer, Any], Any]]] = {
    dict: lambda writer, value: writer.pairs(dict.items(value)),
    Counter: lambda writer, value: writer.pairs(dict.items(value)),
    OrderedDict: lambda writer, value: writer.pairs(_ordered_items(value)),
    defaultdict: lambda writer, value: [factory_name(value), writer.pairs(dict.items(value))],
    list: lambda writer, value: writer.items(list.__iter__(value)),
    tuple: lambda writer, value: writer.items(tuple.__iter__(value)),
    set: lambda writer, value: writer.items(set.__iter__(value)),
    frozenset: lambda writer, value: writer.items(frozenset.__iter__(value)),
    deque: lambda writer, value: [
        deque.__dict__["maxlen"].__get__(value),
        writer.items(deque.__iter__(value)),
    ],
    str: lambda writer, value: writer.encode(str.__str__(value)),
    bytes: lambda writer, value: bytes.__add__(value, b""),
    bytearray: lambda writer, value: bytes(bytearray.__getitem__(value, slice(None))),
    int: lambda writer, value: int.__add__(value, 0),
    float: lambda writer, value: float.__float__(value),
    complex: lambda writer, value: writer.encode(complex.__pos__(value)),
}


def dump_builtin(writer: Writer, value: Any, plan: Plan) -> Any:
    remember_if_ours(value, plan)
    base = plan.base
    if base is None:
        raise Refused(type(value), "its base is not known")
    content = _CONTENT[base](writer, value)
    state = {k: item for k, item in read_state(value, plan).items() if k not in plan.skip}
    parts = [plan.ref, BASES[base], content, writer.mapping(state) if state else None]
    return ext(BUILTIN, trim(parts) if parts[2] is not None else parts)


def load_builtin(reader: Reader, data: bytes) -> Any:
    ref, name, content, stored = reader.parts(data, 3, 4)
    state = as_names(stored, "the attributes")
    base = next((kind for kind, text in BASES.items() if text == name), None)
    if base is None:
        raise CorruptRecord("a stored object extends an unknown built-in type")
    found = reader.class_for(ref, BUILTIN)
    if type(found) is str:
        return Opaque(found, _readable(base, content))
    cls, plan = found
    if plan.base is not base:
        return reader.refuse(ref, f"it no longer extends {name}", _readable(base, content))
    result = _rebuild(cls, base, content)
    if state:
        write_state(result, cls, plan, state)
    return result


def _readable(base: type, content: Any) -> Any:
    if base is defaultdict and type(content) is list and len(content) == 2:
        return dict(pairs_of(content[1]))
    if issubclass(base, dict):
        return dict(pairs_of(content))
    if base is deque and type(content) is list and len(content) == 2:
        return content[1]
    return content


def _rebuild(cls: type, base: Any, content: Any) -> Any:
    """``base.__new__`` and the base's own methods: nothing that ``cls`` may override."""
    if base in (str, int, float, complex, bytes):
        _need(type(content) is base)
        return base.__new__(cls, content)
    if base is bytearray:
        _need(type(content) is bytes)
        array: Any = bytearray.__new__(cls)
        bytearray.extend(array, content)
        return array
    _need(type(content) is list)
    if base in (tuple, frozenset):
        return base.__new__(cls, content)
    result: Any = base.__new__(cls)
    if base is list:
        list.extend(result, content)
    elif base is set:
        set.update(result, content)
    elif base is deque:
        _need(len(content) == 2)
        deque.__init__(result, deque_items(content[0], content[1]), content[0])
    else:
        if base is defaultdict:
            _need(len(content) == 2)
            defaultdict.__init__(result, factory_of(content[0]))
            content = content[1]
        set_item = OrderedDict.__setitem__ if base is OrderedDict else dict.__setitem__
        for key, item in pairs_of(content):
            set_item(result, key, item)
    return result


def _need(ok: bool) -> None:
    if not ok:
        raise CorruptRecord("a stored object has the wrong content for its built-in base")


DUMPERS: Final = {ENUM: dump_enum, FLAG: dump_enum, BUILTIN: dump_builtin}
LOADERS: Final = {ENUM: load_enum, FLAG: load_flag, BUILTIN: load_builtin}
