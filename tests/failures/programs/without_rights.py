"""without_rights.py URL: as somebody who may not write; prints what each operation gives."""

import json
import os
import sys

from threadloom import SessionManager
from threadloom.errors import ThreadloomError
from threadloom.stores.file import FileStore  # while this process may still read its libraries
from threadloom.stores.sqlite import SQLiteStore

assert FileStore
assert SQLiteStore
url = sys.argv[1]
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)


def note(what: str, error: BaseException | None = None) -> None:
    kind = None if error is None else type(error).__name__
    ours = isinstance(error, ThreadloomError)
    print(json.dumps([what, kind, ours, str(error or "")]), flush=True)


try:
    sessions = SessionManager(url)
except Exception as error:
    note("open", error)
    sys.exit()
note("open")
for what, action in (
    ("read", lambda: sessions.get_session("s")),
    ("write", lambda: sessions.create_session(id="new")),
):
    try:
        result = action()
    except Exception as error:
        note(what, error)
    else:
        note(what if result is not None else what + " nothing")
