"""rotating.py FILE AT: rotates the keys of an encrypted store; kills itself at page AT."""

import os
import signal
import sys
from itertools import count

from threadloom import EncryptedStore, Keyring
from threadloom.stores.sqlite import SQLiteStore

file, at = sys.argv[1], int(sys.argv[2])
pages = count(1)


def stop(seen: int, of: int) -> None:
    if next(pages) == at:
        os.kill(os.getpid(), signal.SIGKILL)


keys = Keyring({"old": b"\x01" * 32, "new": b"\x02" * 32}, current="new")
with EncryptedStore(SQLiteStore(file), keys) as store:
    print(store.rotate(progress=stop).rewritten)
