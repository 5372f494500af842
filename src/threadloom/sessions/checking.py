"""Plans that find damage in what is stored, and mend what can be mended without guessing.

What is damaged beyond mending is named, and left as it is: the rest of its session stays usable.
Nothing of the application's is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.elements import text_in
from threadloom.checkpoint.head_messages import head_messages
from threadloom.checkpoint.header import Apart, Header, Inline, Ref
from threadloom.checkpoint.layout import Head, Place, Stored
from threadloom.checkpoint.namespaces import (
    Content,
    WholeNamespace,
    WholeSession,
    read_session,
)
from threadloom.checkpoint.spans import Span, element_place, places, runs_among, texts_among
from threadloom.checkpoint.standing import put_head, run_status
from threadloom.errors import CorruptRecord, UnsupportedByStore
from threadloom.history import records as history
from threadloom.history.records import Entry
from threadloom.keys import (
    CHECKPOINTS,
    LEASE,
    MEMORY,
    NEXT_POSITION,
    OWN_MARK,
    SESSIONS,
    SessionPaths,
    decode_id,
    message_key,
)
from threadloom.messages import tokens_of
from threadloom.models import CheckReport, Problem, SessionRef
from threadloom.ops import (
    ABSENT,
    Check,
    Delete,
    DropTree,
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
from threadloom.sessions import plans
from threadloom.streams import damage
from threadloom.values import Values

Progress = Callable[[int, int, str], None]


def check(
    scope: Scope,
    values: Values,
    chosen: SessionRef | None,
    *,
    fix: bool,
    progress: Progress | None = None,
) -> Plan[CheckReport]:
    """Look for damage in one session, or in all and between them.

    Args:
        scope: the tenant's part of the store.
        values: how values are stored.
        chosen: one session, or None for all.
        fix: mend what can be mended.
        progress: told after each session: how many are done, how many there are, and which it was.

    Raises:
        SessionNotFound: there is no such session.
    """
    problems: list[Problem] = []
    if chosen is None:
        ids = yield from plans.ids(scope)
        problems += yield from _orphans(scope, fix=fix)
    else:
        ids = [scope.paths(chosen).id]
    for number, id in enumerate(ids, start=1):
        found = yield from _session(scope, values, scope.paths(id), fix=fix)
        if progress is not None:
            progress(number, len(ids), id)
        if found is None:
            if chosen is not None:
                raise index.not_found(id)
            continue
        problems += found
    return CheckReport(sessions=len(ids), problems=tuple(problems))


class _Found:
    """What was found in one session, and what mends it."""

    def __init__(self, paths: SessionPaths) -> None:
        self.paths = paths
        self.problems: list[tuple[str, str, bool]] = []
        self.ops: list[Op] = []
        self.fields: dict[str, Any] = {}

    def name(self, kind: str, detail: str, *, mends: bool = False) -> None:
        self.problems.append((kind, detail, mends))

    def made(self, *, fixed: bool) -> list[Problem]:
        return [
            Problem(session_id=self.paths.id, kind=kind, detail=detail, fixed=fixed and mends)
            for kind, detail, mends in self.problems
        ]


def with_damage(
    report: CheckReport, damage: Sequence[str], mended: Sequence[str] = ()
) -> CheckReport:
    """A report that names what the engine found damaged as well, and what it mended."""
    problems = [Problem(session_id="", kind="file", detail=detail, fixed=True) for detail in mended]
    if damage:
        problem = Problem(
            session_id="",
            kind="file",
            detail=f"the store's own files are damaged ({'; '.join(damage)}): copy what can be "
            "read to another store with copy_sessions(other, ids=[...])",
        )
        problems.append(problem)
    return report.model_copy(update={"problems": (*problems, *report.problems)})


def _session(
    scope: Scope, values: Values, paths: SessionPaths, *, fix: bool
) -> Plan[list[Problem] | None]:
    def attempt() -> Plan[list[Problem] | None]:
        found = _Found(paths)
        try:
            session = yield from read_session(values, paths)
        except CorruptRecord as error:
            found.name("damaged", str(error))
            return found.made(fixed=False)
        if session is None:
            return None
        yield from _headless(found)
        content = _Content(found, values, session.graph.content)
        for whole in session.graph.namespaces:
            _head(found, whole)
            _checkpoints(found, values, whole, content)
            _abandoned(found, whole)
        yield from _history(found, values, session)
        _streams(found, values, session)
        yield from _turn(found, scope, session)
        has_fix = bool(found.ops or found.fields)
        if fix and has_fix:
            yield index.touch(
                paths,
                session.session,
                scope.now(),
                found.ops,
                implicit=False,
                expect=session.session.version,
                set=found.fields,
                turn="ends" if "turn_id" in found.fields else None,
                is_activity=False,
            )
        return found.made(fixed=fix and has_fix)

    return retrying(attempt)


def _headless(found: _Found) -> Plan[None]:
    """Checkpoints of a namespace that has lost its head record: the newest becomes the head."""
    paths = found.paths
    names, heads = yield [
        ListNamespaces(paths.checkpoints),
        Scan(paths.checkpoints, blobs=False),
    ]
    depth = len(paths.checkpoints)
    labels = {name[depth] for name in names if len(name) == depth + 1}
    for label in sorted(labels - {head.key for head in heads}):
        place = Place(paths, decode_id(label))
        (records,) = yield [Scan(place.records())]
        stored = _readable(layout.group(records).values())
        newest = max(stored, key=lambda item: item.seq, default=None)
        found.name(
            "head", f"namespace {place.ns!r} has lost its head record", mends=newest is not None
        )
        if newest is not None:
            ids = [item.id for item in stored]
            head = Head(newest.id, newest.seq, max(ids), ordered=False, tips=(newest.id,))
            found.ops.append(put_head(place, ABSENT, head))


def _readable(stored: Iterable[Stored]) -> list[Stored]:
    good = []
    for item in stored:
        try:
            _ = item.header
        except CorruptRecord:
            continue
        good.append(item)
    return good


def _head(found: _Found, whole: WholeNamespace) -> None:
    head = whole.head
    if head.id is None or head.id in whole.stored:
        return
    newest = max(_readable(whole.stored.values()), key=lambda item: item.seq, default=None)
    found.name(
        "head",
        f"checkpoint {head.id}, the head of namespace {whole.place.ns!r}, is missing",
        mends=True,
    )
    new = head._replace(
        id=None if newest is None else newest.id,
        tips=() if newest is None else (newest.id,),
        ordered=False,
    )
    found.ops.append(put_head(whole.place, whole.head_record.version, new))


class _Content:
    """What checkpoints refer to, and whether it is whole."""

    def __init__(self, found: _Found, values: Values, content: Content) -> None:
        self._found = found
        self._values = values
        self._texts: set[str] = set()
        for record in content.texts:
            try:
                text_in(record)
                self._texts.add(record.key)
            except CorruptRecord as error:
                found.name("damaged", str(error))
        # Elements need nothing but texts; what is not whole is not here.
        self._elements: set[tuple[str, int]] = set()
        for record in content.elements:
            if self.is_whole(record.blob, record.key):
                self._elements.add(element_place(record.key))

    def is_whole(self, blob: bytes | None, what: str) -> bool:
        """Whether all is there that an encoded value needs."""
        try:
            keys = self._values.opened(blob or b"").keys
        except CorruptRecord as error:
            self._found.name("damaged", f"{what!r}: {error}")
            return False
        return self._texts.issuperset(texts_among(keys)) and self.has(runs_among(keys))

    def has(self, spans: Iterable[Span]) -> bool:
        """Whether all elements of spans are there, and whole."""
        return self._elements.issuperset(places(spans))


def _checkpoints(found: _Found, values: Values, whole: WholeNamespace, content: _Content) -> None:
    """Every checkpoint can be read, and all that it refers to is there and whole."""
    where = f"namespace {whole.place.ns!r}"
    apart = {record.key: content.is_whole(record.blob, record.key) for record in whole.apart}
    for stored in whole.stored.values():
        try:
            header = stored.header
        except CorruptRecord as error:
            found.name("damaged", f"{where}: {error}")
            continue
        lost = [
            f"channel {channel!r}"
            for channel, ref in header.refs.items()
            if not _is_there(header, channel, ref, apart, content)
        ] + [
            f"the pending write to {write.channel!r}"
            for write in stored.writes
            if not content.is_whole(write.blob, write.channel)
        ]
        if lost:
            found.name("dangling", f"{where}: checkpoint {stored.id} has lost (part of) {lost[0]}")


def _is_there(
    header: Header, channel: str, ref: Ref, apart: Mapping[str, bool], content: _Content
) -> bool:
    """Whether the value of a channel can be read."""
    if isinstance(ref, Apart):
        return apart.get(layout.value_key(channel, header.versions[channel]), False)
    if isinstance(ref, Inline):
        return content.is_whole(ref.data, channel)
    return content.has(ref.spans)


def _abandoned(found: _Found, whole: WholeNamespace) -> None:
    abandoned = whole.abandoned()
    if abandoned:
        found.name(
            "abandoned",
            f"namespace {whole.place.ns!r} has {len(abandoned)} pending writes whose checkpoint "
            "never came",
            mends=True,
        )
        found.ops += [Delete(record.namespace, record.key) for record in abandoned]


def _history(found: _Found, values: Values, session: WholeSession) -> Plan[None]:
    """The history's index is true, and so are the counts of both doors."""
    paths = found.paths
    entries = history.entries_of(session.memory, session.memory_index)
    places = {entry.record.key for entry in entries}
    for record in session.memory_index:
        if record.key != NEXT_POSITION and record.body().get("at") not in places:
            found.name(
                "history", f"the index knows {record.key!r}, which is no message", mends=True
            )
            found.ops.append(Delete(record.namespace, record.key))
    mended: list[Entry] = []
    for entry in entries:
        if entry.known is None:
            found.name("history", f"message {entry.record.key} is not in the index", mends=True)
            put = Put(
                paths.memory_index,
                message_key(entry.record.body().get("id") or ""),
                doc={"at": entry.record.key, "tokens": _tokens(values, entry.record)},
            )
            found.ops.append(put)
            known = entry.record._replace(
                namespace=put.namespace, key=put.key, doc=dict(put.doc or {})
            )
            entry = entry._replace(known=known)
        mended.append(entry)
    counter = next((r for r in session.memory_index if r.key == NEXT_POSITION), None)
    last = int(entries[-1].record.key) if entries else -1
    if entries and (counter is None or int(counter.body().get("next") or 0) <= last):
        found.name("history", "the next position would overwrite a message", mends=True)
        found.ops.append(Put(paths.memory_index, NEXT_POSITION, doc={"next": last + 1}))
    yield from _counts(found, values, session, mended)


def _counts(
    found: _Found, values: Values, session: WholeSession, entries: list[Entry]
) -> Plan[None]:
    doc = session.session.body()
    root = next((whole for whole in session.graph.namespaces if whole.place.is_root), None)
    stored = None if root is None else root.stored.get(root.head.id or "")
    graph = (0, 0)
    try:
        graph = (stored.header.counts or (0, 0)) if stored is not None else (0, 0)
        ids: Collection[str] = ()
        if stored is not None and entries:
            messages, _ = yield from head_messages(
                values, found.paths, checkpoint_id=stored.id, opaque=True
            )
            ids = {message_key(message.id) for message in messages if message.id}
    except (CorruptRecord, UnsupportedByStore):
        return  # named above, or only its graph can tell
    shared = history.counts([entry for entry in entries if entry.key in ids])
    expected = {
        "graph_messages": graph[0],
        "graph_tokens": graph[1],
        **history.counts(entries),
        "shared_messages": shared["history_messages"],
        "shared_tokens": shared["history_tokens"],
    }
    wrong = {name: n for name, n in expected.items() if int(doc.get(name) or 0) != n}
    if wrong:
        said = ", ".join(
            f"{name} {int(doc.get(name) or 0)} instead of {n}" for name, n in wrong.items()
        )
        found.name("counts", said, mends=True)
        found.fields |= wrong


def _streams(found: _Found, values: Values, session: WholeSession) -> None:
    """The items of streams are whole, and messages show what is there."""
    entries = history.entries_of(session.memory, session.memory_index)
    for problem in damage.look(values, session.streams, entries):
        found.name(problem.kind, problem.detail, mends=bool(problem.ops))
        found.ops += problem.ops


def _turn(found: _Found, scope: Scope, session: WholeSession) -> Plan[None]:
    """A turn that died is ended."""
    if not index.is_running(session.session):
        return
    lease, head = yield [Get(found.paths.tombstones, LEASE), Place(found.paths, "").head()]
    if lease is not None and not index.lasts(lease, scope.now()):
        found.name("turn", "a turn has died: its lease was not renewed", mends=True)
        found.fields |= {"status": run_status(head), **dict.fromkeys(index.OF_A_TURN)}
        found.ops.append(Delete(found.paths.tombstones, LEASE, expect=lease.version))


def _tokens(values: Values, record: Record) -> int:
    message = values.loads_opaque(record.blob) if record.blob is not None else None
    return tokens_of(message) if isinstance(message, BaseMessage) else 0


def _orphans(scope: Scope, *, fix: bool) -> Plan[list[Problem]]:
    """What belongs to no session, neither one that lives nor one that has expired."""
    alive, expired, *trees = yield [
        Query((*scope.root, SESSIONS)),
        Query((*scope.root, SESSIONS), expired=True),
        *(ListNamespaces((*scope.root, word)) for word in (MEMORY, CHECKPOINTS)),
    ]
    depth = len(scope.root) + 1
    known = {record.key for record in (*alive, *expired)}
    labels = {name[depth] for tree in trees for name in tree if len(name) > depth}
    problems = []
    for label in sorted(labels):
        if label.startswith(OWN_MARK) or (id := decode_id(label)) in known:
            continue
        paths = scope.paths(id)
        fixed = False
        if fix:
            try:
                yield [
                    Check(paths.sessions, paths.id, ABSENT),
                    DropTree(paths.memory),
                    DropTree(paths.checkpoints),
                ]
                fixed = True
            except ExpectationFailed:
                continue  # it lives by now
        problems.append(
            Problem(
                session_id=id,
                kind="orphan",
                detail="data of a session that is not there",
                fixed=fixed,
            )
        )
    return problems
