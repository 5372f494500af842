"""The part of the manager's face that is about conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from langchain_core.messages import BaseMessage

from threadloom.messages import MESSAGES
from threadloom.models import MessageList, SessionRef
from threadloom.plans import Plan
from threadloom.sessions import conversation, paging
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
        opaque: bool = False,
    ) -> MessageList:
        """The conversation of a session, whichever door it came in by.

        Args:
            id: which one; an unknown id has no messages.
            limit: only the newest so many; they come oldest first.
            before: only what stands before the message with this id.
            source: ``"history"`` for the chat history, ``"graph"`` for the graph's channel,
                ``"auto"`` for both, merged by message id.
            messages_key: the graph's channel.
            opaque: for those who only look: types of the application are not rebuilt, `Opaque`
                stands in their place, and LangChain's message in that of a message of its own.

        Raises:
            UntrustedType: a message holds a type that may not be rebuilt here.
            UnsupportedByStore: the channel is a delta channel, which only its graph rebuilds.
        """
        return self._run(self._messages(id, limit, before, source, messages_key, opaque))

    async def amessages(
        self,
        id: SessionRef,
        *,
        limit: int | None = None,
        before: str | None = None,
        source: Source = "auto",
        messages_key: str = MESSAGES,
        opaque: bool = False,
    ) -> MessageList:
        """`messages`, from an event loop."""
        return await self._arun(self._messages(id, limit, before, source, messages_key, opaque))

    def _messages(
        self,
        id: SessionRef,
        limit: int | None,
        before: str | None,
        source: Source,
        messages_key: str,
        opaque: bool,
    ) -> Plan[MessageList]:
        return conversation.messages(
            self._values,
            self._paths(id),
            limit=limit,
            before=before,
            source=source,
            channel=messages_key,
            opaque=opaque,
        )

    def iter_messages(
        self,
        id: SessionRef,
        *,
        source: Source = "auto",
        messages_key: str = MESSAGES,
        opaque: bool = False,
    ) -> Iterator[BaseMessage]:
        """The conversation of a session from its beginning, read page by page.

        What `messages` gives, without holding it whole; only a session that has both a chat
        history and a graph's conversation is read at once. What the graph adds meanwhile is not
        shown.

        Args:
            id: which one; an unknown id has no messages.
            source, messages_key, opaque: as in `messages`.

        Raises:
            UntrustedType: a message holds a type that may not be rebuilt here.
            UnsupportedByStore: the channel is a delta channel, which only its graph rebuilds.
            CheckpointNotFound: the graph's head was pruned away meanwhile.
        """
        walk = self._run(paging.begin(self._values, self._paths(id), source, messages_key, opaque))

        def pages() -> Iterator[BaseMessage]:
            while page := self._run(walk.page()):
                yield from page

        return pages()

    async def aiter_messages(
        self,
        id: SessionRef,
        *,
        source: Source = "auto",
        messages_key: str = MESSAGES,
        opaque: bool = False,
    ) -> AsyncIterator[BaseMessage]:
        """`iter_messages`, from an event loop: ``async for message in …``."""
        walk = await self._arun(
            paging.begin(self._values, self._paths(id), source, messages_key, opaque)
        )
        while page := await self._arun(walk.page()):
            for message in page:
                yield message
