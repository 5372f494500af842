"""Each of these checkpointers is caught."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from threadloom import StoreCheckpointer

from .broken import BROKEN
from .machine import Threads


@pytest.mark.parametrize("saver", BROKEN)
def test_a_broken_promise_is_found(saver: type[StoreCheckpointer]) -> None:
    class Machine(Threads):
        make = saver

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=4_000,
                stateful_step_count=25,
                database=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
