"""Values of checkpoints for those who only look: types of the application are left opaque."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from threadloom.checkpoint import layout
from threadloom.checkpoint.elements import fetch_texts
from threadloom.checkpoint.header import Apart, DictRef, Header, Inline, ListRef, Ref
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.spans import (
    Span,
    element_key,
    element_place,
    places,
    runs_among,
    texts_among,
)
from threadloom.errors import CorruptRecord
from threadloom.ops import Get, Op, Record, Scan
from threadloom.plans import Plan
from threadloom.values import Values


class Material(Mapping[str, Any]):
    """What encoded values of a session need, as it is stored: a mapping from keys to parts.

    Args:
        values: how values are stored.
        elements: what the records of elements hold, by their places.
        texts: long texts by their keys.
    """

    def __init__(
        self,
        values: Values,
        elements: Mapping[tuple[str, int], bytes],
        texts: Mapping[str, str | bytes],
    ) -> None:
        self._values = values
        self._elements = elements
        self._texts = texts

    def decode(self, data: bytes) -> Any:
        """An encoded value, with `Opaque` in the place of what may not be rebuilt here.

        Raises:
            CorruptRecord: it is damaged, or a part of it is missing.
        """
        return self._values.loads_joined(data, self, opaque=True)

    def elements(self, spans: Iterable[Span]) -> list[Any]:
        """What stands in spans, in order.

        Raises:
            CorruptRecord: an element is damaged, or missing.
        """
        try:
            return [self.decode(self._elements[place]) for place in places(spans)]
        except KeyError as error:
            raise CorruptRecord(f"element {error} of a stored list is missing") from error

    def entries(self, spans: Iterable[Span]) -> dict[Any, Any]:
        """What entries that set and delete keys come to.

        Raises:
            CorruptRecord: an entry is damaged, or missing.
        """
        found: dict[Any, Any] = {}
        for entry in self.elements(spans):
            if len(entry) == 1:
                found.pop(entry[0], None)
            else:
                found[entry[0]] = entry[1]
        return found

    def __getitem__(self, key: str) -> Any:
        runs = runs_among([key])
        return self.elements(runs) if runs else self._texts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def read_channels(
    values: Values, place: Place, header: Header, channels: Collection[str]
) -> Plan[dict[str, Any]]:
    """Values of a checkpoint's channels, by their names.

    Args:
        values: how values are stored.
        place: the checkpoint namespace.
        header: the checkpoint.
        channels: names of channels that have a value.

    Raises:
        CorruptRecord: a value is damaged, or not there.
    """
    refs = {channel: header.refs[channel] for channel in channels}
    keys = {
        channel: layout.value_key(channel, header.versions[channel])
        for channel, ref in refs.items()
        if isinstance(ref, Apart)
    }
    records = yield [Get(place.values(), key) for key in keys.values()]
    apart = {
        channel: record.blob or b""
        for channel, record in zip(keys, records, strict=True)
        if record is not None
    }
    bodies = [ref.data for ref in refs.values() if isinstance(ref, Inline)]
    spans = [
        span for ref in refs.values() if isinstance(ref, (ListRef, DictRef)) for span in ref.spans
    ]
    material = yield from gather(values, place, [*bodies, *apart.values()], spans)
    return {
        channel: _value(material, channel, ref, apart.get(channel)) for channel, ref in refs.items()
    }


def gather(
    values: Values, place: Place, bodies: Iterable[bytes], spans: Iterable[Span] = ()
) -> Plan[Material]:
    """Read what encoded values need, in two batches; what is not there is left out.

    Args:
        values: how values are stored.
        place: the checkpoint namespace.
        bodies: the encoded values.
        spans: elements that are wanted as well.
    """
    keys = {key for body in bodies for key in values.opened(body).keys}
    ops: list[Op] = [
        Scan(place.logs(), element_key(log, start), element_key(log, end))
        for log, start, end in sorted({*spans, *runs_among(keys)})
    ]
    pages = yield ops
    records: list[Record] = [record for page in pages for record in page]
    elements = {element_place(record.key): record.blob or b"" for record in records}
    keys |= {key for body in elements.values() for key in values.opened(body).keys}
    texts = yield from fetch_texts(place, sorted(texts_among(keys)))
    return Material(values, elements, texts)


def _value(material: Material, channel: str, ref: Ref, apart: bytes | None) -> Any:
    match ref:
        case ListRef(spans):
            return material.elements(spans)
        case DictRef(spans):
            return material.entries(spans)
        case Inline(data):
            return material.decode(data)
        case Apart():
            if apart is None:
                raise CorruptRecord(f"the value of channel {channel!r} is missing")
            return material.decode(apart)
