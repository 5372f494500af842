"""Google ADK's sessions, kept in Threadloom's.

`ThreadloomSessionService` is a session service for ADK's runners. `register` teaches `adk web`
and `adk api_server` URIs such as ``threadloom+sqlite:///sessions.db``.
"""

from threadloom_google_adk.service import FRAMEWORK, ThreadloomSessionService
from threadloom_google_adk.showing import shows
from threadloom_google_adk.uris import from_uri, register

__all__ = ["FRAMEWORK", "ThreadloomSessionService", "from_uri", "register", "shows"]
