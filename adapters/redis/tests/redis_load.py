"""Real graphs at work on one store while something happens to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from threadloom import SessionManager, ThreadloomError
from threadloom_redis import RedisStore


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def graph_on(sessions: SessionManager) -> Any:
    """A graph that answers each message."""

    def answer(state: Talk) -> dict[str, Any]:
        return {"messages": [AIMessage(f"re: {state['messages'][-1].content}")]}

    builder = StateGraph(Talk)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=sessions.checkpointer())


class Load:
    """Threads that each run a graph on a session of their own, turn after turn.

    Args:
        store: what they work on.
        threads: how many.

    Attributes:
        said: by session, what was said in turns that returned.
        errors: what turns raised.
        longest: seconds that the longest turn took.
    """

    def __init__(self, store: RedisStore, threads: int = 3) -> None:
        self.said: dict[str, list[str]] = {f"s{number}": [] for number in range(threads)}
        self.errors: list[BaseException] = []
        self.longest = 0.0
        self._sessions = SessionManager(store)
        self._graph = graph_on(self._sessions)
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(session,)) for session in self.said
        ]

    def during(self, happens: Callable[[], object], *, turns: int = 6) -> None:
        """Work, let something happen, and work on until every session has had turns after it."""
        for thread in self._threads:
            thread.start()
        try:
            self._wait(turns)
            happens()
            self._wait(turns)
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()
        strange = [error for error in self.errors if not isinstance(error, ThreadloomError)]
        assert not strange, f"not of our tree: {strange!r}"

    def check(self) -> None:
        """All that returned is there, in order, and every session goes on."""
        for session, said in self.said.items():
            config = {"configurable": {"thread_id": session}}
            messages = self._graph.get_state(config).values["messages"]
            stored = [message.content for message in messages]
            human = [text for text in stored if not text.startswith("re: ")]
            assert [text for text in human if text in set(said)] == said
            assert len(set(human)) == len(human), "a turn is there twice"
            again = self._graph.invoke({"messages": [("user", "again")]}, config)
            assert again["messages"][-1].content == "re: again"
        listed = {info.id for info in self._sessions.list_sessions()}
        assert listed == set(self.said)

    def _work(self, session: str) -> None:
        config = {"configurable": {"thread_id": session}}
        turn = 0
        while not self._end.is_set():
            turn += 1
            text = f"{session} {turn}"
            since = time.monotonic()
            try:
                self._graph.invoke({"messages": [("user", text)]}, config, durability="sync")
            except BaseException as error:
                self.errors.append(error)
            else:
                self.said[session].append(text)
            self.longest = max(self.longest, time.monotonic() - since)

    def _wait(self, turns: int) -> None:
        wanted = {session: len(said) + turns for session, said in self.said.items()}
        deadline = time.monotonic() + 60
        while any(len(self.said[session]) < number for session, number in wanted.items()):
            assert time.monotonic() < deadline, f"the sessions stand still: {self.errors[-3:]!r}"
            time.sleep(0.02)
