"""The graph state of a session: what belongs together, and who came before whom."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.head_messages import head_messages
from threadloom.checkpoint.header import Header, ListRef
from threadloom.checkpoint.layout import Place, Stored
from threadloom.checkpoint.life import made_at
from threadloom.checkpoint.namespaces import Headed, WholeNamespace
from threadloom.checkpoint.spans import cut, joined, length
from threadloom.checkpoint.trail import Trail
from threadloom.checkpoint.versions import is_version
from threadloom.errors import CheckpointNotFound
from threadloom.keys import SessionPaths
from threadloom.messages import MESSAGES
from threadloom.ops import Doc
from threadloom.plans import Plan
from threadloom.values import Values

_COPY_OF: Final = "copy_of"
_LEFT: Final = "left"


class Way(NamedTuple):
    """A checkpoint of the graph itself and its ancestors, nearest first.

    Attributes:
        steps: these checkpoints.
        places: where they are, by id.
        alike: the same, also by the ids of what they are copies of.
    """

    steps: Sequence[Stored]
    places: Mapping[str, int]
    alike: Mapping[str, int]


def copy_of(stored: Stored) -> str | None:
    """The id of the checkpoint that a rewind has made this one of."""
    found: str | None = (stored.record.doc or {}).get(_COPY_OF)
    return found


def doc_of_copy(stored: Stored) -> Doc:
    """The document of a copy that a rewind makes of a checkpoint."""
    return {**(stored.record.doc or {}), _COPY_OF: stored.id}


def doc_with_note(stored: Stored, left: Mapping[str, str]) -> Doc:
    """The document of a checkpoint whose parent goes.

    Args:
        stored: the checkpoint.
        left: how the way to it has left subgraphs: ids of their checkpoints, by label.
    """
    return {**(stored.record.doc or {}), _LEFT: dict(left)}


class Graph:
    """The graph state of a session: what its own checkpoints and its subgraphs' have to do with
    each other.

    Attributes:
        root: the namespace of the graph itself; None where the session has no graph state.
        trail: the checkpoints of the graph itself.
        head: the newest of them.
        namespaces: all namespaces, read whole; none where that was not needed.
    """

    def __init__(
        self,
        values: Values,
        root: Headed | None,
        namespaces: Sequence[WholeNamespace],
        trail: Trail,
        head: Stored | None,
    ) -> None:
        self._values = values
        self._paths = trail.place.paths
        self.root = root
        self.namespaces = namespaces
        self._stored = next((whole.stored for whole in namespaces if whole.place.is_root), {})
        self.trail = trail
        self.head = head
        self._parents: dict[tuple[str, str], Any] = {}
        self._made: list[tuple[int, str]] | None = None

    @property
    def messages_at_head(self) -> int | None:
        """How many messages the head's conversation has; None where a record does not tell."""
        head = self.head
        if head is None or MESSAGES not in head.header.refs or head.header.counts is None:
            return None
        return head.header.counts[0]

    def find(self, checkpoint_id: str) -> Plan[Stored]:
        """A checkpoint of the graph itself.

        Raises:
            CheckpointNotFound: there is none.
        """
        stored = None if self.root is None else (yield from self.trail.find(checkpoint_id))
        if stored is None:
            raise CheckpointNotFound(
                f"session {self._paths.id!r} has no checkpoint {checkpoint_id!r}"
            )
        return stored

    def with_messages(self, count: int) -> Plan[Stored]:
        """The newest checkpoint whose conversation is the beginning of the head's.

        Checkpoints on the way to the head come first, and one with new input comes last: it is
        the beginning of what followed.

        Raises:
            CheckpointNotFound: there is none with exactly this conversation.
        """
        seen: set[str] = set()
        inputs: list[Stored] = []
        step = self.head
        while step is not None and step.id not in seen:
            seen.add(step.id)
            if _messages_at(step) == count:
                if self._is_input(step):
                    inputs.append(step)
                elif (yield from self._fits(step, count)):
                    return step
            step = yield from self.trail.above(step)
        everything = {} if self.head is None else (yield from self.trail.all())
        others = [
            stored
            for stored in everything.values()
            if stored.id not in seen and _messages_at(stored) == count
        ]
        others.sort(key=lambda item: (not self._is_input(item), item.seq), reverse=True)
        for stored in (*inputs, *others):
            if (yield from self._fits(stored, count)):
                return stored
        raise CheckpointNotFound(
            f"session {self._paths.id!r} has no checkpoint with exactly the first {count} messages "
            "of its conversation; name one by its checkpoint_id"
        )

    def _fits(self, stored: Stored, count: int) -> Plan[bool]:
        """Whether the conversation of a checkpoint is the beginning of the head's."""
        assert self.head is not None
        if _begins(self.head.header, stored.header, count):
            return True
        whole = yield from self._messages(self.head)
        return _same_messages((yield from self._messages(stored)), whole[:count])

    def _messages(self, stored: Stored) -> Plan[list[BaseMessage]]:
        messages, _ = yield from head_messages(
            self._values, self._paths, checkpoint_id=stored.id, opaque=True
        )
        return messages

    def _is_input(self, stored: Stored) -> bool:
        return bool(self._metadata(stored).get("source") == "input")

    def _metadata(self, stored: Stored) -> Mapping[str, Any]:
        found = self._values.loads_opaque(stored.header.metadata)
        return found if isinstance(found, Mapping) else {}

    def has_children(self, stored: Stored) -> bool:
        """Whether another checkpoint of the graph, which was read whole, goes on from this one."""
        return any(other.parent == stored.id for other in self._stored.values())

    def way(self, stored: Stored) -> Plan[Way]:
        """The way to a checkpoint of the graph itself."""
        steps = yield from self.trail.path(stored)
        alike = {id: place for place, step in enumerate(steps) for id in self._ids_of(step)}
        return Way(steps, {step.id: place for place, step in enumerate(steps)}, alike)

    def made_on(self, whole: WholeNamespace, way: Way, *, last: bool) -> list[Stored]:
        """The checkpoints of a subgraph that were made on the way to one of the graph's.

        They come in the order of the way, so that the last is how the way has left the subgraph.
        That need not be the newest: a rewind further back has put a copy of an older one since.
        All namespaces have to be read whole.

        Args:
            whole: the subgraph's namespace.
            way: the way to that checkpoint.
            last: whether what was run from that checkpoint itself counts as well.
        """
        made: list[tuple[int, int, Stored]] = []
        first = way.steps[-1]
        beyond = len(way.steps)
        is_noted = self._has_note(whole, first)
        if is_noted and (left := self._left(whole, first)) is not None:
            made.append((-beyond, left.seq, left))
        for stored in whole.stored.values():
            root = self._root_of(whole, stored)
            if root is None:
                continue
            place = way.places.get(root)
            if place is None and (after := way.alike.get(self._stored_after(root))) is not None:
                place = after + 1
            if place == beyond and is_noted:
                continue  # of a way that was left, and cut as well
            if place is not None and (place or last):
                made.append((-place, stored.seq, stored))
        return [stored for *_, stored in sorted(made, key=lambda item: item[:2])]

    def departures(self, whole: WholeNamespace) -> Mapping[str, Stored | None]:
        """How the way to each checkpoint of the graph has left a subgraph.

        That is the last of `made_on`, of all of them at once. All namespaces have to be read
        whole.
        """
        direct: dict[str, Stored] = {}
        after: dict[str, Stored] = {}
        for stored in sorted(whole.stored.values(), key=lambda item: item.seq):
            root = self._root_of(whole, stored)
            if root in self._stored:
                direct[root] = stored
            elif root is not None:
                after[self._stored_after(root)] = stored
        found: dict[str, Stored | None] = {}
        for stored in self._stored.values():
            steps: dict[str, Stored] = {}
            step: Stored | None = stored
            while step is not None and step.id not in found and step.id not in steps:
                steps[step.id] = step
                step = self._stored.get(step.parent or "")
            for step in reversed(steps.values()):
                if self._has_note(whole, step):
                    found[step.id] = self._left(whole, step)
                    continue
                parent = self._stored.get(step.parent or "")
                here = [after.get(id) for id in self._ids_of(step)]
                here.append(None if parent is None else direct.get(parent.id))
                last = max((item for item in here if item), key=lambda item: item.seq, default=None)
                found[step.id] = last or (None if parent is None else found.get(parent.id))
        return found

    def _has_note(self, whole: WholeNamespace, stored: Stored) -> bool:
        """Whether the way was cut here, and what it had left of a subgraph was noted."""
        return whole.place.label in ((stored.record.doc or {}).get(_LEFT) or {})

    def _left(self, whole: WholeNamespace, stored: Stored) -> Stored | None:
        """How the way to a checkpoint with a note has left a subgraph."""
        noted = (stored.record.doc or {}).get(_LEFT) or {}
        return whole.stored.get(noted.get(whole.place.label, ""))

    def _ids_of(self, stored: Stored) -> Iterator[str]:
        """The id of a checkpoint, and those of what it is a copy of."""
        seen: set[str] = set()
        step: Stored | None = stored
        while step is not None and (id := copy_of(step)) is not None and id not in seen:
            seen.add(id)
            yield id
            step = self._stored.get(id)
        yield stored.id

    def _root_of(self, whole: WholeNamespace, stored: Stored) -> str | None:
        place = whole.place.ns, stored.id
        if place not in self._parents:
            parents = self._metadata(stored).get("parents")
            self._parents[place] = parents.get("") if isinstance(parents, Mapping) else None
        found: str | None = self._parents[place]
        return found

    def _stored_after(self, id: str) -> str:
        """The first checkpoint that was stored after one that is not; empty if there is none.

        With `durability="exit"` a run stores its last checkpoint only, and what its subgraphs
        stored names others. What a prune has removed is not stored either; but of such a run
        everything is younger than the checkpoint that it began with, and a copy is as old as
        what it is a copy of.
        """
        made = made_at(id)
        if made is None or id in self._stored:
            return ""
        if self._made is None:
            self._made = sorted(
                (at, stored.id)
                for stored in self._stored.values()
                if (at := made_at(self._origin(stored))) is not None
            )
        place = bisect_left(self._made, (made, ""))
        if place == len(self._made):
            return ""
        found = self._stored[self._made[place][1]]
        began = made_at(found.parent or "")
        return found.id if began is None or began <= made else ""

    def _origin(self, stored: Stored) -> str:
        """The id of what a checkpoint is a copy of in the end; its own, if of nothing."""
        *others, own = self._ids_of(stored)
        return others[-1] if others else own


def read_graph(
    values: Values,
    paths: SessionPaths,
    root: Headed | None,
    namespaces: Sequence[WholeNamespace],
) -> Plan[Graph]:
    """The graph state of a session.

    Args:
        values: how values are stored.
        paths: the session's places.
        root: the namespace of the graph itself, if there is one.
        namespaces: all namespaces, where they have been read whole.
    """
    whole = next((whole for whole in namespaces if whole.place.is_root), None)
    trail = Trail(Place(paths, ""), None if whole is None else whole.stored)
    id = None if root is None else root.head.id
    head = None if id is None else (yield from trail.find(id))
    return Graph(values, root, namespaces, trail, head)


def _messages_at(stored: Stored) -> int:
    return (stored.counts or (0, 0))[0]


def _begins(head: Header, other: Header, count: int) -> bool:
    """Whether the conversation of a checkpoint surely is the beginning of the head's."""
    if not count:
        return True
    if is_version(head, MESSAGES, other.versions.get(MESSAGES)):
        return True
    whole, part = head.refs.get(MESSAGES), other.refs.get(MESSAGES)
    if not isinstance(whole, ListRef) or not isinstance(part, ListRef):
        return False
    return length(part.spans) == count and joined(cut(whole.spans, 0, count)) == joined(part.spans)


def _same_messages(some: Sequence[BaseMessage], others: Sequence[BaseMessage]) -> bool:
    """Whether messages are the same, type for type."""
    return len(some) == len(others) and all(
        type(one) is type(other) and one == other for one, other in zip(some, others, strict=True)
    )
