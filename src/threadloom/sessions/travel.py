"""Plans that fork and rewind whole sessions: history, summary, state and graph together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import BaseMessage

from threadloom import index
from threadloom.checkpoint import travel
from threadloom.checkpoint.graph_state import Graph, read_graph
from threadloom.checkpoint.head_messages import end_of, head_messages
from threadloom.checkpoint.layout import Head, Place, Stored
from threadloom.checkpoint.namespaces import WholeSession, read_session
from threadloom.checkpoint.standing import put_head
from threadloom.errors import InvalidKey, UnsupportedByStore
from threadloom.history import records as history
from threadloom.history.records import FIRST, LAST, Entry
from threadloom.history.summary import SUMMARY, outlives
from threadloom.keys import NEXT_POSITION, SessionPaths, check_text, decode_id, message_key
from threadloom.models import Session, SessionInfo
from threadloom.ops import (
    PRESENT,
    Check,
    CopyTree,
    Delete,
    ExpectationFailed,
    Get,
    Op,
    Record,
    Scan,
)
from threadloom.plans import Plan, retrying
from threadloom.records import copied
from threadloom.scope import Scope
from threadloom.sessions import whole
from threadloom.sessions.conversation import merged
from threadloom.store import Capabilities
from threadloom.streams import cutting
from threadloom.values import Values

_HASTY = 5
"""How often a fork tries to copy a session as it stands, before it reads it as of one moment."""
_OF_ONE_LIFE = (*index.OF_A_TURN, "conflicts", "began")
"""What a fork does not take along."""


class Cut(NamedTuple):
    """Up to where a conversation stays.

    Attributes:
        target: the checkpoint that is gone back to; None where the graph stays as it is.
        graph: the graph's messages that stay.
        kept: the messages of the history that stay.
        removed: those that do not.
        complete: whether everything stays.
    """

    target: Stored | None
    graph: Sequence[BaseMessage]
    kept: Sequence[Entry]
    removed: Sequence[Entry]
    complete: bool

    def keeps(self, summary: Record) -> bool:
        """Whether a summary tells of nothing that goes, as far as it says what it covers."""
        return self.complete or outlives(summary, (entry.record.key for entry in self.removed))

    def fields(self) -> dict[str, int]:
        """What the session's record says of both doors."""
        in_graph = {message_key(message.id) for message in self.graph if message.id}
        both = [entry for entry in self.kept if entry.key in in_graph]
        shared = history.counts(both)
        return {
            **history.counts(self.kept),
            "shared_messages": shared["history_messages"],
            "shared_tokens": shared["history_tokens"],
        }


def rewind(
    scope: Scope,
    values: Values,
    paths: SessionPaths,
    *,
    checkpoint_id: str | None,
    messages: int | None,
) -> Plan[Session]:
    """Take a session back to a checkpoint, or to its first messages.

    Raises:
        SessionNotFound: there is no such session.
        CheckpointNotFound: there is no such checkpoint, or none of exactly that conversation.
        InvalidKey: not exactly one of the two is given, or it makes no sense.
    """
    _check_goal(checkpoint_id, messages)
    if (checkpoint_id is None) == (messages is None):
        raise InvalidKey("a rewind goes to a checkpoint_id or to a number of messages")

    def attempt() -> Plan[None]:
        found, graph, cut = yield from _look(
            scope, values, paths, checkpoint_id, messages, content=False
        )
        session = found.session
        now = scope.now()
        ops: list[Op] = [op for entry in cut.removed for op in entry.removal()]
        for stream in cutting.cut(found.streams, cut.kept, cut.removed):
            ops += stream.ops()
        fields: dict[str, object] = {}
        if cut.target is not None:
            undone = yield from travel.rewind(values, graph, cut.target, now)
            ops += undone.ops
            fields |= undone.fields
        if any(record.key == SUMMARY and not cut.keeps(record) for record in found.memory):
            ops.append(Delete(paths.memory, SUMMARY))
        yield index.touch(
            paths,
            session,
            now,
            ops,
            implicit=False,
            expect=session.version,
            set=fields | cut.fields(),
        )

    yield from retrying(attempt)
    try:
        return (yield from whole.resume(values, paths))
    except UnsupportedByStore:  # a delta channel: only its graph can tell its messages
        return (yield from whole.resume(values, paths, source="history"))


def fork(
    scope: Scope,
    values: Values,
    source: SessionPaths,
    *,
    name: str | None,
    checkpoint_id: str | None,
    messages: int | None,
    can: Capabilities,
) -> Plan[SessionInfo]:
    """Copy a session under a new id, whole or up to a checkpoint or a number of messages.

    Args:
        scope: the tenant's scope.
        values: how values are stored.
        source: the session's places.
        name: the name of the copy.
        checkpoint_id: go no further than this checkpoint.
        messages: go no further than so many messages.
        can: what the store can do.

    Raises:
        SessionNotFound: there is no such session.
        CheckpointNotFound: there is no such checkpoint, or none of exactly that conversation.
        InvalidKey: both are given, or one makes no sense.
    """
    _check_goal(checkpoint_id, messages)
    if checkpoint_id is not None and messages is not None:
        raise InvalidKey("a fork is cut at a checkpoint_id or after a number of messages, not both")
    given = None if name is None else check_text(name, "a name")
    target = scope.paths(str(uuid4()))
    if checkpoint_id is None and messages is None and can.copies_trees and can.atomic_everywhere:
        for _ in range(_HASTY):
            try:
                return (yield from _fork_whole(scope, values, source, target, given))
            except ExpectationFailed:
                continue  # its source has moved on; what is read as of one moment stays true

    def attempt() -> Plan[SessionInfo]:
        found, graph, cut = yield from _look(
            scope, values, source, checkpoint_id, messages, content=True
        )
        session = found.session
        now = scope.now()
        content = [*_history_of(cut, found, source, target)]
        fields: dict[str, object] = {}
        if cut.target is not None:
            forked = yield from travel.fork(values, graph, found.graph, target, cut.target, now)
            content += forked.ops
            fields |= forked.fields
        elif graph.head is not None:
            content += travel.copy(found.graph, source, target)
            fields["status"] = graph.head.status
        head = cut.target or graph.head
        last_id = _last_id(cut)
        if last_id is None and cut.target is not None:
            _, last_id = yield from end_of(values, source, Head(cut.target.id))
        doc = _doc_of_fork(
            session,
            now,
            given,
            checkpoint_id=None if head is None else head.id,
            message_id=last_id,
            fields={"status": "idle", **fields, **cut.fields()},
        )
        *_, record = yield [
            *index.begin(target, doc, content),
            Get(target.sessions, target.id),
        ]
        return index.info(record)

    return (yield from retrying(attempt))


def _doc_of_fork(
    session: Record,
    now: int,
    given: str | None,
    *,
    checkpoint_id: str | None,
    message_id: str | None,
    fields: Mapping[str, Any],
) -> index.Doc:
    """What the record of a fork says."""
    return {
        **{key: item for key, item in session.body().items() if key not in _OF_ONE_LIFE},
        **fields,
        "name": _name(session, given),
        "created_at": now,
        "updated_at": now,
        "origin": {
            "session_id": session.key,
            "checkpoint_id": checkpoint_id,
            "message_id": message_id,
        },
    }


def _fork_whole(
    scope: Scope,
    values: Values,
    source: SessionPaths,
    target: SessionPaths,
    given: str | None,
) -> Plan[SessionInfo]:
    """Copy all of a session inside the engine.

    Raises:
        SessionNotFound: there is no such session.
        ExpectationFailed: it has changed meanwhile.
    """
    session, heads, last = yield [
        Get(source.sessions, source.id),
        Scan(source.checkpoints),
        Scan(source.memory, FIRST, LAST, reverse=True, limit=1),
    ]
    if session is None:
        raise index.not_found(source.id)
    root = next((Head.read(head) for head in heads if head.key == Place(source, "").label), None)
    stored, message_id = yield from end_of(values, source, root)
    if message_id is None and last:
        message_id = str(last[0].body().get("id"))
    doc = _doc_of_fork(
        session,
        scope.now(),
        given,
        checkpoint_id=None if stored is None else stored.id,
        message_id=message_id,
        fields={"status": "idle" if stored is None else stored.status},
    )
    content: list[Op] = [
        CopyTree(source.memory, target.memory),
        CopyTree(source.checkpoints, target.checkpoints),
    ]
    for head in heads:
        place = Place(target, decode_id(head.key))
        content.append(put_head(place, PRESENT, Head.read(head)._replace(logs={})))
    *_, record = yield [
        Check(source.sessions, source.id, session.version),
        *index.begin(target, doc, content),
        Get(target.sessions, target.id),
    ]
    return index.info(record)


def _check_goal(checkpoint_id: str | None, messages: int | None) -> None:
    if checkpoint_id is not None:
        check_text(checkpoint_id, "a checkpoint id")
    if messages is None:
        return
    if isinstance(messages, bool) or not isinstance(messages, int):
        raise InvalidKey(f"messages is a number of messages, got {messages!r}")
    if messages < 0:
        raise InvalidKey(f"messages is 0 or more, got {messages}")


def _look(
    scope: Scope,
    values: Values,
    paths: SessionPaths,
    checkpoint_id: str | None,
    messages: int | None,
    *,
    content: bool,
) -> Plan[tuple[WholeSession, Graph, Cut]]:
    """A session as of one moment, its graph state, and up to where its conversation stays."""
    found = yield from read_session(values, paths, content=content)
    if found is None:
        raise index.not_found(paths.id)
    graph = yield from read_graph(values, paths, found.root, found.graph.namespaces)
    entries = history.entries_of(found.memory, found.memory_index)
    if checkpoint_id is None:
        cut = yield from _after_messages(values, paths, graph, entries, messages)
    else:
        target = yield from graph.find(checkpoint_id)
        # Messages have the store's time; so has a record, but one that was copied a later one.
        made = target.made_at if scope.is_system_time else target.record.created_at
        cut = yield from _at_checkpoint(values, paths, graph, entries, target, made)
    return found, graph, cut


def _at_checkpoint(
    values: Values,
    paths: SessionPaths,
    graph: Graph,
    entries: Sequence[Entry],
    target: Stored,
    made: int | None,
) -> Plan[Cut]:
    """The conversation as it was when a checkpoint was made."""
    try:
        shown, _ = yield from head_messages(values, paths, checkpoint_id=target.id, opaque=True)
    except UnsupportedByStore:
        shown = []  # a delta channel: nothing tells which of them the history has, too
    kept = [entry for entry in entries if made is None or entry.at <= made]
    removed = [entry for entry in entries if made is not None and entry.at > made]
    is_head = graph.head is not None and target.id == graph.head.id
    return Cut(target, shown, kept, removed, is_head and not removed)


def _after_messages(
    values: Values,
    paths: SessionPaths,
    graph: Graph,
    entries: Sequence[Entry],
    messages: int | None,
) -> Plan[Cut]:
    """The beginning of the conversation, as `messages()` shows it; all of it for None."""
    total = graph.messages_at_head
    if messages is not None and total and not entries:
        # Only the graph has messages: nobody has to look at them.
        kept_there = min(messages, total)
        last = yield from graph.with_messages(kept_there)
        return Cut(last, [], [], [], kept_there == total)
    shown: list[BaseMessage] = []
    growth: Sequence[Sequence[int]] = ()
    if graph.head is not None:
        try:
            shown, growth = yield from head_messages(
                values, paths, checkpoint_id=graph.head.id, opaque=True
            )
        except UnsupportedByStore:
            if messages is not None:
                raise
    own = [(entry.key, entry.at, entry) for entry in entries]
    both = merged(shown, tuple(growth), own)
    stays = both if messages is None else both[:messages]
    if messages is None or (len(stays) == len(both) and not shown):
        return Cut(None, shown, entries, [], True)
    first = [item for item in stays if not isinstance(item, Entry)]
    in_graph = {message_key(message.id) for message in first if message.id}
    alone = {item.key for item in stays if isinstance(item, Entry)}
    stay = alone | in_graph
    kept = [entry for entry in entries if entry.key in stay]
    removed = [entry for entry in entries if entry.key not in stay]
    target = (yield from graph.with_messages(len(first))) if shown else None
    return Cut(target, first, kept, removed, len(stays) == len(both))


def _history_of(
    cut: Cut, found: WholeSession, source: SessionPaths, target: SessionPaths
) -> list[Op]:
    """The history, the summary, the state and the streams of a fork."""
    records = [record for entry in cut.kept for record in entry.records()]
    records += [
        record
        for record in found.memory
        if not FIRST <= record.key < LAST and (record.key != SUMMARY or cut.keeps(record))
    ]
    records += [record for record in found.memory_index if record.key == NEXT_POSITION]
    depth = len(source.memory)
    cuts = cutting.cut(found.streams, cut.kept, cut.removed)
    return [
        *(copied(record, (*target.memory, *record.namespace[depth:])) for record in records),
        *cutting.copies(found.streams, cuts, target, depth),
    ]


def _name(session: Record, given: str | None) -> str:
    """The name of a fork: the given one, or the session's with a note; none stays none."""
    own = session.body().get("name") or ""
    if given is not None:
        return given
    return f"{own} (fork)" if own else ""


def _last_id(cut: Cut) -> str | None:
    """The id of the last message that a fork has."""
    ids = [message.id for message in cut.graph if message.id]
    if not ids and cut.kept:
        ids = [str(cut.kept[-1].record.body().get("id"))]
    return ids[-1] if ids else None
