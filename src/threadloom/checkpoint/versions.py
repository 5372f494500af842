"""Versions of channels: which values a checkpoint shares with others, and which it must store."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from threadloom.checkpoint import layout
from threadloom.checkpoint.header import Header, Ref, encode_header
from threadloom.checkpoint.layout import Place
from threadloom.ops import Op, Put, Record, Scan
from threadloom.plans import Plan


def settle(
    parent: Header | None,
    versions: Mapping[str, Any],
    new: Mapping[str, Any],
    known: Mapping[str, Any],
) -> tuple[dict[str, Ref], dict[str, Any]]:
    """Sort the channels that a put does not write by what the parent knows of their values.

    Returns the references that stay, and the versions of which the parent knows nothing.
    """
    kept: dict[str, Ref] = {}
    unsure: dict[str, Any] = {}
    for channel, version in versions.items():
        if channel in new:
            continue
        if parent is None or not is_version(parent, channel, version):
            unsure[channel] = version
        elif (ref := parent.refs.get(channel)) is not None:
            kept[channel] = ref
        elif channel in known:
            unsure[channel] = version  # the parent had a version without a value
    return kept, unsure


def next_version(current: str | int | float | None) -> str:
    """The next version of a channel: a counter, and noise that tells branches apart."""
    if current is None:
        count, width = 0, 8
    elif isinstance(current, str):
        whole = current.split(".", 1)[0]
        count, width = int(whole), max(len(whole), 8)
    else:
        count, width = int(current), 8
    return f"{count + 1:0{width}d}.{secrets.token_hex(6)}"


def is_version(header: Header, channel: str, version: Any) -> bool:
    found = header.versions.get(channel)
    return found == version and type(found) is type(version)


def replace(
    place: Place, old: Header, versions: Mapping[str, Any], refs: Mapping[str, Ref]
) -> Plan[list[Op]]:
    """Where other checkpoints have the value of a version that is put again, they get the new."""
    moved = {
        channel: (before, ref)
        for channel, ref in refs.items()
        if (before := old.refs.get(channel)) is not None
        and before != ref
        and is_version(old, channel, versions[channel])
    }
    if not moved:
        return []
    (records,) = yield [Scan(place.records())]
    ops: list[Op] = []
    for stored in layout.group(records).values():
        header = stored.header
        changed = {
            channel: ref
            for channel, (before, ref) in moved.items()
            if header.refs.get(channel) == before and is_version(header, channel, versions[channel])
        }
        if changed and stored.id != old.checkpoint["id"]:
            new = header._replace(refs={**header.refs, **changed})
            record = stored.record
            ops.append(Put(record.namespace, record.key, doc=record.doc, blob=encode_header(new)))
    return ops


def search(place: Place, session: Record | None, unsure: Mapping[str, Any]) -> Plan[dict[str, Ref]]:
    """What other checkpoints have for channels at versions that the parent does not know.

    Seldom needed: LangGraph's copy of a checkpoint comes with the parent of the original.
    """
    if session is None:
        return {}
    (records,) = yield [Scan(place.records())]
    found: dict[str, Ref] = {}
    left = dict(unsure)
    for stored in layout.group(records).values():
        for channel, version in list(left.items()):
            ref = stored.header.refs.get(channel)
            if ref is not None and is_version(stored.header, channel, version):
                found[channel] = ref
                del left[channel]
        if not left:
            break
    return found
