"""Checkpointers on every store, and LangGraph's own as a control."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from engines import KINDS, url_of

STORES = KINDS


def store_url(store: str, folder: Path) -> str:
    return url_of(store, folder, "threads")


@pytest.fixture(params=[*STORES, "control"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[str]]:
    if request.param == "control":
        yield InMemorySaver()
        return
    from threadloom import SessionManager

    with SessionManager(store_url(request.param, tmp_path)) as manager:
        yield manager.checkpointer()
