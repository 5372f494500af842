"""Random forks and rewinds of sessions whose graph has subgraphs, against LangGraph's own saver."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage
from langgraph.graph import add_messages
from langgraph.types import Command, StateSnapshot

from engines import GUESTS, KINDS, open_kind
from stateful.travellers import (
    ASKING,
    CONFIG,
    NODES,
    Kept,
    Life,
    Remembering,
    bare,
    build,
    plain,
)
from threadloom import (
    CheckpointNotFound,
    SessionConflict,
    SessionManager,
    SessionQuery,
)
from threadloom.checkpoint import kin
from threadloom.store import Store

ASKED = st.sampled_from(["", "", "", *(f"ask {where}" for where in ASKING), "boom"])
DURABILITY = st.sampled_from(["sync", "async", "exit"])
PLACES = st.integers(0, 60)
GOALS = st.tuples(st.sampled_from(["messages", "checkpoint_id"]), PLACES)


class Travels(RuleBasedStateMachine):
    """Sessions beside their models; every step is compared, and nobody else is touched by it."""

    ids = Bundle("ids")

    def open_store(self) -> Store:
        raise NotImplementedError

    def open_again(self, store: Store) -> Store:
        return store

    def __init__(self) -> None:
        super().__init__()
        self.runner: asyncio.Runner | None = None
        self.store = self.open_store()
        self.builder = build()
        self.saver = Remembering()
        self.theirs: Any = self.builder.compile(checkpointer=self.saver)
        self.lives: dict[str, Life] = {}
        self.seen: dict[str, Any] = {}
        self.touched: set[str] = set()
        self.numbers = itertools.count(1)
        self.words: list[str] = []
        self.use(self.store)

    @initialize(target=ids, on_loop=st.booleans())
    def begin(self, on_loop: bool) -> str:
        if on_loop:
            self.runner = asyncio.Runner()
        return self.new_session()

    def use(self, store: Store) -> None:
        self.store = store
        self.sessions = SessionManager(store)
        self.graph: Any = self.builder.compile(checkpointer=self.sessions.checkpointer())

    def teardown(self) -> None:
        try:
            report = self.sessions.check()
            assert report.ok, report
            assert not report.problems, report
        finally:
            if self.runner is not None:
                self.runner.close()
            self.store.close()

    # Driving both

    def call(self, what: Any, name: str, /, *args: Any, **options: Any) -> Any:
        """Call a method, or its asynchronous twin where the example is on a loop."""
        if self.runner is None:
            return getattr(what, name)(*args, **options)
        return self.runner.run(getattr(what, f"a{name}")(*args, **options))

    def config(self, id: str, **more: Any) -> Any:
        return {"configurable": {"thread_id": id, "checkpoint_ns": "", **more}}

    def load(self, id: str) -> Life:
        life = self.lives[id]
        self.saver.load(life.image)
        return life

    def both(self, id: str, name: str, *args: Any, durability: str | None = None) -> None:
        """Call a method of both graphs; the same must come of it."""
        self.load(id)
        first = {} if durability is None else {"durability": durability}
        # What is put and what is run have an order only where each put is waited for.
        second = {"durability": "sync"} if durability == "async" else first
        wanted = outcome(lambda: getattr(self.theirs, name)(CONFIG, *deepcopy(args), **second))
        assert outcome(lambda: self.call(self.graph, name, self.config(id), *args, **first)) == (
            wanted
        )
        self.settle(id)

    def run(self, id: str, asked: Any, durability: str) -> None:
        self.load(id)
        second = "sync" if durability == "async" else durability
        wanted = outcome(lambda: self.theirs.invoke(deepcopy(asked), CONFIG, durability=second))
        config = self.config(id)
        found = outcome(
            lambda: self.call(self.graph, "invoke", asked, config, durability=durability)
        )
        assert found == wanted
        self.settle(id)

    def settle(self, id: str) -> None:
        """Take over what both have put."""
        life = self.lives[id]
        taken, self.saver.taken = self.saver.taken, []
        new = [item for item in self.stored(id, "") if item[1] not in life.kept]
        assert len(new) == len(taken), "one put what the other did not"
        for (_, name, *_), made in zip(reversed(new), taken, strict=True):
            life.show(made.messages)
            life.kept[name] = Kept(
                parent=life.head,
                **made._asdict(),
                shown=list(life.shown),
                number=next(self.numbers),
            )
            life.head = name
        self.rest(id, self.saver.image())

    def rest(self, id: str, image: Any) -> None:
        life = self.lives[id]
        life.image = image
        if life.head is not None:
            life.kept[life.head].rest = image
        self.touched.add(id)

    def stored(self, id: str, ns: str | None = None) -> list[Any]:
        """What the saver lists: newest put first."""
        config: Any = {"configurable": {"thread_id": id}}
        if ns is not None:
            config["configurable"]["checkpoint_ns"] = ns
        return [
            (
                item.config["configurable"]["checkpoint_ns"],
                item.checkpoint["id"],
                item.checkpoint,
                item.metadata,
                ((item.parent_config or {}).get("configurable") or {}).get("checkpoint_id"),
                item.pending_writes,
            )
            for item in self.sessions.checkpointer().list(config)
        ]

    def message(self, id: str | None = None, text: str = "") -> HumanMessage:
        word = f"w{len(self.words)}"
        self.words.append(word)
        return HumanMessage(
            f"{word} {text} {'.' * (len(self.words) % 2 * 70)}", id=id or f"m{word}"
        )

    # The graph

    @rule(target=ids)
    def create(self) -> str:
        return self.new_session()

    def new_session(self) -> str:
        id = f"s{next(self.numbers)}"
        self.call(self.sessions, "create_session", id=id)
        self.lives[id] = Life()
        self.touched.add(id)
        return id

    @rule(id=ids, text=ASKED, durability=DURABILITY)
    def say(self, id: str, text: str, durability: str) -> None:
        self.run(id, {"messages": [self.message(text=text)]}, durability)

    @rule(id=ids, durability=DURABILITY)
    def say_what_the_history_has(self, id: str, durability: str) -> None:
        life = self.lives[id]
        alone = [item for name, item in life.history.items() if name not in life.graph]
        if alone:
            _, name, text = alone[-1]
            self.run(id, {"messages": [HumanMessage(text, id=name)]}, durability)

    @rule(id=ids, durability=DURABILITY)
    def resume(self, id: str, durability: str) -> None:
        self.run(id, Command(resume="yes"), durability)

    @rule(id=ids, durability=DURABILITY)
    def go_on(self, id: str, durability: str) -> None:
        self.run(id, None, durability)

    @rule(id=ids, as_node=st.sampled_from([None, *NODES]), key=st.sampled_from("ab"))
    def update(self, id: str, as_node: str | None, key: str) -> None:
        self.both(id, "update_state", {"notes": {key: len(self.words)}}, as_node)

    @rule(id=ids, place=PLACES, as_node=st.sampled_from(["keeper", "answer"]))
    def edit(self, id: str, place: int, as_node: str) -> None:
        """A message of the graph gets another content."""
        if names := list(self.lives[id].graph):
            changed = self.message(names[place % len(names)])
            self.both(id, "update_state", {"messages": [changed]}, as_node)

    @rule(id=ids, place=PLACES)
    def remove(self, id: str, place: int) -> None:
        if names := list(self.lives[id].graph):
            gone = RemoveMessage(id=names[place % len(names)])
            self.both(id, "update_state", {"messages": [gone]}, "answer")

    @rule(id=ids, inside=st.sampled_from([{"calls": 10}, {"heard": ["slipped in"]}]))
    def update_inside(self, id: str, inside: dict[str, Any]) -> None:
        """The state of a subgraph that waits is changed."""
        self.load(id)
        ours = waiting(self.call(self.graph, "get_state", self.config(id), subgraphs=True))
        theirs = waiting(self.theirs.get_state(CONFIG, subgraphs=True))
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            self.theirs.update_state(theirs, inside)
            self.call(self.graph, "update_state", ours, inside)
            self.settle(id)

    # Both histories

    @rule(id=ids, count=st.integers(1, 2))
    def append(self, id: str, count: int) -> None:
        self.add_to_history(id, [self.message() for _ in range(count)])

    @rule(id=ids)
    def append_what_the_graph_has(self, id: str) -> None:
        if self.lives[id].graph:
            *_, found = self.load(id) and self.saver.messages()
            self.add_to_history(id, [found])

    def add_to_history(self, id: str, messages: list[BaseMessage]) -> None:
        life = self.lives[id]
        self.call(self.sessions.memory(id), "add_messages", messages)
        for message in messages:
            name = str(message.id)
            if name not in life.history:
                life.numbers[name] = next(self.numbers)
            if name not in life.shown:
                life.shown.append(name)
            life.history[name] = bare(message)
        self.touched.add(id)

    @rule(id=ids)
    def edit_the_last(self, id: str) -> None:
        life = self.lives[id]
        name = next(reversed(life.history), None)
        changed = self.message(name)
        assert self.call(self.sessions.memory(id), "update_last", changed) is (name is not None)
        if name is not None:
            life.history[name] = bare(changed)
        self.touched.add(id)

    @rule(id=ids)
    def remove_the_last(self, id: str) -> None:
        life = self.lives[id]
        assert self.call(self.sessions.memory(id), "remove_last") is bool(life.history)
        if life.history:
            life.history.popitem()
            stay = {*life.graph, *life.history}
            life.shown = [name for name in life.shown if name in stay]
        self.touched.add(id)

    @rule(id=ids, how=st.sampled_from(["add", "edit", "update_last", "remove_last"]))
    def change_the_graphs(self, id: str, how: str) -> None:
        """The graph's conversation, changed from outside of the graph."""
        self.load(id)
        old = list(self.saver.messages())
        memory = self.sessions.memory(id, source="graph")
        named = old[-1].id if old and how != "add" else None
        message = self.message(named)
        if how == "remove_last":
            new, change = old[:-1], lambda: self.call(memory, "remove_last")
        elif how == "update_last":
            new = [*old[:-1], message] if old else []
            change = lambda: self.call(memory, "update_last", message)  # noqa: E731
        else:
            new = list(add_messages(old, [message]))  # type: ignore[arg-type]
            change = lambda: self.call(memory, "add_messages", [message])  # noqa: E731
        if self.saver.waits():
            with pytest.raises(SessionConflict):
                change()
            return
        assert change() is {"update_last": bool(old), "remove_last": bool(old)}.get(how)
        if old or new:
            self.saver.change_messages(new)
        self.settle(id)

    # Travels

    def goal(self, life: Life, goal: tuple[str, int]) -> tuple[str, Any] | None:
        kind, place = goal
        if kind == "messages":
            return kind, place % (len(life.shown) + 2)
        names = list(life.kept)
        return (kind, names[place % len(names)]) if names else None

    def cut(self, life: Life, kind: str, value: Any) -> tuple[str | None, list[str], list[str]]:
        """Which checkpoint is gone back to, and what is left of the history and of both.

        Raises:
            LookupError: there is no checkpoint of exactly this conversation.
        """
        if kind == "checkpoint_id":
            history = life.older(value)
            stay = {*history, *(item[1] for item in life.kept[value].messages)}
            return value, history, [name for name in life.kept[value].shown if name in stay]
        shown = life.shown[:value]
        history = [name for name in life.history if name in shown]
        if not life.graph:
            return None, history, shown
        target = life.with_messages(sum(name in life.graph for name in shown))
        if target is None:
            raise LookupError(f"no checkpoint has the first {value} messages")
        return target, history, shown

    @rule(id=ids, where=GOALS)
    def rewind(self, id: str, where: tuple[str, int]) -> None:
        life = self.lives[id]
        if (goal := self.goal(life, where)) is None:
            return
        kind, value = goal
        self.touched.add(id)
        try:
            target, history, shown = self.cut(life, kind, value)
        except LookupError:
            with pytest.raises(CheckpointNotFound):
                self.call(self.sessions, "rewind_session", id, **{kind: value})
            return
        found = self.call(self.sessions, "rewind_session", id, **{kind: value})
        life.keep_history(history)
        life.shown = shown
        if target is not None:
            self.stand_beside(id, target)
        if life.exact:
            assert bare(found.messages) == life.contents()

    def stand_beside(self, id: str, target: str) -> None:
        """The head is a sibling of a checkpoint now."""
        life = self.lives[id]
        kept = life.kept[target]
        (name,) = [item[1] for item in self.stored(id, "") if item[1] not in life.kept]
        life.graph = {item[1]: item for item in kept.messages}
        life.kept[name] = replace(
            kept, source="fork", shown=list(life.shown), number=next(self.numbers)
        )
        life.head = name
        self.rest(id, kept.image)

    @rule(target=ids, id=ids, where=st.none() | GOALS)
    def fork(self, id: str, where: tuple[str, int] | None) -> Any:
        life = self.lives[id]
        goal = None if where is None else self.goal(life, where)
        if goal is None:
            new = self.call(self.sessions, "fork_session", id).id
            self.lives[new] = deepcopy_of(life)
            self.touched.add(new)
            return new
        kind, value = goal
        try:
            target, history, shown = self.cut(life, kind, value)
        except LookupError:
            with pytest.raises(CheckpointNotFound):
                self.call(self.sessions, "fork_session", id, **{kind: value})
            return multiple()
        new = self.call(self.sessions, "fork_session", id, **{kind: value}).id
        copied = self.lives[new] = deepcopy_of(life)
        copied.keep_history(history)
        copied.shown = shown
        self.touched.add(new)
        if target is not None:
            way = life.way(target)
            kept = life.kept[target]
            copied.kept = {name: item for name, item in copied.kept.items() if name in way}
            copied.graph = {item[1]: item for item in kept.messages}
            if life.has_children(target):
                self.stand_beside(new, target)
                del copied.kept[target]
            else:
                copied.head = target
                assert kept.rest is not None
                self.rest(new, kept.rest)
        return new

    @rule(id=ids, count=st.none() | st.integers(1, 6))
    def prune(self, id: str, count: int | None) -> None:
        life = self.lives[id]

        self.call(self.sessions, "prune", [id], keep_last=count)
        names = list(life.kept)
        stay = names[-(count or 1) :]
        if len(stay) < len(names):
            life.pruned = True
            life.kept = {
                name: replace(kept, parent=kept.parent if kept.parent in stay else None)
                for name, kept in life.kept.items()
                if name in stay
            }
        self.seen.pop(id, None)
        self.touched.add(id)

    @rule(id=consumes(ids))
    def delete(self, id: str) -> None:
        assert self.call(self.sessions, "delete_session", id)
        assert self.call(self.sessions, "messages", id) == []
        assert self.stored(id) == []
        del self.lives[id]
        self.seen.pop(id, None)
        self.touched.discard(id)

    @rule()
    def reopen(self) -> None:
        self.use(self.open_again(self.store))
        self.touched |= self.lives.keys()

    # Looking

    @rule(id=ids, place=PLACES)
    def look_back(self, id: str, place: int) -> None:
        """Whatever was put is there as long as it is not pruned, undone or not."""
        life = self.lives[id]
        if not life.kept:
            return
        name = list(life.kept)[place % len(life.kept)]
        found = self.call(self.graph, "get_state", self.config(id, checkpoint_id=name))
        self.saver.load(life.kept[name].image)
        wanted = self.theirs.get_state(CONFIG)
        assert plain(found)[:3] == plain(wanted)[:3]

    @rule(place=PLACES)
    def search(self, place: int) -> None:
        if self.words:
            word = self.words[-1 - place % len(self.words)]
            found = self.call(self.sessions, "search_sessions", SessionQuery(text=word, limit=1000))
            wanted = {
                id
                for id, life in self.lives.items()
                if any(
                    word in item[2].replace(",", "").split()
                    for item in (*life.graph.values(), *life.history.values())
                )
            }
            assert {match.session.id for match in found} == wanted

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        for id in self.lives:
            now = self.stored(id), self.sessions.get_session(id), self.sessions.messages(id)
            if id not in self.touched:
                assert now == self.seen[id], f"{id} has changed with another"
                continue
            if id in self.seen:
                self.compare_old(self.seen[id][0], now[0])
            self.seen[id] = now
            self.compare(id, now[0])
            self.compare_messages(id)
        self.touched.clear()

    def compare_old(self, old: list[Any], new: list[Any]) -> None:
        """No checkpoint changes or goes; pending writes may come, and ask anew."""
        there = {item[:2]: item for item in new}
        for item in old:
            found = there[item[:2]]
            assert found[:5] == item[:5]
            assert {write[:2] for write in item[5]} <= {write[:2] for write in found[5]}

    def compare(self, id: str, stored: list[Any]) -> None:
        """The graph state, and the way to it."""
        life = self.load(id)
        own = [(item[1], item[4]) for item in reversed(stored) if item[0] == ""]
        assert own == [(name, kept.parent) for name, kept in life.kept.items()]
        ours = self.call(self.graph, "get_state", self.config(id), subgraphs=True)
        assert plain(ours) == plain(self.theirs.get_state(CONFIG, subgraphs=True))
        states = {
            state.config["configurable"]["checkpoint_id"]: plain(state)
            for state in self.graph.get_state_history(self.config(id))
        }
        assert len(states) == len(life.kept)
        way = [states[name] for name in life.way(life.head)]
        wanted = [plain(state) for state in self.theirs.get_state_history(CONFIG)]
        assert way == wanted[: len(way)]
        assert len(way) == len(wanted) or life.pruned
        info = self.sessions.get_session(id)
        assert info is not None
        waits = self.saver.waits()
        status = "interrupted" if "__interrupt__" in waits else "idle"
        assert info.status == ("error" if "__error__" in waits else status)
        report = self.sessions.check(id)
        assert report.ok, report
        assert not report.problems, report

    def compare_messages(self, id: str) -> None:
        life = self.lives[id]
        shown = bare(self.call(self.sessions, "messages", id))
        assert bare(self.sessions.messages(id, source="graph")) == list(life.graph.values())
        assert bare(self.sessions.memory(id, source="graph").messages) == list(life.graph.values())
        assert bare(self.sessions.messages(id, source="history")) == list(life.history.values())
        if not life.exact:
            names = [item[1] for item in shown]
            assert sorted(names) == sorted(life.shown)
            assert [name for name in names if name in life.graph] == list(life.graph)
            alone = [name for name in life.history if name not in life.graph]
            assert [name for name in names if name not in life.graph] == alone
            life.shown = names
        assert shown == life.contents()
        info = self.sessions.get_session(id)
        assert info is not None
        assert info.message_count == len(shown)


def deepcopy_of(life: Life) -> Life:
    """A copy that shares nothing that changes."""
    return replace(
        life,
        kept={name: replace(kept) for name, kept in life.kept.items()},
        graph=dict(life.graph),
        history=dict(life.history),
        numbers=dict(life.numbers),
        shown=list(life.shown),
    )


def outcome(work: Callable[[], Any]) -> Any:
    """What a call of a graph gave, or the kind of error that it raised."""
    try:
        result = work()
    except Exception as error:
        return "raised", type(error).__name__, str(error) if "boom" in str(error) else ""
    return "gave", None if result is not None and "configurable" in result else bare(result)


def waiting(snapshot: StateSnapshot) -> Any:
    """The config of a subgraph that waits inside a graph, if one does."""
    return next(
        (
            task.state.config
            for task in snapshot.tasks
            if isinstance(task.state, StateSnapshot) and task.interrupts
        ),
        None,
    )


@pytest.mark.timeout(3_600)
@pytest.mark.soak(full=250)
@pytest.mark.parametrize("kind", KINDS + GUESTS)
def test_travels(kind: str, tmp_path: Path, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "_LEAST", 1)  # subgraphs share the conversation, short as it is
    number = count()

    class OnThisKind(Travels):
        def open_store(self) -> Store:
            self.name = str(next(number))
            return open_kind(kind, tmp_path, self.name)

        def open_again(self, store: Store) -> Store:
            if not store.capabilities.durable:
                return super().open_again(store)
            store.close()
            return open_kind(kind, tmp_path, self.name)

    run_state_machine_as_test(
        OnThisKind,
        settings=settings(
            max_examples=rounds if kind in KINDS else max(3, rounds // 8), stateful_step_count=20
        ),
    )
