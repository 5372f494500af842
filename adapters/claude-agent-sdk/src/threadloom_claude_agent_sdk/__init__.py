"""Sessions of the Claude Agent SDK in Threadloom.

>>> from threadloom_claude_agent_sdk import ThreadloomSessionStore
>>> store = ThreadloomSessionStore("memory://")
"""

from threadloom_claude_agent_sdk.showing import shows
from threadloom_claude_agent_sdk.store import FRAMEWORK, TRANSCRIPT, ThreadloomSessionStore

__all__ = ["FRAMEWORK", "TRANSCRIPT", "ThreadloomSessionStore", "shows"]
