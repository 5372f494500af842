"""`ThreadloomSession`: the SDK's session protocol on a stream of a Threadloom session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agents import TResponseInputItem
from agents.memory import SessionSettings
from langgraph.store.base import BaseStore

from threadloom import SessionAdapter, SessionInfo, SessionManager, ThreadloomError
from threadloom_openai_agents.showing import shows

FRAMEWORK: Final = "openai-agents"
"""What `SessionInfo.framework` says of these sessions, and the name of their stream of items."""


class ThreadloomSession(SessionAdapter):
    """A session of the OpenAI Agents SDK that is kept in Threadloom.

    Hand it to ``Runner.run``, ``Runner.run_sync`` or ``Runner.run_streamed`` as ``session``. Items
    come back exactly as they went in. Several of these objects, in any number of threads, event
    loops and processes, may stand for one session.

    Attributes:
        session_id: the session's id, the same one in Threadloom.
        session_settings: the SDK's settings; their ``limit`` holds where a read names none.
        sessions: the manager that keeps it.
    """

    session_id: str
    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str | SessionInfo,
        store: SessionManager | BaseStore | str,
        *,
        agent_name: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        session_settings: SessionSettings | Mapping[str, Any] | None = None,
    ) -> None:
        """Stand for a session; it begins with the first item if it does not exist.

        Args:
            session_id: its id, or what the manager returned, such as a fork.
            store: a manager or a store, which stays its owner's to close, or the URL of a store,
                which is opened for this object and closed with it.
            agent_name, owner, metadata: of a session that begins here. The first two are also
                given to a session that has none yet.
            session_settings: the SDK's settings, or a mapping of their fields.

        Raises:
            threadloom.InvalidKey: the id or one of the names cannot be stored, or the store is
                none.
            threadloom.MissingAdapter: the store's adapter is not installed.
        """
        if isinstance(session_settings, Mapping):
            session_settings = SessionSettings(**session_settings)
        super().__init__(store)
        self.session_id = session_id.id if isinstance(session_id, SessionInfo) else session_id
        self.session_settings = session_settings or SessionSettings()
        try:
            self._stream = self.sessions.stream(
                self.session_id,
                FRAMEWORK,
                shows=shows,
                framework=FRAMEWORK,
                agent_name=agent_name,
                owner=owner,
                metadata=metadata,
            )
        except ThreadloomError:
            self.close()
            raise

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The newest items, oldest first.

        Args:
            limit: at most so many; None for as many as the settings say, all if they do not say.
                0 gives none, and a negative number all, as in the SDK's own sessions.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        page = await self._stream.aread(None if limit is None or limit < 0 else limit)
        return list(page.items)

    async def add_items(self, items: Sequence[TResponseInputItem]) -> None:
        """Add items at the end, all of them or none.

        Raises:
            threadloom.SerializationError: an item cannot be stored.
            threadloom.SessionNotFound: the manager lets no session begin by itself.
        """
        if items:
            await self._stream.aappend(items)

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the newest item away and return it; None where there is none."""
        item: TResponseInputItem | None = await self._stream.apop()
        return item

    async def clear_session(self) -> None:
        """Take all items away, and the messages that show them; the session itself stays."""
        await self._stream.aclear()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"
