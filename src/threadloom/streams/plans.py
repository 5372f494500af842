"""Plans of what changes streams: append, pop, replace, clear and drop, each all or nothing.

Whatever a call changes (items, the messages that show them, the note, the session's state, state
that several sessions share, the session's record) is one batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import ge
from typing import Any

from threadloom import index
from threadloom.errors import InvalidKey, SessionConflict
from threadloom.history.records import FIRST, LAST
from threadloom.keys import STREAMS, check_text, item_key
from threadloom.models import StreamPage
from threadloom.ops import DropTree, Get, Record, Scan
from threadloom.plans import Plan, retrying
from threadloom.streams.layout import number_of, read_item, same_item
from threadloom.streams.reading import Seen, items_at, look, page_of, tail_and_items
from threadloom.streams.showing import Group, Showing, groups_down_to, show
from threadloom.streams.site import Site
from threadloom.streams.writing import NOTHING, Beside, Written, cut_and_write, write


def append(
    site: Site,
    items: Sequence[Any],
    ids: Sequence[str | None] | None,
    beside: Beside,
    *,
    line: Sequence[int] | None = None,
) -> Plan[Written]:
    """Add items at the end, all or none; one whose id is there already is not added again.

    Args:
        site: the stream.
        items: what is added.
        ids: ids of the framework's, where items have some.
        beside: what changes with it.
        line: positions of stored items, in order, that the conversation consists of from now on,
            before the new ones; None for those of which it does.

    Raises:
        SessionConflict: the stream or the session is not where it is expected, or other content
            is stored under one of the ids.
        SessionNotFound: the session does not exist and may not begin by itself.
        SerializationError: an item, the note, a state or metadata cannot be stored.
    """
    named = _named(items, ids)
    if beside.session is not None:
        beside = beside._replace(session=beside.session.checked())
    _check_line(line or ())
    if line is not None and site.shows is None:
        raise InvalidKey(
            f"nothing says how the stream {site.name!r} is shown along a line: change it through "
            "the adapter of its framework"
        )

    def attempt() -> Plan[Written]:
        seen, places = yield from look(
            site,
            beside.expect,
            [Get(site.namespace, item_key(id)) for id, _ in named if id is not None],
            session_version=beside.session_version,
        )
        known = {place.key: str(place.body()["at"]) for place in places if place is not None}
        yield from _check_same(site, named, known)
        fresh = [pair for pair in named if pair[0] is None or item_key(pair[0]) not in known]
        if (
            not fresh
            and beside == beside.only_expecting()
            and line is None
            and seen.counter.version
        ):
            return Written(page_of(site, seen.session, seen.counter, seen.state, []))
        tail = seen.counter.tail
        branches = tail.numbers is not None
        if seen.session is None:
            if line:
                raise InvalidKey(f"the stream {site.name!r} has no item at {line[0]}")
            start, stale, stored = 0, [], []
        elif line is not None:
            groups = yield from groups_down_to(site, 0)
            # What is given again is in the conversation, as it was the first time.
            again = sorted(int(at) for at in known.values())
            wanted = [*line, *(at for at in again if not line or at > line[-1])]
            kept = _along(groups, wanted)
            start = groups[kept - 1].first if kept else 0
            stale = groups[max(kept - 1, 0) :]
            before = [number for number in wanted if number >= start]
            stored = yield from items_at(site, before)
            branches = True
        elif site.shows is None:
            start, stale, stored = tail.first, [], []
        else:
            start = tail.first
            stale, stored = yield from tail_and_items(site, tail, seen.counter.next)
        showing = Showing(start, stored, stale, branches=branches)
        return (yield from write(site, seen, beside, fresh, (), showing))

    return retrying(attempt)


def pop(site: Site) -> Plan[Written]:
    """Take the newest item away; nothing is removed where there is none."""

    def attempt() -> Plan[Written]:
        seen, (last,) = yield from look(
            site, None, [Scan(site.namespace, FIRST, LAST, reverse=True, limit=1)]
        )
        if seen.session is None or not last:
            return Written(StreamPage())
        _check_shown(site, seen)
        return (yield from cut_and_write(site, seen, NOTHING, number_of(last[0]), last, []))

    return retrying(attempt)


def replace(
    site: Site, items: Sequence[Any], ids: Sequence[str | None] | None, beside: Beside
) -> Plan[Written]:
    """Make the stream hold given items and no others; what it begins with alike stays stored.

    Raises:
        SessionConflict: the stream is not at the expected revision.
        SessionNotFound: the session does not exist and may not begin by itself.
        SerializationError: an item, the note or a state cannot be stored.
    """
    named = _named(items, ids)

    def attempt() -> Plan[Written]:
        seen, (records,) = yield from look(site, beside.expect, [Scan(site.namespace, FIRST, LAST)])
        if seen.session is None:
            records = []
        _check_shown(site, seen)
        same = 0
        # Where it has branched, more is stored than the conversation consists of.
        straight = records if seen.counter.tail.numbers is None else []
        for record, (id, item) in zip(straight, named, strict=False):
            if record.body().get("id") != id or not _holds(site, record, item):
                break
            same += 1
        gone = records[same:]
        cut = number_of(gone[0]) if gone else seen.counter.next
        return (yield from cut_and_write(site, seen, beside, cut, gone, named[same:]))

    return retrying(attempt)


def clear(site: Site) -> Plan[Written]:
    """Take all items away, and what shows them; the note and the session stay."""

    def attempt() -> Plan[Written]:
        seen, (records,) = yield from look(site, None, [Scan(site.namespace, FIRST, LAST)])
        if seen.session is None or not records:
            return Written(StreamPage())
        return (yield from cut_and_write(site, seen, NOTHING, 0, records, []))

    return retrying(attempt)


def drop(site: Site) -> Plan[bool]:
    """Take a stream away as if it had never been; whether it was there."""

    def attempt() -> Plan[bool]:
        seen, _ = yield from look(site, None, [])
        if seen.session is None or not seen.counter.version:
            return False
        groups = yield from groups_down_to(site, 0)
        now = site.scope.now()
        change, _, _ = yield from show(
            site, seen.session, seen.history, Showing(0, [], groups), now
        )
        others = [label for label in seen.streams if label != site.label]
        yield index.touch(
            site.paths,
            seen.session,
            now,
            [*change.ops, DropTree(site.namespace)],
            implicit=False,
            expect=seen.session.version,
            set={STREAMS: others},
            increment=change.increments(),
        )
        return True

    return retrying(attempt)


def _check_line(line: Sequence[int]) -> None:
    """Refuse what cannot be a line of items.

    Raises:
        InvalidKey: it is no positions that rise.
    """
    if any(type(number) is not int for number in line) or any(map(ge, line, line[1:])):
        raise InvalidKey(f"a line is positions that rise, not {list(line)!r:.200}")


def _check_shown(site: Site, seen: Seen) -> None:
    """Refuse to change what is shown where nobody says how.

    Raises:
        InvalidKey: messages show the stream, and there is no function that makes them.
    """
    if site.shows is None and seen.counter.tail.keys:
        raise InvalidKey(
            f"messages show the stream {site.name!r} of session {site.paths.id!r}: change it "
            "through the adapter of its framework, which gives the function that makes them"
        )


def _named(items: Sequence[Any], ids: Sequence[str | None] | None) -> list[tuple[str | None, Any]]:
    """Items with their ids; of two with one id the first.

    Raises:
        InvalidKey: the items are no list, or an id cannot be stored.
    """
    if isinstance(items, (str, bytes, Mapping)):
        raise InvalidKey(f"a stream takes a list of items, got a {type(items).__qualname__}")
    if ids is not None and len(ids) != len(items):
        raise InvalidKey(f"there are {len(items)} items and {len(ids)} ids for them")
    found: list[tuple[str | None, Any]] = []
    used: set[str] = set()
    for id, item in zip(ids or [None] * len(items), items, strict=True):
        if id is not None:
            check_text(id, "the id of an item")
            if id in used:
                continue
            used.add(id)
        found.append((id, item))
    return found


def _check_same(
    site: Site, named: Sequence[tuple[str | None, Any]], known: Mapping[str, str]
) -> Plan[None]:
    """Refuse other content under an id that is there already."""
    again = [
        (id, item, known[item_key(id)])
        for id, item in named
        if id is not None and item_key(id) in known
    ]
    if not again:
        return
    records = yield [Get(site.namespace, at) for _, _, at in again]
    for (id, item, _), record in zip(again, records, strict=True):
        if record is not None and not _holds(site, record, item):
            raise SessionConflict(
                f"the stream {site.name!r} of session {site.paths.id!r} has another item with the "
                f"id {id!r}"
            )


def _holds(site: Site, record: Record, item: Any) -> bool:
    """Whether a record holds an item as it is."""
    if record.blob == site.values.dumps(item, where="an item of a stream"):
        return True
    return not site.values.readable and same_item(read_item(site.values, record), item)


def _along(groups: Sequence[Group], line: Sequence[int]) -> int:
    """How many groups show the beginning of a line of items as it is."""
    at = 0
    for kept, group in enumerate(groups):
        numbers = list(group.of.numbers)
        if list(line[at : at + len(numbers)]) != numbers:
            return kept
        at += len(numbers)
    return len(groups)
