"""What a batch does to records in memory: operations applied in order, and taken back."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from heapq import nlargest
from typing import Any

from threadloom import keys
from threadloom.documents import decode_doc, encode_doc
from threadloom.errors import UnsupportedByStore
from threadloom.filters import check_filter, matches
from threadloom.ops import (
    Check,
    CopyTree,
    Count,
    Delete,
    DropTree,
    Expect,
    ExpectationFailed,
    Get,
    Hit,
    ListNamespaces,
    Match,
    Measure,
    Measured,
    Namespace,
    Op,
    Patch,
    Put,
    Query,
    Reclaim,
    Record,
    Scan,
)
from threadloom.records import arranged, holds, patched, patched_expiry
from threadloom.stores.spaces import Entry, Space, Spaces
from threadloom.text import tokens


class Work:
    """One batch at work: applies operations and can take them back.

    Args:
        spaces: the records, which are changed in place.
        now: the time of the batch, in microseconds.
        version: the greatest version given out so far.

    Attributes:
        version: the greatest version given out.
    """

    def __init__(self, spaces: Spaces, now: int, version: int) -> None:
        self.spaces = spaces
        self.now = now
        self.version = version
        self._done: list[tuple[Namespace, str, Entry | None]] = []

    def apply(self, op: Op) -> Any:
        match op:
            case Get():
                find = self._stored if op.expired else self._live
                entry = find(op.namespace, op.key)
                if entry is None:
                    return None
                return _record(op.namespace, op.key, entry, blobs=op.blob)
            case Put():
                return self._put(op)
            case Patch():
                return self._patch(op)
            case Delete():
                self._expect(op, op.expect)
                return self._remove(op.namespace, op.key)
            case DropTree():
                return self._drop(op.namespace)
            case CopyTree():
                return self._copy(op)
            case Check():
                return self._expect(op, op.expect)
            case Scan():
                return self._scan(op)
            case Query():
                check_filter(op.filter)
                return arranged(self._filtered(op), op)
            case Count():
                check_filter(op.filter)
                return sum(1 for _ in self._filtered(op))
            case Match():
                return self._match(op)
            case Measure():
                return sorted(
                    Measured(namespace, len(living), sum(map(_size, living)))
                    for namespace, space in self._below(op.namespace, True, False)
                    if (living := [(k, e) for k, e in space.entries.items() if self._alive(e)])
                )
            case ListNamespaces():
                return sorted(
                    namespace
                    for namespace, space in self._below(op.namespace, True, op.user_only)
                    if any(self._alive(entry) for entry in space.entries.values())
                )
            case Reclaim():
                return None  # there are no files
            case _:
                raise UnsupportedByStore(f"unknown operation {op!r}")

    def changed(self) -> dict[tuple[Namespace, str], Entry | None]:
        """What has been written, in the order of first change; None where it was removed."""
        return {place: self._stored(*place) for place in dict.fromkeys(d[:2] for d in self._done)}

    def undo(self) -> None:
        """Take everything back; may be begun again if it was interrupted itself."""
        for namespace in {place[0] for place in self._done}:
            if space := self.spaces.get(namespace):
                space.order = sorted(space.entries)  # a change may have been left half done
        for namespace, key, entry in reversed(self._done):
            if entry is not None:
                self.spaces.make(namespace).set(key, entry)
            elif self._stored(namespace, key) is not None:
                self._take_out(namespace, key)

    def _alive(self, entry: Entry) -> bool:
        return entry.expires_at is None or entry.expires_at > self.now

    def _stored(self, namespace: Namespace, key: str) -> Entry | None:
        space = self.spaces.get(namespace)
        return None if space is None else space.entries.get(key)

    def _live(self, namespace: Namespace, key: str) -> Entry | None:
        entry = self._stored(namespace, key)
        return entry if entry is not None and self._alive(entry) else None

    def _expect(self, op: Check | Delete | Put | Patch, expect: Expect) -> None:
        if expect is None:
            return
        entry = self._live(op.namespace, op.key)
        if not holds(expect, None if entry is None else entry.version):
            raise ExpectationFailed(op)

    def _set(self, namespace: Namespace, key: str, entry: Entry) -> int:
        self._done.append((namespace, key, self._stored(namespace, key)))
        self.spaces.make(namespace).set(key, entry)
        return entry.version

    def _next(self) -> int:
        self.version += 1
        return self.version

    def _put(self, op: Put) -> int | None:
        old = self._live(op.namespace, op.key)
        if op.keep:
            if old is not None:
                return None
        else:
            self._expect(op, op.expect)
        return self._set(
            op.namespace,
            op.key,
            Entry(
                None if op.doc is None else encode_doc(op.doc),
                op.blob,
                op.text,
                self._next(),
                self.now if old is None else old.created_at,
                self.now,
                op.expires_at,
            ),
        )

    def _patch(self, op: Patch) -> int | None:
        self._expect(op, op.expect)
        old = self._live(op.namespace, op.key)
        if old is None:
            return None
        doc = patched(None if old.doc is None else decode_doc(old.doc), op)
        changed = old._replace(
            doc=encode_doc(doc),
            text=old.text if op.text is None else op.text,
            version=self._next(),
            updated_at=self.now,
            expires_at=patched_expiry(old.expires_at, op, doc, self.now),
        )
        return self._set(op.namespace, op.key, changed)

    def _remove(self, namespace: Namespace, key: str) -> bool:
        old = self._stored(namespace, key)
        if old is None:
            return False
        self._done.append((namespace, key, old))
        self._take_out(namespace, key)
        return self._alive(old)

    def _take_out(self, namespace: Namespace, key: str) -> None:
        space = self.spaces.make(namespace)
        space.remove(key)
        if not space.order:
            self.spaces.remove(namespace)

    def _drop(self, namespace: Namespace) -> int:
        count = 0
        for below, space in list(self._below(namespace, True, False)):
            for key in list(space.order):
                count += self._remove(below, key)
        return count

    def _copy(self, op: CopyTree) -> int:
        keys.check_copy(op.source, op.target)
        self._drop(op.target)
        count, version = 0, self._next()
        for name, space in list(self._below(op.source, True, False)):
            for key, entry in list(space.entries.items()):
                if self._alive(entry):
                    self._set(
                        (*op.target, *name[len(op.source) :]),
                        key,
                        entry._replace(version=version, created_at=self.now, updated_at=self.now),
                    )
                    count += 1
        return count

    def _below(
        self, namespace: Namespace, deep: bool, user_only: bool
    ) -> Iterator[tuple[Namespace, Space]]:
        if not deep:
            space = self.spaces.get(namespace)
            if space is not None:
                yield namespace, space
            return
        for name, space in self.spaces.below(namespace):
            if not user_only or keys.is_users(name, namespace):
                yield name, space

    def _scan(self, op: Scan) -> list[Record]:
        space = self.spaces.get(op.namespace)
        if space is None:
            return []
        low = 0 if op.start is None else bisect_left(space.order, op.start)
        high = len(space.order) if op.end is None else bisect_left(space.order, op.end)
        found: list[Record] = []
        span = range(high - 1, low - 1, -1) if op.reverse else range(low, high)
        for index in span:
            if op.limit is not None and len(found) >= op.limit:
                break
            key = space.order[index]
            entry = space.entries[key]
            if self._alive(entry):
                found.append(_record(op.namespace, key, entry, blobs=op.blobs))
        return found

    def _filtered(self, op: Query | Count) -> Iterator[Record]:
        user_only = isinstance(op, Query) and op.user_only
        blobs = isinstance(op, Query) and op.blobs
        for namespace, space in self._below(op.namespace, op.deep, user_only):
            for key, entry in space.entries.items():
                if self._alive(entry) == op.expired:
                    continue
                record = _record(namespace, key, entry, blobs=blobs)
                if matches(record.doc, op.filter):
                    yield record

    def _match(self, op: Match) -> list[Hit]:
        wanted = set(tokens(op.words))
        hits: list[Hit] = []
        if not wanted or op.limit <= 0:
            return hits
        for namespace, space in self._below(op.namespace, True, False):
            for key, entry in space.entries.items():
                if entry.text is None or not self._alive(entry):
                    continue
                words = Counter(tokens(entry.text))
                score = sum(words[word] / (words[word] + 1.2) for word in wanted)
                if score:
                    record = _record(namespace, key, entry, blobs=False)
                    hits.append(Hit(record, score))
        return nlargest(op.limit, hits, key=lambda hit: (hit.score, hit.record.updated_at))


def _size(item: tuple[str, Entry]) -> int:
    key, entry = item
    return (
        len(key.encode())
        + len(entry.doc or b"")
        + len(entry.blob or b"")
        + len((entry.text or "").encode())
    )


def _record(namespace: Namespace, key: str, entry: Entry, *, blobs: bool = True) -> Record:
    return Record(
        namespace,
        key,
        None if entry.doc is None else decode_doc(entry.doc),
        entry.blob if blobs else None,
        entry.text,
        entry.version,
        entry.created_at,
        entry.updated_at,
        entry.expires_at,
    )
