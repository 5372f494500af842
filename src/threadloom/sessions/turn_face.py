"""The part of the manager's face that is about turns: taking, keeping and watching them."""

from __future__ import annotations

from datetime import timedelta

from threadloom.models import SessionInfo, SessionPage, SessionRef, SessionStatus
from threadloom.sessions import turns
from threadloom.sessions.arguments import duration
from threadloom.sessions.base import Face
from threadloom.sessions.holding import DEFAULT_LEASE, TurnHolder


class TurnFace(Face):
    """One turn at a time a session, and how sessions stand."""

    def turn(
        self,
        id: SessionRef,
        *,
        turn_id: str | None = None,
        wait: float | timedelta | None = None,
        lease: timedelta = DEFAULT_LEASE,
    ) -> TurnHolder:
        """Have a session for one turn, across threads, processes and machines.

        Use it in `with` or in `async with`; that begins the turn and gives a `Turn`. Meanwhile
        the session is ``running``; afterwards it is ``error`` if the block raised, else what
        its graph says, mostly ``idle``. The turn is counted once, graph runs inside it are not.
        What is written to the session inside the block is fenced: if the process is stopped for
        so long that another one takes the turn over, its late writes are refused. The fence is
        known to whatever inherits the block's context (LangGraph's threads, asyncio's tasks),
        and to graphs that get `Turn.config`.

        Args:
            id: which session.
            turn_id: the turn's id; a new UUID by default.
            wait: how long to wait for another turn to end, in seconds or as a timedelta; by
                default not at all.
            lease: how long the turn outlives a process that does not renew it any more; it is
                renewed three times as often.

        Raises:
            InvalidKey: an argument makes no sense.
            SessionNotFound: on entering, there is no such session.
            SessionBusy: on entering, another `turn` is on, and waiting took too long.
            SessionConflict: on leaving, the turn was taken over meanwhile.
        """
        return TurnHolder(
            self._store, self._scope, self._paths(id), turn_id=turn_id, wait=wait, lease=lease
        )

    def set_status(
        self, id: SessionRef, status: SessionStatus, *, turn_id: str | None = None
    ) -> SessionInfo:
        """Say how a session stands, for code that does without `turn`.

        It keeps nobody out: whoever begins a `turn` meanwhile gets the session. ``running``
        again for the same turn keeps the time when it began.

        Args:
            id: which session.
            status: ``idle``, ``running``, ``interrupted`` or ``error``.
            turn_id: the turn that this is about; a session that is made ``running`` without one
                has the turn "manual".

        Raises:
            SessionNotFound: there is no such session.
            SessionBusy: `turn_id` is not the turn that is on, or `turn` has the session and no
                `turn_id` is given.
            InvalidKey: there is no such status.
        """
        return self._run(turns.set_status(self._scope, self._paths(id), status, turn_id))

    async def aset_status(
        self, id: SessionRef, status: SessionStatus, *, turn_id: str | None = None
    ) -> SessionInfo:
        """`set_status`, from an event loop."""
        return await self._arun(turns.set_status(self._scope, self._paths(id), status, turn_id))

    def get_status(self, id: SessionRef) -> SessionStatus | None:
        """How a session stands, or None."""
        return self._run(turns.get_status(self._paths(id)))

    async def aget_status(self, id: SessionRef) -> SessionStatus | None:
        """`get_status`, from an event loop."""
        return await self._arun(turns.get_status(self._paths(id)))

    def list_running_sessions(self) -> SessionPage:
        """The sessions with a turn under way, the newest turn first."""
        return self._run(turns.running(self._scope))

    async def alist_running_sessions(self) -> SessionPage:
        """`list_running_sessions`, from an event loop."""
        return await self._arun(turns.running(self._scope))

    def list_stuck_sessions(self, threshold: timedelta) -> SessionPage:
        """Sessions whose turn seems to be dead, the oldest turn first.

        Args:
            threshold: a turn that began strictly longer ago; and one whose lease was not
                renewed, however young it is.

        Raises:
            InvalidKey: the threshold is zero or negative.
        """
        return self._run(turns.stuck(self._scope, duration(threshold, "threshold")))

    async def alist_stuck_sessions(self, threshold: timedelta) -> SessionPage:
        """`list_stuck_sessions`, from an event loop."""
        return await self._arun(turns.stuck(self._scope, duration(threshold, "threshold")))
