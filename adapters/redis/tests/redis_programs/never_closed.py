"""Uses a store in every way and ends without closing it: URL."""

from __future__ import annotations

import asyncio
import sys

from threadloom.ops import Get, Put
from threadloom_redis import RedisStore

store = RedisStore(sys.argv[1])
store.execute([Put(("notes",), "k", doc={"n": 1})])


async def main() -> None:
    await asyncio.gather(*(store.aexecute([Get(("notes",), "k")]) for _ in range(20)))
    native = RedisStore(sys.argv[1])
    await native.aopen()
    print((await native.aexecute([Get(("notes",), "k")]))[0].doc["n"])


asyncio.run(main())
