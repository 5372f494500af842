"""Whatever an application stores, as JSON and as text; what is not known here stays opaque."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from pydantic import BaseModel

from threadloom import Opaque

_DEEPEST = 40
"""Nested deeper than this, a value is shown as its representation."""


def plain(value: Any, _depth: int = 0) -> Any:
    """A value as JSON has it.

    Bytes become ``{"bytes": base64}``, what this process has no class for ``{"type": …, "value":
    …}``, numbers that JSON lacks and everything else their text.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if _depth > _DEEPEST:
        return repr(value)
    deeper = _depth + 1
    if isinstance(value, Opaque):
        return {"type": value.type_name, "value": plain(value.value, deeper)}
    if isinstance(value, BaseModel):
        names = [*type(value).model_fields, *(value.model_extra or {})]
        return {name: plain(getattr(value, name, None), deeper) for name in names}
    if isinstance(value, Mapping):
        return {_key(key): plain(item, deeper) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, deeper) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, deeper) for item in value), key=repr)
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": b64encode(value).decode()}
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value)


def text(value: Any) -> str:
    """A value as people read it: text as it is, a short value in a line, a long one in several."""
    if isinstance(value, str):
        return value
    found = plain(value)
    line = json.dumps(found, ensure_ascii=False)
    if len(line) <= 80:
        return line
    return json.dumps(found, ensure_ascii=False, indent=2)


def is_internal(channel: str) -> bool:
    """Whether a channel is LangGraph's own: what it branches by, and the input of a run."""
    return channel.startswith(("branch:", "__"))


def in_a_line(value: Any) -> str:
    """A value in one line of JSON."""
    return json.dumps(plain(value), ensure_ascii=False)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(plain(key))


__all__ = ["in_a_line", "is_internal", "plain", "text"]
