"""The plan that stores pending writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from threadloom import index
from threadloom.checkpoint import layout, life
from threadloom.checkpoint.cache import Cache
from threadloom.checkpoint.configs import owner_of, run_of
from threadloom.checkpoint.elements import TextKeeper
from threadloom.checkpoint.kin import Kin, kept_for, kin_of
from threadloom.checkpoint.layout import Head, Place
from threadloom.checkpoint.standing import Standing, put_head
from threadloom.ops import ABSENT, Check, Op, Put, Record
from threadloom.plans import Plan, retrying
from threadloom.scope import Scope
from threadloom.values import Values


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
    run = run_of(place, config)
    held = cache.held(values, place)

    first: _Encoded | None = None

    def attempt() -> Plan[None]:
        nonlocal first
        if first is None or (first.kin is not None and first.kin.used):
            first = _encode(cache, values, place, checkpoint_id, writes, task_id, task_path)
        keeper, puts, mark, kin = first
        standing = held.standing
        if cache.guarded and standing is not None and _goes_on(checkpoint_id, standing):
            # While the head's record is there, the life of the session that it began in goes on.
            key = layout.checkpoint_key(standing.id)
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
            marking.append(put_head(place, head_version or ABSENT, marked))
            if head.id == checkpoint_id:
                fields["status"] = marked.marks[checkpoint_id]
                if session is not None and (yield from life.is_turn_dead(scope, paths, session)):
                    session = index.without_turn(session)
                    fields |= dict.fromkeys(index.OF_A_TURN)
        guard = [kin.check()] if kin is not None and kin.used else []
        ops = index.touch(
            paths,
            session,
            scope.now(),
            [still, *guard, *keeper.ops(), *puts, *marking],
            implicit=scope.implicit,
            owner=owner_of(config),
            set=fields,
        )
        with kept_for(kin):
            yield from held.unless_overtaken(standing, ops)
        if marking and standing is not None and held.standing is standing:
            held.forget_standing()  # the head record has moved on

    return retrying(attempt)


class _Encoded(NamedTuple):
    """Writes as they are stored.

    They are encoded once, as they were given: the node that was handed them may be changing them
    by the time when a write is tried again. Only what refers to a list of others is encoded anew.
    """

    keeper: TextKeeper
    puts: list[Op]
    mark: str | None
    kin: Kin | None


def _encode(
    cache: Cache,
    values: Values,
    place: Place,
    checkpoint_id: str,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> _Encoded:
    keeper = TextKeeper(place, cache.held(values, place))
    kin = kin_of(cache, values, place)
    puts: list[Op] = []
    mark: str | None = None
    for position, (channel, value) in enumerate(writes):
        number = WRITES_IDX_MAP.get(channel, position)
        where = f"a pending write to channel {channel!r}"
        runs = None if kin is None else kin.runs(value)
        data = values.dumps_apart(value, keeper.keep, where=where, runs=runs)
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
    return _Encoded(keeper, puts, mark, kin)


def _goes_on(checkpoint_id: str, standing: Standing) -> bool:
    """Whether a checkpoint is the head, or was made after it: then it is of the same life.

    Unless there was one before, of which a run may outlive the end.
    """
    if checkpoint_id == standing.id:
        return True
    made, before = life.made_at(checkpoint_id), life.made_at(standing.id)
    return not standing.reborn and made is not None and before is not None and made > before
