"""Looking at every partition: the index made again, damage found and mended."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from redis.exceptions import RedisClusterException, RedisError

from threadloom.errors import CorruptRecord, ThreadloomError
from threadloom_redis.attempts import Talk
from threadloom_redis.clients import Client
from threadloom_redis.errors import translated
from threadloom_redis.index import Index
from threadloom_redis.loading import Place, pages
from threadloom_redis.names import EVERYTHING, Names, Partition
from threadloom_redis.scripts import MEND, Call

logger = logging.getLogger("threadloom.stores")


class Care:
    """What goes over all keys of one prefix, by ``SCAN``.

    Args:
        client: how to reach Redis.
        names: the keys.
        index: the index.
    """

    def __init__(self, client: Client, names: Names, index: Index) -> None:
        self._client = client
        self._names = names
        self._index = index

    def remake_index(self, *, begins: bool = False) -> bool:
        """Bring every partition in that there is; whether there is an index now.

        Args:
            begins: whether there is to be one even without any partition.

        Raises:
            SchemaTooNew: a newer version of this package wrote the data.
        """
        there = self._client.run(self._index.look())
        count = 0
        for partitions in self._partitions():
            found = sorted({partition.name for partition in partitions})
            self._client.run(self._index.settle(found))
            count += len(found)
        if count:
            logger.info("the index in %s was made of %d partitions", self._client.place, count)
        if not (count or begins or there):
            return False
        self._client.run(self._index.count_as_whole())
        return True

    def damage(self) -> list[str]:
        """The partitions that are damaged."""
        return sorted({told for _, told in self._damaged()})

    def mend(self) -> list[str]:
        """Make damaged partitions whole of the records that are left; what was done."""
        done: list[str] = []
        for partition in sorted({partition for partition, _ in self._damaged()}):
            keys = (partition.records, partition.order)
            [reply] = self._client.call([Call(MEND, keys, [partition.session])])
            done.append(
                f"{partition.name}: {reply[1]} records are kept, at least {reply[2]} are lost"
            )
            self._client.run(self._index.settle([partition.name]))
        return done

    def _damaged(self) -> Iterator[tuple[Partition, str]]:
        for partitions in self._partitions():
            for partition in partitions:
                try:
                    self._client.run(_look(partition))
                except CorruptRecord as error:
                    yield partition, str(error)

    def _partitions(self) -> Iterator[list[Partition]]:
        try:
            for portion in self._client.scan(self._names.pattern):
                yield [
                    partition
                    for key in portion
                    if (partition := self._names.partition_of(key)) is not None
                ]
        except ThreadloomError:
            raise
        except (RedisError, RedisClusterException, OSError) as error:
            raise translated(error, self._client.place) from error


def _look(partition: Partition) -> Talk[None]:
    place: Place | None = Place(partition, (EVERYTHING,))
    while place is not None:
        [(place, _, _)] = yield from pages([place], blobs=True)
