"""Every scenario gives the same results and the same stored history on our stores as on
LangGraph's own in-memory saver."""

from __future__ import annotations

import functools

import pytest

from engines import GUESTS, KINDS

from . import catalogue
from .conftest import OpenSaver
from .harness import SCENARIOS, Trace, difference, play
from .oracle import in_memory

CASES = [
    pytest.param(
        *(name, style, durability, store),
        id=f"{name}-{style}-{durability}-{store}",
        marks=pytest.mark.grid(every=2 if store == "sqlite" else 4),
    )
    for name, scenario in catalogue.SCENARIOS.items()
    for style, durability in scenario.combinations
    for store in KINDS
] + [
    # Stores of others get each scenario once, in turn.
    pytest.param(name, style, durability, store, id=f"{name}-{style}-{durability}-{store}")
    for number, (name, scenario) in enumerate(catalogue.SCENARIOS.items())
    for style, durability in [scenario.combinations[number % len(scenario.combinations)]]
    for store in [GUESTS[number % len(GUESTS)]]
]


@functools.cache
def expected(name: str, style: str, durability: str) -> Trace:
    return play(SCENARIOS[name], in_memory(), style, durability)


@pytest.mark.parametrize(("name", "style", "durability", "store"), CASES)
def test_same_as_in_memory(
    name: str, style: str, durability: str, store: str, open_saver: OpenSaver
) -> None:
    oracle = expected(name, style, durability)
    found = play(SCENARIOS[name], open_saver(store), style, durability)
    if found != oracle:
        pytest.fail(f"not as in memory:\n{difference(oracle, found)}", pytrace=False)
