"""Sessions.

* `manager` - `SessionManager`, the public face.
* `plans` - the session index: create, get, list, count, delete, change.
* `conversation` - the conversation of a session over both doors.
"""

from threadloom.sessions.manager import SessionManager

__all__ = ["SessionManager"]
