"""Opens a store, forks while threads use it, and uses it on both sides: URL."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from threadloom.ops import Get, Patch, Put
from threadloom_redis import RedisStore

store = RedisStore(sys.argv[1])
store.execute([Put(("notes",), "k", doc={"n": 0})])
end = threading.Event()


def add() -> None:
    store.execute([Patch(("notes",), "k", increment={"n": 1})])


def rest_not() -> None:
    while not end.is_set():
        store.execute([Get(("notes",), "k")])


async def on_a_loop() -> None:
    await asyncio.gather(
        *(store.aexecute([Patch(("notes",), "k", increment={"n": 1})]) for _ in range(10))
    )


asyncio.run(on_a_loop())
threads = [threading.Thread(target=rest_not) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for _ in range(5):
    child = os.fork()
    if not child:
        add()
        asyncio.run(on_a_loop())
        os._exit(0)
    children.append(child)
    add()
codes = [os.waitpid(child, 0)[1] for child in children]
end.set()
for thread in threads:
    thread.join()
print(sum(codes), store.execute([Get(("notes",), "k")])[0].doc["n"])
store.close()
