"""`ThreadloomSessionService`: ADK's sessions, kept in Threadloom's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.platform import time as platform_time
from google.adk.sessions.base_session_service import (
    BaseSessionService,
    GetSessionConfig,
    ListSessionsResponse,
)
from google.adk.sessions.session import Session
from langgraph.store.base import BaseStore

from threadloom import (
    InvalidKey,
    SessionAdapter,
    SessionConflict,
    SessionInfo,
    SessionManager,
    SessionNotFound,
    SessionStream,
    StreamPage,
    compose_id,
    inner_id,
)
from threadloom_google_adk.records import Delta, read_event, record_of
from threadloom_google_adk.showing import first_of, live, rewinds, shows

FRAMEWORK: Final = "google-adk"
"""What `SessionInfo.framework` says of sessions that began here."""

EVENTS: Final = "google-adk/events"
"""The stream that holds a session's events."""

Fields = Mapping[str, Any]


class Found(NamedTuple):
    """A session's stream as it was read; `page.session` is None where there is no session."""

    stream: SessionStream
    page: StreamPage


class ThreadloomSessionService(SessionAdapter, BaseSessionService):
    """A session service of ADK on any of Threadloom's stores.

    An application's name becomes a session's `agent_name`, the user's id its `owner`, and the
    events a stream of it. One event and the changes of state that it brings are stored together
    or not at all. Use one service from one event loop or from several, and from any number of
    processes.

    Args:
        store: a `SessionManager` or a store, which stays its owner's to close, or the URL of a
            store, such as ``sqlite:///sessions.db``: then `close`, or leaving ``async with``,
            closes it.
        **options: of `SessionManager`, where none is given.

    Raises:
        InvalidKey: the URL makes no sense, or options are given with a manager.
        MissingAdapter: the URL needs a package that is not installed.
        StoreUnavailable: the store cannot be opened.
    """

    def __init__(self, store: SessionManager | BaseStore | str, **options: Any) -> None:
        super().__init__(store, **options)

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Begin a session.

        Args:
            app_name: the application.
            user_id: whose session it is.
            state: what its state is at the beginning, with the prefixes ``app:`` and ``user:``;
                what begins with ``temp:`` is left out.
            session_id: its id, without the blanks around it; a new UUID by default.

        Raises:
            AlreadyExistsError: there is such a session, or one with the id that it would have
                belongs to another framework, application or user.
            InvalidKey: the names cannot be stored.
            SerializationError: the state cannot be stored.
            SessionConflict: another program changed the session 100 times meanwhile.
        """
        id = (session_id or "").strip() or str(uuid4())
        place = compose_id(app_name, user_id, id)
        stream = self._stream(place, app_name, user_id)
        delta = Delta.of(state)
        now = platform_time.get_time()
        begins: dict[str, Any] = {
            "expect": 0,
            "note": _note(now),
            "state": delta.session,
            "shared": _shared(app_name, user_id, delta),
        }
        tries = 0
        while True:
            tries += 1
            version = await self._check_free(place, app_name, user_id, id)
            try:
                page = await stream.aappend([], session_version=version, **begins)
                break
            except SessionNotFound:  # the manager's sessions do not begin by themselves
                if tries == _TRIES:
                    raise
                await self.sessions.acreate_session(
                    id=place, agent_name=app_name, owner=user_id, if_exists="return"
                )
            except SessionConflict as error:  # whose it is now has to be looked at
                if error.expected is None or tries == _TRIES:
                    raise
        app, user = await self._shared_states(app_name, user_id)
        return _session(app_name, user_id, id, page, app, user)

    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        """A session with its events, or None.

        Args:
            app_name: the application.
            user_id: whose session it is.
            session_id: its id; also the id of a fork that Threadloom made.
            config: which events: the newest `num_recent_events` at most, and none that are
                older than `after_timestamp` (seconds since the epoch).
        """
        recent = config.num_recent_events if config else None
        since = config.after_timestamp if config else None
        limit = None if since is not None else recent
        found = await self._find(app_name, user_id, session_id.strip(), limit=limit)
        if found.page.session is None:
            return None
        events = [read_event(item) for item in found.page.items]
        if since is not None:
            events = [event for event in events if event.timestamp >= since]
        if recent is not None:
            events = events[max(len(events) - recent, 0) :]
        app, user = await self._shared_states(app_name, user_id)
        id = _adk_id(found.page.session)
        return _session(app_name, user_id, id, found.page, app, user, events)

    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """The sessions of an application, or of one of its users, without their events.

        Those that were changed least recently come first.

        Raises:
            InvalidKey: a name cannot be stored.
        """
        found = await self.sessions.alist_sessions(
            framework=FRAMEWORK, agent_name=app_name, owner=user_id
        )
        infos = [info for info in found if info.owner and user_id in (None, info.owner)]
        pages = await self.sessions.aread_streams(infos, EVENTS, limit=0)
        users = dict.fromkeys(info.owner for info in infos if info.owner)
        shared = await self.sessions.ashared_states(
            [_app_scope(app_name), *(_user_scope(app_name, user) for user in users)]
        )
        app = shared[_app_scope(app_name)]
        sessions = [
            _session(app_name, user, _adk_id(info), page, app, shared[_user_scope(app_name, user)])
            for page in pages.values()
            if (info := page.session) and (user := info.owner) in users
        ]
        sessions.sort(key=lambda session: (session.last_update_time, session.user_id, session.id))
        return ListSessionsResponse(sessions=sessions)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session, if there is one; the user's and the application's state stay."""
        found = await self._find(app_name, user_id, session_id.strip(), limit=0)
        if found.page.session is not None:
            await self.sessions.adelete_session(found.page.session)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The state that all sessions of a user share, without the prefix ``user:``.

        Raises:
            InvalidKey: a name cannot be stored.
        """
        _, user = await self._shared_states(app_name, user_id)
        return dict(user)

    async def append_event(self, session: Session, event: Event) -> Event:
        """Store an event and the changes of state that it brings, all or nothing.

        An event that is stored already is not stored again. Partial events are not stored, nor
        is state that begins with ``temp:``, which only `session` gets.

        Args:
            session: what `create_session` or `get_session` gave; it gets the event, too.
            event: the event.

        Raises:
            StaleSessionError: the stored session has changed since `session` was read.
            SessionNotFoundError: there is no such session any more.
            SessionConflict: another event with the same id is stored, or the turn that this
                belongs to is over.
            SerializationError: the event or the state cannot be stored: they are not JSON, are
                nested too deeply, or hold lone surrogates.
            InvalidKey: the event's id, or the name of a state that sessions share, cannot be.
        """
        if event.partial:
            return event
        # Tasks that share one `Session` append one after the other, and none finds it stale.
        async with self._one_by_one(session.app_name, session.user_id, session.id):
            stream, page = await self._find(session.app_name, session.user_id, session.id, limit=1)
            if page.session is None:
                raise SessionNotFoundError(f"Session {session.id} not found.")
            record = record_of(event)
            if await _is_there(stream, event.id, record):
                return event
            if _is_stale(session, page):
                raise StaleSessionError(_STALE)
            delta = Delta.of(event.actions.state_delta)
            try:
                written = await stream.aappend(
                    [record],
                    ids=[event.id],
                    line=await _line(stream, page, record),
                    expect=page.revision,
                    note=_note(event.timestamp),
                    state=delta.session,
                    shared=_shared(session.app_name, session.user_id, delta),
                )
            except SessionConflict as error:
                if error.expected is None:
                    raise
                raise StaleSessionError(_STALE) from error
            session.last_update_time = event.timestamp
            session._storage_update_marker = str(written.revision)
            return await super().append_event(session=session, event=event)

    async def close(self) -> None:  # type: ignore[override]  # as ADK's own services have it
        """Close the store, if it was opened here, by its URL."""
        await self.aclose()

    async def _check_free(self, place: str, app: str, user: str, id: str) -> int:
        """Whether a session may begin at a place; the version of what is there, 0 for nothing.

        Raises:
            AlreadyExistsError: it may not.
        """
        there = await self.sessions.aget_session(place)
        if there is not None:
            if there.framework not in (None, FRAMEWORK):
                raise AlreadyExistsError(f"Session with id {id} belongs to {there.framework}.")
            if there.agent_name not in (None, app) or there.owner not in (None, user):
                raise AlreadyExistsError(f"Session with id {id} belongs to another app or user.")
        if (await self._find(app, user, id, limit=0)).page.session is not None:
            raise AlreadyExistsError(f"Session with id {id} already exists.")
        return 0 if there is None else there.version

    async def _find(self, app: str, user: str, id: str, *, limit: int | None) -> Found:
        """The session with an id of ADK's."""
        try:
            place = compose_id(app, user, id)
        except InvalidKey:  # there cannot be one
            return Found(self.sessions.stream("none", EVENTS), StreamPage())
        # A fork of Threadloom's has an id that is not made of the three names.
        for candidate in (place, id):
            stream = self._stream(candidate, app, user)
            page = await stream.aread(limit)
            info = page.session
            if info is not None and _adk_id(info) == id:
                if (info.framework, info.agent_name, info.owner) == (FRAMEWORK, app, user):
                    return Found(stream, page)
        return Found(stream, StreamPage())

    def _stream(self, place: str, app: str, user: str) -> SessionStream:
        return self.sessions.stream(
            place, EVENTS, shows=shows, framework=FRAMEWORK, agent_name=app, owner=user
        )

    async def _shared_states(self, app: str, user: str) -> tuple[Fields, Fields]:
        scopes = _app_scope(app), _user_scope(app, user)
        found = await self.sessions.ashared_states(scopes)
        return found[scopes[0]], found[scopes[1]]


_TRIES = 100
_STALE = "The stored session has changed since this one was read: get it again."


def _adk_id(info: SessionInfo) -> str:
    """ADK's id of a session: what its own id has behind application and user, or all of it."""
    return inner_id(info.id, info.agent_name, info.owner)


def _app_scope(app: str) -> tuple[str, ...]:
    return (FRAMEWORK, "app", app)


def _user_scope(app: str, user: str) -> tuple[str, ...]:
    return (FRAMEWORK, "user", app, user)


def _shared(app: str, user: str, delta: Delta) -> dict[tuple[str, ...], Fields]:
    return {_app_scope(app): delta.app, _user_scope(app, user): delta.user}


def _note(update_time: float) -> dict[str, float]:
    return {"update_time": update_time}


def _update_time(page: StreamPage) -> float:
    if page.note is None:  # a chat history of the session was cleared, and its streams with it
        return 0.0 if page.session is None else page.session.updated_at.timestamp()
    return float(page.note["update_time"])


def _session(
    app: str,
    user: str,
    id: str,
    page: StreamPage,
    app_state: Fields,
    user_state: Fields,
    events: list[Event] | None = None,
) -> Session:
    session = Session(
        app_name=app,
        user_id=user,
        id=id,
        state=Delta.merged(page.state or {}, app_state, user_state),
        events=events or [],
        last_update_time=_update_time(page),
    )
    session._storage_update_marker = str(page.revision)
    return session


def _is_stale(session: Session, page: StreamPage) -> bool:
    """Whether a session was read before the last change of what is stored."""
    marker = session._storage_update_marker
    if marker is not None:
        return marker != str(page.revision)
    # One that came by HTTP or was put together by hand.
    last = page.items[-1]["id"] if page.items else None
    if session.events:
        return last != session.events[-1].id
    return last is not None and _update_time(page) > session.last_update_time


async def _is_there(stream: SessionStream, id: str, record: Fields) -> bool:
    """Whether an event is stored already.

    Raises:
        SessionConflict: another one is stored under its id.
    """
    places = await stream.afind([id])
    if id not in places:
        return False
    page = await stream.aread(1, before=places[id] + 1)
    if page.items and page.items[-1] != record:
        raise SessionConflict(f"session {stream.session_id!r} has another event with the id {id!r}")
    return bool(page.items)


async def _line(stream: SessionStream, page: StreamPage, record: Fields) -> list[int] | None:
    """The events that a rewind of ADK's own leaves; None where it is none.

    Raises:
        StaleSessionError: others have been added meanwhile.
    """
    invocation = rewinds(record)
    if invocation is None:
        return None
    whole = await stream.aread()
    if whole.revision != page.revision:
        raise StaleSessionError(_STALE)
    first = first_of(invocation, whole.items)
    if first is None:
        return None
    # Of the events before it, those that an earlier rewind took back stay away.
    return [whole.positions[at] for at in live(whole.items[:first])]
