"""What each checkpoint has made a session grow by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from threadloom import index
from threadloom.checkpoint import layout
from threadloom.checkpoint.header import Apart, Header, Inline
from threadloom.checkpoint.layout import Stored
from threadloom.checkpoint.namespaces import WholeNamespace
from threadloom.checkpoint.spans import Span, places, runs_among, texts_among
from threadloom.values import Values


def new_bytes(
    values: Values,
    space: WholeNamespace,
    elements: Mapping[tuple[str, int], bytes],
    texts: Mapping[str, int],
) -> dict[str, int]:
    """Bytes that are stored for each checkpoint of a namespace and that none before it uses.

    Its record, its pending writes, and the values, elements and texts that its parent does not
    have; what a checkpoint of another branch has already counts for the first one only.

    Args:
        values: how values are stored.
        space: the namespace.
        elements: what the records of elements hold, by their places.
        texts: the bytes of long texts, by their keys.
    """
    apart = {record.key: record for record in space.apart}
    seen_values: set[str] = set()
    seen_elements: set[tuple[str, int]] = set()
    seen_texts: set[str] = set()

    def parts(body: bytes) -> int:
        """What an encoded value needs that was not counted yet."""
        keys = values.opened(body).keys
        size = 0
        for key in texts_among(keys):
            if key not in seen_texts:
                seen_texts.add(key)
                size += texts.get(key, 0)
        return size + sum(map(element, places(runs_among(keys))))

    def element(place: tuple[str, int]) -> int:
        if place in seen_elements or place not in elements:
            return 0
        seen_elements.add(place)
        return len(elements[place]) + parts(elements[place])

    found: dict[str, int] = {}
    for stored in sorted(space.stored.values(), key=lambda item: item.seq):
        size = sum(index.size(record) for record in (stored.record, *stored.written))
        size += sum(parts(write.blob) for write in stored.writes)
        header = stored.header
        before = _header(space.stored, stored.parent)
        for channel, ref in header.refs.items():
            is_kept = before is not None and before.refs.get(channel) == ref
            if is_kept and not isinstance(ref, Apart):
                continue
            if isinstance(ref, Inline):
                size += parts(ref.data)
            elif isinstance(ref, Apart):
                key = layout.value_key(channel, header.versions[channel])
                if key not in seen_values and key in apart:
                    seen_values.add(key)
                    size += index.size(apart[key]) + parts(apart[key].blob or b"")
            else:
                old = [] if before is None else _spans(before)
                size += sum(map(element, places(without(ref.spans, old))))
        found[stored.id] = size
    return found


def _header(stored: Mapping[str, Stored], id: str | None) -> Header | None:
    found = None if id is None else stored.get(id)
    return None if found is None else found.header


def _spans(header: Header) -> list[Span]:
    return [
        span
        for ref in header.refs.values()
        if not isinstance(ref, (Apart, Inline))
        for span in ref.spans
    ]


def without(spans: Iterable[Span], others: Iterable[Span]) -> Iterator[Span]:
    """The parts of spans that no other span covers."""
    by_log: dict[str, list[Span]] = {}
    for span in sorted(others):
        by_log.setdefault(span.log, []).append(span)
    for log, start, end in spans:
        for other in by_log.get(log, ()):
            if other.start >= end:
                break
            if start < other.start:
                yield Span(log, start, other.start)
            start = max(start, other.end)
        if start < end:
            yield Span(log, start, end)
