"""Plans that delete, prune and copy graph state; none needs the application's classes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from threadloom import fences, index
from threadloom.checkpoint.graph_state import read_graph
from threadloom.checkpoint.head_messages import head_messages, shared_with_history
from threadloom.checkpoint.layout import Head
from threadloom.checkpoint.namespaces import (
    NO_GRAPH,
    Root,
    WholeNamespace,
    WholeSession,
    read_namespaces,
)
from threadloom.errors import InvalidKey, SessionConflict
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
        wholes = yield from read_namespaces(values, paths, whole_texts=policy is not None)
        needed = yield from _gone_back_to(values, paths, session, wholes, chosen)
        ops: list[Op] = []
        checkpoints = 0
        for whole in wholes:
            if whole.head.id is None or whole.head.id in whole.stored:
                gone = whole.deletable(_doomed(whole, chosen) - needed)
                checkpoints += len(gone)
                ops += whole.without(gone) if gone else []
        removed = {(op.namespace, op.key) for op in ops if isinstance(op, Delete)}
        found = [
            record
            for whole in wholes
            for record in whole.all_records()
            if (record.namespace, record.key) in removed
        ]
        if ops and not chosen.dry_run:
            yield _removal(scope, paths, session, ops)
        return Removed(checkpoints, len(found), sum(map(index.size, found)))

    return retrying(attempt)


def _gone_back_to(
    values: Values,
    paths: SessionPaths,
    session: Record,
    wholes: Sequence[WholeNamespace],
    policy: Policy,
) -> Plan[set[str]]:
    """Of subgraphs that remember, what a rewind to a checkpoint that stays goes back to."""
    root = next((whole for whole in wholes if whole.place.is_root), None)
    remembering = [whole for whole in wholes if whole.place.ns and ":" not in whole.place.ns]
    found: set[str] = set()
    if root is not None and remembering:
        there = Root(root.place, root.head_record, root.head)
        whole_session = WholeSession(session, there, [*wholes], [], [])
        graph = yield from read_graph(values, paths, whole_session)
        for id in root.stored.keys() - _doomed(root, policy):
            way = yield from graph.way(root.stored[id])
            for whole in remembering:
                found |= {stored.id for stored in graph.made_on(whole, way, last=False)[-1:]}
    return found


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
        wholes = yield from read_namespaces(values, paths)
        ops: list[Op] = []
        for whole in wholes:
            abandoned = {record.key: record for record in whole.abandoned()}
            ops += [Delete(record.namespace, record.key) for record in abandoned.values()]
            left = [record for record in whole.loose if record.key not in abandoned]
            ops += whole._replace(loose=left).without(set())
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
        wholes = yield from read_namespaces(values, paths)
        ops: list[Op] = []
        fields: dict[str, object] = {}
        for whole in wholes:
            doomed = {
                id
                for id, item in whole.stored.items()
                if (item.record.doc or {}).get("run_id") in runs
            }
            gone = whole.deletable(doomed)
            if not gone:
                continue
            ops += whole.without(gone)
            if whole.place.is_root:
                newest = whole.newest_without(gone)
                fields = whole.session_fields(newest)
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
