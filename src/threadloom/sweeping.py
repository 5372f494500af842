"""Items that have expired: removed on request, or from time to time."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import groupby
from operator import attrgetter
from typing import Generic, TypeVar

from threadloom import keys
from threadloom.errors import StoreClosed, ThreadloomError
from threadloom.ops import ABSENT, Delete, ExpectationFailed, Namespace, Query, Record
from threadloom.plans import Plan

logger = logging.getLogger("threadloom.sweeping")

T = TypeVar("T")
_PAGE = 500


def sweep(root: Namespace, *, tenants: bool, together: bool) -> Plan[int]:
    """Remove the items at and below a root that have expired; how many.

    Sessions, and what belongs to them, are left to those who know what else goes with them.

    Args:
        root: where to look.
        tenants: whether also below the tenants of the root.
        together: whether the store removes several at once, all or none.
    """
    count = left = 0
    while True:
        found: list[Record]
        (found,) = yield [
            Query(
                root,
                deep=True,
                expired=True,
                user_only=not tenants,
                limit=_PAGE,
                offset=left,
            )
        ]
        items = [record for record in found if not keys.is_reserved(record.namespace)]
        left += len(found) - len(items)
        for _, group in groupby(items, key=attrgetter("namespace")):
            count += yield from _remove(list(group), together=together)
        if len(found) < _PAGE:
            return count


def _remove(items: Sequence[Record], *, together: bool) -> Plan[int]:
    """Remove items of one namespace, but for those that have been put anew meanwhile."""
    # What has expired is absent to an expectation, and is removed by a delete all the same.
    deletes = [Delete(record.namespace, record.key, ABSENT) for record in items]
    if together:
        try:
            yield deletes
        except ExpectationFailed:
            pass
        else:
            return len(deletes)
    count = 0
    for delete in deletes:
        try:
            yield [delete]
        except ExpectationFailed:
            continue
        count += 1
    return count


class Sweeper(Generic[T]):
    """A thread that sweeps from time to time, for as long as there is something to sweep.

    Args:
        store: what to sweep; it is not kept alive.
        work: sweeps it, and says how many.
        seconds: between two sweeps.

    Attributes:
        future: done when it has ended; cancelling it ends it.
    """

    def __init__(self, store: T, work: Callable[[T], int], seconds: float) -> None:
        self.future: Future[None] = Future()
        self._stopping = threading.Event()
        self.future.add_done_callback(lambda _: self._stopping.set())
        self._store = weakref.ref(store, lambda _: self._stopping.set())
        self._work = work
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._thread = threading.Thread(
            target=self._run, name="threadloom-ttl-sweeper", daemon=True
        )
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def stop(self, timeout: float | None = None) -> bool:
        """End it; whether it has ended after `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._seconds):
                if not self._sweep():
                    break
        except BaseException as error:
            if self.future.set_running_or_notify_cancel():
                self.future.set_exception(error)
            raise
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_result(None)

    def _sweep(self) -> bool:
        store = self._store()
        if store is None:
            return False
        try:
            count = self._work(store)
        except StoreClosed:
            return False
        except ThreadloomError as error:
            logger.warning("items that have expired could not be swept: %s", error)
        else:
            logger.debug("%d items that had expired were swept", count)
        return True
