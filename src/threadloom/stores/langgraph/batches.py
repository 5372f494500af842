"""One batch over somebody else's store: read what it touches, apply it here, write what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.store.base import PutOp

from threadloom.errors import StoreUnavailable
from threadloom.ops import WRITES, Op, Renew
from threadloom.stores.langgraph import writing
from threadloom.stores.langgraph.reading import Inner, Reading
from threadloom.stores.langgraph.writing import Change, Claim
from threadloom.stores.working import Work


class Batches:
    """Applies batches to one store; never two at a time.

    Args:
        claim: that of this store object, None where nobody else can have the data.
        at_once: whether the store writes a batch of its own all or nothing.
    """

    def __init__(self, claim: Claim | None, at_once: bool) -> None:
        self._claim = claim
        self._at_once = at_once
        self._version = 0
        self._undo: list[PutOp] = []

    def apply(self, ops: Sequence[Op], now: int) -> Inner:
        """Apply a batch at a time; returns its results."""
        if self._undo:
            yield from self._settle()
        if ops and all(isinstance(op, Renew) for op in ops) and not (yield from self._is_ours()):
            return [False] * len(ops)  # reading takes nothing over
        writes = any(isinstance(op, WRITES) for op in ops)
        reading, spaces = yield from self._read(ops, now, writes)
        version = max(self._version, writing.system_micros())
        if self._claim is not None:
            version = max(version, self._claim.version)
        work = Work(spaces, now, version)
        results = [work.apply(op) for op in ops]
        if writes:
            self._version = work.version
            yield from self._write(reading, list(work.changed().items()))
        return results

    def _is_ours(self) -> Inner:
        """Whether this store object is the one that writes."""
        if self._claim is None:
            return True
        (item,) = yield writing.OWN_GETS[:1]
        return self._claim.holds(writing.writer_in(item))

    def _settle(self) -> Inner:
        """Put back what a failed write had changed, unless the store was taken over since."""
        if self._claim is not None:
            (item,) = yield writing.OWN_GETS[:1]
            if not self._claim.holds(writing.writer_in(item)):
                self._undo = []
                return
        yield self._undo
        self._undo = []

    def _read(self, ops: Sequence[Op], now: int, writes: bool) -> Inner:
        """What the batch touches, once nothing stands in its way."""
        claim = self._claim
        reading = Reading(ops, now)
        if claim is None:
            spaces = yield from reading.fetch((), lambda _: True)
            return reading, spaces
        while True:
            own: list[Any] = []

            def look(answers: list[Any], own: list[Any] = own) -> bool:
                own += answers
                found = writing.writer_in(answers[0])
                return answers[1] is None and (not writes or claim.check(found))

            spaces = yield from reading.fetch(writing.OWN_GETS, look)
            if spaces is not None:
                return reading, spaces
            found, left = writing.writer_in(own[0]), own[1]
            if not writes:
                return (yield from self._read_beside(left, ops, now))
            if not claim.check(found):
                yield from claim.take(found)
            elif left is not None:
                yield from writing.finish(left)
            reading = Reading(ops, now)

    def _read_beside(self, left: Any, ops: Sequence[Op], now: int) -> Inner:
        """What a batch that only reads sees where a writer is at work, or died at it.

        It has happened, as far as a reader is concerned, and is left to a writer to finish.
        """
        reading = Reading(ops, now, whole=True)
        yield from reading.fetch((), lambda _: True)
        puts = yield from writing.left_behind(left)
        return reading, reading.lay_over(writing.as_changes(puts))

    def _write(self, reading: Reading, changed: list[Change]) -> Inner:
        changes = [
            (place, entry)
            for place, entry in changed
            if entry is not None or reading.entry(place) is not None
        ]
        puts = writing.items(changes)
        renewal = [] if self._claim is None else self._claim.renew(self._version)
        if not puts:
            return
        if len(puts) == 1 or (self._at_once and len(puts) <= writing.MOST_AT_ONCE):
            yield from self._write_at_once([*renewal, *puts], changes, reading)
        elif self._claim is None:
            yield from self._write_at_once(puts, changes, reading)
        else:
            if renewal:
                yield renewal
            yield from writing.write_journaled(puts)

    def _write_at_once(self, puts: list[PutOp], changes: list[Change], reading: Reading) -> Inner:
        try:
            yield puts
        except BaseException:
            # Some stores commit what they had done when they failed.
            self._undo = writing.items((place, reading.entry(place)) for place, _ in changes)
            try:
                yield self._undo
            except StoreUnavailable:
                pass  # tried again before anything else is done with the store
            else:
                self._undo = []
            raise
