"""Plans that delete, prune and copy graph state; none needs the application's classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from threadloom import fences, index
from threadloom.checkpoint.graph_state import doc_with_note, read_graph
from threadloom.checkpoint.head_messages import head_messages, shared_with_history
from threadloom.checkpoint.layout import Head
from threadloom.checkpoint.namespaces import (
    NO_GRAPH,
    WholeGraph,
    WholeNamespace,
    read_namespaces,
)
from threadloom.errors import InvalidKey, SessionConflict, UnsupportedByStore
from threadloom.keys import CHECKPOINTS, SessionPaths, decode_id
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
    Namespace,
    Op,
    Query,
    Record,
    Scan,
)
from threadloom.plans import Plan, retrying
from threadloom.records import copied
from threadloom.scope import Scope
from threadloom.values import Values


def delete_thread(scope: Scope, paths: SessionPaths) -> Plan[None]:
    """Delete a session's graph state; the session and its chat history stay."""

    def attempt() -> Plan[None]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        now = scope.now()
        touched: list[Op] = []
        if session is None:
            touched += [*fences.checks(paths), Check(paths.sessions, paths.id, ABSENT)]
        else:
            touched = index.touch(paths, session, now, implicit=False, set=NO_GRAPH)
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
        # One moment for all of it, however busy the source is.
        known: list[Namespace] | None = None
        while True:
            origin, session, remains, there, found, *pages = yield [
                Get(source.sessions, source.id),
                Get(target.sessions, target.id),
                index.remains(target),
                ListNamespaces(target.checkpoints),
                ListNamespaces(source.checkpoints),
                *(Scan(namespace) for namespace in known or ()),
            ]
            if origin is None:
                raise index.not_found(source.id)
            if found == known:
                break
            known = found
        if session is not None and there:
            raise SessionConflict(f"session {target.id!r} has graph state; copy onto an empty one")
        messages: list[BaseMessage] = []
        if session is not None and index.has_history(session):
            messages, _ = yield from head_messages(values, source, opaque=True)
            (again,) = yield [Get(source.sessions, source.id, blob=False)]
            if again is None or again.version != origin.version:
                raise ExpectationFailed(Check(source.sessions, source.id, origin.version))
        fields = {name: origin.body().get(name) or default for name, default in NO_GRAPH.items()}
        if index.is_running(origin):
            fields["status"] = "idle"
        fields["shared_messages"] = fields["shared_tokens"] = 0
        if session is None:
            fields |= {"origin": {"session_id": source.id}, **index.after(remains)}
        elif messages:
            shared = yield from shared_with_history(target, session, messages)
            fields["shared_messages"], fields["shared_tokens"] = shared
        depth = len(source.checkpoints)
        copies: list[Op] = []
        for record in (record for page in pages for record in page):
            if record.namespace == source.checkpoints:
                record = record._replace(doc=_own_logs(record))
            copies.append(copied(record, (*target.checkpoints, *record.namespace[depth:])))
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


class Policy(NamedTuple):
    """Which checkpoints a prune may remove.

    Attributes:
        keep_last: of each namespace so many of the newest stay.
        made_before: only those that were made before this time, in microseconds.
        dry_run: only look.
    """

    keep_last: int = 1
    made_before: int | None = None
    dry_run: bool = False


class Removed(NamedTuple):
    """What a prune of a session removed, or would remove."""

    checkpoints: int = 0
    records: int = 0
    bytes: int = 0


def prune(
    scope: Scope, values: Values, paths: SessionPaths, policy: Policy | None = None
) -> Plan[Removed]:
    """Remove old checkpoints, but the head of each namespace and what it is rebuilt from."""
    chosen = policy or Policy()

    def attempt() -> Plan[Removed]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        if session is None:
            return Removed()
        graph = yield from read_namespaces(values, paths, whole_texts=policy is not None)
        doomed = {
            whole.place.label: _doomed(whole, chosen)
            for whole in graph.namespaces
            if whole.head.id is None or whole.head.id in whole.stored
        }
        cut = yield from _cut(values, paths, graph, doomed, for_rewinds=True)
        checkpoints = sum(map(len, cut.gone.values()))
        ops = cut.ops
        removed = {(op.namespace, op.key) for op in ops if isinstance(op, Delete)}
        found = [
            record for record in graph.all_records() if (record.namespace, record.key) in removed
        ]
        if ops and not chosen.dry_run:
            yield _removal(scope, paths, session, ops)
        return Removed(checkpoints, len(found), sum(map(index.size, found)))

    return retrying(attempt)


class _Cut(NamedTuple):
    """What removes checkpoints of a session.

    Attributes:
        gone: the ids of those that go, by the labels of their namespaces.
        ops: the operations.
    """

    gone: dict[str, set[str]]
    ops: list[Op]


def _cut(
    values: Values,
    paths: SessionPaths,
    graph: WholeGraph,
    doomed: Mapping[str, set[str]],
    *,
    for_rewinds: bool = False,
) -> Plan[_Cut]:
    """Remove checkpoints, but those that others are rebuilt from.

    A rewind takes a subgraph that remembers back to what the way to its goal has left of it.
    Where that way is cut, the first checkpoint that stays of it has a note.

    Args:
        values: how values are stored.
        paths: the session's places.
        graph: its graph state.
        doomed: the ids of the checkpoints, by the labels of their namespaces.
        for_rewinds: keep what a rewind to a checkpoint that stays goes back to.
    """
    wholes = graph.namespaces
    gone = {
        whole.place.label: whole.deletable(doomed.get(whole.place.label, set())) for whole in wholes
    }
    notes: dict[str, dict[str, str]] = {}
    root = next((whole for whole in wholes if whole.place.is_root), None)
    remembering = [whole for whole in wholes if whole.place.remembers]
    if root is not None and remembering:
        state = yield from read_graph(values, paths, root, wholes)
        taken = gone[root.place.label]
        stay = [stored for id, stored in root.stored.items() if id not in taken]
        for whole in remembering:
            label = whole.place.label
            departures = state.departures(whole)
            left = {stored.id: last.id for stored in stay if (last := departures[stored.id])}
            if for_rewinds:
                gone[label] = whole.deletable(doomed.get(label, set()) - set(left.values()))
            for stored in stay:
                if stored.parent in taken:
                    at = left.get(stored.id, "")
                    notes.setdefault(stored.id, {})[label] = "" if at in gone[label] else at
    ops: list[Op] = []
    for whole in wholes:
        if away := gone[whole.place.label]:
            docs = {
                id: doc_with_note(whole.stored[id], note)
                for id, note in (notes if whole is root else {}).items()
            }
            ops += whole.without(away, docs)
    if ops:
        ops += graph.dead({w.place.label: w.left(gone[w.place.label]) for w in wholes})
    return _Cut(gone, ops)


def _doomed(whole: WholeNamespace, policy: Policy) -> set[str]:
    """The checkpoints that a policy does not want to keep."""
    newest = sorted(whole.stored.values(), key=lambda item: -item.seq)
    kept = {item.id for item in newest[: policy.keep_last]} | {whole.head.id}
    return {
        item.id
        for item in newest
        if item.id not in kept
        and (
            policy.made_before is None
            or ((made := item.made_at) is not None and made < policy.made_before)
        )
    }


def compact(scope: Scope, values: Values, paths: SessionPaths) -> Plan[None]:
    """Remove what no checkpoint needs: values, elements and texts that were left behind.

    Pending writes whose checkpoint never came go as well, an hour after a newer checkpoint.
    """

    def attempt() -> Plan[None]:
        (session,) = yield [Get(paths.sessions, paths.id)]
        if session is None:
            return
        graph = yield from read_namespaces(values, paths)
        ops: list[Op] = []
        wholes = []
        for whole in graph.namespaces:
            abandoned = {record.key: record for record in whole.abandoned()}
            ops += [Delete(record.namespace, record.key) for record in abandoned.values()]
            left = [record for record in whole.loose if record.key not in abandoned]
            wholes.append(whole._replace(loose=left))
        ops += graph._replace(namespaces=wholes).dead(
            {whole.place.label: whole.stored.values() for whole in wholes}
        )
        if ops:
            yield _removal(scope, paths, session, ops)

    return retrying(attempt)


def _removal(scope: Scope, paths: SessionPaths, session: Record, ops: Sequence[Op]) -> list[Op]:
    """A removal; every write to a session moves its record's version."""
    return index.touch(
        paths,
        session,
        scope.now(),
        ops,
        implicit=False,
        expect=session.version,
        is_activity=False,
    )


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
        graph = yield from read_namespaces(values, paths)
        doomed = {
            whole.place.label: {
                id
                for id, item in whole.stored.items()
                if (item.record.doc or {}).get("run_id") in runs
            }
            for whole in graph.namespaces
        }
        gone, ops = yield from _cut(values, paths, graph, doomed)
        fields: dict[str, object] = {}
        root = next((whole for whole in graph.namespaces if whole.place.is_root), None)
        if root is not None and (away := gone[root.place.label]):
            newest = root.newest_without(away)
            fields = root.session_fields(newest)
            if newest is not None and session.body().get("history_messages"):
                try:
                    messages, _ = yield from head_messages(
                        values, paths, checkpoint_id=newest.id, opaque=True
                    )
                except UnsupportedByStore:  # a delta channel, which only its graph rebuilds
                    messages = []
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
