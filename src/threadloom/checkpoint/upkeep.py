"""Plans that delete, prune and copy graph state. None decodes a value of the application's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.head_messages import head_messages, shared_with_history
from threadloom.checkpoint.header import Apart, Inline, encode_header
from threadloom.checkpoint.layout import Head, Place, Stored
from threadloom.checkpoint.life import made_at
from threadloom.checkpoint.spans import Span, element_place, places
from threadloom.errors import InvalidKey, SessionConflict
from threadloom.keys import CHECKPOINTS, PART_SEPARATOR, SessionPaths, decode_id
from threadloom.ops import (
    ABSENT,
    PRESENT,
    Check,
    Delete,
    Doc,
    DropTree,
    Expect,
    ExpectationFailed,
    Get,
    ListNamespaces,
    Op,
    Put,
    Query,
    Record,
    Scan,
)
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values

_ABANDONED = 3600 * 1_000_000
"""Microseconds by which a checkpoint has to be older than the newest to be given up."""

_NO_GRAPH = {
    "status": "idle",
    "graph_messages": 0,
    "graph_tokens": 0,
    "shared_messages": 0,
    "shared_tokens": 0,
}


def delete_thread(scope: Scope, paths: SessionPaths) -> Plan[None]:
    """Delete a session's graph state; the session and its chat history stay."""

    def attempt() -> Plan[None]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        now = scope.now()
        touched: list[Op] = []
        if session is None:
            touched.append(Check(paths.sessions, paths.id, ABSENT))
        else:
            touched = index.touch(paths, session, now, implicit=False, set=_NO_GRAPH)
        yield [DropTree(paths.checkpoints), index.bury(paths, now), *touched]

    return retrying(attempt)


def copy_thread(
    scope: Scope, values: Values, source: SessionPaths, target: SessionPaths
) -> Plan[None]:
    """Copy a session's graph state onto one that has none; the two share nothing.

    Raises:
        SessionNotFound: there is no source.
        SessionConflict: the target has graph state already.
        InvalidKey: source and target are the same.
    """
    if source.id == target.id:
        raise InvalidKey(f"a session cannot be copied onto itself: {source.id!r}")

    def attempt() -> Plan[None]:
        origin, session, there, namespaces = yield [
            Get(source.sessions, source.id),
            Get(target.sessions, target.id),
            ListNamespaces(target.checkpoints),
            ListNamespaces(source.checkpoints),
        ]
        if origin is None:
            raise index.not_found(source.id)
        if session is not None and there:
            raise SessionConflict(f"session {target.id!r} has graph state; copy onto an empty one")
        messages: list[BaseMessage] = []
        if session is not None and index.has_history(session):
            messages, _ = yield from head_messages(values, source, opaque=True)
        # One moment for all of it: every write to a session moves its record's version.
        *pages, again = yield [
            *(Scan(namespace) for namespace in namespaces),
            Get(source.sessions, source.id, blob=False),
        ]
        if again is None or again.version != origin.version:
            raise ExpectationFailed(Check(source.sessions, source.id, origin.version))
        fields = {name: origin.body().get(name) or default for name, default in _NO_GRAPH.items()}
        if fields["status"] == "running":
            fields["status"] = "idle"
        fields["shared_messages"] = fields["shared_tokens"] = 0
        if session is None:
            fields |= {"origin": {"session_id": source.id}}
        elif messages:
            shared = yield from shared_with_history(target, session, messages)
            fields["shared_messages"], fields["shared_tokens"] = shared
        depth = len(source.checkpoints)
        copies: list[Op] = [
            Put(
                (*target.checkpoints, *record.namespace[depth:]),
                record.key,
                doc=_own_logs(record) if record.namespace == source.checkpoints else record.doc,
                blob=record.blob,
                text=record.text,
                expect=ABSENT,
            )
            for page in pages
            for record in page
        ]
        expect: Expect = PRESENT if session is None else session.version
        yield index.touch(
            target, session, scope.now(), copies, implicit=True, expect=expect, set=fields
        )

    return retrying(attempt)


def _own_logs(head: Record) -> Doc:
    """The head of a copy: it adds to logs of its own, so no two sessions write one position.

    Otherwise a second copy onto the same id could bring back places with other content.
    """
    return Head.read(head)._replace(logs={}).doc()


def prune(scope: Scope, values: Values, paths: SessionPaths) -> Plan[None]:
    """Keep the newest checkpoint of each namespace, and what it is rebuilt from."""

    def attempt() -> Plan[None]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        if session is None:
            return
        threads = yield from _read(values, paths)
        ops: list[Op] = []
        for thread in threads:
            if thread.head.id in thread.stored:
                gone = thread.deletable(set(thread.stored) - {thread.head.id})
                ops += thread.without(gone) if gone else []
        if ops:
            yield _unseen(scope, paths, session, ops)

    return retrying(attempt)


def compact(scope: Scope, values: Values, paths: SessionPaths) -> Plan[None]:
    """Remove what no checkpoint needs: values, elements and texts that were left behind.

    Pending writes whose checkpoint never came go as well, an hour after a newer checkpoint.
    """

    def attempt() -> Plan[None]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        if session is None:
            return
        threads = yield from _read(values, paths)
        ops: list[Op] = []
        for thread in threads:
            abandoned = thread.abandoned()
            ops += [Delete(record.namespace, record.key) for record in abandoned]
            left = [record for record in thread.loose if record not in abandoned]
            ops += thread._replace(loose=left).without(set())
        if ops:
            yield _unseen(scope, paths, session, ops)

    return retrying(attempt)


def _unseen(scope: Scope, paths: SessionPaths, session: Record, ops: Sequence[Op]) -> list[Op]:
    """A removal of what nobody needs; every write to a session moves its record's version."""
    return index.touch(paths, session, scope.now(), ops, implicit=False, expect=session.version)


def delete_for_runs(scope: Scope, values: Values, run_ids: Sequence[str]) -> Plan[None]:
    """Delete the checkpoints that some runs made, in every session.

    What a surviving checkpoint is rebuilt from stays.
    """
    runs = set(run_ids)
    root = (*scope.root, CHECKPOINTS)
    found = yield [Query(root, deep=True, filter={"run_id": run}) for run in sorted(runs)]
    labels = {record.namespace[len(root)] for records in found for record in records}
    for label in sorted(labels):
        yield from _delete_runs(scope, values, scope.paths(decode_id(label)), runs)


def _delete_runs(
    scope: Scope, values: Values, paths: SessionPaths, runs: Collection[str]
) -> Plan[None]:
    def attempt() -> Plan[None]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        if session is None:
            return
        threads = yield from _read(values, paths)
        ops: list[Op] = []
        fields: dict[str, object] = {}
        for thread in threads:
            doomed = {
                id
                for id, item in thread.stored.items()
                if (item.record.doc or {}).get("run_id") in runs
            }
            gone = thread.deletable(doomed)
            if not gone:
                continue
            ops += thread.without(gone)
            if thread.place.is_root:
                newest = thread.newest_without(gone)
                fields = thread.session_fields(newest)
                if newest is not None and session.body().get("history_messages"):
                    messages, _ = yield from head_messages(
                        values, paths, checkpoint_id=newest.id, opaque=True
                    )
                    shared = yield from shared_with_history(paths, session, messages)
                    fields["shared_messages"], fields["shared_tokens"] = shared
        if ops:
            yield index.touch(
                paths,
                session,
                scope.now(),
                ops,
                implicit=False,
                expect=session.version,
                set=fields,
            )

    return retrying(attempt)


class _Thread(NamedTuple):
    """One checkpoint namespace, whole."""

    place: Place
    values: Values
    head_record: Record
    head: Head
    stored: dict[str, Stored]
    loose: list[Record]
    apart: list[Record]
    elements: list[Record]
    texts: list[Record]

    def deletable(self, doomed: set[str]) -> set[str]:
        """Of some checkpoints those that no other one is rebuilt from.

        What stays for another's sake stays whole: it is still a checkpoint that can be read.
        """
        kept = fresh = set(self.stored) - doomed
        while fresh:
            fresh = self._needed(fresh) - kept
            kept = kept | fresh
        return set(self.stored) - kept

    def without(self, gone: set[str]) -> list[Op]:
        """What removes checkpoints, and everything that only they used."""
        left = [item for id, item in self.stored.items() if id not in gone]
        ops: list[Op] = [self._new_head(left, gone)] if gone else []
        records = self.place.records()
        for id in gone:
            ops.append(Delete(records, layout.checkpoint_key(id)))
            ops += [
                Delete(records, layout.write_key(id, write.task_id, write.number))
                for write in self.stored[id].writes
            ]
        ops += self._dead(left)
        ops += [
            Put(
                item.record.namespace,
                item.record.key,
                doc=item.record.doc,
                blob=encode_header(item.header._replace(parent=None)),
                expect=item.record.version,
            )
            for item in left
            if item.parent in gone
        ]
        return ops

    def _dead(self, left: list[Stored]) -> list[Op]:
        """What removes values, elements and texts that none of some checkpoints needs."""
        values: set[str] = set()
        spans: set[Span] = set()
        bodies = [write.blob for item in left for write in item.writes]
        bodies += [layout.pending_write(record).blob for record in self.loose]
        for item in left:
            for channel, ref in item.header.refs.items():
                if isinstance(ref, Apart):
                    values.add(layout.value_key(channel, item.header.versions[channel]))
                elif isinstance(ref, Inline):
                    bodies.append(ref.data)
                else:
                    spans.update(ref.spans)
        used = set(places(spans))
        ops: list[Op] = []
        for record in self.apart:
            if record.key in values:
                bodies.append(record.blob or b"")
            else:
                ops.append(Delete(record.namespace, record.key))
        for record in self.elements:
            if element_place(record.key) in used:
                bodies.append(record.blob or b"")
            else:
                ops.append(Delete(record.namespace, record.key))
        texts = {key for body in bodies for key in self.values.opened(body).keys}
        ops += [Delete(text.namespace, text.key) for text in self.texts if text.key not in texts]
        return ops

    def abandoned(self) -> list[Record]:
        """The pending writes whose checkpoint surely never came."""
        newest = None if self.head.id is None else made_at(self.head.id)
        if newest is None:
            return []
        return [
            record
            for record in self.loose
            if (made := made_at(layout.written_for(record))) is not None
            and made < newest - _ABANDONED
        ]

    def newest_without(self, gone: set[str]) -> Stored | None:
        """The head once some checkpoints are gone."""
        left = [item for id, item in self.stored.items() if id not in gone]
        if self.head.id is not None and any(item.id == self.head.id for item in left):
            return self.stored[self.head.id]
        return max(left, key=lambda item: item.seq, default=None)

    def session_fields(self, newest: Stored | None) -> dict[str, object]:
        """What the session's record says where `newest` is the root's head."""
        if newest is None:
            return dict(_NO_GRAPH)
        messages, tokens = newest.header.counts or (0, 0)
        return {"status": newest.status, "graph_messages": messages, "graph_tokens": tokens}

    def _new_head(self, left: list[Stored], gone: set[str]) -> Op:
        get = self.place.head()
        version = self.head_record.version
        if not left:
            return Delete(get.namespace, get.key, expect=version)
        newest = self.newest_without(gone)
        head = self.head._replace(id=None if newest is None else newest.id)
        if newest is not None and newest.status != "idle":
            head = head.with_mark(newest.id, newest.status)
        tips = tuple(tip for tip in head.tips if tip not in gone)
        if head.id is not None and head.id not in tips:
            tips = (*tips, head.id)
        head = head._replace(tips=tips)
        return Put(get.namespace, get.key, doc=head.doc(), expect=version)

    def _needed(self, survivors: Iterable[str]) -> set[str]:
        """Ancestors without which a delta channel of a survivor could not be rebuilt."""
        needed: set[str] = set()
        for id in survivors:
            for channel in self.stored[id].header.absent:
                needed |= self._needed_for(id, channel)
        return needed

    def _needed_for(self, id: str, channel: str) -> set[str]:
        """Walk back from a checkpoint that has a version of a channel but no value.

        LangGraph's metadata names the delta channels that have moved on since their last
        snapshot; of these everything back to a stored value is needed. Others may be delta
        channels all the same, where checkpoints come without that metadata: where the version
        changes between a parent and its child, and the parent's pending writes hold a write to
        the channel, the child's value is that write on top of the parent's: a delta channel.
        Without such a write the channel was emptied there.
        """
        passed: list[str] = []
        written = known = channel in self.stored[id].header.delta
        child = self.stored[id].header
        parent = self.stored[id].parent
        while parent is not None and parent in self.stored:
            header = self.stored[parent].header
            changed = header.versions.get(channel) != child.versions.get(channel)
            wrote = any(write.channel == channel for write in self.stored[parent].writes)
            if changed and not wrote and not known:
                break
            passed.append(parent)
            written = written or wrote
            if channel in header.refs:
                break
            child, parent = header, self.stored[parent].parent
        return set(passed) if written else set()


def _read(values: Values, paths: SessionPaths) -> Plan[list[_Thread]]:
    (heads,) = yield [Scan(paths.checkpoints)]
    threads = []
    for head in heads:
        place = Place(paths, decode_id(head.key))
        records, apart, elements, texts = yield [
            Scan(place.records()),
            Scan(place.values()),
            Scan(place.logs()),
            Scan(place.texts(), blobs=False),
        ]
        stored = layout.group(records)
        loose = [
            record
            for record in records
            if PART_SEPARATOR in record.key and layout.written_for(record) not in stored
        ]
        threads.append(
            _Thread(place, values, head, Head.read(head), stored, loose, apart, elements, texts)
        )
    return threads
