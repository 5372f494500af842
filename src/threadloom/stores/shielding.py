"""Work that no signal handler may break off in the middle.

Handlers run in the main thread, between any two steps of its programs, and may raise there, as
Ctrl-C does. A driver of somebody else's, with its pools and its half-read answers, does not stand
that. So what the main thread asks for is done by another thread, while the main thread waits: an
interrupt is felt when the outcome is known, as with cancelled calls on event loops, and a second
one at once. That costs two switches of threads a call, a part of a round trip to a server.
"""

from __future__ import annotations

import os
import threading
import weakref
from _thread import start_new_thread
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from threadloom.errors import StoreUnavailable

T = TypeVar("T")


class Shield:
    """Does the main thread's work on a thread of its own, one piece after the other.

    Args:
        place: what is worked on, for people.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._renew()

    def _renew(self) -> None:
        self._process = os.getpid()
        self._waiting = False
        self._thread: threading.Thread | None = None
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns.

        Raises:
            StoreUnavailable: a signal handler asks while the main thread waits for other work.
        """
        if threading.current_thread() is not threading.main_thread():
            return work()
        if self._process != os.getpid():
            self._renew()
        if not self._started():
            return work()
        if self._waiting:
            raise StoreUnavailable(
                f"{self._place} is being used by this very thread: a signal handler cannot use a "
                "store that it has interrupted"
            )
        errand = _Errand(work)
        # Nothing is called between the end of the work and the mark: no interrupt gets between.
        try:
            self._waiting = True
            self._errands.put(errand)
            errand.wait()
        except BaseException:
            errand.is_wanted = False
            if errand.has_begun:
                errand.wait()
            raise
        finally:
            self._waiting = False
        return errand.outcome()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let the thread go when its work is done."""
        self._errands.put(None)
        self._thread = None

    def _started(self) -> bool:
        """Whether there is a thread; none can be had any more while the interpreter ends."""
        if self._thread is not None:
            return True
        errands: SimpleQueue[_Errand | None] = SimpleQueue()
        thread = threading.Thread(
            target=_work_off, args=(errands,), name="threadloom-shield", daemon=True
        )
        # At exit the thread stays: what is called then may still have work for it.
        weakref.finalize(self, errands.put, None).atexit = False
        try:
            # By a thread of its own: waiting until another one runs does not stand an interrupt.
            start_new_thread(thread.start, ())
        except RuntimeError:
            return False
        self._errands, self._thread = errands, thread
        return True


class _Errand:
    """A piece of work, and its end.

    What waits for it stands an interrupt anywhere, which events and conditions do not: their locks
    may stay locked.
    """

    __slots__ = (
        "_context",
        "_done",
        "_ended",
        "_error",
        "_result",
        "_work",
        "has_begun",
        "is_wanted",
    )

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._context: Context = copy_context()
        self._ended = False
        self._done = threading.Lock()
        self._done.acquire()
        self._result: Any = None
        self._error: BaseException | None = None
        self.has_begun = False
        self.is_wanted = True

    def do(self) -> None:
        self.has_begun = True
        if self.is_wanted:
            try:
                self._result = self._context.run(self._work)
            except BaseException as error:
                self._error = error
        self._ended = True
        self._done.release()

    def wait(self) -> None:
        while not self._ended:
            self._done.acquire()

    def outcome(self) -> Any:
        try:
            if self._error is not None:
                raise self._error
            return self._result
        finally:
            self._error = None  # it refers to this frame


def _work_off(errands: SimpleQueue[_Errand | None]) -> None:
    while (errand := errands.get()) is not None:
        errand.do()
        del errand
