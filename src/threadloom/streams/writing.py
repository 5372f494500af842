"""How a stream is written: the one batch of every write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from threadloom import index, shared
from threadloom.documents import check_json
from threadloom.errors import InvalidKey
from threadloom.history.state import STATE, read_state, write_state
from threadloom.keys import STREAMS, check_text
from threadloom.models import StreamPage
from threadloom.ops import PRESENT, Get, Op, Record
from threadloom.plans import Plan
from threadloom.streams.layout import (
    Counter,
    Tail,
    get_counter,
    put_item,
    read_item,
    remove_items,
)
from threadloom.streams.reading import Seen, items_from, page_of, tail_and_items
from threadloom.streams.showing import Showing, groups_down_to, show
from threadloom.streams.site import Site


class SessionChange(NamedTuple):
    """What a write to a stream changes of the session that the stream belongs to.

    Attributes:
        name: its new name; None for the one that it has.
        untag: tags that are taken away.
        tags: tags that are put behind those that are left.
        metadata: fields that are merged into its metadata.
    """

    name: str | None = None
    untag: Sequence[str] = ()
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = {}

    def checked(self) -> SessionChange:
        """The same, if it can be stored.

        Raises:
            InvalidKey: the name or a tag cannot be.
            SerializationError: the metadata is not JSON.
        """
        if self.name is not None:
            check_text(self.name, "a name")
        for tag in self.tags:
            if not check_text(tag, "a tag"):
                raise InvalidKey("a tag must not be empty")
        return self._replace(metadata=check_json(self.metadata, "metadata"))

    def fields(self, doc: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the session's document that become others."""
        fields: dict[str, Any] = {}
        if self.name is not None:
            fields["name"] = self.name
        if self.untag or self.tags:
            left = [tag for tag in doc.get("tags") or () if tag not in self.untag]
            fields["tags"] = list(dict.fromkeys([*left, *self.tags]))
        if self.metadata:
            fields["metadata"] = {**(doc.get("metadata") or {}), **self.metadata}
        return {name: value for name, value in fields.items() if value != doc.get(name)}


class Keep:
    """The type of `KEEP`: a note that stays as it is."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Keep()


class Beside(NamedTuple):
    """What a write changes besides the items.

    Attributes:
        expect: the revision that the stream has to be at; None for any.
        note: what is kept with the stream from now on.
        state: fields of the session's state to set.
        shared: fields of shared states to set, by their scopes.
        session: what changes of the session's record.
        session_version: the version that the session has to be at, 0 where there must be none;
            None for any.
    """

    expect: int | None = None
    note: Any = KEEP
    state: Mapping[str, Any] | None = None
    shared: Mapping[tuple[str, ...], Mapping[str, Any]] | None = None
    session: SessionChange | None = None
    session_version: int | None = None

    def only_expecting(self) -> Beside:
        """The same without all that it changes."""
        return Beside(self.expect, session_version=self.session_version)


NOTHING: Final = Beside()


class Written(NamedTuple):
    """What a write has done.

    Attributes:
        page: the stream as it is now, with the items that were added.
        removed: the items that were taken away.
    """

    page: StreamPage
    removed: Sequence[Any] = ()


def cut_and_write(
    site: Site,
    seen: Seen,
    beside: Beside,
    cut: int,
    gone: Sequence[Record],
    fresh: Sequence[tuple[str | None, Any]],
) -> Plan[Written]:
    """Write with nothing from position `cut` on but what is new."""
    showing = Showing(0, [], [])
    if seen.session is not None:
        showing = yield from _before(site, seen.counter.tail, cut)
    return (yield from write(site, seen, beside, fresh, gone, showing))


def _before(site: Site, tail: Tail, cut: int) -> Plan[Showing]:
    """What has to be shown again where nothing from position `cut` on stays.

    It begins with a group that is still shown, or with the stream: what comes may belong to it.
    """
    branches = tail.numbers is not None
    start = cut
    if tail.keys and tail.first < cut:
        start = tail.first
        stale, stored = yield from tail_and_items(site, tail, cut)
        showing = Showing(start, stored, stale, branches=branches).without(site)
        if showing.stale:
            return showing
    while True:
        stale = yield from groups_down_to(site, start)
        start = stale[0].first if stale and stale[0].first < start else 0
        stored = yield from items_from(site, start, cut)
        if branches:  # between and behind those of the groups there are items of others
            own = {number for group in stale for number in group.of.numbers}
            own.update(tail.numbers or ())
            stored = [(number, item) for number, item in stored if number in own]
        showing = Showing(start, stored, stale, branches=branches).without(site)
        if showing.stale or not start:
            return showing


def write(
    site: Site,
    seen: Seen,
    beside: Beside,
    fresh: Sequence[tuple[str | None, Any]],
    gone: Sequence[Record],
    showing: Showing,
) -> Plan[Written]:
    """The one batch of every write."""
    paths, values = site.paths, site.values
    now = site.scope.now()
    number = seen.counter.next
    ops: list[Op] = remove_items(gone)
    added: list[tuple[int, Any]] = []
    for id, item in fresh:
        ops += put_item(values, site.namespace, number, item, id, now)
        added.append((number, item))
        number += 1
    shown = showing._replace(items=[*showing.items, *added])
    change, tail, expect = yield from show(site, seen.session, seen.history, shown, now)
    if site.shows is None and not gone:
        tail = seen.counter.tail
        if tail.numbers is not None:
            tail = tail._replace(numbers=(*tail.numbers, *(at for at, _ in added)))
    elif showing.branches:
        numbers = [number for number, _ in shown.items if number >= tail.first]
        tail = tail._replace(numbers=tuple(numbers))
    kept = isinstance(beside.note, Keep)
    counter = seen.counter._replace(
        next=number,
        tail=tail,
        note=seen.counter.note if kept else _note(site, beside),
        outdated=kept and (seen.counter.outdated or bool(added or gone)),
    )
    ops += [*change.ops, counter.put(site.namespace)]
    if beside.state:
        ops.append(write_state(values, paths, _merged(site, seen, beside.state)))
        expect = None if seen.session is None else seen.session.version
    fields = _fields(site, seen, beside.session)
    if seen.session is None:
        (remains,) = yield [index.remains(paths)]
        fields |= index.after(remains)
    elif beside.session_version is not None or not _FIRST_GIVEN.issuperset(fields):
        expect = seen.session.version  # what it becomes was made of what it is
    touched = index.touch(
        paths,
        seen.session,
        now,
        [*shared.writes(site.scope.root, beside.shared), *ops],
        implicit=site.scope.implicit,
        expect=PRESENT if expect is None else expect,
        set=fields,
        increment=change.increments(),
    )
    *_, session, after, state = yield [
        *touched,
        Get(paths.sessions, paths.id),
        get_counter(site.namespace),
        Get(paths.memory, STATE),
    ]
    page = page_of(site, session, Counter.read(after), state, [])
    page = page.model_copy(
        update={
            "items": tuple(item for _, item in added),
            "positions": tuple(number for number, _ in added),
        }
    )
    return Written(page, [read_item(values, record) for record in gone])


_FIRST_GIVEN: Final = frozenset({"framework", "agent_name", "owner"})
"""Fields that a session gets from the first write to one of its streams."""


def _fields(site: Site, seen: Seen, change: SessionChange | None) -> dict[str, Any]:
    """What becomes of the session's record; of its streams only what it does not say yet."""
    change = change or SessionChange()
    if seen.session is None:
        return {**site.begins, STREAMS: [site.label], **change.fields(site.begins)}
    doc = seen.session.body()
    fields = change.fields(doc)
    for name in _FIRST_GIVEN:
        if doc.get(name) is None and site.begins.get(name) is not None:
            fields[name] = site.begins[name]
    if site.label not in seen.streams:
        fields[STREAMS] = [*seen.streams, site.label]
    return fields


def _note(site: Site, beside: Beside) -> bytes | None:
    if beside.note is None:
        return None
    return site.values.dumps(beside.note, where=f"the note of the stream {site.name!r}")


def _merged(site: Site, seen: Seen, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The session's state after some of its fields were set.

    Raises:
        InvalidKey: the state has no fields.
    """
    state = read_state(site.values, seen.state)
    if state is not None and not isinstance(state, dict):
        raise InvalidKey(
            f"the state of session {site.paths.id!r} is a {type(state).__name__} and has no "
            "fields to set"
        )
    return {**(state or {}), **fields}
