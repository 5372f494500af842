"""`ItemStore`: LangGraph's `BaseStore` over our port, for a whole store or a part of one."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from langgraph.store.base import BaseStore, IndexConfig, TTLConfig
from langgraph.store.base import Op as LangGraphOp
from langgraph.store.base import Result as LangGraphResult

from threadloom.basestore import View, batch_plan
from threadloom.errors import InvalidKey
from threadloom.items import life_of
from threadloom.keys import Namespace
from threadloom.plans import Executor, Plan, arun, run
from threadloom.semantic import SemanticIndex
from threadloom.sweeping import Sweeper, sweep

_EVERY = 5.0
"""Minutes between two sweeps where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How items are embedded, and how long they live.

    Attributes:
        index: for semantic search; None for none.
        ttl: LangGraph's configuration of lives; None for its defaults.
    """

    index: SemanticIndex | None = None
    ttl: TTLConfig | None = None

    @classmethod
    def of(cls, index: IndexConfig | None, ttl: TTLConfig | None) -> Settings:
        """Settings from LangGraph's configurations.

        Raises:
            InvalidKey: one of them makes no sense.
            MissingAdapter: embeddings of a provider whose package is not installed.
        """
        return cls(None if index is None else SemanticIndex(index), _checked(ttl))

    def over(self, other: Settings) -> Settings:
        """These settings, and the other ones where these say nothing."""
        return Settings(
            other.index if self.index is None else self.index,
            other.ttl if self.ttl is None else self.ttl,
        )


class _Engine(Executor, Protocol):
    """What stands behind: the port, and what it says of itself."""

    capabilities: Any

    def now(self) -> int: ...


class ItemStore(BaseStore):
    """LangGraph's interface below one root of a store.

    Attributes:
        supports_ttl: True: items may have a time to live.
        ttl_config: how long items live where a put does not say it, and whether reads renew.
        index_config: what is embedded; None where there is no semantic search.
    """

    supports_ttl = True
    ttl_config: TTLConfig | None = None
    index_config: IndexConfig | None = None
    _settings = Settings()
    _root: Namespace = ()
    _tenants = True
    _sweeper: Sweeper[ItemStore] | None = None

    def _engine(self) -> _Engine:
        """The store behind."""
        raise NotImplementedError

    def _configure(self, settings: Settings) -> None:
        self._settings = settings
        self.ttl_config = settings.ttl
        self.index_config = None if settings.index is None else settings.index.config

    def _view(self) -> View:
        return View(self._engine().now, self._settings.index, self._root, self._tenants)

    def batch(self, ops: Iterable[LangGraphOp]) -> list[LangGraphResult]:
        """LangGraph's batch: all reads see the state before the batch's writes.

        Raises:
            InvalidKey: a namespace, a key or another argument that cannot be used, or a write
                to what belongs to Threadloom.
            SerializationError: a value that is not JSON.
            StoreUnavailable: the store could not be read or written.
        """
        return run(batch_plan(ops, self._view()), self._engine())

    async def abatch(self, ops: Iterable[LangGraphOp]) -> list[LangGraphResult]:
        """`batch`, from an event loop."""
        return await arun(batch_plan(ops, self._view()), self._engine())

    # What has expired is never shown; sweeping gives its space back.

    def sweep_ttl(self) -> int:
        """Remove the items that have expired; how many.

        Sessions that have expired are swept by `SessionManager.cleanup_stale`.

        Raises:
            UnsupportedByStore: the store cannot tell whether an item has been put anew meanwhile.
        """
        return run(self._sweep(), self._engine())

    async def asweep_ttl(self) -> int:
        """`sweep_ttl`, from an event loop."""
        return await arun(self._sweep(), self._engine())

    def _sweep(self) -> Plan[int]:
        together = self._engine().capabilities.atomic_batch
        return sweep(self._root, tenants=self._tenants, together=together)

    def start_ttl_sweeper(
        self, sweep_interval_minutes: float | None = None
    ) -> concurrent.futures.Future[None]:
        """Sweep from now on, from time to time, on a thread that never keeps a process alive.

        It ends when it is told to, and when the store is closed or forgotten. A process that
        is forked has to start its own.

        Args:
            sweep_interval_minutes: by default that of the configuration, or else five.

        Returns:
            Done when sweeping has ended; cancelling it ends sweeping.

        Raises:
            InvalidKey: the interval is no positive number.
        """
        configured = (self.ttl_config or {}).get("sweep_interval_minutes")
        every = sweep_interval_minutes if sweep_interval_minutes is not None else configured
        seconds = life_of(_EVERY if every is None else every, "an interval") / 1_000_000
        if self._sweeper is None or not self._sweeper.is_alive():
            self._sweeper = Sweeper(self, _swept, seconds)
        return self._sweeper.future

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """End sweeping; whether it has ended.

        Args:
            timeout: seconds to wait for a sweep under way; as long as it takes by default.
        """
        return self._sweeper is None or self._sweeper.stop(timeout)


def _swept(store: ItemStore) -> int:
    if store._engine().capabilities.async_only:
        return asyncio.run(store.asweep_ttl())
    return store.sweep_ttl()


_KNOWN = ("refresh_on_read", "omit_expired", "default_ttl", "sweep_interval_minutes")


def _checked(ttl: TTLConfig | None) -> TTLConfig | None:
    """A copy of LangGraph's configuration of lives."""
    if ttl is None:
        return None
    if not isinstance(ttl, Mapping):
        raise InvalidKey(f"a ttl is a mapping, got {type(ttl).__name__}")
    unknown = sorted(set(ttl) - set(_KNOWN))
    if unknown:
        raise InvalidKey(f"unknown in a ttl: {unknown}; there are {', '.join(_KNOWN)}")
    for name in ("default_ttl", "sweep_interval_minutes"):
        if ttl.get(name) is not None:
            life_of(ttl[name], name)
    for name in ("refresh_on_read", "omit_expired"):
        if not isinstance(value := ttl.get(name, True), bool):
            raise InvalidKey(f"{name} is true or false, got {value!r:.80}")
    return ttl.copy()
