"""The plan that stores checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
)

from threadloom import index
from threadloom.checkpoint import layout, life
from threadloom.checkpoint.cache import Cache
from threadloom.checkpoint.channels import ChannelWriter, bases
from threadloom.checkpoint.configs import is_on_purpose, metadata_of, owner_of, puts_last, run_of
from threadloom.checkpoint.conversation import Moment, follow
from threadloom.checkpoint.header import (
    Header,
    Ref,
    as_parent,
    decode_header,
    encode_header,
    new_header,
)
from threadloom.checkpoint.layout import Head, Place
from threadloom.checkpoint.standing import Seen, Standing, look, put_head
from threadloom.errors import SessionConflict
from threadloom.keys import NEXT_POSITION
from threadloom.ops import (
    ABSENT,
    PRESENT,
    Check,
    Expect,
    Op,
    Put,
    Record,
    Scan,
)
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values

logger = logging.getLogger("threadloom.checkpoint")

START = "__start__"


def put(
    scope: Scope,
    cache: Cache,
    values: Values,
    place: Place,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
    patience: life.Patience,
) -> Plan[None]:
    """Store a checkpoint; on return it is committed, and the index knows.

    Raises:
        SessionDeleted: the parent that the config names is gone.
        SessionConflict: `on_conflict="raise"`, and the run's base is no longer the head.
        SessionNotFound: the session does not exist and may not begin by itself.
        SerializationError: a value cannot be stored; names its channel.
    """
    configurable = config["configurable"]
    parent = configurable.get("checkpoint_id") or None
    id, paths = checkpoint["id"], place.paths
    merged = metadata_of(config, metadata)
    on_purpose = is_on_purpose(config)
    run = run_of(place, config)
    waits = None if puts_last(config) else patience
    known_values = checkpoint["channel_values"]
    versions = checkpoint["channel_versions"]
    new = {channel: versions[channel] for channel in new_versions if channel in versions}

    held = cache.held(values, place)

    def attempt() -> Plan[None]:
        guard: list[Op] = []
        if parent is None and run is not None:
            # The first put of a subgraph: alone it would look like the start of a new life.
            root = yield from life.check(Place(paths, ""), run, waits)
            guard.append(life.unchanged(paths, root.grave))
        # As it stood last, if that is known; what is expected below proves it.
        standing = held.standing
        if cache.guarded and standing is not None and parent == standing.head.id and parent != id:
            seen = Seen.before(standing)
        else:
            seen = yield from look(place, id, parent)
        session, head, existing = seen.session, seen.head, seen.existing
        conflict = (
            existing is None
            and place.is_root
            and not on_purpose
            and _is_conflict(head, parent, merged)
        )
        if conflict and scope.on_conflict == "raise":
            raise SessionConflict(
                f"session {paths.id!r}: a graph run that began at checkpoint {parent} was "
                f"overtaken, the head is {head.id}. Run it again from the head"
            )
        kept, unsure = _settle(seen.parent, versions, new, known_values)
        if unsure:
            kept |= yield from _search(place, session, unsure)
        again = {channel: version for channel, version in unsure.items() if channel not in kept}
        to_write = {
            channel: version
            for channel, version in (new | again).items()
            if channel in known_values
        }
        writer = ChannelWriter(cache, values, place, head.logs)
        # A put of an id that is there already replaces it; what is new is new against itself.
        base = seen.parent if existing is None else decode_header(existing)
        found = yield from bases(cache, values, place, {} if base is None else base.refs, to_write)
        for channel, version in to_write.items():
            writer.write(channel, version, known_values[channel], found.get(channel))
        refs = {
            channel: ref for channel, ref in (kept | writer.refs).items() if channel in versions
        }
        becomes_head = existing is None or head.id == id
        moment = Moment(cache, values, place, session, head, base)
        conversation = yield from follow(
            moment, writer, refs, known_values, versions, moves_head=becomes_head
        )
        replaced: list[Op] = []
        if existing is not None and base is not None:
            replaced = yield from _replace(place, base, versions, writer.refs)
        now = scope.now()
        header = new_header(
            seq=head.puts + 1 if existing is None or base is None else base.seq,
            parent=parent,
            checkpoint=checkpoint,
            refs=refs,
            counts=conversation.counts,
            metadata=merged,
            values=values,
        )
        new_head = head.with_put(id, parent, on_purpose=on_purpose) if existing is None else head
        new_head = new_head._replace(logs=writer.logs)
        fields: dict[str, Any] = {}
        if session is None:
            (remains,) = yield [index.remains(paths)]
            fields |= index.after(remains, life.before(run or id))
        if becomes_head and place.is_root:
            fields["status"] = new_head.marks.get(id, "idle")
            if conversation.counts is not None:
                new_head = new_head.with_growth(conversation.counts[0], now)
                fields |= conversation.fields()
        increments = {}
        if existing is None and place.is_root:
            if _begins_turn(values, merged, new_versions, seen.parent):
                increments["turn_count"] = 1
            if conflict:
                increments["conflicts"] = 1
        expect: Expect = PRESENT
        if session is not None and conversation.shared is not None:
            # What both doors hold is counted by each against the other: neither may miss a write.
            if index.has_history(session):
                expect = session.version
            else:
                guard.append(Check(paths.memory_index, NEXT_POSITION, seen.counter))
        run_id = merged.get("run_id")
        own_record = Put(
            place.records(),
            layout.checkpoint_key(id),
            doc=None if run_id is None else {"run_id": run_id},
            blob=encode_header(header),
            expect=ABSENT if existing is None else existing.version,
        )
        head_record = put_head(place, seen.head_version, new_head)
        ops = index.touch(
            paths,
            session,
            now,
            [
                *guard,
                *writer.keeper.ops(conversation.shown),
                *writer.ops,
                *conversation.patches,
                *replaced,
                own_record,
                head_record,
            ],
            implicit=scope.implicit,
            owner=owner_of(config),
            expect=expect,
            set=fields,
            increment=increments,
        )
        results = yield from held.unless_overtaken(standing, ops)
        writer.stored()
        if session is not None and becomes_head and not index.has_history(session):
            held.standing = Standing(
                session,
                seen.counter,
                new_head,
                _result_of(head_record, ops, results),
                as_parent(header),
                _result_of(own_record, ops, results),
            )
        if conflict:
            logger.warning(
                "session %r: a graph run that began at checkpoint %s was overtaken, %s had become "
                "the head meanwhile; both are kept as branches, and %s is the head now",
                paths.id,
                parent,
                head.id,
                id,
            )

    return retrying(attempt)


def _settle(
    parent: Header | None,
    versions: Mapping[str, Any],
    new: Mapping[str, Any],
    known: Mapping[str, Any],
) -> tuple[dict[str, Ref], dict[str, Any]]:
    """Sort the channels that a put does not write by what the parent knows of their values.

    Returns the references that stay, and the versions of which the parent knows nothing.
    """
    kept: dict[str, Ref] = {}
    unsure: dict[str, Any] = {}
    for channel, version in versions.items():
        if channel in new:
            continue
        if parent is None or not _is_version(parent, channel, version):
            unsure[channel] = version
        elif (ref := parent.refs.get(channel)) is not None:
            kept[channel] = ref
        elif channel in known:
            unsure[channel] = version  # the parent had a version without a value
    return kept, unsure


def _is_version(header: Header, channel: str, version: Any) -> bool:
    found = header.versions.get(channel)
    return found == version and type(found) is type(version)


def _replace(
    place: Place, old: Header, versions: Mapping[str, Any], refs: Mapping[str, Ref]
) -> Plan[list[Op]]:
    """Where other checkpoints have the value of a version that is put again, they get the new."""
    moved = {
        channel: (before, ref)
        for channel, ref in refs.items()
        if (before := old.refs.get(channel)) is not None
        and before != ref
        and _is_version(old, channel, versions[channel])
    }
    if not moved:
        return []
    (records,) = yield [Scan(place.records())]
    ops: list[Op] = []
    for stored in layout.group(records).values():
        header = stored.header
        changed = {
            channel: ref
            for channel, (before, ref) in moved.items()
            if header.refs.get(channel) == before
            and _is_version(header, channel, versions[channel])
        }
        if changed and stored.id != old.checkpoint["id"]:
            new = header._replace(refs={**header.refs, **changed})
            record = stored.record
            ops.append(Put(record.namespace, record.key, doc=record.doc, blob=encode_header(new)))
    return ops


def _search(
    place: Place, session: Record | None, unsure: Mapping[str, Any]
) -> Plan[dict[str, Ref]]:
    """What other checkpoints have for channels at versions that the parent does not know.

    Seldom needed: LangGraph's copy of a checkpoint comes with the parent of the original.
    """
    if session is None:
        return {}
    (records,) = yield [Scan(place.records())]
    found: dict[str, Ref] = {}
    left = dict(unsure)
    for stored in layout.group(records).values():
        for channel, version in list(left.items()):
            ref = stored.header.refs.get(channel)
            if ref is not None and _is_version(stored.header, channel, version):
                found[channel] = ref
                del left[channel]
        if not left:
            break
    return found


def _result_of(op: Op, ops: Sequence[Op], results: Sequence[Any]) -> Any:
    return next(result for other, result in zip(ops, results, strict=True) if other is op)


def _is_conflict(head: Head, parent: str | None, metadata: CheckpointMetadata) -> bool:
    """Whether a put that is no branch on purpose goes on from what is not the head.

    A run under way may do so: the tips know where each stands.
    """
    if head.id is None or parent == head.id:
        return False
    return metadata.get("source") != "loop" or parent not in head.tips


def _begins_turn(
    values: Values,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
    parent: Header | None,
) -> bool:
    """Whether a put is the first of a run with new input.

    LangGraph puts the input as a checkpoint of its own, except with `durability="exit"`,
    where the only put shows by the input channel's new version.
    """
    if metadata.get("source") == "input":
        return True
    if metadata.get("source") != "loop" or START not in new_versions:
        return False
    return parent is None or values.loads_opaque(parent.metadata).get("source") != "input"
