"""`SessionManager`: the public face of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods
from langgraph.store.base import BaseStore

from threadloom.checkpoint import StoreCheckpointer
from threadloom.checkpoint.values import CallerValues, SafeValues, Values
from threadloom.clock import Clock, now_micros
from threadloom.conversation import MESSAGES
from threadloom.errors import InvalidKey, UnsupportedByStore
from threadloom.history import Memory
from threadloom.keys import SessionPaths
from threadloom.models import (
    SessionContext,
    SessionInfo,
    SessionPage,
    SessionRef,
    id_of,
)
from threadloom.plans import Plan, arun, run
from threadloom.scope import OnConflict, Scope
from threadloom.serde import Codec
from threadloom.sessions import conversation, plans
from threadloom.sessions.conversation import Source
from threadloom.sessions.plans import UNSET, Filters, Unset
from threadloom.store import Store
from threadloom.stores.registry import open_store
from threadloom.views import TenantStore

T = TypeVar("T")
Context = SessionContext | Mapping[str, str | None]


class SessionManager:
    """The sessions of an application: their index, chat histories, checkpoints and store.

    Every operation exists twice, `name` and `aname`, with one signature; both may be used on
    one object, from any thread and any event loop. Wherever a session is asked for, its id or
    its `SessionInfo` will do.

    Args:
        store: a URL such as ``sqlite:///sessions.db`` or ``memory://``, whose store then
            belongs to this manager, or a Threadloom store, which stays its owner's to close.
        tenant: whose sessions these are. Managers of different tenants on one store never
            see each other's data.
        serde: a serializer of the caller's own for channel values and messages; it gets them
            whole, and nothing of them appears in documents or search text.
        allow: further classes that may be read back (see `threadloom.serde.Codec`).
        aliases: classes that have moved, by the ``module:Name`` they were stored as.
        clock: tells the time; the store's by default.
        on_conflict: what happens to a graph run whose base is no longer the head when it
            stores its first checkpoint: ``"branch"`` keeps both, logs a warning and counts
            it in `SessionInfo.conflicts`; ``"raise"`` refuses it with `SessionConflict`.
        implicit_sessions: whether an id that is first seen through the checkpointer or a
            memory becomes a session by itself; if not, it raises `SessionNotFound`.

    Raises:
        InvalidKey: the URL or the tenant makes no sense.
        MissingAdapter: the URL needs a package that is not installed.
        StoreUnavailable: the store cannot be opened.
        SchemaTooNew: a newer Threadloom wrote the data.
    """

    def __init__(
        self,
        store: str | BaseStore,
        *,
        tenant: str | None = None,
        serde: SerializerProtocol | None = None,
        allow: Iterable[type | tuple[str, str]] = (),
        aliases: Mapping[str, type] | None = None,
        clock: Clock | None = None,
        on_conflict: OnConflict = "branch",
        implicit_sessions: bool = True,
    ) -> None:
        self._owned = isinstance(store, str)
        if isinstance(store, str):
            self._store = open_store(store, clock=clock)
        elif isinstance(store, Store):
            self._store = store
        elif isinstance(store, BaseStore):
            raise UnsupportedByStore(
                f"{type(store).__name__} is a LangGraph store that is not Threadloom's; use a "
                "URL, a MemoryStore or an SQLiteStore"
            )
        else:
            raise InvalidKey(f"a store is a URL or a store object, got {type(store).__name__}")
        now = self._store.now if clock is None else lambda: now_micros(clock)
        self._scope = Scope.of(tenant, now, implicit=implicit_sessions, on_conflict=on_conflict)
        self._tenant = tenant
        self._values: Values = SafeValues(Codec(allow=allow, aliases=aliases))
        if serde is not None:
            self._values = CallerValues(maybe_add_typed_methods(serde))
        self._memory = Memory(self._store, self._scope, self._values)
        self._view = TenantStore(self._store, self._scope.root)

    def checkpointer(self) -> StoreCheckpointer:
        """The checkpoint saver: pass it to `compile(checkpointer=…)`."""
        return StoreCheckpointer.bound(self._store, self._scope, self._values)

    @property
    def memory(self) -> Memory:
        """Chat histories by session: pass it to `RunnableWithMessageHistory`."""
        return self._memory

    @property
    def store(self) -> BaseStore:
        """Long-term memory as this tenant sees it: pass it to `compile(store=…)`."""
        return self._view

    # Sessions

    def create_session(
        self,
        *,
        id: str | None = None,
        name: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] = (),
        agent_name: str | None = None,
        context: Context | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl: timedelta | None = None,
        if_exists: Literal["raise", "return"] = "raise",
    ) -> SessionInfo:
        """Create a session.

        Args:
            id: any non-empty text of up to 1,024 characters; a new UUID by default.
            name: what people call it.
            owner: whose it is.
            tags: labels to find it by; order is kept, nothing doubles.
            agent_name: which agent it talks to.
            context: the channel, room and sender it takes place in.
            metadata: a dict of JSON values.
            ttl: how long it lives without activity; for ever by default.
            if_exists: whether an id that is taken raises, or gives the session that has it.

        Raises:
            SessionExists: the id is taken.
            InvalidKey: the id or one of the texts cannot be stored.
            SerializationError: the metadata is not JSON.
        """
        return self._run(
            plans.create(
                self._scope,
                id,
                name=name,
                owner=owner,
                tags=tags,
                agent_name=agent_name,
                context=context,
                metadata=metadata,
                ttl=ttl,
                if_exists=if_exists,
            )
        )

    async def acreate_session(
        self,
        *,
        id: str | None = None,
        name: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] = (),
        agent_name: str | None = None,
        context: Context | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl: timedelta | None = None,
        if_exists: Literal["raise", "return"] = "raise",
    ) -> SessionInfo:
        """`create_session`, from an event loop."""
        return await self._arun(
            plans.create(
                self._scope,
                id,
                name=name,
                owner=owner,
                tags=tags,
                agent_name=agent_name,
                context=context,
                metadata=metadata,
                ttl=ttl,
                if_exists=if_exists,
            )
        )

    def get_session(self, session: SessionRef) -> SessionInfo | None:
        """A session as it is now, or None."""
        return self._run(plans.get(self._paths(session)))

    async def aget_session(self, session: SessionRef) -> SessionInfo | None:
        """`get_session`, from an event loop."""
        return await self._arun(plans.get(self._paths(session)))

    def list_sessions(
        self,
        *,
        order_by: Literal["created_at", "updated_at"] = "created_at",
        descending: bool | None = None,
        limit: int | None = None,
        after: str | SessionInfo | None = None,
        **filters: Unpack[Filters],
    ) -> SessionPage:
        """Sessions in order.

        With order and the filters owner, tags, agent, status and time, the cost follows the
        page that is asked for; the filters context and metadata may look at every session.

        Args:
            order_by: oldest created first, or newest updated first; ties by id.
            descending: the other way round.
            limit: at most so many.
            after: go on behind: the `cursor` of the page before, or its last session.
            **filters: which sessions: `owner`, `tags` (one, or several that it must all
                have), `agent_name`, `status`, `context`, `metadata`, and the aware datetimes
                `created_since` and `updated_since`.
        """
        return self._run(self._list(order_by, descending, limit, after, filters))

    async def alist_sessions(
        self,
        *,
        order_by: Literal["created_at", "updated_at"] = "created_at",
        descending: bool | None = None,
        limit: int | None = None,
        after: str | SessionInfo | None = None,
        **filters: Unpack[Filters],
    ) -> SessionPage:
        """`list_sessions`, from an event loop."""
        return await self._arun(self._list(order_by, descending, limit, after, filters))

    def _list(
        self,
        order_by: str,
        descending: bool | None,
        limit: int | None,
        after: str | SessionInfo | None,
        filters: Filters,
    ) -> Plan[SessionPage]:
        return plans.listing(
            self._scope,
            order_by=order_by,
            descending=descending,
            limit=limit,
            after=after,
            filters=filters,
        )

    def count_sessions(self, **filters: Unpack[Filters]) -> int:
        """How many sessions there are, with the filters of `list_sessions`."""
        return self._run(plans.count(self._scope, filters))

    async def acount_sessions(self, **filters: Unpack[Filters]) -> int:
        """`count_sessions`, from an event loop."""
        return await self._arun(plans.count(self._scope, filters))

    def delete_session(self, session: SessionRef) -> bool:
        """Delete a session: its record, messages, summary, state, checkpoints, all or nothing.

        A graph run that is still under way cannot bring it back: its next write raises
        `SessionDeleted`. Returns whether the session existed.
        """
        return self._run(plans.delete(self._scope, self._paths(session)))

    async def adelete_session(self, session: SessionRef) -> bool:
        """`delete_session`, from an event loop."""
        return await self._arun(plans.delete(self._scope, self._paths(session)))

    def rename_session(self, session: SessionRef, name: str) -> SessionInfo:
        """Give a session another name; an empty one clears it.

        Raises:
            SessionNotFound: there is no such session.
        """
        return self._run(plans.rename(self._scope, self._paths(session), name))

    async def arename_session(self, session: SessionRef, name: str) -> SessionInfo:
        """`rename_session`, from an event loop."""
        return await self._arun(plans.rename(self._scope, self._paths(session), name))

    def tag_session(self, session: SessionRef, *tags: str) -> SessionInfo:
        """Add tags; they are case-sensitive, keep their order, and never double.

        Raises:
            SessionNotFound: there is no such session.
        """
        return self._run(plans.tag(self._scope, self._paths(session), tags))

    async def atag_session(self, session: SessionRef, *tags: str) -> SessionInfo:
        """`tag_session`, from an event loop."""
        return await self._arun(plans.tag(self._scope, self._paths(session), tags))

    def untag_session(self, session: SessionRef, *tags: str) -> SessionInfo:
        """Take tags away; one that is not there is no error.

        Raises:
            SessionNotFound: there is no such session.
        """
        return self._run(plans.untag(self._scope, self._paths(session), tags))

    async def auntag_session(self, session: SessionRef, *tags: str) -> SessionInfo:
        """`untag_session`, from an event loop."""
        return await self._arun(plans.untag(self._scope, self._paths(session), tags))

    def update_session(
        self,
        session: SessionRef,
        *,
        metadata: Mapping[str, Any] | None = None,
        context: Context | None = None,
        owner: str | None = None,
        agent_name: str | None = None,
        ttl: timedelta | Unset | None = UNSET,
        expected_version: int | None = None,
        create: bool = False,
    ) -> SessionInfo:
        """Change a session. What is not given stays.

        Args:
            session: which one.
            metadata: merged into what is there, top-level key by key.
            context: added to what is there; None and blank parts change nothing.
            owner: the new owner.
            agent_name: the new agent.
            ttl: how long it lives without activity from now on; None for ever.
            expected_version: the `version` it must still have.
            create: make the session if it does not exist.

        Raises:
            SessionNotFound: there is no such session, and `create` is false.
            SessionConflict: it has changed since `expected_version`.
        """
        return self._run(
            plans.update(
                self._scope,
                self._paths(session),
                metadata=metadata,
                context=context,
                owner=owner,
                agent_name=agent_name,
                ttl=ttl,
                expected_version=expected_version,
                create=create,
            )
        )

    async def aupdate_session(
        self,
        session: SessionRef,
        *,
        metadata: Mapping[str, Any] | None = None,
        context: Context | None = None,
        owner: str | None = None,
        agent_name: str | None = None,
        ttl: timedelta | Unset | None = UNSET,
        expected_version: int | None = None,
        create: bool = False,
    ) -> SessionInfo:
        """`update_session`, from an event loop."""
        return await self._arun(
            plans.update(
                self._scope,
                self._paths(session),
                metadata=metadata,
                context=context,
                owner=owner,
                agent_name=agent_name,
                ttl=ttl,
                expected_version=expected_version,
                create=create,
            )
        )

    # Conversations

    def messages(
        self,
        session: SessionRef,
        *,
        limit: int | None = None,
        before: str | None = None,
        source: Source = "auto",
        messages_key: str = MESSAGES,
    ) -> list[BaseMessage]:
        """The conversation of a session, whichever door it came in by.

        Args:
            session: which one; an unknown id has no messages.
            limit: only the newest so many; they come oldest first.
            before: only what stands before the message with this id.
            source: ``"history"`` for the chat history, ``"graph"`` for the graph's channel,
                ``"auto"`` for both, merged by message id.
            messages_key: the graph's channel.

        Raises:
            UntrustedType: a message holds a type that may not be rebuilt here.
            UnsupportedByStore: the channel is a delta channel, which only its graph rebuilds.
        """
        return self._run(self._messages(session, limit, before, source, messages_key))

    async def amessages(
        self,
        session: SessionRef,
        *,
        limit: int | None = None,
        before: str | None = None,
        source: Source = "auto",
        messages_key: str = MESSAGES,
    ) -> list[BaseMessage]:
        """`messages`, from an event loop."""
        return await self._arun(self._messages(session, limit, before, source, messages_key))

    def _messages(
        self,
        session: SessionRef,
        limit: int | None,
        before: str | None,
        source: Source,
        messages_key: str,
    ) -> Plan[list[BaseMessage]]:
        return conversation.messages(
            self._values,
            self._paths(session),
            limit=limit,
            before=before,
            source=source,
            channel=messages_key,
        )

    # Opening and closing

    def setup(self) -> None:
        """Do nothing: everything sets itself up. Here for code that calls it."""

    async def asetup(self) -> None:
        """Do nothing: everything sets itself up. Here for code that calls it."""

    def close(self) -> None:
        """Close the store if this manager opened it; later operations raise `StoreClosed`."""
        if self._owned:
            self._store.close()

    async def aclose(self) -> None:
        """`close`, from an event loop."""
        if self._owned:
            await self._store.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        tenant = "" if self._tenant is None else f", tenant={self._tenant!r}"
        return f"{type(self).__name__}({self._store!r}{tenant})"

    def _paths(self, session: SessionRef) -> SessionPaths:
        return self._scope.paths(id_of(session))

    def _run(self, plan: Plan[T]) -> T:
        return run(plan, self._store)

    async def _arun(self, plan: Plan[T]) -> T:
        return await arun(plan, self._store)
