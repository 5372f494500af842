"""`StoreChatMessageHistory`: LangChain's chat message history on a Threadloom store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, get_buffer_string
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.store.base import BaseStore

from threadloom.checkpoint.cache import cache_of
from threadloom.clock import from_micros
from threadloom.history import plans, summary
from threadloom.history.viewing import Seen, View
from threadloom.keys import SessionPaths
from threadloom.models import MessageList, SessionRef, TimestampedMessage
from threadloom.plans import Plan, arun, run
from threadloom.scope import Scope
from threadloom.store import Store
from threadloom.stores.registry import as_store, refuse_encrypted
from threadloom.values import Values, values_for

if TYPE_CHECKING:
    from langchain_core.chat_history import BaseChatMessageHistory as _Base
else:
    try:
        from langchain_core.chat_history import BaseChatMessageHistory as _Base
    except ImportError:  # announced for langchain-core 2.0; nothing here needs the class
        _Base = object


class StoreChatMessageHistory(_Base):
    """The chat history of one session.

    Appending costs the same however long the history is, is all or nothing for a list of
    messages, and is safe from any thread, event loop and process. A message without an id
    gets one, on the object itself.

    Args:
        store: where the sessions are; it stays its owner's to close.
        session_id: the session; it begins with the first message if it does not exist.
        tenant: whose session.
        serde: a serializer of the caller's own; see `StoreCheckpointer`.
        allow: further classes that may be read back (see `threadloom.serde.Codec`).
        aliases: classes that have moved, by the ``module:Name`` they were stored as.
        implicit_sessions: whether a session may begin without `create_session`.
    """

    def __init__(
        self,
        store: BaseStore,
        session_id: SessionRef,
        *,
        tenant: str | None = None,
        serde: SerializerProtocol | None = None,
        allow: Iterable[type | tuple[str, str]] = (),
        aliases: Mapping[str, type] | None = None,
        implicit_sessions: bool = True,
    ) -> None:
        engine = as_store(store)
        refuse_encrypted(engine)
        scope = Scope.of(tenant, engine.now, implicit=implicit_sessions, store=engine)
        values = values_for(serde, allow, aliases)
        self._bind(engine, scope, values, scope.paths(session_id))

    @classmethod
    def _bound(
        cls,
        store: Store,
        scope: Scope,
        values: Values,
        session_id: str,
        view: View | None = None,
    ) -> Self:
        """A history in a scope that exists already."""
        history = cls.__new__(cls)
        history._bind(store, scope, values, scope.paths(session_id), view)
        return history

    def _bind(
        self,
        store: Store,
        scope: Scope,
        values: Values,
        paths: SessionPaths,
        view: View | None = None,
    ) -> None:
        self._store, self._scope, self._values, self._paths = store, scope, values, paths
        self._view = view

    @property
    def session_id(self) -> str:
        """The session that this is the history of."""
        return self._paths.id

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """All messages, oldest first; of a view, what a model is to see."""
        return self.load() if self._view is None else self._view.read(self._seen())

    async def aget_messages(self) -> list[BaseMessage]:
        """All messages, oldest first; of a view, what a model is to see."""
        return await (self.aload() if self._view is None else self._view.aread(self._seen()))

    def _seen(self) -> Seen:
        return Seen(self._store, self._scope, self._values, self._paths, self._load)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages at the end, all or none.

        Raises:
            SessionNotFound: the session does not exist and may not begin by itself.
            SerializationError: something is no message or cannot be stored.
        """
        run(self._append(messages), self._store)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """`add_messages`, from an event loop."""
        await arun(self._append(messages), self._store)

    def _append(self, messages: Sequence[BaseMessage]) -> Plan[None]:
        return plans.append(self._scope, cache_of(self._store), self._values, self._paths, messages)

    def add_message(self, message: BaseMessage) -> None:
        """Add one message at the end."""
        self.add_messages([message])

    def add_user_message(self, message: HumanMessage | str) -> None:
        """Add what the user said."""
        self.add_message(HumanMessage(message) if isinstance(message, str) else message)

    def add_ai_message(self, message: AIMessage | str) -> None:
        """Add what the model said."""
        self.add_message(AIMessage(message) if isinstance(message, str) else message)

    def append(self, message: BaseMessage) -> None:
        """Add one message at the end."""
        self.add_messages([message])

    async def aappend(self, message: BaseMessage) -> None:
        """`append`, from an event loop."""
        await self.aadd_messages([message])

    def load(self, limit: int | None = None, before: str | None = None) -> MessageList:
        """The newest messages, oldest first.

        Args:
            limit: at most so many; costs what it returns.
            before: only those that stand before the message with this id.
        """
        return _listed(run(self._load(limit, before), self._store))

    async def aload(self, limit: int | None = None, before: str | None = None) -> MessageList:
        """`load`, from an event loop."""
        return _listed(await arun(self._load(limit, before), self._store))

    def load_with_timestamps(
        self, limit: int | None = None, before: str | None = None
    ) -> list[TimestampedMessage]:
        """`load`, each message with the time when it was added."""
        return _timestamped(run(self._load(limit, before), self._store))

    async def aload_with_timestamps(
        self, limit: int | None = None, before: str | None = None
    ) -> list[TimestampedMessage]:
        """`load_with_timestamps`, from an event loop."""
        return _timestamped(await arun(self._load(limit, before), self._store))

    def _load(self, limit: int | None, before: str | None) -> Plan[list[tuple[BaseMessage, int]]]:
        return plans.load(self._values, self._paths, limit=limit, before=before)

    def update_last(self, message: BaseMessage) -> bool:
        """Put a message in the place of the last one, as a stream grows.

        It keeps the time, and the id where the new one has none. Returns whether there was
        one to replace.

        Raises:
            InvalidKey: another message of the history has its id.
            SerializationError: it is no message or cannot be stored.
        """
        return run(self._update_last(message), self._store)

    async def aupdate_last(self, message: BaseMessage) -> bool:
        """`update_last`, from an event loop."""
        return await arun(self._update_last(message), self._store)

    def _update_last(self, message: BaseMessage) -> Plan[bool]:
        return plans.update_last(
            self._scope, cache_of(self._store), self._values, self._paths, message
        )

    def remove_last(self) -> bool:
        """Take the last message away; whether there was one."""
        return run(self._remove_last(), self._store)

    async def aremove_last(self) -> bool:
        """`remove_last`, from an event loop."""
        return await arun(self._remove_last(), self._store)

    def _remove_last(self) -> Plan[bool]:
        return plans.remove_last(self._scope, cache_of(self._store), self._values, self._paths)

    def clear(self) -> None:
        """Remove all messages and the summary; the session stays."""
        run(self._clear(summary=True), self._store)

    async def aclear(self) -> None:
        """`clear`, from an event loop."""
        await arun(self._clear(summary=True), self._store)

    def clear_messages(self) -> int:
        """Remove all messages, not the summary; how many there were."""
        return run(self._clear(summary=False), self._store)

    async def aclear_messages(self) -> int:
        """`clear_messages`, from an event loop."""
        return await arun(self._clear(summary=False), self._store)

    def _clear(self, *, summary: bool) -> Plan[int]:
        return plans.clear(self._scope, self._paths, summary=summary)

    def get_summary(self) -> str | None:
        """The stored summary, or None."""
        return run(summary.get_summary(self._values, self._paths), self._store)

    async def aget_summary(self) -> str | None:
        """`get_summary`, from an event loop."""
        return await arun(summary.get_summary(self._values, self._paths), self._store)

    def set_summary(self, text: str) -> None:
        """Store a summary in the place of the one before."""
        run(summary.set_summary(self._scope, self._values, self._paths, text), self._store)

    async def aset_summary(self, text: str) -> None:
        """`set_summary`, from an event loop."""
        plan = summary.set_summary(self._scope, self._values, self._paths, text)
        await arun(plan, self._store)

    def __str__(self) -> str:
        return get_buffer_string(self.messages)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session_id={self.session_id!r})"


def _listed(pairs: Iterable[tuple[BaseMessage, int]]) -> MessageList:
    return MessageList.of((at, message) for message, at in pairs)


def _timestamped(pairs: Iterable[tuple[BaseMessage, int]]) -> list[TimestampedMessage]:
    return [
        TimestampedMessage(message=message, created_at=from_micros(at)) for message, at in pairs
    ]
