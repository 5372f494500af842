"""Plans that save and load sessions whole, for code without a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from threadloom import index
from threadloom.checkpoint.head_messages import head_messages
from threadloom.documents import check_json
from threadloom.errors import InvalidKey, SessionConflict
from threadloom.history import storing
from threadloom.history.origins import origin
from threadloom.history.records import Entry, read_entries
from threadloom.history.state import STATE, read_state, write_state
from threadloom.history.summary import SUMMARY, outlives
from threadloom.keys import NEXT_POSITION, STREAMS, SessionPaths, message_key
from threadloom.messages import MESSAGES, token_total
from threadloom.models import Session, SessionInfo
from threadloom.ops import ABSENT, PRESENT, Delete, Expect, Get, Op, Put, Record, Scan
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.sessions import conversation
from threadloom.streams import cutting
from threadloom.values import Values


def load(
    values: Values, paths: SessionPaths, *, source: conversation.Source = "auto"
) -> Plan[Session | None]:
    """A session with its conversation and state, or None.

    Raises:
        UntrustedType: a message holds a type that may not be rebuilt here.
    """
    session, state = yield [Get(paths.sessions, paths.id), Get(paths.memory, STATE)]
    if session is None:
        return None
    messages = yield from conversation.messages(
        values, paths, limit=None, before=None, source=source, channel=MESSAGES
    )
    return Session(
        info=index.info(session), messages=tuple(messages), state=read_state(values, state)
    )


def resume(
    values: Values, paths: SessionPaths, *, source: conversation.Source = "auto"
) -> Plan[Session]:
    """A session with its conversation and state.

    Raises:
        SessionNotFound: there is no such session.
    """
    found = yield from load(values, paths, source=source)
    if found is None:
        raise index.not_found(paths.id)
    return found


def save(scope: Scope, values: Values, session: Session) -> Plan[SessionInfo]:
    """Store a session whole, new or in the place of what was there; the graph's state stays.

    Raises:
        SessionConflict: it has changed since the version that `session.info` has.
        SerializationError: a message or the state cannot be stored.
    """
    if not isinstance(session, Session):
        raise InvalidKey(f"save_session takes a Session, got a {type(session).__qualname__}")
    info = session.info
    paths = scope.paths(info.id)
    given = list({message.id: message for message in storing.with_ids(session.messages)}.values())
    labels = {
        "name": info.name,
        "owner": info.owner,
        "tags": list(dict.fromkeys(info.tags)),
        "agent_name": info.agent_name,
        "metadata": check_json(info.metadata, "metadata"),
    }

    def attempt() -> Plan[SessionInfo]:
        (record,) = yield [Get(paths.sessions, paths.id)]
        if info.version and (record is None or record.version != info.version):
            found = "it is gone" if record is None else f"it is at {record.version} now"
            raise SessionConflict(
                f"session {paths.id!r} was loaded at version {info.version}, but {found}: "
                "load it again",
                expected=info.version,
                found=0 if record is None else record.version,
            )
        now = scope.now()
        ops, counts = yield from _history(values, paths, record, given, now)
        ops.append(write_state(values, paths, session.state))
        fields: dict[str, Any] = {**labels, **counts}
        if record is None:
            (remains,) = yield [index.remains(paths)]
            fields |= index.after(remains)
            fields["context"] = info.context.model_dump(exclude_none=True)
        touched = index.touch(
            paths,
            record,
            now,
            ops,
            implicit=True,
            expect=PRESENT if record is None else record.version,
            set=fields,
        )
        *_, after = yield [*touched, Get(paths.sessions, paths.id)]
        return index.info(after)

    return retrying(attempt)


def _history(
    values: Values,
    paths: SessionPaths,
    session: Record | None,
    given: Sequence[BaseMessage],
    now: int,
) -> Plan[tuple[list[Op], dict[str, int]]]:
    """What makes the chat history hold given messages, but for those that the graph holds.

    A beginning that is stored already stays as it is, and messages keep their times.
    """
    entries: list[Entry] = []
    items: list[Record] = []
    counter: Record | None = None
    summary: Record | None = None
    graph: set[str] = set()
    if session is not None:
        entries = yield from read_entries(paths)
        labels = session.body().get(STREAMS) or ()
        counter, summary, *pages = yield [
            Get(paths.memory_index, NEXT_POSITION),
            Get(paths.memory, SUMMARY),
            *(Scan(paths.stream(label), blobs=False) for label in labels),
        ]
        items = [record for page in pages for record in page]
        if session.body().get("graph_messages"):
            shown, _ = yield from head_messages(values, paths, opaque=True)
            graph = {message_key(message.id) for message in shown if message.id}
    known = {entry.key: entry for entry in entries}
    own = [
        message
        for message in given
        if (key := message_key(message.id or "")) in known or key not in graph
    ]
    same = 0
    for entry, message in zip(entries, own, strict=False):
        put = storing.put_message(
            values, paths, entry.record.key, message, entry.at, entry.record.version
        )
        if entry.key != message_key(message.id or "") or not storing.is_stored(
            values, entry.record, put, message
        ):
            break
        same += 1
    while same and same < len(entries) and _together(entries[same - 1], entries[same]):
        same -= 1
    ops: list[Op] = [op for entry in entries[same:] for op in entry.removal()]
    for stream in cutting.cut(items, entries[:same], entries[same:]):
        ops += stream.ops()
    gone = [entry.record.key for entry in entries[same:]]
    if gone and summary is not None and not outlives(summary, gone):
        ops.append(Delete(paths.memory, SUMMARY))
    number = 0 if counter is None else storing.next_position(counter)
    for message in own[same:]:
        key = storing.position(number)
        old = known.get(message_key(message.id or ""))
        at = now if old is None else old.at
        ops.append(storing.put_message(values, paths, key, message, at, ABSENT))
        ops.append(storing.put_entry(paths, message, key))
        number += 1
    if own[same:]:
        expect: Expect = ABSENT if counter is None else counter.version
        ops.append(Put(paths.memory_index, NEXT_POSITION, doc={"next": number}, expect=expect))
    both = [message for message in own if message_key(message.id or "") in graph]
    return ops, {
        "history_messages": len(own),
        "history_tokens": token_total(own),
        "shared_messages": len(both),
        "shared_tokens": token_total(both),
    }


def _together(one: Entry, other: Entry) -> bool:
    """Whether two messages show the same item of a stream."""
    of = origin(one.record)
    return of is not None and of == origin(other.record)
