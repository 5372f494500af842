"""Back to an earlier checkpoint: what a rewind writes, and what a fork takes along.

To move the head back would be wrong: the next run would find the pending writes of the old head
and call no node, and a delta channel would read both branches. So the new head is a **sibling**
of the checkpoint that is gone back to: a copy with an id of its own, the same parent, and no
pending writes. What was undone stays where it is, without being the head.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from langgraph.checkpoint.base.id import uuid6

from threadloom.checkpoint import layout
from threadloom.checkpoint.graph_state import Graph, doc_of_copy
from threadloom.checkpoint.header import ListRef, encode_header
from threadloom.checkpoint.layout import Head, Place, Stored
from threadloom.checkpoint.namespaces import NO_GRAPH, Headed, WholeGraph, WholeNamespace
from threadloom.checkpoint.shown import reshow
from threadloom.checkpoint.standing import put_head
from threadloom.errors import SerializationError
from threadloom.keys import Namespace, SessionPaths
from threadloom.messages import MESSAGES
from threadloom.ops import ABSENT, Op, Patch, Put
from threadloom.plans import Plan
from threadloom.records import copied
from threadloom.values import Values


@dataclass
class Undone:
    """What a rewind writes to the graph state of a session.

    Attributes:
        ops: the operations.
        fields: what the session's record says afterwards, but for what both doors share.
    """

    ops: list[Op] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def rewind(values: Values, graph: Graph, target: Stored, now: int) -> Plan[Undone]:
    """New heads in every namespace, as they were at a checkpoint of the graph itself."""
    assert graph.root is not None
    undone = Undone()
    subgraphs = [whole for whole in graph.namespaces if not whole.place.is_root]
    way = (yield from graph.way(target)) if subgraphs else None
    for whole in subgraphs:
        kept = [] if way is None else graph.made_on(whole, way, last=False)
        if not kept:
            if whole.head.id is not None:
                undone.ops.append(_put_head(whole, whole.head._replace(id=None)))
        elif kept[-1].id != whole.head.id:
            head, record = sibling(values, whole, kept[-1])
            undone.ops += (record, _put_head(whole, head))
    head, record = sibling(values, graph.root, target)
    counts = target.header.counts
    shown = yield from _show(values, graph, target)
    head = head.with_growth(0 if counts is None else counts[0], now)
    undone.ops += (*shown, record, _put_head(graph.root, head))
    undone.fields = {**NO_GRAPH, "status": "idle"}
    if counts is not None:
        undone.fields |= {"graph_messages": counts[0], "graph_tokens": counts[1]}
    return undone


def _put_head(whole: Headed, head: Head) -> Put:
    return put_head(whole.place, whole.head_record.version, head)


def sibling(values: Values, whole: Headed, target: Stored) -> tuple[Head, Put]:
    """A copy of a checkpoint beside it: the head after it is put, and its record."""
    header = target.header
    id = str(uuid6(clock_seq=header.seq))
    made = datetime.now(UTC).isoformat()  # what the history has now is older than the copy
    new = header._replace(
        seq=whole.head.puts + 1,
        checkpoint={**header.checkpoint, "id": id, "ts": made},
        metadata=_of_a_fork(values, header.metadata),
    )
    record = Put(
        whole.place.records(),
        layout.checkpoint_key(id),
        doc=doc_of_copy(target),
        blob=encode_header(new),
        expect=ABSENT,
    )
    return whole.head.with_put(id, header.parent, on_purpose=True), record


def _of_a_fork(values: Values, metadata: bytes) -> bytes:
    found = values.loads_opaque(metadata)
    if not isinstance(found, Mapping):
        return metadata
    try:
        return values.dumps({**found, "source": "fork"}, where="metadata")
    except SerializationError:
        return metadata  # it holds types that this process lacks


def _show(values: Values, graph: Graph, target: Stored) -> Plan[list[Put | Patch]]:
    """Let search see the conversation of a checkpoint instead of the head's."""
    assert graph.root is not None
    old = None if graph.head is None else graph.head.header.refs.get(MESSAGES)
    new = target.header.refs.get(MESSAGES)
    return (
        yield from reshow(
            values,
            graph.root.place,
            old.spans if isinstance(old, ListRef) else (),
            new.spans if isinstance(new, ListRef) else (),
        )
    )


@dataclass
class Forked:
    """What a fork writes to the graph state of the new session.

    Attributes:
        ops: the operations.
        fields: what the new session's record says of it, but for what both doors share.
    """

    ops: list[Op] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def fork(
    values: Values,
    graph: Graph,
    whole_graph: WholeGraph,
    to: SessionPaths,
    target: Stored,
    now: int,
) -> Plan[Forked]:
    """The graph state of a session as it was at a checkpoint, for another one.

    That is the way to the checkpoint, and what subgraphs did on it. Where others go on from the
    checkpoint a sibling takes its place; where none does, it keeps its pending writes.
    """
    assert graph.root is not None
    has_children = graph.has_children(target)
    way = yield from graph.way(target)
    kept = {stored.id for stored in way.steps[1 if has_children else 0 :]}
    forked = Forked()
    shown = yield from _show(values, graph, target)
    left: dict[str, list[Stored]] = {}
    for whole in graph.namespaces:
        here = whole.place
        there = Place(to, here.ns)
        extra: list[Put] = []
        if here.is_root:
            stays = [whole.stored[id] for id in kept]
            if has_children:
                head, record = sibling(values, whole, target)
                extra.append(record)
            else:
                head = whole.head._replace(id=target.id)
            counts = target.header.counts
            head = head.with_growth(0 if counts is None else counts[0], now)
        else:
            stays = graph.made_on(whole, way, last=not has_children)
            if not stays:
                continue
            head = whole.head._replace(id=stays[-1].id)
        if (status := _status(whole, head)) != "idle":
            head = head.with_mark(head.id or "", status)
        ids = {stored.id for stored in stays}
        also = [Stored(target.id, target.record, [])] if extra else []
        left[here.label] = [*stays, *also]
        forked.ops += _copies(stays, there)
        forked.ops += [op._replace(namespace=there.records()) for op in extra]
        forked.ops.append(put_head(there, ABSENT, _head_of_fork(head, ids)))
    dead = {(op.namespace, op.key) for op in whole_graph.dead(left, loose=False)}
    content = [
        copied(record, _moved(record.namespace, graph.root.place.paths, to))
        for record in whole_graph.referred()
        if (record.namespace, record.key) not in dead
    ]
    there_now = {(op.namespace, op.key) for op in content}
    moved = [
        op._replace(namespace=_moved(op.namespace, graph.root.place.paths, to)) for op in shown
    ]
    forked.ops = [
        *content,
        *(op for op in moved if (op.namespace, op.key) in there_now),
        *forked.ops,
    ]
    status = "idle" if has_children else target.status
    forked.fields = {**NO_GRAPH, "status": status}
    if (counts := target.header.counts) is not None:
        forked.fields |= {"graph_messages": counts[0], "graph_tokens": counts[1]}
    return forked


def copy(graph: WholeGraph, source: SessionPaths, to: SessionPaths) -> list[Op]:
    """All graph state of a session, for another one; the two share nothing."""
    ops: list[Op] = [
        copied(record, _moved(record.namespace, source, to)) for record in graph.all_records()
    ]
    for whole in graph.namespaces:
        ops.append(put_head(Place(to, whole.place.ns), ABSENT, whole.head._replace(logs={})))
    return ops


def _status(whole: WholeNamespace, head: Head) -> str:
    """What the pending writes of a head say of its run."""
    stored = whole.stored.get(head.id or "")
    return "idle" if stored is None else stored.status


def _head_of_fork(head: Head, ids: Collection[str]) -> Head:
    """The head record of a fork, which adds to logs of its own."""
    assert head.id is not None
    marks = {id: mark for id, mark in head.marks.items() if id in ids or id == head.id}
    return head._replace(greatest=max([*ids, head.id]), tips=(head.id,), marks=marks, logs={})


def _copies(stays: Sequence[Stored], there: Place) -> list[Put]:
    """Checkpoints with their pending writes."""
    ops = [copied(stored.record, there.records()) for stored in stays]
    ops += [
        Put(
            there.records(),
            layout.write_key(stored.id, write.task_id, write.number),
            blob=layout.encode_write(write.channel, write.task_path, write.blob),
            expect=ABSENT,
        )
        for stored in stays
        for write in stored.writes
    ]
    return ops


def _moved(namespace: Namespace, source: SessionPaths, to: SessionPaths) -> Namespace:
    """The namespace of another session that holds what this one holds of the first."""
    return (*to.checkpoints, *namespace[len(source.checkpoints) :])
