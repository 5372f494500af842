"""The agent's own state, which stands beside the messages: any JSON."""

from __future__ import annotations

from typing import Any

from threadloom.documents import check_json
from threadloom.errors import CorruptRecord
from threadloom.keys import SessionPaths
from threadloom.ops import Delete, Op, Put, Record
from threadloom.values import Values

STATE = "state"


def read_state(values: Values, record: Record | None) -> Any:
    """What a record of the state holds; None where there is none."""
    if record is None:
        return None
    doc = record.body() if record.blob is None else values.loads(record.blob)
    if not isinstance(doc, dict) or "state" not in doc:
        raise CorruptRecord(f"the state {record.namespace}/{record.key} is damaged")
    return doc["state"]


def write_state(values: Values, paths: SessionPaths, state: Any) -> Op:
    """Store a state in the place of the one before, or take it away where it is None.

    Raises:
        SerializationError: something in it is not JSON.
    """
    if state is None:
        return Delete(paths.memory, STATE)
    doc = {"state": check_json(state, "state")}
    if values.readable:
        return Put(paths.memory, STATE, doc=doc)
    return Put(paths.memory, STATE, doc={}, blob=values.dumps(doc, where="the state"))
