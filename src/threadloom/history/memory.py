"""`Memory`: chat histories by session, what `sessions.memory` is."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from threadloom.errors import InvalidKey
from threadloom.history.chat import StoreChatMessageHistory
from threadloom.history.graph import GraphChatMessageHistory
from threadloom.history.trimming import Counter
from threadloom.history.viewing import View
from threadloom.messages import MESSAGES
from threadloom.models import MessageList, SessionRef, id_of
from threadloom.scope import Scope
from threadloom.store import Store
from threadloom.values import Values


class Memory:
    """Chat histories by session id: what `RunnableWithMessageHistory` wants.

    Call it with a session for its `StoreChatMessageHistory`; or use its methods, which name
    the session each time.
    """

    def __init__(self, store: Store, scope: Scope, values: Values) -> None:
        self._store, self._scope, self._values = store, scope, values

    def __call__(
        self,
        session_id: SessionRef,
        *,
        source: Literal["history", "graph"] = "history",
        messages_key: str = MESSAGES,
        window: int | None = None,
        max_tokens: int | None = None,
        token_counter: Counter | None = None,
        summarize_with: Runnable[Any, Any] | None = None,
    ) -> StoreChatMessageHistory:
        """The history of a session, by its id or its `SessionInfo`.

        The options make views: what `messages` gives, and so what a chain sees. No view deletes
        anything, and everything else works on the whole history.

        Args:
            session_id: which session.
            source: ``"graph"`` for the history as the graph's channel of messages; adding puts
                a checkpoint on top of the graph's head.
            messages_key: the graph's channel.
            window: the last so many messages, and as many more as it takes not to part the
                result of a tool from its call; a system message at the beginning stays.
            max_tokens: as many of the last messages as fit, in the same way.
            token_counter: counts the tokens of a list of messages; by default LangChain's
                approximation.
            summarize_with: a chat model that sums up what is left out, once as much again is
                left out as is shown; the summary is stored, grows, and stands before the rest as
                a system message. For the chat history only; shows 20 messages by default.

        Raises:
            InvalidKey: the id cannot be one, or the options make no sense together.
        """
        view = View.of(
            window=window,
            max_tokens=max_tokens,
            token_counter=token_counter,
            summarize_with=summarize_with,
        )
        id = id_of(session_id)
        if source == "history":
            return StoreChatMessageHistory._bound(self._store, self._scope, self._values, id, view)
        if source != "graph":
            raise InvalidKey(f"source is 'history' or 'graph', not {source!r}")
        if summarize_with is not None:
            raise InvalidKey("summaries are kept of the chat history, not of a graph's messages")
        history = GraphChatMessageHistory._bound(self._store, self._scope, self._values, id, view)
        history._channel = messages_key
        return history

    def append(self, session_id: SessionRef, message: BaseMessage) -> None:
        """Add one message at the end."""
        self(session_id).append(message)

    async def aappend(self, session_id: SessionRef, message: BaseMessage) -> None:
        """`append`, from an event loop."""
        await self(session_id).aappend(message)

    def load(
        self, session_id: SessionRef, limit: int | None = None, before: str | None = None
    ) -> MessageList:
        """The newest messages, oldest first."""
        return self(session_id).load(limit, before)

    async def aload(
        self, session_id: SessionRef, limit: int | None = None, before: str | None = None
    ) -> MessageList:
        """`load`, from an event loop."""
        return await self(session_id).aload(limit, before)

    def clear(self, session_id: SessionRef) -> None:
        """Remove all messages and the summary."""
        self(session_id).clear()

    async def aclear(self, session_id: SessionRef) -> None:
        """`clear`, from an event loop."""
        await self(session_id).aclear()

    def get_summary(self, session_id: SessionRef) -> str | None:
        """The stored summary, or None."""
        return self(session_id).get_summary()

    async def aget_summary(self, session_id: SessionRef) -> str | None:
        """`get_summary`, from an event loop."""
        return await self(session_id).aget_summary()

    def set_summary(self, session_id: SessionRef, text: str) -> None:
        """Store a summary in the place of the one before."""
        self(session_id).set_summary(text)

    async def aset_summary(self, session_id: SessionRef, text: str) -> None:
        """`set_summary`, from an event loop."""
        await self(session_id).aset_summary(text)
