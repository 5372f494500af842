"""`StoreCheckpointer`: LangGraph's checkpoint saver on a Threadloom store."""

from __future__ import annotations

import builtins
import threading
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    _with_msgpack_allowlist,
)
from langgraph.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods
from langgraph.store.base import BaseStore

from threadloom.checkpoint import life, pending, reading, upkeep, versions, writing
from threadloom.checkpoint.cache import cache_of
from threadloom.checkpoint.layout import Place
from threadloom.errors import InvalidKey
from threadloom.fences import CONFIG_KEY
from threadloom.keys import SessionPaths, check_text
from threadloom.plans import Plan, arun, run
from threadloom.scope import OnConflict, Scope
from threadloom.store import Store
from threadloom.stores.registry import as_store, refuse_encrypted
from threadloom.values import CallerValues, SafeValues, Values, values_for


class StoreCheckpointer(BaseCheckpointSaver[str]):
    """Checkpoints of graphs, in the sessions of a store.

    Pass it to `compile(checkpointer=…)`. One object serves `invoke` and `ainvoke`, from any
    thread and any event loop. What `put` and `put_writes` stored is committed when they
    return. A thread that is seen for the first time becomes a session.

    Args:
        store: where the sessions are; it stays its owner's to close.
        tenant: whose sessions; nobody else's are seen.
        serde: a serializer of the caller's own, which then gets every value whole. By
            default values are stored by Threadloom's own codec, which never imports a module
            or runs a constructor when it reads.
        allow: further classes that may be read back (see `threadloom.serde.Codec`).
        aliases: classes that have moved, by the ``module:Name`` they were stored as.
        implicit_sessions: whether a thread may become a session by itself.
        on_conflict: what happens to a run whose base is no longer the head: ``"branch"``
            keeps both, logs a warning and counts it; ``"raise"`` refuses its first put.
    """

    def __init__(
        self,
        store: BaseStore,
        *,
        tenant: str | None = None,
        serde: SerializerProtocol | None = None,
        allow: Iterable[type | tuple[str, str]] = (),
        aliases: Mapping[str, type] | None = None,
        implicit_sessions: bool = True,
        on_conflict: OnConflict = "branch",
    ) -> None:
        super().__init__(serde=serde)
        self.store = engine = as_store(store)
        refuse_encrypted(engine)
        self._scope = Scope.of(
            tenant, engine.now, implicit=implicit_sessions, on_conflict=on_conflict, store=engine
        )
        self._values = values_for(serde, allow, aliases)
        self._puts = life.puts_under_way(self.store)

    @classmethod
    def _bound(cls, store: Store, scope: Scope, values: Values) -> StoreCheckpointer:
        """A checkpointer in a scope that exists already."""
        saver = cls(store, serde=values.serde if isinstance(values, CallerValues) else None)
        saver._scope, saver._values = scope, values
        return saver

    def setup(self) -> None:
        """Do nothing: stores set themselves up. Here for code that calls it."""

    async def asetup(self) -> None:
        """Do nothing: stores set themselves up. Here for code that calls it."""

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, or the session's newest; None if unknown.

        Raises:
            UntrustedType: a stored value is of a type that may not be rebuilt here.
            CorruptRecord: what is stored is damaged.
        """
        return run(self._get_tuple(config), self.store)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, from an event loop."""
        return await arun(self._get_tuple(config), self.store)

    def _get_tuple(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        return reading.get_tuple(cache_of(self.store), self._values, self._place(config), config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest put first; without a config those of every session, by id.

        Args:
            config: names the thread and, if they are given, its namespace and checkpoint.
            filter: what the metadata must equal, field by field.
            before: only ids smaller than this config's, whether it is stored or not.
            limit: at most so many.
        """
        yield from run(self._list(config, filter, before, limit), self.store)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, from an event loop."""
        for item in await arun(self._list(config, filter, before, limit), self.store):
            yield item

    def _list(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Plan[builtins.list[CheckpointTuple]]:
        bound = before["configurable"].get("checkpoint_id") or None if before else None
        return reading.list_tuples(
            self._scope,
            cache_of(self.store),
            self._values,
            config,
            None if config is None else self._session(config),
            filter=filter,
            before=bound,
            limit=limit,
        )

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint and return the config that names it.

        Raises:
            SessionDeleted: the parent that the config names is gone.
            SessionConflict: the run was overtaken, and `on_conflict` is ``"raise"``.
            SessionNotFound: there is no such session, and none begins by itself here.
            InvalidKey: the config names no thread, or something that cannot be an id.
            SerializationError: a value cannot be stored; names its channel and type.
        """
        place = self._place(config)
        patience = self._patience(blocking=True)
        with self._under_way(place):
            run(self._put(place, config, checkpoint, metadata, new_versions, patience), self.store)
        return _named(place, checkpoint["id"])

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, from an event loop."""
        place = self._place(config)
        patience = self._patience(blocking=False)
        with self._under_way(place):
            plan = self._put(place, config, checkpoint, metadata, new_versions, patience)
            await arun(plan, self.store)
        return _named(place, checkpoint["id"])

    def _put(
        self,
        place: Place,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        patience: life.Patience,
    ) -> Plan[None]:
        return writing.put(
            self._scope,
            cache_of(self.store),
            self._values,
            place,
            config,
            checkpoint,
            metadata,
            new_versions,
            patience,
        )

    def _under_way(self, place: Place) -> AbstractContextManager[None]:
        return self._puts.one(place.paths) if place.is_root else nullcontext()

    def _patience(self, *, blocking: bool) -> life.Patience:
        return life.Patience(self._puts, blocked=threading.get_ident() if blocking else None)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store pending writes of a task; doing it again changes nothing.

        Raises:
            SessionDeleted: the checkpoint is older than the session's deletion.
            SessionNotFound: there is no such session, and none begins by itself here.
            InvalidKey: the config names no thread or no checkpoint.
            SerializationError: a value cannot be stored; names its channel and type.
        """
        patience = self._patience(blocking=True)
        run(self._put_writes(config, writes, task_id, task_path, patience), self.store)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """`put_writes`, from an event loop."""
        patience = self._patience(blocking=False)
        await arun(self._put_writes(config, writes, task_id, task_path, patience), self.store)

    def _put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
        patience: life.Patience,
    ) -> Plan[None]:
        if not config["configurable"].get("checkpoint_id"):
            raise InvalidKey("pending writes belong to a checkpoint: the config names none")
        return pending.put_writes(
            self._scope,
            cache_of(self.store),
            self._values,
            self._place(config),
            config,
            writes,
            task_id,
            task_path,
            patience,
        )

    def delete_thread(self, thread_id: str) -> None:
        """Delete a session's graph state; the session itself and its history stay."""
        run(upkeep.delete_thread(self._scope, self._scope.paths(thread_id)), self.store)

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, from an event loop."""
        await arun(upkeep.delete_thread(self._scope, self._scope.paths(thread_id)), self.store)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that some runs made, but nothing others are rebuilt from."""
        run(upkeep.delete_for_runs(self._scope, self._values, run_ids), self.store)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, from an event loop."""
        await arun(upkeep.delete_for_runs(self._scope, self._values, run_ids), self.store)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a session's graph state onto a session that has none.

        Raises:
            SessionNotFound: there is no source.
            SessionConflict: the target has graph state.
        """
        run(self._copy(source_thread_id, target_thread_id), self.store)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, from an event loop."""
        await arun(self._copy(source_thread_id, target_thread_id), self.store)

    def _copy(self, source: str, target: str) -> Plan[None]:
        return upkeep.copy_thread(
            self._scope, self._values, self._scope.paths(source), self._scope.paths(target)
        )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints of sessions.

        Args:
            thread_ids: which sessions.
            strategy: ``"keep_latest"`` keeps the newest of each namespace, with its pending
                writes and whatever its delta channels are rebuilt from; ``"delete"`` keeps
                nothing.

        Raises:
            InvalidKey: there is no such strategy.
        """
        for thread_id in thread_ids:
            run(self._prune(thread_id, strategy), self.store)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, from an event loop."""
        for thread_id in thread_ids:
            await arun(self._prune(thread_id, strategy), self.store)

    def _prune(self, thread_id: str, strategy: str) -> Plan[object]:
        if strategy == "delete":
            return upkeep.delete_thread(self._scope, self._scope.paths(thread_id))
        if strategy == "keep_latest":
            return upkeep.prune(self._scope, self._values, self._scope.paths(thread_id))
        raise InvalidKey(f"strategy is 'keep_latest' or 'delete', not {strategy!r}")

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta channels are rebuilt from at the checkpoint that the config names."""
        return run(self._delta(config, channels), self.store)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """`get_delta_channel_history`, from an event loop."""
        return await arun(self._delta(config, channels), self.store)

    def _delta(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[dict[str, DeltaChannelHistory]]:
        return reading.delta_history(
            cache_of(self.store), self._values, self._place(config), config, channels
        )

    def get_next_version(self, current: str | int | float | None, channel: None = None) -> str:
        """The next version of a channel: a counter, and noise that tells branches apart."""
        return versions.next_version(current)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> StoreCheckpointer:
        """A clone on the same store that reads back listed types only."""
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__)
        if isinstance(self._values, SafeValues):
            clone._values = self._values.narrowed(extra_allowlist)
        else:
            clone.serde = _with_msgpack_allowlist(self.serde, extra_allowlist)
            clone._values = CallerValues(maybe_add_typed_methods(clone.serde))
        return clone

    def _session(self, config: RunnableConfig) -> SessionPaths:
        try:
            thread_id = config["configurable"]["thread_id"]
        except KeyError:
            raise InvalidKey(
                "a checkpointer needs to know the session: pass a config with "
                '{"configurable": {"thread_id": …}}, such as SessionInfo.config'
            ) from None
        return self._scope.paths(thread_id, fence=config["configurable"].get(CONFIG_KEY))

    def _place(self, config: RunnableConfig) -> Place:
        session = self._session(config)
        ns = config["configurable"].get("checkpoint_ns") or ""
        check_text(config["configurable"].get("checkpoint_id") or "", "a checkpoint id")
        return Place(session, check_text(ns, "a checkpoint namespace"))


def _named(place: Place, id: str) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": place.paths.id,
            "checkpoint_ns": place.ns,
            "checkpoint_id": id,
        }
    }
