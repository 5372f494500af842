"""A checkpoint namespace read whole: what its checkpoints need of each other, and of the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from threadloom.checkpoint import layout
from threadloom.checkpoint.header import Apart, Inline, encode_header
from threadloom.checkpoint.layout import Head, Place, Stored
from threadloom.checkpoint.life import made_at
from threadloom.checkpoint.spans import Span, covered, element_place, runs_among, texts_among
from threadloom.garbage import without_collection
from threadloom.keys import PART_SEPARATOR, STREAMS, SessionPaths, decode_id
from threadloom.ops import Delete, Doc, Get, Op, Put, Record, Scan
from threadloom.plans import Plan
from threadloom.values import Values

_ABANDONED = 3600 * 1_000_000
"""Microseconds by which a checkpoint has to be older than the newest to be given up."""

NO_GRAPH = {
    "status": "idle",
    "graph_messages": 0,
    "graph_tokens": 0,
    "shared_messages": 0,
    "shared_tokens": 0,
}
"""What a session's record says where there is no graph state."""


class Headed(Protocol):
    """A checkpoint namespace and its head record."""

    @property
    def place(self) -> Place: ...
    @property
    def head_record(self) -> Record: ...
    @property
    def head(self) -> Head: ...


class WholeNamespace(NamedTuple):
    """One checkpoint namespace, whole."""

    place: Place
    head_record: Record
    head: Head
    stored: dict[str, Stored]
    records: list[Record]
    loose: list[Record]
    apart: list[Record]

    def all_records(self) -> Iterable[Record]:
        """Everything in the namespace but its head record."""
        return (*self.records, *self.apart)

    def left(self, gone: Collection[str]) -> list[Stored]:
        """Its checkpoints but those that go."""
        return [item for id, item in self.stored.items() if id not in gone]

    def deletable(self, doomed: set[str]) -> set[str]:
        """Of some checkpoints those that no other one is rebuilt from.

        What stays for another's sake stays whole: it is still a checkpoint that can be read.
        """
        kept = fresh = set(self.stored) - doomed
        while fresh:
            fresh = self._needed(fresh) - kept
            kept = kept | fresh
        return set(self.stored) - kept

    def without(self, gone: set[str], docs: Mapping[str, Doc] | None = None) -> list[Op]:
        """What removes checkpoints; what only they used is for `dead` to find.

        Args:
            gone: their ids.
            docs: new documents of checkpoints whose parents go, by id.
        """
        docs = docs or {}
        left = self.left(gone)
        ops: list[Op] = [self._new_head(left, gone)] if gone else []
        records = self.place.records()
        for id in gone:
            ops.append(Delete(records, layout.checkpoint_key(id)))
            ops += [
                Delete(records, layout.write_key(id, write.task_id, write.number))
                for write in self.stored[id].writes
            ]
        ops += [
            Put(
                item.record.namespace,
                item.record.key,
                doc=docs.get(item.id, item.record.doc),
                blob=encode_header(item.header._replace(parent=None)),
                expect=item.record.version,
            )
            for item in left
            if item.parent in gone
        ]
        return ops

    def used(self, left: Iterable[Stored], *, loose: bool) -> Used:
        """What some of its checkpoints need, each with its pending writes."""
        found = Used(set(), set(), [])
        for item in left:
            found.bodies.extend(write.blob for write in item.writes)
            for channel, ref in item.header.refs.items():
                if isinstance(ref, Apart):
                    found.values.add(layout.value_key(channel, item.header.versions[channel]))
                elif isinstance(ref, Inline):
                    found.bodies.append(ref.data)
                else:
                    found.spans.update(ref.spans)
        if loose:
            found.bodies.extend(layout.pending_write(record).blob for record in self.loose)
        apart = [record for record in self.apart if record.key in found.values]
        found.bodies.extend(record.blob or b"" for record in apart)
        return found

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
        """The head once some checkpoints are gone; None where a rewind has left none."""
        if self.head.id is None:
            return None
        left = [item for id, item in self.stored.items() if id not in gone]
        if any(item.id == self.head.id for item in left):
            return self.stored[self.head.id]
        return max(left, key=lambda item: item.seq, default=None)

    def session_fields(self, newest: Stored | None) -> dict[str, object]:
        """What the session's record says where `newest` is the root's head."""
        if newest is None:
            return dict(NO_GRAPH)
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


class Used(NamedTuple):
    """What some checkpoints of a namespace need.

    Attributes:
        values: keys of value records.
        spans: elements.
        bodies: encoded values, which may need texts and elements.
    """

    values: set[str]
    spans: set[Span]
    bodies: list[bytes]


class Content(NamedTuple):
    """What the checkpoints of all namespaces of a session refer to by place."""

    elements: list[Record]
    texts: list[Record]


class WholeGraph(NamedTuple):
    """The graph state of a session, whole.

    Attributes:
        values: how values are stored.
        namespaces: its checkpoint namespaces.
        content: what these refer to.
    """

    values: Values
    namespaces: list[WholeNamespace]
    content: Content

    def all_records(self) -> list[Record]:
        """Everything but the head records."""
        found = [record for whole in self.namespaces for record in whole.all_records()]
        return [*found, *self.content.elements, *self.content.texts]

    def referred(self) -> list[Record]:
        """What checkpoints refer to: values, elements and texts."""
        apart = [record for whole in self.namespaces for record in whole.apart]
        return [*apart, *self.content.elements, *self.content.texts]

    def dead(self, left: Mapping[str, Iterable[Stored]], *, loose: bool = True) -> list[Delete]:
        """What removes values, elements and texts that none of some checkpoints needs.

        Args:
            left: the checkpoints, each with its pending writes, by the label of their namespace.
            loose: whether pending writes count whose checkpoint has not come yet.
        """
        with without_collection():
            return self._dead(left, loose)

    def _dead(self, left: Mapping[str, Iterable[Stored]], loose: bool) -> list[Delete]:
        ops: list[Delete] = []
        spans: set[Span] = set()
        texts: set[str] = set()

        def open_all(bodies: Iterable[bytes]) -> None:
            keys = {key for body in bodies for key in self.values.opened(body).keys}
            texts.update(texts_among(keys))
            spans.update(runs_among(keys))

        for whole in self.namespaces:
            used = whole.used(left.get(whole.place.label, ()), loose=loose)
            spans |= used.spans
            open_all(used.bodies)
            ops += [
                Delete(record.namespace, record.key)
                for record in whole.apart
                if record.key not in used.values
            ]
        places = covered(spans)
        bodies = []
        for record in self.content.elements:
            if element_place(record.key) in places:
                bodies.append(record.blob or b"")
            else:
                ops.append(Delete(record.namespace, record.key))
        open_all(bodies)
        ops += [
            Delete(text.namespace, text.key) for text in self.content.texts if text.key not in texts
        ]
        return ops


def read_namespaces(
    values: Values, paths: SessionPaths, *, whole_texts: bool = False
) -> Plan[WholeGraph]:
    """The graph state of a session, its namespaces one after the other.

    Args:
        values: how values are stored.
        paths: the session's places.
        whole_texts: whether the long texts are wanted themselves, not only their keys.
    """
    (heads,) = yield [Scan(paths.checkpoints)]
    elements, texts = yield _content(paths, whole_texts=whole_texts)
    wholes = []
    for head in heads:
        pages = yield _scans(paths, head.key)
        wholes.append(_whole(paths, head, pages))
    return WholeGraph(values, wholes, Content(elements, texts))


class Root(NamedTuple):
    """The namespace of the graph itself: where its writers meet."""

    place: Place
    head_record: Record
    head: Head


class WholeSession(NamedTuple):
    """Everything of a session, as it was at one moment.

    Attributes:
        session: its record.
        root: the namespace of the graph itself; None where the session has no graph state.
        graph: its graph state.
        memory: its messages, summary and state.
        memory_index: what the chat history knows of its messages.
        streams: the items of its streams, and what belongs to them.
    """

    session: Record
    root: Root | None
    graph: WholeGraph
    memory: list[Record]
    memory_index: list[Record]
    streams: list[Record]


def read_session(
    values: Values, paths: SessionPaths, *, content: bool = True
) -> Plan[WholeSession | None]:
    """A session whole, by one batch once its namespaces are known; None if it is not there.

    Args:
        values: how values are stored.
        paths: the session's places.
        content: whether what checkpoints refer to is wanted, too. Without it the namespaces
            come without that, where there are no subgraphs, none comes at all, and the items of
            streams come without their blobs.
    """
    known: list[str] = []
    streams: list[str] = []
    each = _SCANS if content else 1
    place = Place(paths, "")
    referred = _content(paths, whole_texts=True) if content else []
    while True:
        session, heads, memory, memory_index, *pages = yield [
            Get(paths.sessions, paths.id),
            Scan(paths.checkpoints),
            Scan(paths.memory),
            Scan(paths.memory_index),
            *(Scan(paths.stream(label), blobs=content) for label in streams),
            *(scan for label in known for scan in _scans(paths, label)[:each]),
            *referred,
        ]
        if session is None:
            return None
        found = {head.key: head for head in heads}
        wanted = list(found) if content or found.keys() - {place.label} else []
        named = list(session.body().get(STREAMS) or ())
        if wanted != known or named != streams:
            known, streams = wanted, named
            continue
        items, pages = pages[: len(streams)], pages[len(streams) :]
        root = found.get(place.label)
        wholes = [
            _whole(paths, found[label], [*pages[each * at : each * (at + 1)], []][:_SCANS])
            for at, label in enumerate(known)
        ]
        elements, texts = pages[-2:] if content else ([], [])
        return WholeSession(
            session,
            None if root is None else Root(place, root, Head.read(root)),
            WholeGraph(values, wholes, Content(elements, texts)),
            memory,
            memory_index,
            [record for page in items for record in page],
        )


_SCANS = 2


def _scans(paths: SessionPaths, label: str) -> list[Scan]:
    place = Place(paths, decode_id(label))
    return [Scan(place.records()), Scan(place.values())]


def _content(paths: SessionPaths, *, whole_texts: bool) -> list[Scan]:
    graph = Place(paths, "")
    return [Scan(graph.logs()), Scan(graph.texts(), blobs=whole_texts)]


def _whole(paths: SessionPaths, head: Record, pages: Sequence[list[Record]]) -> WholeNamespace:
    records, apart = pages
    with without_collection(len(records)):
        stored = layout.group(records)
    loose = [
        record
        for record in records
        if PART_SEPARATOR in record.key and layout.written_for(record) not in stored
    ]
    place = Place(paths, decode_id(head.key))
    return WholeNamespace(place, head, Head.read(head), stored, records, loose, apart)
