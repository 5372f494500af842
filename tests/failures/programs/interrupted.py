"""interrupted.py URL ROUNDS: appends and reads, interrupted at random moments like by Ctrl-C.

Then another thread, which whatever was left locked would stop for ever, checks that each
acknowledged message is there, that counts are right, and closes the store. Prints
`interrupted NUMBER` and `whole`.
"""

import random
import signal
import sys
import threading
from typing import Any

from langchain_core.messages import HumanMessage

from threadloom import SessionManager

url, rounds = sys.argv[1], int(sys.argv[2])
chance = random.Random(7)
sessions = SessionManager(url)
sessions.create_session(id="t")
history = sessions.memory("t")
acknowledged: list[str] = []
armed = False
interrupted = 0
longest = 1e-3  # seconds until an interrupt; kept such that it hits about half of the rounds


class Stop(KeyboardInterrupt):
    pass


def stop(number: int, frame: Any) -> None:
    global armed
    if armed:
        armed = False
        raise Stop


def work(number: int) -> None:
    if number % 40 == 39:
        acknowledged.clear()
        history.clear()
    elif number % 4:
        history.append(HumanMessage("x", id=f"m{number}"))
        acknowledged.append(f"m{number}")
    else:
        history.load(limit=5)


def one(number: int) -> None:
    global armed
    armed = True
    signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.01, 1.0) * longest)
    work(number)
    armed = False


signal.signal(signal.SIGALRM, stop)
for number in range(rounds):
    try:
        one(number)
        longest *= 0.98
    except KeyboardInterrupt:
        interrupted += 1
        longest *= 1.02
signal.setitimer(signal.ITIMER_REAL, 0)
print("interrupted", interrupted)


def check() -> None:
    history.append(HumanMessage("y", id="last"))
    shown = {message.id for message in sessions.messages("t")}
    lost = {*acknowledged, "last"} - shown
    info = sessions.get_session("t")
    assert info is not None
    sessions.close()
    print("whole" if not lost and info.message_count == len(shown) else f"lost {lost}, {info}")


thread = threading.Thread(target=check)
thread.start()
thread.join()
