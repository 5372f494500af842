"""Random lives of sessions through both doors, against a plain model."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
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
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from engines import KINDS, WRAPPED, open_kind
from threadloom import (
    CheckpointNotFound,
    Session,
    SessionManager,
    SessionQuery,
)
from threadloom.store import Store
from threadloom.testing import FrozenClock

NAMES = st.sampled_from(["", "Oslo", "oslo trip", "雪の大阪", "a*b"])
TAGS = st.lists(st.sampled_from(["x", "y", "Z"]), max_size=2)
OWNERS = st.sampled_from([None, "ana", "ben"])


@dataclass
class Life:
    """What a session should be.

    Attributes:
        shown: the conversation, each message with its door: ``g`` or ``h``.
        whole: whether every beginning of the graph's conversation has a checkpoint.
        has_graph: whether the graph has run in it.
    """

    name: str = ""
    owner: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    shown: list[tuple[str, str]] = field(default_factory=list)
    state: Any = None
    turns: int = 0
    whole: bool = True
    has_graph: bool = False

    def cut(self, count: int) -> Life:
        return replace(self, shown=self.shown[:count], tags=list(self.tags))

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.shown]


class Sessions(RuleBasedStateMachine):
    """The manager beside the model; the clock moves with every step."""

    ids = Bundle("ids")

    def make(self) -> Any:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.clock = FrozenClock()
        self.sessions = SessionManager(self.make())
        self.model: dict[str, Life] = {}
        self.words = (f"word{number}" for number in itertools.count())
        self.numbers = itertools.count()

        def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
            return {"messages": [AIMessage(f"re {state['messages'][-1].text}")]}

        builder = StateGraph(MessagesState)
        builder.add_node("answer", answer)
        builder.add_edge(START, "answer")
        self.graph: Any = builder.compile(checkpointer=self.sessions.checkpointer())

    def tick(self) -> None:
        self.clock.advance(1)

    @rule(target=ids, name=NAMES, owner=OWNERS, tags=TAGS)
    def create(self, name: str, owner: str | None, tags: list[str]) -> str:
        self.tick()
        id = f"s{next(self.numbers)}"
        self.sessions.create_session(id=id, name=name, owner=owner, tags=tags)
        self.model[id] = Life(name=name, owner=owner, tags=list(dict.fromkeys(tags)))
        return id

    @rule(id=ids, name=NAMES)
    def rename(self, id: str, name: str) -> None:
        self.tick()
        self.sessions.rename_session(id, name)
        self.model[id].name = name

    @rule(id=ids, tags=TAGS, gone=TAGS)
    def tag(self, id: str, tags: list[str], gone: list[str]) -> None:
        self.tick()
        self.sessions.tag_session(id, *tags)
        self.sessions.untag_session(id, *gone)
        life = self.model[id]
        both = list(dict.fromkeys([*life.tags, *tags]))
        life.tags = [tag for tag in both if tag not in gone]

    @rule(id=ids, key=st.sampled_from("abc"), value=st.integers())
    def update(self, id: str, key: str, value: int) -> None:
        self.tick()
        self.sessions.update_session(id, metadata={key: value})
        self.model[id].metadata = {**self.model[id].metadata, key: value}

    @rule(id=ids, count=st.integers(1, 3))
    def append(self, id: str, count: int) -> None:
        self.tick()
        texts = [next(self.words) for _ in range(count)]
        self.sessions.memory(id).add_messages([HumanMessage(text) for text in texts])
        self.model[id].shown += [("h", text) for text in texts]

    @rule(id=ids)
    def change_the_last(self, id: str) -> None:
        self.tick()
        life = self.model[id]
        own = [at for at, (door, _) in enumerate(life.shown) if door == "h"]
        text = next(self.words)
        assert self.sessions.memory(id).update_last(HumanMessage(text)) is bool(own)
        if own:
            life.shown[own[-1]] = ("h", text)

    @rule(id=ids)
    def remove_the_last(self, id: str) -> None:
        self.tick()
        life = self.model[id]
        own = [at for at, (door, _) in enumerate(life.shown) if door == "h"]
        assert self.sessions.memory(id).remove_last() is bool(own)
        if own:
            del life.shown[own[-1]]

    @rule(id=ids)
    def clear(self, id: str) -> None:
        self.tick()
        self.sessions.memory(id).clear()
        self.model[id].shown = [item for item in self.model[id].shown if item[0] == "g"]

    @rule(id=ids, inside=st.booleans())
    def run(self, id: str, inside: bool) -> None:
        self.tick()
        text = next(self.words)
        config: Any = {"configurable": {"thread_id": id}}
        asked = {"messages": [HumanMessage(text)]}
        if inside:
            with self.sessions.turn(id):
                self.graph.invoke(asked, config)
        else:
            self.graph.invoke(asked, config)
        life = self.model[id]
        life.shown += [("g", text), ("g", f"re {text}")]
        life.turns += 1
        life.has_graph = True

    @rule(id=ids, count=st.integers(0, 12))
    def rewind(self, id: str, count: int) -> None:
        self.tick()
        life = self.model[id]
        try:
            found = self.sessions.rewind_session(id, messages=count)
        except CheckpointNotFound:
            assert not life.whole
            return
        self.model[id] = life.cut(count)
        assert [message.text for message in found.messages] == self.model[id].texts

    @rule(target=ids, id=ids, count=st.none() | st.integers(0, 12))
    def fork(self, id: str, count: int | None) -> Any:
        self.tick()
        life = self.model[id]
        try:
            info = self.sessions.fork_session(id, messages=count)
        except CheckpointNotFound:
            assert not life.whole
            return multiple()
        copied = life.cut(len(life.shown) if count is None else count)
        copied.name = f"{life.name} (fork)" if life.name else ""
        copied.metadata = dict(life.metadata)
        self.model[info.id] = copied
        return info.id

    @rule(id=ids, state=st.none() | st.dictionaries(st.text(max_size=3), st.integers()))
    def save(self, id: str, state: Any) -> None:
        self.tick()
        loaded = self.sessions.resume_session(id)
        text = next(self.words)
        more = [*loaded.messages, HumanMessage(text)]
        self.sessions.save_session(Session(info=loaded.info, messages=more, state=state))
        self.model[id].shown.append(("h", text))
        self.model[id].state = state

    @rule(id=ids)
    def prune(self, id: str) -> None:
        self.tick()
        self.sessions.prune([id])
        life = self.model[id]
        life.whole = life.whole and not life.has_graph

    @rule(id=ids)
    def compact(self, id: str) -> None:
        self.tick()
        self.sessions.compact(id)

    @rule(id=consumes(ids))
    def delete(self, id: str) -> None:
        self.tick()
        assert self.sessions.delete_session(id)
        assert not self.sessions.delete_session(id)
        del self.model[id]

    @rule(id=ids)
    def look(self, id: str) -> None:
        life = self.model[id]
        loaded = self.sessions.resume_session(id)
        assert [message.text for message in loaded.messages] == life.texts
        assert loaded.state == life.state
        assert [m.text for m in self.sessions.messages(id, limit=3)] == life.texts[-3:]
        in_graph = [text for door, text in life.shown if door == "g"]
        state = self.graph.get_state({"configurable": {"thread_id": id}}).values
        assert [message.text for message in state.get("messages", [])] == in_graph
        history = [text for door, text in life.shown if door == "h"]
        assert [message.text for message in self.sessions.memory(id).messages] == history
        for word in (*life.texts[-2:], "word0"):
            token = word.split()[-1]
            expected = {
                other
                for other, its in self.model.items()
                if any(text.split()[-1] == token for text in its.texts)
            }
            query = SessionQuery(text=token, limit=1000)
            found = {match.session.id for match in self.sessions.search_sessions(query)}
            assert found == expected

    @invariant()
    def the_index_is_true(self) -> None:
        if not hasattr(self, "model"):
            return
        listed = self.sessions.list_sessions()
        assert {info.id for info in listed} == set(self.model)
        for info in listed:
            life = self.model[info.id]
            assert (info.name, info.owner, list(info.tags)) == (life.name, life.owner, life.tags)
            assert info.metadata == life.metadata
            assert info.message_count == len(life.shown)
            assert (info.turn_count, info.status) == (life.turns, "idle")
        for owner in ("ana", "ben"):
            named = {id for id, life in self.model.items() if life.owner == owner}
            assert {info.id for info in self.sessions.list_sessions(owner=owner)} == named

    def teardown(self) -> None:
        if hasattr(self, "sessions"):
            report = self.sessions.check()
            assert report.ok, report
            assert not report.problems, report
            self.sessions._store.close()


@pytest.mark.parametrize("kind", [*KINDS, *WRAPPED])
def test_sessions(kind: str, tmp_path: Path) -> None:
    number = count()

    class OnThisKind(Sessions):
        def make(self) -> Store:
            return open_kind(kind, tmp_path, str(next(number)), clock=self.clock)

    run_state_machine_as_test(
        OnThisKind,
        settings=settings(max_examples=25 if kind in KINDS else 8, stateful_step_count=25),
    )
