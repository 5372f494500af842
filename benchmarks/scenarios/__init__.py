"""The scenarios, by name, in the order in which they run."""

from importlib import import_module

from benchmarks.scenario import Scenario

NAMES = (
    "growth",
    "agent",
    "files",
    "window",
    "front",
    "subgraph",
    "threads",
    "cold",
    "memory",
    "travel",
    "index",
    "servers",
    "crowd",
    "trips",
    "listing",
)


def load(name: str) -> Scenario:
    """The scenario of a name: `SCENARIO` of the module that is called so."""
    module = import_module(f"{__name__}.{name}")
    scenario: Scenario = module.SCENARIO
    return scenario
