"""append.py URL: a nursery of processes that append lists of messages.

Reads lines. `SESSION WRITER LISTS SIZE` makes a process that waits for the start; with 0 LISTS it
goes on until it is killed. `go` starts all that wait. Prints `WRITER PID` for each, then
`WRITER NUMBER` for each list that is stored for certain, and `ended PID CODE`.

Processes are forked before anything is opened, so each is as if it had been started alone, only
quicker.
"""

import itertools
import os
import sys
import threading

from langchain_core.messages import HumanMessage

from threadloom import SessionManager

url = sys.argv[1]


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def work(session: str, writer: str, lists: int, size: int) -> None:
    sessions = SessionManager(url)
    history = sessions.memory(session)
    for number in range(lists) if lists else itertools.count():
        history.add_messages([HumanMessage(f"{writer}:{number}:{part}") for part in range(size)])
        say(writer, number)
    sessions.close()


def bear(start: int, session: str, writer: str, lists: int, size: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        say(writer, os.getpid())
        os.close(others_end)
        os.read(start, 1)
        work(session, writer, lists, size)
    except BaseException as error:
        print(f"{error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


start, others_end = os.pipe()
born: list[int] = []
for line in sys.stdin:
    if line.strip() != "go":
        session, writer, lists, size = line.split()
        born.append(bear(start, session, writer, int(lists), int(size)))
        continue
    os.close(others_end)
    for pid in born:
        _, status = os.waitpid(pid, 0)
        say("ended", pid, os.waitstatus_to_exitcode(status))
    os.close(start)
    assert threading.active_count() == 1
    born.clear()
    start, others_end = os.pipe()
