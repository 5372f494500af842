"""crashed.py URL DOOR HOW: prints `in` in the middle of its work on session s, to be killed there.

HOW is `turn`, with a graph run in it; `run`, which is the same run without a turn; or `by hand`,
which says `running` and nothing else. DOOR is `sync` or `async`.
"""

import asyncio
import sys
import time
from datetime import timedelta
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from threadloom import SessionManager

url, door, how = sys.argv[1:]
sessions = SessionManager(url)
LEASE = timedelta(seconds=60)


def work(state: MessagesState) -> dict[str, Any]:
    """Never comes to its end."""
    print("in", flush=True)
    time.sleep(3600)
    return {}


builder = StateGraph(MessagesState)
builder.add_node("reply", work)
builder.add_edge(START, "reply")
graph = builder.compile(checkpointer=sessions.checkpointer())
asked: Any = {"messages": [HumanMessage("question")]}
config: Any = {"configurable": {"thread_id": "s"}}


def main() -> None:
    if how == "turn":
        with sessions.turn("s", turn_id="dead", lease=LEASE):
            graph.invoke(asked, config, durability="sync")
    elif how == "run":
        graph.invoke(asked, config, durability="sync")
    else:
        sessions.set_status("s", "running", turn_id="dead")
        work(asked)


async def amain() -> None:
    if how == "turn":
        async with sessions.turn("s", turn_id="dead", lease=LEASE):
            await graph.ainvoke(asked, config, durability="sync")
    elif how == "run":
        await graph.ainvoke(asked, config, durability="sync")
    else:
        await sessions.aset_status("s", "running", turn_id="dead")
        work(asked)


main() if door == "sync" else asyncio.run(amain())
