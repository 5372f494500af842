"""What goes through much of an encrypted store, a page at a time.

Search and measures open every record that they concern. A batch of nothing else reads them in
pages, so that memory is bounded by the page; it is no picture of one moment, as an index that
is fed now and then is none. Names of namespaces are read from any record that is in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest

from threadloom.errors import CorruptRecord
from threadloom.garbage import without_collection
from threadloom.ops import (
    Hit,
    ListNamespaces,
    Match,
    Measure,
    Measured,
    Namespace,
    Op,
    Record,
    Scan,
)
from threadloom.plans import Plan, Results
from threadloom.stores.spaces import Space, Spaces
from threadloom.stores.working import Work
from threadloom.wrappers.vault import HEADER, Vault

_PAGE = 256
_AT_ONCE = 64


def is_survey(ops: Sequence[Op]) -> bool:
    """Whether a batch searches or measures, and does nothing else."""
    return bool(ops) and all(isinstance(op, (Match, Measure)) for op in ops)


def survey(vault: Vault, ops: Sequence[Op], now: int) -> Plan[Results]:
    """Answer a batch of searches and measures, one after the other."""
    results: Results = []
    for op in ops:
        assert isinstance(op, (Match, Measure))
        (found,) = yield [ListNamespaces(vault.names.namespace(op.namespace))]
        hits: list[Hit] = []
        sizes: dict[Namespace, Measured] = {}
        for namespace in found:
            start: str | None = ""
            while start is not None and namespace != HEADER[0]:
                (page,) = yield [Scan(namespace, start, limit=_PAGE)]
                start = page[-1].key + "\0" if len(page) == _PAGE else None
                answer = Work(filled(vault, page), now, 0).apply(op)
                if isinstance(op, Match):
                    hits = nlargest(
                        max(0, op.limit),
                        [*hits, *answer],
                        key=lambda hit: (hit.score, hit.record.updated_at),
                    )
                    continue
                for part in answer:
                    whole = sizes.get(part.namespace, Measured(part.namespace, 0, 0))
                    sizes[part.namespace] = Measured(
                        part.namespace, whole.records + part.records, whole.bytes + part.bytes
                    )
        results.append(hits if isinstance(op, Match) else sorted(sizes.values()))
    return results


def named(vault: Vault, namespaces: Iterable[Namespace]) -> Plan[Mapping[Namespace, Namespace]]:
    """What namespaces of the store inside are called, as far as there is still a record in them."""
    known: dict[Namespace, Namespace] = {}
    unknown: list[Namespace] = []
    for namespace in dict.fromkeys(namespaces):
        true = vault.names.true.get(namespace)
        if true is not None:
            known[namespace] = true
        elif namespace != HEADER[0]:
            unknown.append(namespace)
    for at in range(0, len(unknown), _AT_ONCE):
        some = unknown[at : at + _AT_ONCE]
        found = yield [Scan(inner, limit=1) for inner in some]
        for inner, records in zip(some, found, strict=True):
            try:
                true = vault.open(records[0])[0] if records else None
            except CorruptRecord as error:
                true = yield from _name_of_others(vault, inner, error)
            if true is not None:
                known[inner] = true
    return known


def _name_of_others(vault: Vault, inner: Namespace, error: CorruptRecord) -> Plan[Namespace]:
    """What a namespace is called whose first record is damaged.

    Raises:
        CorruptRecord: none of its records can be read.
    """
    start: str | None = ""
    while start is not None:
        (page,) = yield [Scan(inner, start, limit=_PAGE)]
        start = page[-1].key + "\0" if len(page) == _PAGE else None
        for record in page:
            try:
                return vault.open(record)[0]
            except CorruptRecord:
                continue
    raise error


def filled(vault: Vault, records: Sequence[Record], *, blobs: bool = True) -> Spaces:
    """A scratch copy of records, opened."""
    spaces = Spaces()
    touched: dict[Namespace, Space] = {}
    with without_collection(len(records)):
        for record in records:
            if record.namespace == HEADER[0]:
                continue
            namespace, key, entry = vault.open(record)
            space = touched.get(namespace)
            if space is None:
                space = touched[namespace] = spaces.make(namespace)
            space.entries[key] = entry if blobs or entry.blob is None else entry._replace(blob=None)
        for space in touched.values():
            space.order = sorted(space.entries)
    return spaces
