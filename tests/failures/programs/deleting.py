"""deleting.py: a nursery of processes that delete sessions and are killed meanwhile.

Each line `HOW DOOR URL` makes one; it is forked before anything is opened, so it is as if it had
been started alone, only quicker. It deletes the session `t`, or all of the owner `ana`, by its
sync or its async door. Prints `born PID`, then around the deletion `deleting` and `deleted`,
`closed` when its store is, and `dead` when it was killed, for which it waits.
"""

import asyncio
import os
import signal
import sys
import threading

from threadloom import SessionManager
from threadloom.stores.sqlite import SQLiteStore

assert SQLiteStore  # imported before the fork


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def adelete(sessions: SessionManager, how: str) -> None:
    say("deleting")
    if how == "delete_session":
        assert await sessions.adelete_session("t")
    else:
        assert len(await sessions.adelete_sessions(owner="ana")) == 20
    say("deleted")


def delete(sessions: SessionManager, how: str) -> None:
    say("deleting")
    if how == "delete_session":
        assert sessions.delete_session("t")
    else:
        assert len(sessions.delete_sessions(owner="ana")) == 20
    say("deleted")


def work(how: str, door: str, url: str) -> None:
    with SessionManager(url) as sessions:
        sessions.list_sessions()
        if door == "async":
            asyncio.run(adelete(sessions, how))
        else:
            delete(sessions, how)
    say("closed")
    while True:
        signal.pause()


for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            work(*line.split(maxsplit=2)[:2], line.split(maxsplit=2)[2].strip())
        except BaseException as error:
            print(f"{error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    say("born", pid)
    os.waitpid(pid, 0)
    say("dead")
    assert threading.active_count() == 1
