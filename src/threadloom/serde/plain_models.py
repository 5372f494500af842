"""Stored models of a library that hold nothing but plain things, read without being made.

Whoever remembers a message needs what is in it, not the message: reading it so takes a fraction
of the time. Everything else, and everything that is odd, is left to the reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import ormsgpack

from threadloom.serde.format import JUST_STR, MODEL, PART, hook_was_interrupted
from threadloom.serde.known import BY_CODE

_EXT_8, _EXT_16 = 0xC7, 0xC8
_MORE_THAN_A_BYTE: Final = 128
"""MessagePack writes smaller numbers as themselves."""
_DICT_OR_NONE: Final = frozenset({dict, type(None)})
_SHAREABLE: Final = frozenset({type(None), bool, int, float, str, list, dict})


class ModelKind:
    """What models have in common of which the same fields were stored.

    Attributes:
        cls: their class.
        defaults: all fields with their defaults, in their order; not to be changed.
        names: the fields that were set.
        stored: the fields that were stored.
        extra: `__pydantic_extra__` where none is stored; not to be changed.
    """

    __slots__ = ("cls", "defaults", "extra", "names", "stored")

    def __init__(
        self,
        cls: type,
        defaults: Mapping[str, Any],
        stored: frozenset[str],
        names: frozenset[str],
        extra: Any,
    ) -> None:
        self.cls = cls
        self.defaults = defaults
        self.stored = stored
        self.names = names
        self.extra = extra


class PlainModel(NamedTuple):
    """What the slots of a model hold. It is the reader's own, but for the defaults.

    Attributes:
        kind: what it has in common with others.
        fields: the fields that were stored.
        extra: `__pydantic_extra__`.
        private: `__pydantic_private__`.
        body: what was read, without texts that are kept apart.
    """

    kind: ModelKind
    fields: dict[str, Any]
    extra: dict[str, Any] | None
    private: dict[str, Any] | None
    body: bytes


def read_plain_model(body: bytes, parts: Sequence[str | bytes]) -> PlainModel | None:
    """The one model that a body holds; None where the reader has to look at it."""
    data = _content(body)
    if data is None:
        return None
    odd = False

    def hook(tag: int, number: bytes) -> Any:
        nonlocal odd
        if tag == PART and len(number) == 1 and number[0] < len(parts) < _MORE_THAN_A_BYTE:
            text = parts[number[0]]
            if type(text) is str:
                return text
        odd = True
        return None

    try:
        items = ormsgpack.unpackb(data, ext_hook=hook)
    except ValueError as error:
        if hook_was_interrupted(error):
            raise KeyboardInterrupt from None
        return None
    if odd or type(items) is not list or not 2 <= len(items) <= 5:
        return None
    ref, fields = items[:2]
    if type(ref) is not int or type(fields) is not dict:
        return None
    if len(items) == 2:
        kind = _kind(ref, tuple(fields), ())
        return None if kind is None else PlainModel(kind, fields, kind.extra, None, data)
    changed, extra, private = (*items[2:], None, None)[:3]
    if changed is not None:
        if type(changed) is not list or not JUST_STR.issuperset(map(type, changed)):
            return None
    if not {type(extra), type(private)} <= _DICT_OR_NONE:
        return None
    kind = _kind(ref, tuple(fields), tuple(changed or ()))
    if kind is None:
        return None
    return PlainModel(kind, fields, kind.extra if extra is None else extra, private, data)


def _content(body: bytes) -> bytes | None:
    """What is in a body that is a model and nothing else, up to 64 KiB."""
    if len(body) < 4:
        return None
    if body[0] == _EXT_8 and body[2] == MODEL and len(body) == 3 + body[1]:
        return body[3:]
    if body[0] == _EXT_16 and body[3] == MODEL and len(body) == 4 + (body[1] << 8) + body[2]:
        return body[4:]
    return None


@lru_cache(maxsize=1024)
def _kind(ref: int, stored: tuple[str, ...], changed: tuple[str, ...]) -> ModelKind | None:
    """The kind of models of a class, by its number, of which some fields were stored.

    Args:
        ref: the class.
        stored: the fields, in their order.
        changed: fields that were set and not stored, or stored and not set.
    """
    cls, plan = BY_CODE.get(ref, (None, None))
    if cls is None or plan is None or plan.tag != MODEL or plan.has_slots:
        return None
    defaults = {name: plan.omit.get(name) for name in plan.fields}
    if not _SHAREABLE.issuperset(map(type, defaults.values())):
        return None
    if not plan.field_set - plan.omit.keys() <= frozenset(stored) <= plan.field_set:
        return None
    if len(stored) == len(defaults) and stored != tuple(defaults):
        return None  # then the order is its own
    fields = frozenset(stored)
    return ModelKind(cls, defaults, fields, fields.symmetric_difference(changed), plan.extra)
