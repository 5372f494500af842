"""Programs that tests start as processes of their own: ``python pg_programs.py NAME URL …``."""

from __future__ import annotations

import asyncio
import sys

from threadloom import SessionManager, open_store
from threadloom.ops import Count, Get, Put

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


def holds_a_turn(url: str, session: str) -> None:
    """Begin a turn, and write in it after somebody wrote a line."""
    sessions = SessionManager(url)
    with sessions.turn(session) as turn:
        print("begun", flush=True)
        sys.stdin.readline()
        sessions.store.get(("app",), "k")
        sessions._store.execute([Get(NS, "k")])
        try:
            sessions.memory(turn.id).append(("user", "late"))
        except Exception as error:
            print(type(error).__name__, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
