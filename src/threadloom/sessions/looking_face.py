"""The part of the manager's face for those who look: people, their notebooks and command lines."""

from __future__ import annotations

from threadloom.checkpoint.differences import CheckpointDiff, compare
from threadloom.checkpoint.tree import CheckpointTree, tree
from threadloom.models import SessionRef
from threadloom.sessions.base import Face


class LookingFace(Face):
    """Checkpoints of a session as a tree, and what has changed between two of them."""

    def checkpoint_tree(self, id: SessionRef) -> CheckpointTree:
        """The checkpoints of a session: who came of whom, heads, branches, what waits and failed.

        All namespaces, as of one moment. Works in a process without the application's types.

        Args:
            id: which session; an unknown one has no checkpoints.

        Raises:
            CorruptRecord: what is stored is damaged; `check` says where.
        """
        return self._run(tree(self._values, self._paths(id)))

    async def acheckpoint_tree(self, id: SessionRef) -> CheckpointTree:
        """`checkpoint_tree`, from an event loop."""
        return await self._arun(tree(self._values, self._paths(id)))

    def compare_checkpoints(
        self, id: SessionRef, before: str | None, after: str, *, namespace: str = ""
    ) -> CheckpointDiff:
        """What has changed between two checkpoints: channels, and messages in them.

        Works in a process without the application's types.

        Args:
            id: which session.
            before: the id of a checkpoint; None to have all that is in the other one.
            after: the id of the other one; neither has to come of the other.
            namespace: theirs: ``""`` for the graph itself, else a subgraph's.

        Raises:
            CheckpointNotFound: one of them is not there.
            CorruptRecord: what is stored is damaged.
        """
        return self._run(compare(self._values, self._paths(id), before, after, namespace))

    async def acompare_checkpoints(
        self, id: SessionRef, before: str | None, after: str, *, namespace: str = ""
    ) -> CheckpointDiff:
        """`compare_checkpoints`, from an event loop."""
        return await self._arun(compare(self._values, self._paths(id), before, after, namespace))
