"""The part of the manager's face that is about conversations."""

from __future__ import annotations

from langchain_core.messages import BaseMessage

from threadloom.messages import MESSAGES
from threadloom.models import SessionRef
from threadloom.plans import Plan
from threadloom.sessions import conversation
from threadloom.sessions.base import Face
from threadloom.sessions.conversation import Source


class ConversationFace(Face):
    """Read the conversation of a session."""

    def messages(
        self,
        id: SessionRef,
        *,
        limit: int | None = None,
        before: str | None = None,
        source: Source = "auto",
        messages_key: str = MESSAGES,
    ) -> list[BaseMessage]:
        """The conversation of a session, whichever door it came in by.

        Args:
            id: which one; an unknown id has no messages.
            limit: only the newest so many; they come oldest first.
            before: only what stands before the message with this id.
            source: ``"history"`` for the chat history, ``"graph"`` for the graph's channel,
                ``"auto"`` for both, merged by message id.
            messages_key: the graph's channel.

        Raises:
            UntrustedType: a message holds a type that may not be rebuilt here.
            UnsupportedByStore: the channel is a delta channel, which only its graph rebuilds.
        """
        return self._run(self._messages(id, limit, before, source, messages_key))

    async def amessages(
        self,
        id: SessionRef,
        *,
        limit: int | None = None,
        before: str | None = None,
        source: Source = "auto",
        messages_key: str = MESSAGES,
    ) -> list[BaseMessage]:
        """`messages`, from an event loop."""
        return await self._arun(self._messages(id, limit, before, source, messages_key))

    def _messages(
        self,
        id: SessionRef,
        limit: int | None,
        before: str | None,
        source: Source,
        messages_key: str,
    ) -> Plan[list[BaseMessage]]:
        return conversation.messages(
            self._values,
            self._paths(id),
            limit=limit,
            before=before,
            source=source,
            channel=messages_key,
        )
