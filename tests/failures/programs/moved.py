"""moved.py KIND FOLDER [SECONDS]: moves sessions in a child that is killed within so many seconds.

Prints `killed` or, where the child got to its end first, `done`.
"""

import os
import random
import signal
import sys
import time

from threadloom import SessionManager

kind, folder = sys.argv[1:3]
longest = float(sys.argv[3]) if len(sys.argv) > 3 else 0.15
child = os.fork()
if child == 0:
    if kind == "import":
        with SessionManager(f"sqlite:///{folder}/imported.db") as there:
            there.import_sessions(f"{folder}/x.jsonl")
    else:
        with SessionManager(f"sqlite:///{folder}/from.db") as here:
            if kind == "export":
                here.export_sessions(f"{folder}/x.jsonl")
            else:
                here.copy_sessions(f"sqlite:///{folder}/copied.db")
    os._exit(0)
time.sleep(random.uniform(0.0, longest))
try:
    os.kill(child, signal.SIGKILL)
except ProcessLookupError:
    pass
_, status = os.waitpid(child, 0)
print("killed" if os.WIFSIGNALED(status) else "done", flush=True)
