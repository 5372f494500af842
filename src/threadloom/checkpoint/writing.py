"""The plan that stores checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

from threadloom import index
from threadloom.checkpoint import layout, life, versions
from threadloom.checkpoint.cache import Cache, Held
from threadloom.checkpoint.channels import ChannelWriter, bases
from threadloom.checkpoint.configs import is_on_purpose, metadata_of, owner_of, puts_last, run_of
from threadloom.checkpoint.conversation import Conversation, Moment, follow
from threadloom.checkpoint.header import Header, Ref, decode_header, encode_header, new_header
from threadloom.checkpoint.kin import kept_for, kin_of
from threadloom.checkpoint.layout import Head, Place
from threadloom.checkpoint.standing import Seen, Standing, look, put_head
from threadloom.errors import SessionConflict
from threadloom.fences import fence_of
from threadloom.keys import NEXT_POSITION
from threadloom.models import MessageList
from threadloom.ops import ABSENT, PRESENT, Check, Expect, Op, Put
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values

logger = logging.getLogger("threadloom.checkpoint")

START = "__start__"


class Given(NamedTuple):
    """What LangGraph hands over with a put.

    Attributes:
        id: the checkpoint's.
        parent: its parent's.
        checkpoint: all of it.
        metadata: with what the config adds.
        known: values of channels.
        new: versions that LangGraph calls new, by channel.
        run: the root's checkpoint that a subgraph's run belongs to.
        on_purpose: whether the run was told to go on from a checkpoint.
    """

    id: str
    parent: str | None
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    known: Mapping[str, Any]
    new: Mapping[str, Any]
    run: str | None
    on_purpose: bool

    @property
    def versions(self) -> ChannelVersions:
        return self.checkpoint["channel_versions"]

    @property
    def is_input(self) -> bool:
        """Whether the put comes with a new version of the input channel."""
        return START in self.new


def _given(
    place: Place,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> Given:
    known_versions = checkpoint["channel_versions"]
    return Given(
        checkpoint["id"],
        config["configurable"].get("checkpoint_id") or None,
        checkpoint,
        metadata_of(config, metadata),
        checkpoint["channel_values"],
        {name: known_versions[name] for name in new_versions if name in known_versions},
        run_of(place, config),
        is_on_purpose(config),
    )


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
    given = _given(place, config, checkpoint, metadata, new_versions)
    id, paths = given.id, place.paths
    held = cache.held(values, place)
    waits = None if puts_last(config) else patience

    def attempt() -> Plan[None]:
        guard: list[Op] = []
        if given.parent is None and given.run is not None:
            # The first put of a subgraph: alone it would look like the start of a new life.
            root = yield from life.check(Place(paths, ""), given.run, waits)
            guard.append(life.unchanged(paths, root.grave))
        # As it stood last, if that is known; what is expected below proves it.
        standing = _usable(cache, held, given)
        if standing is not None:
            seen = Seen.before(standing)
        else:
            seen = yield from look(place, id, given.parent)
        dead = yield from life.is_turn_dead(scope, place.paths, seen.session)
        if dead and seen.session is not None:
            seen = seen._replace(session=index.without_turn(seen.session))
        session, head, existing = seen.session, seen.head, seen.existing
        conflict = _is_overtaken(scope, place, given, seen)
        # A put of an id that is there already replaces it; what is new is new against itself.
        base = seen.parent if existing is None else decode_header(existing)
        kin = kin_of(cache, values, place)
        writer = ChannelWriter(cache, values, place, head.logs, kin)
        refs = yield from _write_channels(cache, values, writer, given, seen, base)
        becomes_head = existing is None or head.id == id
        conversation = yield from follow(
            Moment(cache, values, place, session, head, base),
            writer,
            refs,
            given.known,
            given.versions,
            moves_head=becomes_head,
        )
        replaced: list[Op] = []
        if existing is not None and base is not None:
            replaced = yield from versions.replace(place, base, given.versions, writer.refs)
        now = scope.now()
        header = new_header(
            seq=head.puts + 1 if existing is None or base is None else base.seq,
            parent=given.parent,
            checkpoint=checkpoint,
            refs=refs,
            counts=conversation.counts,
            metadata=given.metadata,
            values=values,
        )
        new_head = head
        if existing is None:
            new_head = head.with_put(id, given.parent, on_purpose=given.on_purpose)
        new_head = new_head._replace(logs=writer.logs)
        fields: dict[str, Any] = {}
        if session is None:
            (remains,) = yield [index.remains(paths)]
            fields |= index.after(remains, life.before(given.run or id))
        if becomes_head and place.is_root:
            fields["status"] = new_head.marks.get(id, "idle")
            if conversation.counts is not None:
                new_head = new_head.with_growth(conversation.counts[0], now)
                fields |= conversation.fields()
        if dead:
            fields |= dict.fromkeys(index.OF_A_TURN)
        expect, check = _counted(place, seen, conversation)
        if kin is not None and kin.used:
            guard.append(kin.check())
        run_id = given.metadata.get("run_id")
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
                *check,
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
            increment=_increments(values, place, given, seen, conflict=conflict),
        )
        with kept_for(kin):
            results = yield from held.unless_overtaken(standing, ops)
        if session is not None and becomes_head and not index.has_history(session):
            at_head, own = (_result_of(op, ops, results) for op in (head_record, own_record))
            held.stand(Standing.after(seen, new_head, at_head, header, own))
        writer.stored()
        if conflict:
            logger.warning(
                "session %r: a graph run that began at checkpoint %s was overtaken, %s had become "
                "the head meanwhile; both are kept as branches, and %s is the head now",
                paths.id,
                given.parent,
                head.id,
                id,
            )

    return retrying(attempt)


def _usable(cache: Cache, held: Held, given: Given) -> Standing | None:
    """How things stood, where the put goes on from there."""
    standing = held.standing
    if standing is None or not cache.guarded or given.parent == given.id:
        return None
    return standing if given.parent == standing.head.id else None


def _is_overtaken(scope: Scope, place: Place, given: Given, seen: Seen) -> bool:
    """Whether a new checkpoint of the root goes on from what is no longer the head.

    Raises:
        SessionConflict: such puts are to be refused.
    """
    if seen.existing is not None or not place.is_root or given.on_purpose:
        return False
    if not _is_conflict(seen.head, given.parent, given.metadata):
        return False
    if scope.on_conflict == "raise":
        raise SessionConflict(
            f"session {place.paths.id!r}: a graph run that began at checkpoint {given.parent} was "
            f"overtaken, the head is {seen.head.id}. Run it again from the head"
        )
    return True


def _write_channels(
    cache: Cache,
    values: Values,
    writer: ChannelWriter,
    given: Given,
    seen: Seen,
    base: Header | None,
) -> Plan[dict[str, Ref]]:
    """Store what is new in each channel; where the values of the checkpoint are."""
    place, known = writer.place, given.known
    kept, unsure = versions.settle(seen.parent, given.versions, given.new, known)
    if unsure:
        kept |= yield from versions.search(place, seen.session, unsure)
    again = {channel: version for channel, version in unsure.items() if channel not in kept}
    to_write = {
        channel: version
        for channel, version in (dict(given.new) | again).items()
        if channel in known
    }
    found = yield from bases(cache, values, place, {} if base is None else base.refs, to_write)
    for channel, version in to_write.items():
        value = known[channel]
        if isinstance(value, MessageList):
            value = list(value)  # a node hands on what `SessionManager.messages` gave it
        writer.write(channel, version, value, found.get(channel))
    refs = kept | writer.refs
    return {channel: ref for channel, ref in refs.items() if channel in given.versions}


def _counted(place: Place, seen: Seen, conversation: Conversation) -> tuple[Expect, list[Op]]:
    """What must be true of the session's record, and of the history's counter.

    What both doors hold is counted by each against the other, so neither may miss a write.
    """
    if seen.session is None or conversation.shared is None:
        return PRESENT, []
    if index.has_history(seen.session):
        return seen.session.version, []
    return PRESENT, [Check(place.paths.memory_index, NEXT_POSITION, seen.counter)]


def _increments(
    values: Values, place: Place, given: Given, seen: Seen, *, conflict: bool
) -> dict[str, int]:
    """What a new checkpoint of the root adds to the session's counts."""
    if seen.existing is not None or not place.is_root:
        return {}
    is_turns_own = fence_of(place.paths) is not None  # the turn was counted when it began
    begins = not is_turns_own and _begins_turn(values, given, seen.parent)
    found = {"turn_count": 1} if begins else {}
    return found | ({"conflicts": 1} if conflict else {})


def _result_of(op: Op, ops: Sequence[Op], results: Sequence[Any]) -> Any:
    return next(result for other, result in zip(ops, results, strict=True) if other is op)


def _is_conflict(head: Head, parent: str | None, metadata: CheckpointMetadata) -> bool:
    """Whether a put that is no branch on purpose goes on from what is not the head.

    A run under way may do so: the tips know where each stands.
    """
    if head.id is None or parent == head.id:
        return False
    return metadata.get("source") != "loop" or parent not in head.tips


def _begins_turn(values: Values, given: Given, parent: Header | None) -> bool:
    """Whether a put is the first of a run with new input.

    LangGraph puts the input as a checkpoint of its own, except with `durability="exit"`,
    where the only put shows by the input channel's new version.
    """
    source = given.metadata.get("source")
    if source == "input":
        return True
    if source != "loop" or not given.is_input:
        return False
    return parent is None or values.loads_opaque(parent.metadata).get("source") != "input"
