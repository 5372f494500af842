"""Checkpointers, made the way an application makes them and closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from engines import manager_of

OpenSaver = Callable[[str], BaseCheckpointSaver[str]]


@pytest.fixture
def open_saver(tmp_path: Path) -> Iterator[OpenSaver]:
    """`open_saver(kind)`, a new and empty store each time."""
    with ExitStack() as stack:

        def build(store: str) -> BaseCheckpointSaver[str]:
            count = len(list(tmp_path.iterdir()))
            manager = stack.enter_context(manager_of(store, tmp_path, str(count)))
            return manager.checkpointer()

        yield build
