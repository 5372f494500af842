"""killed.py URL FILE WHERE DOOR: runs a graph of two steps and dies by SIGKILL, or resumes it.

Every node notes its runs in FILE. WHERE is `before put`: when everything of the first step is
stored as pending writes and its checkpoint is not; `in step`: while the second of two parallel
nodes runs; `resume`: goes on and prints the log of the graph. DOOR is `sync` or `async`.
"""

import asyncio
import operator
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph

from threadloom import StoreCheckpointer, open_store

url, file, where, door = sys.argv[1:]
fast_is_stored, slow_is_stored = threading.Event(), threading.Event()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(metadata: Any) -> None:
    if where == "before put" and metadata["step"] == 1:
        # LangGraph stores writes in the background, perhaps later than this put.
        assert fast_is_stored.wait(30)
        assert slow_is_stored.wait(30)
        die()


def note(writes: Any) -> None:
    if any(channel == "log" and "fast" in value for channel, value in writes):
        fast_is_stored.set()
    if any(channel == "log" and "slow" in value for channel, value in writes):
        slow_is_stored.set()


class Saver(StoreCheckpointer):
    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        die_before(metadata)
        return super().put(config, checkpoint, metadata, new_versions)

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        await asyncio.to_thread(die_before, metadata)
        return await super().aput(config, checkpoint, metadata, new_versions)

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        super().put_writes(config, writes, task_id, task_path)
        note(writes)

    async def aput_writes(
        self, config: Any, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        await super().aput_writes(config, writes, task_id, task_path)
        note(writes)


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def node(name: str) -> Any:
    def run(state: State) -> dict[str, list[str]]:
        with Path(file).open("a") as notes:
            notes.write(name + "\n")
        if name == "slow" and where == "in step":
            assert fast_is_stored.wait(30)
            die()
        return {"log": [name]}

    return run


builder = StateGraph(State)
for name in ("fast", "slow"):
    builder.add_node(name, node(name))
    builder.add_edge(START, name)
builder.add_node("last", node("last"))
builder.add_edge(["fast", "slow"], "last")
graph = builder.compile(checkpointer=Saver(open_store(url)))
config: Any = {"configurable": {"thread_id": "t"}}
given = None if where == "resume" else {"log": ["input"]}
if door == "sync":
    print(graph.invoke(given, config, durability="sync")["log"])
else:
    print(asyncio.run(graph.ainvoke(given, config, durability="sync"))["log"])
