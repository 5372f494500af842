"""Checkpointers, made the way an application makes them and closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

OpenSaver = Callable[[str], BaseCheckpointSaver[str]]


@pytest.fixture
def open_saver(tmp_path: Path) -> Iterator[OpenSaver]:
    """`open_saver("memory" | "sqlite")`, a new and empty store each time."""
    from threadloom import SessionManager

    with ExitStack() as stack:

        def build(store: str) -> BaseCheckpointSaver[str]:
            count = len(list(tmp_path.iterdir()))
            url = "memory://" if store == "memory" else f"sqlite:///{tmp_path}/{count}.db"
            manager = stack.enter_context(SessionManager(url))
            return manager.checkpointer()

        yield build
