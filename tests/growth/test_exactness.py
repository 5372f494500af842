"""What was put is what is read: random lives of threads beside a plain model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from graphs.oracle import ExactSerializer
from threadloom import StoreCheckpointer

from .exact import same
from .machine import Threads
from .rig import ByAsyncCalls


class InMemory(Threads):
    kind = "memory"


class OnFile(Threads):
    kind = "sqlite"


class InJournals(Threads):
    kind = "file"


class ByCallersSerializer(Threads):
    """With a serializer of the caller's own, which gets every value whole."""

    make = staticmethod(lambda store: StoreCheckpointer(store, serde=ExactSerializer()))


class AwaitedOnFile(Threads):
    """By the async methods."""

    kind = "sqlite"
    make = staticmethod(lambda store: ByAsyncCalls(StoreCheckpointer(store)))


@pytest.mark.usefixtures("any_run_is_long")
@pytest.mark.soak(full=400)
@pytest.mark.parametrize(
    ("machine", "of_40"),
    [(InMemory, 40), (OnFile, 15), (InJournals, 8), (ByCallersSerializer, 6), (AwaitedOnFile, 4)],
)
def test_every_reader_sees_what_was_put(machine: type[Threads], of_40: int, rounds: int) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=rounds * of_40 // 40, stateful_step_count=12)
    )


@pytest.mark.usefixtures("any_run_is_long")
@pytest.mark.soak(full=1_000)
@pytest.mark.parametrize("machine", [InMemory, OnFile])
def test_long_lives(machine: type[Threads], rounds: int) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=max(2, rounds // 40), stateful_step_count=40)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ([1], (1,)),
        ("a", b"a"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "a"}, {"1": "a"}),
        ({1: "a"}, {True: "a"}),
        ([[1, {"a": None}]], [[1, {"a": False}]]),
    ],
)
def test_the_comparison_is_strict(one: object, other: object) -> None:
    assert same(one, one)
    assert not same(one, other)
