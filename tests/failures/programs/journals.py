"""journals.py URL: a nursery of processes that write batches of three records until killed.

Each line of the input is HOW and SEED. HOW is `write`; `compact`, where journals are compacted
all the time; or `reclaim`, where every third batch is followed by a `Reclaim`. Prints `PID` and
then the number of each batch that has returned. `wait` waits for a process that was killed.

Processes are forked before anything is opened, so each is as if it had been started alone, only
quicker.
"""

import os
import sys

from threadloom import open_store
from threadloom.ops import Get, Put, Reclaim
from threadloom.stores.file import journal

url = sys.argv[1]
SESSION, MEMORY = ("sessions",), ("memory", "s")


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def work(how: str, seed: int) -> None:
    if how == "compact":
        journal._SMALL = 3_000
    store = open_store(url)
    (before,) = store.execute([Get(SESSION, "s")])
    number = 0 if before is None else before.body()["n"]
    while True:
        number += 1
        doc = {"n": number, "filler": "ä" * (seed % 400)}
        store.execute(
            [Put(MEMORY, "1", doc=doc), Put(MEMORY, "2", doc=doc), Put(SESSION, "s", doc=doc)]
        )
        say(number)
        if how == "reclaim" and number % 3 == 0:
            store.execute([Reclaim()])


for line in sys.stdin:
    if line.strip() == "wait":
        os.wait()
        say("over")
        continue
    how, seed = line.split()
    pid = os.fork()
    if pid == 0:
        try:
            say(os.getpid())
            work(how, int(seed))
        finally:
            os._exit(1)
