"""Rotation: everything is encrypted again with the current key while work goes on.

Each record says which key it is encrypted with, so nothing has to be remembered between
batches: whoever was stopped begins again and passes over what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from threadloom.documents import decode_doc
from threadloom.keys import FENCE, LEASE, SESSIONS, TENANT_MARK
from threadloom.ops import (
    ABSENT,
    Check,
    Count,
    ExpectationFailed,
    Get,
    ListNamespaces,
    Namespace,
    Op,
    Put,
    Query,
    Reclaim,
    Record,
    Scan,
)
from threadloom.plans import Plan
from threadloom.wrappers.vault import HEADER, Vault

_PAGE = 64
_PASSES = 10

Progress = Callable[[int, int], object]
"""Called as ``progress(seen, of)``: how many records have been looked at in this pass."""


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a rotation has done.

    Attributes:
        key: the id of the key that everything is encrypted with from now on.
        rewritten: how many records were encrypted again.
        left: how many records are still encrypted with other keys: those that say that a turn
            is on, which are left alone until it is over, and what others go on writing with
            another key. Rotate again before a key is dropped.
        dropped: the ids of the keys that nothing is encrypted with any more; empty while
            anything is left.
    """

    key: str
    rewritten: int
    left: int
    dropped: tuple[str, ...]


class Rotation:
    """One rotation at work.

    Args:
        vault: seals and opens; its current key is in the header.
        now: the time, in microseconds since the epoch.
        progress: told after every page.
    """

    def __init__(
        self, vault: Vault, now: Callable[[], int], progress: Progress | None = None
    ) -> None:
        self._vault = vault
        self._now = now
        self._progress = progress
        self._rewritten = 0
        self._left = 0  # fences of turns that are on
        self._met = 0  # records that somebody else wrote just then

    def run(self) -> Plan[RotationReport]:
        """Pass over the store until nothing is left to do."""
        before = 0
        for _ in range(_PASSES):
            before = self._rewritten
            self._left = self._met = 0
            yield from self._pass()
            if self._rewritten == before and not self._met:
                break  # nothing to do, so nothing was written with another key meanwhile
        dropped: tuple[str, ...] = ()
        left = self._left + self._met
        if not left and self._rewritten == before:
            dropped = yield from self._drop_keys()
        if self._rewritten:
            yield [Reclaim()]  # what was encrypted before is not to be found in the files either
        return RotationReport(self._vault.ring.current, self._rewritten, left, dropped)

    def _pass(self) -> Plan[None]:
        namespaces, total, expired = yield [
            ListNamespaces(),
            Count((), deep=True),
            Query((), deep=True, expired=True),
        ]
        seen = 0
        for namespace in namespaces:
            if namespace == HEADER[0]:
                continue
            start = ""
            while True:
                (records,) = yield [Scan(namespace, start, limit=_PAGE)]
                yield from self._rewrite(namespace, records)
                seen += len(records)
                if self._progress is not None:
                    self._progress(seen, max(seen, total - 1))
                if len(records) < _PAGE:
                    break
                start = records[-1].key + "\0"
        for at in range(0, len(expired), _PAGE):
            places = [(record.namespace, record.key) for record in expired[at : at + _PAGE]]
            found = yield [Get(*place, expired=True) for place in places]
            yield from self._write([(record, ()) for record in self._stale(found)])

    def _stale(self, records: Iterable[Record | None]) -> list[Record]:
        return [record for record in records if record and not self._vault.is_current(record)]

    def _rewrite(self, namespace: Namespace, records: list[Record]) -> Plan[None]:
        stale = self._stale(records)
        writes: list[tuple[Record, tuple[Op, ...]]] = []
        for record in stale:
            if record.key != FENCE or not _is_of_turns(namespace):
                writes.append((record, ()))
                continue
            # The version of a fence is what the writers of a turn expect.
            lease = next((other for other in records if other.key == LEASE), None)
            if lease is not None and self._lasts(lease):
                self._left += 1
                continue
            expect = ABSENT if lease is None else lease.version
            check = Check(namespace, LEASE, expect)  # type: ignore[arg-type]
            # It stands before the lease is written itself.
            writes.insert(0, (record, (check,)))
        yield from self._write(writes)

    def _lasts(self, lease: Record) -> bool:
        *_, entry = self._vault.open(lease)
        until = decode_doc(entry.doc or b"{}").get("until")
        return isinstance(until, int) and until > self._now()

    def _write(self, writes: list[tuple[Record, tuple[Op, ...]]]) -> Plan[None]:
        """Write records anew where they have not changed; the next pass looks at the others."""
        batches = [[*checks, self._put(record)] for record, checks in writes]
        if not batches:
            return
        try:
            yield [op for batch in batches for op in batch]
            self._rewritten += len(batches)
        except ExpectationFailed:
            for batch in batches:
                try:
                    yield batch
                    self._rewritten += 1
                except ExpectationFailed:
                    self._met += 1

    def _put(self, record: Record) -> Put:
        gone = record.expires_at is not None and record.expires_at <= self._now()
        return Put(
            record.namespace,
            record.key,
            blob=self._vault.sealed_again(record),
            expires_at=record.expires_at,
            expect=ABSENT if gone else record.version,
        )

    def _drop_keys(self) -> Plan[tuple[str, ...]]:
        """Take the other keys out of the header."""
        header = self._vault.header
        others = tuple(sorted(header.sealed.keys() - {self._vault.ring.current}))
        if not others:
            return ()
        alone = header.only(self._vault.ring.current)
        try:
            (alone.version,) = yield [alone.put()]
        except ExpectationFailed:
            return ()  # somebody begins to use another key
        self._vault.header = alone
        return others


def _is_of_turns(namespace: Namespace) -> bool:
    rest = namespace[1:] if namespace[0].startswith(TENANT_MARK) else namespace
    return len(rest) == 2 and rest[0] == SESSIONS
