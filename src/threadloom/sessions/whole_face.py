"""The part of the manager's face that saves and loads sessions whole."""

from __future__ import annotations

from typing import Protocol

from threadloom.models import Session, SessionInfo, SessionRef
from threadloom.sessions import plans, whole
from threadloom.sessions.base import Face


class SessionStore(Protocol):
    """What code needs that saves whole sessions; `SessionManager` satisfies it."""

    def save_session(self, session: Session, /) -> SessionInfo:
        """Store a session, new or in the place of what was there."""

    def load_session(self, id: SessionRef, /) -> Session | None:
        """A session, or None."""

    def list_session_ids(self) -> list[str]:
        """The ids of all sessions."""

    def delete_session(self, id: SessionRef, /) -> bool:
        """Delete a session; whether it existed."""


class WholeFace(Face):
    """Save, load and resume sessions, for code without a graph."""

    def save_session(self, session: Session) -> SessionInfo:
        """Store a session: its name, owner, tags, agent, metadata, messages and state.

        A session that exists keeps its `created_at` and gets what is given in the place of what
        it had; of a graph's state nothing changes. Messages that the graph holds are not stored
        a second time. With `session.info.version` (not 0) a stale session is refused; the
        beginning of a turn changes the version, so load inside the turn.

        Returns the session as it is now; its version goes into the next save.

        Raises:
            SessionConflict: it has changed since `session.info.version`.
            SerializationError: a message, the metadata or the state cannot be stored.
            InvalidKey: its id cannot be one.
        """
        return self._run(whole.save(self._scope, self._values, session))

    async def asave_session(self, session: Session) -> SessionInfo:
        """`save_session`, from an event loop."""
        return await self._arun(whole.save(self._scope, self._values, session))

    def load_session(self, id: SessionRef) -> Session | None:
        """A session with its conversation and state, or None.

        Raises:
            UntrustedType: a message holds a type that may not be rebuilt here.
        """
        return self._run(whole.load(self._values, self._paths(id)))

    async def aload_session(self, id: SessionRef) -> Session | None:
        """`load_session`, from an event loop."""
        return await self._arun(whole.load(self._values, self._paths(id)))

    def resume_session(self, id: SessionRef) -> Session:
        """A session with its conversation and state.

        Raises:
            SessionNotFound: there is no such session.
            UntrustedType: a message holds a type that may not be rebuilt here.
        """
        return self._run(whole.resume(self._values, self._paths(id)))

    async def aresume_session(self, id: SessionRef) -> Session:
        """`resume_session`, from an event loop."""
        return await self._arun(whole.resume(self._values, self._paths(id)))

    def list_session_ids(self) -> list[str]:
        """The ids of all sessions, oldest created first."""
        return self._run(plans.ids(self._scope))

    async def alist_session_ids(self) -> list[str]:
        """`list_session_ids`, from an event loop."""
        return await self._arun(plans.ids(self._scope))
