"""The part of `SessionManager` that looks after what is stored."""

from __future__ import annotations

import asyncio

from threadloom.checkpoint import compact
from threadloom.errors import CorruptRecord
from threadloom.models import CheckReport, SessionRef, StorageStats
from threadloom.ops import Reclaim
from threadloom.plans import Plan
from threadloom.sessions import care, checking
from threadloom.sessions.base import Face


class CareFace(Face):
    """Where the bytes are, and getting those back that nobody needs."""

    def stats(self, id: SessionRef | None = None) -> StorageStats:
        """What a session takes up, or all sessions of this manager's tenant.

        Raises:
            SessionNotFound: there is no such session.
        """
        return self._run(self._stats(id, self._store.file_bytes()))

    async def astats(self, id: SessionRef | None = None) -> StorageStats:
        """`stats`, from an event loop."""
        size = await asyncio.to_thread(self._store.file_bytes)
        return await self._arun(self._stats(id, size))

    def _stats(self, id: SessionRef | None, file_bytes: int | None) -> Plan[StorageStats]:
        paths = None if id is None else self._paths(id)
        return care.stats(self._scope, paths, file_bytes=file_bytes)

    def check(
        self,
        id: SessionRef | None = None,
        *,
        fix: bool = False,
        progress: checking.Progress | None = None,
    ) -> CheckReport:
        """Look for damage, and mend what can be mended without guessing.

        Checkpoints that cannot be read or have lost something, heads and indexes that are not
        true, counts, dead turns, pending writes without a checkpoint, and data that belongs to no
        session. Types of the application are not needed. Where the store's own files are damaged
        that is named first; what can still be read can be copied to another store with
        `copy_sessions`, some sessions at a time. A `FileStore` mends its journals: damaged lines
        are moved to a file beside them, and all others stay.

        Args:
            id: one session; all, and what lies between them, by default.
            fix: mend; otherwise nothing is changed. The store's own files are mended only where
                all sessions are checked.
            progress: told after each session: how many are done, how many there are, and which
                it was.

        Raises:
            SessionNotFound: there is no such session.
        """
        mended = self._store.mend() if fix and id is None else []
        damage = self._store.damage() if id is None else []
        try:
            report = self._run(self._check(id, fix, progress))
        except CorruptRecord:
            if not damage:
                raise
            report = CheckReport()
        return checking.with_damage(report, damage, mended)

    async def acheck(
        self,
        id: SessionRef | None = None,
        *,
        fix: bool = False,
        progress: checking.Progress | None = None,
    ) -> CheckReport:
        """`check`, from an event loop."""
        mended = await asyncio.to_thread(self._store.mend) if fix and id is None else []
        damage = await asyncio.to_thread(self._store.damage) if id is None else []
        try:
            report = await self._arun(self._check(id, fix, progress))
        except CorruptRecord:
            if not damage:
                raise
            report = CheckReport()
        return checking.with_damage(report, damage, mended)

    def _check(
        self, id: SessionRef | None, fix: bool, progress: checking.Progress | None
    ) -> Plan[CheckReport]:
        return checking.check(self._scope, self._values, id, fix=fix, progress=progress)

    def compact(self, id: SessionRef) -> None:
        """Remove what no checkpoint of a session needs any more.

        Elements, values and texts that were replaced or left behind, and pending writes whose
        checkpoint never came. Of these, and of whatever was deleted before, also of a session
        that is not there any more, nothing can be found in the store's files afterwards.
        """
        self._run(self._compact(id))

    async def acompact(self, id: SessionRef) -> None:
        """`compact`, from an event loop."""
        await self._arun(self._compact(id))

    def _compact(self, id: SessionRef) -> Plan[None]:
        yield from compact(self._scope, self._values, self._paths(id))
        yield [Reclaim()]
