"""Random batches find a broken promise, too."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from contract import broken
from threadloom.stores.memory import MemoryStore
from threadloom.testing import store_state_machine

BROKEN: list[type[MemoryStore]] = [
    broken.IgnoresExpectations,
    broken.ReusesVersions,
    broken.LosesAtomicity,
    broken.NeverExpires,
    broken.TakesEmptyForNothing,
    broken.FoldsCase,
    broken.CopiesOnTop,
    broken.CopiesForEver,
    broken.CopiesWithoutWords,
    broken.CopiesIntoItself,
]


@pytest.mark.parametrize("store", BROKEN)
def test_a_broken_promise_is_found(store: type[MemoryStore]) -> None:
    machine = store_state_machine(lambda clock: store(clock=clock))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=300, stateful_step_count=25, database=None, phases=[Phase.generate]
            ),
        )


@pytest.mark.parametrize(
    "store",
    [
        broken.OnlyAsync,
        broken.WithoutCompareAndSet,
        broken.WithoutAtomicBatches,
        broken.WithoutCopies,
    ],
)
def test_what_promises_less_and_keeps_it_passes(store: type[MemoryStore]) -> None:
    machine = store_state_machine(lambda clock: store(clock=clock))
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=20))
