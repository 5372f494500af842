"""Plans that store checkpoints and pending writes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from threadloom import index
from threadloom.checkpoint import layout, life
from threadloom.checkpoint.cache import Cache, Held, Standing
from threadloom.checkpoint.channels import ChannelWriter, bases
from threadloom.checkpoint.conversation import Moment, follow
from threadloom.checkpoint.elements import TextKeeper
from threadloom.checkpoint.header import (
    Header,
    Ref,
    as_parent,
    decode_header,
    encode_header,
    new_header,
)
from threadloom.checkpoint.layout import Head, Place
from threadloom.errors import SessionConflict
from threadloom.keys import NEXT_POSITION
from threadloom.ops import (
    ABSENT,
    PRESENT,
    Check,
    Expect,
    ExpectationFailed,
    Get,
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
_DURABILITY = "__pregel_durability"
"""Where LangGraph tells a run's durability. With ``exit`` the root's put comes last."""


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
    merged = _metadata(config, metadata)
    on_purpose = _on_purpose(config)
    run = _run_of(place, config)
    waits = patience if configurable.get(_DURABILITY) != "exit" else None
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
            seen = _Seen.standing(standing)
        else:
            seen = yield from _look(place, id, parent)
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
        put_checkpoint = Put(
            place.records(),
            layout.checkpoint_key(id),
            doc=None if run_id is None else {"run_id": run_id},
            blob=encode_header(header),
            expect=ABSENT if existing is None else existing.version,
        )
        put_head = _put_head(place, seen.head_version, new_head)
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
                put_checkpoint,
                put_head,
            ],
            implicit=scope.implicit,
            owner=_owner(config),
            expect=expect,
            set=fields,
            increment=increments,
        )
        results = yield from _standing_or_not(held, standing, ops)
        writer.stored()
        if session is not None and becomes_head and not index.has_history(session):
            held.standing = Standing(
                session,
                seen.counter,
                new_head,
                _result_of(put_head, ops, results),
                as_parent(header),
                _result_of(put_checkpoint, ops, results),
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


def put_writes(
    scope: Scope,
    cache: Cache,
    values: Values,
    place: Place,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
    patience: life.Patience,
) -> Plan[None]:
    """Store pending writes of a task; writes that are stored already stay as they are.

    They may come before the checkpoint that they belong to.

    Raises:
        SessionDeleted: the checkpoint is older than the session's deletion.
        SessionNotFound: the session does not exist and may not begin by itself.
        SerializationError: a value cannot be stored; names its channel.
    """
    checkpoint_id: str = config["configurable"]["checkpoint_id"]
    paths = place.paths
    run = _run_of(place, config)
    held = cache.held(values, place)

    def attempt() -> Plan[None]:
        keeper = TextKeeper(place, held)
        puts: list[Op] = []
        mark: str | None = None
        for position, (channel, value) in enumerate(writes):
            number = WRITES_IDX_MAP.get(channel, position)
            where = f"a pending write to channel {channel!r}"
            data = values.dumps_apart(value, keeper.keep, where=where)
            puts.append(
                Put(
                    place.records(),
                    layout.write_key(checkpoint_id, task_id, number),
                    blob=layout.encode_write(channel, task_path, data),
                    keep=number >= 0,
                )
            )
            if channel == ERROR:
                mark = "error"
            elif channel == INTERRUPT and mark is None:
                mark = "interrupted"

        standing = held.standing
        if cache.guarded and standing is not None and standing.head.id == checkpoint_id:
            key = layout.checkpoint_key(checkpoint_id)
            still = Check(place.records(), key, standing.version)
            session: Record | None = standing.session
            head = standing.head
            head_version: int | None = standing.head_version
            fields: dict[str, Any] = {}
        else:
            found = yield from life.check(place, checkpoint_id, patience)
            still = life.unchanged(paths, found.grave)
            session, head = found.session, Head.read(found.head)
            head_version = None if found.head is None else found.head.version
            fields = {}
            if session is None:
                fields |= index.after(found.remains, life.before(run or checkpoint_id))
        marking: list[Op] = []
        if mark is not None and place.is_root:
            marked = head.with_mark(checkpoint_id, mark)
            marking.append(_put_head(place, head_version or ABSENT, marked))
            if head.id == checkpoint_id:
                fields["status"] = marked.marks[checkpoint_id]
        ops = index.touch(
            paths,
            session,
            scope.now(),
            [still, *keeper.ops(), *puts, *marking],
            implicit=scope.implicit,
            owner=_owner(config),
            set=fields,
        )
        yield from _standing_or_not(held, standing, ops)

    return retrying(attempt)


class _Seen(NamedTuple):
    """What a put knows of what is stored."""

    session: Record | None
    counter: Expect
    head: Head
    head_version: Expect
    existing: Record | None
    parent: Header | None

    @classmethod
    def standing(cls, known: Standing) -> _Seen:
        """What it knows without looking, for a checkpoint that goes on from the head."""
        return cls(known.session, known.counter, known.head, known.head_version, None, known.header)


def _standing_or_not(held: Held, standing: Standing | None, ops: list[Op]) -> Plan[list[Any]]:
    """Write; if anybody else wrote meanwhile, how it stood is forgotten."""
    try:
        return (yield ops)
    except ExpectationFailed:
        if held.standing is standing:
            held.standing = None
        raise


def _result_of(op: Op, ops: Sequence[Op], results: Sequence[Any]) -> Any:
    return next(result for other, result in zip(ops, results, strict=True) if other is op)


def _look(place: Place, id: str, parent: str | None) -> Plan[_Seen]:
    """Read what a put of a checkpoint needs to know.

    Raises:
        SessionDeleted: the parent is gone.
    """
    paths = place.paths
    reads: list[Op] = [
        Get(paths.sessions, paths.id),
        Get(paths.memory_index, NEXT_POSITION, blob=False),
        place.head(),
        Get(place.records(), layout.checkpoint_key(id)),
    ]
    if parent is not None:
        reads.append(Get(place.records(), layout.checkpoint_key(parent)))
    session, counter, head, existing, *rest = yield reads
    before: Record | None = rest[0] if rest else None
    if session is None:
        counter = head = existing = before = None
    if parent is not None and before is None:
        raise index.deleted(paths.id, f"checkpoint {parent}, the parent of {id}, is gone")
    return _Seen(
        session,
        ABSENT if counter is None else counter.version,
        Head.read(head),
        ABSENT if head is None else head.version,
        existing,
        None if before is None else decode_header(before),
    )


def _run_of(place: Place, config: RunnableConfig) -> str | None:
    """The root's checkpoint that a subgraph's run belongs to."""
    ancestors = config["configurable"].get("checkpoint_map") or {}
    return None if place.is_root else ancestors.get("")


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


def _put_head(place: Place, expect: Expect, head: Head) -> Put:
    get = place.head()
    return Put(get.namespace, get.key, doc=head.doc(), expect=expect)


def _metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
    merged = get_checkpoint_metadata(config, metadata)
    if "session_id" not in metadata:
        merged.pop("session_id", None)  # type: ignore[typeddict-item]
    return merged


def _owner(config: RunnableConfig) -> str | None:
    owner = config["configurable"].get("user_id")
    return owner if isinstance(owner, str) and owner else None


def _on_purpose(config: RunnableConfig) -> bool:
    """Whether a run was told to go on from a checkpoint.

    LangGraph copies what its caller configured into the config's metadata.
    """
    return bool((config.get("metadata") or {}).get("checkpoint_id"))


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


__all__ = ["put", "put_writes"]
