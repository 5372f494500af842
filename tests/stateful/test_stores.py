"""Every store answers as the oracle does, whatever is asked in whatever order."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engines import WRAPPED, open_kind
from threadloom.store import Store
from threadloom.stores.memory import MemoryStore
from threadloom.stores.sqlite import SQLiteStore
from threadloom.testing import FaultyStore, FrozenClock, StoreStateMachine, store_state_machine


def play(machine: type[StoreStateMachine], *, share: float = 1.0) -> None:
    """Run a machine, with a share of the profile's examples."""
    examples = max(5, int(settings.default.max_examples * share))
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=25)
    )


@pytest.mark.timeout(1_200)
def test_memory() -> None:
    play(store_state_machine(lambda clock: MemoryStore(clock=clock)))


@pytest.mark.timeout(1_200)
def test_sqlite(tmp_path: Path) -> None:
    number = count()

    def open_store(clock: FrozenClock) -> SQLiteStore:
        return SQLiteStore(tmp_path / f"{next(number)}.db", clock=clock)

    def reopen(store: SQLiteStore) -> SQLiteStore:
        return SQLiteStore(store.path, clock=store.clock)

    play(store_state_machine(open_store, reopen))


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.timeout(1_200)
def test_wrapped(kind: str, tmp_path: Path) -> None:
    number = count()

    def open_store(clock: FrozenClock) -> Store:
        return open_kind(kind, tmp_path, str(next(number)), clock=clock)

    play(store_state_machine(open_store), share=0.2)


def test_a_wrapper() -> None:
    play(store_state_machine(lambda clock: FaultyStore(MemoryStore(clock=clock))), share=0.2)
