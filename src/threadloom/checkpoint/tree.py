"""The checkpoints of a session as a tree, for people: who came of whom, where it branches.

Nothing of the application's is decoded but what interrupts and errors say, and that opaquely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from langgraph.types import Interrupt
from pydantic import BaseModel, ConfigDict

from threadloom import index
from threadloom.checkpoint.elements import text_in
from threadloom.checkpoint.graph_state import copy_of
from threadloom.checkpoint.growth import new_bytes
from threadloom.checkpoint.layout import Place, Stored
from threadloom.checkpoint.namespaces import WholeNamespace, read_session
from threadloom.checkpoint.plain_reading import Material
from threadloom.checkpoint.spans import element_place
from threadloom.clock import from_micros
from threadloom.displayed import Tabular
from threadloom.keys import SessionPaths
from threadloom.plans import Plan
from threadloom.values import Values


class CheckpointNode(BaseModel):
    """One checkpoint.

    Attributes:
        id: its id.
        parent: the id of the checkpoint that it came of, in the same namespace; None for the first,
            and where that was pruned.
        namespace: ``""`` for the graph itself, else a subgraph's.
        within: of a subgraph's, the checkpoint of the graph itself that it ran under.
        step, source: what LangGraph's metadata says; source is ``"input"``, ``"loop"``,
            ``"update"`` or ``"fork"``.
        created_at: when it was made, aware UTC; None where it does not say.
        is_head: whether the next run goes on from here.
        is_tip: whether nothing goes on from here: the head, and the ends of other branches.
        copy_of: the checkpoint that a rewind made this one of.
        writes: how many pending writes it has.
        interrupts: what its run waits for, value by value; types that are not known here are
            `threadloom.serde.Opaque`.
        errors: what went wrong in its run, in words.
        bytes: what is stored for it that its parent does not use already.
        messages: how many messages its conversation has, where it is known.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    id: str
    parent: str | None = None
    namespace: str = ""
    within: str | None = None
    step: int | None = None
    source: str | None = None
    created_at: datetime | None = None
    is_head: bool = False
    is_tip: bool = False
    copy_of: str | None = None
    writes: int = 0
    interrupts: tuple[Any, ...] = ()
    errors: tuple[str, ...] = ()
    bytes: int = 0
    messages: int | None = None


class CheckpointTree(Tabular, BaseModel):
    """The checkpoints of a session.

    Attributes:
        session_id: the session.
        nodes: its checkpoints: namespace by namespace, that of the graph itself first, and in
            each one in the order in which they were put.
    """

    model_config = ConfigDict(frozen=True)

    session_id: str
    nodes: tuple[CheckpointNode, ...] = ()

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that have checkpoints, that of the graph itself first."""
        return tuple(self._by_namespace)

    def of(self, namespace: str = "") -> tuple[CheckpointNode, ...]:
        """The checkpoints of one namespace, in put order."""
        return tuple(self._by_namespace.get(namespace, ()))

    @cached_property
    def _by_namespace(self) -> dict[str, list[CheckpointNode]]:
        found: dict[str, list[CheckpointNode]] = {}
        for node in self.nodes:
            found.setdefault(node.namespace, []).append(node)
        return found

    def head(self, namespace: str = "") -> CheckpointNode | None:
        """The checkpoint that the next run goes on from; None where there is none."""
        return next((node for node in self.of(namespace) if node.is_head), None)

    def tips(self, namespace: str = "") -> tuple[CheckpointNode, ...]:
        """The ends of all branches, in put order."""
        return tuple(node for node in self.of(namespace) if node.is_tip)

    def find(self, id: str, namespace: str = "") -> CheckpointNode | None:
        """A checkpoint by its id, or None."""
        return next((node for node in self.of(namespace) if node.id == id), None)

    def children(self, namespace: str = "") -> dict[str | None, list[CheckpointNode]]:
        """What came of each checkpoint, in put order; under None what came of none."""
        found: dict[str | None, list[CheckpointNode]] = {}
        for node in self.of(namespace):
            found.setdefault(node.parent, []).append(node)
        return found


def tree(values: Values, paths: SessionPaths) -> Plan[CheckpointTree]:
    """The checkpoints of a session as of one moment; none where there is no such session.

    Raises:
        CorruptRecord: what is stored is damaged.
    """
    whole = yield from read_session(values, paths)
    if whole is None:
        return CheckpointTree(session_id=paths.id)
    graph = whole.graph
    elements = {element_place(record.key): record.blob or b"" for record in graph.content.elements}
    material = Material(
        values, elements, {record.key: text_in(record) for record in graph.content.texts}
    )
    sizes = {record.key: index.size(record) for record in graph.content.texts}
    nodes: list[CheckpointNode] = []
    for space in sorted(graph.namespaces, key=lambda space: space.place.ns):  # "" comes first
        added = new_bytes(values, space, elements, sizes)
        nodes += _nodes(values, space, material, added)
    return CheckpointTree(session_id=paths.id, nodes=tuple(nodes))


def _nodes(
    values: Values, space: WholeNamespace, material: Material, added: Mapping[str, int]
) -> Iterator[CheckpointNode]:
    parents = {stored.parent for stored in space.stored.values()}
    for stored in sorted(space.stored.values(), key=lambda item: item.seq):
        metadata = values.loads_opaque(stored.header.metadata)
        said = metadata if isinstance(metadata, dict) else {}
        made, step, source = stored.made_at, said.get("step"), said.get("source")
        yield CheckpointNode(
            id=stored.id,
            parent=stored.parent if stored.parent in space.stored else None,
            namespace=space.place.ns,
            within=_within(space.place, said),
            step=step if isinstance(step, int) else None,
            source=source if isinstance(source, str) else None,
            created_at=None if made is None else from_micros(made),
            is_head=stored.id == space.head.id,
            is_tip=stored.id not in parents,
            copy_of=copy_of(stored),
            writes=len(stored.writes),
            interrupts=tuple(_interrupts(stored, material)),
            errors=tuple(_errors(stored, material)),
            bytes=added[stored.id],
            messages=None if stored.counts is None else stored.counts[0],
        )


def _within(place: Place, metadata: Mapping[str, Any]) -> str | None:
    parents = metadata.get("parents")
    found = parents.get("") if isinstance(parents, dict) and not place.is_root else None
    return found if isinstance(found, str) else None


def _interrupts(stored: Stored, material: Material) -> Iterator[Any]:
    for write in stored.writes:
        if write.channel == INTERRUPT:
            value = material.decode(write.blob)
            for item in value if isinstance(value, (list, tuple)) else (value,):
                yield item.value if isinstance(item, Interrupt) else item


def _errors(stored: Stored, material: Material) -> Sequence[str]:
    found = [material.decode(write.blob) for write in stored.writes if write.channel == ERROR]
    return [value if isinstance(value, str) else repr(value) for value in found]


__all__ = ["CheckpointNode", "CheckpointTree", "tree"]
