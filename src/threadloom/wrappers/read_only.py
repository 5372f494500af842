"""`ReadOnlyStore`: a store that cannot be changed."""

from __future__ import annotations

from threadloom.errors import UnsupportedByStore
from threadloom.ops import Check, Count, Get, ListNamespaces, Match, Measure, Query, Scan
from threadloom.plans import Batch, Results
from threadloom.wrappers.base import Wrapper

_READS = (Get, Check, Scan, Query, Count, Match, ListNamespaces, Measure)


class ReadOnlyStore(Wrapper):
    """Lets everything be read and nothing be written.

    A batch that holds an operation that writes, or one that is not known to be a read, is
    refused before the store inside sees any of it. Listing, reading, searching, exporting and
    checking sessions work; whatever would change one raises `UnsupportedByStore`. What the
    engine does for itself while it reads, such as feeding its search index, goes on.

    Args:
        inner: the store that is read; closing this one closes it.
    """

    def execute(self, ops: Batch, /) -> Results:
        """Read. See `Store.execute`.

        Raises:
            UnsupportedByStore: an operation of the batch writes.
        """
        _refuse_writes(ops)
        return self.inner.execute(ops)

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute`, from an event loop."""
        _refuse_writes(ops)
        return await self.inner.aexecute(ops)


def _refuse_writes(ops: Batch) -> None:
    for op in ops:
        if not isinstance(op, _READS):
            raise UnsupportedByStore(
                f"this store is read-only: {type(op).__name__} was refused, and nothing of its "
                "batch was done"
            )
