"""What a put does to the conversation: counts for the index, texts for the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from threadloom.checkpoint import layout
from threadloom.checkpoint.cache import Cache, Element
from threadloom.checkpoint.changes import Base
from threadloom.checkpoint.channels import ChannelWriter, WrittenList, bases
from threadloom.checkpoint.elements import shown_text, text_blob
from threadloom.checkpoint.frozen import thaw
from threadloom.checkpoint.head_messages import shared_with_history
from threadloom.checkpoint.header import Header, ListRef, Ref, decode_header
from threadloom.checkpoint.layout import Head, Place
from threadloom.checkpoint.spans import Spans, element_key, places
from threadloom.errors import UntrustedType
from threadloom.messages import MESSAGES, messages_in, token_total
from threadloom.ops import Get, Op, Patch, Put, Record
from threadloom.plans import Plan
from threadloom.values import Values


class Listed:
    """A list of messages that is looked at only where it must be.

    Attributes:
        spans: where its elements are.
    """

    def __init__(self, spans: Spans, source: Base | WrittenList | None) -> None:
        self.spans = spans
        self._source = source

    @cached_property
    def elements(self) -> list[Element]:
        return [] if self._source is None else self._source.elements


_NOTHING = Listed((), None)


@dataclass
class Conversation:
    """What is to be written besides the checkpoint.

    Attributes:
        counts: messages and tokens at the checkpoint; None where there is no conversation.
        shared: messages and tokens that the chat history has, too; None where that stays.
        shown: long texts that search is to see, by key.
        patches: what else search is to see, or no longer.
    """

    counts: tuple[int, int] | None = None
    shared: tuple[int, int] | None = None
    shown: dict[str, str] = field(default_factory=dict)
    patches: list[Op] = field(default_factory=list)

    def fields(self) -> dict[str, int]:
        """What the session's record says of it."""
        assert self.counts is not None
        found = {"graph_messages": self.counts[0], "graph_tokens": self.counts[1]}
        if self.shared is not None:
            found["shared_messages"], found["shared_tokens"] = self.shared
        return found


class Member(NamedTuple):
    """A message of the conversation and where it is stored; its value if it is at hand."""

    place: tuple[str, int]
    element: Element
    value: Any = None

    def read(self) -> Any:
        if self.value is not None or self.element.frozen is None:
            return self.value
        try:
            return thaw([self.element.frozen])[0]
        except UntrustedType:
            return None


class Moment(NamedTuple):
    """What a put knows: where it goes, and what was there before.

    Attributes:
        base: the checkpoint that it is compared with: its parent, or itself if it replaces one.
    """

    cache: Cache
    values: Values
    place: Place
    session: Record | None
    head: Head
    base: Header | None

    @property
    def goes_on(self) -> bool:
        """Whether the put is compared with the head."""
        return self.base is not None and self.base.checkpoint["id"] == self.head.id


def follow(
    moment: Moment,
    writer: ChannelWriter,
    refs: Mapping[str, Ref],
    known: Mapping[str, Any],
    versions: Mapping[str, Any],
    *,
    moves_head: bool,
) -> Plan[Conversation]:
    """What a put does to the conversation of its namespace.

    Where it goes on from the head only what is new is looked at; a branch is compared with the
    head's conversation as a whole.

    Args:
        moment: what the put knows.
        writer: has stored the new values.
        refs: where the values of the checkpoint are.
        known: the values that the put was given.
        versions: the checkpoint's channel versions.
        moves_head: whether the checkpoint becomes the head.
    """
    base = moment.base
    result = Conversation()
    leaves = moves_head and moment.place.is_root and not moment.goes_on and moment.head.id
    if MESSAGES not in versions and (base is None or base.counts is None) and not leaves:
        return result
    ref = refs.get(MESSAGES)
    is_new = MESSAGES in writer.refs
    stays = not is_new and base is not None and ref == base.refs.get(MESSAGES)
    written = writer.lists.get(MESSAGES)
    listed = _NOTHING
    if written is not None:
        listed = Listed(written.change.spans, written)
    elif not is_new and isinstance(ref, ListRef) and not (stays and moment.goes_on):
        listed = yield from _listed(moment, ref)
    whole = messages_in(known.get(MESSAGES)) if is_new and written is None else []
    if stays and base is not None and base.counts is not None:
        result.counts = base.counts
    elif (
        written is not None
        and base is not None
        and base.counts
        and written.base is not None
        and not written.borrowed
        and written.change.each_once
    ):
        more = _sum([element for _, element, _ in written.added])
        less = _sum([written.base.elements[at] for at in written.change.removed])
        result.counts = (base.counts[0] + more[0] - less[0], base.counts[1] + more[1] - less[1])
    elif listed.elements:
        result.counts = _sum(listed.elements)
    else:
        result.counts = (len(whole), token_total(whole))
    if not moves_head or not moment.place.is_root or (stays and moment.goes_on):
        return result
    added, removed = yield from _compare(moment, written, listed)
    _show(result, writer, added)
    _hide(result, moment.place, removed, listed)
    if moment.goes_on and isinstance(ref, ListRef):
        result.shared = yield from _moved_shared(moment, added, removed)
    else:
        if listed.elements:
            whole = _messages([Member(("", 0), element) for element in listed.elements])
        result.shared = yield from shared_with_history(moment.place.paths, moment.session, whole)
    return result


def _sum(elements: Sequence[Element]) -> tuple[int, int]:
    tokens = [element.tokens for element in elements if element.tokens >= 0]
    return len(tokens), sum(tokens)


def _compare(
    moment: Moment, written: WrittenList | None, new: Listed
) -> Plan[tuple[list[Member], list[Member]]]:
    """What is new and what is gone against the head's conversation."""
    if moment.goes_on and written is not None and written.base is not None:
        removed = []
        if written.change.removed:
            where = places(written.base.spans)
            removed = [
                Member(where[at], written.base.elements[at]) for at in written.change.removed
            ]
        return [Member(*item) for item in written.added], removed
    old = yield from _head_list(moment)
    before = dict(zip(places(old.spans), old.elements, strict=True))
    after = dict(zip(places(new.spans), new.elements, strict=True))
    added = [Member(at, element) for at, element in after.items() if at not in before]
    gone = [Member(at, element) for at, element in before.items() if at not in after]
    return added, gone


def _listed(moment: Moment, ref: ListRef) -> Plan[Listed]:
    """The elements of a list that is stored already."""
    found = yield from bases(moment.cache, moment.values, moment.place, {MESSAGES: ref}, [MESSAGES])
    base = found.get(MESSAGES)
    return _NOTHING if base is None else Listed(base.spans, base)


def _head_list(moment: Moment) -> Plan[Listed]:
    """The conversation at the head."""
    header = moment.base
    if not moment.goes_on:
        if moment.head.id is None:
            return _NOTHING
        key = layout.checkpoint_key(moment.head.id)
        (record,) = yield [Get(moment.place.records(), key)]
        header = None if record is None else decode_header(record)
    ref = None if header is None else header.refs.get(MESSAGES)
    return (yield from _listed(moment, ref)) if isinstance(ref, ListRef) else _NOTHING


def _show(result: Conversation, writer: ChannelWriter, added: Sequence[Member]) -> None:
    """Let search see messages."""
    for member in added:
        if member.element.tokens < 0:
            continue
        own, long = shown_text(member.element, member.read())
        if long is not None:
            assert member.element.text_key is not None
            result.shown[member.element.text_key] = long
        elif own is not None and not writer.show(member.place, own):
            result.patches.append(Patch(writer.place.logs(), element_key(*member.place), text=own))


def _hide(result: Conversation, place: Place, removed: Sequence[Member], listed: Listed) -> None:
    """Take from search what is no longer in the conversation."""
    if not removed:
        return
    still = {element.text_key for element in listed.elements}
    there = {id(element) for element in listed.elements}
    for member in removed:
        element = member.element
        if element.tokens < 0 or id(element) in there:
            continue
        if element.text_key is None:
            result.patches.append(Patch(place.logs(), element_key(*member.place), text=""))
        elif element.text_key not in still:
            content = getattr(member.read(), "content", None)
            if isinstance(content, (str, bytes)):
                put = Put(place.texts(), element.text_key, blob=text_blob(content))
                result.patches.append(put)


def _moved_shared(
    moment: Moment, added: Sequence[Member], removed: Sequence[Member]
) -> Plan[tuple[int, int]]:
    """What both doors hold, after some messages came and some went."""
    doc = {} if moment.session is None else moment.session.body()
    shared = int(doc.get("shared_messages") or 0), int(doc.get("shared_tokens") or 0)
    paths = moment.place.paths
    more = yield from shared_with_history(paths, moment.session, _messages(added))
    less = yield from shared_with_history(paths, moment.session, _messages(removed))
    return shared[0] + more[0] - less[0], shared[1] + more[1] - less[1]


def _messages(members: Sequence[Member]) -> list[BaseMessage]:
    return [value for member in members if isinstance(value := member.read(), BaseMessage)]
