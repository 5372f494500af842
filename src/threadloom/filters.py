"""LangGraph's store filter, evaluated the same way for every engine.

A filter maps top-level fields to what they must equal, or to operators: ``$eq``, ``$ne``,
``$gt``, ``$gte``, ``$lt``, ``$lte``, and ours for lists, ``$contains`` (a list contains every
one of several values, or one) and ``$fields`` (a mapping's fields, whose names are never
operators). A mapping without an
operator is matched field by field. Values are compared as JSON: ``True`` is not ``1``, a
missing field equals ``None``, and order is defined between numbers and between strings only.
A list is matched by one of the same length whose items match in turn, each as a field would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from threadloom.errors import InvalidKey

_ORDER = {"$gt", "$gte", "$lt", "$lte"}
_OPERATORS = _ORDER | {"$eq", "$ne", "$contains", "$fields"}


_DEEPEST = 200


def check_filter(filter: Mapping[str, Any] | None) -> None:
    """Refuse what is no filter, whatever documents there are.

    Raises:
        InvalidKey: an operator does not exist or has the wrong operand, a name is no text, or
            it is nested deeper than documents can be.
    """
    if filter is not None and not isinstance(filter, Mapping):
        raise InvalidKey(f"a filter is a mapping, got {type(filter).__name__}")
    for name, wanted in (filter or {}).items():
        _check_name(name)
        _check_wanted(wanted, 0)


def _check_wanted(wanted: Any, depth: int) -> None:
    if not isinstance(wanted, (Mapping, list, tuple)):
        return
    if depth > _DEEPEST:
        raise InvalidKey(f"a filter is nested deeper than {_DEEPEST}")
    if not isinstance(wanted, Mapping):
        for item in wanted:
            _check_wanted(item, depth + 1)
        return
    operators = any(isinstance(key, str) and key.startswith("$") for key in wanted)
    for key, item in wanted.items():
        _check_name(key)
        if not operators:
            _check_wanted(item, depth + 1)
        elif key not in _OPERATORS:
            raise _unknown(key)
        elif key == "$fields":
            if not isinstance(item, Mapping):
                raise InvalidKey(f"$fields takes a mapping, got {type(item).__name__}")
            for field, inner in item.items():
                _check_name(field)
                _check_wanted(inner, depth + 1)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidKey(f"a field of a filter is named by a text, got {name!r:.80}")


def _unknown(name: str) -> InvalidKey:
    known = ", ".join(sorted(_OPERATORS))
    return InvalidKey(f"unknown filter operator {name!r}; known: {known}")


def matches(doc: Mapping[str, Any] | None, filter: Mapping[str, Any] | None) -> bool:
    """Whether a document passes a filter; no filter lets everything pass.

    Raises:
        InvalidKey: the filter uses an operator that does not exist.
    """
    if not filter:
        return True
    fields = doc or {}
    return all(_matches(fields.get(name), wanted) for name, wanted in filter.items())


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if any(isinstance(key, str) and key.startswith("$") for key in wanted):
            return all(_operator(value, name, operand) for name, operand in wanted.items())
        return isinstance(value, dict) and all(
            _matches(value.get(key), item) for key, item in wanted.items()
        )
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(map(_matches, value, wanted))
        )
    return equal(value, wanted)


def _operator(value: Any, name: str, operand: Any) -> bool:
    if name not in _OPERATORS:
        raise _unknown(name)
    if name == "$eq":
        return equal(value, operand)
    if name == "$ne":
        return not equal(value, operand)
    if name == "$fields":
        return isinstance(value, dict) and all(
            _matches(value.get(field), wanted) for field, wanted in operand.items()
        )
    if name == "$contains":
        wanted = operand if isinstance(operand, (list, tuple)) else [operand]
        return isinstance(value, list) and all(
            any(equal(item, one) for item in value) for one in wanted
        )
    if not _comparable(value, operand):
        return False
    if name == "$gt":
        return bool(value > operand)
    if name == "$gte":
        return bool(value >= operand)
    if name == "$lt":
        return bool(value < operand)
    return bool(value <= operand)


def equal(one: Any, other: Any) -> bool:
    """Equality of JSON values: numbers by value, booleans never equal numbers."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return bool(one == other)


def _comparable(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    numbers = (int, float)
    return (isinstance(one, numbers) and isinstance(other, numbers)) or (
        isinstance(one, str) and isinstance(other, str)
    )
