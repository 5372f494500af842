"""never_closed.py URL HOW: uses a manager and ends without closing it."""

import asyncio
import sys
import threading

from langchain_core.messages import HumanMessage

from threadloom import SessionManager

url, how = sys.argv[1:]
sessions = SessionManager(url)


async def use() -> None:
    await sessions.acreate_session(name="a")
    histories = [sessions.memory(f"s{number}") for number in range(20)]
    await asyncio.gather(*(h.aadd_messages([HumanMessage("hi")]) for h in histories))


if how == "sync":
    sessions.create_session(name="a")
    sessions.memory("s").add_messages([HumanMessage("hi")])
elif how == "async":
    asyncio.run(use())
elif how == "both":
    sessions.create_session(name="a")
    asyncio.run(use())
    sessions.memory("s").add_messages([HumanMessage("hi")])
elif how == "thread":
    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    thread.join()
elif how == "unfinished":

    async def leave() -> None:
        task = asyncio.ensure_future(use())
        await asyncio.sleep(0)
        del task

    asyncio.run(leave())
print("done", flush=True)
