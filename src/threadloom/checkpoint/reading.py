"""Plans that read checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory

from threadloom import keys
from threadloom.checkpoint import layout
from threadloom.checkpoint.cache import Cache
from threadloom.checkpoint.channels import Loaded, load
from threadloom.checkpoint.header import Header
from threadloom.checkpoint.layout import Head, Place, Stored
from threadloom.checkpoint.layout import PendingWrite as StoredWrite
from threadloom.checkpoint.trail import Trail
from threadloom.errors import CorruptRecord
from threadloom.keys import CHECKPOINTS, SessionPaths, decode_id, sort_alike
from threadloom.ops import Get, ListNamespaces, Record, Scan
from threadloom.plans import Plan
from threadloom.scope import Scope
from threadloom.values import Values

_PAGE = 200
_TRIES = 20


def get_tuple(
    cache: Cache, values: Values, place: Place, config: RunnableConfig
) -> Plan[CheckpointTuple | None]:
    """The checkpoint that a config names, or the newest by put order; None if there is none."""
    asked = config["configurable"].get("checkpoint_id") or None
    standing = cache.held(values, place).standing
    for _ in range(_TRIES):
        stored = yield from _find(place, asked, None if standing is None else standing.id)
        if stored is None:
            return None
        loaded = yield from _load(place, cache, values, [stored])
        if loaded is not None:
            return _tuple(place, values, stored, loaded, config if asked else None)
    raise CorruptRecord(f"session {place.paths.id!r}: a value of checkpoint {asked} is missing")


def list_tuples(
    scope: Scope,
    cache: Cache,
    values: Values,
    config: RunnableConfig | None,
    session: SessionPaths | None,
    *,
    filter: Mapping[str, Any] | None,
    before: str | None,
    limit: int | None,
) -> Plan[list[CheckpointTuple]]:
    """Checkpoints of one session, newest put first, or of all, by id, greatest first."""
    if limit is not None and limit <= 0:
        return []
    if session is not None and config is not None:
        configurable = config["configurable"]
        places = yield from _places(session, configurable.get("checkpoint_ns"))
        only = configurable.get("checkpoint_id") or None
        found: list[CheckpointTuple] = []
        for place in places:
            left = None if limit is None else limit - len(found)
            if left is not None and left <= 0:
                break
            found += yield from _list_place(place, cache, values, filter, before, left, only)
        return found
    everything: list[CheckpointTuple] = []
    for id in (yield from _session_ids(scope)):
        for place in (yield from _places(scope.paths(id), None)):
            everything += yield from _list_place(place, cache, values, filter, before, None, None)
    everything.sort(key=lambda item: item.checkpoint["id"], reverse=True)
    return everything[:limit]


def delta_history(
    cache: Cache,
    values: Values,
    place: Place,
    config: RunnableConfig,
    channels: Sequence[str],
) -> Plan[dict[str, DeltaChannelHistory]]:
    """What `channels` are rebuilt from: writes on the way from a stored value to a checkpoint.

    Walks the parents of the checkpoint that the config names (or of the newest), reading
    them in pages. For each channel the walk ends at the nearest ancestor with a stored value.
    """
    for _ in range(_TRIES):
        found = yield from _delta_history(cache, values, place, config, channels)
        if found is not None:
            return found
    raise CorruptRecord(f"session {place.paths.id!r}: what a delta channel is made of is missing")


def _delta_history(
    cache: Cache,
    values: Values,
    place: Place,
    config: RunnableConfig,
    channels: Sequence[str],
) -> Plan[dict[str, DeltaChannelHistory] | None]:
    """`delta_history`; None where something went away in the middle."""
    result: dict[str, DeltaChannelHistory] = {channel: {"writes": []} for channel in channels}
    target = yield from _find(place, config["configurable"].get("checkpoint_id") or None)
    if target is None or not channels:
        return result
    chain = yield from _ancestors(place, target, channels)
    remaining = set(channels)
    collected: dict[str, list[StoredWrite]] = {channel: [] for channel in channels}
    seeds: dict[str, Header] = {}
    for stored in chain:
        header = stored.header
        for write in reversed(stored.writes):
            if write.channel in remaining:
                collected[write.channel].append(write)
        for channel in sorted(remaining):
            if channel in header.refs:
                seeds[channel] = header._replace(refs={channel: header.refs[channel]})
                remaining.discard(channel)
    encoded = [write.blob for writes in collected.values() for write in writes]
    loaded = yield from load(cache, values, place, seeds.values(), encoded)
    if not all(map(loaded.has, encoded)):
        return None
    for channel in channels:
        result[channel]["writes"] = [
            (write.task_id, write.channel, loaded.joined(write.blob))
            for write in reversed(collected[channel])
        ]
    for channel, header in seeds.items():
        if loaded.missing(header):
            return None
        result[channel]["seed"] = loaded.value(header, channel)
    return result


def _ancestors(place: Place, target: Stored, channels: Collection[str]) -> Plan[list[Stored]]:
    """The parents of a checkpoint, nearest first, as far as `channels` need them."""
    chain: list[Stored] = []
    remaining = set(channels)
    trail = Trail(place)
    step = yield from trail.above(target)
    while step is not None and remaining:
        chain.append(step)
        remaining -= step.header.refs.keys()
        step = yield from trail.above(step)
    return chain


def _find(place: Place, id: str | None, likely: str | None = None) -> Plan[Stored | None]:
    """One checkpoint with its pending writes; the newest where `id` is None.

    Where it is known which one that was, it is read along, and mostly that is all.
    """
    session_get = Get(place.paths.sessions, place.paths.id, blob=False)
    if id is not None:
        session, records = yield [session_get, place.scan(id)]
        return None if session is None else layout.group(records).get(id)
    for _ in range(_TRIES):
        along = [] if likely is None else [place.scan(likely)]
        session, head_record, *found = yield [session_get, place.head(), *along]
        head = Head.read(head_record)
        if session is None or head.id is None:
            return None
        if head.id == likely:
            (records,) = found
        else:
            (records,) = yield [place.scan(head.id)]
        likely = None
        stored = layout.group(records).get(head.id)
        if stored is not None:
            return stored
    raise CorruptRecord(
        f"session {place.paths.id!r}: checkpoint {head.id}, the newest of {place.ns!r}, is missing"
    )


def _load(place: Place, cache: Cache, values: Values, found: list[Stored]) -> Plan[Loaded | None]:
    """What checkpoints refer to; None if one of them went away in the meantime."""
    headers = [stored.header for stored in found]
    encoded = [write.blob for stored in found for write in stored.writes]
    loaded = yield from load(cache, values, place, headers, encoded)
    missing = [channel for header in headers for channel in loaded.missing(header)]
    missing += [
        write.channel for stored in found for write in stored.writes if not loaded.has(write.blob)
    ]
    if missing:
        again = yield [place.scan(stored.id) for stored in found]
        for stored, there in zip(found, again, strict=True):
            now = layout.group(there).get(stored.id)
            if now is None or now.record.version != stored.record.version:
                return None
            if now.writes != stored.writes:
                return None
        raise CorruptRecord(
            f"session {place.paths.id!r}: values of channels are missing in the store: "
            f"{missing[:5]}"
        )
    return loaded


def _tuple(
    place: Place, values: Values, stored: Stored, loaded: Loaded, config: RunnableConfig | None
) -> CheckpointTuple:
    header = stored.header
    checkpoint: Any = {
        **header.checkpoint,
        "channel_values": {channel: loaded.value(header, channel) for channel in header.refs},
    }
    return CheckpointTuple(
        config=config if config is not None else _config(place, stored.id),
        checkpoint=checkpoint,
        metadata=values.loads(header.metadata),
        parent_config=None if header.parent is None else _config(place, header.parent),
        pending_writes=[
            (write.task_id, write.channel, loaded.joined(write.blob)) for write in stored.writes
        ],
    )


def _config(place: Place, id: str) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": place.paths.id,
            "checkpoint_ns": place.ns,
            "checkpoint_id": id,
        }
    }


def _places(session: SessionPaths, ns: str | None) -> Plan[list[Place]]:
    """A session's checkpoint namespaces that hold a checkpoint, or the one that is asked for."""
    record, heads = yield [
        Get(session.sessions, session.id, blob=False),
        Scan(session.checkpoints, blobs=False),
    ]
    if record is None:
        return []
    # One without a head holds what a rewind has undone, if anything was put there at all.
    places = [Place(session, decode_id(head.key)) for head in heads if head.body().get("puts")]
    return [place for place in places if ns is None or place.ns == ns]


def _session_ids(scope: Scope) -> Plan[list[str]]:
    (namespaces,) = yield [ListNamespaces((*scope.root, CHECKPOINTS))]
    depth = len(scope.root) + 1
    return sorted({decode_id(namespace[depth]) for namespace in namespaces})


def _list_place(
    place: Place,
    cache: Cache,
    values: Values,
    filter: Mapping[str, Any] | None,
    before: str | None,
    limit: int | None,
    only: str | None,
) -> Plan[list[CheckpointTuple]]:
    for _ in range(_TRIES):
        chosen = yield from _choose(place, values, filter, before, limit, only)
        loaded = yield from _load(place, cache, values, chosen)
        if loaded is not None:
            return [_tuple(place, values, stored, loaded, None) for stored in chosen]
    raise CorruptRecord(f"session {place.paths.id!r} changes faster than it can be listed")


def _choose(
    place: Place,
    values: Values,
    filter: Mapping[str, Any] | None,
    before: str | None,
    limit: int | None,
    only: str | None,
) -> Plan[list[Stored]]:
    """The checkpoints of a listing, newest put first."""

    def passes(stored: Stored) -> bool:
        if before is not None and stored.id >= before:
            return False
        if not filter:
            return True
        metadata = values.loads(stored.header.metadata)
        return all(metadata.get(name) == wanted for name, wanted in filter.items())

    if only is not None:
        (records,) = yield [place.scan(only)]
        return [stored for stored in layout.group(records).values() if passes(stored)][:limit]
    (head_record,) = yield [place.head()]
    head = Head.read(head_record)
    if limit is None or not head.ordered:
        (records,) = yield [Scan(place.records())]
        found = sorted(layout.group(records).values(), key=lambda item: -item.seq)
        return [stored for stored in found if passes(stored)][:limit]
    chosen: list[Stored] = []
    end: str | None = None
    if before is not None and head.greatest is not None and sort_alike(before, head.greatest):
        end = layout.checkpoint_key(before)
    loose: list[Record] = []
    while len(chosen) < limit:
        (records,) = yield [Scan(place.records(), end=end, reverse=True, limit=_PAGE)]
        for record in records:
            loose.append(record)
            if keys.PART_SEPARATOR not in record.key:
                chosen += [item for item in layout.group(loose).values() if passes(item)]
                loose = []
        if len(records) < _PAGE:
            break
        end = records[-1].key
    return chosen[:limit]
