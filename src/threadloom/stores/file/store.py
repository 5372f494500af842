"""`FileStore`: batches, errors and the asynchronous side."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from langgraph.store.base import IndexConfig, TTLConfig

from threadloom import keys
from threadloom.clock import Clock
from threadloom.errors import (
    CorruptRecord,
    InvalidKey,
    SchemaTooNew,
    StoreClosed,
    StoreUnavailable,
    UnsupportedByStore,
)
from threadloom.filters import matches
from threadloom.ops import CopyTree, Get, Namespace, Op, Query, Reclaim, Record
from threadloom.plans import Batch, Results
from threadloom.store import Capabilities, Store
from threadloom.stores import forking
from threadloom.stores.file import files
from threadloom.stores.file.files import Piece
from threadloom.stores.file.folder import Folder
from threadloom.stores.file.index import Index
from threadloom.stores.file.keeper import Keeper
from threadloom.stores.file.locks import STRIPES, Guard, Locks, stripe_of, stripes_of
from threadloom.stores.file.places import Place, place_of
from threadloom.stores.file.routing import Route, route
from threadloom.stores.waiting import settled

T = TypeVar("T")

logger = logging.getLogger("threadloom.stores")

_READ, _LIST, _WRITE = range(3)
_READ_THREADS, _LIST_THREADS, _WRITE_THREADS = 4, 2, 4
_AT_ONCE = 256 * 1024
"""Bytes of journals whose records are looked at on an event loop itself."""
_ALL = tuple(range(STRIPES))
_NOTHING: Mapping[Place, Piece] = {}
GetAll = Callable[[Sequence[tuple[Op, Place]]], list[Any]]
"""Reads records from journals."""


class FileStore(Store):
    """Keeps each session in a journal of its own: JSON Lines that people read, compare and sync.

    Any number of threads and processes of one machine may use one folder. A batch within one
    session is one line, so it is there whole or not at all; readers take no lock between
    processes. A batch over several partitions is written line by line: a process that is killed
    in the middle leaves some of the lines. Listings and searches go by an index in the same
    folder, which is made again whenever it is not true; `threadloom.stores.file.index` says what
    is noticed when. Survives `os.fork`.

    A session is read into memory whole, and up to 64 MB of sessions are kept there.

    Args:
        path: the folder. It is made if it is missing; the one that it is in must exist.
        durability: ``"normal"`` survives a killed process, ``"full"`` a power cut as well
            (each write waits for the disk).
        lock_timeout: seconds to wait for another process that writes.
        clock: tells the time for times of records and their expiry; the system's by default.
        index: for semantic search, see `Store`.
        ttl: how long items live, see `Store`.

    Raises:
        InvalidKey: `durability`, `index` or `ttl` makes no sense.
        StoreUnavailable: the folder cannot be made or read, or belongs to something else.
        SchemaTooNew: a newer Threadloom wrote it.
    """

    capabilities = Capabilities(atomic_everywhere=False, durable=True, shared=True)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Literal["normal", "full"] = "normal",
        lock_timeout: float = 30.0,
        clock: Clock | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__(clock=clock, index=index, ttl=ttl)
        if durability not in ("normal", "full"):
            raise InvalidKey(f"durability is 'normal' or 'full', not {durability!r}")
        self.path = Path(path).absolute()
        self._folder = Folder(self.path)
        self._locks = Locks(self._folder.locks, lock_timeout)
        self._timeout = lock_timeout
        self._keeper = Keeper(self._folder, to_disk=durability == "full")
        self._index = Index(self._folder, self._locks, lock_timeout)
        self._closed = False
        self._threads: tuple[ThreadPoolExecutor, ...] | None = None
        self._threads_of = 0
        self._threads_lock = threading.Lock()
        self._resting: list[Guard] = []
        forking.register(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def execute(self, ops: Batch, /) -> Results:
        """Apply a batch; within one partition all or nothing. See `Store.execute`."""
        return self._execute(ops, time.monotonic(), _NOTHING)

    async def aexecute(self, ops: Batch, /) -> Results:
        """`execute` for event loops: reads go through aiofiles, writes to threads of the store."""
        self._check_open()
        since = time.monotonic()
        way = route(ops)
        pieces = _NOTHING
        if not way.writes and all(some is not None for some in way.places):
            pieces = await self._aread(way.named)
            if self._is_quick(way.named, pieces):
                return self._execute(ops, since, pieces)
        try:
            future = asyncio.get_running_loop().run_in_executor(
                self._pool(_kind(way)), self._execute, ops, since, pieces
            )
        except RuntimeError as error:  # closed by somebody else just now
            raise StoreClosed(f"the store of {self.path} was closed") from error
        return await settled(future)

    def _execute(self, ops: Batch, since: float, pieces: Mapping[Place, Piece]) -> Results:
        way = route(ops)
        try:
            self._check_open()
            self._folder.check()
            if any(isinstance(op, Reclaim) for op in ops):
                if len(ops) > 1:
                    raise UnsupportedByStore("files are reclaimed by a batch of its own")
                self._reclaim(since)
                return [None]
            if way.writes:
                return self._write(ops, way, since)
            return self._read(ops, way, since, pieces)
        except StoreUnavailable:
            raise
        except OSError as error:
            raise files.translated(error, self.path) from error

    def _read(self, ops: Batch, way: Route, since: float, pieces: Mapping[Place, Piece]) -> Results:
        mine = [(op, some[0]) for op, some in zip(ops, way.places, strict=True) if some is not None]
        across = [op for op, some in zip(ops, way.places, strict=True) if some is None]

        def work() -> list[Any]:
            self._check_open()
            return self._keeper.read(mine, self.now(), pieces)

        def get(asked: Sequence[tuple[Op, Place]]) -> list[Any]:
            places = [place for _, place in asked]
            return self._locks.reading(
                stripes_of(places), lambda: self._keeper.read(asked, self.now(), _NOTHING)
            )

        own = iter(self._locks.reading(stripes_of(way.named), work) if mine else ())
        others = iter(self._ask(across, self.now(), since, get) if across else ())
        return [next(others) if some is None else next(own) for some in way.places]

    def _write(self, ops: Batch, way: Route, since: float) -> Results:
        stripes = _ALL if way.is_wide else stripes_of(way.named)

        def work() -> Results:
            places = way.named
            if way.is_wide:
                across = [
                    name
                    for op, some in zip(ops, way.places, strict=True)
                    if some is None
                    for name in _namespaces(op)
                ]
                places = list(dict.fromkeys([*places, *self._index.places(across, since)]))

            def inside() -> Results:
                self._check_open()
                now = self.now()

                def get(asked: Sequence[tuple[Op, Place]]) -> list[Any]:
                    return self._keeper.peek(asked, now)

                return self._keeper.write(
                    ops, way, places, now, lambda asked: self._ask(asked, now, since, get)
                )

            return self._locks.reading(stripes, inside)

        return self._locks.writing(stripes, since, work)

    def _ask(self, ops: Sequence[Op], now: int, since: float, get: GetAll) -> list[Any]:
        """Ask the index, and the journals for the blobs, which it does not have."""
        found = self._index.read(ops, now, since)
        return [
            _with_blobs(op, answer, now, get) if isinstance(op, Query) and op.blobs else answer
            for op, answer in zip(ops, found, strict=True)
        ]

    # Care

    def _reclaim(self, since: float) -> None:
        places = dict.fromkeys([*self._index.wasteful(since), *self._folder.asides()])
        for place in places:
            self._alone(place, partial(self._keeper.reclaim, place, self.now()))
        self._index.reclaim(time.monotonic())

    def _alone(self, place: Place, work: Callable[[], T]) -> T:
        """Run `work` while nobody else writes to a journal or reads it here."""
        stripes = [stripe_of(place)]
        return self._locks.writing(
            stripes, time.monotonic(), lambda: self._locks.reading(stripes, work)
        )

    def file_bytes(self) -> int:
        """The size of all files in the folder, the index included."""
        return self._folder.size()

    def damage(self) -> list[str]:
        """The journals that are damaged, each with its first damaged line."""
        return self._each(self._damage_of)

    def mend(self) -> list[str]:
        """Move damaged lines into files beside their journals; what was done.

        All lines that are whole stay, and what a damaged one has removed may be there again.
        """
        self._check_open()
        done = self._each(self._mend)
        if done:
            self._index.discard(time.monotonic())
        return done

    def _mend(self, place: Place) -> str | None:
        try:
            return self._alone(place, partial(self._keeper.mend, place, self.now()))
        except CorruptRecord:
            return None  # two journals of the same records: `damage` names them

    def _damage_of(self, place: Place) -> str | None:
        def look() -> str | None:
            journal = self._keeper.current(place)
            if journal is not None:
                journal.check()
            return None

        try:
            return self._locks.reading([stripe_of(place)], look)
        except (CorruptRecord, SchemaTooNew) as error:
            return str(error)

    def _each(self, work: Callable[[Place], str | None]) -> list[str]:
        self._check_open()
        try:
            self._folder.check()
            found = [work(place) for place in sorted(set(self._folder.everything()))]
        except StoreUnavailable:
            raise
        except OSError as error:
            raise files.translated(error, self.path) from error
        return [told for told in found if told is not None]

    # Life

    def close(self) -> None:
        """Wait for what is under way, then forget everything."""
        self._closed = True
        resting = self._locks.rest(self._timeout + 5)
        try:
            self._keeper.cache.clear()
            if not self._index.guard.is_mine:
                with self._index.guard.lock:
                    self._index.close()
        finally:
            for guard in resting:
                guard.lock.release()
        with self._threads_lock:
            threads, self._threads = self._threads, None
        if threads is not None and self._threads_of == os.getpid():
            for pool in threads:
                pool.shutdown(wait=True)

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        await asyncio.to_thread(self.close)

    def before_fork(self) -> None:
        self._threads_lock.acquire()
        self._resting = self._locks.rest(self._timeout + 5)
        guard = self._index.guard
        if not guard.is_mine and guard.lock.acquire(timeout=self._timeout + 5):
            self._resting.append(guard)
            self._index.close()  # SQLite's locks belong to the process

    def after_fork_in_parent(self) -> None:
        while self._resting:
            self._resting.pop().lock.release()
        self._threads_lock.release()

    def after_fork_in_child(self) -> None:
        self._threads_lock = threading.Lock()
        self._resting = []
        self._locks.renew()
        self._index.renew()
        self._keeper.cache.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"the store of {self.path} was closed")

    # On event loops

    async def _aread(self, places: Sequence[Place]) -> Mapping[Place, Piece]:
        """What has to be read of some journals first."""
        pieces: dict[Place, Piece] = {}
        try:
            self._folder.check()
            for place in places:
                wanted = self._keeper.wanted(place)
                if wanted is not None:
                    piece = await files.aread(*wanted, self._pool(_READ))
                    if piece is not None:
                        pieces[place] = piece
        except StoreUnavailable:
            raise
        except OSError as error:
            raise files.translated(error, self.path) from error
        except RuntimeError as error:  # closed by somebody else just now
            raise StoreClosed(f"the store of {self.path} was closed") from error
        return pieces

    def _is_quick(self, places: Sequence[Place], pieces: Mapping[Place, Piece]) -> bool:
        """Whether reading journals that are at hand keeps a loop for no time worth a thread."""
        free = all(self._locks.is_free(stripe_of(place)) for place in places)
        read = sum(len(piece.data) for piece in pieces.values())
        return free and self._keeper.weight(places) + 2 * read <= _AT_ONCE

    def _pool(self, kind: int) -> ThreadPoolExecutor:
        """Threads for asynchronous calls; no kind of them queues behind another that waits."""
        with self._threads_lock:
            self._check_open()
            if self._threads is None or self._threads_of != os.getpid():
                self._threads = (
                    ThreadPoolExecutor(_READ_THREADS, "threadloom-file-read"),
                    ThreadPoolExecutor(_LIST_THREADS, "threadloom-file-list"),
                    ThreadPoolExecutor(_WRITE_THREADS, "threadloom-file-write"),
                )
                self._threads_of = os.getpid()
            return self._threads[kind]


def _kind(way: Route) -> int:
    """Which threads a batch goes to."""
    if way.writes:
        return _WRITE
    return _LIST if any(some is None for some in way.places) else _READ


def _with_blobs(op: Query, found: Sequence[Record], now: int, get: GetAll) -> list[Record]:
    """Records as their journals have them, as far as they still are what was asked for.

    The index has those of sessions whole.
    """
    wanted: list[tuple[Op, Place]] = [
        (
            Get(record.namespace, record.key, expired=True),
            place_of(keys.partition(record.namespace, record.key)),
        )
        for record in found
        if not keys.is_sessions(record.namespace)
    ]
    whole = iter(get(wanted) if wanted else ())
    records: list[Record | None] = [
        record if keys.is_sessions(record.namespace) else next(whole) for record in found
    ]
    return [
        record
        for record in records
        if record is not None
        and (record.expires_at is not None and record.expires_at <= now) == op.expired
        and matches(record.doc, op.filter)
    ]


def _namespaces(op: Op) -> list[Namespace]:
    if isinstance(op, CopyTree):
        return [op.source, op.target]
    return [op.namespace]  # type: ignore[union-attr]
