"""Pydantic AI's conversations, kept in Threadloom's sessions.

>>> from threadloom_pydantic_ai import ThreadloomMessageHistory
>>> with ThreadloomMessageHistory("trip", "memory://") as history:
...     history.load()
[]
"""

from threadloom_pydantic_ai.history import ThreadloomMessageHistory
from threadloom_pydantic_ai.names import FRAMEWORK
from threadloom_pydantic_ai.showing import shows_entries, shows_messages
from threadloom_pydantic_ai.store import ThreadloomConversationStore

__all__ = [
    "FRAMEWORK",
    "ThreadloomConversationStore",
    "ThreadloomMessageHistory",
    "shows_entries",
    "shows_messages",
]
