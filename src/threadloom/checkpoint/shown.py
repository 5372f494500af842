"""What search sees of a conversation, where it is put in the place of another one.

A put knows which messages it adds and removes (`conversation`). Here two conversations that are
stored already are compared, by where their messages are; nothing of them is read but what comes
or goes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from threadloom.checkpoint.elements import (
    fetch_text_records,
    merged_spans,
    read_element,
    shown_text,
    text_blob,
    text_in,
)
from threadloom.checkpoint.frozen import thaw
from threadloom.checkpoint.layout import Place
from threadloom.checkpoint.spans import Spans, element_key, element_place, places
from threadloom.errors import UntrustedType
from threadloom.ops import Patch, Put, Record, Scan
from threadloom.plans import Plan
from threadloom.values import Texts, Values

_Where = tuple[str, int]


def reshow(values: Values, place: Place, old: Spans, new: Spans) -> Plan[list[Put | Patch]]:
    """Let search see the messages of some spans instead of those of others.

    Args:
        values: how values are stored.
        place: the checkpoint namespace of the graph itself.
        old: the messages that search sees now.
        new: those that it is to see.
    """
    before, after = set(places(old)), set(places(new))
    gone, added = before - after, after - before
    if not gone and not added:
        return []
    pages = yield [
        Scan(place.logs(), element_key(log, start), element_key(log, end))
        for log, start, end in merged_spans((*old, *new))
    ]
    records = {element_place(record.key): record for page in pages for record in page}
    texts = {where: values.opened(record.blob or b"").keys for where, record in records.items()}
    stay = {key for where in after for key in texts.get(where, ())}
    leave = {key for where in gone for key in texts.get(where, ())} - stay
    come = {key for where in added for key in texts.get(where, ())}
    found = yield from fetch_text_records(place, sorted(leave | come))
    hidden = [record for record in found if record.key in leave and record.text is not None]
    known = {record.key: text_in(record) for record in found if record.key in come}
    return [
        *(Patch(place.logs(), record.key, text="") for record in _shown(records, gone)),
        *(Put(place.texts(), record.key, blob=text_blob(record.text or "")) for record in hidden),
        *_show(values, place, {at: records[at] for at in sorted(added & records.keys())}, known),
    ]


def _shown(records: Mapping[_Where, Record], gone: Collection[_Where]) -> list[Record]:
    """The records of messages that search sees by themselves."""
    return [records[where] for where in sorted(gone) if where in records and records[where].text]


def _show(
    values: Values, place: Place, records: Mapping[_Where, Record], texts: Texts
) -> list[Put | Patch]:
    ops: dict[tuple[str, ...], Put | Patch] = {}
    for record in records.values():
        data = record.blob or b""
        keys = values.opened(data).keys
        if not texts.keys() >= set(keys):
            continue  # damaged: who reads the conversation is told
        element = read_element(values, data, {key: texts[key] for key in keys})
        if element.tokens < 0 or element.frozen is None:
            continue
        try:
            own, long = shown_text(element, thaw([element.frozen])[0])
        except UntrustedType:
            continue
        if long is not None and element.text_key is not None:
            ops["text", element.text_key] = Put(place.texts(), element.text_key, text=long)
        elif own is not None:
            ops["element", record.key] = Patch(place.logs(), record.key, text=own)
    return list(ops.values())
