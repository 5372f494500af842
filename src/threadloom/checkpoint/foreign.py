"""Messages of classes that this process does not have, as messages that can be shown."""

from __future__ import annotations

from typing import Any

from langchain_core import messages
from langchain_core.messages import BaseMessage

from threadloom.serde import Opaque

OPAQUE_TYPE = "opaque_type"
"""Where `additional_kwargs` of such a message says what class it is of."""

_CLASSES: dict[str, type[BaseMessage]] = {
    "human": messages.HumanMessage,
    "ai": messages.AIMessage,
    "system": messages.SystemMessage,
    "tool": messages.ToolMessage,
    "function": messages.FunctionMessage,
    "chat": messages.ChatMessage,
}


def as_shown(value: Any) -> Any:
    """A value, or a list of values, with LangChain's message in the place of an opaque one."""
    if isinstance(value, list):
        return [as_shown(item) for item in value]
    if not isinstance(value, Opaque) or not isinstance(value.value, dict):
        return value
    fields = value.value
    if not isinstance(fields.get("content"), (str, list)) or "additional_kwargs" not in fields:
        return value
    cls = _CLASSES.get(str(fields.get("type")), messages.ChatMessage)
    known = {name: item for name, item in fields.items() if name in cls.model_fields}
    further = {name: item for name, item in fields.items() if name not in cls.model_fields}
    if cls is messages.ChatMessage:
        known["type"] = "chat"
        known.setdefault("role", str(fields.get("type")))
    extra = fields["additional_kwargs"] if isinstance(fields["additional_kwargs"], dict) else {}
    known["additional_kwargs"] = {**extra, OPAQUE_TYPE: value.type_name, **further}
    return cls.model_construct(**known)
