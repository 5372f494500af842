"""Plans that store checkpoints and pending writes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

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
from threadloom.checkpoint.head_messages import head_messages, shared_with_history
from threadloom.checkpoint.layout import Head, Header, Place
from threadloom.errors import SessionConflict
from threadloom.messages import MESSAGES, messages_in, token_total
from threadloom.ops import ABSENT, PRESENT, Expect, Get, Op, Put, Record
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values

logger = logging.getLogger("threadloom.checkpoint")

START = "__start__"
_DURABILITY = "__pregel_durability"
"""Where LangGraph tells a run's durability. With ``exit`` the root's put comes last."""


def put(
    scope: Scope,
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
    blobs = _encode_new(values, checkpoint, new_versions)
    known_values = checkpoint["channel_values"]
    kept = {
        channel: version
        for channel, version in checkpoint["channel_versions"].items()
        if channel not in new_versions
    }

    def attempt() -> Plan[None]:
        guard: list[Op] = []
        if parent is None and run is not None:
            # The first put of a subgraph: alone it would look like the start of a new life.
            root = yield from life.check(Place(paths, ""), run, waits)
            guard.append(life.unchanged(paths, root.grave))
        reads: list[Op] = [
            Get(paths.sessions, paths.id),
            index.remains(paths),
            place.head(),
            Get(place.records(), layout.checkpoint_key(id), blob=False),
        ]
        if parent is not None:
            reads.append(Get(place.records(), layout.checkpoint_key(parent)))
        session, remains, head_record, existing, *rest = yield reads
        if session is None:
            head_record = existing = None
            rest = [None] * len(rest)
        parent_record: Record | None = rest[0] if rest else None
        if parent is not None and parent_record is None:
            raise index.deleted(paths.id, f"checkpoint {parent}, the parent of {id}, is gone")
        head = Head.read(head_record)
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
        header = None if parent_record is None else layout.decode_header(parent_record)
        absent, unsure = _settle(header, kept, known_values)
        absent |= {channel for channel in new_versions if channel not in known_values}
        extra: list[Op] = []
        if unsure:
            found = yield [
                Get(place.values(), layout.value_key(channel, version), blob=False)
                for channel, version in unsure.items()
            ]
            for (channel, version), record in zip(unsure.items(), found, strict=True):
                if record is not None and session is not None:
                    continue
                if channel in known_values:
                    extra.append(_value(place, values, channel, version, known_values[channel]))
                else:
                    absent.add(channel)
        counts = _counts(checkpoint, new_versions, parent_record)
        shared = (0, 0)
        if counts is not None and place.is_root:
            messages = messages_in(known_values.get(MESSAGES))
            if MESSAGES not in known_values and parent is not None and counts["messages"]:
                messages, _ = yield from head_messages(
                    values, paths, checkpoint_id=parent, opaque=True
                )
            shared = yield from shared_with_history(paths, session, messages)
        now = scope.now()
        doc = {
            "seq": existing.body().get("seq") if existing is not None else head.puts + 1,
            "parent": parent,
            "source": merged.get("source"),
            "step": merged.get("step"),
            "run_id": merged.get("run_id"),
            **(counts or {}),
        }
        if delta := merged.get("counters_since_delta_snapshot"):
            doc["delta"] = sorted(delta)  # what only the ancestors can rebuild; see upkeep
        becomes_head = existing is None or head.id == id
        new_head = head.with_put(id, parent, on_purpose=on_purpose) if existing is None else head
        fields: dict[str, Any] = {}
        if session is None:
            fields |= index.after(remains, life.before(run or id))
        if becomes_head and place.is_root:
            fields["status"] = new_head.marks.get(id, "idle")
            if counts is not None:
                new_head = new_head.with_growth(counts["messages"], now)
                fields["graph_messages"] = counts["messages"]
                fields["graph_tokens"] = counts["tokens"]
                fields["shared_messages"], fields["shared_tokens"] = shared
        increments = {}
        if existing is None and place.is_root:
            if _begins_turn(merged, new_versions, parent_record):
                increments["turn_count"] = 1
            if conflict:
                increments["conflicts"] = 1
        # What both doors hold is counted by each against the other, so neither may miss a write.
        counted = becomes_head and place.is_root and counts is not None
        expect: Expect = session.version if session is not None and counted else PRESENT
        content: list[Op] = [
            *guard,
            *(
                Put(place.values(), layout.value_key(channel, version), blob=blob)
                for (channel, version), blob in blobs.items()
            ),
            *extra,
            Put(
                place.records(),
                layout.checkpoint_key(id),
                doc=doc,
                blob=layout.encode_header(checkpoint, absent, merged, values),
            ),
            _put_head(place, head_record, new_head),
        ]
        yield index.touch(
            paths,
            session,
            now,
            content,
            implicit=scope.implicit,
            owner=_owner(config),
            expect=expect,
            set=fields,
            increment=increments,
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
    puts: list[Op] = []
    mark: str | None = None
    for position, (channel, value) in enumerate(writes):
        number = WRITES_IDX_MAP.get(channel, position)
        puts.append(
            Put(
                place.records(),
                layout.write_key(checkpoint_id, task_id, number),
                doc={"channel": channel, "path": task_path},
                blob=values.dumps(value, where=f"a pending write to channel {channel!r}"),
                keep=number >= 0,
            )
        )
        if channel == ERROR:
            mark = "error"
        elif channel == INTERRUPT and mark is None:
            mark = "interrupted"

    def attempt() -> Plan[None]:
        found = yield from life.check(place, checkpoint_id, patience)
        session, head_record = found.session, found.head
        head = Head.read(head_record)
        fields: dict[str, Any] = {}
        if session is None:
            fields |= index.after(found.remains, life.before(run or checkpoint_id))
        marking: list[Op] = []
        if mark is not None and place.is_root:
            marked = head.with_mark(checkpoint_id, mark)
            marking.append(_put_head(place, head_record, marked))
            if head.id == checkpoint_id:
                fields["status"] = marked.marks[checkpoint_id]
        yield index.touch(
            paths,
            session,
            scope.now(),
            [life.unchanged(paths, found.grave), *puts, *marking],
            implicit=scope.implicit,
            owner=_owner(config),
            set=fields,
        )

    return retrying(attempt)


def _run_of(place: Place, config: RunnableConfig) -> str | None:
    """The root's checkpoint that a subgraph's run belongs to."""
    ancestors = config["configurable"].get("checkpoint_map") or {}
    return None if place.is_root else ancestors.get("")


def _encode_new(
    values: Values, checkpoint: Checkpoint, new_versions: ChannelVersions
) -> dict[tuple[str, Any], bytes]:
    known = checkpoint["channel_values"]
    return {
        (channel, version): values.dumps(known[channel], where=f"channel {channel!r}")
        for channel, version in new_versions.items()
        if channel in known
    }


def _value(place: Place, values: Values, channel: str, version: Any, value: Any) -> Put:
    return Put(
        place.values(),
        layout.value_key(channel, version),
        blob=values.dumps(value, where=f"channel {channel!r}"),
    )


def _settle(
    parent: Header | None, kept: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[set[str], dict[str, Any]]:
    """Sort the channels that a put does not write by what the parent knows of their values.

    Returns the channels without a value, and those that only the store can tell about.
    """
    absent: set[str] = set()
    unsure: dict[str, Any] = {}
    for channel, version in kept.items():
        same = parent is not None and parent.versions.get(channel) == version
        if parent is None or not same:
            unsure[channel] = version
        elif channel in parent.absent:
            if channel in known:
                unsure[channel] = version
            else:
                absent.add(channel)
    return absent, unsure


def _put_head(place: Place, record: Record | None, head: Head) -> Put:
    get = place.head()
    expect: Expect = ABSENT if record is None else record.version
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


def _counts(
    checkpoint: Checkpoint, new_versions: ChannelVersions, parent: Record | None
) -> dict[str, int] | None:
    """Messages and tokens of the conversation at a checkpoint, if it has one."""
    if MESSAGES in new_versions or parent is None:
        if MESSAGES not in checkpoint["channel_values"]:
            if MESSAGES not in checkpoint["channel_versions"]:
                return None if parent is None else {"messages": 0, "tokens": 0}
            return {"messages": 0, "tokens": 0}
        messages = messages_in(checkpoint["channel_values"][MESSAGES])
        return {"messages": len(messages), "tokens": token_total(messages)}
    doc = parent.body()
    if "messages" not in doc:
        return None
    return {"messages": int(doc["messages"]), "tokens": int(doc["tokens"])}


def _begins_turn(
    metadata: CheckpointMetadata, new_versions: ChannelVersions, parent: Record | None
) -> bool:
    """Whether a put is the first of a run with new input.

    LangGraph puts the input as a checkpoint of its own, except with `durability="exit"`,
    where the only put shows by the input channel's new version.
    """
    if metadata.get("source") == "input":
        return True
    if metadata.get("source") != "loop" or START not in new_versions:
        return False
    return parent is None or parent.body().get("source") != "input"


__all__ = ["put", "put_writes"]
