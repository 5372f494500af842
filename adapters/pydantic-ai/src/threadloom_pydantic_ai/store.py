"""`ThreadloomConversationStore`: Pydantic AI's conversations as sessions.

A conversation is a session with the same id. Its entries are the items of the stream
``pydantic-ai/entries``, under the ids that the framework gave them; the stream's note holds the
record. Entries only ever come in behind the ones that they follow, so along every line of a
conversation that branches the positions of its entries rise.

Whoever rewinds or forks the session with Threadloom takes entries away without touching the note,
and the head with them. Then what is left decides (`_stand`).
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from langgraph.store.base import BaseStore
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)
from pydantic_ai.exceptions import UserError

from threadloom import SessionAdapter, SessionConflict, SessionInfo, SessionManager, SessionStream
from threadloom_pydantic_ai.codec import (
    dump_entry,
    dump_record,
    load_entries,
    load_record,
)
from threadloom_pydantic_ai.names import ENTRIES, FRAMEWORK
from threadloom_pydantic_ai.showing import shows_entries
from threadloom_pydantic_ai.tips import Tips

_PAGE = 100


class Standing(NamedTuple):
    """How a conversation stands.

    Attributes:
        record: its record; None where there is no conversation.
        stream_revision: of the stream with its entries.
        session: the session; None where there is none.
    """

    record: ConversationRecord | None
    stream_revision: int
    session: SessionInfo | None


class ThreadloomConversationStore(SessionAdapter, ConversationStore):
    """A conversation store over sessions; see Pydantic AI's `ConversationStore` for its methods.

    ::

        store = ThreadloomConversationStore("sqlite:///sessions.db")
        conversation = await store.load("trip") or Conversation(conversation_id="trip")
        result = await agent.run("Hi", conversation=conversation)
        await store.save(result)

    `delete` erases everything of a conversation. A fork has copies of the entries that it begins
    with, under the same ids, so deleting one conversation never harms another.

    Args:
        store: a `SessionManager` or a store, which stays its owner's to close, or the URL of a
            store, which `close` or `aclose` closes.
        agent_name: of the sessions that begin here. Conversations are found whatever it is.

    Raises:
        InvalidKey: the store cannot be used.
    """

    def __init__(
        self, store: SessionManager | BaseStore | str, *, agent_name: str | None = None
    ) -> None:
        super().__init__(store)
        self._agent_name = agent_name
        self._tips = Tips()

    # ── Reading ───────────────────────────────────────────────────────────────────────────────
    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """The record of a conversation, or None.

        Raises:
            CorruptRecord: it is damaged.
        """
        return (await self._stand(conversation_id)).record

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> list[ConversationRecord]:
        """The records of all conversations, or of those of one scope, last saved first.

        Args:
            scope: the owner of the sessions.
            limit: at most so many. Sessions are looked at in the order of their last activity, and
                no further than needed.
        """
        found: list[ConversationRecord] = []
        newest: list[datetime] = []  # when the newest `limit` of them were saved, the oldest first
        async for session in self._sessions(scope):
            if limit is not None and len(newest) >= limit:
                # A save is activity: whatever comes now was saved no later than it was active.
                if not newest or session.updated_at < newest[0]:
                    break
            record = (await self._stand(session.id)).record
            if record is None:
                continue
            found.append(record)
            heapq.heappush(newest, record.updated_at)
            if limit is not None and len(newest) > limit:
                heapq.heappop(newest)
        found.sort(key=lambda record: record.updated_at, reverse=True)
        return found[:limit]

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """The entry with this id.

        Where it was not handed out lately, all conversations are asked for it.

        Raises:
            KeyError: no conversation has it.
        """
        (entry,) = await self.read_history(entry_id, limit=1)
        return entry

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """The entries up to one of them, in order, or the last `limit`; as in `read_entry`."""
        if head_id is None or limit == 0:
            return []
        async for stream, position in self._places(head_id):
            return load_entries(await _line(stream, position, head_id, limit))
        raise KeyError(head_id)

    # ── Writing ───────────────────────────────────────────────────────────────────────────────
    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and new entries, all or nothing.

        Raises:
            ConversationConflict: the conversation is at another revision, or belongs to another
                owner, or what it goes on from is nowhere.
            SerializationError: a message cannot be written as JSON.
            UserError: the new entries do not lead to the head.
        """
        id = record.conversation_id
        start = _start(record, new_entries)
        now = await self._stand(id)
        stored = None if now.record is None else now.record.revision
        owner = None if now.session is None else now.session.owner
        if stored != expected_revision or (
            None not in (owner, record.scope) and owner != record.scope
        ):
            raise ConversationConflict(id)
        stream = self._stream(id, owner=record.scope)
        items = [dump_entry(entry) for entry in new_entries]
        line: list[int] | None = None
        if start != (None if now.record is None else now.record.head_id):
            line, before = await self._line_to(stream, start, record)
            items = [*before, *items]
        try:
            await stream.aappend(
                items,
                ids=[item["id"] for item in items],
                line=line,
                expect=now.stream_revision,
                note={"record": dump_record(record)},
            )
        except SessionConflict as error:
            raise ConversationConflict(id) from error
        self._remember(record)

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a conversation, and with it the session and everything in it.

        Raises:
            ConversationConflict: it is at another revision, or not there.
        """
        while True:
            now = await self._stand(conversation_id)
            if now.session is None or now.record is None:
                raise ConversationConflict(conversation_id)
            if now.record.revision != expected_revision:
                raise ConversationConflict(conversation_id)
            try:
                await self.sessions.adelete_session(
                    conversation_id, expected_version=now.session.version
                )
            except SessionConflict:
                continue  # it was saved, or only tagged: that the revision says
            return

    # ── Within ────────────────────────────────────────────────────────────────────────────────
    def _stream(self, id: str, owner: str | None = None) -> SessionStream:
        return self.sessions.stream(
            id,
            ENTRIES,
            shows=shows_entries,
            framework=FRAMEWORK,
            agent_name=self._agent_name,
            owner=owner,
        )

    async def _sessions(self, owner: str | None = None) -> AsyncIterator[SessionInfo]:
        """The framework's sessions, the last active first."""
        after: str | None = None
        while True:
            page = await self.sessions.alist_sessions(
                framework=FRAMEWORK, owner=owner, order_by="updated_at", limit=_PAGE, after=after
            )
            for session in page:
                yield session
            after = page.cursor
            if after is None:
                return

    async def _stand(self, id: str) -> Standing:
        """How a conversation stands, whatever was done to its session."""
        stream = self._stream(id)
        page = await stream.aread(limit=1)
        if page.session is None or page.note is None:
            return Standing(None, page.revision, page.session)
        record = load_record(page.note["record"])
        last = page.items[-1]["id"] if page.items else None
        if not page.note_current:
            left = await stream.afind([record.head_id or "", *record.branches])
            if record.head_id not in left:
                record = dataclasses.replace(
                    record,
                    head_id=last,
                    deferred_tool_requests=None,
                    branches=[tip for tip in record.branches if tip in left and tip != last],
                    # Who has loaded what was there before is not to save over it.
                    revision=f"{record.revision}:{page.revision}",
                )
        origin = page.session.origin
        if record.conversation_id != id and origin is not None:
            record.forked_from, record.forked_at = origin.session_id, record.head_id
        record.conversation_id = id
        record.scope = page.session.owner
        self._remember(record)
        return Standing(record, page.revision, page.session)

    def _remember(self, record: ConversationRecord) -> None:
        self._tips.put(record.conversation_id, record.head_id, *record.branches)

    async def _places(
        self, entry_id: str, first: str | None = None
    ) -> AsyncIterator[tuple[SessionStream, int]]:
        """Where an entry is: its stream and its position, in each conversation that has it.

        Args:
            entry_id: the entry.
            first: a conversation to be asked before others.
        """
        likely = [id for id in (first, self._tips.get(entry_id)) if id is not None]
        for id in dict.fromkeys(likely):
            if (place := await self._place(id, entry_id)) is not None:
                yield place
        async for session in self._sessions():
            if session.id not in likely:
                if (place := await self._place(session.id, entry_id)) is not None:
                    yield place

    async def _place(self, id: str, entry_id: str) -> tuple[SessionStream, int] | None:
        stream = self._stream(id)
        position = (await stream.afind([entry_id])).get(entry_id)
        return None if position is None else (stream, position)

    async def _line_to(
        self, stream: SessionStream, start: str | None, record: ConversationRecord
    ) -> tuple[list[int], list[Any]]:
        """What leads to an entry: the positions of stored entries, and those to be copied.

        Raises:
            ConversationConflict: the entry is nowhere.
        """
        page = await stream.aread()
        places = dict(zip((str(item["id"]) for item in page.items), page.positions, strict=True))
        parents = {item["id"]: item["parent_id"] for item in page.items}
        line: list[int] = []
        copies: list[Any] = []
        if start in places:
            at: str | None = start
            while at is not None:
                line.append(places[at])
                at = parents[at]
            line.reverse()
        elif start is not None:
            for item in await self._elsewhere(start, record):
                if item["id"] in places:
                    line.append(places[item["id"]])
                else:
                    copies.append(item)
        return line, copies

    async def _elsewhere(self, entry_id: str, record: ConversationRecord) -> list[Any]:
        """The items that lead to an entry of another conversation.

        Raises:
            ConversationConflict: it is nowhere.
        """
        try:
            async for stream, position in self._places(entry_id, record.forked_from):
                return await _line(stream, position, entry_id, None)
        except KeyError as error:  # somebody deletes or rewinds that conversation right now
            raise ConversationConflict(record.conversation_id) from error
        raise ConversationConflict(record.conversation_id)


def _start(record: ConversationRecord, new_entries: Sequence[ConversationEntry]) -> str | None:
    """The entry that a write goes on from."""
    at = new_entries[0].parent_id if new_entries else record.head_id
    start = at
    for entry in new_entries:
        if entry.parent_id != at:
            raise UserError(f"Entry {entry.id!r} does not follow the new entry before it.")
        at = entry.id
    if at != record.head_id:
        raise UserError("The new entries have to lead to the record's head.")
    return start


async def _line(stream: SessionStream, position: int, head: str, limit: int | None) -> list[Any]:
    """The items that lead to one at a position, in order, or the last `limit` of them.

    Raises:
        KeyError: one is gone.
    """
    found: list[Any] = []
    wanted: str | None = head
    before, size = position + 1, limit
    while wanted is not None and (limit is None or len(found) < limit):
        page = await stream.aread(size, before=before)
        if not page.items:
            raise KeyError(wanted)
        for item in reversed(page.items):
            if item["id"] == wanted and (limit is None or len(found) < limit):
                found.append(item)
                wanted = item["parent_id"]
        before = page.positions[0]
        size = None if size is None else 2 * size
    found.reverse()
    return found
