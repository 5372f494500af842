"""Checkpointers on every store, and LangGraph's own as a control."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from engines import GUESTS, KINDS, manager_of

STORES = (*KINDS, *GUESTS, "encrypted-sqlite")


@pytest.fixture(params=[*KINDS, "langgraph-plain", "control"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[str]]:
    if request.param == "control":
        yield InMemorySaver()
        return
    with manager_of(request.param, tmp_path, "threads") as manager:
        yield manager.checkpointer()
