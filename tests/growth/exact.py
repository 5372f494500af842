"""Equality that nothing slips past: `1`, `True` and `1.0` differ, a list is no tuple."""

from __future__ import annotations

import dataclasses
import enum
from collections import deque
from collections.abc import Mapping
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple
from pydantic import BaseModel

# Mappings that LangGraph or a saver makes: their order says nothing.
_UNORDERED = ("channel_versions", "versions_seen")


def exact(value: Any) -> Any:
    """A frozen picture of a value: equal pictures are of values equal type for type.

    Entries of a dict keep their order. A pydantic object is its class, its fields, which of
    them were set, and what it holds beside them.
    """
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if value is None or isinstance(value, enum.Enum):
        return (kind, getattr(value, "name", None))
    if isinstance(value, float):
        return (kind, repr(value))  # tells -0.0 from 0.0, and nan from nothing
    if isinstance(value, bool | int | str | bytes | bytearray):
        return (kind, bytes(value) if isinstance(value, bytearray) else value)
    if isinstance(value, dict):
        return (kind, tuple((exact(key), exact(item)) for key, item in value.items()))
    if isinstance(value, deque):
        return (kind, value.maxlen, tuple(exact(item) for item in value))
    if isinstance(value, list | tuple):
        return (kind, tuple(exact(item) for item in value))
    if isinstance(value, set | frozenset):
        return (kind, tuple(sorted((exact(item) for item in value), key=repr)))
    if isinstance(value, BaseModel):
        return (
            kind,
            _named(value.__dict__),
            tuple(sorted(value.model_fields_set)),
            exact(value.__pydantic_extra__),
            exact(value.__pydantic_private__),
        )
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return (kind, _named({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}))
    return (kind, repr(value))


def _named(fields: Mapping[str, Any]) -> Any:
    return tuple((name, exact(fields[name])) for name in sorted(fields))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, type for type, however deep."""
    return bool(exact(one) == exact(other))


def picture(found: CheckpointTuple) -> dict[str, Any]:
    """All that a checkpoint tuple says, in a form to compare."""
    body = {name: item for name, item in found.checkpoint.items() if name != "channel_values"}
    return {
        "config": _place(found.config),
        "parent": _place(found.parent_config),
        "metadata": exact(found.metadata),
        "body": header(body),
        "values": {c: exact(value) for c, value in found.checkpoint["channel_values"].items()},
        "writes": [(task, c, exact(value)) for task, c, value in found.pending_writes or []],
    }


def header(body: Mapping[str, Any]) -> dict[str, Any]:
    """The picture of a checkpoint without its values."""
    made: dict[str, Any] = {}
    for name, item in body.items():
        if name in _UNORDERED:
            made[name] = {key: _sorted(inner) for key, inner in item.items()}
        else:
            made[name] = exact(item)
    return made


def _sorted(value: Any) -> Any:
    return _named(value) if isinstance(value, Mapping) else exact(value)


def _place(config: Any) -> Any:
    if config is None:
        return None
    inner = config["configurable"]
    return tuple(inner.get(name) for name in ("thread_id", "checkpoint_ns", "checkpoint_id"))


def difference(expected: Any, found: Any, where: str = "") -> str:
    """The first place where two pictures part, in words; nothing if they are equal."""
    if expected == found:
        return ""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected.keys() | found.keys():
            if key not in expected or key not in found:
                return f"{where}.{key}: {'extra' if key in found else 'missing'}"
            if expected[key] != found[key]:
                return difference(expected[key], found[key], f"{where}.{key}")
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        if len(expected) != len(found):
            return (
                f"{where}: {len(found)} instead of {len(expected)}: "
                f"{_short(found)} instead of {_short(expected)}"
            )
        for at, (one, other) in enumerate(zip(expected, found, strict=True)):
            if one != other:
                return difference(one, other, f"{where}[{at}]")
    return f"{where}: {_short(found)} instead of {_short(expected)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:300]} … {text[-80:]}"
