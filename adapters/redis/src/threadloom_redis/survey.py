"""What the index should hold, counted from the partitions, beside what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from threadloom_redis.attempts import Talk
from threadloom_redis.index import Index
from threadloom_redis.loading import Found
from threadloom_redis.names import Names, Partition, place
from threadloom_redis.scripts import SIZES, Call

_AT_ONCE = 500


class Survey:
    """Counts what the index should hold.

    Args:
        names: the keys.
        index: the index.
    """

    def __init__(self, names: Names, index: Index) -> None:
        self._names = names
        self._index = index
        self._expected: Counter[bytes] = Counter()

    def add(self, partition: Partition, records: Found) -> None:
        """Count all records of a partition, or a page of them that is not the first."""
        for namespace, key, entry in records:
            if partition.session and place(namespace, key).startswith(partition.session):
                self._expected.update(self._index.places_of(partition, entry))

    def add_partition(self) -> None:
        """Count a partition that has records."""
        self._expected[self._names.partitions] += 1

    def compare(self, there: Iterable[bytes]) -> Talk[tuple[int, int]]:
        """How many entries the index lacks, and how many it has too many.

        Args:
            there: the keys that it has.
        """
        counted = self._index.counted
        every = sorted({*self._expected, *(key for key in there if counted(key))})
        lacking = extra = 0
        for start in range(0, len(every), _AT_ONCE):
            keys = every[start : start + _AT_ONCE]
            [sizes] = yield [Call(SIZES, tuple(keys), [])]
            for key, size in zip(keys, sizes, strict=True):
                lacking += max(0, self._expected[key] - size)
                extra += max(0, size - self._expected[key])
        return lacking, extra
