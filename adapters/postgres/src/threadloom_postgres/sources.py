"""What LangGraph's `PostgresSaver` and `PostgresStore` have written, for `threadloom migrate`.

Both keep fixed names of tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from threadloom.errors import CorruptRecord
from threadloom.migrate.base import (
    HoldsNothing,
    Outline,
    Source,
    StoredCheckpoint,
    StoredItem,
    StoredWrite,
    ThreadSummary,
)
from threadloom.migrate.ordering import put_order
from threadloom_postgres.reading import ReadOnlyDatabase

_CHECKPOINTS = {"thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "checkpoint"}
_BLOBS = {"thread_id", "checkpoint_ns", "channel", "version", "type", "blob"}
_WRITES = {"thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "blob"}
_ITEMS = {"prefix", "key", "value", "created_at", "updated_at"}
_EMPTY = "empty"
"""The type of a blob that stands for no value."""
_PAGE = 1_000

Encoded = tuple[str, bytes]
"""How a value is encoded, and the value so."""

_SUMMARIES = """
SELECT c.thread_id, c.namespaces, c.checkpoints, coalesce(w.writes, 0),
       c.bytes + coalesce(b.bytes, 0) + coalesce(w.bytes, 0), c.first, c.last,
       (SELECT metadata ->> 'step' FROM checkpoints h WHERE h.thread_id = c.thread_id
          AND h.checkpoint_id = c.last ORDER BY h.checkpoint_ns LIMIT 1)
FROM (SELECT thread_id, count(DISTINCT checkpoint_ns) AS namespaces, count(*) AS checkpoints,
             sum(pg_column_size(checkpoint) + pg_column_size(metadata)) AS bytes,
             min(checkpoint_id) AS first,
             coalesce(max(checkpoint_id) FILTER (WHERE checkpoint_ns = ''), max(checkpoint_id))
               AS last
      FROM checkpoints GROUP BY thread_id) c
LEFT JOIN (SELECT thread_id, sum(length(blob)) AS bytes FROM checkpoint_blobs GROUP BY 1) b
       USING (thread_id)
LEFT JOIN (SELECT thread_id, count(*) AS writes, sum(length(blob)) AS bytes
           FROM checkpoint_writes GROUP BY 1) w USING (thread_id)
ORDER BY c.thread_id COLLATE "C"
"""
_LINKS = """
SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id,
       pg_column_size(checkpoint) + pg_column_size(metadata),
       md5(checkpoint::text || metadata::text)
FROM checkpoints WHERE thread_id = %s
ORDER BY checkpoint_ns COLLATE "C", checkpoint_id COLLATE "C"
"""
_WRITTEN = """
SELECT checkpoint_ns, checkpoint_id, task_id, idx, channel, coalesce(type, ''), md5(blob), task_path
FROM {writes} WHERE thread_id = %s
ORDER BY checkpoint_ns COLLATE "C", checkpoint_id COLLATE "C", task_id COLLATE "C", idx
"""
_ONE = """
SELECT checkpoint::text, metadata::text, checkpoint -> 'channel_versions' FROM checkpoints
WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s
"""
_APART = """
SELECT channel, version, type, blob FROM checkpoint_blobs
JOIN unnest(%s::text[], %s::text[]) AS wanted (channel, version) USING (channel, version)
WHERE thread_id = %s AND checkpoint_ns = %s
"""
_OF_ONE = """
SELECT task_id, task_path, idx, channel, coalesce(type, 'null'), blob FROM {writes}
WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s
"""
_MEMORY = """
SELECT prefix, key, value::text, created_at, updated_at, {expires} FROM store
WHERE (prefix COLLATE "C", key COLLATE "C") > (%s, %s)
  AND ({expires} IS NULL OR {expires} > now())
ORDER BY prefix COLLATE "C", key COLLATE "C" LIMIT %s
"""
_COUNT = "SELECT count(*) FROM store WHERE {expires} IS NULL OR {expires} > now()"


class LangGraphDatabase(ReadOnlyDatabase, Source):
    """Reads a PostgreSQL database that LangGraph's savers and stores have written.

    Args:
        url: of the database; ``schema`` names where the tables are, else the search path does.

    Raises:
        InvalidKey: the URL makes no sense.
        StoreUnavailable: it cannot be reached, or holds nothing of LangGraph's.
    """

    kind = "langgraph-postgres"
    sends_are_writes = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        try:
            found = self._columns()
            self._has_threads = found.get("checkpoints", set()) >= _CHECKPOINTS and (
                found.get("checkpoint_blobs", set()) >= _BLOBS
                and found.get("checkpoint_writes", set()) >= _WRITES
            )
            self._has_items = found.get("store", set()) >= _ITEMS
            if not self._has_threads and not self._has_items:
                raise HoldsNothing(
                    f"{self.name} holds nothing of LangGraph's PostgresSaver or PostgresStore; "
                    "if it is in a schema off the search path, add ?schema=its_name"
                )
        except BaseException:
            self.close()
            raise
        # Older savers had no paths of tasks, older stores no expiry.
        has_path = "task_path" in found.get("checkpoint_writes", set())
        self._writes = (
            "checkpoint_writes"
            if has_path
            else "(SELECT *, '' AS task_path FROM checkpoint_writes) AS checkpoint_writes"
        )
        has_expiry = "expires_at" in found.get("store", set())
        self._expires = "expires_at" if has_expiry else "NULL::timestamptz"
        self._kept: tuple[tuple[str, str], dict[tuple[str, str], Encoded]] = ("", ""), {}

    @property
    def bytes(self) -> int:
        """The size of LangGraph's tables with their indexes."""
        names = ["checkpoints", "checkpoint_blobs", "checkpoint_writes"] * self._has_threads
        names += ["store"] * self._has_items
        return self.size_of(*names)

    def threads(self) -> list[ThreadSummary]:
        """All threads that have a checkpoint, by id."""
        if not self._has_threads:
            return []
        return [
            ThreadSummary(id, spaces, count, writes, int(size), first, last, _number(step))
            for id, spaces, count, writes, size, first, last, step in self.rows(_SUMMARIES)
        ]

    def outline(self, thread: str) -> Outline:
        """What there is of a thread: ids, links, sizes."""
        digest = hashlib.sha256()
        links: dict[str, dict[str, str | None]] = {"": {}}
        sizes: dict[tuple[str, str], int] = {}
        for row in self.rows(_LINKS, thread):
            ns, id, parent, size, _ = row
            links.setdefault(ns, {})[id] = parent or None
            sizes[ns, id] = size
            digest.update(repr(row).encode())
        writes = loose = 0
        for row in self.rows(_WRITTEN.format(writes=self._writes), thread):
            if row[:2] in sizes:
                writes += 1
            else:
                loose += 1
            digest.update(repr(row).encode())
        orders = {ns: put_order(found) for ns, found in links.items() if found}
        return Outline(orders, sizes, writes, loose, digest.hexdigest()[:32])

    def checkpoint(self, thread: str, ns: str, id: str) -> StoredCheckpoint:
        """One checkpoint; its values stand apart, but for numbers and short texts."""
        rows = self.rows(_ONE, thread, ns, id)
        if not rows:
            raise CorruptRecord(f"checkpoint {id} went away while it was read")
        state, metadata, versions = rows[0]
        known = json.loads(metadata)
        if not isinstance(known, dict) or not isinstance(versions or {}, dict):
            raise CorruptRecord(f"checkpoint {id} is damaged")
        wanted = {channel: str(version) for channel, version in (versions or {}).items()}
        blobs = self._blobs(thread, ns, list(wanted.items()))
        apart = {
            channel: blobs[channel, version]
            for channel, version in wanted.items()
            if (channel, version) in blobs and blobs[channel, version][0] != _EMPTY
        }
        return StoredCheckpoint("json", state.encode(), known, apart)

    def writes(self, thread: str, ns: str, id: str) -> list[StoredWrite]:
        """The pending writes of a checkpoint, in the order in which they are read."""
        found = [
            StoredWrite(task, path, number, channel, kind, bytes(blob or b""))
            for task, path, number, channel, kind, blob in self.rows(
                _OF_ONE.format(writes=self._writes), thread, ns, id
            )
        ]
        return sorted(found, key=lambda write: (write.task_path, write.task_id, write.number))

    def count_items(self) -> int:
        """How many items of long-term memory there are."""
        if not self._has_items:
            return 0
        (row,) = self.rows(_COUNT.format(expires=self._expires))
        return int(row[0])

    def items(self) -> Iterator[StoredItem]:
        """The items of long-term memory that have not expired."""
        last = ("", "")
        while self._has_items:
            rows = self.rows(_MEMORY.format(expires=self._expires), *last, _PAGE)
            for prefix, key, value, created, updated, expires in rows:
                found = json.loads(value)
                if not isinstance(found, dict):
                    raise CorruptRecord(f"the item {key!r} of {prefix} is damaged")
                yield StoredItem(
                    tuple(prefix.split(".")), key, found, _at(created), _at(updated), expires
                )
            if len(rows) < _PAGE:
                return
            last = rows[-1][0], rows[-1][1]

    def _blobs(
        self, thread: str, ns: str, wanted: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Encoded]:
        """Encoded values by channel and version; those of the last checkpoint are kept."""
        of, kept = self._kept
        known = kept if of == (thread, ns) else {}
        missing = [pair for pair in wanted if pair not in known]
        found = {pair: known[pair] for pair in wanted if pair in known}
        if missing:
            channels, versions = map(list, zip(*missing, strict=True))
            for channel, version, kind, blob in self.rows(_APART, channels, versions, thread, ns):
                found[channel, version] = (kind, bytes(blob or b""))
        self._kept = (thread, ns), found
        return found

    def _columns(self) -> dict[str, set[str]]:
        """Columns of the tables that the search path leads to, by table."""
        found: dict[str, set[str]] = {}
        for table, column in self.rows(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 "
            "AND NOT a.attisdropped AND pg_table_is_visible(c.oid)",
            ["checkpoints", "checkpoint_blobs", "checkpoint_writes", "store"],
        ):
            found.setdefault(table, set()).add(column)
        return found


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _at(time: datetime | None) -> datetime:
    """A time of an item; LangGraph's columns allow none, which then is the oldest there is."""
    return time or datetime.fromisoformat("1970-01-01T00:00:00+00:00")
