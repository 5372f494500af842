"""The functional API: tasks and entrypoints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from langgraph.func import entrypoint, task
from langgraph.types import Command, RetryPolicy, interrupt

from .harness import Run, scenario, thread


@scenario()
async def remembers_the_last_result(run: Run) -> None:
    @task
    def double(n: int) -> int:
        return 2 * n

    @entrypoint(checkpointer=run.saver)
    def flow(n: int, *, previous: Any = None) -> dict[str, Any]:
        return {"doubled": double(n).result(), "before": previous}

    await run.invoke(flow, 1)
    result = await run.invoke(flow, 5)
    assert result == {"doubled": 10, "before": {"doubled": 2, "before": None}}
    await run.close_of(flow)


@scenario()
async def saves_another_value_than_it_returns(run: Run) -> None:
    @entrypoint(checkpointer=run.saver)
    def flow(n: int, *, previous: int | None = None) -> Any:
        return entrypoint.final(value=f"was {previous}", save=n + (previous or 0))

    for n in (1, 2, 3):
        result = await run.invoke(flow, n)
    assert result == "was 3"
    assert (await run.state(flow)).values == "was 3"
    await run.close_of(flow)


@scenario()
async def falsy_results(run: Run) -> None:
    """None, False, 0, "" and empty lists are results that a resume must not compute again."""
    calls: Counter[str] = Counter()

    @task
    def give(value: Any) -> Any:
        calls[repr(value)] += 1
        return value

    @entrypoint(checkpointer=run.saver)
    def flow(start: Any) -> Any:
        values = [give(v).result() for v in (None, False, 0, "", [], {})]
        return [interrupt("go on?"), *values]

    await run.invoke(flow, "start")
    await run.stored()
    result = await run.invoke(flow, Command(resume="yes"))
    assert result == ["yes", None, False, 0, "", [], {}]
    assert set(calls.values()) == {1}
    await run.close_of(flow)


@scenario()
async def questions_between_tasks(run: Run) -> None:
    """Finished tasks are not run again when the flow is resumed."""
    calls: Counter[str] = Counter()

    @task
    def work(n: int) -> str:
        calls[f"work {n}"] += 1
        return f"worked {n}"

    @task
    def ask(n: int) -> str:
        calls[f"ask {n}"] += 1
        return f"{interrupt(f'question {n}')}!"

    @entrypoint(checkpointer=run.saver)
    def flow(start: str) -> list[str]:
        done = [work(1).result(), ask(1).result(), work(2).result()]
        return [*done, str(interrupt("last")), ask(2).result()]

    result = await run.invoke(flow, "go")
    for answer in ("x", "y", "z"):
        assert "__interrupt__" in result
        await run.state(flow)
        result = await run.invoke(flow, Command(resume=answer))
    assert result == ["worked 1", "x!", "worked 2", "y", "z!"]
    assert (calls["work 1"], calls["work 2"]) == (1, 1)
    await run.close_of(flow)


@scenario()
async def parallel_tasks(run: Run) -> None:
    calls: Counter[int] = Counter()

    @task
    def square(n: int) -> int:
        calls[n] += 1
        return n * n

    @entrypoint(checkpointer=run.saver)
    def flow(numbers: list[int]) -> int:
        futures = [square(n) for n in numbers]
        total = sum(f.result() for f in futures)
        return total + int(interrupt(f"total {total}"))

    await run.invoke(flow, [3, 1, 2])
    assert await run.invoke(flow, Command(resume=100)) == 114
    assert calls == {1: 1, 2: 1, 3: 1}
    await run.close_of(flow)


@scenario()
async def failing_task(run: Run) -> None:
    """An error ends the run; going on with None repeats only what has not finished."""
    calls: Counter[str] = Counter()

    @task
    def good() -> str:
        calls["good"] += 1
        return "good"

    @task
    def bad() -> str:
        calls["bad"] += 1
        if calls["bad"] == 1:
            raise ValueError("first time")
        return "better"

    @entrypoint(checkpointer=run.saver)
    def flow(start: str) -> list[str]:
        return [good().result(), bad().result()]

    await run.invoke(flow, "go", expect=ValueError)
    await run.state(flow)
    await run.stored()
    assert await run.invoke(flow, None) == ["good", "better"]
    assert calls == {"good": 1, "bad": 2}
    await run.close_of(flow)


@scenario()
async def retried_task(run: Run) -> None:
    calls: Counter[str] = Counter()
    policy = RetryPolicy(initial_interval=0.0, jitter=False, max_attempts=3, retry_on=KeyError)

    @task(retry_policy=policy)
    def shaky() -> int:
        calls["shaky"] += 1
        if calls["shaky"] < 3:
            raise KeyError("again")
        return calls["shaky"]

    @entrypoint(checkpointer=run.saver)
    def flow(start: str, *, previous: Any = None) -> Any:
        return [previous, shaky().result()]

    assert await run.invoke(flow, "go") == [None, 3]
    await run.close_of(flow)


@scenario()
async def flow_inside_a_flow(run: Run) -> None:
    """An entrypoint called from another one asks; both go on."""

    @entrypoint()
    def inner(n: int) -> str:
        return f"inner {n} {interrupt('inner?')}"

    @task
    def call_inner(n: int) -> str:
        return str(inner.invoke(n))

    @entrypoint(checkpointer=run.saver)
    def outer(n: int) -> list[str]:
        return [call_inner(n).result(), str(interrupt("outer?"))]

    await run.invoke(outer, 1)
    await run.state(outer, subgraphs=True)
    await run.invoke(outer, Command(resume="a"))
    assert await run.invoke(outer, Command(resume="b")) == ["inner 1 a", "b"]
    await run.close_of(outer)


@scenario()
async def changed_from_outside(run: Run) -> None:
    """update_state changes what the next call gets as its previous result."""

    @entrypoint(checkpointer=run.saver)
    def flow(n: int, *, previous: int | None = None) -> int:
        return n + (previous or 0)

    await run.invoke(flow, 1)
    await run.invoke(flow, 2)
    await run.update(flow, thread(), 100)
    assert await run.invoke(flow, 3) in (103, 6)
    await run.close_of(flow)


@scenario(styles=("async",))
async def asynchronous_flow(run: Run) -> None:
    """Coroutine tasks under asyncio, several waiting at once."""
    import asyncio

    calls: Counter[int] = Counter()

    @task
    async def square(n: int) -> int:
        calls[n] += 1
        await asyncio.sleep(0)
        return n * n

    @entrypoint(checkpointer=run.saver)
    async def flow(numbers: list[int]) -> int:
        total = sum(await asyncio.gather(*[square(n) for n in numbers]))
        return total + int(interrupt(total))

    await run.invoke(flow, [1, 2, 3])
    assert await run.invoke(flow, Command(resume=1)) == 15
    assert calls == {1: 1, 2: 1, 3: 1}
    await run.close_of(flow)
