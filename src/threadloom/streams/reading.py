"""How a stream is read: for those who ask for its items, and for what writes to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from threadloom import index
from threadloom.errors import InvalidKey, SessionConflict
from threadloom.history.records import FIRST, LAST
from threadloom.history.state import STATE, read_state
from threadloom.history.storing import position
from threadloom.keys import NEXT_POSITION, STREAMS, is_storable, item_key
from threadloom.models import StreamPage
from threadloom.ops import Get, Op, Record, Scan
from threadloom.plans import Plan
from threadloom.streams.layout import Counter, Tail, get_counter, number_of, read_item
from threadloom.streams.showing import Group, groups_among
from threadloom.streams.site import Site


def read(site: Site, *, limit: int | None, before: int | None) -> Plan[StreamPage]:
    """The newest items, in order, with all that is kept beside them, as of one moment."""
    (page,) = yield from read_many([site], limit=limit, before=before)
    return page


def read_many(
    sites: Sequence[Site], *, limit: int | None, before: int | None = None
) -> Plan[list[StreamPage]]:
    """`read` of several streams, all as of one moment."""
    if not sites:
        return []
    end = LAST if before is None else position(max(before, 0))
    wanted = limit is None or limit > 0
    ops: list[Op] = []
    for site in sites:
        paths = site.paths
        ops += (
            Get(paths.sessions, paths.id),
            get_counter(site.namespace),
            Get(paths.memory, STATE),
        )
        if wanted:
            ops.append(Scan(site.namespace, FIRST, end, reverse=limit is not None, limit=limit))
    found = yield ops
    each = len(ops) // len(sites)
    pages: list[StreamPage] = []
    for at, site in enumerate(sites):
        session, counter, state, *scans = found[at * each : (at + 1) * each]
        if session is None:
            pages.append(StreamPage())
            continue
        records: list[Record] = scans[0] if wanted else []
        if limit is not None:
            records.reverse()
        pages.append(page_of(site, session, Counter.read(counter), state, records))
    return pages


def find(site: Site, ids: Sequence[str]) -> Plan[dict[str, int]]:
    """The positions of items, by their ids; without those that are not there."""
    ids = [id for id in ids if is_storable(id)]  # others cannot be there
    session, *places = yield [
        Get(site.paths.sessions, site.paths.id, blob=False),
        *(Get(site.namespace, item_key(id)) for id in ids),
    ]
    if session is None:
        return {}
    return {
        id: int(place.body()["at"])
        for id, place in zip(ids, places, strict=True)
        if place is not None
    }


class Seen(NamedTuple):
    """How a stream stands.

    Attributes:
        session: the session's record; None where there is none.
        counter: the stream's own record.
        history: the record with the next position of the chat history.
        state: the record of the session's state.
    """

    session: Record | None
    counter: Counter
    history: Record | None
    state: Record | None

    @property
    def streams(self) -> list[str]:
        """The labels of the session's streams."""
        return [] if self.session is None else list(self.session.body().get(STREAMS) or ())


def look(
    site: Site, expect: int | None, more: Sequence[Op], *, session_version: int | None = None
) -> Plan[tuple[Seen, list[Any]]]:
    """Read how a stream stands, and more.

    Args:
        site: the stream.
        expect: the revision that it has to be at; None for any.
        more: further reads, whose results are returned with it.
        session_version: the version that the session has to be at, 0 where there must be none;
            None for any.

    Raises:
        SessionConflict: the stream or the session is not where it is expected.
    """
    paths = site.paths
    session, counter, history, state, *found = yield [
        Get(paths.sessions, paths.id),
        get_counter(site.namespace),
        Get(paths.memory_index, NEXT_POSITION),
        Get(paths.memory, STATE),
        *more,
    ]
    if session is None:  # what an expired session left is none of the next one's
        counter = history = state = None
        found = [[] if isinstance(op, Scan) else None for op in more]
    seen = Seen(session, Counter.read(counter), history, state)
    version = 0 if session is None else session.version
    if session_version is not None and session_version != version:
        raise SessionConflict(
            f"session {paths.id!r} was expected at version {session_version}, but it is at "
            f"{version}: read it again",
            expected=session_version,
            found=version,
        )
    if expect is not None and expect != seen.counter.version:
        raise SessionConflict(
            f"the stream {site.name!r} of session {paths.id!r} was expected at revision "
            f"{expect}, but it is at {seen.counter.version}: read it again",
            expected=expect,
            found=seen.counter.version,
        )
    return seen, found


def page_of(
    site: Site, session: Record | None, counter: Counter, state: Record | None, items: list[Record]
) -> StreamPage:
    return StreamPage(
        session=None if session is None else index.info(session),
        items=tuple(read_item(site.values, record) for record in items),
        positions=tuple(number_of(record) for record in items),
        revision=counter.version,
        note=None if counter.note is None else site.values.loads(counter.note),
        note_current=counter.note is not None and not counter.outdated,
        state=read_state(site.values, state),
    )


def tail_and_items(
    site: Site, tail: Tail, end: int
) -> Plan[tuple[list[Group], list[tuple[int, Any]]]]:
    """The messages that show the last items, and the items from the first of these up to `end`."""
    if site.shows is None and not tail.keys:
        return [], []
    space = site.namespace
    if tail.numbers is None:
        wanted: list[Op] = [Scan(space, position(tail.first), position(max(end, tail.first)))]
    else:
        wanted = [Get(space, position(number)) for number in tail.numbers if number < end]
    found = yield [*(Get(site.paths.memory, key) for key in tail.keys), *wanted]
    messages, items = found[: len(tail.keys)], found[len(tail.keys) :]
    records = items[0] if tail.numbers is None else [item for item in items if item is not None]
    groups = groups_among(site.label, [record for record in messages if record is not None])
    return groups, [(number_of(record), read_item(site.values, record)) for record in records]


def items_from(site: Site, start: int, end: int) -> Plan[list[tuple[int, Any]]]:
    """The stored items from one position up to another, exclusive."""
    if site.shows is None or start >= end:
        return []
    (records,) = yield [Scan(site.namespace, position(start), position(end))]
    return [(number_of(record), read_item(site.values, record)) for record in records]


def items_at(site: Site, numbers: Sequence[int]) -> Plan[list[tuple[int, Any]]]:
    """Stored items by their positions.

    Raises:
        InvalidKey: there is none at one of them.
    """
    if not numbers:
        return []
    records = yield [Get(site.namespace, position(number)) for number in numbers]
    found: list[tuple[int, Any]] = []
    for number, record in zip(numbers, records, strict=True):
        if record is None:
            raise InvalidKey(f"the stream {site.name!r} has no item at {number}")
        found.append((number, read_item(site.values, record)))
    return found
