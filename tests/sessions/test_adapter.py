"""`SessionAdapter`: whose manager it is, and tasks that go one after the other."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from threadloom import InvalidKey, MissingAdapter, SessionAdapter, SessionManager, StoreClosed
from threadloom.stores.memory import MemoryStore


class Awaited(SessionAdapter):
    """As of a framework whose own services have a `close` that is awaited."""

    async def close(self) -> None:  # type: ignore[override]
        await self.aclose()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sessions.db"


def assert_closed(adapter: SessionAdapter) -> None:
    with pytest.raises(StoreClosed):
        adapter.sessions.list_sessions()


async def test_what_it_has_opened_it_closes(url: str) -> None:
    with SessionAdapter(url) as adapter:
        adapter.sessions.create_session(id="x")
    assert_closed(adapter)
    async with SessionAdapter(url) as adapter:
        assert await adapter.sessions.aget_session("x") is not None
    assert_closed(adapter)
    adapter = SessionAdapter(url, tenant="a")
    assert adapter.sessions.list_sessions() == []
    adapter.close()
    assert_closed(adapter)
    adapter.close()
    await adapter.aclose()


async def test_a_close_of_the_framework_s_own_does_not_get_in_the_way(url: str) -> None:
    with Awaited(url) as adapter:
        adapter.sessions.create_session(id="x")
    assert_closed(adapter)
    async with Awaited(url) as adapter:
        pass
    assert_closed(adapter)
    adapter = Awaited(url)
    await adapter.close()
    assert_closed(adapter)


async def test_what_is_handed_in_stays_open(url: str) -> None:
    with SessionManager(url) as sessions:
        with SessionAdapter(sessions) as adapter:
            assert adapter.sessions is sessions
        async with SessionAdapter(sessions):
            pass
        await adapter.aclose()
        assert sessions.list_sessions() == []
    with MemoryStore() as store:
        with SessionAdapter(store, tenant="a") as adapter:
            adapter.sessions.create_session(id="x")
        assert [info.id for info in SessionManager(store, tenant="a").list_sessions()] == ["x"]
    with SessionAdapter(InMemoryStore()) as adapter:
        adapter.sessions.create_session(id="x")
    assert adapter.sessions.get_session("x") is not None


@pytest.mark.parametrize("store", [None, 5, b"memory://", Path("x.db"), object(), SessionManager])
def test_what_keeps_no_sessions_is_refused(store: Any) -> None:
    with pytest.raises(InvalidKey, match=f"got a {type(store).__name__}$"):
        SessionAdapter(store)


def test_other_things_that_cannot_be() -> None:
    with pytest.raises(InvalidKey, match="options already"):
        SessionAdapter(SessionManager("memory://"), tenant="x")
    with pytest.raises(InvalidKey):
        SessionAdapter("sessions.db")
    with pytest.raises(MissingAdapter):
        SessionAdapter("nowhere://")


async def test_tasks_go_one_after_the_other() -> None:
    adapter = SessionAdapter("memory://")
    told: list[str] = []

    async def work(name: str, *queue: str) -> None:
        async with adapter._one_by_one(*queue):
            told.append(f"{name} in")
            await asyncio.sleep(0)
            told.append(f"{name} out")

    await asyncio.gather(work("1", "a", "b"), work("2", "a", "b"), work("3", "a", "b"))
    assert told == [f"{number} {way}" for number in (1, 2, 3) for way in ("in", "out")]
    told.clear()
    await asyncio.gather(work("1", "a", "b"), work("2", "ab"))
    assert told == ["1 in", "2 in", "1 out", "2 out"]
    gc.collect()
    assert not adapter._queues  # nothing is kept of what is over


def test_loops_do_not_wait_for_each_other() -> None:
    adapter = SessionAdapter("memory://")

    async def inner() -> str:
        async with adapter._one_by_one("a"):
            return "through"

    async def outer() -> str:
        async with adapter._one_by_one("a"):
            return await asyncio.to_thread(asyncio.run, inner())

    assert asyncio.run(outer()) == "through"
