"""LangGraph's store operations, translated to ours.

`batch_plan` is the whole of it: a plan that takes LangGraph's operations, below a root that
the caller cannot leave, and gives LangGraph's results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
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

from threadloom import items, keys
from threadloom.clock import from_micros
from threadloom.documents import check_json
from threadloom.errors import InvalidKey, SerializationError, UnsupportedByStore
from threadloom.nearest import Found, nearest
from threadloom.ops import (
    Delete,
    Get,
    ListNamespaces,
    Namespace,
    Op,
    Put,
    Query,
    Record,
    Renew,
)
from threadloom.plans import Plan
from threadloom.semantic import SemanticIndex, check_wanted

_SLACK = 1_000
"""A read leaves an item alone that would live longer by less than this part of its life."""


@dataclass(frozen=True, slots=True)
class View:
    """Where LangGraph's operations are meant, and by whom.

    Attributes:
        now: tells the store's time, in microseconds since the epoch.
        index: what is embedded, for semantic search; None for nothing.
        root: namespace in front of every namespace that they name.
        tenants: whether labels of tenants may be named at the root.
    """

    now: Callable[[], int]
    index: SemanticIndex | None = None
    root: Namespace = ()
    tenants: bool = True

    def inside(self, namespace: Iterable[str]) -> Namespace:
        """The namespace in the store of one that an operation names.

        Raises:
            InvalidKey: it cannot be stored, or names a tenant that cannot be reached.
        """
        inner = keys.check_namespace(tuple(namespace))
        if inner and inner[0].startswith(keys.TENANT_MARK) and (self.root or not self.tenants):
            raise InvalidKey(
                f"a label that begins with {keys.TENANT_MARK!r} names a tenant, which cannot be "
                f"reached from here: {inner!r}"
            )
        return (*self.root, *inner)


@dataclass(slots=True)
class _Asked:
    """LangGraph's operations, checked, and what has to be done for them.

    Attributes:
        reads: the different reads, in the order of the first of each.
        readers: for every read, the numbers of the operations that it answers.
        puts: the last put of each place.
        texts: what of each put value is embedded.
        queries: the different queries of semantic searches, with their vectors' places.
    """

    reads: list[Op] = field(default_factory=list)
    readers: list[list[int]] = field(default_factory=list)
    puts: dict[tuple[Namespace, str], Put | Delete] = field(default_factory=dict)
    lives: dict[tuple[Namespace, str], int | None] = field(default_factory=dict)
    texts: dict[tuple[Namespace, str], list[str]] = field(default_factory=dict)
    queries: dict[str, int] = field(default_factory=dict)


def batch_plan(ops: Iterable[LangGraphOp], view: View) -> Plan[list[LangGraphResult]]:
    """Run LangGraph's operations; reads see the state before the batch's writes.

    Of several puts of one place the last counts, and reads that are the same are done once.
    What was read and is to expire gets its whole life again, unless its reader says otherwise.

    Args:
        ops: LangGraph's `GetOp`, `SearchOp`, `PutOp` and `ListNamespacesOp`.
        view: where they are meant.

    Raises:
        InvalidKey: a namespace or key that cannot be stored, a write to one that belongs to
            Threadloom, or an argument that makes no sense.
        SerializationError: a value that is not JSON.
    """
    listed = list(ops)
    asked = _asked(listed, view)
    results: list[LangGraphResult] = [None] * len(listed)
    if not asked.reads and not asked.puts:
        return results
    vectors = yield from _embedded(asked, view)
    found = yield [*asked.reads, *asked.puts.values()]
    living = yield from _living(asked.reads, found)
    shown: list[tuple[LangGraphOp, list[Record]]] = []
    for readers, value in zip(asked.readers, living, strict=True):
        op = listed[readers[0]]
        answer: Any = value
        if isinstance(op, GetOp):
            answer = [] if value is None else [Found(value)]
        elif isinstance(op, SearchOp):
            if _is_semantic(op, view):
                query = vectors[asked.queries[op.query or ""]]
                answer = yield nearest(query, value, op.offset, op.limit)
            else:
                answer = [Found(record) for record in value]
        for count, reader in enumerate(readers):
            results[reader] = _result(op, deepcopy(answer) if count else answer, view.root)
        if not isinstance(op, ListNamespacesOp):
            read = [item.record for item in answer]
            shown += [(listed[reader], read) for reader in readers]
    yield from _renew(shown, view)
    return results


def _asked(listed: Sequence[LangGraphOp], view: View) -> _Asked:
    """Check operations, and sort them."""
    asked = _Asked()
    known: dict[object, int] = {}
    for number, op in enumerate(listed):
        try:
            validate_op_namespace(op)
        except InvalidNamespaceError as error:
            raise InvalidKey(str(error)) from error
        if isinstance(op, PutOp):
            _sort_put(op, asked, view)
            continue
        read = _read(op, view)
        # Not by equality, for which a filter of True is one of 1.
        same = tuple(read) if isinstance(read, Get) else repr(op)
        place = known.setdefault(same, len(asked.reads))
        if place < len(asked.reads):
            asked.readers[place].append(number)
        else:
            asked.reads.append(read)
            asked.readers.append([number])
        if _is_semantic(op, view):
            assert isinstance(op, SearchOp)
            asked.queries.setdefault(op.query or "", len(asked.queries))
    return asked


def _sort_put(op: PutOp, asked: _Asked, view: View) -> None:
    if not op.namespace:
        raise InvalidKey("a namespace must not be empty")
    namespace = view.inside(op.namespace)
    if keys.is_reserved(namespace):
        raise InvalidKey(
            f"{op.namespace!r} belongs to Threadloom: sessions, memory and checkpoints are "
            "written through a SessionManager, not through the store's own interface"
        )
    key = keys.check_text(op.key, "a key")
    place = namespace, key
    check_wanted(op.index)
    asked.texts.pop(place, None)
    asked.puts.pop(place, None)
    if op.value is None:
        asked.puts[place] = Delete(*place)
        return
    if not isinstance(op.value, Mapping):
        raise SerializationError(
            f"the value of {key!r} is a {type(op.value).__qualname__}; a store keeps dicts"
        )
    doc = check_json(op.value, f"the value of {key!r}")
    asked.puts[place] = Put(*place, doc=doc)
    asked.lives[place] = None if op.ttl is None else items.life_of(op.ttl)
    if view.index is not None:
        asked.texts[place] = view.index.texts(doc, op.index)


def _read(op: LangGraphOp, view: View) -> Op:
    if isinstance(op, GetOp):
        return Get(view.inside(op.namespace), keys.check_text(op.key, "a key"))
    if isinstance(op, SearchOp):
        namespace = view.inside(op.namespace_prefix)
        _check_page(op.limit, op.offset)
        reserved = keys.is_reserved(namespace)
        query = Query(
            namespace,
            deep=not keys.is_sessions(namespace),  # below are tombstones only
            filter=op.filter,
            limit=op.limit,
            offset=op.offset,
            user_only=not reserved,
            blobs=op.refresh_ttl and not reserved,
        )
        return query._replace(limit=None, offset=0, blobs=True) if _is_semantic(op, view) else query
    if isinstance(op, ListNamespacesOp):
        _check_page(op.limit, op.offset)
        if op.max_depth is not None and not _is_count(op.max_depth):
            raise InvalidKey(f"max_depth is a number of labels, got {op.max_depth!r:.80}")
        prefix: list[str] = []
        for condition in op.match_conditions or ():
            if condition.match_type not in ("prefix", "suffix"):
                raise InvalidKey(f"unknown match type {condition.match_type!r}")
            if condition.match_type == "prefix" and "*" not in condition.path:
                prefix = max(prefix, list(condition.path), key=len)
        namespace = view.inside(prefix)
        return ListNamespaces(namespace, user_only=not keys.is_reserved(namespace))
    raise InvalidKey(f"unknown store operation: {op!r}")


def _check_page(limit: object, offset: object) -> None:
    if not _is_count(limit) or not _is_count(offset):
        raise InvalidKey(
            f"limit and offset are numbers of items, and not negative: {limit!r:.80}, "
            f"{offset!r:.80}"
        )


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _is_semantic(op: LangGraphOp, view: View) -> bool:
    """Whether items are to be ranked by their vectors; Threadloom's own records have none."""
    return (
        isinstance(op, SearchOp)
        and bool(op.query)
        and view.index is not None
        and not keys.is_reserved(view.inside(op.namespace_prefix))
    )


def _embedded(asked: _Asked, view: View) -> Plan[list[list[float]]]:
    """Put the vectors of what is put into its records; the vectors of the queries."""
    texts = {text: None for wanted in asked.texts.values() for text in wanted}
    stored: list[bytes] = []
    queries: list[list[float]] = []
    if view.index is not None and (texts or asked.queries):
        stored, queries = yield view.index.embedding(list(texts), list(asked.queries))
    packed = dict(zip(texts, stored, strict=True))
    now = view.now()
    for place, put in asked.puts.items():
        if isinstance(put, Put):
            life = asked.lives[place]
            wanted = [packed[text] for text in asked.texts.get(place, ())]
            asked.puts[place] = put._replace(
                blob=items.encode(life, view.index.dims if view.index and wanted else 0, wanted),
                expires_at=None if life is None else now + life,
            )
    return queries


def _living(reads: Sequence[Op], found: Sequence[Any]) -> Plan[list[Any]]:
    """Results of reads without what is Threadloom's own, or of a session that has expired."""
    results = list(found[: len(reads)])
    # Whatever did not name them shows none of them.
    own = [at for at, op in enumerate(reads) if keys.is_reserved(getattr(op, "namespace", ()))]
    records = [record for at in own for record in _records(results[at])]
    owners = {owner for record in records if (owner := keys.session_of(record.namespace))}
    gone: set[Any] = set()
    if owners:
        asked = sorted(owners)
        sessions = yield [Get(*owner, blob=False) for owner in asked]
        gone = {owner for owner, record in zip(asked, sessions, strict=True) if record is None}

    def shown(record: Record) -> bool:
        namespace = record.namespace
        return keys.session_of(namespace) not in gone and not keys.is_own(namespace)

    for at in own:
        value = results[at]
        if isinstance(value, Record):
            results[at] = value if shown(value) else None
        elif _records(value):
            results[at] = [record for record in value if shown(record)]
    return results


def _records(value: Any) -> list[Record]:
    if isinstance(value, Record):
        return [value]
    if isinstance(value, list) and value and isinstance(value[0], Record):
        return value
    return []


def _renew(shown: Iterable[tuple[LangGraphOp, list[Record]]], view: View) -> Plan[None]:
    """Give what was read its whole life again, where its readers want it."""
    now = view.now()
    renewed: dict[tuple[Namespace, str], Op] = {}
    for op, records in shown:
        if not getattr(op, "refresh_ttl", False):
            continue
        for record in records:
            if record.expires_at is None:
                continue
            life = items.decode(record).life
            if life is not None and now + life - record.expires_at > life // _SLACK:
                place = record.namespace, record.key
                renewed[place] = Renew(*place, record.version, now + life)
    if renewed:
        try:
            yield list(renewed.values())
        except UnsupportedByStore:
            return  # who may only read does so


def _result(op: LangGraphOp, answer: Any, root: Namespace) -> LangGraphResult:
    if isinstance(op, GetOp):
        return Item(**_fields(answer[0].record, root)) if answer else None
    if isinstance(op, SearchOp):
        return [SearchItem(**_fields(item.record, root), score=item.score) for item in answer]
    assert isinstance(op, ListNamespacesOp)
    namespaces = {
        namespace[len(root) :][: op.max_depth]
        for namespace in answer
        if not keys.is_own(namespace)
        and all(_fits(condition, namespace[len(root) :]) for condition in op.match_conditions or ())
    }
    return sorted(namespaces)[op.offset : op.offset + op.limit]


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
    at = 0 if condition.match_type == "prefix" else len(namespace) - len(path)
    part = namespace[at : at + len(path)]
    return all(wanted in ("*", label) for wanted, label in zip(path, part, strict=True))
