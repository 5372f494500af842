"""The comparison itself can fail: savers that are wrong in one way each must be caught."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver

from . import catalogue
from .harness import play
from .oracle import in_memory


class LosesWrites(InMemorySaver):
    """Keeps no pending writes."""

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        return None


class ForgetsTaskPaths(InMemorySaver):
    """Orders parallel writes by task id."""

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        super().put_writes(config, writes, task_id, "")


class RepeatsWrites(InMemorySaver):
    """Takes the second of two writes of one task for a replay of the first."""

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        super().put_writes(config, writes[:1], task_id, task_path)


class LosesParents(InMemorySaver):
    """Knows no parent of any checkpoint."""

    def list(self, *args: Any, **options: Any) -> Iterator[CheckpointTuple]:
        for found in super().list(*args, **options):
            yield found._replace(parent_config=None)


class IgnoresBefore(InMemorySaver):
    def list(self, *args: Any, **options: Any) -> Iterator[CheckpointTuple]:
        return super().list(*args, **{**options, "before": None})


class OldestFirst(InMemorySaver):
    def list(self, *args: Any, **options: Any) -> Iterator[CheckpointTuple]:
        return iter(list(super().list(*args, **options))[::-1])


class MixesNamespaces(InMemorySaver):
    """Reads a child's newest checkpoint as the root's."""

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        settings = config["configurable"]
        if not settings.get("checkpoint_ns") and not settings.get("checkpoint_id"):
            newest = max(self.list(config), key=lambda t: t.checkpoint["id"], default=None)
            return newest
        return super().get_tuple(config)


class VersionsClash(InMemorySaver):
    """Gives two branches the same version for different values."""

    def get_next_version(self, current: str | None, channel: None) -> str:
        return f"{(int(str(current).split('.')[0]) if current else 0) + 1:032}.0"


class Shares(InMemorySaver):
    """Hands out the very objects that it was given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.serde = _Keeper()


class _Keeper:
    def dumps_typed(self, obj: Any) -> tuple[str, Any]:
        return ("object", obj if not isinstance(obj, BaseException) else repr(obj))

    def loads_typed(self, data: tuple[str, Any]) -> Any:
        return data[1]


class TuplesToLists(InMemorySaver):
    """What a serializer does that reads tuples back as lists."""

    def __init__(self, **options: Any) -> None:
        super().__init__()


def caught(kind: type[InMemorySaver], name: str) -> bool:
    """Whether a scenario tells this saver from a right one, in any of its combinations."""
    scenario = catalogue.SCENARIOS[name]
    style, durability = scenario.combinations[0]
    right = play(scenario, in_memory(), style, durability)
    try:
        return play(scenario, in_memory(kind), style, durability) != right
    except (Exception, pytest.fail.Exception):  # it did not even get through
        return True


WRONG: list[tuple[type[InMemorySaver], list[str]]] = [
    (
        LosesWrites,
        [
            "failures-finished_sibling_is_not_repeated",
            "interrupts-answered_one_by_one",
            "functional-questions_between_tasks",
            "delta-turns_with_snapshots_rare",
            "agents-three_tools_wait_for_a_person",
        ],
    ),
    (ForgetsTaskPaths, ["flow-map_and_reduce", "delta-parallel_writes_in_order"]),
    (RepeatsWrites, ["flow-sends_from_nodes", "interrupts-three_questions_in_one_node"]),
    (LosesParents, ["travel-run_again_from_the_middle", "messages-remove_one"]),
    (IgnoresBefore, ["travel-history_in_pages", "subgraphs-replayed_from_the_parent"]),
    (OldestFirst, ["flow-conditional_edges", "travel-history_in_pages"]),
    (MixesNamespaces, ["subgraphs-inherited", "subgraphs-own_memory"]),
    (VersionsClash, ["travel-new_input_on_an_old_checkpoint", "travel-changed_past"]),
    (Shares, ["messages-changed_in_place_and_returned", "messages-what_was_read_is_not_shared"]),
    (TuplesToLists, ["schemas-plain_data", "agents-tool_loop_by_hand"]),
]
PAIRS = [
    pytest.param(kind, name, id=f"{kind.__name__}-{name}")
    for kind, names in WRONG
    for name in names
]


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_a_wrong_saver_is_caught(kind: type[InMemorySaver], name: str) -> None:
    assert caught(kind, name)


@pytest.mark.parametrize("name", random.Random(0).sample(sorted(catalogue.SCENARIOS), 12))
def test_a_right_saver_is_not(name: str) -> None:
    assert not caught(InMemorySaver, name)
