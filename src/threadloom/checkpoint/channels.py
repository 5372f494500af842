"""How the values of channels are stored: small ones inline, lists and dicts as spans of logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

from langchain_core.messages import BaseMessage

from threadloom.checkpoint import layout
from threadloom.checkpoint.cache import Cache, Element, Held
from threadloom.checkpoint.changes import PLAIN_KEYS, Base, Change, dict_change, list_change
from threadloom.checkpoint.elements import (
    TextKeeper,
    elements_of,
    encode_deletion,
    encode_element,
    encode_entry,
    fetch,
    fetch_texts,
    folded,
    has_elements,
)
from threadloom.checkpoint.frozen import thaw
from threadloom.checkpoint.header import APART, Apart, DictRef, Header, Inline, ListRef, Ref
from threadloom.checkpoint.kin import Kin
from threadloom.checkpoint.layout import Logs, Place
from threadloom.checkpoint.spans import (
    Span,
    element_key,
    length,
    new_log,
    runs_among,
    texts_among,
)
from threadloom.errors import UntrustedType
from threadloom.ops import Get, Op, Put, Record, Scan
from threadloom.plans import Plan
from threadloom.serde import Runs
from threadloom.values import Texts, Values

_SMALL = 64
"""Encoded values of up to so many bytes stand in the checkpoint's record itself."""
_SMALL_AND_BRIEF = 400
"""The same for channels that LangGraph empties after a step."""
_BRIEF = ("__start__", "__pregel_tasks", "branch:")
_LIST, _DICT = "[", "{"
_DICT_BYTES = 512
"""Dicts of more encoded bytes are kept entry by entry."""


class WrittenList(NamedTuple):
    """A list that was written.

    Attributes:
        base: what it was compared with.
        change: how it differs.
        added: place, element and value of what is new.
        borrowed: whether it was compared with the graph's own conversation.
    """

    base: Base | None
    change: Change
    added: list[tuple[tuple[str, int], Element, Any]]
    borrowed: bool = False

    @property
    def elements(self) -> list[Element]:
        """All its elements, in order."""
        new = iter([element for _, element, _ in self.added])
        found: list[Element] = []
        for piece in self.change.pieces:
            if piece.old:
                assert self.base is not None
                found += self.base.part(piece.start, piece.end)
            else:
                found += islice(new, piece.end - piece.start)
        return found


class ChannelWriter:
    """Stores the values of one put.

    Args:
        cache: what is remembered.
        values: how values are stored.
        place: the checkpoint namespace.
        logs: where elements go next, by channel.
        kin: what values may refer to.

    Attributes:
        refs: where each value is, by channel.
        logs: where elements go next, by channel.
        lists: what became of lists, by channel.
        ops: what stores all this, but for the long texts.
        keeper: the long texts.
    """

    def __init__(
        self,
        cache: Cache,
        values: Values,
        place: Place,
        logs: Mapping[str, Logs],
        kin: Kin | None = None,
    ) -> None:
        self._cache = cache
        self._held = cache.held(values, place)
        self._values = values
        self.place = place
        self.keeper = TextKeeper(place, self._held)
        self.refs: dict[str, Ref] = {}
        self.logs = dict(logs)
        self._kin = kin
        self._new_log = partial(new_log, of_subgraph=not place.is_root)
        self.lists: dict[str, WrittenList] = {}
        self.ops: list[Op] = []
        self._puts: dict[tuple[str, int], int] = {}
        self._elements: list[tuple[str, int, Element | None]] = []

    def write(self, channel: str, version: Any, value: Any, base: Base | None) -> None:
        """Store the value of a channel at a version; `base` is what the parent has for it."""
        where = f"channel {channel!r}"
        if base is not None and base.is_dict != (type(value) is dict):
            base = None  # logs hold either elements or entries
        if not self._values.readable:
            self._put_apart(channel, version, self._values.dumps(value, where=where))
        elif runs := self._runs(channel, value):
            data = self._values.dumps_apart(value, self.keeper.keep, where=where, runs=runs)
            self._put_whole(channel, version, data)
        elif base is None and (change := self._borrowed(value)) is not None:
            assert self._kin is not None
            self._store_list(channel, value, self._kin.base, change, where, borrowed=True)
        elif type(value) is list and (
            base is not None or any(isinstance(item, BaseMessage) for item in value)
        ):
            self._write_list(channel, value, base, where)
        elif type(value) is dict and base is not None and _has_plain_keys(value):
            self._write_dict(channel, value, base, where)
        else:
            self._write_whole(channel, version, value, where)

    def _borrowed(self, value: Any) -> Change | None:
        """Where a subgraph was handed the conversation, or some of it: its list as runs of that."""
        if self._kin is None or self.place.is_root or type(value) is not list:
            return None
        return self._kin.change(value, self._new_log)

    def _runs(self, channel: str, value: Any) -> Runs | None:
        """Where the conversation, or some of it, is inside of a value that is stored whole.

        Lists and dicts of the state are not: they keep what they have in common with themselves.
        """
        if self._kin is None or (type(value) in (list, dict) and not channel.startswith(_BRIEF)):
            return None
        return self._kin.runs(value)

    def _write_whole(self, channel: str, version: Any, value: Any, where: str) -> None:
        data = self._values.dumps_apart(value, self.keeper.keep, where=where)
        if len(data) <= _most_inline(channel):
            self.refs[channel] = Inline(data)
        elif type(value) is list:
            self._write_list(channel, value, None, where)
        elif type(value) is dict and len(data) > _DICT_BYTES and _has_plain_keys(value):
            self._write_dict(channel, value, None, where)
        else:
            self._put_apart(channel, version, data)

    def _put_whole(self, channel: str, version: Any, data: bytes) -> None:
        if len(data) <= _most_inline(channel):
            self.refs[channel] = Inline(data)
        else:
            self._put_apart(channel, version, data)

    def _put_apart(self, channel: str, version: Any, data: bytes) -> None:
        self.refs[channel] = APART
        key = layout.value_key(channel, version)
        self.ops.append(Put(self.place.values(), key, blob=data))

    def _write_list(self, channel: str, value: list[Any], base: Base | None, where: str) -> None:
        change = list_change(base, self.logs.get(_LIST + channel), value, self._new_log)
        self._store_list(channel, value, base, change, where)

    def _store_list(
        self,
        channel: str,
        value: list[Any],
        base: Base | None,
        change: Change,
        where: str,
        *,
        borrowed: bool = False,
    ) -> None:
        added = []
        for log, position, index in change.added:
            item = value[index]
            data, element = encode_element(
                self._values, self.keeper, item, f"{where}, element {index}"
            )
            self._add(log, position, data, element)
            added.append(((log, position), element, item))
        self.refs[channel] = ListRef(change.spans)
        self.logs[_LIST + channel] = change.logs
        self.lists[channel] = WrittenList(base, change, added, borrowed)

    def _write_dict(
        self, channel: str, value: dict[Any, Any], base: Base | None, where: str
    ) -> None:
        change, entries = dict_change(base, self.logs.get(_DICT + channel), value, self._new_log)
        for log, position, index in change.added:
            key, deleted = entries[index]
            element: Element | None
            if deleted:
                data, element = encode_deletion(self._values, key, where)
            else:
                data, element = encode_entry(
                    self._values, self.keeper, key, value[key], f"{where}[{key!r}]"
                )
            self._add(log, position, data, element)
        self.refs[channel] = DictRef(change.spans)
        self.logs[_DICT + channel] = change.logs

    def _add(self, log: str, position: int, data: bytes, element: Element | None) -> None:
        self._puts[log, position] = len(self.ops)
        self.ops.append(Put(self.place.logs(), element_key(log, position), blob=data))
        self._elements.append((log, position, element))

    def show(self, at: tuple[str, int], text: str) -> bool:
        """Let search see a text of an element that is written here; False where it is not."""
        number = self._puts.get(at)
        if number is None:
            return False
        put = self.ops[number]
        assert isinstance(put, Put)
        self.ops[number] = put._replace(text=text)
        return True

    def stored(self) -> None:
        """Remember what was written: it is in the store now."""
        add = self._held.shelf.add
        size = sum(add(log, position, [element]) for log, position, element in self._elements)
        self._cache.charge(self._held, size)


def bases(
    cache: Cache, values: Values, place: Place, refs: Mapping[str, Ref], channels: Iterable[str]
) -> Plan[dict[str, Base]]:
    """The lists and dicts that some channels have, as far as they can be read."""
    wanted = {
        channel: ref
        for channel in channels
        if isinstance(ref := refs.get(channel), (ListRef, DictRef))
    }
    if not wanted:
        return {}
    try:
        held = yield from _fetch(cache, values, place, wanted.values())
    except UntrustedType:
        return {}
    return {
        channel: Base(held, ref.spans, is_dict=isinstance(ref, DictRef))
        for channel, ref in wanted.items()
        if has_elements(held, ref.spans)
    }


def _fetch(cache: Cache, values: Values, place: Place, refs: Iterable[Ref]) -> Plan[Held]:
    lists: list[Span] = []
    dicts: list[Span] = []
    for ref in refs:
        if isinstance(ref, ListRef):
            lists += ref.spans
        elif isinstance(ref, DictRef):
            dicts += ref.spans
    return (yield from fetch(cache, values, place, lists, dicts))


class Loaded:
    """What some checkpoints of one namespace refer to, read.

    Args:
        values: how values are stored.
        held: what is remembered of the namespace, with the elements of logs.
        apart: value records by their key.
        texts: long texts by their key.
    """

    def __init__(
        self,
        values: Values,
        held: Held,
        apart: Mapping[str, Record | None],
        texts: Mapping[str, str | bytes],
    ) -> None:
        self._values = values
        self._held = held
        self._apart = apart
        self._texts = texts

    def missing(self, header: Header) -> list[str]:
        """The channels of a checkpoint whose value is not there."""
        return [
            channel for channel, ref in header.refs.items() if not self._has(header, channel, ref)
        ]

    def _has(self, header: Header, channel: str, ref: Ref) -> bool:
        if isinstance(ref, (ListRef, DictRef)):
            return has_elements(self._held, ref.spans)
        data = self._data(header, channel, ref)
        return data is not None and self.has(data)

    def has(self, data: bytes) -> bool:
        """Whether all that an encoded value needs is there."""
        keys = self._values.opened(data).keys
        return self._texts.keys() >= set(texts_among(keys)) and has_elements(
            self._held, runs_among(keys)
        )

    def _data(self, header: Header, channel: str, ref: Inline | Apart) -> bytes | None:
        if isinstance(ref, Inline):
            return ref.data
        record = self._apart.get(layout.value_key(channel, header.versions[channel]))
        return None if record is None else record.blob

    def value(self, header: Header, channel: str, *, opaque: bool = False) -> Any:
        """The value of a channel, which nobody else has."""
        ref = header.refs[channel]
        if isinstance(ref, (ListRef, DictRef)):
            elements = elements_of(self._held, ref.spans)
            assert elements is not None
            if isinstance(ref, ListRef):
                return thaw([element.frozen for element in elements])  # type: ignore[misc]
            entries = folded(elements)
            frozen = [element.frozen for element in entries.values()]
            return dict(zip(entries, thaw(frozen), strict=True))  # type: ignore[arg-type]
        data = self._data(header, channel, ref)
        assert data is not None
        return self.joined(data, opaque=opaque)

    def joined(self, data: bytes, *, opaque: bool = False) -> Any:
        """An encoded value, such as that of a pending write."""
        parts = _PartsOf(self._held, self._texts)
        return self._values.loads_joined(data, parts, opaque=opaque)


class _PartsOf(Mapping[str, Any]):
    """What encoded values need: texts, and runs of elements, new objects each time."""

    def __init__(self, held: Held, texts: Texts) -> None:
        self._held = held
        self._texts = texts

    def __getitem__(self, key: str) -> Any:
        runs = runs_among([key])
        if not runs:
            return self._texts[key]
        elements = elements_of(self._held, runs)
        if elements is None:
            raise KeyError(key)
        return thaw([element.frozen for element in elements])  # type: ignore[misc]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def load(
    cache: Cache,
    values: Values,
    place: Place,
    headers: Iterable[Header],
    encoded: Iterable[bytes] = (),
) -> Plan[Loaded]:
    """Read what some checkpoints refer to, in a constant number of batches.

    Args:
        cache: what is remembered.
        values: how values are stored.
        place: the checkpoint namespace.
        headers: the checkpoints.
        encoded: further encoded values whose texts are wanted, such as pending writes.
    """
    refs: list[Ref] = []
    wanted: dict[str, Op] = {}
    bodies = list(encoded)
    for header in headers:
        for channel, ref in header.refs.items():
            if isinstance(ref, Apart):
                key = layout.value_key(channel, header.versions[channel])
                wanted[key] = Get(place.values(), key)
            elif isinstance(ref, Inline):
                bodies.append(ref.data)
            else:
                refs.append(ref)
    held = yield from _fetch(cache, values, place, refs)
    apart: dict[str, Record | None] = {}
    if wanted:
        records = yield list(wanted.values())
        apart = dict(zip(wanted, records, strict=True))
        bodies += [record.blob for record in records if record is not None and record.blob]
    keys = {key for body in bodies for key in values.opened(body).keys}
    yield from fetch(cache, values, place, runs_among(keys), held=held)
    texts = yield from fetch_texts(place, sorted(texts_among(keys)))
    return Loaded(values, held, apart, texts)


MISSING: Final = object()
"""Stands for a value that is not there."""


def read_value(
    values: Values, place: Place, header: Header, channel: str, *, opaque: bool
) -> Plan[Any]:
    """The value of one channel, without remembering anything; `MISSING` where it is not there.

    With `opaque` types of the application are not rebuilt, and lists are what they are needed
    for.
    """
    ref = header.refs[channel]
    if not isinstance(ref, (ListRef, DictRef)):
        only = header._replace(refs={channel: ref})
        loaded = yield from load(Cache(), values, place, [only])
        return MISSING if loaded.missing(only) else loaded.value(only, channel, opaque=opaque)
    pages = yield [
        Scan(place.logs(), element_key(log, start), element_key(log, end))
        for log, start, end in ref.spans
    ]
    records: list[Record] = [record for page in pages for record in page]
    if len(records) != length(ref.spans):
        return MISSING
    bodies = [record.blob or b"" for record in records]
    keys = sorted({key for body in bodies for key in values.opened(body).keys})
    texts = yield from fetch_texts(place, keys)
    if len(texts) < len(keys):
        return MISSING
    items = [values.loads_joined(body, texts, opaque=opaque) for body in bodies]
    return items if isinstance(ref, ListRef) else {}  # of a dict nobody asks for more


def _most_inline(channel: str) -> int:
    """The most bytes of a value that stands in the checkpoint's record."""
    return _SMALL_AND_BRIEF if channel.startswith(_BRIEF) else _SMALL


def _has_plain_keys(value: dict[Any, Any]) -> bool:
    return bool(value) and PLAIN_KEYS.issuperset(map(type, value))
