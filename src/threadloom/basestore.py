"""LangGraph's store operations, translated to ours.

`batch_plan` is the whole of it: a plan that takes LangGraph's operations, below a root that
the caller cannot leave, and gives LangGraph's results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
    validate_op_namespace,
)
from langgraph.store.base import Op as LangGraphOp
from langgraph.store.base import Result as LangGraphResult

from threadloom import keys
from threadloom.clock import from_micros
from threadloom.documents import check_json
from threadloom.errors import InvalidKey, SerializationError, UnsupportedByStore
from threadloom.ops import Delete, Get, ListNamespaces, Namespace, Op, Put, Query, Record
from threadloom.plans import Plan


def batch_plan(
    ops: Iterable[LangGraphOp], root: Namespace = (), *, tenants: bool = True
) -> Plan[list[LangGraphResult]]:
    """Run LangGraph's operations; reads see the state before the batch's writes.

    Args:
        ops: LangGraph's `GetOp`, `SearchOp`, `PutOp` and `ListNamespacesOp`.
        root: namespace in front of every namespace that they name.
        tenants: whether labels of tenants may be named at the root.

    Raises:
        InvalidKey: a namespace or key that cannot be stored, or a write to one that belongs
            to Threadloom.
        SerializationError: a value that is not JSON.
        UnsupportedByStore: a time to live, which these stores do not have yet.
    """
    asked = list(ops)
    reads: list[Op] = []
    readers: list[int] = []
    writes: dict[tuple[Namespace, str], Op] = {}
    for index, op in enumerate(asked):
        try:
            validate_op_namespace(op)
        except InvalidNamespaceError as error:
            raise InvalidKey(str(error)) from error
        if isinstance(op, PutOp):
            write = _write(op, root, tenants)
            writes[write.namespace, write.key] = write
        else:
            reads.append(_read(op, root, tenants))
            readers.append(index)
    results: list[LangGraphResult] = [None] * len(asked)
    if not reads and not writes:
        return results
    found = yield [*reads, *writes.values()]
    values = yield from _living(found[: len(reads)])
    for index, value in zip(readers, values, strict=True):
        results[index] = _result(asked[index], value, root)
    return results


def _living(found: Sequence[Any]) -> Plan[list[Any]]:
    """Results without what is Threadloom's own, or of a session that has expired."""
    records = [item for value in found for item in _records(value)]
    owners = {owner for record in records if (owner := keys.session_of(record.namespace))}
    gone: set[Any] = set()
    if owners:
        asked = sorted(owners)
        sessions = yield [Get(*owner, blob=False) for owner in asked]
        gone = {owner for owner, record in zip(asked, sessions, strict=True) if record is None}

    def shown(record: Record) -> bool:
        namespace = record.namespace
        return keys.session_of(namespace) not in gone and not keys.is_own(namespace)

    results: list[Any] = []
    for value in found:
        if isinstance(value, Record):
            results.append(value if shown(value) else None)
        elif _records(value):
            results.append([record for record in value if shown(record)])
        else:
            results.append(value)
    return results


def _records(value: Any) -> list[Record]:
    if isinstance(value, Record):
        return [value]
    if isinstance(value, list) and value and isinstance(value[0], Record):
        return value
    return []


def _write(op: PutOp, root: Namespace, tenants: bool) -> Put | Delete:
    if not op.namespace:
        raise InvalidKey("a namespace must not be empty")
    namespace = _inside(op.namespace, root, tenants)
    if keys.is_reserved(namespace):
        raise InvalidKey(
            f"{op.namespace!r} belongs to Threadloom: sessions, memory and checkpoints are "
            "written through a SessionManager, not through the store's own interface"
        )
    key = keys.check_text(op.key, "a key")
    if op.ttl is not None:
        raise UnsupportedByStore("this store does not support a time to live for its items yet")
    if op.value is None:
        return Delete(namespace, key)
    if not isinstance(op.value, Mapping):
        raise SerializationError(
            f"the value of {key!r} is a {type(op.value).__qualname__}; a store keeps dicts"
        )
    return Put(namespace, key, doc=check_json(op.value, f"the value of {key!r}"))


def _read(op: LangGraphOp, root: Namespace, tenants: bool) -> Op:
    if isinstance(op, GetOp):
        return Get(_inside(op.namespace, root, tenants), keys.check_text(op.key, "a key"))
    if isinstance(op, SearchOp):
        namespace = _inside(op.namespace_prefix, root, tenants)
        if op.limit < 0 or op.offset < 0:
            raise InvalidKey(f"limit and offset must not be negative: {op.limit}, {op.offset}")
        return Query(
            namespace,
            deep=not keys.is_sessions(namespace),  # below are tombstones only
            filter=op.filter,
            limit=op.limit,
            offset=op.offset,
            user_only=not keys.is_reserved(namespace),
        )
    if isinstance(op, ListNamespacesOp):
        prefix: list[str] = []
        for condition in op.match_conditions or ():
            if condition.match_type == "prefix" and "*" not in condition.path:
                prefix = max(prefix, list(condition.path), key=len)
        namespace = _inside(tuple(prefix), root, tenants)
        return ListNamespaces(namespace, user_only=not keys.is_reserved(namespace))
    raise InvalidKey(f"unknown store operation: {op!r}")


def _inside(namespace: Iterable[str], root: Namespace, tenants: bool) -> Namespace:
    inner = keys.check_namespace(tuple(namespace))
    if inner and inner[0].startswith(keys.TENANT_MARK) and (root or not tenants):
        raise InvalidKey(
            f"a label that begins with {keys.TENANT_MARK!r} names a tenant, which cannot be "
            f"reached from here: {inner!r}"
        )
    return (*root, *inner)


def _result(op: LangGraphOp, value: Any, root: Namespace) -> LangGraphResult:
    if isinstance(op, GetOp):
        return None if value is None else Item(**_fields(value, root))
    if isinstance(op, SearchOp):
        return [SearchItem(**_fields(record, root)) for record in value]
    assert isinstance(op, ListNamespacesOp)
    shown = {
        namespace[len(root) :][: op.max_depth]
        for namespace in value
        if not keys.is_own(namespace)
        and all(_fits(condition, namespace[len(root) :]) for condition in op.match_conditions or ())
    }
    return sorted(shown)[op.offset : op.offset + op.limit]


def _fields(record: Record, root: Namespace) -> dict[str, Any]:
    doc = record.doc or {}
    if record.text is not None and "text" not in doc and not keys.is_sessions(record.namespace):
        doc["text"] = record.text
    return {
        "value": doc,
        "key": record.key,
        "namespace": record.namespace[len(root) :],
        "created_at": from_micros(record.created_at),
        "updated_at": from_micros(record.updated_at),
    }


def _fits(condition: MatchCondition, namespace: Namespace) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    if condition.match_type == "prefix":
        part = namespace[: len(path)]
    elif condition.match_type == "suffix":
        part = namespace[len(namespace) - len(path) :]
    else:
        raise InvalidKey(f"unknown match type {condition.match_type!r}")
    return all(wanted in ("*", label) for wanted, label in zip(path, part, strict=True))
