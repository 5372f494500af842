"""Which messages of the chat history show which items of a stream.

A framework's items and LangChain's messages are not the same in number: several calls of tools
may be several items and one message, and one item may hold the results of several tools. So an
adapter brings a function (`Shows`) that is given items in order and says, group by group, how many
of them make which messages. Every message remembers its group (`Origin`). What is added may
belong to the last group, so this one is always shown again together with what is new; its
messages stay in their places, with their ids and times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import BaseMessage

from threadloom.errors import InvalidKey
from threadloom.history.changing import Change, graph_ids
from threadloom.history.origins import OF, Origin, origin
from threadloom.history.records import FIRST, LAST, time_of
from threadloom.history.storing import (
    is_stored,
    next_position,
    position,
    put_entry,
    put_message,
    read_message,
)
from threadloom.history.summary import SUMMARY, outlives
from threadloom.keys import NEXT_POSITION, message_key
from threadloom.ops import ABSENT, Delete, Expect, Get, Op, Put, Record, Scan
from threadloom.plans import Plan
from threadloom.streams.calls import name_results
from threadloom.streams.layout import Tail
from threadloom.streams.site import Site

_PAGE = 32


class Group(NamedTuple):
    """Messages of the chat history that show items of a stream.

    Attributes:
        of: which items.
        records: the messages.
    """

    of: Origin
    records: Sequence[Record]

    @property
    def first(self) -> int:
        """The position of the first of the items."""
        return self.of.first


class Showing(NamedTuple):
    """What has to be shown from now on.

    Attributes:
        start: what stands before this position is shown and stays so.
        items: the items from there on, by their positions.
        stale: what shows items from there on until now, oldest first.
        gone: what has shown items of which none is left.
        branches: whether there may be items from there on that the conversation leaves out.
    """

    start: int
    items: Sequence[tuple[int, Any]]
    stale: Sequence[Group]
    gone: Sequence[Group] = ()
    branches: bool = False

    def without(self, site: Site) -> Showing:
        """The same where the items are what is left: a group of which none is left is gone."""
        left = {of.first for of, _ in _groups(site, self.items)}
        stale = [group for group in self.stale if group.first in left]
        gone = [group for group in self.stale if group.first not in left]
        return self._replace(stale=stale, gone=[*self.gone, *gone])


def groups_down_to(site: Site, number: int) -> Plan[list[Group]]:
    """What shows a stream, oldest first, back to the last group that begins before `number`."""
    size: int | None = _PAGE if number > 0 else None
    while True:
        (records,) = yield [Scan(site.paths.memory, FIRST, LAST, reverse=True, limit=size)]
        groups = groups_among(site.label, reversed(records))
        below = [at for at, group in enumerate(groups) if group.first < number]
        # The first group that was read may go on in front of it.
        if size is None or len(records) < size or (below and below[-1] > 0):
            return groups[below[-1] :] if below else groups
        size *= 4


def groups_among(label: str, records: Iterable[Record]) -> list[Group]:
    """The groups of a stream among messages of a chat history, which are in order."""
    found: dict[Origin, list[Record]] = {}
    for record in records:
        of = origin(record)
        if of is not None and of.label == label:
            found.setdefault(of, []).append(record)
    return [Group(of, tuple(shown)) for of, shown in found.items()]


def show(
    site: Site, session: Record | None, counter: Record | None, showing: Showing, now: int
) -> Plan[tuple[Change, Tail, Expect | None]]:
    """Have items shown by messages, in the place of those that show them until now.

    Args:
        site: the stream.
        session: the session's record.
        counter: the record with the next position of the chat history.
        showing: the items.
        now: microseconds since the epoch.

    A summary of the history that may tell of what is removed goes as well.

    Returns the change of the chat history, where the last group is, and the version that the
    session has to be at because ids were compared with those of a graph; None where it may be
    at any.
    """
    made = _groups(site, showing.items)
    old = {group.first: list(group.records) for group in showing.stale}
    pairs: list[tuple[Origin, BaseMessage, Record | None]] = []
    for of, messages in made:
        # Behind a message that is new all are put anew, or it would stand behind them.
        behind_new = bool(pairs) and pairs[-1][2] is None
        until_now = [] if behind_new else old.pop(of.first, [])
        for at, message in enumerate(messages):
            pairs.append((of, message, until_now[at] if at < len(until_now) else None))
        if left := until_now[len(messages) :]:
            old[of.first] = left
    removed = [record for records in old.values() for record in records]
    removed += [record for group in showing.gone for record in group.records]
    yield from _name(site, pairs, removed)

    values, paths = site.values, site.paths
    change = Change()
    new = [message for _, message, _ in pairs]
    stand = [record for _, _, record in pairs if record is not None]
    read = {record.key: read_message(values, record) for record in (*stand, *removed)}
    yield from name_results(
        site,
        [(m, None if record is None else read[record.key]) for _, m, record in pairs],
        rewritten=read.keys(),
    )
    in_graph = yield from graph_ids(site.cache, values, paths, session, [*new, *read.values()])
    for gone in removed:
        before = read[gone.key]
        change.remove(before, shared=before.id in in_graph)
        change.ops.append(Delete(paths.memory_index, message_key(before.id or "")))
        change.ops.append(Delete(paths.memory, gone.key, expect=gone.version))
    number = 0 if counter is None else next_position(counter)
    began = number
    puts: list[Op] = []
    keys: list[str] = []
    for of, message, record in pairs:
        if record is None:
            key = position(number)
            number += 1
            change.add(message, shared=message.id in in_graph)
            put = put_message(values, paths, key, message, now, ABSENT, of=of)
            puts += (put, put_entry(paths, message, key))
        else:
            key = record.key
            put = put_message(values, paths, key, message, time_of(record), record.version, of=of)
            before = read[key]
            if record.body().get(OF) != of.doc() or not is_stored(values, record, put, message):
                change.remove(before, shared=before.id in in_graph)
                change.add(message, shared=message.id in in_graph)
                if message.id != before.id:
                    change.ops.append(Delete(paths.memory_index, message_key(before.id or "")))
                puts += (put, put_entry(paths, message, key))
        if of == made[-1][0]:
            keys.append(key)
    if removed:
        (summary,) = yield [Get(paths.memory, SUMMARY)]
        if summary is not None and not outlives(summary, (record.key for record in removed)):
            change.ops.append(Delete(paths.memory, SUMMARY))
    # Ids may move from one message to another: what is taken away comes first.
    change.ops += puts
    if number != began:
        expect: Expect = ABSENT if counter is None else counter.version
        change.ops.append(
            Put(paths.memory_index, NEXT_POSITION, doc={"next": number}, expect=expect)
        )
    tail = Tail(made[-1][0].first, tuple(keys)) if made else Tail(showing.start)
    looked = session is not None and bool(session.body().get("graph_messages"))
    return change, tail, session.version if session is not None and looked else None


def _groups(
    site: Site, items: Sequence[tuple[int, Any]]
) -> list[tuple[Origin, Sequence[BaseMessage]]]:
    """What the adapter makes of items, with the positions of the items.

    Raises:
        InvalidKey: its groups do not follow each other, or are no groups of messages.
    """
    if site.shows is None or not items:
        return []
    numbers = [number for number, _ in items]
    made: list[tuple[Origin, Sequence[BaseMessage]]] = []
    done = 0
    for group in site.shows([item for _, item in items]) or ():
        end, messages = _checked(site, group)
        if not done < end <= len(numbers) or not messages:
            raise InvalidKey(
                f"the stream {site.name!r} is shown by groups that do not follow each other: one "
                f"of {len(messages)} messages ends at {end}, after {done} of {len(numbers)} items; "
                "`end` counts all items up to the end of its group"
            )
        made.append((Origin.of(site.label, numbers[done:end]), messages))
        done = end
    return made


def _checked(site: Site, group: Any) -> tuple[int, list[BaseMessage]]:
    """A group as an adapter gave it; its messages are copies, because they get ids and names.

    Raises:
        InvalidKey: it is none.
    """
    if (
        not isinstance(group, tuple)
        or len(group) != 2
        or type(group[0]) is not int
        or not isinstance(group[1], (list, tuple))
        or not all(isinstance(message, BaseMessage) for message in group[1])
    ):
        raise InvalidKey(
            f"the stream {site.name!r} is shown by groups such as Shown(1, [HumanMessage(text)]), "
            f"got {group!r:.200}"
        )
    end, messages = group
    return end, [message.model_copy() for message in messages]


def _name(
    site: Site,
    pairs: Sequence[tuple[Origin, BaseMessage, Record | None]],
    removed: Sequence[Record],
) -> Plan[None]:
    """Give every message an id that no other message of the history has."""
    own = {record.body().get("id") for _, _, record in pairs if record is not None}
    free = own | {record.body().get("id") for record in removed}
    wanted = [m.id for _, m, _ in pairs if m.id and m.id not in free]
    taken: set[str] = set()
    if wanted:
        index = site.paths.memory_index
        found = yield [Get(index, message_key(id), blob=False) for id in wanted]
        taken = {id for id, place in zip(wanted, found, strict=True) if place is not None}
    used: set[str] = set()
    for _, message, record in pairs:
        before = None if record is None else str(record.body().get("id"))
        if message.id is None or message.id in taken:
            message.id = before
        if not message.id or message.id in used:
            message.id = str(uuid4())
        used.add(message.id)
