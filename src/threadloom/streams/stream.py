"""`SessionStream`: an ordered list of a framework's own items in a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from threadloom.models import StreamPage
from threadloom.plans import Plan, arun, run
from threadloom.store import Store
from threadloom.streams import plans, reading
from threadloom.streams.site import Site
from threadloom.streams.writing import KEEP, Beside, SessionChange

Scopes = Mapping[tuple[str, ...], Mapping[str, Any]]


class SessionStream:
    """An ordered list of items in a session, kept exactly as they were given.

    `SessionManager.stream` makes it. An item is JSON, or anything else that a message's content
    may hold. Items are added and taken away at the end; each has a position, which is never used
    again. What is changed with one call is changed as a whole or not at all, and is safe from
    any thread, event loop and process.

    Attributes:
        session_id: the session that it belongs to.
        name: what it is called.
    """

    def __init__(self, store: Store, site: Site) -> None:
        self._store, self._site = store, site
        self.session_id = site.paths.id
        self.name = site.name

    def read(self, limit: int | None = None, *, before: int | None = None) -> StreamPage:
        """The newest items in order, and what is kept beside them, as of one moment.

        Args:
            limit: at most so many; costs what it returns.
            before: only those before this position.
        """
        return run(reading.read(self._site, limit=limit, before=before), self._store)

    async def aread(self, limit: int | None = None, *, before: int | None = None) -> StreamPage:
        """`read`, from an event loop."""
        return await arun(reading.read(self._site, limit=limit, before=before), self._store)

    def find(self, ids: Sequence[str]) -> dict[str, int]:
        """The positions of items by the ids that they were added with.

        An id that no item has, or could have, is left out.
        """
        return run(reading.find(self._site, ids), self._store)

    async def afind(self, ids: Sequence[str]) -> dict[str, int]:
        """`find`, from an event loop."""
        return await arun(reading.find(self._site, ids), self._store)

    def append(
        self,
        items: Sequence[Any],
        *,
        ids: Sequence[str | None] | None = None,
        line: Sequence[int] | None = None,
        expect: int | None = None,
        note: Any = KEEP,
        state: Mapping[str, Any] | None = None,
        shared: Scopes | None = None,
        session: SessionChange | None = None,
        session_version: int | None = None,
    ) -> StreamPage:
        """Add items at the end, all or none; the session begins here if it does not exist.

        Args:
            items: what is added; none of it where only what is beside the items changes.
            ids: an id for each item, or None for those without. An item whose id is stored
                already is not added again.
            line: positions of stored items, in order, which are what the conversation consists
                of before the new items: messages that show others are removed. For frameworks
                whose conversations branch. By default it goes on where it is.
            expect: the revision that the stream has to be at; 0 where it must not be there yet.
            note: a value that is kept with the stream, in the place of the one before; None
                for none.
            state: fields of the session's state to set.
            shared: fields of shared states to set, by their scopes (see
                `SessionManager.shared_state`).
            session: what changes of the session's own record: name, tags, metadata.
            session_version: the `SessionInfo.version` that the session has to be at; 0 where it
                must not be there yet.

        Returns what was added, and the stream's new revision. Where the engine can write only
        one session at once (see `Capabilities.atomic_everywhere`), shared states are written
        first.

        Raises:
            SessionConflict: the stream is at another revision or the session at another version,
                or the stream has another item with one of the ids.
            SessionNotFound: the session does not exist and may not begin by itself.
            SerializationError: an item, the note, a state or metadata cannot be stored.
            InvalidKey: an id, a line, a name or a tag is none.
        """
        beside = Beside(expect, note, state, shared, session, session_version)
        return run(self._append(items, ids, line, beside), self._store)

    async def aappend(
        self,
        items: Sequence[Any],
        *,
        ids: Sequence[str | None] | None = None,
        line: Sequence[int] | None = None,
        expect: int | None = None,
        note: Any = KEEP,
        state: Mapping[str, Any] | None = None,
        shared: Scopes | None = None,
        session: SessionChange | None = None,
        session_version: int | None = None,
    ) -> StreamPage:
        """`append`, from an event loop."""
        beside = Beside(expect, note, state, shared, session, session_version)
        return await arun(self._append(items, ids, line, beside), self._store)

    def _append(
        self,
        items: Sequence[Any],
        ids: Sequence[str | None] | None,
        line: Sequence[int] | None,
        beside: Beside,
    ) -> Plan[StreamPage]:
        written = yield from plans.append(self._site, items, ids, beside, line=line)
        return written.page

    def replace(
        self,
        items: Sequence[Any],
        *,
        ids: Sequence[str | None] | None = None,
        expect: int | None = None,
        note: Any = KEEP,
        state: Mapping[str, Any] | None = None,
        shared: Scopes | None = None,
    ) -> StreamPage:
        """Make the stream hold these items and no others; a beginning that is the same stays.

        Arguments and errors are as with `append`.
        """
        return run(self._replace(items, ids, Beside(expect, note, state, shared)), self._store)

    async def areplace(
        self,
        items: Sequence[Any],
        *,
        ids: Sequence[str | None] | None = None,
        expect: int | None = None,
        note: Any = KEEP,
        state: Mapping[str, Any] | None = None,
        shared: Scopes | None = None,
    ) -> StreamPage:
        """`replace`, from an event loop."""
        plan = self._replace(items, ids, Beside(expect, note, state, shared))
        return await arun(plan, self._store)

    def _replace(
        self, items: Sequence[Any], ids: Sequence[str | None] | None, beside: Beside
    ) -> Plan[StreamPage]:
        written = yield from plans.replace(self._site, items, ids, beside)
        return written.page

    def pop(self) -> Any:
        """Take the newest item away and return it; None where there is none.

        In a conversation that has branched it may be an item of another branch.
        """
        return run(self._pop(), self._store)

    async def apop(self) -> Any:
        """`pop`, from an event loop."""
        return await arun(self._pop(), self._store)

    def _pop(self) -> Plan[Any]:
        written = yield from plans.pop(self._site)
        return written.removed[0] if written.removed else None

    def clear(self) -> int:
        """Take all items away, and the messages that show them; how many items there were.

        The session stays, and so do the stream's note, the state, and what came by other doors.
        """
        return run(self._clear(), self._store)

    async def aclear(self) -> int:
        """`clear`, from an event loop."""
        return await arun(self._clear(), self._store)

    def _clear(self) -> Plan[int]:
        written = yield from plans.clear(self._site)
        return len(written.removed)

    def drop(self) -> bool:
        """Take the whole stream away, its note as well; whether it was there."""
        return run(plans.drop(self._site), self._store)

    async def adrop(self) -> bool:
        """`drop`, from an event loop."""
        return await arun(plans.drop(self._site), self._store)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, {self.name!r})"
