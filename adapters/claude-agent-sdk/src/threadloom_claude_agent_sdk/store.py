"""`ThreadloomSessionStore`: transcripts of the Claude Agent SDK as sessions of Threadloom."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from claude_agent_sdk import (
    SessionKey,
    SessionListSubkeysKey,
    SessionStore,
    SessionStoreEntry,
    SessionStoreListEntry,
    SessionSummaryEntry,
    fold_session_summary,
)
from langgraph.store.base import BaseStore

from threadloom import (
    InvalidKey,
    SessionAdapter,
    SessionChange,
    SessionConflict,
    SessionInfo,
    SessionManager,
    SessionStream,
    StreamPage,
    compose_id,
    inner_id,
    is_storable,
)
from threadloom_claude_agent_sdk.branching import conversation, last_link, turns_back
from threadloom_claude_agent_sdk.showing import shows

FRAMEWORK: Final = "claude-agent-sdk"
"""What `SessionInfo.framework` says of sessions that began here."""

TRANSCRIPT: Final = "claude-agent-sdk/transcript"
"""The stream with a session's own transcript; those of subagents have ``/SUBPATH`` behind it."""
_PROJECT = "project_key"
_TRIES = 100


class _Digest(NamedTuple):
    """What is kept beside a transcript, so that nothing of it has to be read again.

    Attributes:
        last: the id of the last entry that others may follow.
        titles: the last title of each kind, and the tag.
        summary: what the SDK makes of all entries, for its listings.
    """

    last: str | None
    titles: dict[str, str]
    summary: dict[str, Any]

    def after(self, key: SessionKey, entries: Sequence[Any]) -> _Digest:
        """The same with more entries."""
        before: SessionSummaryEntry = {
            "session_id": key["session_id"],
            "mtime": 0,
            "data": self.summary,
        }
        titles = dict(self.titles)
        for entry in entries:
            for field in ("customTitle", "aiTitle"):
                if isinstance(entry.get(field), str):
                    titles[field] = _printable(entry[field])
            if entry.get("type") == "tag":
                titles["tag"] = _printable(entry.get("tag"))
        data = fold_session_summary(before, key, list(entries))["data"]
        return _Digest(last_link(entries, self.last), titles, data)

    @property
    def title(self) -> str:
        return self.titles.get("customTitle") or self.titles.get("aiTitle") or ""


_EMPTY = _Digest(None, {}, {})


class ThreadloomSessionStore(SessionAdapter, SessionStore):
    """A session store of the Claude Agent SDK that keeps transcripts in Threadloom's sessions.

    The SDK's session ``ID`` of project ``KEY`` is the session ``compose_id(KEY, ID)``; a fork that
    Threadloom made is found under its own id, in the project that it was forked in. Entries come
    back exactly as they were given. The conversation in them is the session's conversation, so
    `SessionManager.messages`, search, fork, rewind, export and retention work on it.

    Works on asyncio (Threadloom has no event loop but that), from any number of loops, threads and
    processes at once.

    Args:
        store: a manager or a store, which stays its owner's to close; or a URL of a store, such as
            ``"sqlite:///sessions.db"``, which is closed by `aclose`.
        agent_name: the agent's name, which sessions that begin here get.
        owner: whose they are.

    Attributes:
        sessions: the manager.

    Raises:
        InvalidKey: the store is none; in any method, for a key that cannot be stored, such as an
            empty subpath.
    """

    def __init__(
        self,
        store: SessionManager | BaseStore | str,
        *,
        agent_name: str = "claude",
        owner: str | None = None,
    ) -> None:
        super().__init__(store)
        self._agent_name, self._owner = agent_name, owner

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Add entries at the end, all or none; one whose ``uuid`` is stored already is left out.

        One without a ``uuid``, such as a title, is added each time that it is given; a ``uuid``
        with NUL or a lone surrogate in it counts as none. Title, tag and project of the session
        change together with the entries that say so.

        Only where an entry behind the first goes back to an earlier point of the conversation are
        they added in several steps.

        Raises:
            SessionConflict: others were faster 100 times, or the turn that this belongs to is over.
        """
        if not entries:
            return
        own = compose_id(key["project_key"], key["session_id"])
        # In the order in which they were called.
        async with self._one_by_one(own):
            rest: Sequence[SessionStoreEntry] = entries
            tries = 0
            while rest:
                try:
                    rest = await self._append(key, rest)
                except SessionConflict as error:
                    tries += 1
                    if error.expected is None or tries == _TRIES:
                        raise
                    await asyncio.sleep(random.uniform(0, 0.002 * min(tries, 10)))  # noqa: S311

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """All entries of a transcript; None for one that was never written."""
        _, page = await self._open(key, None)
        return cast("list[SessionStoreEntry]", list(page.items)) if page.revision else None

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """The sessions of a project, newest first, with the times of their last change."""
        return [
            {"session_id": id, "mtime": _mtime(page)} for id, page in await self._list(project_key)
        ]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """What the SDK's listings show of a project's sessions, without reading transcripts.

        One that Threadloom has rewound, or cut in a fork, is read, until something is added to it.
        """
        found: list[SessionSummaryEntry] = []
        for id, page in await self._list(project_key):
            key: SessionKey = {"project_key": project_key, "session_id": id}
            digest = _digest(page)
            if digest is None:
                stream, _ = await self._open(key, 0)
                page = await stream.aread()
                if not page.revision:
                    continue  # deleted just now
                digest = _EMPTY.after(key, page.items)
            found.append({"session_id": id, "mtime": _mtime(page), "data": digest.summary})
        return found

    async def delete(self, key: SessionKey) -> None:
        """Delete a session with all that belongs to it, or one subagent's transcript."""
        stream, page = await self._open(key, 0)
        if page.session is None:
            return
        if "subpath" in key:
            await stream.adrop()
        else:
            await self.sessions.adelete_session(page.session)

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """The subpaths of a session's transcripts, in the order in which they began."""
        stream, _ = await self._open(cast(SessionKey, key), 0)
        names = await self.sessions.alist_streams(stream.session_id)
        prefix = f"{TRANSCRIPT}/"
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    # ── Sessions by the SDK's keys ────────────────────────────────────────────────────────────

    def _stream(self, id: str, key: SessionKey) -> SessionStream:
        subpath = key.get("subpath")
        if subpath == "":
            raise InvalidKey("a subpath must not be empty; leave it out for the session's own")
        return self.sessions.stream(
            id,
            TRANSCRIPT if subpath is None else f"{TRANSCRIPT}/{subpath}",
            shows=shows if subpath is None else None,
            framework=FRAMEWORK,
            agent_name=self._agent_name,
            owner=self._owner,
            metadata={_PROJECT: key["project_key"]},
        )

    async def _open(self, key: SessionKey, limit: int | None) -> tuple[SessionStream, StreamPage]:
        """A transcript and its newest entries, wherever it is; where it would begin if nowhere."""
        stream = self._stream(compose_id(key["project_key"], key["session_id"]), key)
        page = await stream.aread(limit)
        if page.session is None:
            fork = await self.sessions.aget_session(key["session_id"])
            if fork is not None and _is_in(fork, key["project_key"]):
                stream = self._stream(fork.id, key)
                page = await stream.aread(limit)
        return stream, page

    async def _list(self, project_key: str) -> list[tuple[str, StreamPage]]:
        """A project's sessions with transcripts of their own, by the SDK's ids, newest first."""
        infos = await self.sessions.alist_sessions(
            framework=FRAMEWORK, metadata={_PROJECT: project_key}, order_by="updated_at"
        )
        pages = await self.sessions.aread_streams(infos, TRANSCRIPT, limit=0)
        return [
            (inner_id(info.id, project_key), page)
            for info in infos
            if (page := pages.get(info.id)) is not None and page.revision
        ]

    # ── Appending ─────────────────────────────────────────────────────────────────────────────

    async def _append(
        self, key: SessionKey, entries: Sequence[SessionStoreEntry]
    ) -> Sequence[SessionStoreEntry]:
        """Add as many entries as can be added at once; returns those that are left."""
        stream, page = await self._open(key, 0)
        fresh = await _new(stream, entries)
        if not fresh:
            return ()
        if "subpath" in key:
            ids = [_uuid(entry) for entry in fresh]
            await stream.aappend(fresh, ids=ids, expect=page.revision)
            return ()
        digest = _digest(page)
        if digest is None:
            whole = await stream.aread()
            digest = _EMPTY.after(key, whole.items)
        part, goes_back = _first_part(fresh, digest.last)
        line = None
        if goes_back:
            whole = await stream.aread()
            stored = len(whole.items)
            stays = conversation([*whole.items, *part])
            line = [whole.positions[at] for at in stays if at < stored]
        after = digest.after(key, part)
        await stream.aappend(
            part,
            ids=[_uuid(entry) for entry in part],
            expect=page.revision,
            note=after._asdict(),
            line=line,
            session=_change(key, page.session, digest, after),
        )
        return fresh[len(part) :]


def _change(
    key: SessionKey, session: SessionInfo | None, before: _Digest, now: _Digest
) -> SessionChange:
    """What the session gets with the entries: the title and the tag that they give it.

    And its project, where it was there before: listings of the project have to find it.
    """
    old, new = before.titles.get("tag"), now.titles.get("tag")
    is_listed = session is not None and _PROJECT in session.metadata
    return SessionChange(
        name=now.title if now.title and now.title != before.title else None,
        untag=[old] if old and old != new else [],
        tags=[new] if new and old != new else [],
        metadata={} if is_listed else {_PROJECT: key["project_key"]},
    )


async def _new(stream: SessionStream, entries: Sequence[Any]) -> list[Any]:
    """The entries that are not stored yet."""
    ids = [id for entry in entries if (id := _uuid(entry)) is not None]
    known = set(await stream.afind(ids)) if ids else set()
    fresh: list[Any] = []
    for entry in entries:
        id = _uuid(entry)
        if id is None or id not in known:
            fresh.append(entry)
        if id is not None:
            known.add(id)
    return fresh


def _first_part(entries: Sequence[Any], last: str | None) -> tuple[Sequence[Any], bool]:
    """Entries up to the next one that goes back; whether the first of them goes back itself."""
    goes_back = turns_back(entries[0], last)
    last = last_link(entries[:1], last)
    for at, entry in enumerate(entries[1:], 1):
        if turns_back(entry, last):
            return entries[:at], goes_back
        last = last_link([entry], last)
    return entries, goes_back


def _digest(page: StreamPage) -> _Digest | None:
    """What is kept beside a transcript; None where it is not about the entries that are there."""
    if not page.revision:
        return _EMPTY
    note = page.note
    if not page.note_current or not isinstance(note, dict) or set(note) != set(_Digest._fields):
        return None
    return _Digest(**note)


def _is_in(session: SessionInfo, project_key: str) -> bool:
    return session.framework == FRAMEWORK and session.metadata.get(_PROJECT) == project_key


def _mtime(page: StreamPage) -> int:
    """Milliseconds since the epoch of the session's last change."""
    return 0 if page.session is None else int(page.session.updated_at.timestamp() * 1000)


def _uuid(entry: Any) -> str | None:
    """The id that an entry is stored under; None where it has none, or none that can be."""
    uuid = entry.get("uuid")
    return uuid if isinstance(uuid, str) and uuid and is_storable(uuid) else None


def _printable(text: Any) -> str:
    """What a name or a tag may hold."""
    return "".join(filter(str.isprintable, text)).strip() if isinstance(text, str) else ""
