"""moved.py KIND FOLDER: moves sessions in children that are killed, until one gets to its end.

Each child has longer than the one before, so that the last one comes on a slow machine too. Prints
for each `killed` or `done`.
"""

import os
import random
import signal
import sys
import time

from threadloom import SessionManager

kind, folder = sys.argv[1:]


def move() -> None:
    if kind == "import":
        with SessionManager(f"sqlite:///{folder}/imported.db") as there:
            there.import_sessions(f"{folder}/x.jsonl")
    else:
        with SessionManager(f"sqlite:///{folder}/from.db") as here:
            if kind == "export":
                here.export_sessions(f"{folder}/x.jsonl")
            else:
                here.copy_sessions(f"sqlite:///{folder}/copied.db")


def is_killed(child: int, seconds: float) -> bool:
    """Kill a child after so many seconds, unless it has ended before."""
    deadline = time.monotonic() + seconds
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended and time.monotonic() < deadline:
        time.sleep(0.002)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and status:
        sys.exit(f"a child failed: {status}")
    return os.WIFSIGNALED(status)


for number in range(30):
    child = os.fork()
    if child == 0:
        move()
        os._exit(0)
    killed = is_killed(child, random.uniform(0.0, 0.1 * 1.3**number))
    print("killed" if killed else "done", flush=True)
    if not killed:
        break
