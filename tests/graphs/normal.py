"""Plain, comparable text out of whatever a graph run hands back.

Ids that differ from run to run (checkpoints, tasks, messages, interrupts, channel versions) become
ordinals in the order in which they first appear. The same id always becomes the same ordinal, so
two traces are equal only if ids are also *used* in the same way.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Interrupt, Send
from pydantic import BaseModel

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_DIGEST = r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
_IDS = re.compile(f"{_UUID}|{_DIGEST}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

# Mappings that LangGraph or the saver makes: their order says nothing.
# Every other mapping belongs to the user and keeps its order.
_UNORDERED = frozenset(
    {
        "channel_values",
        "channel_versions",
        "checkpoint_map",
        "config",
        "configurable",
        "counters_since_delta_snapshot",
        "metadata",
        "parent_config",
        "parents",
        "versions_seen",
    }
)


# Where task writes are shown. `add_messages` gives a message its id while the background thread
# may or may not have written it yet, so there an id of its making cannot be compared.
_WRITES = frozenset({"pending_writes", "result"})


class Normaliser:
    """Turns values into nested tuples of strings; remembers the ids it has met."""

    def __init__(self) -> None:
        self._in_writes = False
        self._ids: dict[str, int] = {}
        self._versions: dict[str, int] = {}

    def text(self, value: str) -> str:
        value = _TIME.sub("<time>", _ADDRESS.sub("", value))
        return _IDS.sub(lambda m: f"<{self._ids.setdefault(m[0], len(self._ids))}>", value)

    def met(self, value: str) -> list[int]:
        """The ordinals of the ids in a text; a new id comes after all that were met."""
        return [self._ids.get(id, len(self._ids)) for id in _IDS.findall(value)]

    def version(self, value: Any) -> str:
        key = f"{type(value).__name__}:{value}"
        return f"v{self._versions.setdefault(key, len(self._versions))}"

    def __call__(self, value: Any, name: str = "") -> Any:
        if name == "channel_versions":
            return {k: self.version(value[k]) for k in sorted(value)}
        if name in _WRITES and not self._in_writes:
            self._in_writes = True
            try:
                return self(value)
            finally:
                self._in_writes = False
        if name == "__interrupt__":  # parallel tasks race for this order
            return ("interrupts", [self(item) for item in sorted(value, key=repr_of_value)])
        if name == "versions_seen":
            return {k: self(value[k], "channel_versions") for k in sorted(value)}
        if isinstance(value, str) and type(value) is str:
            return self.text(value)
        if value is None or type(value) in (bool, int, float, complex, bytes):
            return f"{type(value).__name__}({value!r})"
        return self._composite(value, name)

    def _composite(self, value: Any, name: str) -> Any:
        kind = type(value).__name__
        if isinstance(value, CheckpointTuple):
            return self._tuple(value)
        if isinstance(value, Mapping):
            return self._mapping(value, name)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return (kind, {f: self(getattr(value, f), f) for f in value._fields})
        if isinstance(value, list | tuple | deque):
            return (kind, [self(item) for item in value])
        if isinstance(value, set | frozenset):
            return (kind, sorted((self(item) for item in value), key=repr))
        if isinstance(value, Interrupt):
            return (kind, self(value.value), self(value.id))
        if isinstance(value, Send):
            return (kind, value.node, self(value.arg))
        if isinstance(value, BaseException):
            return (kind, self.text(str(value)))
        if isinstance(value, enum.Enum):
            return (kind, value.name, self(value.value))
        if isinstance(value, BaseModel):
            fields = {**value.__dict__, **(value.__pydantic_extra__ or {})}
            if self._in_writes and isinstance(value, BaseMessage) and made_up(value.id):
                fields["id"] = "<late>"
            return (kind, {f: self(fields[f], f) for f in sorted(fields)})
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [f.name for f in dataclasses.fields(value)]
            return (kind, {f: self(getattr(value, f), f) for f in names})
        return (kind, self.text(repr(value)))

    def _mapping(self, value: Mapping[Any, Any], name: str) -> Any:
        kind = type(value).__name__
        items = list(value.items())
        if name in _UNORDERED or name == "checkpoint":
            kind = "mapping"
            items.sort(key=lambda item: str(item[0]))
        return (kind, [(self(k), self(v, k if isinstance(k, str) else "")) for k, v in items])

    def _tuple(self, found: CheckpointTuple) -> Any:
        kept = ("id", "v", "channel_values", "channel_versions", "versions_seen")
        return {
            "config": self(found.config, "config"),
            "parent": self(found.parent_config, "parent_config"),
            "metadata": self(found.metadata, "metadata"),
            "checkpoint": {k: self(found.checkpoint[k], k) for k in kept},
            "updated": self(found.checkpoint.get("updated_channels")),
            "writes": self(found.pending_writes, "pending_writes"),
        }


def repr_of_value(item: Interrupt) -> str:
    return repr(item.value)


def made_up(id: str | None) -> bool:
    return id is None or re.fullmatch(_UUID, id) is not None
