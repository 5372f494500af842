"""Random lives of streams, with other messages between theirs, against a plain model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from langchain_core.messages import HumanMessage

from engines import GUESTS, KINDS, WRAPPED, open_kind
from streamed import Item, call, results, said, say, shows, stream_of, think
from threadloom import CheckpointNotFound, SessionManager
from threadloom.ops import Get
from threadloom.store import Store

NAMES = ("one", "two")
KINDS_OF_ITEMS = st.lists(st.sampled_from("sscctr"), min_size=1, max_size=4)
Spot = tuple[str, int, int]
"""A message of a stream: the stream, where its group begins, which message of the group."""


@dataclass
class Life:
    """What a session should be.

    Attributes:
        items: of each stream, with their positions.
        next: of each stream, the next position.
        order: the conversation: texts of other messages, and spots of streams.
        shown: the texts of the spots, and where their groups end.
    """

    items: dict[str, list[tuple[int, Item]]] = field(default_factory=dict)
    next: dict[str, int] = field(default_factory=dict)
    order: list[str | Spot] = field(default_factory=list)
    shown: dict[Spot, tuple[str, int]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Life:
        return replace(
            self,
            items={name: list(own) for name, own in self.items.items()},
            next=dict(self.next),
            order=list(self.order),
            shown=dict(self.shown),
            notes=dict(self.notes),
        )

    def show(self, name: str) -> None:
        """Bring the conversation in line with the items of a stream."""
        own = self.items.get(name, [])
        fresh: dict[Spot, tuple[str, int]] = {}
        begin = 0
        for end, messages in shows([item for _, item in own]):
            first, last = own[begin][0], own[end - 1][0] + 1
            for at, text in enumerate(said(messages)):
                fresh[(name, first, at)] = (text, last)
            begin = end
        self.order = [
            spot for spot in self.order if isinstance(spot, str) or spot[0] != name or spot in fresh
        ]
        known = set(self.order)
        self.order += [spot for spot in fresh if spot not in known]
        others = {spot: text for spot, text in self.shown.items() if spot[0] != name}
        self.shown = {**others, **fresh}

    def texts(self) -> list[str]:
        return [spot if isinstance(spot, str) else self.shown[spot][0] for spot in self.order]

    def cut(self, count: int) -> Life | None:
        """The same up to a number of messages; None where an item would be parted."""
        life = self.copy()
        life.order, gone = life.order[:count], life.order[count:]
        for name in {spot[0] for spot in gone if not isinstance(spot, str)}:
            stay = {spot[1] for spot in life.order if not isinstance(spot, str) and spot[0] == name}
            go = {spot[1] for spot in gone if not isinstance(spot, str) and spot[0] == name}
            if stay & go:
                return None
            last = max((self.shown[(name, first, 0)][1] for first in stay), default=0)
            life.items[name] = [(at, item) for at, item in life.items[name] if at < last]
        life.shown = {spot: self.shown[spot] for spot in life.order if not isinstance(spot, str)}
        return life


class Streams(RuleBasedStateMachine):
    """Streams beside the model."""

    ids = Bundle("ids")

    def make(self) -> Store:
        raise NotImplementedError

    @initialize(target=ids)
    def begin(self) -> str:
        self.store = self.make()
        self.sessions = SessionManager(self.store)
        self.model: dict[str, Life] = {"s": Life()}
        self.numbers = itertools.count()
        self.sessions.create_session(id="s")
        return "s"

    def teardown(self) -> None:
        self.store.close()

    def item(self, kind: str) -> Item:
        number = str(next(self.numbers))
        if kind == "s":
            return say(f"word{number}")
        if kind == "c":
            return call(number)
        return results(number, f"{number}b") if kind == "r" else think(number)

    def add(self, life: Life, name: str, items: Sequence[Item]) -> None:
        own = life.items.setdefault(name, [])
        at = life.next.get(name, 0)
        own += [(at + number, item) for number, item in enumerate(items)]
        life.next[name] = at + len(items)
        life.show(name)

    @rule(id=ids, name=st.sampled_from(NAMES), kinds=KINDS_OF_ITEMS, named=st.booleans())
    def append(self, id: str, name: str, kinds: list[str], named: bool) -> None:
        items = [self.item(kind) for kind in kinds]
        ids = [f"id{next(self.numbers)}" for _ in items] if named else None
        page = stream_of(self.sessions, id, name).append(items, ids=ids)
        life = self.model[id]
        assert page.positions == tuple(range(life.next.get(name, 0), page.positions[-1] + 1))
        self.add(life, name, items)

    @rule(id=ids, name=st.sampled_from(NAMES), note=st.integers())
    def note(self, id: str, name: str, note: int) -> None:
        stream_of(self.sessions, id, name).append([], note=note)
        life = self.model[id]
        life.notes[name] = note
        life.items.setdefault(name, [])
        life.next.setdefault(name, 0)

    @rule(id=ids, name=st.sampled_from(NAMES))
    def pop(self, id: str, name: str) -> None:
        life = self.model[id]
        own = life.items.get(name, [])
        found = stream_of(self.sessions, id, name).pop()
        assert found == (own.pop()[1] if own else None)
        life.show(name)

    @rule(id=ids, name=st.sampled_from(NAMES))
    def clear(self, id: str, name: str) -> None:
        life = self.model[id]
        own = life.items.get(name, [])
        assert stream_of(self.sessions, id, name).clear() == len(own)
        own.clear()
        life.show(name)

    @rule(id=ids, name=st.sampled_from(NAMES), keep=st.integers(0, 8), kinds=KINDS_OF_ITEMS)
    def replace(self, id: str, name: str, keep: int, kinds: list[str]) -> None:
        life = self.model[id]
        if any(self.stored_id(id, name, at) for at, _ in life.items.get(name, [])):
            return  # an item with an id is not the same as one without
        kept = life.items.get(name, [])[:keep]
        items = [self.item(kind) for kind in kinds]
        stream_of(self.sessions, id, name).replace([*(item for _, item in kept), *items])
        life.items[name] = kept
        life.show(name)
        self.add(life, name, items)

    def stored_id(self, id: str, name: str, at: int) -> bool:
        (record,) = self.store.execute([Get(("memory", id, name), f"{at:010d}")])
        return record is not None and "id" in (record.doc or {})

    @rule(id=ids, count=st.integers(1, 2))
    def talk(self, id: str, count: int) -> None:
        texts = [f"own{next(self.numbers)}" for _ in range(count)]
        self.sessions.memory(id).add_messages([HumanMessage(text) for text in texts])
        self.model[id].order += texts

    @rule(id=ids, count=st.integers(0, 12))
    def rewind(self, id: str, count: int) -> None:
        cut = self.model[id].cut(count)
        try:
            self.sessions.rewind_session(id, messages=count)
        except CheckpointNotFound:
            assert cut is None
            return
        assert cut is not None
        self.model[id] = cut

    @rule(target=ids, id=ids, count=st.none() | st.integers(0, 12))
    def fork(self, id: str, count: int | None) -> Any:
        life = self.model[id]
        cut = life.copy() if count is None else life.cut(count)
        try:
            info = self.sessions.fork_session(id, messages=count)
        except CheckpointNotFound:
            assert cut is None
            return multiple()
        assert cut is not None
        self.model[info.id] = cut
        return info.id

    @rule(id=ids)
    def save(self, id: str) -> None:
        self.sessions.save_session(self.sessions.resume_session(id))

    @rule(id=ids)
    def forget(self, id: str) -> None:
        self.sessions.memory(id).clear()
        self.model[id] = Life()

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        if not hasattr(self, "model"):
            return
        for id, life in self.model.items():
            info = self.sessions.get_session(id)
            assert info is not None
            assert said(self.sessions.messages(id)) == life.texts()
            assert info.message_count == len(life.order)
            for name in NAMES:
                page = stream_of(self.sessions, id, name).read()
                own = life.items.get(name, [])
                assert list(zip(page.positions, page.items, strict=True)) == own
                assert page.note == life.notes.get(name)
                last = stream_of(self.sessions, id, name).read(2)
                assert last.items == page.items[-2:]
            assert set(self.sessions.list_streams(id)) == set(life.items)
        report = self.sessions.check()
        assert not report.problems, report


@pytest.mark.parametrize("kind", [*KINDS, *WRAPPED[:2], *GUESTS[:2]])
def test_streams(kind: str, tmp_path: Path) -> None:
    numbers = itertools.count()

    class Machine(Streams):
        def make(self) -> Store:
            return open_kind(kind, tmp_path, f"{next(numbers)}")

    examples = settings().max_examples
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=max(10, examples // (2 if kind == "memory" else 8)),
            stateful_step_count=20,
        ),
    )
