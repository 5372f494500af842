"""A store of a third party that dies between two items leaves the older state or the newer one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph

from guests import Data, Died, PlainStore
from threadloom import SessionManager, StoreUnavailable
from threadloom.plans import Batch, Results
from threadloom.stores.langgraph import LangGraphStore

from .helpers import config

THREAD = "trip"
Snapshot = list[tuple[Any, ...]]
Work = Callable[[SessionManager], object]


class Watched(LangGraphStore):
    """Tells after each batch."""

    after: Callable[[], None]

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        self.after()
        return results


def chat(sessions: SessionManager, number: int) -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [AIMessage(f"answer {number} " * 20)]})
    graph.add_edge(START, "say")
    question = {"messages": [HumanMessage(f"question {number} " * 20)]}
    graph.compile(checkpointer=sessions.checkpointer()).invoke(
        question, config(THREAD), durability="sync"
    )


def pair(number: int) -> list[Any]:
    return [HumanMessage(f"said {number}"), AIMessage(f"heard {number}")]


def put_writes(sessions: SessionManager) -> None:
    saver = sessions.checkpointer()
    head = saver.get_tuple(config(THREAD))
    assert head is not None
    saver.put_writes(head.config, [("messages", pair(8)), ("other", "word " * 50)], "task")


def put(sessions: SessionManager) -> None:
    saver = sessions.checkpointer()
    head = saver.get_tuple(config(THREAD))
    assert head is not None
    version = saver.get_next_version(head.checkpoint["channel_versions"]["messages"], None)
    checkpoint = {
        **head.checkpoint,
        "id": str(uuid6()),
        "channel_values": {"messages": head.checkpoint["channel_values"]["messages"] + pair(7)},
        "channel_versions": {**head.checkpoint["channel_versions"], "messages": version},
    }
    metadata = {"source": "loop", "step": 9, "parents": {}}
    saver.put(head.config, checkpoint, metadata, {"messages": version})  # type: ignore[arg-type]


def sweep(sessions: SessionManager) -> None:
    sessions.prune([THREAD], keep_last=1)
    sessions.compact(THREAD)


WORKS: dict[str, Work] = {
    "a checkpoint": put,
    "pending writes": put_writes,
    "an append": lambda sessions: sessions.memory(THREAD).add_messages(pair(9)),
    "an update": lambda sessions: sessions.memory(THREAD).update_last(AIMessage("better")),
    "a removal": lambda sessions: sessions.memory(THREAD).remove_last(),
    "a clearing": lambda sessions: sessions.memory(THREAD).clear(),
    "a fork": lambda sessions: sessions.fork_session(THREAD),
    "a cut fork": lambda sessions: sessions.fork_session(THREAD, messages=2),
    "a rewind": lambda sessions: sessions.rewind_session(THREAD, messages=2),
    "a sweep": sweep,
    "the end of a thread": lambda sessions: sessions.checkpointer().delete_thread(THREAD),
    "a deletion": lambda sessions: sessions.delete_session(THREAD),
}


def begun() -> Data:
    """What a store holds with a session of both doors."""
    inner = PlainStore()
    sessions = SessionManager(inner)
    sessions.create_session(id=THREAD, name="Oslo", tags=["travel"])
    for number in range(3):
        chat(sessions, number)
        sessions.memory(THREAD).add_messages(pair(number))
    return inner.data


def seen(data: Data) -> Snapshot:
    """What a process that opens the data finds, without what is made up anew in each run."""
    sessions = SessionManager(PlainStore(copy.deepcopy(data)))
    saver = sessions.checkpointer()
    return [
        (
            *(info.name, info.status, info.tags, info.turn_count, info.message_count),
            [message.text for message in sessions.messages(info)],
            [message.text for message in sessions.memory(info.id).load()],
            [
                (
                    one.metadata.get("source"),
                    [message.text for message in one.checkpoint["channel_values"]["messages"]]
                    if "messages" in one.checkpoint["channel_values"]
                    else None,
                    [write[1:] for write in one.pending_writes or ()],
                )
                for one in saver.list(config(info.id))
            ],
        )
        for info in sessions.list_sessions()
    ]


def whole(work: Work, data: Data) -> list[Snapshot]:
    """What there is after each batch of a work that nothing interrupts."""
    store = Watched(PlainStore(copy.deepcopy(data)))
    found: list[Snapshot] = [seen(data)]

    def look() -> None:
        inner = store.inner
        assert isinstance(inner, PlainStore)
        if (now := seen(inner.data)) not in found:
            found.append(now)

    store.after = look
    work(SessionManager(store))
    return found


def deaths(work: Work, data: Data) -> Iterator[Data]:
    """What a store holds after the work died in it, earlier or later, and when it did not."""
    died = True
    for lives in count():
        if not died:
            return
        inner = PlainStore(copy.deepcopy(data), lives=lives)
        try:
            work(SessionManager(inner))
            died = False
        except StoreUnavailable as error:
            died = isinstance(error.__cause__, Died)
            if not died:
                raise
        yield inner.data


def assert_sound(data: Data) -> None:
    report = SessionManager(PlainStore(copy.deepcopy(data))).check()
    assert report.ok, report
    assert not report.problems, report


@pytest.mark.parametrize("name", WORKS)
def test_a_death_leaves_the_older_state_or_the_newer(name: str) -> None:
    data = begun()
    states = whole(WORKS[name], data)
    met = []
    for left in deaths(WORKS[name], data):
        assert seen(left) in states
        met.append(states.index(seen(left)))
        assert_sound(left)
    assert met == sorted(met)
    assert set(met) == set(range(len(states)))
    assert len(states) > 1
    assert len(met) > 5


def test_a_graph_goes_on_after_a_death() -> None:
    data = begun()
    for left in deaths(lambda sessions: chat(sessions, 9), data):
        assert_sound(left)
        sessions = SessionManager(PlainStore(left))
        (*old, latest) = [one[:8] for one in texts(sessions)]
        assert latest in ("answer 2", "question", "answer 9")
        assert old[:5] == ["question", "answer 0", "question", "answer 1", "question"]
        chat(sessions, 10)
        assert [one[:9] for one in texts(sessions)][-2:] == ["question ", "answer 10"]
        assert_sound(left)


def texts(sessions: SessionManager) -> list[str]:
    return [message.text for message in sessions.messages(THREAD, source="graph")]
