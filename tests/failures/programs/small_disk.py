"""small_disk.py URL: writes until the disk is full; prints what was stored and what came then.

After that, and before there is room again, it reads what was stored, and prints how much that is.
"""

import json
import sys

from langchain_core.messages import HumanMessage

from threadloom import SessionManager
from threadloom.errors import ThreadloomError

sessions = SessionManager(sys.argv[1])
sessions.create_session(id="s", name="kept")
stored = 0
error: Exception | None = None
while error is None:
    try:
        sessions.memory("s").add_messages(
            [HumanMessage(f"{stored}:{part}:" + "x" * 20_000) for part in range(2)]
        )
        stored += 1
    except Exception as raised:
        error = raised
again = len(sessions.memory("s").messages)
print(json.dumps([stored, type(error).__name__, isinstance(error, ThreadloomError), str(error)]))
print(again)
