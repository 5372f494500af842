"""interrupted_fork.py FOLDER: SIGINT comes while `os.fork` waits for a store that is at work.

Prints `interrupted` when that is known, then `opened` and `forked` when a store can be opened
and the process can be forked afterwards.
"""

import os
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path

from threadloom import SQLiteStore, StoreUnavailable
from threadloom.ops import Put

signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in a shell's background lack it
folder = Path(sys.argv[1])
stores = [SQLiteStore(folder / f"{name}.db", busy_timeout=3) for name in ("one", "two")]
other = sqlite3.connect(folder / "one.db", isolation_level=None, check_same_thread=False)
other.execute("BEGIN IMMEDIATE")


def write() -> None:
    try:
        stores[0].execute([Put(("a",), "k", {})])
    except StoreUnavailable:
        pass


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


writer = threading.Thread(target=write)
writer.start()
time.sleep(0.3)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    fork()
    time.sleep(5)
except KeyboardInterrupt:
    print("interrupted", flush=True)
other.rollback()
writer.join()
stores.append(SQLiteStore(folder / "three.db"))
print("opened", flush=True)
fork()
print("forked", flush=True)
for store in stores:
    store.execute([Put(("a",), "k", {})])
    store.close()
other.close()
