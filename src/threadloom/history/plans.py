"""Plans of the chat history: one record a message (`storing`), constant cost an append."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from threadloom import index
from threadloom.checkpoint.cache import Cache
from threadloom.history.changing import Change, graph_ids
from threadloom.history.origins import refuse_shown
from threadloom.history.records import FIRST, LAST, time_of
from threadloom.history.state import STATE
from threadloom.history.storing import (
    is_stored,
    next_position,
    only_messages,
    position,
    put_entry,
    put_message,
    read_message,
    stands_elsewhere,
    with_ids,
)
from threadloom.history.summary import SUMMARY
from threadloom.keys import NEXT_POSITION, STREAMS, SessionPaths, message_key
from threadloom.ops import (
    ABSENT,
    PRESENT,
    Check,
    Delete,
    DropTree,
    Expect,
    Get,
    Put,
    Record,
    Scan,
)
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values


def append(
    scope: Scope,
    cache: Cache,
    values: Values,
    paths: SessionPaths,
    messages: Sequence[BaseMessage],
) -> Plan[None]:
    """Add messages at the end, all or none.

    A message without an id gets one, on the object itself, as LangGraph's `add_messages`
    does. One whose id is stored already is not stored again: the same content changes
    nothing, other content replaces it where it stands.

    Raises:
        SessionNotFound: the session does not exist and may not begin by itself.
        SerializationError: something is no message or cannot be stored.
    """
    given = [message for message in only_messages(messages) if message.id]
    fresh: dict[str, BaseMessage] = {}
    for message in with_ids(messages):
        fresh[message.id or ""] = message

    def attempt() -> Plan[None]:
        if not fresh:
            return
        session, counter, *places = yield [
            Get(paths.sessions, paths.id),
            Get(paths.memory_index, NEXT_POSITION),
            *(Get(paths.memory_index, message_key(id)) for id in fresh),
        ]
        if session is None:
            counter, places = None, [None] * len(places)
        known = {
            id: place.body()["at"]
            for id, place in zip(fresh, places, strict=True)
            if place is not None
        }
        stored = dict(
            zip(known, (yield [Get(paths.memory, at) for at in known.values()]), strict=True)
            if known
            else ()
        )
        in_graph = yield from graph_ids(cache, values, paths, session, given)
        change = Change()
        now = scope.now()
        number = 0 if counter is None else next_position(counter)
        for id, message in fresh.items():
            old = stored.get(id)
            if old is None:
                key = position(number)
                number += 1
                change.add(message, shared=id in in_graph)
                change.ops.append(put_message(values, paths, key, message, now, ABSENT))
                change.ops.append(put_entry(paths, message, key))
                continue
            put = put_message(values, paths, old.key, message, time_of(old), old.version)
            if not is_stored(values, old, put, message):
                refuse_shown(old, "replaced")
                before = read_message(values, old)
                change.replace(before, message, shared=id in in_graph)
                change.ops += (put, put_entry(paths, message, old.key))
        if not change.ops:
            return
        change.ops.append(
            Put(
                paths.memory_index,
                NEXT_POSITION,
                doc={"next": number},
                expect=ABSENT if counter is None else counter.version,
            )
        )
        expect: Expect = session.version if session is not None and given else PRESENT
        fields: Mapping[str, Any] = {}
        if session is None:
            (remains,) = yield [index.remains(paths)]
            fields = index.after(remains)
        yield index.touch(
            paths,
            session,
            now,
            change.ops,
            implicit=scope.implicit,
            expect=expect,
            set=fields,
            increment=change.increments(),
        )

    return retrying(attempt)


def load(
    values: Values,
    paths: SessionPaths,
    *,
    limit: int | None = None,
    before: str | None = None,
    opaque: bool = False,
) -> Plan[list[tuple[BaseMessage, int]]]:
    """The newest messages, oldest first, each with the time it was added (microseconds).

    Args:
        limit: at most so many.
        before: only those that stand before the message with this id; an unknown id gives
            nothing.
        opaque: leave types of the application as they are stored.
    """
    if limit is not None and limit <= 0:
        return []
    end = LAST
    if before is not None:
        (place,) = yield [Get(paths.memory_index, message_key(before))]
        if place is None:
            return []
        end = place.body()["at"]
    session, records = yield [
        Get(paths.sessions, paths.id, blob=False),
        Scan(paths.memory, FIRST, end, reverse=limit is not None, limit=limit),
    ]
    if session is None:
        return []
    if limit is not None:
        records.reverse()
    return [(read_message(values, record, opaque=opaque), time_of(record)) for record in records]


def update_last(
    scope: Scope, cache: Cache, values: Values, paths: SessionPaths, message: BaseMessage
) -> Plan[bool]:
    """Put a message in the place of the last one; False where there is none.

    A message without an id gets the last one's, on the object itself, once it is stored.
    """
    (given,) = only_messages([message])

    def attempt() -> Plan[bool]:
        session, last = yield from _last(paths)
        if session is None or last is None:
            return False
        refuse_shown(last, "replaced")
        before = read_message(values, last)
        message = given if given.id else given.model_copy(update={"id": before.id})
        change = Change()
        change.ops.append(
            put_message(values, paths, last.key, message, time_of(last), last.version)
        )
        if message.id != before.id:
            new_key = message_key(message.id or "")
            (taken,) = yield [Get(paths.memory_index, new_key)]
            if taken is not None:
                raise stands_elsewhere(message)
            change.ops.append(Delete(paths.memory_index, message_key(before.id or "")))
            change.ops.append(Check(paths.memory_index, new_key, ABSENT))
        change.ops.append(put_entry(paths, message, last.key))
        in_graph = yield from graph_ids(cache, values, paths, session, [before, message])
        change.remove(before, shared=before.id in in_graph)
        change.add(message, shared=message.id in in_graph)
        yield index.touch(
            paths,
            session,
            scope.now(),
            change.ops,
            implicit=False,
            expect=session.version,
            increment=change.increments(),
        )
        given.id = message.id
        return True

    return retrying(attempt)


def remove_last(scope: Scope, cache: Cache, values: Values, paths: SessionPaths) -> Plan[bool]:
    """Take the last message away; False where there is none."""

    def attempt() -> Plan[bool]:
        session, last = yield from _last(paths)
        if session is None or last is None:
            return False
        refuse_shown(last, "removed")
        message = read_message(values, last)
        in_graph = yield from graph_ids(cache, values, paths, session, [message])
        change = Change()
        change.remove(message, shared=message.id in in_graph)
        change.ops.append(Delete(paths.memory_index, message_key(message.id or "")))
        change.ops.append(Delete(paths.memory, last.key, expect=last.version))
        yield index.touch(
            paths,
            session,
            scope.now(),
            change.ops,
            implicit=False,
            expect=session.version,
            increment=change.increments(),
        )
        return True

    return retrying(attempt)


def clear(scope: Scope, paths: SessionPaths, *, summary: bool) -> Plan[int]:
    """Remove all messages, and the summary if `summary`; how many messages there were.

    The items of streams, which messages may stand for, go with them.
    """

    def attempt() -> Plan[int]:
        session, counter, kept_summary, state = yield [
            Get(paths.sessions, paths.id),
            Get(paths.memory_index, NEXT_POSITION),
            Get(paths.memory, SUMMARY),
            Get(paths.memory, STATE),
        ]
        if session is None:
            return 0
        doc = session.body()
        kept = [record for record in (state, None if summary else kept_summary) if record]
        count = int(doc.get("history_messages") or 0)
        has_summary = summary and kept_summary is not None
        if counter is None and not has_summary and not doc.get(STREAMS):
            return 0
        fields: dict[str, Any] = {
            f"{door}_{unit}": 0 for door in ("history", "shared") for unit in ("messages", "tokens")
        }
        if doc.get(STREAMS):
            fields[STREAMS] = []
        # Positions go on counting, so that a message's place never means another message.
        number = 0 if counter is None else next_position(counter)
        yield index.touch(
            paths,
            session,
            scope.now(),
            [
                DropTree(paths.memory),
                Put(paths.memory_index, NEXT_POSITION, doc={"next": number}),
                *(
                    Put(record.namespace, record.key, doc=record.doc, blob=record.blob)
                    for record in kept
                ),
            ],
            implicit=False,
            expect=session.version,
            set=fields,
        )
        return count

    return retrying(attempt)


def clear_summary(scope: Scope, paths: SessionPaths) -> Plan[None]:
    """Remove the summary alone."""

    def attempt() -> Plan[None]:
        session, record = yield [Get(paths.sessions, paths.id), Get(paths.memory, SUMMARY)]
        if session is not None and record is not None:
            gone = Delete(paths.memory, SUMMARY)
            yield index.touch(paths, session, scope.now(), [gone], implicit=False)

    return retrying(attempt)


def _last(paths: SessionPaths) -> Plan[tuple[Record | None, Record | None]]:
    session, records = yield [
        Get(paths.sessions, paths.id),
        Scan(paths.memory, FIRST, LAST, reverse=True, limit=1),
    ]
    return session, records[0] if records else None
