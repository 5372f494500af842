"""puts.py URL: a nursery of processes that run a graph on one session until they are killed.

Each line on the standard input makes one; it is forked before anything is opened, so it is as if
it had been started alone, only quicker. Prints `born PID`, and `put ID` whenever a put of the
root's checkpoint has returned.
"""

import os
import sys
import threading
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SessionManager, StoreCheckpointer

url = sys.argv[1]


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Told(StoreCheckpointer):
    """Says what was put."""

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        found = super().put(config, checkpoint, metadata, new_versions)
        say("put", checkpoint["id"])
        return found


class State(MessagesState):
    files: dict[str, str]
    number: int


def answer(state: State) -> dict[str, Any]:
    number = state.get("number") or 0
    files = {**(state.get("files") or {}), f"f{number % 20}": f"{number} " * 200}
    return {"messages": [AIMessage(f"answer {number} " * 20)], "files": files, "number": number + 1}


def work() -> None:
    sessions = SessionManager(url)
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    graph = builder.compile(checkpointer=Told(sessions._store))
    while True:
        # A run that was killed goes on first: nothing of it is lost or done twice.
        asked = None if graph.get_state(CONFIG).tasks else {"messages": [HumanMessage("ask " * 30)]}
        graph.invoke(asked, CONFIG, durability="sync")


CONFIG: Any = {"configurable": {"thread_id": "t"}}
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(f"{error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    say("born", pid)
    os.waitpid(pid, 0)
    say("dead", pid)
    assert threading.active_count() == 1
