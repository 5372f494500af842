"""A manager over each store, with a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import KINDS, open_kind
from threadloom import SessionManager
from threadloom.store import Store
from threadloom.testing import FrozenClock


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FrozenClock) -> Iterator[Store]:
    with open_kind(request.param, tmp_path, clock=clock) as made:
        yield made


@pytest.fixture
def sessions(store: Store) -> SessionManager:
    return SessionManager(store)


Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, sessions: SessionManager) -> Call:
    """Calls an operation of the manager by name, or its asynchronous twin."""

    async def invoke(name: str, /, *args: Any, **options: Any) -> Any:
        if request.param == "async":
            return await getattr(sessions, "a" + name)(*args, **options)
        return getattr(sessions, name)(*args, **options)

    return invoke
