"""What callers get back: frozen pydantic models of a session and what belongs to it, and lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from threadloom.clock import from_micros
from threadloom.displayed import Displayed, Rows, Tabular

SessionStatus = Literal["idle", "running", "interrupted", "error"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SessionContext(BaseModel):
    """Where a session takes place; every part is optional.

    Attributes:
        channel_id, room_id, sender_id: as the application calls them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel_id: str | None = None
    room_id: str | None = None
    sender_id: str | None = None


class SessionOrigin(BaseModel):
    """What a session was forked or copied from.

    Attributes:
        session_id: the other session.
        checkpoint_id: its checkpoint at which the copy ends.
        message_id: the last message that went along.
    """

    model_config = ConfigDict(frozen=True)

    session_id: str | None = None
    checkpoint_id: str | None = None
    message_id: str | None = None


class SessionInfo(Displayed, BaseModel):
    """One session as the index knows it, at the moment of reading.

    Wherever Threadloom asks for a session, this will do as well as its id; `str(info)` is
    the id, and `info.config` goes into graphs and chains.

    Attributes:
        id: the session's id, which is LangGraph's `thread_id`.
        name, owner, tags, agent_name: what it was given to be found by.
        framework: the framework whose adapter it began with, such as ``"openai-agents"``; None for
            sessions of LangGraph and LangChain.
        metadata: the user's own dict.
        context: the channel, room and sender it takes place in.
        created_at, updated_at: aware UTC; any activity moves the second.
        expires_at: when it ends without further activity; None for never.
        message_count: how many messages `SessionManager.messages` shows.
        turn_count: how many turns it has had: blocks of `turn`, and graph runs with new input
            outside of them. A rewind does not take them back, and a fork has its source's.
        total_tokens: `usage_metadata` of its AI messages, summed up, and what turns added.
        status: ``running`` from the beginning of a turn to its end, or until another turn takes
            over from one that died; else ``interrupted`` or ``error`` if the graph's head or the
            last turn says so, or what `set_status` said; else ``idle``.
        turn_id, turn_started_at: the turn that is running.
        origin: what it was copied from.
        conflicts: how often a graph run branched off because another was faster.
        version: grows with every change; hand it to `update_session` as `expected_version`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str = ""
    owner: str | None = None
    tags: tuple[str, ...] = ()
    agent_name: str | None = None
    framework: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    context: SessionContext = SessionContext()
    created_at: datetime = _EPOCH
    updated_at: datetime = _EPOCH
    expires_at: datetime | None = None
    message_count: int = 0
    turn_count: int = 0
    total_tokens: int = 0
    status: SessionStatus = "idle"
    turn_id: str | None = None
    turn_started_at: datetime | None = None
    origin: SessionOrigin | None = None
    conflicts: int = 0
    version: int = 0

    @property
    def config(self) -> RunnableConfig:
        """A fresh config that names this session to graphs and to chains."""
        return {"configurable": {"thread_id": self.id, "session_id": self.id}}

    def __str__(self) -> str:
        return self.id

    def __hash__(self) -> int:
        return hash(self.id)


SessionRef = str | SessionInfo
"""Wherever a session is asked for: its id, or its `SessionInfo`."""


def id_of(session: SessionRef) -> str:
    """The id of a session that is named either way."""
    return session.id if isinstance(session, SessionInfo) else session


class Session(Displayed, BaseModel):
    """A session whole, for code without a graph: `save_session` takes it, `load_session` gives it.

    Attributes:
        info: what the index knows. `save_session` takes its id, name, owner, tags, agent_name,
            metadata and, where it is set, its version.
        messages: the conversation.
        state: whatever the agent keeps, as JSON; None for nothing.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    info: SessionInfo
    messages: tuple[SerializeAsAny[BaseMessage], ...] = ()
    state: Any = None


class SessionPage(Rows[SessionInfo]):
    """A list of sessions that knows how the listing goes on.

    Attributes:
        cursor: hand it to `list_sessions(after=…)` for the next page; None at the end.
    """

    def __init__(self, sessions: Iterable[SessionInfo] = (), cursor: str | None = None) -> None:
        super().__init__(sessions)
        self.cursor = cursor


class SessionQuery(BaseModel):
    """What to search for: text, and the filters of `list_sessions`.

    Attributes:
        text: words, any of which may be there; never parsed as query syntax. Blank text finds
            every session, newest updated first.
        limit: at most so many sessions.
        owner, tags, agent_name, framework, status: as in `list_sessions`.
        context, metadata, created_since, updated_since: as in `list_sessions`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = ""
    limit: int = 50
    owner: str | None = None
    tags: str | tuple[str, ...] = ()
    agent_name: str | None = None
    framework: str | None = None
    status: SessionStatus | None = None
    context: SessionContext | None = None
    metadata: dict[str, Any] | None = None
    created_since: datetime | None = None
    updated_since: datetime | None = None


class SessionMatch(BaseModel):
    """A session that a search found.

    Attributes:
        session: the session.
        score: how well it fits, higher is better; comparable within one search only.
        snippet: the text around the first word that was found.
    """

    model_config = ConfigDict(frozen=True)

    session: SessionInfo
    score: float = 0.0
    snippet: str = ""


class SessionMatches(Rows[SessionMatch]):
    """The sessions that a search found, the best first."""


class TimestampedMessage(BaseModel):
    """A message of a conversation and the time when it was added.

    Attributes:
        message: the message.
        created_at: aware UTC.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    message: SerializeAsAny[BaseMessage]
    created_at: datetime


class MessageList(Rows[BaseMessage]):
    """A conversation, oldest first: a list like any other that knows when its messages were added.

    Attributes:
        times: by message id, when each was added, aware UTC. For messages of a graph it is the
            time of the checkpoint that they came with, or of one soon after it.
    """

    def __init__(
        self, messages: Iterable[BaseMessage] = (), times: Mapping[str, datetime] | None = None
    ) -> None:
        super().__init__(messages)
        self.times: dict[str, datetime] = dict(times or {})

    def _part(self, items: list[BaseMessage]) -> Self:
        return type(self)(items, self.times)

    @classmethod
    def of(cls, conversation: Iterable[tuple[int, BaseMessage]]) -> Self:
        """Messages with the times when they were added (microseconds; 0 where it is unknown)."""
        pairs = list(conversation)
        times = {message.id: from_micros(at) for at, message in pairs if message.id and at}
        return cls((message for _, message in pairs), times)


class StreamPage(BaseModel):
    """Items of a stream, and what is kept beside them, as of one moment.

    Attributes:
        session: the session; None where there is none.
        items: the items, oldest first, as they were given.
        positions: where each of them is; `SessionStream.append` takes them as `line`.
        revision: changes with every write to the stream; hand it to `SessionStream.append` as
            `expect`. 0 where there is no such stream.
        note: what is kept with the stream.
        note_current: whether there is a note, and no item has come or gone since it was written, by
            a rewind or in a cut fork either.
        state: the session's state (see `Session`).
    """

    model_config = ConfigDict(frozen=True)

    session: SessionInfo | None = None
    items: tuple[Any, ...] = ()
    positions: tuple[int, ...] = ()
    revision: int = 0
    note: Any = None
    note_current: bool = False
    state: Any = None


class PruneReport(Displayed, BaseModel):
    """What a prune removed, or would remove.

    Attributes:
        sessions: the ids of the sessions that had something to remove.
        checkpoints: how many checkpoints.
        records: how many records in all: checkpoints, pending writes, and what only they used.
        bytes: of these records.
        dry_run: whether nothing was really removed.
    """

    model_config = ConfigDict(frozen=True)

    sessions: tuple[str, ...] = ()
    checkpoints: int = 0
    records: int = 0
    bytes: int = 0
    dry_run: bool = False


class Problem(BaseModel):
    """One thing that is wrong in a store.

    Attributes:
        session_id: the session; empty for the store's files.
        kind: ``file`` (the store's own files are damaged), ``damaged`` (a record that cannot be
            read), ``dangling`` (a checkpoint that has lost part of a value, a message that shows
            items which are not there or shown by others), ``head``, ``abandoned`` (pending
            writes without a checkpoint), ``history`` (its index), ``stream`` (what belongs to
            its items), ``counts``, ``turn`` (one that died) or ``orphan`` (data without a
            session).
        detail: what and where.
        fixed: whether it was mended. ``file``, ``damaged`` and ``dangling`` cannot be.
    """

    model_config = ConfigDict(frozen=True)

    session_id: str
    kind: str
    detail: str
    fixed: bool = False


class CheckReport(Displayed, BaseModel):
    """What a check found.

    Attributes:
        sessions: how many sessions were looked at.
        problems: what is wrong, or was.
    """

    model_config = ConfigDict(frozen=True)

    sessions: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong any more."""
        return all(problem.fixed for problem in self.problems)


class MoveReport(Displayed, BaseModel):
    """What an export, an import or a copy did.

    Attributes:
        moved: the ids of the sessions that were written.
        skipped: the ids of those that were there already, or went away meanwhile.
    """

    model_config = ConfigDict(frozen=True)

    moved: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


class KindStats(BaseModel):
    """What the records of one kind take up.

    Attributes:
        kind: ``sessions``, ``messages``, ``items`` (of streams), ``checkpoints`` (with pending
            writes), ``elements`` (of lists and dicts), ``texts`` (long ones), ``values`` (of
            channels) or ``other``.
        records: how many there are.
        bytes: of their keys, documents, blobs and texts.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    records: int
    bytes: int


class StorageStats(Tabular, BaseModel):
    """What a tenant's sessions, or one of them, take up.

    Attributes:
        sessions: how many sessions.
        records, bytes: the sums of all kinds.
        file_bytes: the size of the store's files, where it has any, whosever data is in them;
            they hold indexes, too.
        kinds: kind by kind, the largest first.
    """

    model_config = ConfigDict(frozen=True)

    sessions: int
    records: int
    bytes: int
    file_bytes: int | None = None
    kinds: tuple[KindStats, ...] = ()
