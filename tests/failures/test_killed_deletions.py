"""A deletion that is killed has taken all of a session, or nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from threadloom import SessionManager
from threadloom.keys import id_hash

from .helpers import (
    Chat,
    Program,
    assert_gone,
    chat_graph,
    config,
    rows,
)

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="the system cannot fork")


class Kills:
    """Processes that delete in copies of a database, each killed at a random moment.

    Attributes:
        fell: how many kills fell before, inside and after the deletion.
    """

    def __init__(self, program: Program, template: Path, how: str) -> None:
        self.fell: Counter[str] = Counter()
        self._program = program
        self._template = template
        self._how = how
        self._chance = random.Random(3)
        self._number = 0
        self._longest = 0.0  # seconds until a kill; kept such that three of four fall inside

    def one(self) -> tuple[Path, str]:
        """Kill one; the file that it leaves, and where the kill fell."""
        file = self._template.with_name(f"{self._number}.db")
        shutil.copy(self._template, file)
        door = "async" if self._number % 2 else "sync"
        self._number += 1
        self._program.tell(f"{self._how} {door} sqlite:///{file}")
        born, pid = self._program.line().split()
        assert born == "born"
        if self._number <= 2:  # these two are watched
            self._wait_for("deleting")
            began = time.monotonic()
            self._wait_for("deleted")
            self._longest = max(self._longest, time.monotonic() - began)
            self._wait_for("closed")
            seen = {"deleting", "deleted"}
        elif self._number % 8 == 0:
            time.sleep(self._chance.uniform(0, 0.01))
            seen = set()
        else:
            self._wait_for("deleting")
            time.sleep(self._chance.triangular(0, 1, 1) * self._longest)  # more at its end
            seen = {"deleting"}
        os.kill(int(pid), signal.SIGKILL)
        while (line := self._program.line()) != "dead":
            seen.add(line)
        fell = "after" if "deleted" in seen else "inside" if "deleting" in seen else "before"
        if self._number > 2:
            self._longest *= {"before": 1, "inside": 1.04, "after": 0.88}[fell]
        self.fell[fell] += 1
        return file, fell

    def _wait_for(self, word: str) -> None:
        line = self._program.line()
        assert line == word, f"{line}: {self._program.errors()}"


Rows = dict[str, list[tuple[Any, ...]]]
SEARCHED = ("ask", "beside")
"""Words of the texts that are to be deleted, and of those that are not."""


def tables(file: Path) -> Rows:
    """Every row of a database, whatever its session; of the search index what it finds."""
    found = {
        name: rows(file, f"SELECT n.name, x.* FROM {name} x LEFT JOIN ns n ON n.id = x.ns {order}")
        for name, order in (
            ("rec", "ORDER BY x.ns, x.key"),
            ("idx", "ORDER BY x.ns, x.key, x.field, x.value"),
        )
    }
    found["ns"] = rows(file, "SELECT name FROM ns ORDER BY name")
    for word in SEARCHED:
        found[word] = rows(file, "SELECT rowid FROM fts WHERE fts MATCH ?", word)
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]
    return found


def is_of(id: str, name: str, key: object) -> bool:
    """Whether a record with this namespace and key belongs to a session."""
    if name == "sessions":
        return key == id
    return name.split(".")[1] in (id, id_hash(id))


def of(id: str, found: Rows) -> Rows:
    """What is in the tables of one session."""
    of_it: Rows = {
        name: [row for row in found[name] if is_of(id, row[0], row[2])] for name in ("rec", "idx")
    }
    of_it["ns"] = [(name,) for (name,) in found["ns"] if is_of(id, name, None)]
    return of_it


def assert_only_a_tombstone(id: str, found: Rows) -> None:
    left = of(id, found)
    assert [(row[0], row[2]) for row in left["rec"]] == [(f"sessions.{id_hash(id)}", "deleted")]
    assert left["idx"] == []
    assert left["ns"] == [(f"sessions.{id_hash(id)}",)]


def asking_graph(saver: Any, word: str = "ask") -> Any:
    """A graph that asks in a subgraph with a namespace of its own."""
    inner = StateGraph(Chat)
    inner.add_node("ask", lambda state: {"messages": [AIMessage(interrupt(f"{word} who?"))]})
    inner.add_edge(START, "ask")
    outer = StateGraph(Chat)
    outer.add_node("say", lambda state: {"messages": [AIMessage(f"{word} well")]})
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_edge(START, "say")
    outer.add_edge("say", "inner")
    return outer.compile(checkpointer=saver)


def some_text(word: str, size: int, chance: random.Random) -> str:
    return " ".join([word, *(f"{chance.getrandbits(32):x}" for _ in range(size))])


def fill(sessions: SessionManager, id: str, word: str, *, turns: int, size: int) -> None:
    """A session with all there is: turns of a graph, an interrupt in a subgraph, a history, a
    summary, an agent's state."""
    chance = random.Random(id)
    sessions.create_session(
        id=id, name=f"{word} {id}", owner="ben" if word == "beside" else "ana", tags=["x", "y"]
    )
    saver = sessions.checkpointer()
    graph = chat_graph(saver, answer=lambda _: some_text(word, size, chance))
    for _ in range(turns):
        asked = HumanMessage(some_text(word, size, chance))
        graph.invoke({"messages": [asked]}, config(id), durability="exit")
    sessions.memory(id).add_messages(
        [HumanMessage(some_text(word, size, chance)) for _ in range(turns)]
    )
    sessions.memory(id).set_summary(some_text(word, size, chance))
    session = sessions.load_session(id)
    sessions.save_session(session.model_copy(update={"state": {"text": word * 100}}))
    asked = HumanMessage(some_text(word, size, chance))
    asking_graph(saver, word).invoke({"messages": [asked]}, config(id), durability="sync")
    assert sessions.get_session(id).status == "interrupted"


def doors(sessions: SessionManager, id: str) -> list[Any]:
    """What every door but the graph's history shows of a session."""
    saver = sessions.checkpointer()
    return [
        sessions.get_session(id),
        [info for info in sessions.list_sessions(owner="ana") if info.id == id],
        [match.session for match in sessions.search_sessions("ask") if match.session.id == id],
        sessions.messages(id),
        sessions.memory(id).load_with_timestamps(),
        sessions.memory(id).get_summary(),
        sessions.load_session(id),
        asking_graph(saver).get_state(config(id), subgraphs=True),
    ]


@needs_fork
@pytest.mark.operation("delete_session")
@pytest.mark.soak(full=200)
def test_a_killed_deletion_has_taken_all_or_nothing(tmp_path: Path, rounds: int) -> None:
    template = tmp_path / "template.db"
    with SessionManager(f"sqlite:///{template}") as sessions:
        fill(sessions, "t", "ask", turns=300, size=60)
        fill(sessions, "other", "beside", turns=3, size=20)
        shown = doors(sessions, "t")
        history = list(asking_graph(sessions.checkpointer()).get_state_history(config("t")))
    assert len(history) > 300
    before = tables(template)
    assert len(before["ask"]) > 900
    left: Counter[tuple[str, str]] = Counter()
    with Program("deleting") as program:
        kills = Kills(program, template, "delete_session")
        for _ in range(rounds):
            file, fell = kills.one()
            with SessionManager(f"sqlite:///{file}") as sessions:
                kept = sessions.get_session("t") is not None
                left[fell, "kept" if kept else "gone"] += 1
                assert sessions.check().problems == ()
                if kept:
                    assert doors(sessions, "t") == shown
                    # All of it takes a second; all rows are compared below.
                    limit = None if sum(left.values()) % 5 == 0 else 10
                    graph = asking_graph(sessions.checkpointer())
                    found = list(graph.get_state_history(config("t"), limit=limit))
                    assert found == history[:limit]
                else:
                    assert_gone(sessions, "t")
            after = tables(file)
            if kept:
                assert after == before
                with SessionManager(f"sqlite:///{file}") as sessions:
                    assert sessions.delete_session("t") is True
                after = tables(file)
            assert_only_a_tombstone("t", after)
            assert after["ask"] == []
            assert of("other", after) == of("other", before)
            assert after["beside"] == before["beside"]
            file.unlink()
    print(f"kills: {dict(kills.fell)}; {dict(left)}")
    assert (left["before", "gone"], left["after", "kept"]) == (0, 0)
    assert kills.fell["inside"] >= rounds // 4, kills.fell
    assert left["inside", "kept"], left


@needs_fork
@pytest.mark.operation("delete_sessions")
@pytest.mark.soak(full=200)
def test_a_killed_deletion_of_many_leaves_each_whole_or_gone(tmp_path: Path, rounds: int) -> None:
    template = tmp_path / "template.db"
    ids = [f"s{number}" for number in range(20)]
    with SessionManager(f"sqlite:///{template}") as sessions:
        for id in ids:
            fill(sessions, id, "ask", turns=10, size=20)
        fill(sessions, "other", "beside", turns=3, size=20)
        shown = {id: doors(sessions, id) for id in ids}
    before = tables(template)
    whole = {id: of(id, before) for id in [*ids, "other"]}
    some = 0
    with Program("deleting") as program:
        kills = Kills(program, template, "delete_sessions")
        for _ in range(rounds):
            file, _ = kills.one()
            with SessionManager(f"sqlite:///{file}") as sessions:
                kept = [info.id for info in sessions.list_sessions(owner="ana")]
                assert sessions.check().problems == ()
                for id in kept[:2]:  # of each of them all rows are compared below
                    assert doors(sessions, id) == shown[id]
                for id in [id for id in ids if id not in kept][-2:]:
                    assert_gone(sessions, id)
            some += 0 < len(kept) < 20
            after = tables(file)
            for id in ids:
                if id in kept:
                    assert of(id, after) == whole[id]
                else:
                    assert_only_a_tombstone(id, after)
            with SessionManager(f"sqlite:///{file}") as sessions:
                assert sessions.delete_sessions(owner="ana") == kept
            after = tables(file)
            for id in ids:
                assert_only_a_tombstone(id, after)
            assert after["ask"] == []
            assert of("other", after) == whole["other"]
            assert after["beside"] == before["beside"]
            file.unlink()
    print(f"kills: {dict(kills.fell)}; between two sessions: {some}")
    assert kills.fell["inside"] >= rounds // 4, kills.fell
    assert some >= rounds // 5
