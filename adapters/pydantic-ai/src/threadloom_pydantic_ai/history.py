"""`ThreadloomMessageHistory`: a list of messages in a session, for `message_history=`."""

from __future__ import annotations

from collections.abc import Iterable

from langgraph.store.base import BaseStore
from pydantic_ai.messages import ModelMessage

from threadloom import InvalidKey, SessionAdapter, SessionManager
from threadloom_pydantic_ai.codec import dump_messages, load_messages
from threadloom_pydantic_ai.names import FRAMEWORK, MESSAGES
from threadloom_pydantic_ai.showing import shows_messages


class ThreadloomMessageHistory(SessionAdapter):
    """The messages of one session, for programs that do without a conversation store.

    ::

        history = ThreadloomMessageHistory("trip", "sqlite:///sessions.db")
        result = await agent.run("Hi", message_history=await history.aload())
        await history.aappend(result.new_messages())

    Safe from any thread, event loop and process. Every method exists sync and async.

    Args:
        session_id: the session; it begins with the first message.
        store: a `SessionManager` or a store, which stays its owner's to close, or the URL of a
            store, which `close` or `aclose` closes.
        agent_name, owner: of the session, if it has none yet.

    Raises:
        InvalidKey: the id, a name or the store cannot be used.
    """

    def __init__(
        self,
        session_id: str,
        store: SessionManager | BaseStore | str,
        *,
        agent_name: str | None = None,
        owner: str | None = None,
    ) -> None:
        super().__init__(store)
        self.session_id = session_id
        try:
            self._stream = self.sessions.stream(
                session_id,
                MESSAGES,
                shows=shows_messages,
                framework=FRAMEWORK,
                agent_name=agent_name,
                owner=owner,
            )
        except InvalidKey:
            self.close()
            raise

    def load(self, limit: int | None = None) -> list[ModelMessage]:
        """The messages in order, or the newest `limit` of them."""
        return load_messages(self._stream.read(limit).items)

    async def aload(self, limit: int | None = None) -> list[ModelMessage]:
        """`load`, from an event loop."""
        return load_messages((await self._stream.aread(limit)).items)

    def append(self, messages: Iterable[ModelMessage]) -> None:
        """Add messages, all or none, such as `result.new_messages()`.

        Raises:
            InvalidKey: what is given is no list, such as a result itself.
            SerializationError: one is no message, or holds what cannot be written as JSON, such as
                a lone surrogate in the key of a dict.
        """
        self._stream.append(dump_messages(messages))

    async def aappend(self, messages: Iterable[ModelMessage]) -> None:
        """`append`, from an event loop."""
        await self._stream.aappend(dump_messages(messages))

    def replace(self, messages: Iterable[ModelMessage]) -> None:
        """Have these messages and no others, such as `result.all_messages()`.

        A beginning that is the same stays as it is. Of two programs that replace at once, the
        second wins. Errors are those of `append`.
        """
        self._stream.replace(dump_messages(messages))

    async def areplace(self, messages: Iterable[ModelMessage]) -> None:
        """`replace`, from an event loop."""
        await self._stream.areplace(dump_messages(messages))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"
