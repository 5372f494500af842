"""Stores that break one promise each, and stores that honestly promise less."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, cast

from threadloom.errors import UnsupportedByStore
from threadloom.keys import check_copy, encode_namespace
from threadloom.ops import (
    WRITES,
    Check,
    CopyTree,
    Delete,
    DropTree,
    Get,
    Hit,
    ListNamespaces,
    Match,
    Op,
    Patch,
    Put,
    Query,
    Record,
    Renew,
    Scan,
)
from threadloom.plans import Batch, Results
from threadloom.store import Capabilities
from threadloom.stores.memory import MemoryStore
from threadloom.testing.oracle import is_refused

Conditional = (Put, Patch, Delete, Check)


class SharesDocuments(MemoryStore):
    """Hands the same document out to everybody who reads."""

    _docs: dict[tuple[object, ...], Any]

    def execute(self, ops: Batch, /) -> Results:
        if not hasattr(self, "_docs"):
            self._docs = {}

        def shared(record: Any) -> Any:
            if not isinstance(record, Record) or record.doc is None:
                return record
            place = (record.namespace, record.key, record.version)
            return record._replace(doc=self._docs.setdefault(place, record.doc))

        return [
            [shared(one) for one in result] if isinstance(result, list) else shared(result)
            for result in super().execute(ops)
        ]


class IgnoresExpectations(MemoryStore):
    """Writes whatever the record was before."""

    def execute(self, ops: Batch, /) -> Results:
        return super().execute(
            [op._replace(expect=None) if isinstance(op, Conditional) else op for op in ops]
        )


class ReusesVersions(MemoryStore):
    """Counts from one again when something was deleted."""

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        if any(isinstance(op, (Delete, DropTree)) for op in ops):
            self._version = 0
        return results


class TakesPrefixesForStrings(MemoryStore):
    """`app` finds `apple`."""

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        for index, op in enumerate(ops):
            if isinstance(op, ListNamespaces) and op.namespace:
                prefix = encode_namespace(op.namespace)
                [every] = super().execute([op._replace(namespace=())])
                results[index] = [n for n in every if encode_namespace(n).startswith(prefix)]
            elif isinstance(op, Query) and op.deep and op.namespace:
                prefix = encode_namespace(op.namespace)
                [every] = super().execute([op._replace(namespace=(), after=None)])
                results[index] = [
                    r for r in every if encode_namespace(r.namespace).startswith(prefix)
                ]
        return results


class LosesAtomicity(MemoryStore):
    """Applies one operation after another, and stops where one fails."""

    def execute(self, ops: Batch, /) -> Results:
        return [super(LosesAtomicity, self).execute([op])[0] for op in ops]


class NeverExpires(MemoryStore):
    """Keeps for ever what was to expire."""

    def execute(self, ops: Batch, /) -> Results:
        return super().execute(
            [op._replace(expires_at=None) if isinstance(op, (Put, Patch)) else op for op in ops]
        )


class RenewsByWriting(MemoryStore):
    """Takes a renewal for a write: whatever is there lives longer, and has changed."""

    def execute(self, ops: Batch, /) -> Results:
        done: list[Op] = [
            Patch(op.namespace, op.key, expires_at=op.expires_at) if isinstance(op, Renew) else op
            for op in ops
        ]
        results = super().execute(done)
        for index, op in enumerate(ops):
            if isinstance(op, Renew):
                results[index] = results[index] is not None
        return results


class CreatesAnew(MemoryStore):
    """Deletes what it overwrites, so that `created_at` moves."""

    def execute(self, ops: Batch, /) -> Results:
        done: list[Op] = []
        wanted: list[int] = []
        for op in ops:
            if isinstance(op, Put) and op.expect is None and not op.keep:
                done.append(Delete(op.namespace, op.key))
            wanted.append(len(done))
            done.append(op)
        results = super().execute(done)
        return [results[index] for index in wanted]


class SortsLikeUtf16(MemoryStore):
    """Orders keys by UTF-16 units."""

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        for op, result in zip(ops, results, strict=True):
            if isinstance(op, Scan) and op.limit is None:
                result.sort(key=lambda r: r.key.encode("utf-16-be"), reverse=op.reverse)
        return results


class RoundsNumbers(MemoryStore):
    """Reads integers as floating point, as some JSON libraries do."""

    def execute(self, ops: Batch, /) -> Results:
        def rounded(record: Any) -> Any:
            if not isinstance(record, Record) or record.doc is None:
                return record
            text = json.dumps(record.doc)
            return record._replace(doc=json.loads(text, parse_int=lambda digits: float(digits)))

        return [rounded(result) for result in super().execute(ops)]


class TakesEmptyForNothing(MemoryStore):
    """Stores no empty blobs, documents or texts."""

    def execute(self, ops: Batch, /) -> Results:
        return super().execute(
            [
                op._replace(doc=op.doc or None, blob=op.blob or None, text=op.text or None)
                if isinstance(op, Put)
                else op
                for op in ops
            ]
        )


class FoldsCase(MemoryStore):
    """Takes `A` for `a`."""

    def execute(self, ops: Batch, /) -> Results:
        return super().execute(
            [
                op._replace(key=op.key.lower()) if isinstance(op, (Get, *Conditional)) else op
                for op in cast(Sequence[Any], ops)
            ]
        )


class LosesIncrements(MemoryStore):
    """Reads, waits and writes where it should add."""

    def execute(self, ops: Batch, /) -> Results:
        if len(ops) != 1 or not isinstance(ops[0], Patch) or not ops[0].increment:
            return super().execute(ops)
        [patch] = ops
        [record] = super().execute([Get(patch.namespace, patch.key)])
        if record is None:
            return [None]
        time.sleep(0.0005)
        added = {name: (record.doc.get(name) or 0) + n for name, n in patch.increment.items()}
        return super().execute([patch._replace(increment={}, set={**patch.set, **added})])


class SearchesForParts(MemoryStore):
    """Finds `cat` in `concatenate`."""

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        for index, op in enumerate(ops):
            if isinstance(op, Match) and op.words.strip() and op.limit:
                [records] = super().execute([Query(op.namespace, deep=True)])
                words = op.words.lower().split()
                results[index] = [
                    Hit(record, 1.0)
                    for record in records
                    if any(word in (record.text or "").lower() for word in words)
                ][: op.limit]
        return results


class CopiesOnTop(MemoryStore):
    """Leaves what is at the place that it copies to."""

    def execute(self, ops: Batch, /) -> Results:
        done: list[Op] = []
        wanted: list[int] = []
        for op in ops:
            wanted.append(len(done))
            done.append(op)
            if isinstance(op, CopyTree):
                [records] = super().execute([Query(op.target, deep=True)])
                done += [Put(r.namespace, r.key, doc=r.doc, keep=True) for r in records]
        results = super().execute(done)
        return [results[index] for index in wanted]


class CopiesForEver(MemoryStore):
    """Forgets when copies are to expire."""

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        for op in ops:
            if isinstance(op, CopyTree):
                [records] = super().execute([Query(op.target, deep=True)])
                lasting = [Patch(r.namespace, r.key, expires_at=None) for r in records]
                super().execute(lasting)
        return results


class CopiesWithoutWords(MemoryStore):
    """Shows copies, and does not find them."""

    _copied: frozenset[tuple[object, ...]] = frozenset()

    def execute(self, ops: Batch, /) -> Results:
        results = super().execute(ops)
        for index, op in enumerate(ops):
            if isinstance(op, CopyTree):
                [records] = super().execute([Query(op.target, deep=True)])
                self._copied |= {(r.namespace, r.key, r.version) for r in records}
            elif isinstance(op, Match):
                results[index] = [
                    hit
                    for hit in results[index]
                    if (hit.record.namespace, hit.record.key, hit.record.version)
                    not in self._copied
                ]
        return results


class CopiesIntoItself(MemoryStore):
    """Copies nothing where a copy cannot be, and does not say so."""

    def execute(self, ops: Batch, /) -> Results:
        refused = [op for op in ops if isinstance(op, CopyTree) and is_refused(op)]
        results = super().execute([op for op in ops if op not in refused])
        for index, op in enumerate(ops):
            if op in refused:
                results.insert(index, 0)
        return results


class NeverCloses(MemoryStore):
    """Goes on after `close`."""

    def close(self) -> None:
        pass


class IgnoresTheUnknown(MemoryStore):
    """Leaves out what it does not know."""

    def execute(self, ops: Batch, /) -> Results:
        return super().execute([op for op in ops if type(op).__module__ == "threadloom.ops"])


class DiffersOnTheLoop(MemoryStore):
    """Its async twin has drifted: it forgets the blobs."""

    async def aexecute(self, ops: Batch, /) -> Results:
        return [
            result._replace(blob=None) if isinstance(result, Record) else result
            for result in self.execute(ops)
        ]


class BindsToALoop(MemoryStore):
    """Works only on the event loop that used it first."""

    _loop: object = None

    async def aexecute(self, ops: Batch, /) -> Results:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise RuntimeError("attached to a different loop")
        return self.execute(ops)


class RefusesWhatItCan(MemoryStore):
    """Says that it cannot compare and set, and does it all the same."""

    capabilities = Capabilities(compare_and_set=False)


class PretendsToBeDurable(MemoryStore):
    """Says that it is durable, and forgets."""

    capabilities = Capabilities(durable=True)


# Not broken: these promise less, say so, and keep it.


class OnlyAsync(MemoryStore):
    """Refuses every sync call."""

    capabilities = Capabilities(async_only=True)

    def execute(self, ops: Batch, /) -> Results:
        raise UnsupportedByStore("this store works on an event loop only; use aexecute")

    async def aexecute(self, ops: Batch, /) -> Results:
        return MemoryStore.execute(self, ops)


class WithoutCompareAndSet(MemoryStore):
    """Refuses every expectation."""

    capabilities = Capabilities(compare_and_set=False)

    def execute(self, ops: Batch, /) -> Results:
        for op in ops:
            if isinstance(op, Conditional) and op.expect is not None:
                raise UnsupportedByStore(f"this store cannot compare and set: {op!r}")
        return super().execute(ops)


class WithoutAtomicBatches(MemoryStore):
    """Applies operations one by one, and refuses what would need more."""

    capabilities = Capabilities(atomic_batch=False, atomic_everywhere=False)

    def execute(self, ops: Batch, /) -> Results:
        asked = list(ops)
        conditional = any(isinstance(op, Conditional) and op.expect is not None for op in asked)
        if conditional and len(asked) > 1 and any(isinstance(op, WRITES) for op in asked):
            raise UnsupportedByStore("this store cannot apply a conditional batch atomically")
        if any(type(op).__module__ != "threadloom.ops" for op in asked):
            raise UnsupportedByStore("an unknown operation")
        for op in asked:
            if isinstance(op, CopyTree):
                check_copy(op.source, op.target)
        return [super(WithoutAtomicBatches, self).execute([op])[0] for op in asked]


class WithoutCopies(MemoryStore):
    """Refuses to copy a tree."""

    capabilities = Capabilities(copies_trees=False)

    def execute(self, ops: Batch, /) -> Results:
        for op in ops:
            if isinstance(op, CopyTree):
                raise UnsupportedByStore(f"this store cannot copy a tree: {op!r}")
        return super().execute(ops)
