"""The part of the manager's face that removes what is old."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Unpack

from threadloom.models import PruneReport, SessionRef
from threadloom.plans import Plan
from threadloom.sessions import retention
from threadloom.sessions.base import Face
from threadloom.sessions.plans import Filters


class RetentionFace(Face):
    """Delete many sessions, sweep stale ones, prune checkpoints."""

    def delete_sessions(self, *, dry_run: bool = False, **filters: Unpack[Filters]) -> list[str]:
        """Delete the sessions that pass filters, each all or nothing.

        A session with a turn under way is spared, unless its lease has run out.

        Args:
            dry_run: only say which.
            **filters: those of `list_sessions`; at least one.

        Returns the ids, oldest created first.

        Raises:
            InvalidKey: no filter is given, or one makes no sense.
        """
        return self._run(retention.delete_sessions(self._scope, filters, dry_run=dry_run))

    async def adelete_sessions(
        self, *, dry_run: bool = False, **filters: Unpack[Filters]
    ) -> list[str]:
        """`delete_sessions`, from an event loop."""
        return await self._arun(retention.delete_sessions(self._scope, filters, dry_run=dry_run))

    def cleanup_stale(
        self, older_than: timedelta, *, dry_run: bool = False, include_running: bool = False
    ) -> int:
        """Delete the sessions without activity for longer than a time, and the expired ones.

        Items of long-term memory that have expired go as well; they are not counted.

        Args:
            older_than: strictly longer than this.
            dry_run: only count.
            include_running: also those with a turn that is alive.

        Returns how many.

        Raises:
            InvalidKey: `older_than` is zero or negative.
        """
        return self._run(self._cleanup(older_than, dry_run, include_running))

    async def acleanup_stale(
        self, older_than: timedelta, *, dry_run: bool = False, include_running: bool = False
    ) -> int:
        """`cleanup_stale`, from an event loop."""
        return await self._arun(self._cleanup(older_than, dry_run, include_running))

    def _cleanup(self, older_than: timedelta, dry_run: bool, include_running: bool) -> Plan[int]:
        return retention.cleanup_stale(
            self._scope,
            older_than,
            dry_run=dry_run,
            include_running=include_running,
            together=self._store.capabilities.atomic_batch,
        )

    def prune(
        self,
        ids: Iterable[SessionRef] | None = None,
        *,
        keep_last: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = False,
    ) -> PruneReport:
        """Remove old checkpoints, where the head still rebuilds exactly.

        The head of each checkpoint namespace always stays, with its pending writes, interrupts
        and what its delta channels are rebuilt from. A session with a turn under way is spared,
        unless its lease has run out.

        Args:
            ids: which sessions; all by default.
            keep_last: how many of the newest checkpoints of a namespace stay; 1 by default.
            older_than: remove only checkpoints that are older.
            dry_run: only report.

        Raises:
            SessionNotFound: one of `ids` is no session.
            InvalidKey: a number or a time makes no sense.
        """
        return self._run(self._pruned(ids, keep_last, older_than, dry_run))

    async def aprune(
        self,
        ids: Iterable[SessionRef] | None = None,
        *,
        keep_last: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool = False,
    ) -> PruneReport:
        """`prune`, from an event loop."""
        return await self._arun(self._pruned(ids, keep_last, older_than, dry_run))

    def _pruned(
        self,
        ids: Iterable[SessionRef] | None,
        keep_last: int | None,
        older_than: timedelta | None,
        dry_run: bool,
    ) -> Plan[PruneReport]:
        return retention.prune_sessions(
            self._scope,
            self._values,
            ids,
            keep_last=keep_last,
            older_than=older_than,
            dry_run=dry_run,
        )
