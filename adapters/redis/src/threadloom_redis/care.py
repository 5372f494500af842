"""Looking at every partition: the index made again, damage found and mended."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from redis.exceptions import RedisClusterException, RedisError

from threadloom.errors import CorruptRecord, ThreadloomError
from threadloom_redis.attempts import Patience, Talk
from threadloom_redis.clients import Client
from threadloom_redis.errors import translated
from threadloom_redis.index import Index
from threadloom_redis.loading import Place, pages
from threadloom_redis.names import EVERYTHING, Names, Partition
from threadloom_redis.reading import Reading
from threadloom_redis.scripts import MEND, Call
from threadloom_redis.survey import Survey

logger = logging.getLogger("threadloom.stores")

_TRIES = 3


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
        """The partitions that are damaged; where none is, whether the index is."""
        return sorted({told for _, told in self._damaged()}) or self._damage_of_index()

    def mend(self) -> list[str]:
        """Make damaged partitions whole of the records that are left; what was done."""
        done = self._damage_of_index()
        for partition in sorted({partition for partition, _ in self._damaged()}):
            keys = (partition.records, partition.order)
            [reply] = self._client.call([Call(MEND, keys, [partition.session])])
            done.append(
                f"{partition.name}: {reply[1]} records are kept, at least {reply[2]} are lost"
            )
            self._client.run(self._index.settle([partition.name]))
        return done

    def remake_from_empty(self) -> None:
        """Make the index again without what is in it."""
        if self._client.run(self._index.look()):
            every = [key for portion in self._keys() for key in portion]
            self._client.run(self._index.clear(every))
            self.remake_index(begins=True)
        else:
            self.remake_index()

    def _damage_of_index(self) -> list[str]:
        """Whether the index has as many entries as there should be; not while others write."""
        if not self._client.run(self._index.look()):
            return []
        for _ in range(_TRIES):
            self._client.run(self._index.settle_pending())
            moment = self._client.run(self._index.moment())
            survey = Survey(self._names, self._index)
            seen: set[str] = set()
            keys: set[bytes] = set()
            for portion in self._keys():
                keys.update(key for key in portion if self._index.counted(key))
                for partition in self._named(portion):
                    if partition.name not in seen:
                        seen.add(partition.name)
                        try:
                            self._client.run(_count(partition, survey))
                        except CorruptRecord:
                            return []  # that comes first
            names = Reading(self._names, self._index, 0, Patience(0)).partitions(())
            if gone := [name for name in self._client.run(names) if name not in seen]:
                self._client.run(self._index.settle(gone))  # Redis has forgotten what expired
            lacking, extra = self._client.run(survey.compare(keys))
            if not (lacking or extra):
                return []
            if moment == self._client.run(self._index.moment()):
                return [f"the index lacks {lacking} entries and has {extra} too many"]
        logger.info("the index in %s changes too fast to be checked", self._client.place)
        return []

    def _damaged(self) -> Iterator[tuple[Partition, str]]:
        for partitions in self._partitions():
            for partition in partitions:
                try:
                    self._client.run(_look(partition))
                except CorruptRecord as error:
                    yield partition, str(error)

    def _partitions(self) -> Iterator[list[Partition]]:
        for portion in self._keys():
            yield self._named(portion)

    def _named(self, keys: list[bytes]) -> list[Partition]:
        found = (self._names.partition_of(key) for key in keys)
        return [partition for partition in found if partition is not None]

    def _keys(self) -> Iterator[list[bytes]]:
        """All keys of the prefix, in portions; some may come twice."""
        try:
            yield from self._client.scan(self._names.pattern)
        except ThreadloomError:
            raise
        except (RedisError, RedisClusterException, OSError) as error:
            raise translated(error, self._client.place) from error


def _look(partition: Partition) -> Talk[None]:
    place: Place | None = Place(partition, (EVERYTHING,))
    while place is not None:
        [(place, _, _)] = yield from pages([place], blobs=True)


def _count(partition: Partition, survey: Survey) -> Talk[None]:
    place: Place | None = Place(partition, (EVERYTHING,))
    has_records = False
    while place is not None:
        [(place, records, _)] = yield from pages([place], blobs=False)
        survey.add(partition, records)
        has_records = has_records or bool(records)
    if has_records:
        survey.add_partition()
