"""Sessions.

* `manager` - `SessionManager`, the public face: what it is made of, opening and closing.
* `index_face`, `conversation_face` - its operations, by subject; `base` is what they share.
* `plans` - what the operations on the index do.
* `conversation` - the conversation of a session over both doors.
"""

from threadloom.sessions.manager import SessionManager

__all__ = ["SessionManager"]
