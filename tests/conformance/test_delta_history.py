"""What `get_delta_channel_history` owes a delta channel: the nearest stored value above the target
and, in order, every write that came after that value on the way down to the target.

Each case runs on every store, on LangGraph's in-memory saver as a control, through the sync and the
async method; the answer must also equal the one of the base class, which walks `get_tuple`.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from .lines import NOTHING, Line, Saver, chain


@pytest.fixture(params=["sync", "async"])
def line(saver: Saver, request: pytest.FixtureRequest) -> Line:
    return Line(saver, request.param)


def test_writes_come_oldest_first_without_a_seed(line: Line) -> None:
    made = chain(line, [None] * 5)
    assert line.found(made[-1]) == (NOTHING, ["at 0", "at 1", "at 2", "at 3"])


def test_the_root_has_no_history(line: Line) -> None:
    made = chain(line, [None])
    assert line.found(made[0]) == (NOTHING, [])


def test_a_snapshot_is_the_seed(line: Line) -> None:
    snapshot = _DeltaSnapshot(["whole"])
    made = chain(line, [None, {"c": snapshot}, None, None])
    assert line.found(made[-1]) == (snapshot, ["at 1", "at 2"])


def test_the_nearest_snapshot_counts(line: Line) -> None:
    made = chain(
        line,
        [
            {"c": _DeltaSnapshot([0])},
            None,
            {"c": _DeltaSnapshot([1])},
            None,
            {"c": _DeltaSnapshot([2])},
        ],
    )
    expected = [
        (NOTHING, []),
        (_DeltaSnapshot([0]), ["at 0"]),
        (_DeltaSnapshot([0]), ["at 0", "at 1"]),
        (_DeltaSnapshot([1]), ["at 2"]),
        (_DeltaSnapshot([1]), ["at 2", "at 3"]),
    ]
    assert [line.found(config) for config in made] == expected


def test_a_snapshot_at_the_target_is_not_its_own_history(line: Line) -> None:
    """The walk is over what lies above: the target's own value is read from the target."""
    made = chain(line, [None, None, {"c": _DeltaSnapshot(["here"])}])
    assert line.found(made[-1]) == (NOTHING, ["at 0", "at 1"])


def test_pending_writes_of_the_target_are_left_out(line: Line) -> None:
    made = chain(line, [{"c": _DeltaSnapshot([])}, None])
    line.write(made[-1], ("c", "pending"), task="another")
    assert line.found(made[-1]) == (_DeltaSnapshot([]), ["at 0"])


def test_writes_stored_with_the_seed_are_replayed(line: Line) -> None:
    """A stored value is the one before its checkpoint's writes, so these come after it."""
    made = chain(line, [{"c": _DeltaSnapshot([1])}, None])
    assert line.found(made[-1]) == (_DeltaSnapshot([1]), ["at 0"])


def test_a_plain_value_is_a_seed(line: Line) -> None:
    """A thread whose channel used to keep its whole value, and went on as a delta channel."""
    made = chain(line, [{"c": ["old"]}, {"c": ["old", "older"]}, None, None])
    assert line.found(made[-1]) == (["old", "older"], ["at 1", "at 2"])


@pytest.mark.parametrize("value", [None, [], {}, 0, "", False, (), set()], ids=repr)
def test_an_empty_value_is_a_seed_all_the_same(line: Line, value: Any) -> None:
    made = chain(line, [None, {"c": value}, None])
    seed, writes = line.found(made[-1])
    assert seed is not NOTHING
    if not isinstance(value, tuple):  # LangGraph's own serializer reads a tuple as a list
        assert type(seed) is type(value)
        assert seed == value
    assert writes == ["at 1"]


@pytest.mark.parametrize("value", [None, [], {}, 0, "", False], ids=repr)
def test_an_empty_snapshot_is_a_seed_all_the_same(line: Line, value: Any) -> None:
    made = chain(line, [None, {"c": _DeltaSnapshot(value)}, None])
    assert line.found(made[-1]) == (_DeltaSnapshot(value), ["at 1"])


def test_a_version_that_is_only_mentioned_does_not_end_the_walk(line: Line) -> None:
    """A version that no put ever declared new, and for which nothing is stored."""
    first = line.put(None, {"c": _DeltaSnapshot(["seed"])})
    line.write(first, ("c", "one"))
    version = line.saver.get_next_version(line.versions["c"], None)
    second = line.put(first, versions={"c": version})
    line.write(second, ("c", "two"))
    third = line.put(second, versions={"c": line.saver.get_next_version(version, None)})
    assert line.found(third) == (_DeltaSnapshot(["seed"]), ["one", "two"])


def test_an_unchanged_version_still_has_its_value(line: Line) -> None:
    """A checkpoint that did not touch the channel carries its version, and so its value, along."""
    first = line.put(None, {"c": _DeltaSnapshot(["seed"])})
    line.write(first, ("c", "at 0"))
    second = line.put(first)
    line.write(second, ("c", "at 1"))
    third = line.put(second)
    assert line.found(third) == (_DeltaSnapshot(["seed"]), ["at 1"])


def test_every_channel_ends_its_own_walk(line: Line) -> None:
    stored: list[dict[str, Any] | None] = [
        {"near": _DeltaSnapshot("n0"), "far": _DeltaSnapshot("f0")},
        None,
        {"near": _DeltaSnapshot("n2")},
        None,
        None,
    ]
    made: list[RunnableConfig] = []
    for number, values in enumerate(stored):
        # Only what is stored anew is known at a checkpoint, as for channels that store no value.
        made.append(line.put(made[-1] if made else None, values, versions={}))
        line.write(made[-1], ("near", f"n{number}"), ("far", f"f{number}"), ("none", number))
    walk = line.walk(made[-1], "none", "far", "near")
    values = {name: [value for _, _, value in entry["writes"]] for name, entry in walk.items()}
    assert values == {
        "none": [0, 1, 2, 3],
        "far": ["f0", "f1", "f2", "f3"],
        "near": ["n2", "n3"],
    }
    assert "seed" not in walk["none"]
    assert walk["far"]["seed"] == _DeltaSnapshot("f0")
    assert walk["near"]["seed"] == _DeltaSnapshot("n2")


def test_no_channels_no_answer(line: Line) -> None:
    made = chain(line, [None, None])
    assert line.walk(made[-1]) == {}


def test_a_channel_that_never_was(line: Line) -> None:
    made = chain(line, [{"c": _DeltaSnapshot(1)}, None])
    assert line.walk(made[-1], "other") == {"other": {"writes": []}}


def test_a_channel_named_twice(line: Line) -> None:
    made = chain(line, [None, None])
    assert [w[2] for w in line.walk(made[-1], "c", "c")["c"]["writes"]] == ["at 0"]


def test_the_newest_checkpoint_is_meant_where_none_is_named(line: Line) -> None:
    chain(line, [{"c": _DeltaSnapshot(1)}, None, None])
    newest: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    assert line.found(newest) == (_DeltaSnapshot(1), ["at 0", "at 1"])


@pytest.mark.parametrize("missing", ["thread", "checkpoint", "namespace"])
def test_a_target_that_does_not_exist(line: Line, missing: str) -> None:
    made = chain(line, [{"c": _DeltaSnapshot(1)}, None])
    settings = dict(made[-1]["configurable"])
    if missing == "thread":
        settings["thread_id"] = "elsewhere"
    elif missing == "namespace":
        settings["checkpoint_ns"] = "child:1"
    else:
        settings["checkpoint_id"] = str(uuid6())
    assert line.found({"configurable": settings}) == (NOTHING, [])


def test_branches_see_only_their_own_past(line: Line) -> None:
    root = line.put(None, {"c": _DeltaSnapshot(["root"])})
    line.write(root, ("c", "shared"))
    fork = line.put(root, versions={})
    ends = {}
    for name in ("left", "right"):
        inner = line.put(fork, versions={})
        line.write(inner, ("c", name))
        ends[name] = line.put(inner, versions={})
    line.write(fork, ("c", "from the fork"))
    for name, end in ends.items():
        assert line.found(end) == (_DeltaSnapshot(["root"]), ["shared", "from the fork", name])
    assert line.found(fork) == (_DeltaSnapshot(["root"]), ["shared"])


def test_a_snapshot_in_one_branch_is_not_the_seed_of_another(line: Line) -> None:
    root = line.put(None)
    line.write(root, ("c", "at root"))
    snapshot = line.put(root, {"c": _DeltaSnapshot(["left"])})
    left = line.put(snapshot, versions={})
    line.write(snapshot, ("c", "at left"))
    middle = line.put(root, versions={})
    line.write(middle, ("c", "at right"))
    right = line.put(middle, versions={})
    assert line.found(left) == (_DeltaSnapshot(["left"]), ["at left"])
    assert line.found(right) == (NOTHING, ["at root", "at right"])


def test_namespaces_and_threads_are_apart(saver: Saver) -> None:
    lines = {
        (name, ns): Line(saver, "sync", name, ns)
        for name in ("t", "t2")
        for ns in ("", "child:1", "child:10", "child:1|deep:2")
    }
    ends = {}
    for (name, ns), line in lines.items():
        first = line.put(None, {"c": _DeltaSnapshot(f"{name}/{ns}")})
        line.write(first, ("c", f"{name}/{ns} write"), task="same task")
        ends[name, ns] = line.put(first, versions={})
    for (name, ns), end in ends.items():
        found = lines[name, ns].found(end)
        assert found == (_DeltaSnapshot(f"{name}/{ns}"), [f"{name}/{ns} write"])


def test_parallel_writes_are_in_the_order_of_their_tasks(line: Line) -> None:
    """By task path, then task id, then place in the task; not by arrival."""
    first = line.put(None)
    arrivals = [
        ("z-task", "~__pregel_pull, a", ("a0", "a1")),
        ("a-task", "~__pregel_push, ~0000000010, b", ("p10",)),
        ("m-task", "~__pregel_push, ~0000000002, b", ("p2-0", "p2-1", "p2-2")),
        ("z-plain", "", ("z",)),
        ("b-plain", "", ("b0", "b1")),
        ("c-task", "~__pregel_pull, a", ("c",)),
    ]
    for task, path, values in arrivals:
        line.write(first, *(("c", value) for value in values), task=task, path=path)
    second = line.put(first)
    in_order = ["b0", "b1", "z", "c", "a0", "a1", "p2-0", "p2-1", "p2-2", "p10"]
    assert line.found(second) == (NOTHING, in_order)
    tuple_ = line.saver.get_tuple(first)
    assert tuple_ is not None
    assert [value for _, _, value in tuple_.pending_writes or []] == in_order


def test_many_writes_of_one_task_keep_their_places(line: Line) -> None:
    """Twelve, so that places compared as text would come out wrong."""
    first = line.put(None)
    line.write(first, *(("c" if n % 2 else "d", n) for n in range(24)), task="one")
    second = line.put(first)
    assert line.found(second, "c")[1] == list(range(1, 24, 2))
    assert line.found(second, "d")[1] == list(range(0, 24, 2))


def test_writes_given_twice_count_once(line: Line) -> None:
    first = line.put(None)
    for _ in range(2):
        line.write(first, ("c", "once"), ("c", "twice"), task="same")
    second = line.put(first)
    assert line.found(second) == (NOTHING, ["once", "twice"])


def test_writes_that_arrive_before_their_checkpoint(line: Line) -> None:
    """With durability "async" that is the usual order."""
    first = line.put(None, {"c": _DeltaSnapshot(1)})
    line.write(first, ("c", "zero"))
    early = str(uuid6(clock_seq=-1))
    settings = {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": early}
    line.write({"configurable": settings}, ("c", "early"))
    checkpoint = Checkpoint(
        v=4,
        id=early,
        ts="2024-01-01T00:00:00+00:00",
        channel_values={},
        channel_versions={},
        versions_seen={},
        updated_channels=None,
    )
    late = line.saver.put(first, checkpoint, {"source": "loop", "step": 1, "parents": {}}, {})
    assert line.found(late) == (_DeltaSnapshot(1), ["zero"])
    end = line.put(late, versions={})
    assert line.found(end) == (_DeltaSnapshot(1), ["zero", "early"])


@pytest.mark.parametrize("seed", [{"c": _DeltaSnapshot([])}, None], ids=["snapshot", "none"])
def test_the_walk_goes_far(line: Line, seed: dict[str, Any] | None) -> None:
    made = chain(line, [seed, *[None] * 60])
    expected = _DeltaSnapshot([]) if seed else NOTHING
    assert line.found(made[-1]) == (expected, [f"at {number}" for number in range(60)])


def test_what_is_handed_out_is_nobody_elses(line: Line) -> None:
    made = chain(line, [{"c": _DeltaSnapshot(["seed"])}, None])
    line.write(made[0], ("c", ["list"]), task="~last", path="~z")
    for _ in range(2):
        entry = line.walk(made[-1], "c")["c"]
        assert entry["seed"] == _DeltaSnapshot(["seed"])
        assert [value for _, _, value in entry["writes"]] == ["at 0", ["list"]]
        entry["seed"].value.append("forged")
        entry["writes"][-1][2].append("forged")
        entry["writes"].clear()


def test_values_keep_their_types(line: Line) -> None:
    from langchain_core.messages import AIMessage, RemoveMessage
    from langgraph.types import Overwrite

    given = [AIMessage("a", id="1"), RemoveMessage(id="1"), Overwrite([1]), {"k": [b"\x00"]}, None]
    first = line.put(None, {"c": _DeltaSnapshot([AIMessage("s", id="0")])})
    line.write(first, *(("c", value) for value in given), task="one")
    second = line.put(first, versions={})
    assert line.found(second) == (_DeltaSnapshot([AIMessage("s", id="0")]), given)
