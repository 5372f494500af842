"""Real conversations on the move, killed half-way again and again. Run by hand.

    python tests/local/real_moves.py CONVERSATIONS.jsonl

Writes every conversation through both doors, exports, imports and copies all of it in processes
that are killed at random moments, and compares what arrived byte for byte.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from real_conversations import read, through_graph

from threadloom import SessionManager
from threadloom.serde import Codec

PROGRAM = Path(__file__).parents[1] / "failures" / "programs" / "moved.py"


def main(path: Path) -> int:
    conversations = read(path)
    codec = Codec()
    differ = kills = 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with SessionManager(f"sqlite:///{folder}/from.db") as sessions:
            for id, messages in conversations.items():
                sessions.memory(f"history {id}").add_messages(messages)
                through_graph(sessions, f"graph {id}", messages)
        for kind in ("export", "import", "copy"):
            for longest in range(1, 200):  # tenths of a second: each time it gets further
                done = subprocess.run(
                    [sys.executable, str(PROGRAM), kind, str(folder), str(longest / 10)],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                if done.stdout.split()[-1] == "done":
                    break
                kills += 1
        with SessionManager(f"sqlite:///{folder}/from.db") as sessions:
            ids = sessions.list_session_ids()
            for where in ("imported", "copied"):
                with SessionManager(f"sqlite:///{folder}/{where}.db") as other:
                    for id in ids:
                        pairs = [
                            [codec.dumps(message) for message in manager.messages(id)]
                            for manager in (sessions, other)
                        ]
                        differ += pairs[0] != pairs[1]
    print(
        f"{len(conversations)} conversations, {len(ids)} sessions, moved twice with {kills} kills "
        f"in {time.perf_counter() - started:.1f} s, {differ} differ"
    )
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
