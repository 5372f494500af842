"""Elements of lists and dicts and the long texts in them: from values to records and back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from langchain_core.messages import BaseMessage

from threadloom.checkpoint.cache import Cache, Element, Held
from threadloom.checkpoint.frozen import (
    Encoded,
    Frozen,
    freeze,
    freeze_message,
)
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.spans import Span, element_key, element_place, key_number
from threadloom.errors import CorruptRecord, UntrustedType
from threadloom.garbage import without_collection
from threadloom.keys import is_storable
from threadloom.messages import text_of, tokens_in, tokens_of
from threadloom.ops import Get, Op, Put, Record, Scan
from threadloom.plans import Plan
from threadloom.serde import Opened
from threadloom.values import Texts, Values

_DENSE = 4
"""Texts are read as a range where it holds at most so many times as many as are needed."""
_WRITER = 5
_TEXT, _BYTES, _PACKED = b"s", b"b", b"z"
_PACKED_FROM = 1_024
"""Texts of so many bytes that search does not see are compressed, if that makes them smaller."""


class TextKeeper:
    """Keeps the long texts of one write, each once.

    A text that another write stores, or has stored, goes by the same key; whoever comes first
    makes the record, and a sweep that took it meanwhile does no harm.

    Args:
        place: the checkpoint namespace.
        held: what is remembered of it.
    """

    def __init__(self, place: Place, held: Held) -> None:
        self._place = place
        self._held = held
        self.keys: dict[str | bytes, str] = {}

    def keep(self, text: str | bytes) -> str | None:
        """The key of a text; None for what no engine can hold as a text."""
        key = self.keys.get(text)
        if key is None and (isinstance(text, bytes) or is_storable(text)):
            key = self.keys[text] = self._held.shelf.key_of(text)
        return key

    def ops(self, shown: Mapping[str, str] | None = None) -> list[Op]:
        """What makes sure that the texts are stored.

        Args:
            shown: texts that search is to see, by their keys.
        """
        shown = shown or {}
        namespace = self._place.texts()
        found: list[Op] = [Put(namespace, key, text=text) for key, text in shown.items()]
        found += [
            Put(namespace, key, blob=text_blob(text), keep=True)
            for text, key in self.keys.items()
            if key not in shown
        ]
        return found


def text_blob(text: str | bytes) -> bytes:
    """A text that search does not see, as a blob."""
    if isinstance(text, bytes):
        return _BYTES + text
    plain = text.encode()
    if len(plain) >= _PACKED_FROM:
        packed = zlib.compress(plain, 1)
        if len(packed) < 0.9 * len(plain):
            return _PACKED + packed
    return _TEXT + plain


def text_in(record: Record) -> str | bytes:
    """The text of a text record.

    Raises:
        CorruptRecord: it is damaged.
    """
    if record.text is not None:
        return record.text
    blob = record.blob or b""
    if blob[:1] == _BYTES:
        return blob[1:]
    try:
        if blob[:1] == _TEXT:
            return blob[1:].decode()
        if blob[:1] == _PACKED:
            return zlib.decompress(blob[1:]).decode()
    except (UnicodeDecodeError, zlib.error):
        pass
    raise CorruptRecord(f"the text {record.namespace}/{record.key!r} is damaged")


def encode_element(
    values: Values, keeper: TextKeeper, value: Any, where: str
) -> tuple[bytes, Element]:
    """The record and the element of a value of a list."""
    data = values.dumps_apart(value, keeper.keep, where=where)
    texts = _texts_of(values, data, keeper)
    return data, read_element(values, data, texts, original=value)


def encode_entry(
    values: Values, keeper: TextKeeper, key: Any, value: Any, where: str
) -> tuple[bytes, Element | None]:
    """The record and the element of an entry of a dict."""
    data = values.dumps_apart([key, value], keeper.keep, where=where)
    try:
        return data, read_entry(values, data, _texts_of(values, data, keeper))
    except UntrustedType:
        return data, None  # whoever reads it here will be told


def encode_deletion(values: Values, key: Any, where: str) -> tuple[bytes, Element]:
    """The record and the element that say that a key of a dict is gone."""
    return values.dumps([key], where=where), Element(None, key=key)


def _texts_of(values: Values, data: bytes, keeper: TextKeeper) -> Texts:
    wanted = set(values.opened(data).keys)
    if not wanted:
        return {}
    return {key: text for text, key in keeper.keys.items() if key in wanted}


def read_element(
    values: Values, data: bytes, texts: Texts, original: BaseMessage | Any = None
) -> Element:
    """An element of a list from its record.

    One that cannot be rebuilt in this process is kept as it is, and raises when it is used.

    Args:
        values: how values are stored.
        data: the record's blob.
        texts: the texts that it needs, by their keys, and no others.
        original: the value that it was made of, if it was made just now.

    Raises:
        CorruptRecord: it is damaged.
    """
    body = values.opened(data)
    return _element(values, data, body, body.parts(texts), original)


def _element(
    values: Values,
    data: bytes,
    body: Opened,
    parts: Sequence[str | bytes],
    original: BaseMessage | Any = None,
) -> Element:
    plain = values.plain_model(body, parts)
    if plain is not None and (message := freeze_message(plain)) is not None:
        state = message.state
        tokens = tokens_in(state.get("usage_metadata"))
        return Element(message, None, tokens, _key_of(state["content"], body, parts), state["id"])
    frozen, value = _freeze(values, data, dict(zip(body.keys, parts, strict=True)))
    made = value if value is not None else original
    if not isinstance(made, BaseMessage):
        return Element(frozen)
    return Element(frozen, None, tokens_of(made), _key_of(made.content, body, parts), made.id)


def _key_of(content: Any, body: Opened, parts: Sequence[str | bytes]) -> str | None:
    for key, text in zip(body.keys, parts, strict=True):
        if text is content or text == content:
            return key
    return None


def read_entry(values: Values, data: bytes, texts: Texts) -> Element:
    """An entry of a dict from its record.

    Raises:
        CorruptRecord: it is damaged.
        UntrustedType: its value is of a type that may not be rebuilt here.
    """
    entry = values.loads_joined(data, texts)
    if type(entry) is not list or len(entry) not in (1, 2):
        raise CorruptRecord("an entry of a stored dict is damaged")
    if len(entry) == 1:
        return Element(None, entry[0])
    key, value = entry
    return Element(_freeze_own(values, value, texts), key)


def _freeze(values: Values, data: bytes, texts: Texts) -> tuple[Frozen, Any]:
    try:
        value = values.loads_joined(data, texts)
    except UntrustedType:
        encode, decode = _codec(values, texts)
        return Encoded(data, encode, decode), None
    return _freeze_own(values, value, texts, data), value


def _freeze_own(values: Values, value: Any, texts: Texts, data: bytes | None = None) -> Frozen:
    """Freeze a value that nobody else has."""
    encode, decode = _codec(values, texts)
    return freeze(value, encode, decode, data)


def _codec(values: Values, texts: Texts) -> Any:
    keys = {text: key for key, text in texts.items()}

    def encode(value: Any) -> bytes:
        return values.dumps_apart(value, keys.get, where="an element")

    def decode(data: bytes) -> Any:
        return values.loads_joined(data, texts)

    return encode, decode


def shown_text(element: Element, value: Any) -> tuple[str | None, str | None]:
    """What search sees of a message of the conversation: by its own record, by its text's."""
    if element.tokens < 0 or not isinstance(value, BaseMessage):
        return None, None
    if element.text_key is not None and isinstance(value.content, str):
        return None, value.content
    text = text_of(value)
    return (text if text and is_storable(text) else None), None


def fetch(
    cache: Cache,
    values: Values,
    place: Place,
    lists: Iterable[Span],
    dicts: Iterable[Span] = (),
    held: Held | None = None,
) -> Plan[Held]:
    """Remember the elements of spans, as far as they are stored.

    A range that is not remembered is read: one batch for the elements, one for their texts.

    Args:
        cache: what is remembered.
        values: how values are stored.
        place: the checkpoint namespace.
        lists: elements of lists.
        dicts: entries of dicts.
        held: where more was fetched before: it may be out of the cache by now.
    """
    held = held or cache.held(values, place)
    entries = {span.log for span in dicts}
    missing = [gap for span in (*lists, *dicts) for gap in _gaps(held, span)]
    if not missing:
        return held
    pages = yield [
        Scan(place.logs(), element_key(log, start), element_key(log, end))
        for log, start, end in merged_spans(missing)
    ]
    records = [record for page in pages for record in page]
    with without_collection(len(records)):
        bodies = [values.opened(record.blob or b"") for record in records]
    texts = yield from fetch_texts(place, sorted({key for body in bodies for key in body.keys}))
    size = 0
    with without_collection(len(records)):
        # Neighbours are remembered at once.
        name, first, some = "", 0, list[Element | None]()
        for record, body in zip(records, bodies, strict=True):
            try:
                parts = [texts[key] for key in body.keys]
            except KeyError:
                continue  # taken away meanwhile, or damaged: who needs it sees that it is missing
            log, position = element_place(record.key)
            data = record.blob or b""
            if log in entries:
                element = read_entry(values, data, dict(zip(body.keys, parts, strict=True)))
            else:
                element = _element(values, data, body, parts)
            if log != name or position != first + len(some):
                size += held.shelf.add(name, first, some)
                name, first, some = log, position, []
            some.append(element)
        size += held.shelf.add(name, first, some)
    cache.charge(held, size)
    return held


def fetch_texts(place: Place, keys: Sequence[str]) -> Plan[dict[str, str | bytes]]:
    """Texts by their keys, as far as they are stored.

    Args:
        place: the checkpoint namespace.
        keys: the keys, sorted.
    """
    records = yield from fetch_text_records(place, keys)
    return {record.key: text_in(record) for record in records}


def fetch_text_records(place: Place, keys: Sequence[str]) -> Plan[list[Record]]:
    """Records of texts, as far as they are stored, and perhaps some between them.

    Args:
        place: the checkpoint namespace.
        keys: the keys, sorted.
    """
    if not keys:
        return []
    ops: list[Op] = []
    for _, group in groupby(keys, key=lambda key: key[:_WRITER]):
        run = list(group)
        width = key_number(run[-1][_WRITER:]) - key_number(run[0][_WRITER:]) + 1
        if width <= _DENSE * len(run):
            ops.append(Scan(place.texts(), run[0], run[-1] + "~"))
        else:
            ops += [Get(place.texts(), key) for key in run]
    results = yield ops
    records: list[Record] = []
    for result in results:
        records += result if isinstance(result, list) else [result] if result else []
    return records


def elements_of(held: Held, spans: Iterable[Span]) -> list[Element] | None:
    """The elements of spans in order; None if one of them is not there."""
    found: list[Any] = []
    for span in spans:
        if _gaps(held, span):
            return None
        found += held.logs[span.log][span.start : span.end]
    return found


def has_elements(held: Held, spans: Iterable[Span]) -> bool:
    """Whether all elements of spans are there."""
    return not any(_gaps(held, span) for span in spans)


def folded(elements: Iterable[Element]) -> dict[Any, Element]:
    """The entries of a dict that hold, in the dict's order."""
    found: dict[Any, Element] = {}
    for element in elements:
        if element.frozen is None:
            found.pop(element.key, None)
        else:
            found[element.key] = element
    return found


def _gaps(held: Held, span: Span) -> list[Span]:
    """The parts of a span that are not remembered."""
    if span.end <= held.whole.get(span.log, 0):
        return []
    known = held.logs.get(span.log, [])[span.start : span.end]
    if len(known) == span.end - span.start and all(known):
        return []
    known += [None] * (span.end - span.start - len(known))
    found: list[Span] = []
    at = span.start
    for is_missing, run in groupby(known, key=lambda element: element is None):
        size = len(list(run))
        if is_missing:
            found.append(Span(span.log, at, at + size))
        at += size
    return found


def merged_spans(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that overlap or nearly touch made one."""
    found: list[Span] = []
    for span in sorted(spans):
        last = found[-1] if found else None
        if last is not None and last.log == span.log and span.start <= last.end + _DENSE:
            found[-1] = last._replace(end=max(last.end, span.end))
        else:
            found.append(span)
    return found
