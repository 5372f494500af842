"""Under which names the sessions hold what belongs to Pydantic AI."""

from typing import Final

FRAMEWORK: Final = "pydantic-ai"
"""The framework that sessions of this adapter belong to."""

ENTRIES: Final = "pydantic-ai/entries"
"""The stream with the entries of a conversation; its note holds the conversation's record."""

MESSAGES: Final = "pydantic-ai/messages"
"""The stream with the messages of a `ThreadloomMessageHistory`."""
