"""Walking back over checkpoints, page by page."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.base.id import uuid6

from threadloom import MemoryStore, StoreCheckpointer
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.spans import Span, covered
from threadloom.checkpoint.trail import Trail
from threadloom.keys import SessionPaths
from threadloom.ops import Scan
from threadloom.plans import Batch, Results, run


class Counting(MemoryStore):
    """Counts the records that scans give."""

    read = 0

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        self.read += sum(len(r) for op, r in zip(ops, results, strict=True) if type(op) is Scan)
        return results


def put(saver: StoreCheckpointer, parent: str | None, number: int, writes: int) -> str:
    id = str(uuid6(clock_seq=number))
    place: Any = {"thread_id": "t", "checkpoint_ns": ""}
    config: Any = {"configurable": place | ({"checkpoint_id": parent} if parent else {})}
    made: Any = {
        "v": 4,
        "ts": "2026-01-01T00:00:00+00:00",
        "id": id,
        "channel_values": {},
        "channel_versions": {},
        "versions_seen": {},
        "updated_channels": None,
    }
    saver.put(config, made, {"source": "loop", "step": number, "parents": {}}, {})
    for task in range(writes):
        named: Any = {"configurable": place | {"checkpoint_id": id}}
        saver.put_writes(named, [("x", task)], f"task {task:04}")
    return id


@pytest.mark.parametrize("writes", [0, 1, 62, 63, 64, 65, 127, 128, 200])
def test_a_way_is_whole_however_many_pending_writes_lie_on_it(writes: int) -> None:
    with Counting() as store:
        saver = StoreCheckpointer(store)
        ids: list[str] = []
        for number in range(6):
            ids.append(put(saver, ids[-1] if ids else None, number, writes if number % 2 else 1))
        place = Place(SessionPaths((), "t"), "")
        for first in range(6):
            trail = Trail(place)
            head = run(trail.find(ids[first]), store)
            assert head is not None
            way = run(trail.path(head), store)
            assert [stored.id for stored in way] == ids[first::-1]
            for stored in way:
                assert len(stored.writes) == (writes if ids.index(stored.id) % 2 else 1)
        assert run(Trail(place).find("no such id"), store) is None
        assert run(Trail(place).find(str(uuid6(clock_seq=0))), store) is None
        assert run(Trail(place).all(), store).keys() == set(ids)


def test_a_short_way_reads_little_of_a_long_one() -> None:
    with Counting() as store:
        saver = StoreCheckpointer(store)
        ids: list[str] = []
        for number in range(400):
            ids.append(put(saver, ids[-1] if ids else None, number, 1))
        trail = Trail(Place(SessionPaths((), "t"), ""))
        store.read = 0
        head = run(trail.find(ids[-1]), store)
        assert head is not None
        for id in reversed(ids[-9:-1]):
            head = run(trail.above(head), store)
            assert head is not None
            assert head.id == id
        assert 0 < store.read <= 64


def test_a_way_that_jumps_over_others() -> None:
    with Counting() as store:
        saver = StoreCheckpointer(store)
        ids: list[str] = []
        for number in range(300):
            ids.append(put(saver, ids[-1] if ids else None, number, 0))
        branch = put(saver, ids[3], 300, 0)
        trail = Trail(Place(SessionPaths((), "t"), ""))
        store.read = 0
        head = run(trail.find(branch), store)
        assert head is not None
        assert [stored.id for stored in run(trail.path(head), store)] == [branch, *ids[3::-1]]
        assert store.read < 100


def test_what_spans_cover() -> None:
    assert covered([]) == set()
    spans = [Span("a", 2, 4), Span("a", 0, 3), Span("b", 1, 2), Span("a", 6, 7), Span("a", 2, 3)]
    assert covered(spans) == {("a", at) for at in (0, 1, 2, 3, 6)} | {("b", 1)}
