"""append.py URL ID: for every line ``WHO COUNT`` that comes in, a process that adds to a session.

Each process adds pairs of items, COUNT of them, or until it is killed where COUNT is 0. It prints
``WHO PID`` when it begins, and ``WHO NUMBER`` for each pair that is stored; ``WHO end`` is printed
when it has ended. Processes are forked, so that the SDK is imported only once.
"""

import asyncio
import itertools
import os
import sys
import threading

from threadloom_openai_agents import ThreadloomSession


def tell(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def append(url: str, id: str, who: str, count: int) -> None:
    tell(who, os.getpid())
    async with ThreadloomSession(id, url) as session:
        for number in range(count) if count else itertools.count():
            call = {"type": "function_call", "name": who, "arguments": "{}"}
            call["call_id"] = f"{who}-{number}"
            result = {"type": "function_call_output", "call_id": call["call_id"], "output": who}
            await session.add_items([call, result])
            tell(who, number)


def await_end(who: str, pid: int) -> None:
    os.waitpid(pid, 0)
    tell(who, "end")


url, id = sys.argv[1:]
for line in sys.stdin:
    who, count = line.split()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(append(url, id, who, int(count)))
        except BaseException as error:
            tell(who, "failed", repr(error))
        os._exit(0)
    threading.Thread(target=await_end, args=(who, child)).start()
