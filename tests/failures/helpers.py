"""Doors, threads, processes and small graphs for the tests of this folder."""

from __future__ import annotations

import asyncio
import operator
import os
import queue
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from threadloom import SessionManager
from threadloom.keys import SessionPaths
from threadloom.ops import ListNamespaces, Record, Scan

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE = 40.0
"""Seconds after which something that was waited for is taken to hang."""


class Door:
    """Calls things by their sync or by their async name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @property
    def is_async(self) -> bool:
        return self.kind == "async"

    def __call__(self, thing: Any, name: str, /, *args: Any, **options: Any) -> Any:
        if not self.is_async:
            found = getattr(thing, name)(*args, **options)
            return found if not hasattr(found, "__next__") else list(found)
        return asyncio.run(self._alone(thing, name, args, options))

    async def _alone(
        self, thing: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        found = getattr(thing, f"a{name}")(*args, **options)
        if hasattr(found, "__anext__"):
            return [item async for item in found]
        return await asyncio.wait_for(found, PATIENCE)

    def history(self, history: Any) -> list[BaseMessage]:
        """All messages of a chat history."""
        if self.is_async:
            return asyncio.run(history.aget_messages())
        return list(history.messages)


def at_once(actions: Iterable[Callable[[], Any]], patience: float = PATIENCE) -> list[Any]:
    """Run actions in a thread each, all starting together; what they returned or raised."""
    chosen = list(actions)
    results: list[Any] = [None] * len(chosen)
    start = threading.Barrier(len(chosen))

    def work(number: int) -> None:
        try:
            start.wait(patience)
            results[number] = chosen[number]()
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(len(chosen))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


def all_well(results: Iterable[Any]) -> list[Any]:
    """What `at_once` gave, if nothing was raised."""
    found = list(results)
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return found


class Program:
    """A program of `programs/`, running; it is killed at the end if it has not ended."""

    def __init__(
        self, name: str, *args: Any, path: Path | None = None, options: Sequence[str] = ()
    ):
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
        environment.pop("LANGGRAPH_STRICT_MSGPACK", None)
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        self.process = subprocess.Popen(
            [sys.executable, *options, str(PROGRAMS / f"{name}.py"), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    def line(self) -> str:
        """The next line that it prints."""
        found = self._lines.get(timeout=PATIENCE)
        assert found is not None, f"the program ended: {self.errors()}"
        return found

    def tell(self, text: str = "") -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def errors(self) -> str:
        self._readers[1].join(1)
        return "".join(self._errors)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self, code: int = 0, patience: float = PATIENCE) -> list[str]:
        """Wait until it has ended by itself, with this code; the lines it printed since."""
        found = self.process.wait(patience)
        assert found == code, f"exit code {found}: {self.errors()}"
        self._readers[0].join(PATIENCE)
        lines: list[str] = []
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            lines.append(line)
        return lines

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.kill()
        for reader in self._readers:
            reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


def run_program(
    name: str, *args: Any, path: Path | None = None, patience: float = PATIENCE
) -> list[str]:
    """Run a program to its end, for at most so many seconds; what it printed."""
    with Program(name, *args, path=path) as program:
        return program.end(patience=patience)


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


def chat_graph(saver: Any, answer: Callable[[str], str] = "re: {}".format, **options: Any) -> Any:
    """A graph of one node that answers the last message."""

    def reply(state: Chat) -> dict[str, Any]:
        return {"messages": [AIMessage(answer(str(state["messages"][-1].content)))]}

    builder = StateGraph(Chat)
    builder.add_node("reply", reply)
    builder.add_edge(START, "reply")
    return builder.compile(checkpointer=saver, **options)


def line_graph(saver: Any, *words: str, **nodes: Callable[[Any], Any]) -> Any:
    """Nodes in a row, each adding its name to the log unless `nodes` has something better."""
    builder = StateGraph(Log)
    before = START
    for word in words:
        builder.add_node(word, nodes.get(word) or (lambda state, word=word: {"log": [word]}))
        builder.add_edge(before, word)
        before = word
    return builder.compile(checkpointer=saver)


def config(session: Any, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": str(session), **more}}


def texts(messages: Iterable[BaseMessage]) -> list[str]:
    return [str(message.content) for message in messages]


def checkpoint(id: str, **values: Any) -> dict[str, Any]:
    """A checkpoint as LangGraph makes them, of channels at their first version."""
    return {
        "v": 4,
        "ts": "2026-01-01T00:00:00+00:00",
        "id": id,
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, f"1.{id}"),
        "versions_seen": {},
        "updated_channels": None,
    }


def put(
    do: Any,
    saver: Any,
    session: str,
    id: str,
    /,
    *,
    ns: str = "",
    parent: str | None = None,
    **values: Any,
) -> Any:
    """Store a checkpoint; the config that names it."""
    made = checkpoint(id, **values)
    named = config(session, checkpoint_ns=ns, **({"checkpoint_id": parent} if parent else {}))
    metadata = {"source": "loop", "step": 1, "parents": {}}
    return do(saver, "put", named, made, metadata, made["channel_versions"])


def rows(file: Path, sql: str = "SELECT * FROM rec", *parameters: Any) -> list[tuple[Any, ...]]:
    """What a statement gives on an SQLite file, behind the library's back."""
    with closing(sqlite3.connect(file, timeout=20)) as connection:
        found = connection.execute(sql, parameters).fetchall()
        connection.commit()
    return found


def everything_in(file: Path) -> bytes:
    """All bytes of an SQLite file and of the files beside it."""
    return b"".join(path.read_bytes() for path in sorted(file.parent.glob(file.name + "*")))


def records_of(sessions: SessionManager, id: str) -> list[Record]:
    """All that is stored of a session, with what its turns and its deletion leave."""
    paths = SessionPaths((), id)
    store = sessions._store
    (names,) = store.execute([ListNamespaces()])
    return [
        record
        for name in names
        for page in store.execute([Scan(name)])
        for record in page
        if name[:2] in (paths.memory, paths.checkpoints, paths.tombstones)
        or (name == paths.sessions and record.key == id)
    ]


def assert_gone(sessions: SessionManager, id: str) -> None:
    """No door shows anything of a session, and nothing but a tombstone is stored of it."""
    saver = sessions.checkpointer()
    assert sessions.get_session(id) is None
    assert sessions.messages(id) == []
    assert sessions.memory(id).messages == []
    assert sessions.memory.get_summary(id) is None
    assert sessions.load_session(id) is None
    assert id not in [info.id for info in sessions.list_sessions()]
    assert id not in [match.session.id for match in sessions.search_sessions("old")]
    assert saver.get_tuple(config(id)) is None
    assert list(saver.list(config(id))) == []
    assert id not in {item.config["configurable"]["thread_id"] for item in saver.list(None)}
    assert chat_graph(saver).get_state(config(id)).values == {}
    assert sessions.store.search(("memory", id)) == []
    assert sessions.store.search(("checkpoints", id)) == []
    assert [record.key for record in records_of(sessions, id)] == ["deleted"]
    assert sessions.check().problems == ()
