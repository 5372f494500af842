"""append.py URL ID WHO COUNT: adds pairs of items to a session; with COUNT 0 until it is killed.

Prints the number of each pair that is stored, and waits for a line before it begins.
"""

import asyncio
import itertools
import sys

from threadloom_openai_agents import ThreadloomSession


async def main(url: str, id: str, who: str, count: str) -> None:
    async with ThreadloomSession(id, url) as session:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(int(count)) if int(count) else itertools.count():
            call = {"type": "function_call", "name": who, "arguments": "{}"}
            call["call_id"] = f"{who}-{number}"
            result = {"type": "function_call_output", "call_id": call["call_id"], "output": who}
            await session.add_items([call, result])
            print(number, flush=True)


asyncio.run(main(*sys.argv[1:]))
