"""Items of long-term memory, from LangGraph's stores into ours."""

from __future__ import annotations

from datetime import datetime

from threadloom.itemstore import ItemStore
from threadloom.migrate.base import Source, StoredItem
from threadloom.migrate.target import SetClock


def bring_items(source: Source, store: ItemStore, clock: SetClock | None) -> int:
    """Bring the items of a source over that the target lacks, or has older.

    Args:
        source: where they are.
        store: where they go.
        clock: the store's, to give items their times; None where they get the present one.

    Returns:
        How many were written.
    """
    with source.at_one_moment():
        return sum(_bring(item, store, clock) for item in source.items())


def _bring(item: StoredItem, store: ItemStore, clock: SetClock | None) -> bool:
    there = store.get(item.namespace, item.key, refresh_ttl=False)
    if there is not None and (there.value == item.value or there.updated_at > item.updated_at):
        return False
    if clock is None:
        _put(item, store, datetime.now(item.updated_at.tzinfo))
        return True
    if there is None and item.created_at < item.updated_at:
        clock.show(item.created_at)
        _put(item, store, item.created_at)
    clock.show(item.updated_at)
    _put(item, store, item.updated_at)
    return True


def _put(item: StoredItem, store: ItemStore, now: datetime) -> None:
    ends = item.expires_at
    minutes = None if ends is None else max((ends - now).total_seconds() / 60, 0.001)
    store.put(item.namespace, item.key, item.value, ttl=minutes)


__all__ = ["bring_items"]
