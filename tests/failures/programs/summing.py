"""summing.py URL DOOR MOMENT: reads a history of session s by a view that sums up.

Prints `in` and waits to be killed: with MOMENT `model` while the model works on the summary, with
`afterwards` when the view has been read. DOOR is `sync` or `async`.
"""

import asyncio
import sys
import time

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableLambda

from threadloom import SessionManager

url, door, moment = sys.argv[1:]


def wait() -> None:
    print("in", flush=True)
    time.sleep(3600)


def answer(messages: list[BaseMessage]) -> AIMessage:
    if moment == "model":
        wait()
    return AIMessage("the sum")


with SessionManager(url) as sessions:
    history = sessions.memory("s", window=2, summarize_with=RunnableLambda(answer))
    shown = history.messages if door == "sync" else asyncio.run(history.aget_messages())
    wait()
