"""How a scenario is driven: one text, run with sync calls, async calls, or both on one saver."""

from __future__ import annotations

import asyncio
import difflib
import pprint
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import StateSnapshot

from .normal import Normaliser

STYLES = ("sync", "async", "mixed", "loops")
"""sync: no event loop at all. async: one loop. mixed: sync and async calls alternate inside one
running loop. loops: sync and async calls alternate, each async call in a loop of its own."""

COMBINATIONS = (
    ("sync", "sync"),
    ("sync", "exit"),
    ("async", "async"),
    ("async", "exit"),
    ("mixed", "sync"),
    ("loops", "async"),
)


@dataclass(frozen=True)
class Scenario:
    name: str
    play: Callable[[Run], Coroutine[Any, Any, None]]
    combinations: tuple[tuple[str, str], ...]


SCENARIOS: dict[str, Scenario] = {}


# With durability "async" LangGraph calls `put` only once the put before it is done, by which time
# the run has gone on. Whatever is changed in place meanwhile (by a node, or by LangGraph: the set
# of a join, an accumulating topic) reaches a slow saver changed and a fast one unchanged. No saver
# can tell, so such scenarios are compared where each put is waited for. Even then a run's first
# node works beside the put of its input; one that changes that input comes second.
WAITED = ("sync", "exit")


def scenario(
    *,
    durabilities: Iterable[str] = ("sync", "async", "exit"),
    styles: Iterable[str] = STYLES,
) -> Callable[[Callable[[Run], Coroutine[Any, Any, None]]], Scenario]:
    """Register a scenario; one that says what is stored mid-run leaves out `exit`."""

    def register(play: Callable[[Run], Coroutine[Any, Any, None]]) -> Scenario:
        theme = play.__module__.rpartition(".")[2].removeprefix("scenarios_")
        name = f"{theme}-{play.__name__}"
        assert name not in SCENARIOS, f"two scenarios are called {name}"
        chosen = tuple(c for c in COMBINATIONS if c[0] in styles and c[1] in durabilities)
        SCENARIOS[name] = Scenario(name, play, chosen)
        return SCENARIOS[name]

    return register


Trace = list[tuple[str, Any]]


def thread(name: str = "t", **more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": name, **more}}


@dataclass
class Run:
    """One scenario on one saver. Every call records what came back."""

    saver: BaseCheckpointSaver[Any]
    style: str
    durability: str
    events: Trace = field(default_factory=list)
    _flip: bool = False
    _times: dict[str, Any] = field(default_factory=dict)
    _normal: Normaliser = field(default_factory=Normaliser)

    # -- driving ----------------------------------------------------------------------------

    async def call(
        self, sync: Callable[[], Any], asynchronous: Callable[[], Awaitable[Any]]
    ) -> Any:
        """One operation, by the door that the style asks for."""
        if self.style in ("mixed", "loops"):
            self._flip = not self._flip
            use_sync = self._flip
        else:
            use_sync = self.style == "sync"
        if use_sync:
            return sync()
        if self.style == "loops":

            async def alone() -> Any:
                return await asynchronous()

            return asyncio.run(alone())
        return await asynchronous()

    def record(self, label: str, value: Any) -> None:
        # Normalised at once: a result that changes later must not change the record.
        self.events.append((label, self._normal(value)))

    # -- graphs -----------------------------------------------------------------------------

    async def invoke(
        self,
        graph: Any,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        expect: type[BaseException] | None = None,
        **options: Any,
    ) -> Any:
        config = config or thread()
        options.setdefault("durability", self.durability)

        def sync() -> Any:
            return graph.invoke(input, config, **options)

        async def asynchronous() -> Any:
            return await graph.ainvoke(input, config, **options)

        if expect is not None:
            with pytest.raises(expect) as caught:
                await self.call(sync, asynchronous)
            self.record("raised", caught.value)
            return None
        result = await self.call(sync, asynchronous)
        self.record("invoke", result)
        return result

    async def stream(
        self,
        graph: Any,
        input: Any,
        config: RunnableConfig | None = None,
        *,
        expect: type[BaseException] | None = None,
        ordered: bool = True,
        on_chunk: Callable[[Any], None] | None = None,
        **options: Any,
    ) -> list[Any]:
        """Collect the chunks; `ordered=False` where parallel tasks race for the order."""
        config = config or thread()
        options.setdefault("durability", self.durability)
        seen = on_chunk or (lambda chunk: None)
        chunks: list[Any] = []

        def sync() -> None:
            for chunk in graph.stream(input, config, **options):
                chunks.append(chunk)
                seen(chunk)

        async def asynchronous() -> None:
            async for chunk in graph.astream(input, config, **options):
                chunks.append(chunk)
                seen(chunk)

        if expect is not None:
            with pytest.raises(expect) as caught:
                await self.call(sync, asynchronous)
            self.record("raised", caught.value)
        else:
            await self.call(sync, asynchronous)
        if ordered:
            self.record("stream", chunks)
        else:
            # Ids inside are left to the state history, which has an order.
            one_by_one = sorted(repr(Normaliser()(chunk)) for chunk in chunks)
            self.events.append(("stream", one_by_one))
        return chunks

    async def state(
        self, graph: Any, config: RunnableConfig | None = None, *, subgraphs: bool = False
    ) -> StateSnapshot:
        config = config or thread()
        found: StateSnapshot = await self.call(
            lambda: graph.get_state(config, subgraphs=subgraphs),
            lambda: graph.aget_state(config, subgraphs=subgraphs),
        )
        self._same_time(found.config, found.created_at)
        self.record("state", found)
        return found

    async def history(
        self, graph: Any, config: RunnableConfig | None = None, **options: Any
    ) -> list[StateSnapshot]:
        config = config or thread()

        async def asynchronous() -> list[StateSnapshot]:
            return [s async for s in graph.aget_state_history(config, **options)]

        found: list[StateSnapshot] = await self.call(
            lambda: list(graph.get_state_history(config, **options)), asynchronous
        )
        for snapshot in found:
            self._same_time(snapshot.config, snapshot.created_at)
        self.record("history", found)
        return found

    async def update(
        self, graph: Any, config: RunnableConfig, values: Any, **options: Any
    ) -> RunnableConfig:
        made: RunnableConfig = await self.call(
            lambda: graph.update_state(config, values, **options),
            lambda: graph.aupdate_state(config, values, **options),
        )
        self.record("update", made)
        return made

    async def bulk_update(self, graph: Any, config: RunnableConfig, steps: Any) -> RunnableConfig:
        made: RunnableConfig = await self.call(
            lambda: graph.bulk_update_state(config, steps),
            lambda: graph.abulk_update_state(config, steps),
        )
        self.record("bulk update", made)
        return made

    # -- the saver itself -------------------------------------------------------------------

    async def stored(self, config: RunnableConfig | None = None) -> list[CheckpointTuple]:
        """Everything kept for a thread: namespaces in the order of their first checkpoint,
        and within one the order in which the saver lists."""
        config = config or thread()

        async def asynchronous() -> list[CheckpointTuple]:
            return [t async for t in self.saver.alist(config)]

        found: list[CheckpointTuple] = await self.call(
            lambda: list(self.saver.list(config)), asynchronous
        )
        spaces: dict[str, list[CheckpointTuple]] = {}
        for item in found:
            self._same_time(item.config, item.checkpoint["ts"])
            spaces.setdefault(item.config["configurable"]["checkpoint_ns"], []).append(item)
        # Outer ones first: what they say of their tasks orders the parallel ones inside.
        for depth in sorted({name.count("|") for name in spaces}):
            names = [name for name in spaces if name.count("|") == depth]
            firsts = {name: min(t.checkpoint["id"] for t in spaces[name]) for name in names}
            for name in sorted(names, key=lambda n: (n != "", self._normal.met(n), firsts[n])):
                self.record("stored", spaces[name])
        return found

    async def close_of(self, graph: Any, *configs: RunnableConfig) -> None:
        """What every scenario ends with: state, history and the saver's own listing."""
        for config in configs or (thread(),):
            await self.state(graph, config)
            await self.history(graph, config)
            await self.stored(config)

    def _same_time(self, config: RunnableConfig, time: Any) -> None:
        key = config["configurable"].get("checkpoint_id")
        if key is not None:
            assert self._times.setdefault(key, time) == time, "one checkpoint, two times"


def play(scenario: Scenario, saver: BaseCheckpointSaver[Any], style: str, durability: str) -> Trace:
    """Run a scenario and return its trace."""
    run = Run(saver, style, durability)
    if style in ("async", "mixed"):
        asyncio.run(scenario.play(run))
    else:
        without_loop(scenario.play(run))
    assert run.events, f"{scenario.name} recorded nothing"
    return run.events


def without_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    """Step through a coroutine that never really waits, with no event loop anywhere."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError("a sync scenario waited for something")


def difference(expected: Trace, actual: Trace, limit: int = 60) -> str:
    """The first places where two traces part, as a unified diff."""

    def lines(trace: Trace) -> list[str]:
        return [
            f"{label}| {line}"
            for label, value in trace
            for line in pprint.pformat(value, width=100).splitlines()
        ]

    parted = difflib.unified_diff(
        lines(expected), lines(actual), "InMemorySaver", "this store", lineterm="", n=4
    )
    return "\n".join(list(parted)[:limit])
