"""Sessions: `SessionManager`, and what it does, part by part.

* `manager` - the public face, made of the `…_face` modules.
* `plans` - the index: create, get, list, count, delete, change.
* `travel` - fork and rewind. `whole` - save and load. `turns`, `holding` - one turn at a time.
* `conversation` - the messages of both doors. `searching` - by words.
* `looking_face` - checkpoints as a tree, and what differs between two.
* `retention` - what is old goes. `care` - where the bytes are.
* `adapter` - what other frameworks' adapters have in common.
"""

from threadloom.sessions.adapter import SessionAdapter
from threadloom.sessions.holding import Turn
from threadloom.sessions.manager import SessionManager
from threadloom.sessions.whole_face import SessionStore

__all__ = ["SessionAdapter", "SessionManager", "SessionStore", "Turn"]
