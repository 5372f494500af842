"""stopped.py URL DOOR HOW: stops itself while writers of one session are about to write.

Each writer has read what it needs and is held right before its first batch that writes; one graph
run is held in its node. When all are there the process sends itself SIGSTOP. Once it is woken up
they go on, and each prints its name and `wrote` or what was raised. DOOR is `sync` or `async`; HOW
is `turn`, where all belong to one turn, or how conflicts outside of turns are met: `branch` or
`raise`. The last line is what ending the turn gave.
"""

import asyncio
import contextvars
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SessionManager, open_store
from threadloom.ops import WRITES
from threadloom.testing import FaultyStore

url, door, how = sys.argv[1:]
in_node, awake = threading.Event(), threading.Event()
held: contextvars.ContextVar[str] = contextvars.ContextVar("held", default="")
lock = threading.Lock()
arrived: set[str] = set()
waiting = ThreadPoolExecutor(20)


def stop() -> None:
    os.write(1, b"in\n")
    # Sent to this thread, so that it does not get past this line before the process stops.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    awake.set()


def hold() -> None:
    """Wait until all are there, or, with a later batch of the same writer, for its first one."""
    with lock:
        first = held.get() not in arrived
        arrived.add(held.get())
    if first:
        barrier.wait(60)
    else:
        assert awake.wait(60)


class Held(FaultyStore):
    """Holds what writers write."""

    def execute(self, ops: Any, /) -> Any:
        if is_late(ops):
            hold()
        return super().execute(ops)

    async def aexecute(self, ops: Any, /) -> Any:
        if is_late(ops):
            context = contextvars.copy_context()
            await asyncio.get_running_loop().run_in_executor(waiting, context.run, hold)
        return await super().aexecute(ops)


def is_late(ops: Any) -> bool:
    return bool(held.get()) and any(isinstance(op, WRITES) for op in ops)


def answer(state: MessagesState) -> dict[str, Any]:
    in_node.set()
    if not held.get():  # the run that is to be stopped in its node
        barrier.wait(60)
    return {"messages": [AIMessage(f"re: {state['messages'][-1].content}")]}


sessions = SessionManager(
    Held(open_store(url)), on_conflict="raise" if how == "raise" else "branch"
)
builder = StateGraph(MessagesState)
builder.add_node("answer", answer)
builder.add_edge(START, "answer")
graph = builder.compile(checkpointer=sessions.checkpointer())
config: Any = {"configurable": {"thread_id": "s"}}
late: Any = {"messages": [HumanMessage("late")]}
memory = sessions.memory("s")
checkpoint = graph.get_state(config).config["configurable"]["checkpoint_id"]

Writer = tuple[Any, str, tuple[Any, ...], dict[str, Any]]
RUN: Writer = (graph, "invoke", (late, config), {"durability": "sync"})
LOADED = "loaded"
"""Stands for the session as it is when the writers begin."""
WRITERS: dict[str, Writer] = {
    "run": RUN,
    "append": (memory, "add_messages", ([HumanMessage("late")],), {}),
    "tag": (sessions, "tag_session", ("s", "late"), {}),
    "save": (sessions, "save_session", (LOADED,), {}),
}
if how == "turn":
    WRITERS |= {
        "update_last": (memory, "update_last", (HumanMessage("late"),), {}),
        "clear": (memory, "clear", (), {}),
        "set_summary": (memory, "set_summary", ("late",), {}),
        "rename": (sessions, "rename_session", ("s", "late"), {}),
        "update": (sessions, "update_session", ("s",), {"owner": "late"}),
        "rewind": (sessions, "rewind_session", ("s",), {"checkpoint_id": checkpoint}),
        "prune": (sessions.checkpointer(), "prune", (["s"],), {}),
        "delete_thread": (sessions.checkpointer(), "delete_thread", ("s",), {}),
        "delete": (sessions, "delete_session", ("s",), {}),
    }
barrier = threading.Barrier(len(WRITERS) + (how == "turn"), action=stop)


def say(name: str, error: BaseException | None) -> None:
    what = "wrote" if error is None else type(error).__name__
    os.write(1, f"{name} {what}\n".encode())


def write(name: str, writer: Writer) -> None:
    thing, method, args, options = writer
    try:
        getattr(thing, method)(*args, **options)
    except Exception as error:
        say(name, error)
    else:
        say(name, None)


async def awrite(name: str, writer: Writer) -> None:
    thing, method, args, options = writer
    try:
        await getattr(thing, "a" + method)(*args, **options)
    except Exception as error:
        say(name, error)
    else:
        say(name, None)


def wait_for_the_node() -> None:
    assert in_node.wait(60)
    while not is_put():  # which happens meanwhile
        time.sleep(0.01)


def is_put() -> bool:
    """Whether all that leads to the node is stored: writes of the input come in their own time."""
    _, before = itertools.islice(sessions.checkpointer().list(config), 2)
    return graph.get_state(config).next == ("answer",) and bool(before.pending_writes)


def late_writers() -> Iterator[tuple[str, Writer, contextvars.Context]]:
    loaded = sessions.resume_session("s")
    for name, (thing, method, args, options) in WRITERS.items():
        context = contextvars.copy_context()
        context.run(held.set, name)
        given = tuple(loaded if arg is LOADED else arg for arg in args)
        yield name, (thing, method, given, options), context


def work() -> None:
    threads = []
    if how == "turn":
        here = contextvars.copy_context()
        threads.append(threading.Thread(target=here.run, args=(write, "node", RUN)))
        threads[0].start()
        wait_for_the_node()
    for name, writer, context in late_writers():
        threads.append(threading.Thread(target=context.run, args=(write, name, writer)))
    for thread in threads[-len(WRITERS) :]:
        thread.start()
    for thread in threads:
        thread.join()


async def awork() -> None:
    tasks = []
    if how == "turn":
        tasks.append(asyncio.create_task(awrite("node", RUN)))
        await asyncio.to_thread(wait_for_the_node)
    for name, writer, context in late_writers():
        tasks.append(asyncio.create_task(awrite(name, writer), context=context))
    await asyncio.gather(*tasks)


def turn() -> Any:
    return sessions.turn("s", lease=timedelta(seconds=1))


def main() -> None:
    with turn():
        work()


async def amain() -> None:
    async with turn():
        await awork()


try:
    if door == "sync":
        main() if how == "turn" else work()
    else:
        asyncio.run(amain() if how == "turn" else awork())
except Exception as error:
    say("turn", error)
else:
    say("turn", None)
