"""The part of the manager's face that forks and rewinds sessions."""

from __future__ import annotations

from threadloom.models import Session, SessionInfo, SessionRef
from threadloom.plans import Plan
from threadloom.sessions import travel
from threadloom.sessions.base import Face


class TravelFace(Face):
    """Copies of sessions, and the way back to what they were."""

    def fork_session(
        self,
        id: SessionRef,
        *,
        name: str | None = None,
        checkpoint_id: str | None = None,
        messages: int | None = None,
    ) -> SessionInfo:
        """Copy a session under a new id; the two share nothing.

        Messages, summary and state go along, and the checkpoints of every namespace with their
        ids, parents and pending writes; of a fork that is cut, the messages of the chat history
        that are older, the summary if it tells of nothing that was cut off, and the state as it
        is now. A fork that is cut at a checkpoint has the way to it; if
        others go on from there, a sibling copy of it without pending writes takes its place, so
        that the next run runs what follows.

        Args:
            id: which one.
            name: the name of the copy; by default the name of the session with " (fork)".
            checkpoint_id: go no further than this checkpoint of the graph.
            messages: go no further than so many messages, as `messages` shows them.

        Raises:
            SessionNotFound: there is no such session.
            CheckpointNotFound: there is no such checkpoint, or none of exactly so many messages.
            InvalidKey: both are given, or one makes no sense.
        """
        return self._run(self._fork(id, name, checkpoint_id, messages))

    async def afork_session(
        self,
        id: SessionRef,
        *,
        name: str | None = None,
        checkpoint_id: str | None = None,
        messages: int | None = None,
    ) -> SessionInfo:
        """`fork_session`, from an event loop."""
        return await self._arun(self._fork(id, name, checkpoint_id, messages))

    def _fork(
        self, id: SessionRef, name: str | None, checkpoint_id: str | None, messages: int | None
    ) -> Plan[SessionInfo]:
        return travel.fork(
            self._scope,
            self._values,
            self._paths(id),
            name=name,
            checkpoint_id=checkpoint_id,
            messages=messages,
            can=self._store.capabilities,
        )

    def rewind_session(
        self,
        id: SessionRef,
        *,
        messages: int | None = None,
        checkpoint_id: str | None = None,
    ) -> Session:
        """Take a session back; the next run of its graph runs what follows.

        Every namespace of the graph gets a new head, a sibling copy of what it was then. What
        was undone stays reachable by its checkpoint ids until it is pruned. A summary that tells
        of messages that go, goes with them; the agent's own state (`save_session`) stays as it
        is, for nothing knows what it was.

        Args:
            id: which one.
            messages: keep so many messages, as `messages` shows them; 0 keeps none, more than
                there are keeps all.
            checkpoint_id: go back to this checkpoint of the graph, and keep the messages of the
                chat history that are older.

        Raises:
            SessionNotFound: there is no such session.
            CheckpointNotFound: there is no such checkpoint, or none of exactly so many messages.
            InvalidKey: not exactly one of the two is given, or it makes no sense.
        """
        return self._run(self._rewind(id, checkpoint_id, messages))

    async def arewind_session(
        self,
        id: SessionRef,
        *,
        messages: int | None = None,
        checkpoint_id: str | None = None,
    ) -> Session:
        """`rewind_session`, from an event loop."""
        return await self._arun(self._rewind(id, checkpoint_id, messages))

    def _rewind(
        self, id: SessionRef, checkpoint_id: str | None, messages: int | None
    ) -> Plan[Session]:
        return travel.rewind(
            self._scope,
            self._values,
            self._paths(id),
            checkpoint_id=checkpoint_id,
            messages=messages,
        )
