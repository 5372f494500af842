"""The graph state of a session, read whole: what belongs together, and who came before whom."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.head_messages import head_messages
from threadloom.checkpoint.header import Header, ListRef
from threadloom.checkpoint.layout import Stored
from threadloom.checkpoint.life import made_at
from threadloom.checkpoint.namespaces import WholeNamespace
from threadloom.checkpoint.spans import cut, joined, length
from threadloom.checkpoint.versions import is_version
from threadloom.errors import CheckpointNotFound
from threadloom.keys import SessionPaths
from threadloom.messages import MESSAGES
from threadloom.plans import Plan
from threadloom.values import Values


class Graph:
    """The graph state of a session, read whole.

    Attributes:
        namespaces: its checkpoint namespaces.
        root: that of the graph itself; None where the session has no graph state.
    """

    def __init__(
        self, values: Values, paths: SessionPaths, wholes: Sequence[WholeNamespace]
    ) -> None:
        self._values = values
        self._paths = paths
        self.namespaces = wholes
        self.root = next((whole for whole in wholes if whole.place.is_root), None)
        self._parents: dict[tuple[str, str], Any] = {}
        self._made: list[tuple[int, str]] | None = None

    @property
    def head(self) -> Stored | None:
        """The newest checkpoint of the graph itself."""
        if self.root is None or self.root.head.id is None:
            return None
        return self.root.stored.get(self.root.head.id)

    @property
    def messages_at_head(self) -> int | None:
        """How many messages the head's conversation has; None where a record does not tell."""
        head = self.head
        if head is None or MESSAGES not in head.header.refs or head.header.counts is None:
            return None
        return head.header.counts[0]

    def find(self, checkpoint_id: str) -> Stored:
        """A checkpoint of the graph itself.

        Raises:
            CheckpointNotFound: there is none.
        """
        stored = None if self.root is None else self.root.stored.get(checkpoint_id)
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
        head = self.head
        if head is not None and self.root is not None:
            way = {stored.id for stored in self.path(head)}
            fitting = [
                stored
                for stored in self.root.stored.values()
                if (stored.counts or (0, 0))[0] == count
            ]
            fitting.sort(
                key=lambda item: (item.id in way, not self._is_input(item), item.seq),
                reverse=True,
            )
            whole: list[BaseMessage] | None = None
            for stored in fitting:
                if _begins(head.header, stored.header, count):
                    return stored
                whole = whole or (yield from self._messages(head))
                if _alike((yield from self._messages(stored)), whole[:count]):
                    return stored
        raise CheckpointNotFound(
            f"session {self._paths.id!r} has no checkpoint with exactly the first {count} messages "
            "of its conversation; name one by its checkpoint_id"
        )

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

    def path(self, stored: Stored) -> list[Stored]:
        """A checkpoint of the graph itself and its ancestors, nearest first."""
        assert self.root is not None
        found = [stored]
        seen = {stored.id}
        while (parent := found[-1].parent) is not None and parent not in seen:
            above = self.root.stored.get(parent)
            if above is None:
                break
            found.append(above)
            seen.add(parent)
        return found

    def has_children(self, stored: Stored) -> bool:
        """Whether another checkpoint of the graph goes on from this one."""
        assert self.root is not None
        return any(other.parent == stored.id for other in self.root.stored.values())

    def made_on(self, whole: WholeNamespace, way: Sequence[Stored], *, last: bool) -> list[Stored]:
        """The checkpoints of a subgraph that were made on the way to one of the graph's.

        Args:
            whole: the subgraph's namespace.
            way: that checkpoint and its ancestors, nearest first.
            last: whether what was run from that checkpoint itself counts as well.
        """
        runs = {stored.id for stored in (way if last else way[1:])}
        reached = {stored.id for stored in way}
        return [
            stored
            for stored in whole.stored.values()
            if (root := self._root_of(whole, stored)) in runs
            or (root is not None and self._stored_after(root) in reached)
        ]

    def _root_of(self, whole: WholeNamespace, stored: Stored) -> str | None:
        place = whole.place.ns, stored.id
        if place not in self._parents:
            parents = self._metadata(stored).get("parents")
            self._parents[place] = parents.get("") if isinstance(parents, Mapping) else None
        found: str | None = self._parents[place]
        return found

    def _stored_after(self, id: str) -> str | None:
        """The first checkpoint that was stored after one that never was.

        With `durability="exit"` a run stores its last checkpoint only, and what its subgraphs
        stored names others.
        """
        assert self.root is not None
        made = made_at(id)
        if made is None or id in self.root.stored:
            return None
        if self._made is None:
            self._made = sorted(
                (at, other) for other in self.root.stored if (at := made_at(other)) is not None
            )
        place = bisect_left(self._made, (made, ""))
        return self._made[place][1] if place < len(self._made) else None


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


def _alike(some: Sequence[BaseMessage], others: Sequence[BaseMessage]) -> bool:
    """Whether messages are the same, type for type."""
    return len(some) == len(others) and all(
        type(one) is type(other) and one == other for one, other in zip(some, others, strict=True)
    )
