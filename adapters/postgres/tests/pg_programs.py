"""Programs that tests start as processes of their own: ``python pg_programs.py NAME URL …``."""

from __future__ import annotations

import asyncio
import sys

from threadloom import open_store
from threadloom.ops import Count, ExpectationFailed, Get, Put

NS = ("notes",)
PAIR = ("a", "b")


def put(url: str, name: str) -> None:
    """Write one record, as soon as the program has started."""
    with open_store(url) as store:
        store.execute([Put(NS, name)])
    print("done")


def never_closed(url: str, how: str) -> None:
    """Use a store, and end without a word."""
    store = open_store(url)

    async def use() -> None:
        if how == "inside":
            await store.aopen()
        await store.aexecute([Put(NS, "k"), Count(NS)])

    if how == "sync":
        store.execute([Put(NS, "k")])
    else:
        asyncio.run(use())
    print("done", flush=True)


def pairs(url: str, start: str) -> None:
    """Write pairs of records until somebody ends this process; tell of each that is done."""
    store = open_store(url)
    number = int(start)
    while True:
        number += 1
        store.execute([Put(NS, name, doc={"n": number}, blob=b"x" * 20_000) for name in PAIR])
        print(number, flush=True)


def stale(url: str) -> None:
    """Read a record, and write what follows from it once somebody wrote a line."""
    store = open_store(url)
    (found,) = store.execute([Get(NS, "k")])
    print("read", flush=True)
    sys.stdin.readline()
    try:
        store.execute([Put(NS, "k", doc={"by": "stale"}, expect=found.version)])
    except ExpectationFailed:
        print("refused", flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
