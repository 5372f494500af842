"""LangGraph's published conformance suite, every capability, on every store: through the async
methods as it comes, and once more with every call going through the sync ones."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.report import CapabilityReport

from .conftest import STORES, open_manager


class SyncTwin(BaseCheckpointSaver[str]):
    """Answers every async method by the other saver's sync one, called from a worker thread."""

    def __init__(self, saver: BaseCheckpointSaver[str]) -> None:
        super().__init__(serde=saver.serde)
        self.inner = saver

    def get_next_version(self, current: str | None, channel: None) -> str:
        return self.inner.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self.inner.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        def listed() -> list[CheckpointTuple]:
            return list(self.inner.list(config, filter=filter, before=before, limit=limit))

        for item in await asyncio.to_thread(listed):
            yield item

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await asyncio.to_thread(self.inner.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await asyncio.to_thread(self.inner.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.inner.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await asyncio.to_thread(self.inner.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await asyncio.to_thread(self.inner.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], **options: Any) -> None:
        await asyncio.to_thread(lambda: self.inner.prune(thread_ids, **options))


async def report_on(store: str, capability: Capability, *, sync: bool) -> CapabilityReport:
    @checkpointer_test(name=f"{store}{'-sync' if sync else ''}")
    async def fresh() -> AsyncGenerator[BaseCheckpointSaver[str], None]:
        with tempfile.TemporaryDirectory() as folder:
            async with open_manager(store, Path(folder)) as manager:
                saver = manager.checkpointer()
                yield SyncTwin(saver) if sync else saver

    return await validate(fresh, capabilities={capability.value})


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("capability", list(Capability), ids=lambda c: c.value)
async def test_capability(store: str, capability: Capability, sync: bool) -> None:
    report = await report_on(store, capability, sync=sync)
    result = report.results[capability.value]
    assert result.detected, f"{capability.value} is not implemented"
    assert result.failures == []
    assert result.tests_failed == 0
    assert result.tests_passed > 0
    assert result.passed is True


async def test_a_saver_without_extras_is_seen_through() -> None:
    """The suite really looks: LangGraph's in-memory saver lacks the three newer capabilities."""
    from langgraph.checkpoint.memory import InMemorySaver

    @checkpointer_test(name="control")
    async def fresh() -> AsyncGenerator[BaseCheckpointSaver[str], None]:
        yield InMemorySaver()

    report = await validate(fresh)
    missing = {name for name, result in report.results.items() if not result.detected}
    assert missing == {"copy_thread", "delete_for_runs", "prune"}
    assert report.passed_all_base()
