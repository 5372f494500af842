"""`ThreadloomAgentSessionStore`: snapshots of `AgentSession`, each a session of Threadloom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agent_framework import AgentSession, InMemoryHistoryProvider, Message, SessionStore
from langgraph.store.base import BaseStore

from threadloom import SessionAdapter, SessionManager, SessionStream
from threadloom_agent_framework.items import FRAMEWORK, HISTORY, SNAPSHOT, plain
from threadloom_agent_framework.showing import shows

_LIST = "messages"  # where the framework's in-memory provider keeps its list, in its own state


class ThreadloomAgentSessionStore(SessionAdapter, SessionStore):
    """Snapshots of agents' sessions, kept in Threadloom: `get`, `set` and `delete`.

    What comes back is what `FileSessionStore` would give, and what it refuses is refused. The
    messages that `InMemoryHistoryProvider` keeps in a snapshot are the session's conversation;
    storing one again writes the messages that are new.

    Args:
        store: a session manager or a store, which stays its owner's, or a store's URL, which is
            opened here, and closed by `aclose`.
        agent_name: of sessions that begin here.
        owner: of sessions that begin here.

    Raises:
        InvalidKey: the URL makes no sense.
        StoreUnavailable: the store cannot be opened.
    """

    def __init__(
        self,
        store: SessionManager | BaseStore | str,
        *,
        agent_name: str | None = None,
        owner: str | None = None,
    ) -> None:
        SessionAdapter.__init__(self, store)
        SessionStore.__init__(self)
        self.agent_name, self.owner = agent_name, owner

    async def get(self, session_id: str) -> AgentSession | None:
        """The session that was stored under an id, a new object; None where there is none.

        In a fork, a session that bore the id it was stored under bears the fork's id.

        Raises:
            ValueError: the id is empty, or a registered type cannot restore its value.
        """
        self.validate_session_id(session_id)
        page = await self._stream(session_id).aread()
        if page.note is None:
            return None
        note = _Note(**{field: page.note[field] for field in _Note._fields})
        state = dict(note.state)
        if note.source is not None:
            # Where a rewind took items away, what followed them is gone as well.
            rest = note.rest if page.note_current else []
            messages = [*page.items, *await self._found(session_id, rest)]
            state[note.source] = {**state[note.source], _LIST: messages}
        forked = note.stored_as == note.session_id != session_id
        return AgentSession.from_dict(
            {
                "session_id": session_id if forked else note.session_id,
                "service_session_id": note.service_session_id,
                "state": state,
            }
        )

    async def set(self, session_id: str, session: AgentSession) -> None:
        """Store a session under an id, in the place of the one before, all or nothing.

        Raises:
            TypeError: it is no plain `AgentSession`, or its state holds what is neither JSON nor
                of a type that was given to `register_state_type`.
            ValueError: the id is empty, or the state holds a number that is not finite.
            SessionNotFound: there is no such session and it may not begin by itself.
        """
        self.validate_session_id(session_id)
        if type(session) is not AgentSession:
            raise TypeError(
                f"a session store keeps AgentSession itself, got a {type(session).__name__}"
            )
        service = session.service_session_id
        state: dict[str, Any] = session.to_dict()["state"]
        _check(state, "state")
        source = _source(session.state)
        messages: list[Any] = []
        rest: list[Any] = []
        if source is not None:
            messages = state[source][_LIST]
            state[source] = {**state[source], _LIST: []}
        stream = self._stream(session_id)
        if messages:
            messages, rest = await self._split(session_id, stream, messages)
        note = _Note(
            stored_as=session_id,
            session_id=session.session_id,
            service_session_id=dict(service) if isinstance(service, Mapping) else service,
            state=state,
            source=source,
            rest=rest,
        )
        await stream.areplace(messages, note=note._asdict())

    async def delete(self, session_id: str) -> None:
        """Delete the whole session, also what came into it by other doors.

        Raises:
            ValueError: the id is empty.
        """
        self.validate_session_id(session_id)
        await self.sessions.adelete_session(session_id)

    def _stream(self, session_id: str, name: str = SNAPSHOT) -> SessionStream:
        return self.sessions.stream(
            session_id,
            name,
            shows=shows,
            framework=FRAMEWORK,
            agent_name=self.agent_name,
            owner=self.owner,
        )

    async def _split(
        self, session_id: str, stream: SessionStream, messages: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Which messages of a snapshot are items of its own stream, and where the others are.

        Where a history provider keeps messages of the same session these are its conversation,
        and must not be there twice: what is not stored as items yet is then named by its place
        in the provider's stream, or, where it is not there, kept with the note.
        """
        provided = await self._stream(session_id, HISTORY).aread()
        if not provided.items:
            return messages, []
        stored = (await stream.aread()).items
        same = 0
        while same < min(len(stored), len(messages)) and stored[same] == messages[same]:
            same += 1
        places = list(zip(provided.positions, map(plain, provided.items), strict=True))
        rest: list[Any] = []
        for message in messages[same:]:
            at = next((at for at, (_, item) in enumerate(places) if item == message), None)
            if at is None:
                rest.append(message)
            else:
                rest.append(places[at][0])
                del places[: at + 1]
        return messages[:same], rest

    async def _found(self, session_id: str, rest: Sequence[Any]) -> list[Any]:
        """Messages that are not items of the snapshot's own stream."""
        if not rest:
            return []
        provided = await self._stream(session_id, HISTORY).aread()
        places = dict(zip(provided.positions, map(plain, provided.items), strict=True))
        found: list[Any] = []
        for one in rest:
            if isinstance(one, int) and one not in places:
                break  # the session was rewound to a place before this message
            found.append(places[one] if isinstance(one, int) else one)
        return found


class _Note(NamedTuple):
    """What is stored beside the messages of a snapshot.

    Attributes:
        stored_as: the id that it was stored under; a fork has another.
        session_id, service_session_id: of the `AgentSession`.
        state: its state, without the messages that are items.
        source: the provider whose list of messages the items are; None where there is none.
        rest: the messages that follow the items: positions in the history provider's stream, or
            messages.
    """

    stored_as: str
    session_id: str
    service_session_id: Any
    state: dict[str, Any]
    source: str | None
    rest: list[Any]


def _source(state: Mapping[str, Any]) -> str | None:
    """The provider whose messages are a session's conversation: the framework's own, or the first.

    Each keeps its list in a part of the state that is called like it.
    """
    default = InMemoryHistoryProvider.DEFAULT_SOURCE_ID
    for name in (default, *state):
        part = state.get(name)
        messages = part.get(_LIST) if type(part) is dict else None
        if type(messages) is list and all(type(one) is Message for one in messages):
            return name
    return None


def _check(value: Any, path: str) -> None:
    """Refuse what would not come back as it is."""
    if type(value) is dict:
        for key, part in value.items():
            _check(part, f"{path}.{key}")
    elif type(value) is list:
        for at, part in enumerate(value):
            _check(part, f"{path}[{at}]")
    elif type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{path} of the session is {value}, which is not finite")
    elif value is not None and type(value) not in (str, int, bool):
        raise TypeError(
            f"{path} of the session is a {type(value).__name__}: give the type to "
            "register_state_type, with a codec that makes JSON of it"
        )
