"""Random lives of threads on two checkpointers over one store, beside a plain model."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.types import Interrupt

from graphs.oracle import in_memory
from threadloom import StoreCheckpointer

from . import material
from .exact import difference, exact, picture
from .material import MISSING
from .model import Model, Space
from .rig import MakeSaver, Rig, config

SPACES = ("", "sub:1", "sub:1|deep:2")
RUNS = ("run-a", "run-b", "run-c")
HANDS = 6


@dataclass
class Hand:
    """A state that somebody holds, and may change: the very objects that were read or put."""

    values: dict[str, Any]
    place: tuple[str, str, str]
    rest: Any = None


writes_of_a_task = st.lists(
    st.one_of(
        st.tuples(st.just("messages"), st.lists(material.messages(), min_size=1, max_size=2)),
        st.tuples(st.sampled_from(["files", "plain"]), material.plain_items()),
        st.tuples(st.just(ERROR), material.words),
        st.tuples(st.just(RESUME), material.plain_items()),
        st.tuples(
            st.just(INTERRUPT),
            st.builds(lambda w: (Interrupt(value={"ask": w}, id="0" * 32),), material.words),
        ),
    ),
    min_size=1,
    max_size=3,
)
tasks = st.sampled_from(["t1", "t2", "t3"])
savers = st.integers(0, 1)
numbers = st.integers(0, 30)


class Turn(NamedTuple):
    """What one step of a run does before it puts a checkpoint."""

    how: str
    at: tuple[int, int]
    reader: int
    changes: list[tuple[str, material.Change]]
    run: str
    early: tuple[str, list[tuple[str, Any]]] | None
    announced: BaseMessage | None


turns = st.builds(
    Turn,
    how=st.sampled_from(["head", "head", "head", "held", "held", "older", "nothing"]),
    at=st.tuples(numbers, numbers),
    reader=savers,
    changes=st.lists(material.changes(), min_size=1, max_size=4),
    run=st.sampled_from(RUNS),
    early=st.none() | st.tuples(tasks, writes_of_a_task),
    announced=st.none() | material.messages(),
)


class Threads(RuleBasedStateMachine):
    """Rules put, read, change and delete; after each, every reader must see the model."""

    kind = "memory"
    make: MakeSaver = StoreCheckpointer

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(self.kind, type(self).make)
        self.model = Model()
        self.oracle = in_memory()
        self.compared = {"t0"}
        self.hands: list[Hand] = []
        self.count = 0
        self.copies = 0
        self.in_order = True

    def teardown(self) -> None:
        try:
            self.look_at_everything()
        finally:
            self.rig.close()

    @initialize(in_order=st.booleans(), message=material.messages(), saver=savers)
    def begin(self, in_order: bool, message: BaseMessage, saver: int) -> None:
        self.in_order = in_order
        values = {"messages": [message], "files": {"a": "1", "b": 1, 1: [True]}}
        self._put(saver, "t0", "", None, values, {}, set(values))

    # ── Putting ───────────────────────────────────────────────────────────────────────────────
    @rule(saver=savers, turns=st.lists(turns, min_size=1, max_size=4))
    def work(self, saver: int, turns: list[Turn]) -> None:
        """A few turns, each putting one checkpoint; every turn's reader looks at once."""
        for turn in turns:
            self._turn(saver, turn)
            thread, ns, id = self.hands[-1].place
            self._check(self.rig.savers[turn.reader], thread, ns, id, "after a turn")

    @rule(saver=savers, turns=st.lists(turns, min_size=2, max_size=6))
    def work_longer(self, saver: int, turns: list[Turn]) -> None:
        """A run that goes on from what it put last."""
        for turn in turns:
            self._turn(saver, turn._replace(how="last", reader=saver))

    def _turn(self, saver: int, turn: Turn) -> None:
        """Read a state, or take one that is held, change it, and put it."""
        thread, ns, parent, values = self._base(turn.how, turn.at, turn.reader)
        space = self.model.space(thread, ns)
        versions = {} if parent is None else dict(space.checkpoints[parent].versions)
        changed: set[str] = set()
        for channel, item in turn.changes:
            old = values[channel] if channel in values else material.empty(channel)
            new = material.change(channel, old, item)
            changed.add(channel)
            values[channel] = new
            if new is MISSING:
                del values[channel]
        if turn.announced is not None and parent is not None:
            # A node's answer: first its pending write, then an id, then the channel.
            message = turn.announced.model_copy(deep=True)
            writes = [("messages", [message]), ("plain", "w")]
            self._put_writes(saver, thread, ns, parent, writes, f"node-{self.count}", "~pull")
            if message.id is None:
                message.id = f"given-{self.count}"
            values["messages"] = [*(values.get("messages") or []), message]
            changed.add("messages")
        id = self._new_id()
        if turn.early is not None:
            self._put_writes(saver, thread, ns, id, turn.early[1], turn.early[0])
        self._put(saver, thread, ns, parent, values, versions, changed, id=id, run=turn.run)

    @rule(saver=savers, at=numbers, deep=st.booleans())
    def put_as_copies_are(self, saver: int, at: int, deep: bool) -> None:
        """As `update_state` with `__copy__`: a sibling with all values and no new version."""
        thread, ns, id = self._pick(at)
        kept = self.model.space(thread, ns).checkpoints[id]
        found = self.rig.savers[saver].get_tuple(config(thread, ns, id))
        assert found is not None
        values = found.checkpoint["channel_values"]
        values = copy.deepcopy(values) if deep else values
        self._put(saver, thread, ns, kept.parent, values, dict(kept.versions), set())

    @rule(saver=savers, at=numbers, alone=st.booleans(), changes=st.lists(material.changes()))
    def put_unknown_versions(
        self, saver: int, at: int, alone: bool, changes: list[tuple[str, material.Change]]
    ) -> None:
        """Versions that nobody has stored, and none of them called new."""
        thread, ns, id = self._pick(at)
        found = self.rig.savers[saver].get_tuple(config(thread, ns, id))
        assert found is not None
        values = dict(found.checkpoint["channel_values"])
        for channel, item in changes:
            old = values[channel] if channel in values else material.empty(channel)
            values[channel] = material.change(channel, old, item)
        values = {channel: value for channel, value in values.items() if value is not MISSING}
        versions = {channel: self._new_version() for channel in values}
        self._put(saver, thread, ns, None if alone else id, values, versions, set())

    @rule(saver=savers, at=numbers, changes=st.lists(material.changes(), max_size=3))
    def put_again(self, saver: int, at: int, changes: list[tuple[str, material.Change]]) -> None:
        """The same id and the same versions with other content."""
        thread, ns, id = self._pick(at)
        kept = self.model.space(thread, ns).checkpoints[id]
        found = self.rig.savers[saver].get_tuple(config(thread, ns, id))
        assert found is not None
        values = found.checkpoint["channel_values"]
        changed = set()
        for channel, item in changes:
            if channel in kept.present and item[0] != "go":
                values[channel] = material.change(channel, values[channel], item)
                changed.add(channel)
        if not changed and "messages" in kept.present:
            values["messages"].append(AIMessage(f"again {self.count}"))
            changed.add("messages")
        self._put(
            saver, thread, ns, kept.parent, values, dict(kept.versions), changed, id=id, fresh=False
        )

    @rule(saver=savers, at=numbers, writes=writes_of_a_task, task=tasks, twice=st.booleans())
    def write(
        self, saver: int, at: int, writes: list[tuple[str, Any]], task: str, twice: bool
    ) -> None:
        """Pending writes; a task that was there already is replayed with other ones."""
        thread, ns, id = self._pick(at)
        path = f"~{task}"
        self._put_writes(saver, thread, ns, id, writes, task, path)
        if twice:
            self._put_writes(1 - saver, thread, ns, id, writes, task, path)

    @rule(saver=savers, reader=savers, at=numbers, edit=st.booleans(), said=material.messages())
    def hand_on(self, saver: int, reader: int, at: int, edit: bool, said: BaseMessage) -> None:
        """The conversation goes to a subgraph and comes back, longer or edited."""
        thread = self._pick(at)[0]
        head = self.model.space(thread, "").head
        if head is None:
            return
        found = self.rig.savers[reader].get_tuple(config(thread, "", head))
        assert found is not None
        messages = found.checkpoint["channel_values"].get("messages")
        if not isinstance(messages, list):
            return
        if edit and messages:
            messages[at % len(messages)] = said.model_copy(deep=True)
        values = {
            "messages": [*messages, said],
            "__start__": {"messages": messages, "twice": [messages, tuple(messages)]},
        }
        ns = SPACES[-1]
        parent = self.model.space(thread, ns).head if at % 2 else None
        self._put(saver, thread, ns, parent, values, {}, set(values))
        back = [("messages", [*messages, said]), ("plain", {"all": messages, "also": [messages]})]
        self._put_writes(saver, thread, "", head, back, f"sub-{self.count}", "~pull")

    # ── What holders do ───────────────────────────────────────────────────────────────────────
    @rule(saver=savers, at=numbers, listed=st.booleans())
    def read(self, saver: int, at: int, listed: bool) -> None:
        """Read a checkpoint and hold on to it."""
        thread, ns, id = self._pick(at)
        if listed:
            found = next(
                item
                for item in self.rig.savers[saver].list(config(thread, ns))
                if item.checkpoint["id"] == id
            )
        else:
            one = self.rig.savers[saver].get_tuple(config(thread, ns, id))
            assert one is not None
            found = one
        self._hold(Hand(found.checkpoint["channel_values"], (thread, ns, id), found))

    @precondition(lambda self: self.hands)
    @rule(at=numbers, spots=st.lists(st.integers(0, 500), min_size=1, max_size=4))
    def change_what_is_held(self, at: int, spots: list[int]) -> None:
        hand = self.hands[at % len(self.hands)]
        parts: list[Any] = [hand.values]
        if hand.rest is not None:
            body = {k: v for k, v in hand.rest.checkpoint.items() if k != "channel_values"}
            parts = [hand.values, hand.values, body, hand.rest.metadata, hand.rest.pending_writes]
        for spot in spots:
            part = parts[spot % len(parts)]
            # The state's own dict is its holder's for certain; what is in it may be shared.
            inside = list(part.values()) if isinstance(part, dict) else part
            material.scribble(inside, spot, "scribble")

    # ── Upkeep ────────────────────────────────────────────────────────────────────────────────
    @rule()
    def reopen(self) -> None:
        self.rig.reopen()

    @precondition(lambda self: len(self.model.places()) > 5)
    @rule(saver=savers, at=numbers)
    def prune(self, saver: int, at: int) -> None:
        thread = self._pick(at)[0]
        self.rig.savers[saver].prune([thread])
        self.model.prune(thread)
        self._after_upkeep(thread)

    @precondition(lambda self: len(self.model.places()) > 3)
    @rule(saver=savers, runs=st.sets(st.sampled_from(RUNS), min_size=1, max_size=1))
    def delete_for_runs(self, saver: int, runs: set[str]) -> None:
        self.rig.savers[saver].delete_for_runs(sorted(runs))
        self.model.delete_for_runs(runs)
        self._after_upkeep(*self.model.threads)

    @precondition(lambda self: self.copies < 2 and len(self.model.places()) > 2)
    @rule(saver=savers, at=numbers)
    def copy_thread(self, saver: int, at: int) -> None:
        self.copies += 1
        thread, target = self._pick(at)[0], f"copy{self.copies}"
        self.rig.savers[saver].copy_thread(thread, target)
        self.model.copy_thread(thread, target)

    @precondition(lambda self: len({place[0] for place in self.model.places()}) > 1)
    @rule(saver=savers, at=numbers)
    def delete_thread(self, saver: int, at: int) -> None:
        thread = self._pick(at)[0]
        self.rig.savers[saver].delete_thread(thread)
        self.model.delete_thread(thread)
        self._after_upkeep(thread)

    # ── Looking ───────────────────────────────────────────────────────────────────────────────
    @invariant()
    def every_reader_sees_the_model(self) -> None:
        """Listings show every checkpoint; heads and a few others are read one by one."""
        places = self.model.places()
        for number, saver in enumerate(self.rig.savers):
            for thread, ns, space in self.model.spaces():
                self._check_listings(saver, thread, ns, space)
                self._check(saver, thread, ns, None, "head")
            for offset in (0, 3, 7):
                if places:
                    thread, ns, id = places[(self.count + offset + number) % len(places)]
                    self._check(saver, thread, ns, id, "one")

    def look_at_everything(self) -> None:
        """Every checkpoint one by one, by each reader."""
        for saver in self.rig.savers:
            for thread, ns, id in self.model.places():
                self._check(saver, thread, ns, id, "at the end")
            found = [picture(item)["config"] for item in saver.list(None)]
            assert len(found) == len(set(found))
            assert set(found) == set(self.model.places())

    def _check(
        self, saver: StoreCheckpointer, thread: str, ns: str, id: str | None, what: str
    ) -> None:
        space = self.model.space(thread, ns)
        named = id or space.head
        assert named is not None
        found = saver.get_tuple(config(thread, ns, id))
        assert found is not None, f"{what}: {thread} {ns} {id} is not there"
        expected = self.model.space(thread, ns).picture(thread, ns, named)
        seen = picture(found)
        assert not (wrong := difference(expected, seen)), f"{what} {thread} {ns} {id}: {wrong}"
        if thread in self.compared and (id or self.in_order):
            other = self.oracle.get_tuple(config(thread, ns, id))
            assert other is not None
            assert not (wrong := difference(picture(other), seen)), f"in memory: {what}: {wrong}"

    def _check_listings(self, saver: StoreCheckpointer, thread: str, ns: str, space: Space) -> None:
        def listed(**options: Any) -> list[dict[str, Any]]:
            return [picture(item) for item in saver.list(config(thread, ns), **options)]

        expected = [space.picture(thread, ns, id) for id in reversed(space.checkpoints)]
        assert not (wrong := difference(expected, listed())), f"list: {wrong}"
        short = listed(limit=2)
        assert not (wrong := difference(expected[:2], short)), f"list, limit: {wrong}"
        bound = sorted(space.checkpoints)[self.count % len(space.checkpoints)]
        below = [item for item in expected if item["config"][2] < bound]
        found = listed(before=config(thread, ns, bound), limit=3)
        assert not (wrong := difference(below[:3], found)), f"list, before: {wrong}"
        run = RUNS[self.count % len(RUNS)]
        of_run = [
            i for i in expected if space.checkpoints[i["config"][2]].metadata["run_id"] == run
        ]
        found = listed(filter={"run_id": run})
        assert not (wrong := difference(of_run, found)), f"list, filter: {wrong}"

    # ── Pieces ────────────────────────────────────────────────────────────────────────────────
    def _new_id(self) -> str:
        self.count += 1
        return f"{self.count if self.in_order else self.count * 37 % 1009:05d}"

    def _new_version(self) -> str:
        self.count += 1
        return f"{self.count:08d}.{self.count * 7919:012x}"

    def _pick(self, at: int) -> tuple[str, str, str]:
        places = self.model.places()
        if not places:
            self._put(0, "t0", "", None, {"messages": []}, {}, {"messages"})
            places = self.model.places()
        return places[-1 - at % len(places)]

    def _base(
        self, how: str, at: tuple[int, int], reader: int
    ) -> tuple[str, str, str | None, dict[str, Any]]:
        thread, ns, id = self._pick(at[0])
        if how == "nothing":
            return thread, SPACES[at[1] % len(SPACES)], None, {}
        if how in ("held", "last") and self.hands:
            hand = self.hands[-1 if how == "last" else at[1] % len(self.hands)]
            if hand.place in self.model.places():
                return *hand.place, hand.values
        if how == "head":
            id = self.model.space(thread, ns).head or id
        found = self.rig.savers[reader].get_tuple(config(thread, ns, id))
        assert found is not None
        return thread, ns, id, found.checkpoint["channel_values"]

    def _hold(self, hand: Hand) -> None:
        self.hands = [*self.hands[1 - HANDS :], hand]

    def _put(
        self,
        saver: int,
        thread: str,
        ns: str,
        parent: str | None,
        values: dict[str, Any],
        versions: dict[str, Any],
        changed: set[str],
        *,
        id: str | None = None,
        run: str = RUNS[0],
        fresh: bool = True,
    ) -> None:
        if fresh:
            # A version that was put without a value does not get one later.
            changed = changed | {
                channel
                for kept in self.model.space(thread, ns).checkpoints.values()
                for channel in values.keys() & kept.versions.keys() - kept.present.keys()
                if versions.get(channel) == kept.versions[channel]
            }
        new = {}
        for channel in sorted(changed):
            new[channel] = self._new_version() if fresh else versions[channel]
        versions |= new
        checkpoint: Any = {
            "v": 4,
            "ts": "2026-01-01T00:00:00+00:00",
            "id": id or self._new_id(),
            "channel_values": values,
            "channel_versions": versions,
            "versions_seen": {"node": dict(versions), "__input__": {}},
            "updated_channels": sorted(changed) or None,
        }
        metadata: Any = {"source": "loop", "step": self.count, "parents": {}, "run_id": run}
        before = exact(values)
        named = self.rig.savers[saver].put(
            config(thread, ns, parent), checkpoint, metadata, dict(new)
        )
        assert named["configurable"]["checkpoint_id"] == checkpoint["id"]
        assert exact(values) == before, "a put changes nothing that it was given"
        unseen = {
            channel: version
            for channel, version in versions.items()
            if channel in values and (channel, version) not in self.model.space(thread, ns).values
        }
        self.model.space(thread, ns).put(parent, checkpoint, metadata, new)
        if thread in self.compared:  # LangGraph's saver keeps new versions only
            self.oracle.put(config(thread, ns, parent), checkpoint, metadata, {**unseen, **new})
        self._hold(Hand(values, (thread, ns, checkpoint["id"])))

    def _put_writes(
        self,
        saver: int,
        thread: str,
        ns: str,
        id: str,
        writes: list[tuple[str, Any]],
        task: str,
        path: str = "",
    ) -> None:
        self.rig.savers[saver].put_writes(config(thread, ns, id), writes, task, path)
        self.model.space(thread, ns).put_writes(id, writes, task, path)
        if thread in self.compared:
            self.oracle.put_writes(config(thread, ns, id), writes, task, path)

    def _after_upkeep(self, *threads: str) -> None:
        self.compared -= set(threads)
