"""streaming.py URL: a nursery of processes that add to a stream until they are killed.

Each line on the standard input makes one. Prints `born PID`, `stored N` whenever append N has
returned, and `dead PID`.
"""

import os
import sys
from itertools import count

from langchain_core.messages import HumanMessage

from threadloom import SessionManager, Shown

url = sys.argv[1]


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def work(life: int) -> None:
    sessions = SessionManager(url)
    stream = sessions.stream(
        "s",
        shows=lambda items: [
            Shown(at, [HumanMessage(item)]) for at, item in enumerate(items, start=1)
        ],
    )
    for number in count():
        name = f"{life}-{number}"
        items = [f"{name}-{part}" for part in range(3)]
        stream.append(items, ids=items, note=name, state={"last": name})
        say("stored", name)


for life, _ in enumerate(sys.stdin):
    pid = os.fork()
    if pid == 0:
        try:
            work(life)
        except BaseException as error:
            print(f"{error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    say("born", pid)
    os.waitpid(pid, 0)
    say("dead", pid)
