"""What has changed between two checkpoints, for people; types of the application stay opaque."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict

from threadloom.checkpoint import layout
from threadloom.checkpoint.foreign import as_shown
from threadloom.checkpoint.header import Header
from threadloom.checkpoint.layout import Place, Stored
from threadloom.checkpoint.plain_reading import read_channels
from threadloom.displayed import Displayed
from threadloom.errors import CheckpointNotFound, CorruptRecord
from threadloom.keys import SessionPaths
from threadloom.ops import Get
from threadloom.plans import Plan
from threadloom.values import Values

Kind = Literal["added", "removed", "changed"]

_TRIES = 5


class MessageChange(BaseModel):
    """A message that came, went, or is another one.

    Attributes:
        kind: ``"added"``, ``"removed"`` or ``"changed"``.
        before, after: the message; None where it is not there.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    kind: Kind
    before: Any = None
    after: Any = None

    @property
    def id(self) -> str | None:
        """The message's id."""
        found: str | None = (self.after if self.before is None else self.before).id
        return found


class ChannelChange(BaseModel):
    """A channel whose value is another one.

    Attributes:
        channel: its name.
        kind: ``"added"``, ``"removed"`` or ``"changed"``.
        before, after: its values, with `threadloom.serde.Opaque` in the place of types that are not
            known here; None where there is none.
        messages: where it holds messages: which of them came, went or changed, in order.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    channel: str
    kind: Kind
    before: Any = None
    after: Any = None
    messages: tuple[MessageChange, ...] = ()


class CheckpointDiff(Displayed, BaseModel):
    """What has changed between two checkpoints of a session.

    Attributes:
        session_id: the session.
        namespace: their namespace.
        before, after: their ids; `before` is None where the second one is compared with nothing.
        channels: the channels whose values differ, by name.
        unknown: channels that have moved on, but only their graph can tell to what: delta channels.
    """

    model_config = ConfigDict(frozen=True)

    session_id: str
    namespace: str = ""
    before: str | None = None
    after: str
    channels: tuple[ChannelChange, ...] = ()
    unknown: tuple[str, ...] = ()


def compare(
    values: Values, paths: SessionPaths, before: str | None, after: str, namespace: str
) -> Plan[CheckpointDiff]:
    """What has changed from one checkpoint to another.

    Raises:
        CheckpointNotFound: one of them is not there.
        CorruptRecord: what is stored is damaged.
    """
    place = Place(paths, namespace)
    for attempt in range(_TRIES):
        first = None if before is None else (yield from _find(place, before))
        second = yield from _find(place, after)
        try:
            return (yield from _compared(values, place, first, second))
        except CorruptRecord:
            # Perhaps what they refer to was pruned just now, and they with it.
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _find(place: Place, id: str) -> Plan[Stored]:
    session, records = yield [
        Get(place.paths.sessions, place.paths.id, blob=False),
        place.scan(id),
    ]
    stored = None if session is None else layout.group(records).get(id)
    if stored is None:
        where = f", namespace {place.ns!r}" if place.ns else ""
        raise CheckpointNotFound(f"session {place.paths.id!r}{where} has no checkpoint {id!r}")
    return stored


def _compared(
    values: Values, place: Place, first: Stored | None, second: Stored
) -> Plan[CheckpointDiff]:
    old = None if first is None else first.header
    new = second.header
    moved = _moved(old, new)
    earlier: dict[str, Any] = {}
    if old is not None:
        earlier = yield from read_channels(values, place, old, moved & old.refs.keys())
    later = yield from read_channels(values, place, new, moved & new.refs.keys())
    # A delta channel has a version, and often no value.
    unknown = {
        channel
        for channel in moved - (earlier.keys() & later.keys())
        if channel in new.delta or (old is not None and channel in old.delta)
    }
    changes = [
        change
        for channel in sorted((earlier.keys() | later.keys()) - unknown)
        if (change := _change(channel, earlier, later)) is not None
    ]
    return CheckpointDiff(
        session_id=place.paths.id,
        namespace=place.ns,
        before=None if first is None else first.id,
        after=second.id,
        channels=tuple(changes),
        unknown=tuple(sorted(unknown)),
    )


def _moved(old: Header | None, new: Header) -> set[str]:
    """The channels whose values may differ."""
    if old is None:
        return set(new.versions)
    return {
        channel
        for channel in old.versions.keys() | new.versions.keys()
        if old.versions.get(channel) != new.versions.get(channel)
        or (channel in old.refs) != (channel in new.refs)
    }


def _change(channel: str, earlier: dict[str, Any], later: dict[str, Any]) -> ChannelChange | None:
    before, after = earlier.get(channel), later.get(channel)
    if channel not in earlier:
        kind: Kind = "added"
    elif channel not in later:
        kind = "removed"
    elif same(before, after):
        return None
    else:
        kind = "changed"
    return ChannelChange(
        channel=channel,
        kind=kind,
        before=before,
        after=after,
        messages=tuple(message_changes(_messages(before), _messages(after))),
    )


def _messages(value: Any) -> Sequence[BaseMessage]:
    shown = as_shown(value) if isinstance(value, list) else ()
    return shown if all(isinstance(item, BaseMessage) for item in shown) else ()


def message_changes(
    before: Sequence[BaseMessage], after: Sequence[BaseMessage]
) -> list[MessageChange]:
    """Which messages came, went or changed: those that are gone first, then as they stand."""
    old, new = _by_id(before), _by_id(after)
    found = [
        MessageChange(kind="removed", before=message)
        for key, message in old.items()
        if key not in new
    ]
    for key, message in new.items():
        if key not in old:
            found.append(MessageChange(kind="added", after=message))
        elif not same(old[key], message):
            found.append(MessageChange(kind="changed", before=old[key], after=message))
    return found


def _by_id(messages: Sequence[BaseMessage]) -> dict[str | int, BaseMessage]:
    """Messages by their ids; one without by its place."""
    return {message.id or place: message for place, message in enumerate(messages)}


def same(one: Any, other: Any) -> bool:
    """Whether two values show the same; where that cannot be told they do not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    try:
        found = one == other
        return found if isinstance(found, bool) else bool(found.all())
    except (TypeError, ValueError, AttributeError):  # an array somewhere within
        return False


__all__ = ["ChannelChange", "CheckpointDiff", "MessageChange", "compare", "same"]
