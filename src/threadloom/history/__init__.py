"""Chat histories.

* `chat` - `StoreChatMessageHistory`, the public face; `graph` - the same on a graph's channel.
* `memory` - `sessions.memory`, histories by session.
* `plans`, `records`, `summary`, `state` - what is stored, and how.
* `viewing`, `trimming` - what a model is to see of a history.
"""

from threadloom.history.chat import StoreChatMessageHistory
from threadloom.history.graph import GraphChatMessageHistory
from threadloom.history.memory import Memory

__all__ = ["GraphChatMessageHistory", "Memory", "StoreChatMessageHistory"]
