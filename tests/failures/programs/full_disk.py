"""full_disk.py URL: writes until no more bytes fit; prints what was stored and what came then.

A limit on the size of files stands in for the disk.
"""

import json
import resource
import signal
import sys

from langchain_core.messages import HumanMessage

from threadloom import SessionManager
from threadloom.errors import ThreadloomError

sessions = SessionManager(sys.argv[1])
sessions.create_session(id="s", name="kept")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
stored = 0
try:
    for number in range(1_000):
        sessions.memory("s").add_messages(
            [HumanMessage(f"{number}:{part}:" + "x" * 20_000) for part in range(2)]
        )
        stored += 1
except Exception as error:
    print(
        json.dumps([stored, type(error).__name__, isinstance(error, ThreadloomError), str(error)])
    )
