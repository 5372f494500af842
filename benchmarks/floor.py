"""The floor: what LangGraph costs by itself when a thread is kept for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
)


class ReferenceSaver(BaseCheckpointSaver[int]):
    """Keeps references to the last checkpoint of each thread and to its pending writes.

    Nothing is encoded, copied or written anywhere, and nothing but the last checkpoint is kept,
    so no saver that goes by LangGraph's interface can cost less. LangGraph itself does all that
    it does for any other saver. A graph without a saver would be no fair floor: the caller has
    to pass the whole conversation in again, and merging it is other work.
    """

    def __init__(self) -> None:
        super().__init__()
        self._heads: dict[tuple[str, str], CheckpointTuple] = {}
        self._writes: dict[tuple[str, str, str], list[PendingWrite]] = {}

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The last checkpoint with its pending writes."""
        thread, namespace = _place(config)
        head = self._heads.get((thread, namespace))
        if head is None:
            return None
        writes = self._writes.get((thread, namespace, head.checkpoint["id"]), [])
        return head._replace(pending_writes=writes)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Take the place of the checkpoint before."""
        thread, namespace = place = _place(config)
        before = self._heads.get(place)
        if before is not None:
            self._writes.pop((thread, namespace, before.checkpoint["id"]), None)
        stored: RunnableConfig = {
            "configurable": {
                "thread_id": thread,
                "checkpoint_ns": namespace,
                "checkpoint_id": checkpoint["id"],
            }
        }
        self._heads[place] = CheckpointTuple(
            stored, checkpoint, metadata, before and before.config, None
        )
        return stored

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Note what a task wrote."""
        place = (*_place(config), config["configurable"]["checkpoint_id"])
        self._writes.setdefault(place, []).extend((task_id, *write) for write in writes)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The last checkpoint: there is no other."""
        found = None if config is None else self.get_tuple(config)
        if found is not None:
            yield found

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread."""
        for place in [place for place in self._heads if place[0] == thread_id]:
            del self._heads[place]
        for key in [key for key in self._writes if key[0] == thread_id]:
            del self._writes[key]

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`."""
        return self.get_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """`put_writes`."""
        self.put_writes(config, writes, task_id, task_path)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`."""
        for found in self.list(config):
            yield found

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`."""
        self.delete_thread(thread_id)


def _place(config: RunnableConfig) -> tuple[str, str]:
    place = config["configurable"]
    return place["thread_id"], place.get("checkpoint_ns", "")
