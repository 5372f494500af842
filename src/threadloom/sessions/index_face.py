"""The part of the manager's face that is about the session index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, Unpack

from threadloom.models import SessionContext, SessionInfo, SessionPage, SessionRef
from threadloom.plans import Plan
from threadloom.sessions import plans
from threadloom.sessions.base import Face
from threadloom.sessions.plans import UNSET, Filters, Unset

Context = SessionContext | Mapping[str, str | None]


class IndexFace(Face):
    """Create, get, list, count, delete and change sessions."""

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

    def get_session(self, id: SessionRef) -> SessionInfo | None:
        """A session as it is now, or None."""
        return self._run(plans.get(self._paths(id)))

    async def aget_session(self, id: SessionRef) -> SessionInfo | None:
        """`get_session`, from an event loop."""
        return await self._arun(plans.get(self._paths(id)))

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

    def delete_session(self, id: SessionRef, *, expected_version: int | None = None) -> bool:
        """Delete a session: its record, messages, summary, state, checkpoints, all or nothing.

        A graph run that has stored a checkpoint and is still under way cannot bring it back: its
        next write raises `SessionDeleted`. A run or a chain whose first write is still to come
        begins a new session under the same id. Returns whether the session existed.

        Args:
            id: which one.
            expected_version: the version it has to be at; by default any.

        Raises:
            SessionConflict: the session is at another version, or does not exist though one is
                expected.
        """
        return self._run(plans.delete(self._scope, self._paths(id), expected_version))

    async def adelete_session(self, id: SessionRef, *, expected_version: int | None = None) -> bool:
        """`delete_session`, from an event loop."""
        return await self._arun(plans.delete(self._scope, self._paths(id), expected_version))

    def rename_session(self, id: SessionRef, name: str) -> SessionInfo:
        """Give a session another name; an empty one clears it.

        Raises:
            SessionNotFound: there is no such session.
        """
        return self._run(plans.rename(self._scope, self._paths(id), name))

    async def arename_session(self, id: SessionRef, name: str) -> SessionInfo:
        """`rename_session`, from an event loop."""
        return await self._arun(plans.rename(self._scope, self._paths(id), name))

    def tag_session(self, id: SessionRef, *tags: str) -> SessionInfo:
        """Add tags; they are case-sensitive, keep their order, and never double.

        Raises:
            SessionNotFound: there is no such session.
        """
        return self._run(plans.tag(self._scope, self._paths(id), tags))

    async def atag_session(self, id: SessionRef, *tags: str) -> SessionInfo:
        """`tag_session`, from an event loop."""
        return await self._arun(plans.tag(self._scope, self._paths(id), tags))

    def untag_session(self, id: SessionRef, *tags: str) -> SessionInfo:
        """Take tags away; one that is not there is no error.

        Raises:
            SessionNotFound: there is no such session.
        """
        return self._run(plans.untag(self._scope, self._paths(id), tags))

    async def auntag_session(self, id: SessionRef, *tags: str) -> SessionInfo:
        """`untag_session`, from an event loop."""
        return await self._arun(plans.untag(self._scope, self._paths(id), tags))

    def update_session(
        self,
        id: SessionRef,
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
            id: which one.
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
                self._paths(id),
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
        id: SessionRef,
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
                self._paths(id),
                metadata=metadata,
                context=context,
                owner=owner,
                agent_name=agent_name,
                ttl=ttl,
                expected_version=expected_version,
                create=create,
            )
        )
