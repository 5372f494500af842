"""taking_turns.py URL NAME TURNS: takes turns on one session, and writes at their begin and end.

Prints `in` when it is inside a turn, `out` when the turn has ended, `refused` when a turn was
taken over while it slept, and `done` at the end. With the name `sleeper` it waits inside its first
turn for a line, during which it is stopped; with `victim` it waits inside it to be killed.
"""

import sys
import time
from datetime import timedelta

from langchain_core.messages import HumanMessage

from threadloom import SessionConflict, SessionManager

url, name, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
with SessionManager(url) as sessions:
    memory = sessions.memory("s")
    for number in range(turns):
        try:
            with sessions.turn("s", wait=120, lease=timedelta(seconds=2)):
                memory.append(HumanMessage(f"begin {name} {number}"))
                print("in", flush=True)
                if name in ("sleeper", "victim") and number == 0:
                    sys.stdin.readline()
                time.sleep(0.01)
                memory.append(HumanMessage(f"end {name} {number}"))
            print("out", flush=True)
        except SessionConflict:
            print("refused", flush=True)
print("done", flush=True)
