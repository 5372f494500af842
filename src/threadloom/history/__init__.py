"""Chat history for LangChain chains.

* `chat` - `StoreChatMessageHistory` and `Memory`, the public face.
* `plans` - what they do.
"""

from threadloom.history.chat import Memory, StoreChatMessageHistory

__all__ = ["Memory", "StoreChatMessageHistory"]
