"""Checkpointers on every store, and LangGraph's own as a control."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from engines import KEYS, KINDS, url_of
from threadloom import SessionManager

STORES = (*KINDS, "encrypted-sqlite")


def open_manager(store: str, folder: Path) -> SessionManager:
    wrapper, _, inner = store.rpartition("-")
    url = url_of(inner, folder, "threads")
    return SessionManager(url, encryption=KEYS if wrapper else None)


@pytest.fixture(params=[*STORES, "control"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[str]]:
    if request.param == "control":
        yield InMemorySaver()
        return
    with open_manager(request.param, tmp_path) as manager:
        yield manager.checkpointer()
