"""Tests for stores of your own: the suite that every store of Threadloom passes.

A store passes when it passes these::

    from threadloom.testing import FrozenClock, StoreContract, store_state_machine

    class TestMyStore(StoreContract):
        def open_store(self, clock: FrozenClock) -> Store:
            return MyStore(clock=clock)

    TestMyStoreAtRandom = store_state_machine(lambda clock: MyStore(clock=clock)).TestCase

`StoreContract` has one test a promise of the port, each run sync, async and across.
`store_state_machine` plays random batches against a plain dict. `FaultyStore` fails and
dawdles on demand, around any store, and `FrozenClock` stands still until it is told to move.

Needs pytest and Hypothesis: ``pip install "threadloom[testing]"``.
"""

from __future__ import annotations

import pytest

# So that a failing assertion of the suite shows its values, as one of a test file does.
pytest.register_assert_rewrite(
    "threadloom.testing.contract", "threadloom.testing.oracle", "threadloom.testing.stateful"
)

from threadloom.testing.clock import FrozenClock  # noqa: E402
from threadloom.testing.contract import StoreContract  # noqa: E402
from threadloom.testing.driver import MODES, Driver, Mode  # noqa: E402
from threadloom.testing.faults import FaultyStore  # noqa: E402
from threadloom.testing.stateful import StoreStateMachine, store_state_machine  # noqa: E402

__all__ = [
    "MODES",
    "Driver",
    "FaultyStore",
    "FrozenClock",
    "Mode",
    "StoreContract",
    "StoreStateMachine",
    "store_state_machine",
]
